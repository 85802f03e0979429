"""What shows that a user's own command disturbed the brokers, and whether it did. Pure.

The command may do anything, so its effect is looked for where every Kafka shows it: in the leader
epochs and the in-sync replicas of the run's partitions, before the command, until it was healed,
and afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Expect = Literal["any", "leader_change", "isr_shrink", "none"]
EXPECTED: Final[tuple[Expect, ...]] = ("any", "leader_change", "isr_shrink", "none")


@dataclass(slots=True)
class CommandRun:
    """One of the two commands, and how it ended."""

    what: Literal["inject", "heal"]
    command: str
    began_at: str
    ended_at: str | None = None
    exit_status: int | None = None
    """Negative: the signal that ended it. None: it did not run to its end."""
    problem: str = ""
    """Why it counts as failed; empty when it ended with status 0."""
    output: list[str] = field(default_factory=list)
    """The last lines that it printed, secrets redacted."""

    def failure(self) -> str:
        """Why it failed and what it printed last, in one sentence; empty when it did not."""
        if not self.problem:
            return ""
        said = f"; it printed last: {self.output[-1]}" if self.output else ""
        return f"the {self.what} command ({self.command}) {self.problem}{said}"


@dataclass(slots=True)
class PartitionWatch:
    """A partition of the run before, during and after. Leader -1: none; None: not known."""

    topic: str
    partition: int
    leader_before: int
    epoch_before: int | None
    isr_before: list[int]
    epoch_during: int | None = None
    """When the hold was over, before the heal command began."""
    isr_during: list[int] | None = None
    """The smallest set that was seen until the partition was in full ISR again."""
    leader_after: int | None = None
    epoch_after: int | None = None
    isr_after: list[int] | None = None

    @property
    def key(self) -> tuple[str, int]:
        """(topic, partition)"""
        return self.topic, self.partition

    def see_isr(self, isr: Sequence[int]) -> None:
        """Its in-sync replicas at some moment."""
        if self.isr_during is None or len(isr) < len(self.isr_during):
            self.isr_during = sorted(isr)

    @property
    def leader_changed(self) -> bool:
        """Has its leader epoch grown since before the command?"""
        seen = [each for each in (self.epoch_during, self.epoch_after) if each is not None]
        return self.epoch_before is not None and any(each > self.epoch_before for each in seen)

    @property
    def isr_shrank(self) -> bool:
        """Did a replica leave its in-sync replicas?"""
        return self.isr_during is not None and bool(set(self.isr_before) - set(self.isr_during))


@dataclass(slots=True)
class CommandEvidence:
    """Everything observed about one pair of inject and heal commands."""

    expect: Expect
    inject: CommandRun
    heal: CommandRun | None = None
    watched: list[PartitionWatch] = field(default_factory=list)

    @property
    def affected(self) -> list[PartitionWatch]:
        """The partitions in which the effect shows; all of them where none is expected."""
        moved = [each for each in self.watched if each.leader_changed]
        shrunk = [each for each in self.watched if each.isr_shrank]
        if self.expect == "leader_change":
            return moved
        if self.expect == "isr_shrink":
            return shrunk
        return moved or shrunk or (list(self.watched) if self.expect == "none" else [])

    @property
    def moved_leaders(self) -> bool:
        """Is the effect that leaders changed?"""
        return bool(self.affected) and all(each.leader_changed for each in self.affected)

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that the commands disturbed the run's partitions."""
        runs = [self.inject] if self.heal is None else [self.inject, self.heal]
        found = [failure for each in runs if (failure := each.failure())]
        if self.heal is None:
            found.append("the heal command was not run")
        if not self.watched:
            found.append("no partition was watched")
        elif not self.affected:
            found.append(f"{_UNSEEN[self.expect]} of the run's {_many(len(self.watched))}")
        return found

    def sentence(self) -> str:
        """What was run and seen, in one sentence for people."""
        moved = sum(each.leader_changed for each in self.watched)
        shrunk = sum(each.isr_shrank for each in self.watched)
        ran = [_ended(self.inject)] if self.heal is None else [
            _ended(self.inject), _ended(self.heal)]  # fmt: skip
        return (
            f"{'; '.join(ran)}; of {_many(len(self.watched))} {moved} got a new leader epoch and "
            f"{shrunk} lost an in-sync replica"
        )

    def to_json(self) -> dict[str, Any]:
        """As a timeline holds it."""
        return {**asdict(self), "told": self.sentence()}


_UNSEEN: Final[dict[Expect, str]] = {
    "any": "the command had no effect that can be seen: no leader epoch grew and no replica left "
    "an ISR",
    "leader_change": "the command had not the expected effect: no leader epoch grew",
    "isr_shrink": "the command had not the expected effect: no replica left an ISR",
    "none": "nothing was watched",
}


def _ended(run: CommandRun) -> str:
    how = run.problem or f"ended with status {run.exit_status}"
    return f"{run.what} command ({run.command}) {how}"


def _many(count: int) -> str:
    return "1 partition" if count == 1 else f"{count} partitions"
