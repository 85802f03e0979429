"""Random journals against an oracle that walks them entry by entry, as the definitions say it.

What hypothesis varies: which offsets hold a record, who was handed what in which order, what was
done and committed when and by whom, the group's offsets, the drain's proof, a pipeline's output,
and journals that break off.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.anomalies import CONSUMER_ANOMALIES
from harness.reconcile.reconcile import reconcile
from harness.rundir.member_journal import SYNCHRONOUS, Step
from tests.support.histories import (
    START_US,
    Did,
    GroupAt,
    Output,
    Proof,
    acked,
    consuming,
    drained,
    run_info,
    run_record_of,
)

PARTITIONS = (0, 1)
MEMBERS = (1, 2, 3)
PLAIN = run_info([consuming()], partitions=len(PARTITIONS))
PIPELINE = run_info([consuming("transactional")], partitions=len(PARTITIONS))
TURNS = (Step.ASSIGNED, Step.REVOKED, Step.LOST)
STEPS = (
    [Step.POLLED] * 12
    + [Step.BEGIN, Step.EFFECT, Step.EFFECT] * 2
    + [Step.COMMITTED] * 3
    + [Step.COMMIT_CALLED] * 3
    + [Step.COMMIT_UNKNOWN]
    + [Step.ASSIGNED, Step.ASSIGNED, Step.REVOKED, Step.LOST, Step.COMMIT_FAILED, Step.STORED]
)


class History:
    """Random entries from one seed; hypothesis draws the seed and the sizes, and shrinks those."""

    def __init__(self, seed: int, length: int, offsets: int, pipeline: bool) -> None:
        chance = random.Random(seed)
        self.real = {
            partition: [at for at in range(offsets) if chance.random() < 0.8]
            for partition in PARTITIONS
        }
        self.proofs = {partition: chance.random() < 0.75 for partition in PARTITIONS}
        self.group = {
            partition: chance.randrange(offsets + 2)
            for partition in PARTITIONS
            if chance.random() < 0.9
        }
        self.asked = bool(self.group)
        self.waits = chance.choice([0.6, 1, 1])
        self.starts = {partition: chance.choice([0, 0, 0, 1, 2]) for partition in PARTITIONS}
        self.entries: list[Did] = []
        cursor: dict[tuple[int, int], int] = defaultdict(int)
        for place in range(length):
            member, partition = chance.choice(MEMBERS), chance.choice(PARTITIONS)
            at = (member, partition)
            step = chance.choice(STEPS)
            if step is Step.POLLED and chance.random() < 0.8:
                offset = cursor[at]
            else:
                offset = chance.randrange(offsets + 1)
            if step is Step.ASSIGNED:
                offset = -1001 if chance.random() < 0.3 else offset
                cursor[at] = max(offset, 0)
            elif step is Step.POLLED:
                cursor[at] = offset + 1
            elif step in (Step.REVOKED, Step.LOST):
                offset = -1
            answer = step in (Step.COMMITTED, Step.COMMIT_UNKNOWN, Step.COMMIT_FAILED)
            flags = SYNCHRONOUS if answer and chance.random() < self.waits else 0
            # Two entries in three have an instant of their own; the others share one.
            at_us = START_US + (place - place % 3 if chance.random() < 0.3 else place)
            self.entries.append(Did(step, offset, member, partition, flags=flags, at_us=at_us))
            if step is Step.BEGIN and chance.random() < 0.7:
                self.entries.append(Did(Step.EFFECT, offset, member, partition, at_us=at_us))
            if step is Step.COMMIT_CALLED and chance.random() < 0.7:
                end = Step.COMMITTED if chance.random() < 0.8 else Step.COMMIT_FAILED
                self.entries.append(
                    Did(end, offset, member, partition, flags=SYNCHRONOUS, at_us=at_us + 1)
                )
        self.entries += [
            Did(Step.CLOSED, member=member, at_us=START_US + length)
            for member in MEMBERS
            if chance.random() < 0.5
        ]
        _ascending(self.entries)
        self.outputs: list[Output] = []
        if pipeline:
            for partition in PARTITIONS:
                self.outputs += [
                    Output(at, chance.randrange(offsets), partition)
                    for at in range(chance.randrange(2 * offsets))
                ]
        self.pipeline = pipeline
        self.output_read = {partition: chance.random() < 0.8 for partition in PARTITIONS}

    def events(self) -> Iterator[Any]:
        for partition, offsets in self.real.items():
            end = None if not self.proofs[partition] else len(offsets) and offsets[-1] + 1
            yield Proof(
                partition,
                complete=self.proofs[partition],
                end=end,
                start=min(self.starts[partition], offsets[0] if offsets else 0),
            )
            for sequence, at in enumerate(offsets):
                yield acked(sequence, at, partition=partition)
                yield drained(sequence, at, partition=partition)
        for partition, offset in self.group.items():
            yield GroupAt(offset, partition)
        yield from self.entries
        yield from self.outputs
        if self.pipeline:
            for partition in PARTITIONS:
                yield Proof(partition, 1, complete=self.output_read[partition])


def _ascending(entries: list[Did]) -> None:
    """Let no journal's clock step back."""
    latest: dict[int, int] = defaultdict(int)
    for place, each in enumerate(entries):
        at_us = max(each.at_us or 0, latest[each.member])
        latest[each.member] = at_us
        entries[place] = Did(
            each.step, each.offset, each.member, each.partition, flags=each.flags, at_us=at_us
        )


