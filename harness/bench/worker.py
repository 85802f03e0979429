"""Our side of the bench, as its own process: load as fast as it goes, or a verification.

    python -m harness.bench.worker load RUN_DIR RECORDS
    python -m harness.bench.worker verify RUN_DIR NUMBER

Load is the engine of `harness run` with everything it records: ledger, outcomes, HDR latency,
slots. Only the schedule is missing, since Kafka's tool has none either: a record is intended for
the instant at which there is room for it. Verification is a proven drain, then reconciling and
judging. Either prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.errors import HarnessError
from harness.kafka.environment import HarnessEnvironment
from harness.load.client import OPEN_RECORDS_MAX, Client
from harness.load.context import LoadContext
from harness.load.pace import SETTLE_US
from harness.load.transactions import TransactionalClient
from harness.rundir.load_events import SLOT_US
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun
from harness.system.garbage_collector import rare_collections

_STALL_TIMEOUT_US: Final = 60_000_000
_IDLE_S: Final = 0.005
_BATCH: Final = 10_000
_TRANSACTION_WINDOW: Final = 25_000
"""Undelivered records in a transaction: fewer cost rate, more cost CPU (docs/benchmarks.md)."""
_OVERHEAD_BYTES: Final = 16
"""More than the head of one record takes in a batch."""
_INSTANTS_MIN: Final = 30
_DRAIN_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What a worker did."""

    records: int
    elapsed_s: float
    """Load: from the first connection until every record is decided and the ledger is closed.
    Verification: from the first question to the brokers to the verdict."""
    cpu_s: float | None = None
    """User and system time of this process meanwhile, start-up left out; of a verification without
    the processes that it starts."""
    third_per_s: tuple[float, float] | None = None
    """Records acknowledged a second in the first and in the last third of the time; None for a
    verification, and for a load too short to have thirds."""

    @property
    def records_per_s(self) -> float:
        return self.records / self.elapsed_s


def result_of(output: str) -> WorkerResult:
    """The last line of a worker's output. Raises HarnessError when it is no result."""
    try:
        document = json.loads(output.strip().splitlines()[-1])
        records, elapsed_s = int(document["records"]), float(document["elapsed_s"])
        thirds = document.get("third_per_s")
        return WorkerResult(
            records, elapsed_s, document.get("cpu_s"), None if thirds is None else (*thirds,)
        )
    except (ValueError, KeyError, IndexError, TypeError):
        raise HarnessError(f"the bench worker printed no result:\n{output[-2000:]}") from None


def load(run_dir: RunDir, records: int) -> WorkerResult:
    """Send `records` and await that each is decided. Raises HarnessError when one is not acked."""
    with rare_collections():
        return _load(LoadContext.of(run_dir), records)


def _load(context: LoadContext, records: int) -> WorkerResult:
    context.warm_until_us = 0
    (profile,) = context.info.profiles
    began_s, used_s = time.monotonic(), time.process_time()
    kind = TransactionalClient if profile.transactional else Client
    client = kind(context, profile, 0)
    client.prepare()
    acknowledged = _flood(client, records)
    acked = client.incarnation.acked
    client.close()
    context.close()
    elapsed_s, cpu_s = time.monotonic() - began_s, time.process_time() - used_s
    if acked != records:
        raise HarnessError(f"{profile.profile}: {acked} of {records} records were acknowledged.")
    return WorkerResult(records, elapsed_s, cpu_s, thirds(acknowledged))


