"""The process that looks at a run while it goes on, and what Locust's process has of it.

    python -m harness.runs.page.snapshots RUN_DIR FILE

It writes what it sees into FILE, whole each time, and rests at least four times as long as a look
took of a core: it takes no more than a fifth of one from the load, however large the run is. At
SIGTERM it looks a last time. Locust's process reads FILE when a page asks: that costs the same
whatever the load and the brokers do.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import HarnessError
from harness.rundir.run_dir import RunDir
from harness.runs.page.watched import WatchedRun
from harness.system.lifeline import Child, watch

EVERY_S: Final = 0.5
REST: Final = 4.0
"""So many times as long as a look took of a core, nothing is done."""
_LAST_LOOK_S: Final = 20.0
_NICE: Final = 5


class Snapshots:
    """What there is to show of one run: the last look at it, also when the run is over."""

    def __init__(self, run_dir: RunDir) -> None:
        self.run_dir = run_dir
        self._folder = tempfile.TemporaryDirectory(prefix="harness-page-")
        self._path = Path(self._folder.name) / "view.json"
        self._last = b""
        self._child: Child | None = Child(
            [
                sys.executable,
                "-m",
                "harness.runs.page.snapshots",
                str(run_dir.path),
                str(self._path),
            ],
            log=Path(self._folder.name) / "snapshots.log",
        )

    def latest(self) -> bytes:
        """The last look as JSON (`judge.live.LiveView`); empty before the first one."""
        if self._child is not None:
            try:
                self._last = self._path.read_bytes()
            except OSError:
                return self._last
        return self._last

    def finish(self) -> None:
        """One last look, and the end of the process. Safe to call again."""
        if self._child is None:
            return
        self._child.stop(grace_s=_LAST_LOOK_S)
        self.latest()
        self._child = None
        self._folder.cleanup()


def write_snapshots(run_dir: RunDir, path: Path, stop: threading.Event) -> None:
    """Look and write until asked to stop, and then once more."""
    run = WatchedRun(run_dir)
    while True:
        last = stop.is_set()
        began = time.process_time()  # a busy machine makes looks late, and not rare
        try:
            _replace(path, msgspec.json.encode(run.look()))
        except HarnessError as error:
            print(error, file=sys.stderr, flush=True)
        if last:
            return
        stop.wait(max(EVERY_S, REST * (time.process_time() - began)))


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(data)
    partial.replace(path)


def main(arguments: list[str]) -> int:
    """Look at one run until SIGTERM, or until Locust is gone."""
    run_dir, path = RunDir(Path(arguments[0])), Path(arguments[1])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(lambda: os._exit(0))
    os.nice(_NICE)
    try:
        write_snapshots(run_dir, path, stop)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
