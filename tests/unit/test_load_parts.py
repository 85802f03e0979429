"""The pure parts of the load: where records go, how reports group, what slots say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import REDACTED, UsageError
from harness.kafka.environment import HarnessEnvironment
from harness.load.client import KEYS_KEPT, Lanes
from harness.load.context import Latencies, producer_settings
from harness.load.outcomes import groups
from harness.load.pace import BATCH_MAX, TICK_US, Pace
from harness.load.schedule import Constant
from harness.load.slots import Slots
from harness.load.transaction import Transaction
from harness.record import binary as record
from harness.record.encoder import Encoder
from harness.rundir.latency import merge, read_log
from harness.rundir.load_events import LEFT_OPEN, SLOT_US
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, RunInfo
from tests.support.runs import load_plan
from tests.support.runs import profile_run as made_profile
from tests.support.runs import run_info as made_run
from tests.support.timelines import lines_of

START_US = 1_700_000_000_000_000


def run_info(profiles: list[ProfileRun]) -> RunInfo:
    load = load_plan(rate_per_s=1000, partitions=3, lag_limit_ms=100.0)
    return made_run(*profiles, run_id="r1", seed=5, load=load)


def profile_run(name: str, topics: list[str], **producer: Any) -> ProfileRun:
    return made_profile(name, *topics, producer=producer)


# -- lanes ---------------------------------------------------------------------------------


def test_records_go_over_topics_and_partitions_in_turn():
    topics, partitions, keys = Lanes([4, 7], 3, keys=0).take(12)
    assert topics.tolist() == [4, 7] * 6
    assert partitions.tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert keys is None


@given(
    count=st.integers(1, 200),
    keys=st.one_of(st.integers(1, 40), st.just(KEYS_KEPT + 3)),
    partitions=st.integers(1, 12),
    topics=st.integers(1, 3),
)
@settings(max_examples=80, deadline=None)
def test_a_key_stays_on_its_partition_however_the_records_are_taken(
    count, keys, partitions, topics
):
    lanes, at_once = (Lanes(list(range(topics)), partitions, keys) for _ in range(2))
    parts = [lanes.take(size) for size in (count // 2, count - count // 2)]
    _, all_partitions, all_keys = at_once.take(count)
    assert np.concatenate([part[1] for part in parts]).tolist() == all_partitions.tolist()
    taken = [key for part in parts for key in part[2] or []]
    assert taken == all_keys
    for partition, key in zip(all_partitions.tolist(), taken, strict=True):
        assert partition == int(key.removeprefix(b"key-")) % partitions


# -- grouping ------------------------------------------------------------------------------


@given(pairs=st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)), min_size=1))
def test_groups_hold_every_row_once_and_in_order(pairs):
    pairs += pairs[:3]
    topics = np.array([topic for topic, _ in pairs], dtype=np.uint16)
    partitions = np.array([partition for _, partition in pairs], dtype=np.uint32)
    found: dict[tuple[int, int], list[int]] = {}
    for topic, partition, rows in groups(topics, partitions):
        assert (topic, partition) not in found
        found[(topic, partition)] = np.arange(len(pairs))[rows].tolist()
    want: dict[tuple[int, int], list[int]] = {}
    for row, pair in enumerate(pairs):
        want.setdefault(pair, []).append(row)
    assert found == want


# -- encoding ------------------------------------------------------------------------------


@given(
    size=st.integers(record.MESSAGE_BYTES_MIN, 300),
    first=st.integers(0, 2**62),
    count=st.integers(1, 50),
)
@settings(max_examples=80, deadline=None)
def test_records_of_many_partitions_encode_as_one_by_one(size, first, count):
    encoder = Encoder("run", 9, size, seed=3)
    sequences = np.arange(first, first + count, dtype=np.uint64)
    topics = np.arange(count) % 5
    partitions = np.arange(count) * 70_001 % 2**32
    intended = START_US + np.arange(count)
    values = encoder.encode_rows(topics, partitions, sequences, intended)
    for row in range(count):
        (alone,) = encoder.encode(
            int(topics[row]), int(partitions[row]), int(sequences[row]), intended[row : row + 1]
        )
        assert values[row] == alone
    decoded = record.decode(values)
    assert decoded.intact.all()
    assert decoded.heads["sequence"].tolist() == sequences.tolist()
    assert decoded.heads["partition"].tolist() == partitions.tolist()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_byte_is_found(data):
    size = data.draw(st.integers(record.MESSAGE_BYTES_MIN, 130))
    encoder = Encoder("run", 1, size)
    (value,) = encoder.encode(0, 0, 77, np.array([START_US]))
    place = data.draw(st.integers(0, size - 1))
    changed = bytearray(value)
    changed[place] ^= data.draw(st.integers(1, 255))
    assert not record.decode([bytes(changed)]).intact[0]


# -- settings ------------------------------------------------------------------------------


def test_settings_are_the_profiles_with_names_filled_in_and_the_connection_over_them():
    profile = profile_run(
        "tx",
        ["t"],
        **{
            "acks": "all",
            "linger.ms": 5,
            "transactional.id": "{run_id}/{profile}/{instance}",
            "sasl.password": REDACTED,
            "ssl.key.password": REDACTED,
        },
    )
    found = producer_settings(profile, "r9", 4, {"bootstrap.servers": "b:1", "sasl.password": "s"})
    assert found == {
        "client.id": "harness-tx-4",
        "acks": "all",
        "linger.ms": 5,
        "transactional.id": "r9/tx/4",
        "bootstrap.servers": "b:1",
        "sasl.password": "s",
    }


@pytest.mark.parametrize("text", ["[1]", '{"sasl.password": "hunter2"', "x"])
def test_connection_settings_that_are_none_are_refused_without_being_shown(monkeypatch, text):
    monkeypatch.setenv("HARNESS_CLIENT_CONFIG", text)
    with pytest.raises(UsageError, match="HARNESS_CLIENT_CONFIG") as raised:
        HarnessEnvironment.read().connection("b:1")
    assert "hunter2" not in str(raised.value)


# -- slots ---------------------------------------------------------------------------------


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run")


def test_slots_say_when_attempts_were_made_and_when_they_were_answered(run_dir):
    info = run_info([profile_run("a", ["ta"]), profile_run("b", ["tb1", "tb2"])])
    slots = Slots(run_dir, info)
    base = START_US // SLOT_US * SLOT_US
    slots.attempted(2, 1, base + 1, 5, incarnation=3)
    slots.attempted(2, 1, base + SLOT_US - 1, 2, incarnation=4)
    slots.acked(2, 1, base + SLOT_US, 4, 12_345)
    slots.acked(2, 1, base + SLOT_US + 9, 1, 2_000)
    slots.failed(2, 1, base + SLOT_US, 1, "_QUEUE_FULL")
    slots.unknown(0, 0, base, 2, "_MSG_TIMED_OUT")
    slots.unknown(0, 0, base, 1, LEFT_OPEN)
    slots.flush(base + SLOT_US)
    assert list(lines_of(run_dir, "load")) == [], "a slot is written once it is over"
    slots.flush(base + 10 * SLOT_US)
    slots.flush(base + 11 * SLOT_US)
    fields = ["profile", "topic", "partition", "from_us", "attempted", "acked", "failed"]
    fields += ["unknown", "ack_ms_max"]
    events = [tuple(event[field] for field in fields) for event in lines_of(run_dir, "load")]
    assert events == [
        ("a", "ta", 0, base, 0, 0, 0, 3, 0.0),
        ("b", "tb2", 1, base, 7, 0, 0, 0, 0.0),
        ("b", "tb2", 1, base + SLOT_US, 0, 5, 1, 0, 12.345),
    ]
    reasons = ("attempted_by", "failed_by", "unknown_by")
    assert [
        {name: e[name] for name in reasons if name in e} for e in lines_of(run_dir, "load")
    ] == [
        {"unknown_by": {"_MSG_TIMED_OUT": 2, "left_open": 1}},
        {"attempted_by": {"3": 5, "4": 2}},
        {"failed_by": {"_QUEUE_FULL": 1}},
    ]


def test_equal_client_errors_become_one_event_with_their_count(run_dir):
    slots = Slots(run_dir, run_info([profile_run("a", ["ta"])]))
    slots.error("a", 1, "_MSG_TIMED_OUT", "timed out", False, 40)
    slots.error("a", 1, "_MSG_TIMED_OUT", "timed out", False, 2)
    slots.error("a", 1, "_FENCED", "fenced", True)
    slots.flush(START_US)
    slots.flush(START_US + SLOT_US)
    found = [(e["code"], e["count"], e["fatal"]) for e in lines_of(run_dir, "client_error")]
    assert found == [("_MSG_TIMED_OUT", 42, False), ("_FENCED", 1, True)]


def test_the_generators_lag_is_the_greatest_of_its_slot(run_dir):
    slots = Slots(run_dir, run_info([profile_run("a", ["ta"])]))
    base = START_US // SLOT_US * SLOT_US
    for at_us, lag_us in ((0, 300), (10, 7_000), (SLOT_US - 1, 20), (SLOT_US, 1)):
        slots.lag(base + at_us, lag_us)
    slots.flush(base + 9 * SLOT_US)
    assert [event["lag_ms_max"] for event in lines_of(run_dir, "generator")] == [7.0, 0.001]


# -- transactions --------------------------------------------------------------------------


def test_a_transactions_ranges_grow_with_each_batch():
    transaction = Transaction(1, refused_before=0)
    transaction.add({(0, 0): (5, 9), (1, 2): (0, 0)}, START_US)
    transaction.add({(0, 0): (10, 10)}, START_US + 50)
    assert transaction.ranges == {(0, 0): (5, 10), (1, 2): (0, 0)}
    assert transaction.records == 7
    assert transaction.began_us == START_US


# -- pace ----------------------------------------------------------------------------------


class _Clock:
    at_us = START_US

    def now_us(self) -> int:
        return self.at_us


class _Client:
    """Stands where a client stands, so that what the pace does can be seen step by step."""

    def __init__(self, slots: Slots) -> None:
        self.context = type("Context", (), {"clock": _Clock(), "slots": slots})()
        self.incarnation = type("Incarnation", (), {"reports": []})()
        self.room = 10**9
        self.sent: list[int] = []
        self.batches: list[int] = []

    def send(self, intended_us: np.ndarray) -> None:
        self.sent += intended_us.tolist()
        self.batches.append(len(intended_us))

    def poll(self) -> None:
        pass

    def settle(self) -> None:
        pass


@pytest.fixture
def client(run_dir: RunDir) -> _Client:
    return _Client(Slots(run_dir, run_info([profile_run("a", ["ta"])])))


def stepped(pace: Pace, client: _Client, at_us: int) -> None:
    client.context.clock.at_us = START_US + at_us
    pace.step()


def test_a_stalled_generator_sends_what_was_due_with_its_intended_times(client):
    pace = Pace(client, Constant(1000), START_US)
    stepped(pace, client, 0)
    stepped(pace, client, 500_000)
    assert client.sent == [START_US + 1000 * i for i in range(501)]


def test_records_without_room_wait_in_the_schedule(client):
    pace = Pace(client, Constant(1000), START_US)
    client.room = 0
    stepped(pace, client, 100_000)
    assert client.sent == []
    assert pace.unsent(START_US + 100_000) == 101
    client.room = 30
    stepped(pace, client, 100_000 + TICK_US)
    assert client.sent == [START_US + 1000 * i for i in range(30)]
    assert pace.behind


def test_a_client_that_catches_up_sends_bounded_batches(client):
    pace = Pace(client, Constant(100_000), START_US)
    stepped(pace, client, 100_000)
    while pace.behind:
        stepped(pace, client, 100_000)
    assert sum(client.batches) == 10_001
    assert max(client.batches) == BATCH_MAX


def test_lag_is_how_late_a_step_comes_and_a_full_client_is_no_lag(client, run_dir):
    pace = Pace(client, Constant(1000), START_US)
    client.room = 0
    for at_us in range(0, 200_000, TICK_US):
        stepped(pace, client, at_us)
    stepped(pace, client, 200_000 + 45_000)
    client.context.slots.flush(START_US, everything=True)
    assert max(event["lag_ms_max"] for event in lines_of(run_dir, "generator")) == 45.0


def test_the_producers_of_a_profile_share_its_latency_logs(tmp_path: Path) -> None:
    latencies = Latencies(tmp_path, START_US)
    first, second = latencies.of("idempotent", "ack", 1), latencies.of("idempotent", "ack", 2)
    for recorder in (first, second, latencies.of("leader-ack", "ack", 3)):
        recorder.record(np.array([START_US]), np.array([1_000]))
    latencies.close()
    counts = {path.name: int(merge(read_log(path)).sum()) for path in tmp_path.iterdir()}
    assert counts == {"idempotent.ack.1.hlog": 2, "leader-ack.ack.3.hlog": 1}