def thirds(acknowledged: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """Records a second in the first and in the last third, of (instant in µs, acknowledged by
    then) in order, from the first acknowledgement on. None for fewer than 30 instants."""
    counted = [each for each in acknowledged if each[1] > 0]
    if len(counted) < _INSTANTS_MIN or counted[-1][0] == counted[0][0]:
        return None
    at_us, acked = (np.array(each, dtype=np.float64) for each in zip(*counted, strict=True))
    edges = np.linspace(at_us[0], at_us[-1], 4)
    by = np.interp(edges, at_us, acked)
    third_s = (edges[1] - edges[0]) / 1e6
    return float((by[1] - by[0]) / third_s), float((by[3] - by[2]) / third_s)


@dataclass(frozen=True, slots=True)
class Flow:
    """How many records the flood sends at a time, and how many undelivered it has at most."""

    batch: int
    window: int


def flow(profile: ProfileRun, message_bytes: int, partitions: int) -> Flow:
    """With idempotence one request for each partition, and in a transaction somewhat more.

    librdkafka counts messages in flight where it limits requests in flight (`rktp_msgs_inflight`
    against `RD_KAFKA_IDEMP_MAX_INFLIGHT` in rdkafka_broker.c, pull request 4989), so an idempotent
    producer has one request under way in each partition, and while another is ready its broker
    threads poll without waiting and take the CPU from the brokers. The end of a transaction waits
    for what it holds: the more that is, the less the end weighs.
    """
    settings = profile.producer
    if not settings.get("enable.idempotence"):
        return Flow(_BATCH, OPEN_RECORDS_MAX)
    request = min(
        int(settings["batch.num.messages"]),
        int(settings["batch.size"]) // (message_bytes + _OVERHEAD_BYTES),
    )
    requests = max(1, request) * partitions
    if profile.transactional:
        return Flow(_BATCH, max(requests, _TRANSACTION_WINDOW))
    return Flow(min(_BATCH, requests), requests)


def _flood(client: Client, records: int) -> list[tuple[int, int]]:
    """Keep the client full: whole batches in, whole batches of reports out, like `Pace` does.

    Returns how many were acknowledged by which instant in µs, whenever reports were settled.
    """
    acknowledged: list[tuple[int, int]] = []
    clock, slots, load = client.context.clock, client.context.slots, client.context.info.load
    chosen = flow(client.profile, load.message_bytes, load.partitions)
    now_us = clock.now_us()
    sent, moved_us, settle_us, flush_us = 0, now_us, now_us, now_us
    while sent < records or not client.settled:
        wanted = min(chosen.batch, records - sent)
        undelivered = len(client.incarnation.producer)
        room = min(client.room, chosen.window - undelivered) if client.ready else 0
        count = wanted if room >= wanted else 0
        if count:
            client.send(np.full(count, now_us, dtype=np.int64))
            sent += count
            if sent == records:
                client.begin_stop()
        client.poll(0.0 if count else _IDLE_S)
        now_us = clock.now_us()
        reports = len(client.incarnation.reports)
        if reports >= chosen.batch or now_us >= settle_us:
            client.settle()
            acknowledged.append((now_us, client.incarnation.acked))
            settle_us = now_us + SETTLE_US
        if count or reports:
            moved_us = now_us
        elif now_us - moved_us > _STALL_TIMEOUT_US:
            raise HarnessError(f"nothing was acknowledged for {_STALL_TIMEOUT_US / 1e6:g} s.")
        if now_us >= flush_us:
            slots.flush(now_us)
            flush_us = now_us + SLOT_US
    return acknowledged


def verify(run_dir: RunDir, number: int) -> WorkerResult:
    """Drain into a fresh set, reconcile, judge. Raises HarnessError when the drain is no proof."""
    from harness.judge.judge import judge
    from harness.read.drain import drain
    from harness.rundir.run_record import load_run

    info = run_dir.read_info()
    connection = HarnessEnvironment.read().connection(info.bootstrap)
    began_s, used_s = time.monotonic(), time.process_time()
    proof = drain(run_dir, info, connection, number, timeout_s=_DRAIN_TIMEOUT_S)
    if not proof.complete:
        reasons = [*proof.reasons, *(entry.reason for entry in proof.partitions)]
        raise HarnessError(f"the drain is not complete: {'; '.join(filter(None, reasons))}")
    verdict = judge(load_run(run_dir, number))
    elapsed_s, cpu_s = time.monotonic() - began_s, time.process_time() - used_s
    (profile,) = verdict.profiles
    counts: dict[str, Any] = profile.counts
    if counts["read"] != counts["attempted"] or counts["lost"] or counts["duplicate"]:
        raise HarnessError(f"the verification of an undisturbed run found {counts}.")
    return WorkerResult(int(counts["read"]), elapsed_s, cpu_s)


def main(arguments: list[str]) -> int:
    """`load RUN_DIR RECORDS` or `verify RUN_DIR NUMBER`."""
    what, folder, number = arguments
    run_dir = RunDir(Path(folder))
    try:
        result = load(run_dir, int(number)) if what == "load" else verify(run_dir, int(number))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
