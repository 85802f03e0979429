"""A fault that is a command of the user's: for brokers over which the harness has no control."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

from harness.errors import FaultError, is_secret, remember_secret, scrub
from harness.faults.backend import Target
from harness.faults.command_arguments import CommandArguments, checked, words_of
from harness.faults.fault import fault
from harness.faults.injection import Injection
from harness.faults.interrupts import uninterrupted
from harness.kafka.environment import CLIENT_CONFIG
from harness.kafka.leaders import PartitionState, answered, await_full_isr, most_led
from harness.rundir.clock import now
from harness.rundir.command_evidence import CommandEvidence, CommandRun, Expect, PartitionWatch
from harness.rundir.fault_evidence import PartitionMove
from harness.system.commands import OUTPUT_BYTES_MAX, CommandEnd, carry_out
from harness.system.deferred import Deferred
from harness.system.lifeline import LIFELINE_FD

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = ["run_command"]

logger = logging.getLogger("chaostoolkit")
WATCH_S: Final = 0.2
"""The in-sync replicas are looked at this often."""
_OURS: Final = (CLIENT_CONFIG, LIFELINE_FD)


@fault(role="whatever the command breaks")
def run_command(
    injection: Injection,
    inject: str,
    heal: str,
    hold_s: float = 10.0,
    timeout_s: float = 60.0,
    isr_timeout_s: float = 120.0,
    expect: str = "any",
) -> None:
    """Run a command of the user's, hold, and run the command that repairs it.

    Neither is run by a shell. Each may take `timeout_s`; then its process group is ended and the
    fault has failed. `hold_s` goes by between the two, and the full ISR of the run's partitions is
    awaited for `isr_timeout_s` afterwards. The heal command is run once the inject command was
    begun, whatever ends the fault. `expect` says what has to be seen: leader_change, isr_shrink,
    any of these two, or none.
    """
    arguments = checked(
        {
            "inject": inject, "heal": heal, "hold_s": hold_s, "timeout_s": timeout_s,
            "isr_timeout_s": isr_timeout_s, "expect": expect,
        },
        injection.fault.name,
    )  # fmt: skip
    _remember_secrets(injection.at)
    partitions = injection.at.aimed_partitions()
    leader, led = most_led(partitions)
    injection.aim(f"broker {leader}, leader of {len(led)} partitions, by a command", partitions)
    environment = {**_environment(injection.at), **_variables(injection.at, leader, led[0])}
    evidence = CommandEvidence(
        expect=cast(Expect, arguments.expect),
        inject=CommandRun("inject", scrub(inject), now()),
        watched=_watched(partitions, injection.evidence.partitions),
    )
    injection.evidence.commands.append(evidence)
    commands = _Commands(injection, arguments, evidence, environment)
    topics = list(dict.fromkeys(each.topic for each in partitions))
    with _Watch(injection.at, evidence.watched):
        commands.inject_hold_and_heal()
        await_full_isr(injection.at.view, lambda: topics, isr_timeout_s)
    injection.observe()
    _note_after(injection, evidence.watched, topics)
    affected = {each.key for each in evidence.affected}
    injection.evidence.moves_leader = evidence.moved_leaders
    if affected:
        # A profile is exposed where a partition of its own was disturbed.
        injection.evidence.partitions = [
            move for move in injection.evidence.partitions if move.key in affected
        ]


class _Commands:
    """Runs the two commands of one fault; the second in any case once the first was begun."""

    def __init__(
        self,
        injection: Injection,
        arguments: CommandArguments,
        evidence: CommandEvidence,
        environment: Mapping[str, str],
    ) -> None:
        self._injection = injection
        self._arguments = arguments
        self._evidence = evidence
        self._environment = environment

    def inject_hold_and_heal(self) -> None:
        """Raises FaultError when either command failed, after the heal command was run."""
        words = words_of(self._arguments.heal, "heal")
        why = f"{self._injection.fault_id}: its process is gone; running the heal command"
        deferred = Deferred(words, self._environment, why=why)
        try:
            self._run(self._evidence.inject, self._arguments.inject, deferred.end_first)
            deferred.end_first(None)
            # Also after a command that failed: it may have broken something before it did.
            if not self._evidence.inject.problem:
                time.sleep(self._arguments.hold_s)
                self._note_during()
        except BaseException:
            with uninterrupted():
                self._heal(deferred)
            raise
        with uninterrupted():
            self._heal(deferred)
        failures = [each.failure() for each in (self._evidence.inject, self._evidence.heal) if each]
        if any(failures):
            raise FaultError("; ".join(each for each in failures if each))

    def _heal(self, deferred: Deferred) -> None:
        self._evidence.heal = CommandRun("heal", scrub(self._arguments.heal), now())
        self._run(self._evidence.heal, self._arguments.heal, lambda _: deferred.cancel())
        deferred.cancel()

    def _run(self, run: CommandRun, command: str, begun: Callable[[int], None]) -> None:
        """Run one of the commands and note how it ended. begun: gets its process group."""
        if run.what == "inject":
            run.began_at = self._injection.strike()
        logger.info("%s: %s command: %s", self._injection.fault.name, run.what, run.command)
        try:
            end = carry_out(
                words_of(command, run.what),
                self._environment,
                timeout_s=self._arguments.timeout_s,
                begun=begun,
                end_when_interrupted=run.what == "inject",
            )
        except OSError as error:
            run.problem = f"cannot be run: {error.strerror}"
        except BaseException:
            run.problem = "was interrupted"
            raise
        else:
            run.output = end.output
            run.exit_status = end.status if end.end == "exited" else None
            run.problem = _problem(end, self._arguments.timeout_s)
        run.ended_at = now()
        for line in run.output:
            logger.info("%s: %s: %s", self._injection.fault.name, run.what, line)
        if run.problem:
            logger.error("%s: %s", self._injection.fault.name, run.failure())

    def _note_during(self) -> None:
        """The leader epochs before anything is repaired, of the leaders that answer."""
        epochs = self._injection.at.view.epochs(each.key for each in self._evidence.watched)
        for each in self._evidence.watched:
            each.epoch_during = epochs.get(each.key)


class _Watch:
    """Looks at leaders and in-sync replicas again and again within its block."""

    def __init__(self, target: Target, watched: Iterable[PartitionWatch]) -> None:
        self._target = target
        self._watched = {each.key: each for each in watched}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        topics = list(dict.fromkeys(topic for topic, _ in self._watched))
        while True:
            try:
                states = self._target.view.partitions(topics)
            except FaultError:
                states = []  # no broker answers at the moment
            for state in states:
                if state.key in self._watched:
                    self._watched[state.key].see_isr(state.isr)
            if self._over.wait(WATCH_S):
                return


def _watched(
    states: Iterable[PartitionState], moves: Iterable[PartitionMove]
) -> list[PartitionWatch]:
    epochs = {move.key: move.epoch_before for move in moves}
    return [
        PartitionWatch(
            state.topic, state.partition, state.leader, epochs.get(state.key), sorted(state.isr)
        )
        for state in states
    ]


def _note_after(injection: Injection, watched: Iterable[PartitionWatch], topics: list[str]) -> None:
    """Leaders, epochs and in-sync replicas once everything is repaired."""
    view = injection.at.view
    states = {
        state.key: state for state in answered(lambda: view.partitions(topics), "the leaders")
    }
    moves = {move.key: move for move in injection.evidence.partitions}
    for each in watched:
        each.leader_after = moves[each.key].leader_after
        each.epoch_after = moves[each.key].epoch_after
        each.isr_after = sorted(states[each.key].isr) if each.key in states else None


def _problem(end: CommandEnd, timeout_s: float) -> str:
    """Why a command counts as failed; empty when it ended with status 0."""
    if end.end == "timeout":
        return f"did not end within {timeout_s:g} s, and its process group was ended"
    if end.end == "output":
        return (
            f"printed more than {OUTPUT_BYTES_MAX // 1024**2} MiB, and its process group was ended"
        )
    if end.status < 0:
        return f"was ended by {signal.Signals(-end.status).name}"
    return f"ended with status {end.status}" if end.status else ""


def _remember_secrets(target: Target) -> None:
    for name, value in target.brokers.client_config.items():
        if is_secret(name):
            remember_secret(str(value))


def _environment(target: Target) -> dict[str, str]:
    """This process's environment without what is a secret of the connection to Kafka."""
    settings = target.brokers.client_config
    secrets = {str(value) for name, value in settings.items() if is_secret(name)}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _OURS and value not in secrets
    }


def _variables(target: Target, leader: int, led: PartitionState) -> dict[str, str]:
    """By which a command can aim."""
    addresses = answered(target.view.addresses, "the brokers' addresses")
    return {
        "HARNESS_TOPIC": led.topic,
        "HARNESS_PARTITION": str(led.partition),
        "HARNESS_LEADER": str(leader),
        "HARNESS_LEADER_ADDRESS": addresses.get(leader, ""),
        "HARNESS_BOOTSTRAP": target.brokers.bootstrap,
        "HARNESS_RUN_ID": ",".join(each.read_info().run_id for each in target.runs()),
    }
