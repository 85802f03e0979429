"""Who coordinates whom follows from the id alone; the request that moves them is Kafka's own."""

from __future__ import annotations

import struct

import pytest
from kio.schema.alter_partition_reassignments.v0.response import AlterPartitionReassignmentsResponse

from harness.faults.roles import (
    CoordinatedClient,
    coordinating_partition,
    java_hash,
    transactional_ids,
)
from harness.kafka.reassignment import reassignment_request, refused_partitions
from harness.kafka.wire import decode, encode
from harness.rundir.fault_evidence import Election, FaultEvidence, PartitionMove, shortcomings
from tests.support.runs import load_plan, profile_run, run_info


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        # From the definition in java.lang.String, and values that Java prints.
        ("", 0),
        ("a", 97),
        ("hello", 99162322),
        ("polygenelubricants", -(2**31)),
        ("\U0001f600", 55357 * 31 + 56832),  # two UTF-16 code units
    ],
)
def test_a_text_has_the_hash_that_java_gives_it(text: str, hashed: int) -> None:
    assert java_hash(text) == hashed


@pytest.mark.parametrize(
    ("name", "partitions", "partition"),
    [("hello", 50, 99162322 % 50), ("polygenelubricants", 50, 0), ("a", 3, 97 % 3)],
)
def test_an_id_belongs_to_the_partition_of_its_positive_hash(
    name: str, partitions: int, partition: int
) -> None:
    assert coordinating_partition(name, partitions) == partition


def test_a_negative_hash_is_made_positive_before_the_remainder_is_taken() -> None:
    name = "harness-0"
    assert java_hash(name) < 0
    assert coordinating_partition(name, 3) == -java_hash(name) % 3


def test_every_instance_of_a_transactional_profile_has_an_id_of_its_own() -> None:
    profiles = [
        profile_run("t", "x", producer={"transactional.id": "h-{instance}"}),
        profile_run("plain", "y"),
    ]
    info = run_info(*profiles, load=load_plan(producers=2))
    assert transactional_ids(info) == [
        CoordinatedClient("h-0", "t", "r"),
        CoordinatedClient("h-1", "t", "r"),
    ]


def parse(data: bytes, correlation: int) -> dict[tuple[str, int], str]:
    return refused_partitions(decode(data, AlterPartitionReassignmentsResponse, correlation))


def test_the_request_holds_each_partition_with_its_replicas_in_order() -> None:
    sent = encode(reassignment_request({("t", 2): [3, 1]}, 0.5), 7)
    assert struct.unpack_from(">ihhi", sent) == (len(sent) - 4, 45, 0, 7)
    assert sent.endswith(
        struct.pack(">i", 500) + b"\x02\x02t\x02" + struct.pack(">i", 2)
        + b"\x03" + struct.pack(">ii", 3, 1) + b"\0\0\0"
    )  # fmt: skip


def test_a_refused_partition_is_named_with_the_brokers_words() -> None:
    partition = struct.pack(">ih", 2, 39) + b"\x04bad\0"
    answer = (
        struct.pack(">i", 7) + b"\0" + struct.pack(">ih", 0, 0) + b"\0\x02\x02t\x02" + partition
    )
    assert parse(answer + b"\0\0", 7) == {("t", 2): "error 39 bad"}
    with pytest.raises(ValueError, match="cut short"):
        parse(answer[:-3], 7)
    with pytest.raises(ValueError, match="not an answer"):
        parse(answer + b"\0\0", 8)


@pytest.mark.parametrize(
    ("after", "missing"), [((2, 6), 0), ((1, 6), 1), ((2, 5), 1), ((-1, 5), 1)]
)
def test_an_election_took_effect_when_another_broker_leads_in_a_newer_epoch(
    after: tuple[int, int], missing: int
) -> None:
    evidence = FaultEvidence(moves_leader=True, graceful=False)
    evidence.elections = [Election("__transaction_state", 0, 2, "now")]
    evidence.partitions = [PartitionMove("__transaction_state", 0, 1, 5, *after)]
    assert len(shortcomings(evidence)) == missing
