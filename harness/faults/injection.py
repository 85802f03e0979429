"""One injection of a fault: its record in the timelines of runs and in Chaos Toolkit's journal.

    with Injection(fault, target) as injection:
        injection.aim("broker 2, …", partitions)      # what will be hit; `inject` is written
        injection.kill(broker)                        # the first deed fixes injected_at
        injection.observe_move(timeout_s)             # leaders and epochs afterwards
    return injection.output()                         # `injected` is written with the evidence

A fault that ends half-way writes `failed` with the reason; `heal` closes it all the same.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from harness.brokers.kind import CutMode, Link, log_directories
from harness.errors import FaultError, RunDirError
from harness.faults.backend import Target, names_of
from harness.faults.beside import BESIDE
from harness.faults.interrupts import uninterrupted
from harness.faults.registry import Fault
from harness.kafka.leaders import POLL_S, Key, PartitionState, await_that
from harness.record.codecs import codec_named
from harness.replicas.dead_logs import note_dead_logs
from harness.replicas.followers import follower_logs
from harness.rundir.clock import from_us, now_us
from harness.rundir.events import FaultEvent
from harness.rundir.fault_evidence import KILL, FaultEvidence, PartitionMove, shortcomings
from harness.rundir.replicas import ReplicaEvidence
from harness.rundir.run_dir import RunDir

logger = logging.getLogger("chaostoolkit")
SOURCE: Final = "faults"
_EPOCHS_TIMEOUT_S: Final = 10.0


class Injection:
    """Collects the evidence of one injection and writes it down."""

    def __init__(self, fault: Fault, target: Target, *, hold_s: float | None = None) -> None:
        self.fault = fault
        target.require(self.fault)
        self.fault_id = f"{fault.name}-{secrets.token_hex(3)}"
        self.target = ""
        self.injected_at: str | None = None
        self.evidence = FaultEvidence(fault.moves_leader, fault.graceful, hold_s, fault.nominal)
        self.at = target
        self._runs: dict[str, RunDir] = {}
        self._look_for_runs()
        BESIDE.begun(fault.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            reason = str(error) if isinstance(error, Exception) else "interrupted"
            self._write("failed", reason=reason)
            return
        missing = shortcomings(self.evidence)
        for each in missing:
            logger.warning("%s: no evidence that it took effect: %s", self.fault.name, each)
        self._look_for_runs()
        self._write("injected", at=self.injected_at, took_effect=not missing)

    def aim(self, target: str, partitions: Iterable[PartitionState]) -> None:
        """Name what will be hit and note the leader epochs of `partitions`."""
        states = list(partitions)
        epochs: dict[Key, int] = {}

        def pending() -> str | None:
            epochs.update(self.at.view.epochs(state.key for state in states))
            lacking = [state for state in states if state.key not in epochs]
            return f"none of {', '.join(names_of(lacking))}" if lacking else None

        # Without them nothing could show that a leader moved.
        await_that(pending, f"{self.fault.name}: leader epochs", timeout_s=_EPOCHS_TIMEOUT_S)
        self.target = target
        self.evidence.partitions = [
            PartitionMove(each.topic, each.partition, each.leader, epochs[each.key])
            for each in states
        ]
        self._write("inject")

    def strike(self) -> str:
        """The present instant; the first one asked for is when the fault was injected."""
        at = from_us(now_us())
        self.injected_at = self.injected_at or at
        return at

    def kill(self, broker: int) -> None:
        """End a broker without warning and see it end."""
        self.strike()
        self.evidence.brokers.append(self.at.control.kill(broker))

    def restart(self, broker: int, timeout_s: float) -> None:
        """End a broker in an orderly way and start it again; returns when all are ready."""
        self.strike()
        self.evidence.brokers.append(self.at.control.restart(broker, timeout_s))

    @contextlib.contextmanager
    def paused(self, brokers: Sequence[int]) -> Iterator[None]:
        """Brokers stand still within the block; whatever ends it, all of them go on."""
        try:
            for broker in brokers:
                self.strike()
                self.evidence.brokers.append(self.at.control.pause(broker))
            yield
        finally:
            with uninterrupted(), contextlib.ExitStack() as resuming:
                # Each of them, also when another cannot be resumed or was never paused.
                for broker in reversed(brokers):
                    resuming.callback(self._resume, broker)

    def _resume(self, broker: int) -> None:
        self.evidence.brokers.append(self.at.control.resume(broker))

    @contextlib.contextmanager
    def cut(
        self,
        broker: int,
        link: Link,
        mode: CutMode,
        *,
        hold_s: float,
        patience_s: float,
        reset: bool = False,
    ) -> Iterator[None]:
        """A link is cut for `hold_s` before the block and within it; see `BrokerControl.cut`.

        Whatever ends it, the link passes again; reset: its connections end first.
        """
        control = self.at.control
        self.strike()
        try:
            self.evidence.links.append(
                control.cut(broker, link, mode, hold_s=hold_s, patience_s=patience_s)
            )
            yield
        finally:
            with uninterrupted():
                control.restore(reset=reset)

    def note_follower_logs(self, followers: Iterable[int], time_max_s: float) -> None:
        """Note where the logs of paused followers end, for the partitions aimed at."""
        directories = log_directories(self.at.control)
        if directories is None:
            self.evidence.notes.append("the followers' logs cannot be read here")
            return
        self.evidence.follower_logs = follower_logs(
            followers,
            [move.key for move in self.evidence.partitions],
            directories,
            time_max_s,
        )

    def observe(self, timeout_s: float = 20.0) -> None:
        """Note leader and epoch of the partitions aimed at as they are now.

        A leader that is late to answer is asked again; what it has not said after `timeout_s`
        stays open.
        """
        moves = {move.key: move for move in self.evidence.partitions}
        topics = list(dict.fromkeys(move.topic for move in self.evidence.partitions))
        left = set(moves)

        def pending() -> str | None:
            states = {state.key: state for state in self.at.view.partitions(topics)}
            for key, epoch in self.at.view.epochs(left).items():
                moves[key].leader_after = states[key].leader
                moves[key].epoch_after = epoch
                left.discard(key)
            return f"{len(left)} leaders have not answered" if left else None

        with contextlib.suppress(FaultError):
            await_that(pending, "leaders", timeout_s=timeout_s, poll_s=POLL_S)

    def observe_move(self, timeout_s: float) -> None:
        """Wait until every partition aimed at is led again, in a newer epoch, by another broker.

        What is still missing after `timeout_s` stays in the evidence as a shortcoming.
        """

        def pending() -> str | None:
            topics = list(dict.fromkeys(move.topic for move in self.evidence.partitions))
            states = {state.key: state for state in self.at.view.partitions(topics)}
            left = [move for move in self.evidence.partitions if not move.has_moved()]
            moved = [
                move for move in left if states[move.key].leader not in (-1, move.leader_before)
            ]
            epochs = self.at.view.epochs(move.key for move in moved)
            for move in left:
                move.leader_after = states[move.key].leader
                move.epoch_after = epochs.get(move.key, move.epoch_after)
            left = [move for move in left if not move.has_moved()]
            return f"{len(left)} partitions without a new leader" if left else None

        with contextlib.suppress(FaultError):
            await_that(pending, "new leaders", timeout_s=timeout_s, poll_s=POLL_S)
        self._follow_up()

    def observe_end(self) -> None:
        """Note who leads now, and what became of brokers that were ended."""
        self.observe()
        self._follow_up()

    def observe_controller(self, timeout_s: float) -> None:
        """Wait until another node is the active controller, in a newer epoch."""

        def pending() -> str | None:
            quorum = self.at.quorum()
            for each in self.evidence.controllers:
                each.leader_after, each.epoch_after = quorum.leader, quorum.epoch
            left = [
                missing for each in self.evidence.controllers for missing in each.shortcomings()
            ]
            return left[0] if left else None

        with contextlib.suppress(FaultError):
            await_that(pending, "another controller", timeout_s=timeout_s, poll_s=POLL_S)
        self.observe_end()

    def _follow_up(self) -> None:
        for each in self.evidence.brokers:
            self.at.control.follow_up(each)
        self._note_dead_logs()

    def _note_dead_logs(self) -> None:
        """Keep what the killed brokers' logs alone hold: on their return it is cut off."""
        dead = [
            each.broker
            for each in self.evidence.brokers
            if each.deed == KILL and not each.shortcomings()
        ]
        if not dead:
            return
        directories = log_directories(self.at.control)
        if directories is None:
            self.evidence.notes.append("the dead brokers' logs cannot be read here")
            return
        self._look_for_runs()
        for run_dir in self._runs.values():
            try:
                self._note_dead_logs_of(run_dir, dead, directories)
            except (OSError, RunDirError) as error:
                if run_dir is self.at.run_dir:
                    raise
                logger.warning("%s: dead logs are not on record: %s", run_dir.path, error)

    def _note_dead_logs_of(
        self, run_dir: RunDir, dead: list[int], directories: Callable[[int], Path]
    ) -> None:
        info = run_dir.read_info()
        try:
            states = self.at.view.partitions(info.topics)
        except FaultError as error:
            self.evidence.notes.append(
                f"run {info.run_id}: the dead brokers' logs were not compared: {error}"
            )
            return
        leaders = [(state.key, state.leader) for state in states]
        found = ReplicaEvidence()
        for broker in dead:
            found.dead += note_dead_logs(
                self.fault_id,
                broker,
                leaders,
                directories,
                info.run_id,
                codec_named(info.load.codec),
            )
        found.write(run_dir.dead_logs(self.fault_id))

    def missing(self) -> list[str]:
        """What the evidence lacks so far for the conclusion that the fault took effect."""
        return shortcomings(self.evidence)

    def output(self) -> dict[str, Any]:
        """What the action returns, so that Chaos Toolkit's journal holds the evidence too."""
        return {
            "fault": self.fault.name,
            "fault_id": self.fault_id,
            "target": self.target,
            "injected_at": self.injected_at,
            "evidence": self.evidence.to_json(),
            "took_effect": not shortcomings(self.evidence),
        }

    def _look_for_runs(self) -> None:
        """Runs whose recording has begun get what there is to write from now on.

        One whose recording ends meanwhile keeps getting it: the fault is in its record already.
        """
        if not self.fault.nominal:
            for run_dir in self.at.recorded(self.fault):
                self._runs.setdefault(run_dir.read_info().run_id, run_dir)

    def _write(
        self,
        phase: Literal["inject", "injected", "failed"],
        *,
        at: str | None = None,
        took_effect: bool | None = None,
        reason: str | None = None,
    ) -> None:
        """Write one phase into each run; beyond `inject`, with what of the evidence concerns it."""
        logger.info("%s: %s %s", self.fault.name, phase, self.target)
        for run_id, run_dir in self._runs.items():
            try:
                run_dir.append(
                    FaultEvent(
                        source=SOURCE,
                        at=at or "",
                        fault_id=self.fault_id,
                        fault=self.fault.name,
                        phase=phase,
                        target=self.target,
                        evidence=None if phase == "inject" else self.evidence.for_run(run_id),
                        took_effect=took_effect,
                        reason=reason,
                    )
                )
            except OSError as error:
                # The own run needs its record. A run beside it may be gone, and hinders no fault.
                if run_dir is self.at.run_dir:
                    raise
                logger.warning("%s: %s is not on record: %s", run_dir.path, phase, error)


def open_faults(run_dir: RunDir) -> list[FaultEvent]:
    """The last event of each fault that has not been healed, in the order of injection."""
    last = {event.fault_id: event for event in run_dir.events(FaultEvent)}
    return [event for event in last.values() if event.phase != "healed"]
