"""Was a lost record ever in a broker's log, and is it still? From what log files showed.

present     some replica's log still holds it: it is lost to readers only
truncated   a broker's log held it when the broker died, and no log holds it now: the brokers
            lost it after they had it
never       no log holds it, and no log of a broker that died held it either: it was lost on
            the way to the brokers, or in a broker before it was written
unknown     the logs were not read, or not all; the text says where not

A record that was acknowledged at an offset was in the log of the leader that acknowledged it. It is
`never` only where the log of every broker that may have been that leader was looked at before it
was cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.replicas import DeadLog, LogState, ReplicaEvidence
from harness.rundir.timeline import LeaderChange

PRESENT: Final = "present"
TRUNCATED: Final = "truncated"
NEVER: Final = "never"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The answer for one record; `broker`, `offset`, `leader_epoch`: where it is or was."""

    held: str
    text: str
    broker: int | None = None
    offset: int | None = None
    leader_epoch: int | None = None
    dead: DeadLog | None = None

    def to_json(self) -> dict[str, Any]:
        """As verdict.json shows it."""
        return {
            "held": self.held,
            "broker": self.broker,
            "offset": self.offset,
            "leader_epoch": self.leader_epoch,
            "fault_id": None if self.dead is None else self.dead.fault_id,
            "text": self.text,
        }


def whereabouts(
    replicas: ReplicaEvidence | None,
    faults: Sequence[RecordedFault],
    topic: str,
    partition: int,
    producer: int,
    sequence: int,
    *,
    acked_at: int | None = None,
    leaders: Sequence[LeaderChange] = (),
    unexplained: Sequence[str] = (),
) -> Whereabouts:
    """Where a lost record is or was.

    acked_at: the offset at which it was acknowledged; `leaders`: who led its partition, as far as
    it was seen; `unexplained`: changes of the leader there that no fault on record explains.
    """
    if replicas is None:
        return Whereabouts(UNKNOWN, "the brokers' log files were not looked at")
    key = (topic, partition)
    for each in replicas.sought:
        if (each.topic, each.partition, each.producer, each.sequence) == (*key, producer, sequence):
            if each.found:
                copy = each.found[0]
                who = _brokers([found.broker for found in each.found])
                damaged = "" if copy.crc_holds else "; its batch fails its CRC"
                return Whereabouts(
                    PRESENT,
                    f"the log of {who} still holds it, at offset {copy.offset} in epoch "
                    f"{copy.leader_epoch}{damaged}",
                    copy.broker,
                    copy.offset,
                    copy.leader_epoch,
                )
            break
    else:
        return _held_by_the_dead(replicas, key, producer, sequence) or Whereabouts(
            UNKNOWN, replicas.reason or "it was not looked for in the brokers' log files"
        )
    logs = [log for log in replicas.logs if (log.topic, log.partition) == key]
    held = _held_by_the_dead(replicas, key, producer, sequence)
    if held is not None:
        return held
    gaps = _gaps(logs) + _unwatched(replicas, faults, key) + list(unexplained)
    led: list[LeaderChange] = []
    if acked_at is not None:
        led = _may_have_acknowledged(logs, leaders, acked_at)
        gaps += _not_looked_at(replicas, key, led, acked_at)
    if gaps:
        return Whereabouts(UNKNOWN, f"no log file of today holds it, but {'; '.join(gaps)}")
    dead = [log for log in replicas.dead if (log.topic, log.partition) == key]
    also = "".join(f", nor did that of broker {log.broker} before its return" for log in dead[:1])
    if acked_at is not None:
        return Whereabouts(
            NEVER,
            f"it was acknowledged at offset {acked_at}, and yet no log of "
            f"{_brokers([log.broker for log in logs])} holds it, nor did that of "
            f"{_brokers([each.leader for each in led])}, which led then, before its return",
        )
    return Whereabouts(
        NEVER,
        f"no log of {_brokers([log.broker for log in logs])} holds it{also}: it never reached a "
        "log, so it was lost on the way",
    )


