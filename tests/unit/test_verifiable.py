"""The lines of VerifiableProducer and VerifiableConsumer: what follows from them, and what not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.history.judging import judge_files
from tests.support.verifiable_count import count
from tests.unit.test_histories import Judged, counts
from tests.unit.test_histories import judge as judge  # the fixture

STARTED = {"timestamp": 1, "name": "startup_complete"}


def success(value: str, offset: int, partition: int = 0, **more: Any) -> dict[str, Any]:
    return {"timestamp": 2, "name": "producer_send_success", "key": None, "value": value,
            "topic": "t", "partition": partition, "offset": offset, **more}  # fmt: skip


def error(value: str) -> dict[str, Any]:
    return {"timestamp": 2, "name": "producer_send_error", "key": None, "value": value,
            "topic": "t", "exception": "TimeoutException", "message": "expired"}  # fmt: skip


def record(value: str | None, offset: int, partition: int = 0, at_ms: int = 3) -> dict[str, Any]:
    return {"timestamp": at_ms, "name": "record_data", "key": None, "value": value,
            "topic": "t", "partition": partition, "offset": offset}  # fmt: skip


def consumed(first: int, last: int, number: int | None = None) -> dict[str, Any]:
    number = last - first + 1 if number is None else number
    part = {"topic": "t", "partition": 0, "count": number, "minOffset": first, "maxOffset": last}
    return {"timestamp": 3, "name": "records_consumed", "count": number, "partitions": [part]}


def test_what_was_acknowledged_and_delivered_is_kept(judge: Judged) -> None:
    sent = judge.write("p", STARTED, success("0.0", 0), success("0.1", 1))
    read = judge.write("c", STARTED, record("0.0", 0), record("0.1", 1), record("0.0", 0))
    verdict = judge(sent, read, options=("--profile", "idempotent"))
    assert judge.status == 0, verdict["reasons"]
    assert counts(verdict) == {"attempted": 2, "acked": 2, "read": 2}
    assert any(f"producer 1 is {sent} (values 0.…)" in each for each in verdict["reasons"])


def test_every_line_that_the_tools_print_is_taken(judge: Judged) -> None:
    """Names as kafka-tools 4.3.1 prints them."""
    part = {"topic": "t", "partition": 0}
    lines = [
        STARTED,
        {"timestamp": 2, "name": "partitions_assigned", "partitions": [part]},
        record("0.0", 0),
        consumed(0, 0),
        {"timestamp": 4, "name": "offsets_committed", "offsets": [{**part, "offset": 1}],
         "success": True},
        {"timestamp": 5, "name": "partitions_revoked", "partitions": [part]},
        {"timestamp": 5, "name": "shutdown_requested"},
        {"timestamp": 5, "name": "shutdown_complete"},
    ]  # fmt: skip
    judge(judge.write("p", STARTED, success("0.0", 0)), judge.write("c", *lines))
    assert judge.status == 0, judge.stderr


def test_several_files_of_each_are_one_history(judge: Judged) -> None:
    first = judge.write("p0", STARTED, success("0.0", 0), success("0.1", 3))
    second = judge.write("p1", STARTED, success("1.0", 1), error("1.1"))
    one = judge.write("c0", STARTED, record("0.0", 0), record("1.0", 1), record("5.0", 4))
    other = judge.write("c1", STARTED, record("1.1", 2), record("1.2", 5))
    verdict = judge(one, first, other, second)
    assert judge.status == 1
    assert counts(verdict) == {
        "attempted": 5, "acked": 3, "unknown": 2, "unknown_present": 2, "read": 5, "foreign": 1,
        "lost": 1,
    }  # fmt: skip
    sample = verdict["profiles"][0]["samples"][0]
    assert (sample["producer"], sample["sequence"], sample["offset"]) == (1, 1, 3)


@pytest.mark.parametrize(("beyond", "status", "anomaly"), [(0, 3, "unseen"), (1, 1, "lost")])
def test_a_missing_record_is_lost_once_a_higher_offset_was_delivered(
    beyond: int, status: int, anomaly: str, judge: Judged
) -> None:
    sent = judge.write("p", success("0.0", 0), success("0.1", 1), success("0.2", 2))
    reads = [record("0.0", 0), record("0.2", 2)] if beyond else [record("0.0", 0)]
    verdict = judge(sent, judge.write("c", *reads))
    assert judge.status == status
    assert counts(verdict)[anomaly] == 2 - beyond


def test_the_same_value_at_two_offsets_is_a_duplicate_and_again_at_one_is_not(
    judge: Judged,
) -> None:
    sent = judge.write("p", success("0.0", 0), success("0.1", 1))
    read = judge.write("c", record("0.0", 0), record("0.1", 1), record("0.1", 1), record("0.0", 2))
    assert counts(judge(sent, read))["duplicate"] == 1


def test_an_offset_that_was_delivered_with_two_values_has_vanished_once(judge: Judged) -> None:
    sent = judge.write("p", success("0.0", 0), success("0.2", 1))
    early = judge.write("c0", record("0.0", 0), record("0.1", 1, at_ms=10))
    late = judge.write("c1", record("0.2", 1, at_ms=20))
    verdict = judge(sent, late, early)
    assert counts(verdict) == {
        "attempted": 3, "acked": 2, "unknown": 1, "read": 2, "vanished": 1,
    }  # fmt: skip


def test_values_without_a_prefix_are_of_the_producer_that_has_none(judge: Judged) -> None:
    sent = judge.write("p", success("0", 0), success("1", 1))
    reads = [record("0", 0), record("1", 1), record("2", 2)]
    reads += [record(value, 3 + n) for n, value in enumerate(("0.0", "x", "01", ".1", "", None))]
    verdict = judge(sent, judge.write("c", *reads))
    assert counts(verdict) == {
        "attempted": 3, "acked": 2, "unknown": 1, "unknown_present": 1, "read": 9, "foreign": 6,
    }  # fmt: skip


def test_a_producer_that_started_again_with_its_prefix_is_another_one(judge: Judged) -> None:
    sent = judge.write(
        "p", STARTED, success("0.0", 0), success("0.1", 1), STARTED, success("0.0", 2), error("0.1")
    )
    reads = [record("0.0", 0), record("0.1", 1), record("0.0", 2), record("0.1", 3)]
    verdict = judge(sent, judge.write("c", *reads), options=("--profile", "idempotent"))
    assert judge.status == 0, verdict["reasons"]
    assert counts(verdict) == {
        "attempted": 4, "acked": 3, "unknown": 1, "unknown_present": 1, "read": 4,
    }  # fmt: skip
    verdict = judge(sent, judge.write("c", reads[0], reads[1], reads[3]))
    assert counts(verdict)["lost"] == 1, "the second 0.0, though a 0.0 was read"


def test_a_record_on_another_partition_than_acknowledged_is_misrouted(judge: Judged) -> None:
    sent = judge.write("p", success("0.0", 0), success("0.1", 1), success("0.2", 2))
    read = judge.write("c", record("0.0", 0), record("0.1", 0, partition=1), record("0.2", 2))
    found = counts(judge(sent, read))
    assert (found["misrouted"], found["lost"]) == (1, 1)


def test_with_acks_0_records_are_sent(judge: Judged) -> None:
    sent = judge.write("p", success("0.0", -1), success("0.1", -1))
    verdict = judge(sent, judge.write("c", record("0.0", 0)), options=("--profile", "leader-ack"))
    assert counts(verdict) == {"attempted": 2, "sent": 2, "read": 1, "unseen": 1}


# -- totals


def test_without_verbose_only_loss_can_be_judged(judge: Judged) -> None:
    sent = judge.write("p", success("0.0", 0), success("0.1", 1), success("0.2", 2))
    verdict = judge(sent, judge.write("c", consumed(0, 2)))
    promises = {each["promise"]: each["verdict"] for each in verdict["profiles"][0]["promises"]}
    assert promises.pop("no_lost") == "kept"
    assert promises.pop("no_vanished") == "not_applicable"
    assert set(promises.values()) == {"inconclusive"}
    verdict = judge(sent, judge.write("c", consumed(0, 0), consumed(2, 2)))
    assert judge.status == 1
    assert counts(verdict)["lost"] == 1


def test_a_total_that_leaves_offsets_out_proves_nothing(judge: Judged) -> None:
    sent = judge.write("p", success("0.0", 0), success("0.1", 1), success("0.2", 2))
    verdict = judge(sent, judge.write("c", consumed(0, 2, number=2)))
    assert judge.status == 3
    assert counts(verdict)["unseen"] == 3


def test_record_data_wins_over_the_totals_of_its_file(judge: Judged) -> None:
    sent = judge.write("p", success("0.0", 0), success("0.1", 1), success("0.2", 2))
    lines = [consumed(0, 2), record("0.0", 0), record("0.2", 2), consumed(0, 2)]
    assert counts(judge(sent, judge.write("c", *lines)))["lost"] == 1
    silent = judge.write("d", consumed(1, 1))
    assert "lost" not in counts(judge(sent, judge.write("c", *lines), silent))


@pytest.mark.parametrize(("claimed", "status"), [(2, 0), (3, 3), (1, 3)])
def test_totals_that_the_file_does_not_bear_out_make_it_inconclusive(
    claimed: int, status: int, judge: Judged
) -> None:
    totals = {"timestamp": 9, "name": "tool_data", "sent": 2, "acked": claimed}
    sent = judge.write("p", STARTED, success("0.0", 0), success("0.1", 1), totals)
    judge(sent, judge.write("c", record("0.0", 0), record("0.1", 1)))
    assert judge.status == status


# -- malformed lines


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ({"name": "producer_sent"}, 'name: "producer_sent"', "record_data"),
        ({"timestamp": 1}, "name: is missing", "record_data"),
        ({**success("0.1", 1), "offset": "1"}, 'offset: "1"', "from -1 to"),
        ({**success("0.1", 1), "offset": -2}, "offset: -2", "from -1 to"),
        ({**success("0.1", 1), "partition": None}, "partition: null", "from 0 to"),
        ({**success("0.1", 1), "value": "a"}, 'value: "a"', "<prefix>.<number>"),
        ({**success("0.1", 1), "value": 1}, "value: 1", "<prefix>.<number>"),
        ({**success("0.1", 1), "topic": ""}, 'topic: ""', "a topic's name"),
        ({**error("0.1"), "value": None}, "value: null", "<prefix>.<number>"),
        ({**record("0.1", 1), "offset": -1}, "offset: -1", "from 0 to"),
        ({"name": "record_data", "topic": "t"}, "value: is missing", "or null"),
        ({"name": "records_consumed", "count": 1}, "partitions: null", "a list"),
        ({"name": "records_consumed", "partitions": [{}]}, "partitions: {}", "minOffset"),
        ({"name": "tool_data"}, "acked: null", "acknowledged"),
    ],
)
def test_a_malformed_line_is_refused_and_lenient_skips_it(
    line: dict[str, Any], found: str, expected: str, judge: Judged
) -> None:
    path = judge.write("p", STARTED, success("0.0", 0), line, success("0.2", 2))
    read = judge.write("c", record("0.0", 0), record("0.2", 2))
    assert judge(path, read) == {}
    assert judge.status == 2
    assert f"{path}:3: {found}" in judge.stderr
    assert expected in judge.stderr.partition("expected")[2]
    verdict = judge(path, read, options=("--lenient",))
    assert judge.status == 3
    assert any(f"{path}:3: {found}" in reason for reason in verdict["reasons"])


def test_a_value_that_was_printed_twice_is_refused(judge: Judged) -> None:
    path = judge.write("p", STARTED, success("0.0", 0), error("0.1"), success("0.0", 4))
    assert judge(path) == {}
    assert f"{path}:4: value: '0.0' was printed before" in judge.stderr


def test_what_the_jvm_logs_between_the_lines_can_be_left_out(judge: Judged) -> None:
    noise = "[2026-01-01 00:00:00,000] WARN [Producer clientId=p] Got error (NetworkClient)"
    path = judge.write("p", noise, success("0.0", 0))
    verdict = judge(path, judge.write("c", record("0.0", 0)), options=("--lenient",))
    assert judge.status == 0, verdict["reasons"]


# -- against plain sets


def random_files(folder: Path, chance: random.Random) -> list[Path]:
    """What tools might print while brokers lose, write twice, and consumers read again."""
    partitions = range(chance.randint(1, 3))
    logs: dict[int, list[str]] = {each: [] for each in partitions}
    files = []
    for producer in range(chance.randint(1, 3)):
        prefix = f"{producer}." if producer or chance.random() < 0.5 else ""
        lines: list[dict[str, Any]] = [STARTED]
        for number in range(chance.randint(1, 25)):
            partition, fate = chance.choice(partitions), chance.random()
            value = f"{prefix}{number}"
            if fate < 0.75:
                lines.append(success(value, len(logs[partition]), partition))
                logs[partition].append(value if fate < 0.65 else "8.1")
            elif fate < 0.85:
                lines.append(error(value))
                logs[partition] += [value] * chance.randint(0, 2)
            else:
                logs[partition] += [value] * chance.randint(0, 1)
            if chance.random() < 0.1 and logs[partition]:
                logs[partition].append(chance.choice(logs[partition]))
        path = folder / f"p{producer}"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        files.append(path)
    for consumer in range(chance.randint(1, 2)):
        lines = [STARTED]
        for partition, log in logs.items():
            end = chance.randint(0, len(log))
            for _ in range(chance.randint(1, 2)):
                lines += [record(log[at], at, partition) for at in range(end)]
                lines.append({"timestamp": 4, "name": "records_consumed", "partitions": []})
        path = folder / f"c{consumer}"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        files.append(path)
    return files


def test_the_harness_agrees_with_plain_sets_over_random_files(tmp_path: Path) -> None:
    seen: set[str] = set()
    for seed in range(300):
        folder = tmp_path / str(seed)
        folder.mkdir()
        files = random_files(folder, random.Random(seed))
        expected = count(files)
        # A copy may come to stand on another partition: that is told apart from a duplicate.
        found = judge_files(files, None, lenient=False).profiles[0].counts
        assert {name: found[name] for name in expected} == expected, seed
        seen.update(name for name, number in expected.items() if number)
    assert seen == set(expected)
