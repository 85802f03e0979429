"""The process that prepares, records and judges a run, as Locust's process sees it.

The other side is harness/runs/recorder.py.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import gevent
import msgspec

from harness.errors import EXIT_USAGE, HarnessError, UsageError
from harness.rundir.documents import read_json, write_json
from harness.rundir.run_dir import RunDir
from harness.runs.announced import WAITING
from harness.runs.options import RunOptions, options_to_json
from harness.runs.page.faults import HEAL, INJECT, STATUS, FaultStatus
from harness.system.lifeline import Child

PREPARE_TIMEOUT_S: Final = 90.0
PROGRESS_S: Final = 30.0
"""So often it is said that judging goes on."""

log = logging.getLogger(__name__)


class Recorder:
    """The recorder process of one test."""

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self._over_since: float | None = None
        # Its mode is 0700: the options may hold secrets, which no command line may show.
        self._folder = tempfile.TemporaryDirectory(prefix="harness-")
        self._answer = Path(self._folder.name) / "answer.json"
        asked = Path(self._folder.name) / "options.json"
        asked.write_bytes(options_to_json(options))
        self._child = Child(
            [sys.executable, "-m", "harness.runs.recorder", str(asked), str(self._answer)],
            log=Path(self._folder.name) / "recorder.log",
        )

    def await_run_dir(self) -> RunDir:
        """The prepared run. Raises HarnessError with what the recorder had to say."""
        started = time.monotonic()
        ended = False
        while not self._answer.exists() and not ended:
            # It may end right after its answer, so the answer is looked for once more.
            ended = self._child.process.poll() is not None
            if time.monotonic() > started + PREPARE_TIMEOUT_S:
                raise HarnessError(
                    f"the run was not prepared within {PREPARE_TIMEOUT_S:g} s:\n"
                    f"{self._child.tail()}"
                )
            gevent.sleep(0.05)
        if not self._answer.exists():
            raise HarnessError(
                f"the process that prepares the run ended after {time.monotonic() - started:.1f} s "
                f"with status {self._child.process.returncode}:\n{self._child.tail()}"
            )
        answer = read_json(self._answer, "the recorder's answer")
        if "error" in answer:
            error = UsageError if answer["exit_code"] == EXIT_USAGE else HarnessError
            raise error(answer["error"])
        return RunDir(Path(answer["run_dir"]))

    def faults(self) -> FaultStatus:
        """Which faults can be injected, and what is under way."""
        try:
            return msgspec.json.decode(
                (self._answer.parent / STATUS).read_bytes(), type=FaultStatus
            )
        except OSError:
            return FaultStatus()

    def experiments_over_for(self, settled_s: float) -> bool:
        """Whether the experiments of the run have been over for so long."""
        status = self.faults()
        if status.planned or status.under_way:
            self._over_since = None
            return False
        now = time.monotonic()
        self._over_since = self._over_since or now
        return now - self._over_since >= settled_s

    def inject(self, fault: str) -> None:
        """Ask for one fault. Raises UsageError for one that cannot be injected now."""
        status = self.faults()
        names = [each.name for each in status.offered]
        if status.under_way or status.planned:
            what = status.under_way or "an experiment of this run"
            raise UsageError(f"{what} is under way or to come: one fault at a time.")
        if fault not in names:
            raise UsageError(
                f"fault {fault}: is none that these brokers can suffer in this run. There are "
                f"{', '.join(names) or 'none'}."
            )
        write_json(self._answer.parent / INJECT, {"fault": fault})

    def heal(self) -> None:
        """Ask for the end of the fault that is under way."""
        (self._answer.parent / HEAL).touch()

    def judge(self, run_dir: RunDir) -> int:
        """End the recording and await the verdict, however long reading takes; its exit status."""
        self._child.process.terminate()
        started = reported = time.monotonic()
        waiting = False
        while self._child.process.poll() is None:
            gevent.sleep(0.05)
            if not waiting and (line := waited_for(run_dir)):
                waiting = True
                log.info("%s", line)
            if time.monotonic() > reported + PROGRESS_S:
                reported = time.monotonic()
                log.info(
                    "still reading and judging after %.0f s; Ctrl-C ends it", reported - started
                )
        return self._child.stop(grace_s=0)

    def close(self) -> None:
        """Safe to call again."""
        self._child.stop(grace_s=15)
        self._folder.cleanup()


def waited_for(run_dir: RunDir) -> str:
    """What the recorder says of an experiment whose end it awaits; empty while it awaits none."""
    try:
        lines = (run_dir.logs / "recorder.log").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(WAITING)), "")