def _held_by_the_dead(
    replicas: ReplicaEvidence, key: tuple[str, int], producer: int, sequence: int
) -> Whereabouts | None:
    for log in replicas.dead:
        if (log.topic, log.partition) != key:
            continue
        for stretch in log.stranded:
            offset = stretch.offset_of(producer, sequence)
            if offset is not None:
                return Whereabouts(
                    TRUNCATED,
                    f"the log of broker {log.broker}, read while it was dead, held it at offset "
                    f"{offset} in epoch {stretch.leader_epoch}; its successor's log, broker "
                    f"{log.successor}'s, went on from {log.successor_start}, so it was cut off "
                    "at the return",
                    log.broker,
                    offset,
                    stretch.leader_epoch,
                    log,
                )
    return None


def _gaps(logs: list[LogState]) -> list[str]:
    """Why today's logs were not searched whole."""
    if not logs:
        return ["no replica's log was there to be searched"]
    return [f"the log of broker {log.broker}: {log.reason}" for log in logs if not log.complete]


def _unwatched(
    replicas: ReplicaEvidence, faults: Sequence[RecordedFault], key: tuple[str, int]
) -> list[str]:
    """Brokers that may have cut off records of a partition without anybody having looked before."""
    found: list[str] = []
    for fault in faults:
        if not fault.moves_leader:
            continue
        noted = {
            log.broker
            for log in replicas.dead
            if log.fault_id == fault.fault_id and (log.topic, log.partition) == key
        }
        partial = [
            log
            for log in replicas.dead
            if log.fault_id == fault.fault_id
            and (log.topic, log.partition) == key
            and not log.complete
        ]
        found += [f"broker {log.broker} after {fault.fault_id}: {log.reason}" for log in partial]
        led = {
            int(each["leader_before"])
            for each in fault.partitions
            if (each.get("topic"), each.get("partition")) == key and "leader_before" in each
        }
        found += [
            f"what broker {broker} cut off after {fault.fault_id} was not noted"
            for broker in sorted(led - noted)
        ]
    return found


def _may_have_acknowledged(
    logs: Sequence[LogState], leaders: Sequence[LeaderChange], acked_at: int
) -> list[LeaderChange]:
    """The leaders that may have given a record this offset, each in its epoch.

    The leader of the epoch in which the log's present record at the offset was written gave the
    offset to that one, and later epochs begin above it: only earlier ones are left.
    """
    written = [
        max((epoch for epoch, start in log.epochs if start <= acked_at), default=None)
        for log in logs
        if log.end is not None and acked_at < log.end
    ]
    now = max((epoch for epoch in written if epoch is not None), default=None)
    return [
        each for each in leaders if each.leader >= 0 and (now is None or each.leader_epoch < now)
    ]


def _not_looked_at(
    replicas: ReplicaEvidence,
    key: tuple[str, int],
    led: Sequence[LeaderChange],
    acked_at: int,
) -> list[str]:
    """Which logs that must have held an acknowledged record were cut off before anybody looked."""
    if not led:
        return [
            f"it was acknowledged at offset {acked_at}, so its leader's log held it, and which "
            "broker led then is not on record"
        ]
    notes = [log for log in replicas.dead if (log.topic, log.partition) == key and log.complete]
    missing: list[str] = []
    for each in led:
        others = [
            other.leader_epoch
            for other in led
            if other.leader_epoch > each.leader_epoch and other.leader != each.leader
        ]
        followed = min(others, default=None)
        seen = any(
            log.broker == each.leader
            and log.successor_epoch is not None
            and log.successor_epoch > each.leader_epoch
            and (followed is None or log.successor_epoch <= followed)
            for log in notes
        )
        if not seen:
            missing.append(
                f"it was acknowledged at offset {acked_at}, so the log of the leader that did so "
                f"held it; the log of broker {each.leader}, leader in epoch {each.leader_epoch}, "
                "was not looked at before it was cut off"
            )
    return missing[:1]


def _brokers(brokers: Sequence[int]) -> str:
    names = ", ".join(map(str, sorted(set(brokers))))
    return f"broker {names}" if len(set(brokers)) == 1 else f"brokers {names}"
