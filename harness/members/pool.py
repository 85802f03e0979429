"""All group members of a run: `python -m harness.members.pool RUN_DIR`.

The pool starts each profile's members, starts a new one when one ended that should not have, and
keeps as many as `members/wanted.json` asks for, once somebody writes it. A paused member is not
dead. On SIGTERM it lets the groups catch up with what was written, then ends all members in
order. When its parent is gone it ends them at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from harness.errors import EXIT_KEPT, HarnessError
from harness.kafka.environment import HarnessEnvironment
from harness.members.lag import LagWatch
from harness.members.process import kind_of
from harness.members.roster import group_events, held_partitions
from harness.rundir.clock import Clock
from harness.rundir.events import MemberEvent, RunEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ConsumeRun, ProfileRun, RunInfo
from harness.rundir.wanted_members import wanted_members
from harness.system import lifeline
from harness.system.lifeline import Child

TICK_S: Final = 0.05
READY_TIMEOUT_S: Final = 60.0
SHARE_READY_S: Final = 3.0
CATCH_UP_S: Final = 60.0
"""So long the groups may take, after the load, to work off what was written."""
STILL_S: Final = 10.0
"""A group that moves nothing for so long, longer than any session timeout, is done."""
LOOK_S: Final = 2.0
"""Before that, after so long without movement, it is looked whether there is anything left."""
LEAVE_S: Final = 20.0
ORPHAN_LEAVE_S: Final = 3.0
_FAILURES_MAX: Final = 2
_AGAIN_S: Final = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Before a member of a slot that fails by itself is started again, ever later."""


@dataclass(slots=True)
class Running:
    """A member that runs, or did until a moment ago."""

    number: int
    slot: int
    child: Child
    leaving_since: float | None = None


@dataclass(slots=True)
class RunningGroup:
    """The members of one profile."""

    profile: ProfileRun
    consume: ConsumeRun
    wanted: int
    running: dict[int, Running] = field(default_factory=dict)
    """by slot"""
    next_number: int = 1
    failures: dict[int, int] = field(default_factory=dict)
    """how often in a row the member of a slot ended by itself"""
    not_before: dict[int, float] = field(default_factory=dict)


