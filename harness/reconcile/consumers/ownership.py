"""Whose a partition was, where its owners began, and what the coordinator kept of their commits.

    start_beyond_committed   a member began above everything that can have been committed
    commit_lost              the coordinator has less than a commit that it had confirmed
    double_owner             two members owned one partition, and could commit, at the same time

All three compare members with each other, so only what is certainly before something else counts
(`clock`), and every attempt that may have been carried out is taken to have been (`attempts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harness.arrays import I64, Bools, Rows
from harness.reconcile.consumers.commit_attempts import attempts_of
from harness.reconcile.consumers.entry_times import BEFORE_ALL, NEVER, Span
from harness.reconcile.consumers.input_partition import InputPartition
from harness.reconcile.consumers.member_reading import TURNS, known_us, of_step
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.rundir.consumption import Reset
from harness.rundir.member_journal import Entries, Step

STINT: Final = np.dtype(
    [
        ("begun", "<i8"),
        ("until", "<i8"),
        ("start", "<i8"),
        ("begun_us", "<i8"),
        ("begun_earliest_us", "<i8"),
        ("begun_latest_us", "<i8"),
        ("until_latest_us", "<i8"),
        ("ended", "<i8"),
        ("ended_earliest_us", "<i8"),
    ]
)
"""begun, ended: entry numbers of ASSIGNED and of what ended the stint; until: of the first
hand-over in it, else of its end; start: the offset where reading began, below 0 where that is not
known."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What one member has to do with the partition: rows of dtype ATTEMPT and STINT."""

    member: int
    attempts: Rows
    stints: Rows


