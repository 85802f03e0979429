"""The same producers without Locust: as fast as one loop goes, with all the accounting.

`harness bench` measures with this what a record costs. Everything but the pacing is what a run
uses: ledger, encoder, delivery reports, outcomes, latency and transactions. Records are due the
moment they are sent, so the latency here is that of a saturated client.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.load.client import Client
from harness.load.context import LoadContext
from harness.load.pace import BATCH_MAX
from harness.load.transactions import TransactionalClient
from harness.rundir import RunDir

POLL_S: Final = 0.0005
END_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Produced:
    """What a loop did. cpu_us: user and system time of this process meanwhile."""

    records: int
    acked: int
    elapsed_s: float
    cpu_us: float

    @property
    def records_per_s(self) -> float:
        return self.acked / self.elapsed_s

    @property
    def cpu_us_per_record(self) -> float:
        return self.cpu_us / max(1, self.acked)


def produce_as_fast_as_possible(run_dir: RunDir, profile: str, records: int) -> Produced:
    """Send `records` records of a prepared run's profile, and await their outcome.

    Raises ValueError when the run has no such profile. The time counts from the first record to
    the last acknowledgement; connecting before and closing after are left out.
    """
    context = LoadContext.of(run_dir)
    chosen = [each for each in context.info.profiles if each.profile == profile]
    if not chosen:
        raise ValueError(f"run {context.info.run_id} has no profile {profile!r}")
    kind = TransactionalClient if chosen[0].transactional else Client
    client = kind(context, chosen[0], 0)
    client.prepare()
    while not client.ready:
        time.sleep(POLL_S)
    context.warm_until_us = 0
    context.run_dir.append("run", "load", phase="load_started")
    cpu_s, began_s = time.process_time(), time.perf_counter()
    try:
        _produce(client, records)
        cpu_us = (time.process_time() - cpu_s) * 1e6
        elapsed_s = time.perf_counter() - began_s
        acked = client.incarnation.acked
    finally:
        client.close()
        context.slots.flush(context.clock.now_us(), everything=True)
        context.run_dir.append("run", "load", phase="load_stopped")
    return Produced(records, acked, elapsed_s, cpu_us)


def _produce(client: Client, records: int) -> None:
    clock = client.context.clock
    left = records
    flush_us = 0
    while left:
        count = min(left, client.room, BATCH_MAX)
        if count > 0:
            client.send(np.full(count, clock.now_us(), dtype=np.int64))
            left -= count
        else:
            time.sleep(POLL_S)
        client.poll()
        if len(client.incarnation.reports) >= BATCH_MAX or count <= 0:
            client.settle()
        if clock.now_us() > flush_us:
            flush_us = clock.now_us() + 250_000
            client.context.slots.flush(clock.now_us())
    client.begin_stop()
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while not client.settled and time.monotonic() < deadline_s:
        client.poll()
        client.settle()
        time.sleep(POLL_S)
