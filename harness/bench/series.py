"""Pairs of runs in turn, A B, B A, A B …, and the medians of each side.

The figures of a machine that does other things as well drift within seconds. The two runs of a
pair lie next to each other, who goes first alternates, and a ratio is the median of the pairs'
ratios.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from harness.bench.cases import (
    FOOTPRINT,
    GROWTH_DEFAULT,
    LOAD,
    OVER_WORKERS,
    Case,
    chosen,
    growth_sizes,
)
from harness.bench.conditions import machine, versions
from harness.bench.footprint import measure_footprint
from harness.bench.length import by_time, too_short
from harness.bench.over_workers import measure_over_workers
from harness.bench.sides import Run, Sides, StartUp
from harness.bench.table import print_table, write_entries
from harness.brokers.kinds import LOCAL, started
from harness.errors import UsageError
from harness.report.progress import TerminalProgress

PAIRS_MAX: Final = 1_000
_BUSY: Final = 0.5
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure, checked."""

    pairs: int
    cases: tuple[Case, ...]
    growth: tuple[int, ...]
    """Sizes of the runs of the growth table; none when it was not asked for."""
    over_workers: bool = False
    """Is load over several workers measured?"""

    @classmethod
    def of(
        cls,
        *,
        pairs: int,
        only: Sequence[str],
        records: int | None,
        growth: int | None = None,
    ) -> Request:
        """Raises UsageError for numbers out of range, for a text that fits no case, and for a
        growth that `only` leaves out."""
        if not 1 <= pairs <= PAIRS_MAX:
            raise UsageError(f"--pairs {pairs}: accepted is 1 to {PAIRS_MAX}.")
        sizes = growth_sizes(GROWTH_DEFAULT if growth is None else growth)
        asked = not only or any(text in FOOTPRINT for text in only)
        if growth is not None and not asked:
            raise UsageError(
                f"--growth {growth}: --only leaves the growth table out. Add --only {FOOTPRINT}."
            )
        if not asked or (records is not None and growth is None):
            sizes = ()
        named = any(text in OVER_WORKERS for text in only)
        over_workers = named or not (only or records is not None or growth is not None)
        return cls(pairs, tuple(chosen(only, records)), sizes, over_workers)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs next to each other."""

    ours: Run
    peer: Run

    @property
    def cpu_ratio(self) -> float:
        return self.ours.cpu_us_per_record / self.peer.cpu_us_per_record

    @property
    def rate_ratio(self) -> float:
        return self.ours.records_per_s / self.peer.records_per_s


def bench(request: Request, path: Path | None) -> int:
    """Start three brokers, measure everything that was asked for, print the table."""
    if path is not None and not path.parent.is_dir():
        path.parent.mkdir(parents=True)
    progress = TerminalProgress()
    with (
        progress,
        tempfile.TemporaryDirectory(prefix="harness-bench-") as folder,
        local_brokers(progress) as brokers,
    ):
        entries = measure(request, Sides(brokers, Path(folder)), progress.stage, path)
    print_table(entries, progress.output)
    return 0


@contextmanager
def local_brokers(progress: TerminalProgress) -> Iterator[Any]:
    """Three brokers of the bench; says so where the machine is busy already."""
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    if busy > _BUSY * cores:
        progress.note(
            f"this machine is busy already (load average {busy:.1f} on {cores} cores): rates will "
            "be too low on both sides, ratios less steady"
        )
    # Asked to end, it takes down brokers and removes its files as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with started(LOCAL, on_progress=lambda event: progress.stage(event.text)) as brokers:
        yield brokers


def measure(
    request: Request, sides: Sides, say: Callable[[str], None], path: Path | None
) -> list[Entry]:
    """Measure case by case; `path` holds what there is after each of them."""
    entries: list[Entry] = []
    under = {"machine": machine(), "versions": versions(sides.kafka_version)}
    start_ups: dict[str, StartUp] = {}
    for case in request.cases:
        if case.kind not in start_ups:
            say(f"{case.kind}: start-up of both sides")
            start_ups[case.kind] = sides.start_up(case)
        say(f"{case.name}: {request.pairs} pairs of {case.records:,} records")
        measure_pairs = load_pairs if case.kind == LOAD else verify_pairs
        pairs = measure_pairs(sides, case, request.pairs)
        entries.append({**entry_of(case, pairs, start_ups[case.kind]), **under})
        write_entries(path, entries)
    if request.over_workers:
        entries.append(measure_over_workers(sides, say).to_json())
        write_entries(path, entries)
    if request.growth:
        entries.append(measure_footprint(sides, request.growth, say).to_json())
        write_entries(path, entries)
    return entries


def load_pairs(sides: Sides, case: Case, count: int) -> list[Pair]:
    """Pairs of load runs, each on its own topic."""
    return in_turn(lambda: sides.load_ours(case), lambda: sides.load_peer(case), count)


def verify_pairs(sides: Sides, case: Case, count: int) -> list[Pair]:
    """Pairs of verifications, all of the same topic."""
    with sides.filled(case) as run:
        return in_turn(
            lambda: sides.verify_ours(case, run), lambda: sides.verify_peer(case, run), count
        )


def in_turn(ours: Callable[[], Run], peer: Callable[[], Run], count: int) -> list[Pair]:
    """`count` pairs; ours goes first in every other one."""
    pairs: list[Pair] = []
    for number in range(count):
        if number % 2 == 0:
            first = ours()
            pairs.append(Pair(first, peer()))
        else:
            first = peer()
            pairs.append(Pair(ours(), first))
    return pairs


def entry_of(case: Case, pairs: Sequence[Pair], start_up: StartUp) -> Entry:
    """One object of the JSON document: medians of each side, and of the pairs' ratios."""
    own_us, peer_us = (
        seconds / case.records * 1e6 for seconds in (start_up.ours_s, start_up.peer_s)
    )
    beyond = [
        (pair.ours.cpu_us_per_record - own_us) / (pair.peer.cpu_us_per_record - peer_us)
        for pair in pairs
        if pair.peer.cpu_us_per_record > peer_us
    ]
    return {
        "name": case.name,
        "records_per_s": _median([pair.ours.records_per_s for pair in pairs], 0),
        "cpu_us_per_record": _median([pair.ours.cpu_us_per_record for pair in pairs], 3),
        "peer": case.peer,
        "peer_records_per_s": _median([pair.peer.records_per_s for pair in pairs], 0),
        "peer_cpu_us_per_record": _median([pair.peer.cpu_us_per_record for pair in pairs], 3),
        "cpu_ratio": _median([pair.cpu_ratio for pair in pairs], 3),
        "cpu_ratio_range": _range([pair.cpu_ratio for pair in pairs]),
        "start_up_cpu_s": round(start_up.ours_s, 3),
        "peer_start_up_cpu_s": round(start_up.peer_s, 3),
        "cpu_ratio_beyond_start_up": _median(beyond, 3) if beyond else None,
        "rate_ratio": _median([pair.rate_ratio for pair in pairs], 3),
        "rate_ratio_range": _range([pair.rate_ratio for pair in pairs]),
        "pairs": len(pairs),
        "records": case.records,
        "message_bytes": case.message_bytes,
        "too_short": too_short([pair.ours for pair in pairs], start_up.ours_s, case.records),
        "rate_by_time": by_time([pair.ours for pair in pairs]),
        "runs": [{"ours": _run(pair.ours), "peer": _run(pair.peer)} for pair in pairs],
    }


def _run(run: Run) -> Entry:
    """One run as it is compared with those of other benches."""
    return {
        "records_per_s": round(run.records_per_s, 1),
        "cpu_us_per_record": round(run.cpu_us_per_record, 4),
    }


def _median(values: list[float], digits: int) -> float:
    return round(median(values), digits)


def _range(values: list[float]) -> list[float]:
    return [round(min(values), 3), round(max(values), 3)]