class Pool:
    """Starts, watches and ends members; `run` returns after `stop` or `abandon`."""

    def __init__(self, run_dir: RunDir, info: RunInfo) -> None:
        """Raises UsageError when the client lacks what a profile's members need."""
        self.run_dir = run_dir
        self.info = info
        self._shared_clock = HarnessEnvironment(clock_epoch_ns=Clock().epoch_ns).variables()
        self._stopping = False
        self._abandoned = False
        self._groups = [
            RunningGroup(profile, profile.consume, profile.consume.members)
            for profile in info.profiles
            if profile.consume is not None
        ]
        for group in self._groups:
            kind_of(group.consume.mode)
        run_dir.members.mkdir(exist_ok=True)
        self._lag = LagWatch(run_dir, info, HarnessEnvironment.read().connection(info.bootstrap))

    def stop(self) -> None:
        """Let the groups catch up, then end; safe from a signal handler."""
        self._stopping = True

    def abandon(self) -> None:
        """End soon, whatever is left undone; safe from another thread."""
        self._abandoned = self._stopping = True

    def run(self) -> None:
        """Keep members running until asked to stop, then end them in order."""
        self._lag.prepare()
        try:
            self._tend()
            self._await_ready()
            self._lag.start()
            while not self._stopping:
                time.sleep(TICK_S)
                self._tend()
            if not self._abandoned:
                self._catch_up()
        finally:
            self._lag.stop()
            self._end_all()
        if not self._abandoned:
            self.run_dir.append(RunEvent(source="members", phase="members_stopped"))

    # -- keeping them running --------------------------------------------------------------

    def _tend(self) -> None:
        """Notice who ended, start who is missing, let go of those that are not wanted any more."""
        self._read_wanted()
        now = time.monotonic()
        for group in self._groups:
            for running in list(group.running.values()):
                self._look_at(group, running, now)
            for slot in range(group.wanted):
                if slot not in group.running and now >= group.not_before.get(slot, 0.0):
                    self._start(group, slot)
            for running in group.running.values():
                if running.slot >= group.wanted and running.leaving_since is None:
                    running.leaving_since = now
                    running.child.process.terminate()

    def _read_wanted(self) -> None:
        wanted = wanted_members(self.run_dir)
        for group in self._groups:
            group.wanted = int(wanted.get(group.profile.profile, group.consume.members))

    def _start(self, group: RunningGroup, slot: int) -> None:
        number = group.next_number
        group.next_number += 1
        name = group.profile.profile
        child = Child(
            [
                sys.executable,
                "-m",
                "harness.members.process",
                str(self.run_dir.path),
                name,
                str(number),
                "--slot",
                str(slot),
            ],
            log=self._log(group, number),
            environment=self._shared_clock,
        )
        group.running[slot] = Running(number, slot, child)
        self._say(group, number, child.process.pid, "started", f"place {slot}")

    def _look_at(self, group: RunningGroup, running: Running, now: float) -> None:
        status = running.child.process.poll()
        if status is None:
            late = running.leaving_since is not None and now - running.leaving_since > LEAVE_S
            if late:
                running.child.process.kill()
            return
        running.child.release()
        del group.running[running.slot]
        pid, number = running.child.process.pid, running.number
        if running.leaving_since is not None:
            early = status == -signal.SIGTERM
            reason = "left before it had begun" if early else _how(status)
            self._say(group, number, pid, "ended", reason)
            return
        self._say(group, number, pid, "replaced", _how(status))
        killed = status < 0
        times = 0 if killed else group.failures.get(running.slot, 0) + 1
        group.failures[running.slot] = times
        group.not_before[running.slot] = now + _AGAIN_S[min(times, len(_AGAIN_S) - 1)]

    def _say(
        self,
        group: RunningGroup,
        number: int,
        pid: int,
        phase: Literal["started", "ended", "replaced"],
        reason: str,
    ) -> None:
        self.run_dir.append(
            MemberEvent(
                source="members",
                profile=group.profile.profile,
                member=number,
                pid=pid,
                phase=phase,
                reason=reason,
            )
        )

    # -- the beginning and the end ---------------------------------------------------------

    def _await_ready(self) -> None:
        """Wait until every partition has a member, and say so; the load starts after that."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        inputs = {
            group.profile.profile: {
                f"{group.profile.topics[0]}/{each}" for each in range(self.info.load.partitions)
            }
            for group in self._groups
            if group.consume.mode != "share"
        }
        waiting = inputs
        # Nobody is assigned anything in a share group: its members are ready once they stay.
        settled = time.monotonic() + (SHARE_READY_S if len(inputs) < len(self._groups) else 0.0)
        while (
            (any(waiting.values()) or time.monotonic() < settled)
            and time.monotonic() < deadline
            and not self._stopping
        ):
            events = group_events(self.run_dir)
            waiting = {name: inputs[name] - held_partitions(events, name) for name in inputs}
            time.sleep(TICK_S)
            self._tend()
            self._check_they_stay()
        left = [name for name, partitions in waiting.items() if partitions]
        reason = f"without all partitions after {READY_TIMEOUT_S:g} s: {', '.join(left)}"
        self.run_dir.append(
            RunEvent(source="members", phase="members_ready", reason=reason if left else "")
        )

    def _check_they_stay(self) -> None:
        """Raises HarnessError when members end by themselves before anything has begun."""
        for group in self._groups:
            for slot, times in group.failures.items():
                if times >= _FAILURES_MAX and slot in group.running:
                    number = group.running[slot].number - 1
                    log = self._log(group, number)
                    text = log.read_text(errors="replace").strip().splitlines()[-3:]
                    raise HarnessError(
                        f"profile {group.profile.profile}: its members end by themselves. The end "
                        f"of {log}:\n" + "\n".join(text)
                    )

    def _log(self, group: RunningGroup, number: int) -> Path:
        return self.run_dir.logs / "members" / f"{group.profile.profile}-{number}.log"

    def _catch_up(self) -> None:
        """Go on until each group's offsets have reached the ends, or nothing moves any more."""
        deadline = time.monotonic() + CATCH_UP_S
        moved_at, before = time.monotonic(), self._lag.committed
        looked = False
        while time.monotonic() < deadline and not self._abandoned:
            self._tend()
            if self._lag.behind == 0:
                break
            if self._lag.committed != before:
                before, moved_at, looked = self._lag.committed, time.monotonic(), False
            if not looked and time.monotonic() - moved_at > LOOK_S:
                looked = True
                if self._lag.at_the_ends():
                    break
            if time.monotonic() - moved_at > STILL_S:
                break
            time.sleep(TICK_S)
        self.run_dir.append(
            RunEvent(
                source="members",
                phase="members_caught_up",
                reason=f"{self._lag.behind} offsets behind",
            )
        )

    def _end_all(self) -> None:
        """SIGTERM to all, SIGKILL to who is left; a paused one is continued, so that it can end."""
        everybody = [(group, each) for group in self._groups for each in group.running.values()]
        for _, running in everybody:
            if running.child.process.poll() is None:
                running.child.process.send_signal(signal.SIGCONT)
                running.child.process.terminate()
        deadline = time.monotonic() + (ORPHAN_LEAVE_S if self._abandoned else LEAVE_S)
        while time.monotonic() < deadline and any(
            running.child.process.poll() is None for _, running in everybody
        ):
            time.sleep(TICK_S)
        for group, running in everybody:
            status = running.child.stop(grace_s=0.0)
            self._say(group, running.number, running.child.process.pid, "ended", _how(status))
            group.running.pop(running.slot, None)


def _how(status: int) -> str:
    """How a member ended, in words."""
    if status == EXIT_KEPT:
        return "left in order"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"ended by itself, status {status}"


def main(argv: list[str] | None = None) -> int:
    """Run the pool of a run until asked to stop; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness.members.pool", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    args = parser.parse_args(argv)
    run_dir = RunDir(args.run_dir)
    try:
        pool = Pool(run_dir, run_dir.read_info())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: pool.stop())
        lifeline.watch(pool.abandon)
        pool.run()
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return EXIT_KEPT


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
