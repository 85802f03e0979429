"""What a record of load costs over one, two and four workers: it should be the same.

The same load (profile, clients, rate) is made by one, two and four of Locust's workers in turn. CPU
is the user and system time of all workers while the load is steady, start-up left out, over the
attempts that their ledgers gained meanwhile. The master, which makes no load, is counted apart.

A worker has its own loop: it wakes every few milliseconds, whatever its clients send, to take
delivery reports. So each number of workers is measured at two rates. What is between them is what a
further record costs; what is left at no rate at all is what the workers cost by being there.

The profile has no idempotence: with it a broker thread of librdkafka polls without waiting while a
second batch of a partition is ready (harness/bench/worker.py), so that CPU would follow the time
that brokers take to answer and not the number of records.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

import numpy as np
import psutil

from harness.bench.cases import LOAD, OVER_WORKERS, Case
from harness.bench.sides import Sides
from harness.errors import HarnessError
from harness.rundir.columns import ColumnFile
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.system.assets import folder
from harness.system.lifeline import Child

PROFILE: Final = "at-least-once"
WORKERS: Final = (1, 2, 4)
PRODUCERS: Final = 4
RATES_PER_S: Final = (10_000, 40_000)
"""Of all clients together: the lower one, and the one that counts."""
MESSAGE_BYTES: Final = 100
ROUNDS: Final = 3
STEADY_S: Final = 10.0
_WARM_UP_S: Final = 2.0
_START_S: Final = 120.0
_STOP_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class WorkersRun:
    """One run over so many workers."""

    workers: int
    rate_per_s: float
    """That was asked for."""
    records: int
    seconds: float
    cpu_s: float
    """Of all workers together."""
    master_cpu_s: float

    @property
    def records_per_s(self) -> float:
        return self.records / self.seconds

    @property
    def cpu_share(self) -> float:
        """CPU seconds of all workers a second."""
        return self.cpu_s / self.seconds

    @property
    def cpu_us_per_record(self) -> float:
        return self.cpu_s / self.records * 1e6


@dataclass(frozen=True, slots=True)
class OverWorkers:
    """The entry: medians for each number of workers."""

    shares: tuple[WorkersRun, ...]

    def cpu_us_per_record(self, workers: int) -> float:
        """Median of the runs over so many, at the higher rate."""
        return self._median(workers, lambda each: each.cpu_us_per_record)

    def cpu_us_per_further_record(self, workers: int) -> float:
        """What is between the two rates."""
        lower, higher = min(self._rates), max(self._rates)
        cpu_share = self._between(workers, lambda each: each.cpu_share, lower, higher)
        records_per_s = self._between(workers, lambda each: each.records_per_s, lower, higher)
        return cpu_share / records_per_s * 1e6

    def cpu_share_at_rest(self, workers: int) -> float:
        """CPU seconds a second that so many workers take beside their records."""
        records_per_s = self._median(workers, lambda each: each.records_per_s)
        cpu_share = self._median(workers, lambda each: each.cpu_share)
        return cpu_share - records_per_s * self.cpu_us_per_further_record(workers) / 1e6

    @property
    def difference(self) -> float:
        """How much more a record takes with the dearest number of workers than with the cheapest,
        as a share."""
        return _difference([self.cpu_us_per_record(workers) for workers in self._numbers])

    @property
    def difference_of_a_further_record(self) -> float:
        """The same of `cpu_us_per_further_record`."""
        return _difference([self.cpu_us_per_further_record(workers) for workers in self._numbers])

    @property
    def _numbers(self) -> list[int]:
        return sorted({each.workers for each in self.shares})

    @property
    def _rates(self) -> set[float]:
        return {each.rate_per_s for each in self.shares}

    def _at(self, workers: int, rate_per_s: float) -> list[WorkersRun]:
        return [
            each for each in self.shares if (each.workers, each.rate_per_s) == (workers, rate_per_s)
        ]

    def _median(self, workers: int, of: Callable[[WorkersRun], float]) -> float:
        return median(map(of, self._at(workers, max(self._rates))))

    def _between(
        self, workers: int, of: Callable[[WorkersRun], float], lower: float, higher: float
    ) -> float:
        return median(map(of, self._at(workers, higher))) - median(
            map(of, self._at(workers, lower))
        )

    def to_json(self) -> dict[str, Any]:
        """As every entry, without a peer: Kafka's tool has no workers."""
        one = self._numbers[0]
        return {
            "name": OVER_WORKERS,
            "records_per_s": round(self._median(one, lambda each: each.records_per_s)),
            "cpu_us_per_record": round(self.cpu_us_per_record(one), 3),
            "peer": None,
            "peer_records_per_s": None,
            "peer_cpu_us_per_record": None,
            "difference": round(self.difference, 3),
            "difference_of_a_further_record": round(self.difference_of_a_further_record, 3),
            "message_bytes": MESSAGE_BYTES,
            "workers": [self._number_to_json(number) for number in self._numbers],
        }

    def _number_to_json(self, number: int) -> dict[str, Any]:
        each_us = [each.cpu_us_per_record for each in self._at(number, max(self._rates))]
        return {
            "workers": number,
            "cpu_us_per_record": round(self.cpu_us_per_record(number), 3),
            "cpu_us_per_record_range": [round(min(each_us), 3), round(max(each_us), 3)],
            "cpu_us_per_further_record": round(self.cpu_us_per_further_record(number), 3),
            "cpu_share_at_rest": round(self.cpu_share_at_rest(number), 4),
            "records_per_s": round(self._median(number, lambda each: each.records_per_s)),
            "master_cpu_share": round(
                self._median(number, lambda each: each.master_cpu_s / each.seconds), 3
            ),
        }


