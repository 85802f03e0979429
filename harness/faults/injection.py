"""One injection of a fault: its record in the timelines of runs and in Chaos Toolkit's journal.

    with Injection("kill_leader", target) as injection:
        injection.aim(broker, partitions)             # what will be struck; `inject` is written
        injection.signal(broker, signal.SIGKILL)      # the first one fixes injected_at
        injection.observe_move(timeout_s)             # leaders and epochs afterwards
    return injection.output()                         # `injected` is written with the evidence

A fault that ends half-way writes `failed` with the reason; `heal` closes it all the same.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Literal, Self

from harness.errors import FaultError, RunDirError
from harness.faults.backend import Target, names_of
from harness.faults.beside import BESIDE
from harness.faults.link_probe import witness
from harness.faults.registry import FAULTS
from harness.faults.stopped import follower_logs, state_after_stop
from harness.kafka.leaders import POLL_S, Key, PartitionState, await_that
from harness.record.codecs import codec_named
from harness.replicas.dead import note_dead_logs
from harness.rundir.clock import from_us, now_us
from harness.rundir.documents import write_json
from harness.rundir.events import FaultEvent
from harness.rundir.fault_evidence import Cut, FaultEvidence, PartitionMove, Signalled, shortcomings
from harness.rundir.replicas import ReplicaEvidence
from harness.rundir.run_dir import RunDir

logger = logging.getLogger("chaostoolkit")
SOURCE: Final = "faults"
_EXIT_TIMEOUT_S: Final = 60.0
_EPOCHS_TIMEOUT_S: Final = 10.0


class Injection:
    """Collects the evidence of one injection and writes it down."""

    def __init__(
        self, fault: str, target: Target, *, hold_s: float | None = None, recorded: bool = True
    ) -> None:
        self.fault = FAULTS[fault]
        target.require(self.fault)
        self.fault_id = f"{fault}-{secrets.token_hex(3)}"
        self.target = ""
        self.injected_at: str | None = None
        self.evidence = FaultEvidence(self.fault.moves_leader, self.fault.graceful, hold_s)
        self.at = target
        self._recorded = recorded
        self._runs: dict[str, RunDir] = {}
        self._look_for_runs()
        BESIDE.begun(fault)

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
        """Name what will be struck and note the leader epochs of `partitions`."""
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

    def signal(self, broker: int, number: signal.Signals) -> Signalled:
        """Send a signal to a broker's process; for SIGSTOP also see that it is stopped."""
        at = self.strike()
        pid = self.at.local.signal(broker, number)
        sent = Signalled(broker, pid, number.name, at)
        self.evidence.brokers.append(sent)
        if number is signal.SIGSTOP:
            sent.state = state_after_stop(pid)
        return sent

    def note_follower_logs(self, followers: Iterable[int], time_max_s: float) -> None:
        """Note where the logs of stopped followers end, for the partitions aimed at."""
        self.evidence.follower_logs = follower_logs(
            followers,
            [move.key for move in self.evidence.partitions],
            self.at.local.data_directory,
            time_max_s,
        )

    def kill(self, broker: int) -> None:
        """SIGKILL a broker and note its exit status."""
        sent = self.signal(broker, signal.SIGKILL)
        sent.exit_status = self.at.local.wait_exited(broker, _EXIT_TIMEOUT_S)

    def cut(self, broker: int, listener: str, mode: str, hold_s: float, patience_s: float) -> Cut:
        """Cut a link for `hold_s` and see meanwhile that nothing comes through.

        It stays cut for longer, `patience_s` at most, while the broker does not answer past it.
        """
        at = self.strike()
        cut = Cut(broker, listener, mode, at)
        self.evidence.links.append(cut)
        self.at.local.set_link(broker, listener, mode)
        seen = witness(self.at.local, broker, listener, hold_s, max(hold_s, patience_s))
        cut.answered_through_link, cut.answered_past_link = seen.through_link, seen.past_link
        return cut

    def restore_links(self, *, reset: bool = False) -> None:
        """Let every link pass again that this fault cut; `reset` ends their connections first."""
        for cut in self.evidence.links:
            if reset:
                count = self.at.local.close_connections(cut.broker, cut.listener)
                cut.connections_reset = count
            self.at.local.set_link(cut.broker, cut.listener, "pass")
            cut.restored_at = from_us(now_us())

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
        self._note_dead_logs()

    def _note_dead_logs(self) -> None:
        """Keep what the killed brokers' logs alone hold: on their return it is cut off."""
        dead = [
            each.broker for each in self.evidence.brokers if each.exit_status == -signal.SIGKILL
        ]
        if not dead:
            return
        self._look_for_runs()
        for run_dir in self._runs.values():
            try:
                self._note_dead_logs_of(run_dir, dead)
            except (OSError, RunDirError) as error:
                if run_dir is self.at.run_dir:
                    raise
                logger.warning("%s: dead logs are not on record: %s", run_dir.path, error)

    def _note_dead_logs_of(self, run_dir: RunDir, dead: list[int]) -> None:
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
                self.at.local.data_directory,
                info.run_id,
                codec_named(info.load.codec),
            )
        path = run_dir.dead_logs(self.fault_id)
        path.parent.mkdir(exist_ok=True)
        write_json(path, found.to_json())

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
        if self._recorded:
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