def oracle(history: History) -> Counter[str]:
    """Each definition of docs/verification.md, section 9, entry by entry."""
    found: Counter[str] = Counter()
    for partition in PARTITIONS:
        _effects(history, partition, found)
        _owners(history, partition, found)
        for member in MEMBERS:
            journal = [each for each in history.entries if each.member == member]
            _reading(history, journal, partition, found)
    return found


def _effects(history: History, partition: int, found: Counter[str]) -> None:
    mine = [each for each in history.entries if each.partition == partition]
    effects: dict[int, list[Any]] = defaultdict(list)
    if history.pipeline:
        for output in history.outputs:
            if output.partition == partition:
                effects[output.of].append(output)
        known = history.output_read[partition]
    else:
        for each in mine:
            if each.step is Step.EFFECT:
                effects[each.offset].append(each)
        known = any(history.entries)
    further = sum(len(each) - 1 for each in effects.values())
    found["repeated"] += further
    if history.pipeline:
        found["reprocessed"] += further
    else:
        for offset, several in effects.items():
            for effect in several:
                found["reprocessed"] += _came_again(mine, offset, effect, several)
    if known and history.asked:
        found["unprocessed"] += sum(
            at < history.group.get(partition, 0) and not effects[at]
            for at in history.real[partition]
        )


def _came_again(mine: list[Did], offset: int, effect: Did, several: list[Did]) -> bool:
    journal = [each for each in mine if each.member == effect.member]
    before = [
        each
        for each in journal[: _place(journal, effect)]
        if each.offset == offset and each.step in (Step.BEGIN, Step.EFFECT)
    ]
    if not before or before[-1].step is not Step.BEGIN:
        return False
    begin = before[-1]

    def earlier(other: Did) -> bool:
        if other.member == begin.member:
            return _place(journal, other) < _place(journal, begin)
        return (other.at_us or 0) < (begin.at_us or 0)

    return any(
        each.step is Step.COMMITTED and each.flags and each.offset > offset and earlier(each)
        for each in mine
    ) and any(other is not effect and earlier(other) for other in several)


def _place(entries: list[Did], wanted: Did) -> int:
    return next(place for place, each in enumerate(entries) if each is wanted)