def _difference(figures: Sequence[float]) -> float:
    return max(figures) / min(figures) - 1


def measure_over_workers(
    sides: Sides,
    say: Callable[[str], None] = lambda _: None,
    *,
    numbers: Sequence[int] = WORKERS,
    rounds: int = ROUNDS,
    steady_s: float = STEADY_S,
    rates_per_s: Sequence[float] = RATES_PER_S,
) -> OverWorkers:
    """Measure each number of workers at each rate `rounds` times, forwards and backwards in turn,
    since the figures of a machine that does other things as well drift."""
    shares: list[WorkersRun] = []
    for number in range(rounds):
        pairs = [(workers, rate_per_s) for workers in numbers for rate_per_s in rates_per_s]
        for workers, rate_per_s in pairs if number % 2 == 0 else reversed(pairs):
            say(
                f"{OVER_WORKERS}: {workers} at {rate_per_s:,.0f} records/s, round {number + 1} of "
                f"{rounds}"
            )
            shares.append(_take(sides, workers, steady_s, rate_per_s))
    return OverWorkers(tuple(shares))


def _take(sides: Sides, workers: int, steady_s: float, rate_per_s: float) -> WorkersRun:
    case = Case(f"{OVER_WORKERS} {workers}", LOAD, PROFILE, MESSAGE_BYTES, 0, "")
    with sides.run(case) as run:
        run_dir = run.run_dir
        info = run_dir.read_info()
        load = replace(
            info.load,
            rate_per_s=rate_per_s,
            producers=PRODUCERS,
            warm_up_s=_WARM_UP_S,
            workers=workers,
        )
        run_dir.write_info(replace(info, load=load))
        master = Child(
            [
                *(sys.executable, "-m", "harness.load.master", str(run_dir.path)),
                *(str(folder("scenarios") / "steady.py"), "--workers", str(workers)),
            ],
            log=run_dir.logs / "load.log",
            environment=sides.environment,
        )
        try:
            _await_steady(run_dir, master)
            own = psutil.Process(master.process.pid)
            others = own.children()
            before = _look(run_dir, own, others)
            time.sleep(steady_s)  # what is measured is what happens meanwhile
            after = _look(run_dir, own, others)
        finally:
            status = master.stop(grace_s=_STOP_S)
        if status:
            raise HarnessError(f"{case.name}: the load ended with {status}: {master.tail()}")
        at_s, records, cpu_s, master_cpu_s = (b - a for a, b in zip(before, after, strict=True))
        return WorkersRun(workers, rate_per_s, int(records), at_s, cpu_s, master_cpu_s)


def _await_steady(run_dir: RunDir, master: Child) -> None:
    """Raises HarnessError when the load does not come so far."""
    deadline = time.monotonic() + _START_S
    timeline = run_dir.follow()
    while not any(event.phase == "warmed_up" for event in timeline.events(RunEvent)):
        if master.process.poll() is not None or time.monotonic() > deadline:
            raise HarnessError(f"{OVER_WORKERS}: the load did not begin: {master.tail()}")
        time.sleep(0.1)


def _look(
    run_dir: RunDir, master: psutil.Process, workers: Sequence[psutil.Process]
) -> tuple[float, float, float, float]:
    """(instant, attempts so far, CPU seconds of the workers, of the master)."""
    cpu_s = sum(_cpu_s(each) for each in workers)
    return time.monotonic(), float(_attempts(run_dir)), cpu_s, _cpu_s(master)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _attempts(run_dir: RunDir) -> int:
    count = 0
    for path in run_dir.ledger.glob("*.ledger"):
        file = ColumnFile.open(path)
        for key in file.partitions:
            count += sum(int(np.count_nonzero(each.high)) for each in file.extents(*key))
        file.close()
    return count
