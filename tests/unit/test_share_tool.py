"""The lines of VerifiableShareConsumer: deliveries in no order, and acknowledgements."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.test_histories import Judged, counts
from tests.unit.test_histories import judge as judge  # the fixture
from tests.unit.test_verifiable import STARTED, record, success

STRATEGY = {"timestamp": 1, "name": "offset_reset_strategy_set", "offsetResetStrategy": "earliest"}


def of_offsets(name: str, *offsets: Any, **more: Any) -> dict[str, Any]:
    """An event with the offsets of one partition, as kafka-tools 4.3.1 prints it."""
    part = {"topic": "t", "partition": 0, "count": len(offsets), "offsets": list(offsets)}
    return {"timestamp": 3, "name": name, "count": len(offsets), "partitions": [part], **more}


def acknowledged(*offsets: Any, success: bool | None = True, **more: Any) -> dict[str, Any]:
    return of_offsets("offsets_acknowledged", *offsets, success=success, **more)


def told(verdict: dict[str, Any], words: str) -> bool:
    return any(words in each for each in verdict["reasons"])


def test_every_line_that_a_share_consumer_prints_is_taken(judge: Judged) -> None:
    sent = judge.write("p", STARTED, success("0.0", 0), success("0.1", 1))
    read = judge.write(
        "s", STARTED, STRATEGY, record("0.1", 1), record("0.0", 0),
        of_offsets("records_consumed", 1, 0), acknowledged(0, 1),
        acknowledged(1, success=False, error="InvalidRecordStateException"), record("0.1", 1),
        {"timestamp": 9, "name": "shutdown_complete"},
    )  # fmt: skip
    verdict = judge(sent, read, options=("--profile", "share-group"))
    assert judge.status == 3, verdict["reasons"]
    assert counts(verdict) == {"attempted": 2, "acked": 2, "read": 2}
    assert told(verdict, "acknowledged 2 records, 1 without success")


def test_a_record_that_a_share_group_did_not_hand_over_is_not_lost(judge: Judged) -> None:
    sent = judge.write("p", STARTED, *(success(f"0.{n}", n) for n in range(3)))
    shared = judge.write("s", STARTED, STRATEGY, record("0.0", 0), record("0.2", 2))
    verdict = judge(sent, shared, options=("--profile", "at-least-once"))
    assert judge.status == 3
    assert counts(verdict)["unseen"] == 1
    assert told(verdict, "in no order")


def test_a_consumer_that_read_as_far_shows_the_loss_all_the_same(judge: Judged) -> None:
    sent = judge.write("p", STARTED, *(success(f"0.{n}", n) for n in range(3)))
    shared = judge.write("s", STARTED, STRATEGY, record("0.0", 0), record("0.2", 2))
    read = judge.write("c", STARTED, record("0.0", 0), record("0.2", 2))
    verdict = judge(sent, shared, read, options=("--profile", "at-least-once"))
    assert judge.status == 1
    assert counts(verdict)["lost"] == 1


def test_without_verbose_the_offsets_say_what_was_handed_over(judge: Judged) -> None:
    sent = judge.write("p", STARTED, *(success(f"0.{n}", n) for n in range(4)))
    shared = judge.write("s", STARTED, of_offsets("records_consumed", 3, 0, 1), acknowledged(0, 1))
    verdict = judge(sent, shared, options=("--profile", "at-least-once"))
    assert judge.status == 3
    assert counts(verdict) == {"attempted": 4, "acked": 4, "read": 3, "unseen": 1}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (acknowledged("a"), "partitions"),
        (acknowledged(-1), "partitions"),
        (acknowledged(0, success=None), "success"),
        (of_offsets("records_consumed", True), "partitions"),
        ({**acknowledged(0), "partitions": None}, "partitions"),
        ({**acknowledged(0), "partitions": [{"topic": 1, "partition": 0, "count": 0,
                                             "offsets": []}]}, "partitions"),
        ({**acknowledged(0), "partitions": [{"topic": "t", "partition": 0, "count": 2,
                                             "offsets": [0]}]}, "partitions"),
    ],
)  # fmt: skip
def test_a_malformed_line_of_a_share_consumer_is_refused(
    line: dict[str, Any], says: str, judge: Judged
) -> None:
    path = judge.write("s", STARTED, STRATEGY, line)
    assert judge(path) == {}
    assert judge.status == 2
    assert f"{path}:3: {says}" in judge.stderr