def _reading(history: History, journal: list[Did], partition: int, found: Counter[str]) -> None:
    real = set(history.real[partition])
    end = max(real, default=-1) + 1
    turn: Did | None = None
    expected: int | None = None
    reached: int | None = None
    position, position_known = -1, False
    for place, each in enumerate(journal):
        if each.partition != partition and each.step is not Step.CLOSED:
            continue
        if each.step in TURNS:
            turn = each
            start = each.offset if each.step is Step.ASSIGNED and each.offset >= 0 else None
            expected = reached = start
            if each.step is Step.ASSIGNED:
                position_known = start is not None
                position = max(position, start if start is not None else -1)
        elif each.step is Step.POLLED:
            position, position_known = max(position, each.offset + 1), True
            if turn is None or turn.step is not Step.ASSIGNED:
                # Without any assignment on record the group may have been assigned by hand.
                found["unassigned_read"] += any(
                    each.step is Step.ASSIGNED for each in history.entries
                )
                continue
            if expected is not None and each.offset < expected:
                found["backward_poll"] += 1
            if reached is not None:
                found["poll_skip"] += sum(at in real for at in range(reached, each.offset))
            expected = each.offset + 1
            reached = max(reached if reached is not None else 0, expected)
        elif each.step is Step.COMMITTED:
            upto, known = position, position_known
            if not each.flags:
                rest = journal[place + 1 :]
                if not any(other.step in (Step.POLLED, Step.CLOSED) for other in rest):
                    continue
                of_it = [other for other in rest if other.partition == partition]
                of_it = [other for other in of_it if other.step is not Step.CLOSED]
                while of_it and of_it[0].step is not Step.POLLED:
                    of_it.pop(0)
                while of_it and of_it[0].step is Step.POLLED:
                    upto, known = max(upto, of_it.pop(0).offset + 1), True
            if not known:
                continue
            covered = any(at in real for at in range(upto, each.offset))
            past_end = history.proofs[partition] and each.offset > max(end, upto)
            found["commit_beyond_position"] += covered or past_end


# -- who owned a partition


def _attempts(history: History, partition: int) -> list[dict[str, Any]]:
    """Every attempt to commit, as section 9.8 says it: places are those in a member's journal."""
    found = []
    for member in MEMBERS:
        journal = [each for each in history.entries if each.member == member]
        answers = (Step.COMMITTED, Step.COMMIT_FAILED, Step.COMMIT_UNKNOWN)
        call: tuple[int, Did] | None = None
        answered = True
        background = False
        mine: list[dict[str, Any]] = []

        def unanswered(call: tuple[int, Did], member: int = member) -> dict[str, Any]:
            place, each = call
            return {"member": member, "offset": each.offset, "begun": place, "ended": place,
                    "from": each.at_us, "to": None, "sure": False, "called": True,
                    "position": False}  # fmt: skip

        for place, each in enumerate(journal):
            if each.partition != partition or each.step is Step.CLOSED:
                continue
            if each.step is Step.COMMIT_CALLED:
                if call is not None and not answered:
                    mine.append(unanswered(call))
                call, answered = (place, each), False
            elif each.step in answers:
                begun, called_us, called = place, None, False
                if call is not None and call[1].offset == each.offset:
                    begun, called_us, called, answered = call[0], call[1].at_us, True, True
                elif each.flags:
                    called = True
                    before = [
                        other.at_us
                        for other in journal[:place]
                        if other.step in (*TURNS, Step.POLLED)
                    ]
                    called_us = before[-1] if before else None
                else:
                    background = True
                sure = each.step is Step.COMMITTED
                mine.append(
                    {"member": member, "offset": each.offset, "begun": begun, "ended": place,
                     "from": called_us, "to": each.at_us if sure else None, "sure": sure,
                     "called": called, "position": False}
                )  # fmt: skip
            elif each.step is Step.STORED:
                background = True
        if call is not None and not answered:
            mine.append(unanswered(call))
        if background:
            for place, each in enumerate(journal):
                if each.partition == partition and each.step in (Step.POLLED, Step.STORED):
                    offset = each.offset + (each.step is Step.POLLED)
                    mine.append(
                        {"member": member, "offset": offset, "begun": place, "ended": place,
                         "from": None, "to": None, "sure": False, "called": False,
                         "position": True}
                    )  # fmt: skip
        found += mine
    return found


def _stints(history: History, partition: int) -> list[dict[str, Any]]:
    found = []
    for member in MEMBERS:
        journal = [each for each in history.entries if each.member == member]
        for place, each in enumerate(journal):
            if each.partition != partition or each.step is not Step.ASSIGNED:
                continue
            end = len(journal) - 1
            first = None
            for later in range(place + 1, len(journal)):
                other = journal[later]
                if other.partition != partition and other.step is not Step.CLOSED:
                    continue
                if other.step in (*TURNS, Step.CLOSED):
                    end = later
                    break
                if other.step is Step.POLLED and first is None:
                    first = later
            start = each.offset if each.offset >= 0 else None
            if start is None and first is not None:
                start = journal[first].offset
            until = end if first is None else first
            found.append(
                {"member": member, "begun": place, "from": each.at_us, "ended": end,
                 "to": journal[end].at_us, "start": start, "until": until,
                 "until_us": journal[until].at_us}
            )  # fmt: skip
    return found


