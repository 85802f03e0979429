"""What all producers of one load process share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.errors import REDACTED
from harness.kafka.environment import HarnessEnvironment
from harness.load.slots import Slots
from harness.rundir.clock import NEVER_US, Clock
from harness.rundir.latency import IntervalRecorder
from harness.rundir.ledger import NUMBERS
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, RunInfo


class Latencies:
    """The latency logs of one load process: one a profile and metric, whatever its producers.

    A recorder takes some hundred kilobytes and some hundred microseconds a second.
    """

    def __init__(self, folder: Path, start_us: int) -> None:
        self._folder = folder
        self._start_us = start_us
        self._recorders: dict[tuple[str, str], IntervalRecorder] = {}

    def of(self, profile: str, metric: str, incarnation: int) -> IntervalRecorder:
        """The log of this metric; named by the incarnation that asks first, so no other
        process of the run has it. Raises EnvironmentFailure when it cannot be written."""
        key = (profile, metric)
        if key not in self._recorders:
            path = self._folder / f"{profile}.{metric}.{incarnation}.hlog"
            self._recorders[key] = IntervalRecorder(path, self._start_us)
        return self._recorders[key]

    def close(self) -> None:
        """Write everything; safe to call again."""
        for recorder in self._recorders.values():
            recorder.close()


class Call(Protocol):
    """A blocking call under way somewhere else."""

    def done(self) -> bool:
        """Whether `result` returns at once."""

    def result(self) -> Any:
        """What the call returned; raises what it raised."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A call that was made on the spot."""

    value: Any = None
    error: BaseException | None = None

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def call_now(function: Callable[[], Any]) -> Call:
    """Make the call on this thread: for a loop that has nothing else to do meanwhile."""
    try:
        return Finished(function())
    except Exception as error:
        return Finished(error=error)


@dataclass(slots=True)
class LoadContext:
    """The run, the clock, where counts go, and how blocking calls are made.

    connection: librdkafka's connection settings; may hold secrets, so they are never written.
    warm_until_us: records intended before this instant are left out of latency.
    numbers: what its incarnations may be called.
    """

    run_dir: RunDir
    info: RunInfo
    connection: Mapping[str, Any]
    clock: Clock
    slots: Slots
    start_call: Callable[[Callable[[], Any]], Call] = call_now
    warm_until_us: int = field(default=NEVER_US)
    numbers: range = NUMBERS
    latency: Latencies = field(init=False)

    def __post_init__(self) -> None:
        self.latency = Latencies(self.run_dir.latency, self.clock.now_us())

    def close(self) -> None:
        """Write what is still in memory: the last slots, and the latency logs."""
        self.slots.flush(self.clock.now_us(), everything=True)
        self.latency.close()

    @classmethod
    def of(cls, run_dir: RunDir, *, clock: Clock | None = None, **fields: Any) -> LoadContext:
        """The context of a prepared run; connection settings come from the environment.

        clock: one that another process began, where there is one.
        """
        info = run_dir.read_info()
        return cls(
            run_dir=run_dir,
            info=info,
            connection=HarnessEnvironment.read().connection(info.bootstrap),
            clock=clock or Clock(),
            slots=Slots(run_dir, info),
            **fields,
        )


def producer_settings(
    profile: ProfileRun, run_id: str, instance: int, connection: Mapping[str, Any]
) -> dict[str, Any]:
    """All the settings of one producer: the profile's, then how to connect.

    `{run_id}`, `{profile}` and `{instance}` in a text are filled in.
    """
    names = {"{run_id}": run_id, "{profile}": profile.profile, "{instance}": str(instance)}
    settings: dict[str, Any] = {"client.id": f"harness-{profile.profile}-{instance}"}
    for key, value in profile.producer.items():
        if value == REDACTED:
            continue  # run.json never holds it; `connection` does
        if isinstance(value, str):
            for name, filled in names.items():
                value = value.replace(name, filled)
        settings[key] = value
    return {**settings, **connection}
