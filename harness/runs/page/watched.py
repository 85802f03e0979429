"""A run directory read again and again while it grows: only what is new is read each time."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from harness.arrays import I64
from harness.judge.live import LiveProfile, LiveRun, LiveView, asked_window_us, shortened
from harness.load.schedule import schedule_of
from harness.reconcile.so_far import LaneSoFar, SoFar
from harness.record.codec import ANY_PARTITION
from harness.rundir.clock import now_us
from harness.rundir.columns import ColumnFile
from harness.rundir.events import TimelineEvent
from harness.rundir.hlog import CELLS, LogFollower
from harness.rundir.latency import METRICS, percentiles
from harness.rundir.rows import COPY, EXTRA, cell_files, mapped, parts, without_repeats
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict_file import read_verdict

_ANY_EVENT: Final = b'"event"'
_TAIL_BYTES: Final = 4096


class WatchedRun:
    """One run, look by look. Raises RunDirError for a run directory that is none."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._info = run_dir.read_info()
        self._live = LiveRun(self._info)
        self._timeline = run_dir.follow()
        self._lanes: dict[tuple[int, int, int], LaneSoFar] = {}
        self._logs: dict[Path, LogFollower] = {}
        self._counts: dict[tuple[str, str], I64] = {}
        self._so_far: dict[str, SoFar] = {}
        self._stopped = False

    def look(self) -> LiveView:
        """The run as it is on record now."""
        for event in self._timeline.events(TimelineEvent, containing=_ANY_EVENT):
            self._live.take(event)
        view = self._live.view(now_us())
        self._read_latency()
        if view.load_stopped_us is None or not self._stopped:
            # After the load's end nothing of it changes: one last look is enough.
            self._so_far = self._provisional()
            self._stopped = view.load_stopped_us is not None
        copies = self._copies()
        for profile in view.profiles:
            found = self._so_far.get(profile.profile, SoFar())
            profile.lost, profile.inversion = found.lost, found.inversion
            profile.duplicate = copies.get(profile.profile, 0)
            profile.asked_per_s = self._asked_per_s(view)
            self._fill_latency(profile)
        if view.load_stopped_us is not None:
            view.stage = self._stage()
            view.drained = self._drained()
        if self._run_dir.verdict(1).exists():
            view.verdict = shortened(read_verdict(self._run_dir.verdict(1)))
        return view

    # -- what looks lost, duplicated, out of order ---------------------------------------------

    def _provisional(self) -> dict[str, SoFar]:
        with (
            self._columns(sorted(self._run_dir.ledger.glob("*.ledger"))) as ledgers,
            self._columns(cell_files(self._run_dir.live)) as live,
        ):
            reached: dict[tuple[int, int], int] = defaultdict(lambda: -1)
            for producer, file in live.items():
                for topic, partition in file.partitions:
                    lane = self._lane(producer, topic, partition)
                    at = (topic, partition)
                    reached[at] = max(reached[at], lane.reached(file))
            found: dict[str, SoFar] = {}
            for producer, file in ledgers.items():
                for topic, partition in file.partitions:
                    if partition == ANY_PARTITION:
                        continue
                    name = self._info.profile_of(topic).profile
                    seen = self._lane(producer, topic, partition).look(
                        file, live.get(producer), reached[topic, partition]
                    )
                    found[name] = found.get(name, SoFar()).plus(seen)
            return found

    def _lane(self, producer: int, topic: int, partition: int) -> LaneSoFar:
        key = (producer, topic, partition)
        if key not in self._lanes:
            self._lanes[key] = LaneSoFar(topic, partition)
        return self._lanes[key]

    def _copies(self) -> dict[str, int]:
        rows = mapped(self._run_dir.live / "extras.bin", EXTRA, whole=False)
        copies = without_repeats(rows[rows["kind"] == COPY])
        topics, counts = np.unique(copies["topic"], return_counts=True)
        found: dict[str, int] = defaultdict(int)
        for topic, count in zip(topics.tolist(), counts.tolist(), strict=True):
            if topic < len(self._info.topics):
                found[self._info.profile_of(topic).profile] += count
        return found

    @contextlib.contextmanager
    def _columns(self, paths: list[Path]) -> Iterator[dict[int, ColumnFile]]:
        """Column files as they are now, by incarnation; one without a header is left out."""
        found: dict[int, ColumnFile] = {}
        try:
            for path in paths:
                if path.stat().st_size:
                    file = ColumnFile.open(path)
                    found[file.incarnation] = file
            yield found
        finally:
            for file in found.values():
                file.close()

    # -- latency, rates, the drain -------------------------------------------------------------

    def _read_latency(self) -> None:
        for profile in self._info.profiles:
            for metric in METRICS:
                key = (profile.profile, metric)
                for path in self._run_dir.latency.glob(f"{profile.profile}.{metric}.*.hlog"):
                    follower = self._logs.setdefault(path, LogFollower(path))
                    for interval in follower.intervals():
                        if key not in self._counts:
                            self._counts[key] = np.zeros(CELLS, dtype=np.int64)
                        self._counts[key] += interval.counts

    def _fill_latency(self, profile: LiveProfile) -> None:
        for metric in METRICS:
            counts = self._counts.get((profile.profile, metric))
            if counts is not None:
                profile.latency_ms[metric] = percentiles(counts)

    def _asked_per_s(self, view: LiveView) -> float:
        """Records/s of each profile that the schedule asked for over the last seconds."""
        if view.load_started_us is None:
            return 0.0
        begin_us, end_us = asked_window_us(view.at_us, view.load_started_us, view.load_stopped_us)
        if end_us <= begin_us:
            return 0.0
        load = self._info.load
        if load.schedule == "poisson":
            return load.rate_per_s  # its gaps are drawn one by one: the mean says as much
        due = 0
        for instance in range(load.producers):
            schedule = schedule_of(self._info, instance)
            due += schedule.waiting(end_us) - schedule.waiting(begin_us)
        return due / ((end_us - begin_us) / 1e6)

    def _drained(self) -> int:
        """How many records the drain has read so far."""
        folder = self._run_dir.drained(1)
        count = 0
        if not folder.is_dir():
            return count
        for path in cell_files(folder):
            with self._columns([path]) as files:
                for file in files.values():
                    for key in file.partitions:
                        count += sum(
                            int(np.count_nonzero(extent.high)) for extent in file.extents(*key)
                        )
        for part in (folder, *parts(folder)):
            count += len(mapped(part / "extras.bin", EXTRA, whole=False))
        return count

    def _stage(self) -> str:
        """The last line that the recorder has printed."""
        path = self._run_dir.logs / "recorder.log"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line for line in reversed(lines) if line.strip()), "")
