"""The one request about share groups that the harness sends itself: its bytes, and what an answer
says."""

from __future__ import annotations

import struct

import pytest
from kio.schema.describe_share_group_offsets.v0.response import (
    DescribeShareGroupOffsetsResponse,
)

from harness.kafka.share_offsets import Offsets, offsets_request, share_offsets, start_offsets
from harness.kafka.wire import decode, encode


def answer(*partitions: tuple[int, int, int], group_error: int = 0, correlation: int = 1) -> bytes:
    """(partition, start offset, error code) of topic `t` in group `g`."""
    rows = b"".join(
        struct.pack(">iqih", number, start, 7, error) + b"\0" + b"\0"
        for number, start, error in partitions
    )
    topic = b"\x02t" + bytes(16) + bytes([len(partitions) + 1]) + rows + b"\0"
    group = b"\x02g" + b"\x02" + topic + struct.pack(">h", group_error) + b"\0" + b"\0"
    return struct.pack(">i", correlation) + b"\0" + struct.pack(">i", 0) + b"\x02" + group + b"\0"


def parse_offsets(data: bytes, correlation: int) -> Offsets | None:
    return start_offsets(decode(data, DescribeShareGroupOffsetsResponse, correlation))


def test_the_request_is_what_the_protocol_says() -> None:
    assert encode(offsets_request("g", "t", [0, 2]), 5) == bytes.fromhex(
        "0000002d"  # length
        "005a0000" "00000005" "0010" + b"delivery-harness".hex() + "00"
        "02" "0267"  # one group, g
        "02" "0274"  # one topic, t
        "03" "00000000" "00000002"
        "000000"
    )  # fmt: skip


def test_start_offsets_are_read_and_those_that_are_none_left_out() -> None:
    assert parse_offsets(answer((0, 5, 0), (1, -1, 0), (2, 2**40, 0)), 1) == {
        ("t", 0): 5,
        ("t", 2): 2**40,
    }


def test_a_refusal_is_no_offset() -> None:
    assert parse_offsets(answer((0, 5, 0), group_error=16), 1) is None
    assert parse_offsets(answer((0, 5, 3)), 1) is None


@pytest.mark.parametrize("damaged", [answer((0, 5, 0), correlation=2), answer((0, 5, 0))[:-20]])
def test_what_is_no_answer_is_an_error(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        parse_offsets(damaged, 1)


def test_brokers_behind_tls_or_gone_are_no_answer() -> None:
    nowhere = {"bootstrap.servers": "127.0.0.1:1"}
    assert share_offsets(nowhere, "g", "t", [0], 1.0) is None
    assert share_offsets({**nowhere, "security.protocol": "SASL_SSL"}, "g", "t", [0], 1.0) is None
