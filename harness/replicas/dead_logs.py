"""Notes what a dead broker's logs hold that no other broker has, before it is started again.

When it returns it asks its successor where their logs part (KIP-101) and cuts its own off there.
Until then the files show which records only the dead leader had: those were lost by the brokers,
and not on the way to them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np

from harness.record.codec import Codec
from harness.replicas.batches import payload, records
from harness.replicas.files import Replica
from harness.rundir.clock import now
from harness.rundir.replicas import DeadLog, StrandedRange

RECORDS_MAX: Final = 200_000
"""So many records beyond a successor's log are noted of one partition."""
STRETCHES_MAX: Final = 2_000
TIME_MAX_S: Final = 5.0
Key = tuple[str, int]


def note_dead_logs(
    fault_id: str,
    broker: int,
    leaders: Iterable[tuple[Key, int]],
    log_directory: Callable[[int], Path],
    run_id: str,
    codec: Codec,
) -> list[DeadLog]:
    """Compare a dead broker's logs with those of the present leaders.

    leaders: (topic, partition) and the broker that leads it now; codec: the run's. Reading
    ends after TIME_MAX_S; what was not reached is noted as incomplete.
    """
    deadline = time.monotonic() + TIME_MAX_S
    return [
        _note(fault_id, broker, key, leader, log_directory, (run_id, codec), deadline)
        for key, leader in leaders
        if leader not in (-1, broker) and Replica(log_directory(broker), *key).there
    ]


def _note(
    fault_id: str,
    broker: int,
    key: Key,
    leader: int,
    log_directory: Callable[[int], Path],
    run: tuple[str, Codec],
    deadline: float,
) -> DeadLog:
    topic, partition = key
    mine, other = (Replica(log_directory(each), *key) for each in (broker, leader))
    noted = DeadLog(
        fault_id, now(), broker, topic, partition, None, leader, None, None, [], complete=False
    )
    try:
        noted.end = mine.end()
        last = max((epoch for epoch, _ in mine.epochs()), default=-1)
        later = [(epoch, start) for epoch, start in other.epochs() if epoch > last]
        if not later:
            noted.reason = f"broker {leader} shows no leader epoch after {last}"
            return noted
        noted.successor_epoch, noted.successor_start = later[0]
        noted.stranded, noted.reason = stranded(mine, noted.successor_start, run, deadline)
        noted.complete = not noted.reason
    except (OSError, ValueError) as error:
        noted.reason = f"cannot be read: {error}"
    return noted


def stranded(
    replica: Replica, start: int, run: tuple[str, Codec], deadline: float
) -> tuple[list[StrandedRange], str]:
    """A run's records from offset `start` on, and why they are not all, or an empty text.

    run: its id and its codec.
    """
    run_id, codec = run
    run_number = codec.run_number(run_id)
    found: list[StrandedRange] = []
    count = 0
    for data, batch in replica.batches_from(start):
        if time.monotonic() > deadline:
            return found, f"not read to its end within {TIME_MAX_S:g} s"
        if batch.control:
            continue
        here = [each for each in records(batch, payload(data, batch)) if each.offset >= start]
        decoded = codec.decode([each.value for each in here])
        for record, head, intact in zip(here, decoded.heads, decoded.intact, strict=True):
            if not intact or int(head["run"]) != run_number:
                continue
            count += 1
            _extend(found, head, record.offset, batch.leader_epoch)
        if count > RECORDS_MAX or len(found) > STRETCHES_MAX:
            return found, f"more than {RECORDS_MAX} records or {STRETCHES_MAX} stretches of them"
    return found, ""


def _extend(found: list[StrandedRange], head: np.void, offset: int, leader_epoch: int) -> None:
    producer, sequence = int(head["incarnation"]), int(head["sequence"])
    if found:
        last = found[-1]
        same = last.producer == producer and last.leader_epoch == leader_epoch
        ahead = sequence - last.last_sequence
        if same and ahead == 1 and last.first_offset + sequence - last.first_sequence == offset:
            last.last_sequence = sequence
            return
    found.append(StrandedRange(producer, sequence, sequence, offset, leader_epoch))
