"""What members do without brokers: their settings, what they put on record, what drains note."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaError, ShareConsumer, TopicPartition

from harness.errors import HarnessError, UsageError
from harness.members.lag import LagWatch
from harness.members.member import Member, MemberIdentity
from harness.members.process import KINDS, kind_of, new_member
from harness.profiles import load_builtin
from harness.read.pipeline_inputs import InputRows
from harness.record.binary import INPUT, with_inputs
from harness.record.encoder import Encoder
from harness.rundir.clock import Clock
from harness.rundir.consumption import read_consumption
from harness.rundir.member_journal import SYNCHRONOUS, Step, read_journals
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ConsumeRun, ProfileRun, RunInfo
from tests.support.rows import error_code
from tests.support.runs import load_plan
from tests.support.runs import run_info as made_run
from tests.support.timelines import add_line, lines_of

NOWHERE = {"bootstrap.servers": "127.0.0.1:1"}
CONSUMING = [name for name, profile in load_builtin().items() if profile.consume is not None]


def profile_run(name: str, **changed: Any) -> ProfileRun:
    profile = load_builtin()[name]
    plan = profile.consume
    assert plan is not None
    fields = {
        "mode": plan.mode,
        "protocol": plan.protocol,
        "members": plan.members,
        "processing_ms": 0.0,
        "group": "g",
        "send_offsets": plan.send_offsets,
    }
    return ProfileRun(
        profile=name,
        role="subject",
        topics=[f"{name}-{number}" for number in range(profile.topics)],
        topic_ids=[""] * profile.topics,
        producer=dict(profile.producer),
        consumer=dict(profile.consumer),
        topic=dict(profile.topic),
        promises=list(profile.promises),
        consume=ConsumeRun(**{**fields, **changed}),
    )


def run_info(*profiles: ProfileRun) -> RunInfo:
    return made_run(*profiles, run_id="run", load=load_plan(rate_per_s=1.0, partitions=3))


def member(tmp_path: Path, profile: ProfileRun, number: int = 1) -> Member:
    assert profile.consume is not None
    place = MemberIdentity(profile, profile.consume, number, 0)
    run_dir = RunDir(tmp_path)
    kind = kind_of(profile.consume.mode)
    return kind(run_dir, run_info(profile), place, Clock(), NOWHERE)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("name", CONSUMING)
def test_the_installed_client_takes_the_settings_of_every_kind_of_member(
    tmp_path: Path, name: str, protocol: str
) -> None:
    one = member(tmp_path, profile_run(name, protocol=protocol))
    kind: Any = ShareConsumer if one.consume.mode == "share" else Consumer
    one.made(kind).close()


def test_settings_that_the_client_refuses_are_named_without_a_traceback(tmp_path: Path) -> None:
    profile = profile_run("consume-at-least-once")
    profile.consumer["session.timeout.ms"] = -5
    profile.consume = ConsumeRun("commit-after", "classic", 1, 0.0, "g")
    with pytest.raises(HarnessError, match=r"consume-at-least-once: librdkafka refuses"):
        member(tmp_path, profile).made(Consumer)


def test_every_mode_has_a_kind_of_member() -> None:
    modes = {profile.consume.mode for profile in load_builtin().values() if profile.consume}
    assert modes == {*KINDS, "share"}


def test_a_profile_without_consumers_has_no_members(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.write_info(run_info(profile_run("consume-at-most-once")))
    with pytest.raises(UsageError, match="it has consume-at-most-once"):
        new_member(run_dir, "idempotent", 1, 0)


def answered(partition: int, offset: int, code: int | None = None) -> Any:
    at = TopicPartition("t", partition, offset)

    class Answer:
        partition = at.partition
        offset = at.offset
        error = None if code is None else KafkaError(code)

    return Answer()


def test_a_commit_is_on_record_as_done_refused_or_unknown(tmp_path: Path) -> None:
    one = member(tmp_path, profile_run("consume-at-least-once"))
    done = one.note_commits(
        [
            answered(0, 5),
            answered(1, 6, KafkaError.ILLEGAL_GENERATION),
            answered(2, 7, KafkaError._TRANSPORT),
            answered(0, -1001),
        ],
        None,
        SYNCHRONOUS,
    )
    assert done == {0}
    assert one.note_commits([answered(1, 8)], KafkaError(KafkaError._TIMED_OUT), 0) == set()
    one.journal.close()
    (journal,) = read_journals(tmp_path / "members", "consume-at-least-once")
    rows = [
        (Step(int(row["step"])), int(row["partition"]), int(row["offset"]), int(row["flags"]))
        for row in journal.entries
    ]
    assert rows == [
        (Step.COMMITTED, 0, 5, SYNCHRONOUS),
        (Step.COMMIT_FAILED, 1, 6, SYNCHRONOUS),
        (Step.COMMIT_UNKNOWN, 2, 7, SYNCHRONOUS),
        (Step.COMMIT_UNKNOWN, 1, 8, 0),
    ]
    assert error_code(int(journal.entries["detail"][2])) == KafkaError._TRANSPORT


class Handed:
    """A message as a drain is handed it."""

    def __init__(self, topic: str, partition: int, offset: int, value: bytes | None) -> None:
        self._fields = (topic, partition, offset, value)

    def topic(self) -> str:
        return self._fields[0]

    def partition(self) -> int:
        return self._fields[1]

    def offset(self) -> int:
        return self._fields[2]

    def value(self) -> bytes | None:
        return self._fields[3]

    def error(self) -> None:
        return None


def test_a_drain_notes_the_input_of_each_intact_output_record_and_of_no_other(
    tmp_path: Path,
) -> None:
    profile = profile_run("exactly-once-pipeline")
    info = run_info(profile)
    inputs = np.array([(0, 2, 70), (0, 2, 71)], dtype=INPUT)

    def values(run_id: str) -> list[bytes]:
        encoder = Encoder(run_id, 4, 100)
        return with_inputs(encoder.encode(1, 2, 0, np.zeros(2, dtype=np.int64)), inputs)

    ours, foreign = values("run"), values("another")
    output = profile.topics[1]
    rows = InputRows(tmp_path, info)
    rows.add([])
    rows.add(
        [
            Handed(output, 2, 11, ours[1]),  # type: ignore[list-item]
            Handed(profile.topics[0], 2, 12, ours[0]),  # type: ignore[list-item]
            Handed(output, 2, 13, foreign[0]),  # type: ignore[list-item]
            Handed(output, 2, 14, ours[0][:-1] + b"?"),  # type: ignore[list-item]
            Handed(output, 2, 15, b"short"),  # type: ignore[list-item]
            Handed(output, 2, 16, None),  # type: ignore[list-item]
            Handed(output, 2, 17, ours[0]),  # type: ignore[list-item]
        ]
    )
    (tmp_path / "part-1").mkdir()
    InputRows(tmp_path / "part-1", info).add(
        [Handed(output, 2, 18, ours[1])]  # type: ignore[list-item]
    )
    found = read_consumption(tmp_path / "members", tmp_path, info).inputs
    assert found is not None
    assert found.tolist() == [(11, 71, 2, 1, 0), (17, 70, 2, 1, 0), (18, 71, 2, 1, 0)]


def test_a_group_that_was_not_told_its_offsets_still_recovers_from_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that is late in the very round in which the fault is first seen."""
    profile = profile_run("consume-at-least-once")
    run_dir = RunDir(tmp_path)
    watch = LagWatch(run_dir, run_info(profile), NOWHERE)
    told: list[dict[tuple[str, int], int] | None] = [None, dict.fromkeys(keys(profile), 7)]
    group = watch._groups[profile.profile]
    monkeypatch.setattr(group, "committed", lambda *_: told.pop(0))
    add_line(run_dir, "fault", "chaos", fault_id="f1", fault="kill_member", phase="inject")
    try:
        for _ in range(2):
            watch._read_faults()
            watch._look(profile, dict.fromkeys(keys(profile), 7))
    finally:
        watch.stop()
    recovered = [(each["fault_id"], each["fault"]) for each in lines_of(run_dir, "recovered")]
    assert recovered == [("f1", "kill_member")]


def keys(profile: ProfileRun) -> list[tuple[str, int]]:
    return [(profile.topics[0], partition) for partition in range(3)]