@dataclass(slots=True)
class Ownership:
    """The owners of one partition in one group."""

    records: InputPartition
    coordinator: int | None
    """What the coordinator has at the end, -1 for nothing; None: it was not asked."""
    resets: list[Reset] = field(default_factory=list)
    owners: list[Owner] = field(default_factory=list)
    unsure: bool = False
    """Whether a client that commits in the background may have committed what is not on record."""

    def add(
        self,
        member: int,
        entries: Entries,
        indices: I64,
        span: Span,
        *,
        background: bool | None,
        stored: bool,
    ) -> None:
        """Take in a member's journal. stored: its client commits only what it was asked to."""
        rows = attempts_of(entries, indices, span, background=background)
        position = rows["position"]
        if position.any():
            stored |= bool((entries["step"] == Step.STORED).any())
            # Without a word on its end, the client may have committed what it never handed over.
            self.unsure |= not stored and not bool((entries["step"] == Step.CLOSED).any())
            highest = np.flatnonzero(position)[int(np.argmax(rows["offset"][position]))]
            kept = ~position | self._explains(rows)
            kept[highest] = True
            rows = rows[kept]
        self.owners.append(Owner(member, rows, stints_of(entries, indices, span)))

    def _explains(self, rows: Rows) -> Bools:
        """Which attempts, were they the last one, the coordinator's offset could come from."""
        at = self.coordinator
        if at is None:
            return np.zeros(len(rows), dtype=np.bool_)
        offsets = np.asarray(rows["offset"], dtype=np.int64)
        below = offsets <= at
        # The position of a client goes on over offsets that hold no record.
        nothing = self.records.records_between(offsets, np.full(len(rows), at)) == 0
        return np.asarray((offsets == at) | (rows["position"] & below & nothing), dtype=np.bool_)

    def judge(self, found: ProfileFindings) -> None:
        """Count all three."""
        for index, owner in enumerate(self.owners):
            others = self.owners[:index] + self.owners[index + 1 :]
            self._starts(found, owner, others)
        self._kept(found)
        for member, commit in self._double():
            found.counts["double_owner"] += 1
            last = int(commit["offset"]) - 1
            self._sample(found, "double_owner", last, member, int(commit["latest_us"]))

    # -- where members began ---------------------------------------------------------------

    def _starts(self, found: ProfileFindings, owner: Owner, others: list[Owner]) -> None:
        stints = owner.stints[owner.stints["start"] >= 0]
        if not len(stints):
            return
        strangers = np.concatenate([each.attempts for each in others]) if others else None
        reach = self._reach(owner, strangers, stints)
        first = _least(owner.attempts["ended"][owner.attempts["confirmed"]])
        known = first < stints["begun"]
        if strangers is not None:
            confirmed = _least(strangers["latest_us"][strangers["confirmed"]])
            known |= confirmed < stints["begun_earliest_us"]
        skipped = self.records.records_between(reach, stints["start"])
        skipped[~known | (reach < self._floor()) | (stints["start"] <= reach)] = 0
        if self.unsure and skipped.any():
            found.cannot_see(
                "a member that commits in the background did not close: what its client had "
                "committed is not on record",
                "start_beyond_committed",
            )
            return
        found.counts["start_beyond_committed"] += int(skipped.sum())
        for index in np.flatnonzero(skipped).tolist():
            offset = self.records.first_record(int(reach[index]), int(stints["start"][index]))
            at_us = stints["begun_us"][index]
            self._sample(found, "start_beyond_committed", offset, owner.member, at_us)

    def _reach(self, owner: Owner, strangers: Rows | None, stints: Rows) -> I64:
        """The highest offset that can have been committed before each stint read its first."""
        own = owner.attempts
        begun = np.where(own["called"], own["begun"], BEFORE_ALL)
        reach = _highest(begun, own["offset"], stints["until"] - 1)
        if strangers is not None:
            latest = stints["until_latest_us"]
            there = _highest(strangers["earliest_us"], strangers["offset"], latest)
            reach = np.maximum(reach, there)
        for reset in self.resets:
            may_be = reset.at_us <= stints["until_latest_us"]
            reach = np.maximum(reach, np.where(may_be, reset.offset, -1))
        return reach

    def _floor(self) -> int:
        """Below this the log may have been deleted, and a committed offset be out of range."""
        records = self.records
        if records.proof.proven:
            return records.proof.floor
        return int(records.real[0]) if len(records.real) else 0

    # -- what the coordinator kept ---------------------------------------------------------

    def _kept(self, found: ProfileFindings) -> None:
        at = self.coordinator
        if at is None:
            return
        lost: list[tuple[int, int, int]] = []
        in_doubt = False
        for index, owner in enumerate(self.owners):
            mine = owner.attempts
            above = mine[mine["confirmed"] & (mine["offset"] > at)]
            if not len(above):
                continue
            others = [each.attempts for each in self.owners[:index] + self.owners[index + 1 :]]
            sure = self._certainly_last(above, mine, others, doubt=False)
            in_doubt |= bool((self._certainly_last(above, mine, others, doubt=True) & ~sure).any())
            lost += [
                (int(row["offset"]), owner.member, int(row["latest_us"])) for row in above[sure]
            ]
        if lost and at < 0 and not self.records.proof.proven:
            # With a topic the brokers delete what groups have committed of it.
            found.cannot_see(
                f"its coordinator has no offset of partition {self.records.partition}, and the "
                "drain does not prove that its topic is still the one that was read",
                "commit_lost",
            )
        elif lost and not self.unsure:
            offset, member, at_us = max(lost)
            found.counts["commit_lost"] += 1
            first = self.records.first_record(max(at, 0), offset)
            self._sample(found, "commit_lost", first, member, at_us)
        elif lost or in_doubt:
            found.cannot_see(
                f"its coordinator has offset {at} of partition {self.records.partition}, below a "
                "confirmed commit, and a commit of unknown outcome may have put it there",
                "commit_lost",
            )

    def _certainly_last(self, above: Rows, mine: Rows, others: list[Rows], *, doubt: bool) -> Bools:
        """Which of a member's confirmed commits nothing explains that the coordinator may have.

        An attempt explains it unless it was certainly carried out before the commit. doubt: leave
        attempts of unknown outcome out.
        """
        explaining = mine[self._explains(mine)]
        settled = explaining["confirmed"] | explaining["position"]
        last = _most(explaining["ended"][settled], BEFORE_ALL)
        sure = above["begun"] > last
        if not doubt and not bool(settled.all()):
            return np.zeros(len(above), dtype=np.bool_)
        last_us = BEFORE_ALL - 1
        for rows in others:
            theirs = rows[self._explains(rows)]
            confirmed = theirs["confirmed"]
            if not doubt and not bool(confirmed.all()):
                return np.zeros(len(above), dtype=np.bool_)
            last_us = max(last_us, _most(theirs["latest_us"][confirmed], last_us))
        if any(reset.offset == self.coordinator for reset in self.resets):
            untimed = any(r.at_us < 0 for r in self.resets if r.offset == self.coordinator)
            last_us = max(last_us, NEVER if untimed else self._last_reset())
        return np.asarray(sure & (above["earliest_us"] > last_us), dtype=np.bool_)

    def _last_reset(self) -> int:
        return max(each.at_us for each in self.resets if each.offset == self.coordinator)

    # -- two owners ------------------------------------------------------------------------

    def _double(self) -> Iterator[tuple[int, np.void]]:
        """Pairs of stints of two members in which both called a commit and had it confirmed while
        the other one was the owner too; the one that had been the owner for longer, its commit."""
        stints = [
            (int(stint["begun_earliest_us"]), index, stint, commits)
            for index, owner in enumerate(self.owners)
            for stint, commits in _committing(owner)
        ]
        stints.sort(key=lambda each: each[:2])
        open_: list[tuple[int, np.void, Rows]] = []
        for begun_us, index, stint, commits in stints:
            open_ = [each for each in open_ if int(each[1]["ended_earliest_us"]) > begun_us]
            for other, earlier, theirs in open_:
                if other != index:
                    one = _within(commits, earlier)
                    two = _within(theirs, stint)
                    if len(one) and len(two):
                        yield self.owners[other].member, two[0]
            open_.append((index, stint, commits))

    def _sample(
        self, found: ProfileFindings, anomaly: str, offset: int, member: int, at_us: int
    ) -> None:
        found.sample(
            Occurrence(
                anomaly,
                self.records.topic,
                self.records.partition,
                offset=offset,
                member=member,
                at_us=known_us(at_us),
            )
        )


