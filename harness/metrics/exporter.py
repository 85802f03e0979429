"""Hands the metrics of runs to whoever is to have them: a port, a text file, a collector."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from harness.errors import UsageError
from harness.metrics.live import LiveMetrics
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import Verdict

TEXTFILE_EVERY_S: Final = 5.0
OTLP_EVERY_S: Final = 15.0
LOOPBACK: Final = "127.0.0.1"
_PORT_MAX: Final = 65_535
_INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """Where metrics go. otlp: the address of a collector, or empty for the OTEL_ variables."""

    port: int | None = None
    host: str = LOOPBACK
    textfile: Path | None = None
    otlp: str | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody is to have any."""
        return (self.port, self.textfile, self.otlp) != (None, None, None)


def check_metrics(plan: MetricsPlan) -> MetricsPlan:
    """The plan, if it can be carried out. Raises UsageError otherwise."""
    if plan.port is not None and not 1 <= plan.port <= _PORT_MAX:
        raise UsageError(f"--metrics-port {plan.port}: accepted is 1 to {_PORT_MAX}.")
    if plan.port is None and plan.host != LOOPBACK:
        raise UsageError("--metrics-bind-host: is for --metrics-port. Give both, or neither.")
    if plan.textfile is not None and not plan.textfile.parent.is_dir():
        raise UsageError(
            f"--metrics-textfile {plan.textfile}: the folder {plan.textfile.parent} is not there."
        )
    if plan.otlp and not plan.otlp.startswith(("http://", "https://")):
        raise UsageError(
            f"--otlp {plan.otlp}: a collector's address by OTLP over HTTP is expected, such as "
            "http://127.0.0.1:4318."
        )
    for wanted, module, extra, option in (
        (plan.port, "prometheus_client", "metrics", "--metrics-port"),
        (plan.textfile, "prometheus_client", "metrics", "--metrics-textfile"),
        (plan.otlp, "opentelemetry.exporter", "otlp", "--otlp"),
    ):
        if wanted is not None and not _installed(module):
            raise UsageError(
                f"{option}: needs packages that are not installed: pip install "
                f"'delivery-harness[{extra}]'"
            )
    return plan


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class Outlet(Protocol):
    """One place to which metrics go."""

    def close(self) -> None:
        """Hand over the last values and end. Must not raise."""


class Exporter:
    """The outlets of one plan over one run or a series of them."""

    def __init__(self, live: LiveMetrics, outlets: list[Outlet]) -> None:
        self._live = live
        self._outlets = outlets

    def begin(self, run_dir: RunDir) -> None:
        """A run begins."""
        self._live.begin(run_dir)

    def judged(self, verdict: Verdict) -> None:
        """A run has its verdict."""
        if self._outlets:
            self._live.judged(verdict)

    def close(self) -> None:
        """Let every outlet have the last values, and end."""
        for outlet in self._outlets:
            outlet.close()


@contextlib.contextmanager
def exporting(plan: MetricsPlan) -> Iterator[Exporter]:
    """Export for as long as the context lasts.

    Raises EnvironmentFailure when the port is taken or the file cannot be written.
    """
    live = LiveMetrics()
    with contextlib.ExitStack() as stack:
        outlets: list[Outlet] = []
        if plan.port is not None:
            from harness.metrics.prometheus import serve

            outlets.append(serve(live, plan.host, plan.port))
            stack.callback(outlets[-1].close)
        if plan.textfile is not None:
            from harness.metrics.prometheus import write_textfile

            path = plan.textfile
            write_textfile(live, path)
            outlets.append(Periodic(lambda: write_textfile(live, path), TEXTFILE_EVERY_S))
            stack.callback(outlets[-1].close)
        if plan.otlp is not None:
            from harness.metrics.otlp import OtlpSender

            sender = OtlpSender(live, plan.otlp)
            outlets.append(Periodic(sender.send, _otlp_every_s(), sender.close))
            stack.callback(outlets[-1].close)
        yield Exporter(live, outlets)


def _otlp_every_s() -> float:
    """As OpenTelemetry's variable says, in ms; OTLP_EVERY_S without it."""
    said = os.environ.get(_INTERVAL, "")
    return int(said) / 1000 if said.isdigit() and int(said) else OTLP_EVERY_S


class Periodic:
    """Does something every so often on a thread, and once more at the end."""

    def __init__(
        self, work: Callable[[], None], every_s: float, at_end: Callable[[], None] = lambda: None
    ) -> None:
        self._work = work
        self._every_s = every_s
        self._at_end = at_end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="harness-metrics", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            # What cannot be written now may be later, and no run fails for it.
            with contextlib.suppress(Exception):
                self._work()

    def close(self) -> None:
        """Do it once more, and end. Safe to call again."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(Exception):
            self._work()
        with contextlib.suppress(Exception):
            self._at_end()
