"""Latency logs as they grow: what was appended since the last look."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.rundir.hlog import Counts, interval_of
from harness.rundir.latency import METRICS


class LatencyFollower:
    """Reads what is appended to the latency logs of a run; a line is read once it is whole."""

    def __init__(self, folder: Path) -> None:
        """folder: latency/ of a run directory, which need not be there yet."""
        self._folder = folder
        self._read_bytes: dict[Path, int] = {}

    def counts(self) -> Iterator[tuple[str, str, Counts]]:
        """(profile, metric, counts of an interval) of each line since the last call.

        A line that cannot be read is passed over: the judge says so later.
        """
        for path in sorted(self._folder.glob("*.hlog")):
            profile, _, rest = path.name.partition(".")
            metric = rest.partition(".")[0]
            if metric in METRICS:
                for line in self._lines(path):
                    with contextlib.suppress(Exception):
                        yield profile, metric, interval_of(line).counts

    def _lines(self, path: Path) -> Iterator[str]:
        with path.open("rb") as file:
            file.seek(self._read_bytes.get(path, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes[path] = self._read_bytes.get(path, 0) + len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line and not line.startswith(("#", '"')):
                yield line