def _committing(owner: Owner) -> Iterator[tuple[np.void, Rows]]:
    """The stints of a member in which commits were confirmed of which it is known when they were
    called at the earliest, with those commits."""
    commits = owner.attempts[owner.attempts["confirmed"] & owner.attempts["called"]]
    for stint in owner.stints:
        inside = (commits["ended"] > stint["begun"]) & (commits["ended"] <= stint["ended"])
        if inside.any():
            yield stint, commits[inside]


def _within(commits: Rows, stint: np.void) -> Rows:
    """The commits that were called and confirmed while another member's stint lasted."""
    return np.asarray(
        commits[
            (commits["earliest_us"] > stint["begun_latest_us"])
            & (commits["latest_us"] < stint["ended_earliest_us"])
        ]
    )


def stints_of(entries: Entries, indices: I64, span: Span) -> Rows:
    """Rows of dtype STINT of one partition; entries, span: the whole journal."""
    steps = np.asarray(entries["step"])[indices]
    offsets = np.asarray(entries["offset"], dtype=np.int64)[indices]
    turns = np.flatnonzero(of_step(steps, *TURNS))
    starts = turns[steps[turns] == Step.ASSIGNED]
    stints = np.zeros(len(starts), dtype=STINT)
    if not len(starts):
        return stints
    closed = np.flatnonzero(entries["step"] == Step.CLOSED)
    last = int(closed[-1]) if len(closed) else len(entries) - 1
    following = np.searchsorted(turns, starts, side="right")
    ended = np.append(indices[turns], last)[following]
    begun = indices[starts]
    polled = np.flatnonzero(steps == Step.POLLED)
    at = np.searchsorted(polled, starts)
    first = np.append(indices[polled], NEVER)[at]
    there = first <= ended
    handed = np.append(offsets[polled], -1)[at]
    stints["begun"], stints["ended"] = begun, ended
    stints["until"] = np.where(there, first, ended)
    stints["start"] = np.where(offsets[starts] >= 0, offsets[starts], np.where(there, handed, -1))
    stints["begun_us"] = entries["at_us"][begun]
    stints["begun_earliest_us"] = span.earliest[begun]
    stints["begun_latest_us"] = span.latest[begun]
    stints["until_latest_us"] = span.latest[stints["until"]]
    stints["ended_earliest_us"] = span.earliest[ended]
    return stints


def _least(values: I64) -> int:
    return int(values.min()) if len(values) else NEVER


def _most(values: I64, otherwise: int) -> int:
    return int(values.max()) if len(values) else otherwise


def _highest(keys: I64, values: I64, upto: I64) -> I64:
    """For each bound, the highest value of those whose key is not above it; -1 for none."""
    order = np.argsort(keys, kind="stable")
    highest = np.append(-1, np.maximum.accumulate(values[order])) if len(order) else np.array([-1])
    return np.asarray(highest[np.searchsorted(keys[order], upto, side="right")], dtype=np.int64)
