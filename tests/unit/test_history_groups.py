"""Histories of several groups and topics, of members without instants, and of pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.reconcile.consumers.entry_times import NEVER, span_of
from harness.rundir.member_journal import ENTRY
from tests.unit.test_histories import Judged, counts
from tests.unit.test_histories import judge as judge  # the fixture

T = 1_700_000_000_000_000
LINES = {"assigned": "assignment", "revoked": "assignment", "lost": "assignment",
         "polled": "processing", "begin": "processing", "effect": "processing",
         "called": "commit", "committed": "commit", "unknown": "commit", "failed": "commit",
         "closed": "member"}  # fmt: skip


def did(step: str, offset: int | None = None, at: int | None = None, **more: Any) -> dict[str, Any]:
    """A line of member 1 about partition 0 of topic t, at T + at."""
    kind = LINES[step]
    line: dict[str, Any] = {"type": kind, "member": 1, "step": step}
    if kind != "member":
        line |= {"topic": "t", "partition": 0}
    if kind == "commit":
        line["synchronous"] = True
    if offset is not None:
        line["offset"] = offset
    if at is not None:
        line["at_us"] = T + at
    return {**line, **more}


def records(count: int, topic: str = "t", partition: int = 0) -> list[dict[str, Any]]:
    """Records that were acknowledged and read twice, live and by the drain."""
    where = {"producer": 1, "topic": topic, "partition": partition}
    return [
        line
        for n in range(count)
        for line in (
            {"type": "attempt", **where, "sequence": n, "outcome": "acked", "offset": n},
            {"type": "observation", **where, "sequence": n, "offset": n, "set": "live"},
            {"type": "observation", **where, "sequence": n, "offset": n},
        )
    ]


def group_at(offset: int, **more: Any) -> dict[str, Any]:
    return {"type": "group_offset", "topic": "t", "partition": 0, "offset": offset, **more}


def promise(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    found = (each for each in verdict["profiles"][0]["promises"] if each["promise"] == name)
    return dict(next(found))


CONSUME = ("--profile", "consume-at-least-once")


@pytest.mark.parametrize(
    ("at_us", "earliest", "latest"),
    [
        ([3, 4, 9], [3, 4, 9], [3, 4, 9]),
        ([-1, 4, -1, 9, -1], [-1, 4, 4, 9, 9], [4, 4, 9, 9, NEVER]),
        ([-1, -1], [-1, -1], [NEVER, NEVER]),
        ([5, 3, 7], [3, 3, 7], [5, 5, 7]),
    ],
)
def test_an_entry_without_an_instant_lies_between_its_neighbours(
    at_us: list[int], earliest: list[int], latest: list[int]
) -> None:
    entries = np.zeros(len(at_us), dtype=ENTRY)
    entries["at_us"] = at_us
    span = span_of(entries)
    assert span.earliest.tolist() == earliest
    assert span.latest.tolist() == latest


def one_after_the_other(last_at: int | None) -> list[dict[str, Any]]:
    """Member 1 commits 3 at T + 20; then member 2, whose commit of 1 may lack its instant."""
    two = {"member": 2}
    return [
        *records(3), did("assigned", 0, 1), did("polled", 0, 2), did("polled", 1, 2),
        did("polled", 2, 2), did("begin", 0, 3), did("effect", 0, 4), did("committed", 3, 20),
        did("assigned", 0, 10, **two), did("polled", 0, 11, **two), did("begin", 0, 12, **two),
        did("effect", 0, 13, **two), did("committed", 1, last_at, **two),
    ]  # fmt: skip


@pytest.mark.parametrize(("last_at", "status"), [(21, 3), (19, 1), (20, 3), (None, 3)])
def test_which_commit_was_the_last_one_follows_from_instants_that_differ(
    last_at: int | None, status: int, judge: Judged
) -> None:
    lines = one_after_the_other(last_at)
    verdict = judge(judge.write("h", *lines), options=CONSUME)
    assert judge.status == status, verdict["reasons"]
    # Member 1's commit is the last one for certain only when member 2's came before it.
    assert counts(verdict).get("unprocessed", 0) == (2 if last_at == 19 else 0)
    open_ = promise(verdict, "no_unprocessed")["verdict"]
    assert open_ == {21: "kept", 19: "broken"}.get(last_at or 0, "inconclusive")


@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_lines_of_two_members_decides_nothing(reverse: bool, judge: Judged) -> None:
    lines = one_after_the_other(20)
    if reverse:
        lines = [each for each in lines if each.get("member") == 2] + [
            each for each in lines if each.get("member") != 2
        ]
    judge(judge.write("h", *lines), options=CONSUME)
    assert judge.status == 3


def test_a_member_of_one_group_is_not_one_of_another(judge: Judged) -> None:
    def member(group: str, *done: int) -> list[dict[str, Any]]:
        lines = [did("assigned", 0, 1), did("polled", 0, 2), did("polled", 1, 3)]
        lines += [did(step, n, 4 + n) for n in done for step in ("begin", "effect")]
        return [{**line, "group": group} for line in [*lines, did("committed", 2, 9)]]

    whole = [*records(2), *member("a", 0, 1), *member("b", 0, 1)]
    offsets = [group_at(2, group="a"), group_at(2, group="b")]
    verdict = judge(judge.write("whole", *whole, *offsets), options=CONSUME)
    assert judge.status == 0, verdict["reasons"]
    assert verdict["profiles"][0]["consume"]["members"] == 2
    skips = [*records(2), *member("a", 0, 1), *member("b", 0)]
    verdict = judge(judge.write("skips", *skips, *offsets), options=CONSUME)
    assert counts(verdict)["unprocessed"] == 1
    without = judge(judge.write("without", *whole, offsets[0]), options=CONSUME)
    assert judge.status == 3
    assert any("group b" in each for each in without["reasons"])


def pipeline(*outputs: dict[str, Any]) -> list[dict[str, Any]]:
    """Inputs of two partitions and the output records that were made of them."""
    lines: list[dict[str, Any]] = []
    for producer, (topic, partition, count) in enumerate(
        [("in", 0, 1), ("in", 1, 1), ("out", 0, len(outputs))], 1
    ):
        where = {"producer": producer, "topic": topic, "partition": partition}
        lines += [
            {"type": "attempt", **where, "sequence": n, "outcome": "acked", "offset": n,
             "transaction": 1}
            for n in range(count)
        ]  # fmt: skip
        lines += [
            {"type": "transaction", "producer": producer, "transaction": 1, "step": step,
             "at_us": T + at}
            for at, step in enumerate(("begin", "commit_called", "committed"))
        ]  # fmt: skip
        for n in range(count):
            named = {"input_topic": "in", **outputs[n]} if topic == "out" else {}
            lines.append({"type": "observation", **where, "sequence": n, "offset": n, **named})
        end = {"complete": True, "end": count + 1, "last_stable": count + 1}
        lines.append({"type": "drain", "topic": topic, "partition": partition, **end})
    for partition in (0, 1):
        more: dict[str, Any] = {"topic": "in", "partition": partition}
        lines += [did("assigned", 0, 5, **more), did("polled", 0, 6, **more)]
        lines += [did("committed", 1, 9, **more), group_at(1, **more)]
    return lines


PIPELINE = ("--profile", "exactly-once-pipeline")


def test_a_pipeline_that_repartitions_is_judged_by_the_partition_of_the_input(
    judge: Judged,
) -> None:
    right = [{"input_partition": 0, "input_offset": 0}, {"input_partition": 1, "input_offset": 0}]
    verdict = judge(judge.write("right", *pipeline(*right)), options=PIPELINE)
    assert promise(verdict, "no_repeated")["verdict"] == "kept", verdict["reasons"]
    assert promise(verdict, "no_unprocessed")["verdict"] == "kept"
    twice = judge(judge.write("twice", *pipeline(right[0], right[0])), options=PIPELINE)
    assert judge.status == 1
    assert (counts(twice)["repeated"], counts(twice)["unprocessed"]) == (1, 1)


def test_without_the_partition_of_the_input_nothing_is_called_repeated(judge: Judged) -> None:
    unsaid = [{"input_offset": 0}, {"input_offset": 0}]
    verdict = judge(judge.write("unsaid", *pipeline(*unsaid)), options=PIPELINE)
    assert "repeated" not in counts(verdict)
    for name in ("no_repeated", "no_unprocessed", "no_reprocessed"):
        assert promise(verdict, name)["verdict"] == "inconclusive"
        assert "input_partition" in promise(verdict, name)["reason"]


def test_a_reset_without_an_instant_may_have_come_at_any_time(judge: Judged) -> None:
    lines = [*records(2), did("assigned", 0, 1), did("polled", 0, 2), did("polled", 1, 2)]
    lines += [did(step, n, 3 + n) for n in (0, 1) for step in ("begin", "effect")]
    lines += [did("called", 2, 8), did("committed", 2, 9), group_at(1)]
    reset = {"type": "group_reset", "topic": "t", "partition": 0, "offset": 1}
    judge(judge.write("reset", *lines, reset), options=CONSUME)
    assert judge.status == 0
    judge(judge.write("none", *lines), options=CONSUME)
    assert judge.status == 1
    judge(judge.write("other", *lines, {**reset, "offset": 0}), options=CONSUME)
    assert judge.status == 1
