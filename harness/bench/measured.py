"""One command, measured: CPU time and memory of its process and those it starts, and its output.

    python -m harness.bench.measured RESULT.json [--memory] -- COMMAND …

is between the bench and what it measures. It starts the command, waits for exactly that
process (`wait4` gives its user and system time to the microsecond, from the first instruction of
start-up to exit, with that of the processes which it has started and awaited), and ends it when
the bench ends, however that ends: Kafka's tools would go on for minutes without brokers. SIGTERM
is passed on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import HarnessError
from harness.system.lifeline import Child, watch

_SAMPLE_S: Final = 0.02
_PATIENCE_S: Final = 20.0
_GRACE_S: Final = 25.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one process took."""

    cpu_s: float
    """User and system time, start-up included."""
    wall_s: float
    """From its start to its exit."""
    anonymous_bytes: int | None
    """The most anonymous memory that it and its descendants had together at a sample; None when
    not asked for, or not on Linux."""
    output: str
    """Standard output and standard error."""


class Process:
    """A command under measurement, in its own session."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        what: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        memory: bool = False,
    ) -> None:
        """Start it. `folder` takes its output and its figures; `what` names it in messages."""
        self.what = what
        self._result = folder / f"{what}.json"
        self._result.unlink(missing_ok=True)
        log = folder / f"{what}.log"
        log.unlink(missing_ok=True)
        options = ["--memory"] if memory else []
        module = [sys.executable, "-m", "harness.bench.measured"]
        self._child = Child(
            [*module, str(self._result), *options, "--", *argv],
            log=log,
            environment={**_search_path(), **(environment or {})},
        )

    def finish(self, timeout_s: float) -> Measured:
        """Await its end. Raises HarnessError with the end of its output when it fails."""
        try:
            status = self._child.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise HarnessError(
                f"{self.what}: not finished within {timeout_s:g} s. The end of its output:\n"
                f"{self._child.tail()}"
            ) from None
        finally:
            self._child.stop(grace_s=_GRACE_S)
        if status != 0:
            raise HarnessError(
                f"{self.what}: ended with status {status}. The end of its output:\n"
                f"{self._child.tail(30)}"
            )
        document = json.loads(self._result.read_text())
        return Measured(
            cpu_s=document["cpu_s"],
            wall_s=document["wall_s"],
            anonymous_bytes=document["anonymous_bytes"],
            output=self._child.log.read_text(errors="replace"),
        )

    def terminate(self) -> None:
        """Ask it to end; `finish` awaits it."""
        self._child.process.terminate()

    def stop(self) -> None:
        """End it, if it has not. Safe to call again."""
        self._child.stop(grace_s=_GRACE_S)


def _search_path() -> dict[str, str]:
    """Where the package is found by a process that starts in another folder."""
    own = str(Path(__file__).resolve().parents[2])
    return {"PYTHONPATH": os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH", "")]))}


# -- the process between -------------------------------------------------------------------------


class _Memory:
    """The peak of anonymous memory of a process and its descendants together, sampled; there is
    no such peak in the kernel."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes: int | None = None
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            found = [_anonymous_bytes(pid) for pid in _family(self._pid)]
            if any(found):
                self.peak_bytes = max(self.peak_bytes or 0, sum(found))

    def stop(self) -> int | None:
        self._stop.set()
        self._thread.join()
        return self.peak_bytes


def _family(pid: int) -> list[int]:
    """A process and its descendants, as far as they are still there."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{each}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def _anonymous_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def _run(result: Path, argv: list[str], *, memory: bool) -> int:
    began_s = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)

    def send(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)

    def end(*_: object) -> None:
        send(signal.SIGTERM)
        killer = threading.Timer(_PATIENCE_S, send, (signal.SIGKILL,))
        killer.daemon = True
        killer.start()

    signal.signal(signal.SIGTERM, end)
    watch(lambda: send(signal.SIGKILL))
    sampled = _Memory(process.pid) if memory else None
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    document = {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.monotonic() - began_s,
        "anonymous_bytes": sampled.stop() if sampled else None,
    }
    result.write_text(json.dumps(document))
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def main(arguments: list[str]) -> int:
    """Parse `RESULT [--memory] -- COMMAND …` and run the command."""
    split = arguments.index("--")
    own, argv = arguments[:split], arguments[split + 1 :]
    return _run(Path(own[0]), argv, memory="--memory" in own)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