def _owners(history: History, partition: int, found: Counter[str]) -> None:
    attempts, stints = _attempts(history, partition), _stints(history, partition)
    real = history.real[partition]
    unsure = any(each["position"] and _may_be_unheard(history, each["member"]) for each in attempts)
    floor = min(history.starts[partition], real[0] if real else 0)
    if not history.proofs[partition]:
        floor = real[0] if real else 0
    for stint in stints:
        if stint["start"] is None or unsure:
            continue
        reach = max((each["offset"] for each in attempts if _by_then(each, stint)), default=-1)
        known = any(
            each["sure"]
            and (
                each["ended"] < stint["begun"]
                if each["member"] == stint["member"]
                else each["to"] < stint["from"]
            )
            for each in attempts
        )
        if known and reach >= floor:
            found["start_beyond_committed"] += sum(reach <= at < stint["start"] for at in real)
    if history.asked and not unsure:
        at = history.group.get(partition, -1)
        explaining = [each for each in attempts if _explains(each, at, real)]
        # Offsets are deleted together with their topic.
        kept = at >= 0 or history.proofs[partition]
        found["commit_lost"] += kept and any(
            each["sure"]
            and each["offset"] > at
            and all(_before(other, each) for other in explaining)
            for each in attempts
        )
    for place, one in enumerate(stints):
        for two in stints[place + 1 :]:
            if one["member"] != two["member"]:
                found["double_owner"] += _both(attempts, one, two) and _both(attempts, two, one)


def _may_be_unheard(history: History, member: int) -> bool:
    mine = [each.step for each in history.entries if each.member == member]
    return Step.STORED not in mine and Step.CLOSED not in mine


def _by_then(each: dict[str, Any], stint: dict[str, Any]) -> bool:
    if each["member"] == stint["member"]:
        return not each["called"] or bool(each["begun"] < stint["until"])
    return each["from"] is None or bool(each["from"] <= stint["until_us"])


def _explains(each: dict[str, Any], at: int, real: list[int]) -> bool:
    if each["offset"] == at:
        return True
    nothing = not any(each["offset"] <= record < at for record in real)
    return bool(each["position"] and each["offset"] <= at and nothing)


def _before(other: dict[str, Any], commit: dict[str, Any]) -> bool:
    """Whether an attempt was certainly carried out before a commit was called."""
    if other["member"] == commit["member"]:
        return bool((other["sure"] or other["position"]) and other["ended"] < commit["begun"])
    return bool(other["sure"] and commit["from"] is not None and other["to"] < commit["from"])


def _both(attempts: list[dict[str, Any]], mine: dict[str, Any], other: dict[str, Any]) -> bool:
    return any(
        each["member"] == mine["member"]
        and each["sure"]
        and each["called"]
        and mine["begun"] < each["ended"] <= mine["ended"]
        and each["from"] is not None
        and each["from"] > other["from"]
        and each["to"] < other["to"]
        for each in attempts
    )


SIZES = st.builds(
    History, st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 8), st.booleans()
)


def test_judging_consumers_agrees_with_the_oracle() -> None:
    @settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(SIZES)
    def compare(history: History) -> None:
        folder = Path(tempfile.mkdtemp(prefix="journals-"))
        try:
            info = PIPELINE if history.pipeline else PLAIN
            run = run_record_of(folder / "run", history.events(), info=info)
            found = reconcile(run)[0].table()
            run.close()
        finally:
            shutil.rmtree(folder)
        expected = oracle(history)
        differs = {
            name: (found[name], expected[name])
            for name in CONSUMER_ANOMALIES
            if found[name] != expected[name]
        }
        assert not differs, history.entries

    compare()


@pytest.mark.parametrize("pipeline", [False, True])
def test_the_random_journals_hold_every_anomaly(pipeline: bool) -> None:
    """A property over journals that never have an anomaly would prove nothing about it."""
    seen: Counter[str] = Counter()
    for seed in range(200):
        found = oracle(History(seed, 40, 8, pipeline))
        seen.update(name for name, count in found.items() if count)
    assert {name for name in CONSUMER_ANOMALIES if seen[name] < 5} == set()
