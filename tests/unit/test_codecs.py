"""Every codec keeps the one interface, with values of one length and of many."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.arrays import Rows
from harness.errors import HarnessError
from harness.record.codec import ANY_PARTITION, IDENTITY, Codec, Decoded, run_hash
from harness.record.codecs import CODECS, codec_named
from harness.record.encoder import Encoder
from harness.record.json_codec import MESSAGE_BYTES_MIN, canonical, checksum
from harness.record.uuid8 import UUID
from harness.replicas.dead_logs import note_dead_logs
from harness.replicas.search import Wanted, search_replicas
from harness.rundir.observations import ObservationSet
from harness.rundir.read_batch import ReadBatch
from harness.rundir.replicas import Copy
from harness.rundir.rows import Written, checked_extras
from harness.rundir.run_info import ConsumeRun, RunInfo, problem_of
from tests.support.log_files import batch, replica
from tests.support.runs import load_plan, profile_run
from tests.support.runs import run_info as made_run

RUN = "20260101-000000-abcd"
JSON = CODECS["json"]
BYTES = 300
START_US = 1_700_000_000_000_000
KNOWN = (
    b'{"checksum":"5b5c7003ffab2e2b","id":"c2bb6e51-0001-8402-8002-400000000007",'
    b'"payload":{"text":""},"sent_us":1700000000000000}'
)
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))


def values(codec: Codec, first: int = 0, count: int = 1, partition: int = 9) -> list[bytes]:
    times = START_US + np.arange(count)
    return Encoder(RUN, 5, BYTES, 3, codec).encode(2, partition, first, times)


@every_codec
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_identity_within_the_limits_survives(codec: Codec, data: st.DataObject) -> None:
    limits = codec.limits
    incarnation = data.draw(st.integers(0, limits.incarnation_max))
    topic = data.draw(st.integers(0, limits.topic_max))
    partition = data.draw(st.one_of(st.integers(0, limits.partition_max), st.just(ANY_PARTITION)))
    first = data.draw(st.integers(0, limits.sequence_max - 2))
    at_us = data.draw(st.integers(0, 2**63 - 1))
    size = data.draw(st.integers(codec.message_bytes_min, BYTES))
    encoder = Encoder(RUN, incarnation, size, 1, codec)
    decoded = codec.decode(encoder.encode(topic, partition, first, np.full(3, at_us)))
    assert decoded.intact.all()
    for number, head in enumerate(decoded.heads):
        assert int(head["run"]) == codec.run_number(RUN)
        assert int(head["incarnation"]) == incarnation
        assert int(head["topic"]) == topic
        assert int(head["partition"]) == partition
        assert int(head["sequence"]) == first + number
        assert int(head["intended_us"]) == at_us


@every_codec
def test_records_of_many_lanes_encode_as_one_by_one(codec: Codec) -> None:
    count = 600
    sequences = np.arange(10, 10 + count, dtype=np.uint64)
    topics, partitions = np.arange(count) % 5, np.arange(count)[::-1] % 7
    intended = START_US + np.arange(count)
    encoder = Encoder(RUN, 3, BYTES, 5, codec)
    together = encoder.encode_rows(topics, partitions, sequences, intended)
    for row in (0, 255, 256, 257, count - 1):
        at, one = (int(topics[row]), int(partitions[row])), slice(row, row + 1)
        assert encoder.encode_rows(*at, sequences[one], intended[one]) == [together[row]]


@every_codec
def test_every_change_of_one_bit_is_found(codec: Codec) -> None:
    (value,) = values(codec)
    for bit in range(len(value) * 8):
        changed = bytearray(value)
        changed[bit // 8] ^= 1 << bit % 8
        assert not codec.decode([bytes(changed)]).intact[0], bytes(changed)


@every_codec
def test_a_damaged_value_is_not_intact_and_its_neighbours_are(codec: Codec) -> None:
    good = values(codec, 0, 2)
    cut, longer, swapped = good[1][:-1], good[1] + b"x", good[0][:60] + good[1][60:]
    damaged: list[bytes | None] = [None, b"", b"x" * 100, b"{}", b"[1]", b"\xff", cut, longer]
    for value in (*damaged, swapped, b"[" * 100_000):
        assert codec.decode([good[0], value, good[1]]).intact.tolist() == [True, False, True]
    assert len(codec.decode([]).heads) == 0


@every_codec
def test_numbers_beyond_the_limits_are_refused(codec: Codec) -> None:
    with pytest.raises(HarnessError, match=r"incarnation \d+ does not fit"):
        Encoder(RUN, codec.limits.incarnation_max + 1, BYTES, 0, codec)
    with pytest.raises(ValueError, match=f"{codec.message_bytes_min - 1} bytes cannot hold"):
        Encoder(RUN, 1, codec.message_bytes_min - 1, 0, codec)


@pytest.mark.parametrize(
    ("name", "topic", "partition", "sequence"),
    [
        ("topic", 1024, 0, 0),
        ("partition", 0, 65_535, 0),
        ("partition", 0, -1, 0),
        ("sequence", 0, 0, 2**46),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_json_refuses_what_its_uuid_cannot_hold(
    name: str, topic: int, partition: int, sequence: int, many: bool
) -> None:
    encoder = Encoder(RUN, 1, BYTES, 0, JSON)
    where: tuple[Any, Any] = (
        (np.array([topic]), np.array([partition])) if many else (topic, partition)
    )
    sequences = np.array([sequence], dtype=np.uint64)
    with pytest.raises(HarnessError, match=f"{name} -?\\d+ does not fit"):
        encoder.encode_rows(*where, sequences, np.zeros(1, dtype=np.int64))


def test_the_bits_of_the_uuid_stand_where_the_table_says() -> None:
    encoder = Encoder(RUN, 0b10_0000_0000_0000_0101, BYTES, 0, JSON)
    (value,) = encoder.encode(0b10_0000_0001, 0x8001, 2**45 + 1, np.array([START_US]))
    text = json.loads(value)["id"]
    number = uuid.UUID(text)
    assert UUID.fullmatch(text)
    assert (number.version, number.variant) == (8, uuid.RFC_4122)
    assert text == str(number)
    bits = f"{number.int:0128b}"
    assert int(bits[:32], 2) == run_hash(RUN) >> 32
    assert bits[32:48] + bits[52:54] == "10_0000_0000_0000_0101".replace("_", "")
    assert bits[48:52] == "1000"
    assert bits[54:64] == "1000000001"
    assert bits[64:66] == "10"
    assert bits[66:82] == "1000000000000001"
    assert bits[82:] == f"{2**45 + 1:046b}"


def test_a_json_value_of_a_known_record_never_changes() -> None:
    """Runs recorded by another version must still verify."""
    encoder = Encoder(RUN, 5, MESSAGE_BYTES_MIN, 0, JSON)
    assert encoder.encode(2, 9, 7, np.array([START_US])) == [KNOWN]


def test_json_values_have_many_lengths_around_the_one_asked_for() -> None:
    sizes = [len(value) for value in values(JSON, 0, 256)]
    assert len(set(sizes)) > 100
    assert abs(sum(sizes) / len(sizes) - BYTES) < 25
    assert values(JSON, 0, 20) == values(JSON, 0, 20)


def test_an_event_that_was_parsed_and_written_anew_is_intact() -> None:
    (value,) = values(JSON)
    event = json.loads(value)
    turned = {name: event[name] for name in reversed(event)}
    for again in (json.dumps(turned, indent=2), json.dumps(event, ensure_ascii=False)):
        assert JSON.decode([again.encode()]).heads == JSON.decode([value]).heads
        assert JSON.decode([again.encode()]).intact[0]


def test_an_event_with_a_payload_of_an_application_is_intact() -> None:
    identity = json.loads(values(JSON)[0])["id"]
    payload = {"task": "naïve 𝄞 \ud800", "done": False, "tags": [1, None, {}], "é": -3}
    body = {"id": identity, "payload": payload, "sent_us": START_US}
    event = {**body, "checksum": checksum(canonical(body))}
    assert JSON.decode([json.dumps(event).encode()]).intact[0]
    for name, other in (("payload", {**payload, "done": 0}), ("sent_us", START_US + 1)):
        assert not JSON.decode([json.dumps({**event, name: other}).encode()]).intact[0]


@pytest.mark.parametrize(
    "change",
    [
        ('"payload":', '"payload":1,"payload":'),
        ('"sent_us":', '"more":1,"sent_us":'),
        ('"id":"', '"id":"0'),
        ('-8402-', '-7402-'),
        ('"sent_us":17', '"sent_us":-17'),
        ('"sent_us":1700000000000000', '"sent_us":"1700000000000000"'),
        ('"sent_us":1700000000000000', '"sent_us":true'),
        ('"payload":{"text":""}', '"payload":1.5'),
        ('"payload":{"text":""}', '"payload":NaN'),
    ],
)  # fmt: skip
def test_what_is_no_such_event_is_not_intact_whatever_its_checksum(change: tuple[str, str]) -> None:
    body = KNOWN.decode().replace('"checksum":"5b5c7003ffab2e2b",', "").replace(*change)
    assert body != KNOWN.decode()
    # What anybody would sum who takes the text as it is.
    sums = {checksum(body.encode())}
    with contextlib.suppress(ValueError):
        sums.add(checksum(canonical(json.loads(body))))
    for each in sums:
        assert not JSON.decode([f'{{"checksum":"{each}",{body[1:]}'.encode()]).intact[0]


@every_codec
def test_a_pattern_stands_in_its_own_value_alone(codec: Codec) -> None:
    made = values(codec, 0, 300) + values(codec, 0, 300, partition=8)
    heads = codec.decode(made).heads
    pattern = codec.pattern(heads[7])
    assert pattern is not None
    assert pattern in made[7]
    assert [at for at, value in enumerate(made[:300]) if pattern in value] == [7]


class Patternless:
    """The JSON codec without bytes to look for, but for some identities."""

    def __getattr__(self, name: str) -> object:
        return getattr(JSON, name)

    def pattern(self, head: np.void) -> bytes | None:
        return None if int(head["sequence"]) == 3 else JSON.pattern(head)


@pytest.mark.parametrize("codec", [*CODECS.values(), Patternless()])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_records_are_found_in_log_files(codec: Codec, compression: str, tmp_path: Path) -> None:
    torn = values(codec, 3)[0][:-1]
    parts = [
        batch(0, values(codec, 0, 9), codec=compression),
        batch(9, [torn, *values(codec, 3, 1, partition=8)], codec=compression),
        batch(11, values(codec, 9, 3), epoch=4, codec=compression),
    ]
    replica(tmp_path, "t", parts, [(0, 0), (4, 11)])
    wanted = [Wanted("t", 2, 0, 5, 10), Wanted("t", 2, 0, 5, 3), Wanted("t", 2, 0, 6, 3)]
    # What the log files of partition 0 hold says that it is of partition 9 or 8.
    _, sought = search_replicas(wanted, [1], lambda _: tmp_path, RUN, codec)
    assert [each.found for each in sought] == [[], [], []]
    replica(tmp_path, "t", [batch(0, values(codec, 3, 2, partition=0), codec=compression)], [])
    _, sought = search_replicas(wanted, [1], lambda _: tmp_path, RUN, codec)
    assert [each.found for each in sought] == [[], [Copy(1, 0, 0, True)], []]
    _, sought = search_replicas(wanted, [1], lambda _: tmp_path, "another-run", codec)
    assert [each.found for each in sought] == [[], [], []]


@every_codec
def test_what_a_dead_leader_alone_held_is_noted(codec: Codec, tmp_path: Path) -> None:
    mine, other = tmp_path / "1", tmp_path / "2"
    replica(mine, "t", [batch(0, values(codec, 0, 9))], [(0, 0)])
    replica(other, "t", [batch(0, values(codec, 0, 5))], [(0, 0), (2, 5)])
    folders = {1: mine, 2: other}
    (noted,) = note_dead_logs("f", 1, [(("t", 0), 2)], lambda b: folders[b], RUN, codec)
    (only,) = noted.stranded
    assert (only.producer, only.first_sequence, only.last_sequence) == (5, 5, 8)


def run_info(codec: str, partitions: int = 3, topics: int = 2, mode: str = "") -> RunInfo:
    names = [f"harness-r-{number}" for number in range(topics)]
    profile = profile_run("p", *names)
    if mode:
        profile.consume = ConsumeRun(mode, "classic", 1, 0.0, "g")
    plan = load_plan(message_bytes=BYTES, partitions=partitions, codec=codec)
    return made_run(profile, run_id=RUN, load=plan)


@every_codec
def test_observations_are_of_the_runs_own_codec(codec: Codec, tmp_path: Path) -> None:
    info = run_info(codec.name)
    encoder, other = (Encoder(run, 1, BYTES, 0, codec) for run in (RUN, "another-run"))
    times = np.full(3, START_US)
    read = [*encoder.encode(0, 1, 0, times), *encoder.encode(0, 2, 0, times[:1]),
            *other.encode(0, 1, 7, times[:1]), b"{}"]  # fmt: skip
    count = len(read)
    with ObservationSet(tmp_path / "set", info, kind="drained") as written:
        places = (np.full(count, 0), np.full(count, 1), np.arange(count))
        written.add(ReadBatch(codec.decode(read), *places, lambda at: [0] * len(at)))
    counts = written.counts
    assert (counts.cells, counts.misrouted, counts.foreign, counts.corrupt) == (3, 1, 1, 1)
    rows = checked_extras(tmp_path / "set", info, Written(True, counts))
    assert rows["run"].tolist() == [
        codec.run_number(RUN), codec.run_number("another-run"), 0
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        (run_info("binary", 65_536), ""),
        (run_info("json", 65_535, 1024), ""),
        (run_info("json", mode="commit-after"), ""),
        (run_info("binary", mode="transactional"), ""),
        (run_info("avro"), "load.codec: 'avro' is no codec"),
        (run_info("json", 65_536), "load.partitions: 65536; the json codec accepts at most 65535"),
        (run_info("json", 1, 1025), "profiles: 1025 topics; the json codec accepts at most 1024"),
        (run_info("json", mode="transactional"), "load.codec: 'json', and profile p is a pipeline"),
    ],
)
def test_a_run_that_its_codec_cannot_carry_is_refused(info: RunInfo, problem: str) -> None:
    found = problem_of(info)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_a_codec_that_nobody_knows_is_named() -> None:
    with pytest.raises(ValueError, match="'avro' is no codec; known are binary, json"):
        codec_named("avro")


@every_codec
def test_heads_have_the_fields_of_every_identity(codec: Codec) -> None:
    decoded: Decoded = codec.decode(values(codec, 0, 3))
    heads: Rows = decoded.heads
    for name in IDENTITY.names or ():
        assert heads[name].dtype == IDENTITY[name]
    assert codec.own_heads is None or (codec.own_heads(values(codec, 0, 3)) == heads).all()
