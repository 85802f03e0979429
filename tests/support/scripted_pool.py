"""Group members that are processes of their own and do nothing, and a pool that is a script.

The processes can be killed and stopped like real ones; who has which partition, what a journal
says and how a member ended is what a test chooses. What it lists in `missing` does not happen:

    ended       the pool says of a member that was struck that it ended in another way
    takeover    nobody is assigned what a member had
    assigned    a member that joins is assigned nothing
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import psutil

from harness.members.roster import MODULE
from harness.rundir.clock import now_us
from harness.rundir.events import MemberEvent, RebalanceEvent
from harness.rundir.member_journal import JournalWriter, Step, journal_path
from harness.rundir.run_dir import RunDir
from harness.rundir.wanted_members import wanted_members

_CODE = "import signal; signal.pause()"


@dataclass
class Member:
    """A process that counts as a member."""

    number: int
    process: subprocess.Popen[bytes]
    journal: JournalWriter
    partitions: set[str] = field(default_factory=set)
    lost: bool = False


class ScriptedPool:
    """The members of one profile's group, looked after in a thread."""

    def __init__(
        self,
        run_dir: RunDir,
        profile: str,
        topic: str,
        *,
        partitions: int,
        members: int,
        missing: frozenset[str],
    ) -> None:
        self._run_dir, self._profile, self._planned = run_dir, profile, members
        self._missing = missing
        self.members: list[Member] = []
        self._started = 0
        self._over = threading.Event()
        for number in range(members):
            self._start()
            mine = range(number, partitions, members)
            self._assign(self.members[-1], {f"{topic}/{each}" for each in mine})
        self._thread = threading.Thread(target=self._look_after, name="scripted pool")
        self._thread.start()

    def end(self) -> None:
        """End every process, and see the thread end."""
        self._over.set()
        self._thread.join()
        for each in self.members:
            each.process.kill()
            each.process.wait()
            each.journal.close()

    def stopped(self) -> list[int]:
        """The members that stand still."""
        return [each.number for each in self.members if _stands_still(each)]

    def _look_after(self) -> None:
        while not self._over.wait(0.005):
            for each in list(self.members):
                if each.process.poll() is not None:
                    self._replace(each)
                elif _stands_still(each) and not each.lost:
                    each.lost = True
                    self._hand_over(each)
                elif each.lost and not _stands_still(each):
                    each.lost = False
                    each.journal.write(Step.LOST, now_us())
            wanted = wanted_members(self._run_dir).get(self._profile, self._planned)
            if wanted > len(self.members):
                self._join()
            elif wanted < len(self.members):
                self._leave(self.members[-1])

    def _start(self) -> Member:
        self._started += 1
        path = journal_path(self._run_dir.members, self._profile, self._started)
        member = Member(
            self._started,
            subprocess.Popen([sys.executable, "-S", "-c", _CODE, MODULE, str(self._run_dir.path)]),
            JournalWriter(path, run=1, member=self._started),
        )
        self.members.append(member)
        self._say(member, "started", "")
        member.journal.write(Step.BEGIN, now_us())
        return member

    def _join(self) -> None:
        giver = max(self.members, key=lambda each: len(each.partitions))
        member = self._start()
        if "assigned" not in self._missing and giver.partitions:
            given = {max(giver.partitions)}
            giver.partitions -= given
            self._rebalance(giver, "revoked", given)
            self._assign(member, given)

    def _leave(self, member: Member) -> None:
        member.process.kill()
        member.process.wait()
        self._gone(member, "ended", "left in order")

    def _replace(self, member: Member) -> None:
        self._gone(member, "replaced", "killed by SIGKILL")
        self._start()

    def _gone(self, member: Member, phase: Literal["ended", "replaced"], reason: str) -> None:
        self.members.remove(member)
        member.journal.close()
        if "ended" in self._missing:
            reason = "ended by itself, status 1"
        self._say(member, phase, reason)
        self._hand_over(member)

    def _hand_over(self, member: Member) -> None:
        others = [each for each in self.members if each is not member]
        if "takeover" not in self._missing and member.partitions:
            self._assign(others[0], member.partitions)
            member.partitions = set()

    def _assign(self, member: Member, partitions: set[str]) -> None:
        member.partitions |= partitions
        self._rebalance(member, "assigned", partitions)

    def _rebalance(
        self, member: Member, phase: Literal["assigned", "revoked"], partitions: set[str]
    ) -> None:
        self._append(
            RebalanceEvent(
                profile=self._profile, member=member.number, phase=phase,
                partitions=sorted(partitions), source="members",
            )
        )  # fmt: skip

    def _say(
        self, member: Member, phase: Literal["started", "ended", "replaced"], reason: str
    ) -> None:
        self._append(
            MemberEvent(
                profile=self._profile, member=member.number, phase=phase,
                pid=member.process.pid, reason=reason, source="members",
            )
        )  # fmt: skip

    def _append(self, event: MemberEvent | RebalanceEvent) -> None:
        # Evidence is what came after the strike; on a coarse clock that is a later microsecond.
        time.sleep(0.001)
        self._run_dir.append(event)


def _stands_still(member: Member) -> bool:
    with contextlib.suppress(psutil.Error):
        return str(psutil.Process(member.process.pid).status()) == psutil.STATUS_STOPPED
    return False


@contextlib.contextmanager
def scripted_pool(
    run_dir: RunDir, profile: str, topic: str, missing: frozenset[str]
) -> Iterator[ScriptedPool]:
    """Two members with two partitions each within the block; all of them gone afterwards."""
    pool = ScriptedPool(run_dir, profile, topic, partitions=4, members=2, missing=missing)
    try:
        yield pool
    finally:
        pool.end()
