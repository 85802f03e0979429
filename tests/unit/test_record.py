"""Identity in bytes: what is encoded is decoded, and no change of a value goes unnoticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.binary import (
    HEAD,
    HEAD_BYTES,
    INPUT,
    MESSAGE_BYTES_MIN,
    OUTPUT_BYTES_MIN,
    checksums,
    decode,
    inputs_of,
    with_inputs,
)
from harness.record.codec import run_hash
from harness.record.encoder import Encoder

SIZES = (48, 49, 50, 51, 52, 100, 1024)
KNOWN_CHECKSUMS = ["0xfa401311552bb8", "0x945e6d5c2a84099c"]


def intended(count: int, start: int = 1_700_000_000_000_000) -> npt.NDArray[np.uint64]:
    return np.arange(start, start + count, dtype=np.uint64)


def test_the_head_takes_forty_eight_bytes_in_the_documented_places() -> None:
    places = {name: HEAD.fields[name][1] for name in HEAD.names}  # type: ignore[index, union-attr]
    assert HEAD_BYTES == MESSAGE_BYTES_MIN == 48
    assert places == {
        "magic": 0,
        "incarnation": 4,
        "run": 8,
        "sequence": 16,
        "intended_us": 24,
        "topic": 32,
        "reserved": 34,
        "partition": 36,
        "checksum": 40,
    }


def test_a_value_opens_with_the_magic_word() -> None:
    assert Encoder("r", 1, 48).encode(0, 0, 0, intended(1))[0][:4] == b"HKR1"


@pytest.mark.parametrize("size", SIZES)
def test_what_is_encoded_is_decoded(size: int) -> None:
    values = Encoder("run-7", 3, size, seed=9).encode(2, 11, 1_000, intended(600))
    decoded = decode(values)
    assert {len(value) for value in values} == {size}
    assert decoded.intact.all()
    assert (decoded.heads["incarnation"] == 3).all()
    assert (decoded.heads["run"] == run_hash("run-7")).all()
    assert (decoded.heads["topic"] == 2).all()
    assert (decoded.heads["partition"] == 11).all()
    assert (decoded.heads["sequence"] == np.arange(1_000, 1_600)).all()
    assert (decoded.heads["intended_us"] == intended(600)).all()


@given(
    incarnation=st.integers(0, 2**32 - 1),
    topic=st.integers(0, 2**16 - 1),
    partition=st.integers(0, 2**32 - 1),
    first=st.integers(0, 2**64 - 4),
    at=st.integers(0, 2**64 - 1),
    size=st.integers(48, 300),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_any_identity_survives_the_way_through_bytes(
    incarnation: int, topic: int, partition: int, first: int, at: int, size: int, seed: int
) -> None:
    times = np.full(3, at, dtype=np.uint64)
    decoded = decode(Encoder("r", incarnation, size, seed).encode(topic, partition, first, times))
    assert decoded.intact.all()
    for head, sequence in zip(decoded.heads, range(first, first + 3), strict=True):
        assert int(head["incarnation"]) == incarnation
        assert int(head["topic"]) == topic
        assert int(head["partition"]) == partition
        assert int(head["sequence"]) == sequence
        assert int(head["intended_us"]) == at


@pytest.mark.parametrize("size", SIZES)
def test_every_change_of_one_bit_is_found(size: int) -> None:
    value = Encoder("r", 5, size, seed=1).encode(1, 2, 77, intended(1))[0]
    changed = []
    for bit in range(size * 8):
        body = bytearray(value)
        body[bit // 8] ^= 1 << (bit % 8)
        changed.append(bytes(body))
    assert decode([value]).intact.all()
    assert not decode(changed).intact.any()


@given(data=st.data(), size=st.sampled_from(SIZES))
@settings(deadline=None)
def test_any_other_content_of_one_byte_is_found(data: st.DataObject, size: int) -> None:
    value = Encoder("r", 5, size).encode(1, 2, data.draw(st.integers(0, 2**40)), intended(1))[0]
    place = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != value[place]))
    assert not decode([value[:place] + bytes([other]) + value[place + 1 :]]).intact[0]


@given(data=st.data())
@settings(deadline=None)
def test_two_values_that_swap_their_payloads_are_both_found(data: st.DataObject) -> None:
    first = data.draw(st.integers(0, 200))
    one, other = Encoder("r", 5, 96, seed=3).encode(0, 0, first, intended(2))
    swapped = [one[:48] + other[48:], other[:48] + one[48:]]
    assert not decode(swapped).intact.any()


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a null value", lambda _: None),
        ("an empty value", lambda _: b""),
        ("one byte too short for a head", lambda value: value[:47]),
        ("cut by one byte", lambda value: value[:-1]),
        ("cut to its head", lambda value: value[:48]),
        ("one zero byte longer", lambda value: value + b"\0"),
        ("four zero bytes longer", lambda value: value + b"\0\0\0\0"),
        ("text of somebody else", lambda value: b"x" * len(value)),
        ("all zeros", lambda value: bytes(len(value))),
        ("another magic", lambda value: b"HKR2" + value[4:]),
    ],
)
@pytest.mark.parametrize("among_good_ones", [False, True])
def test_a_damaged_value_is_not_intact_and_its_neighbours_are(
    what: str, change: object, among_good_ones: bool
) -> None:
    values: list[bytes | None] = list(Encoder("r", 1, 99).encode(0, 0, 0, intended(3)))
    assert callable(change)
    values[1] = change(values[1])
    assert values[1] is None or isinstance(values[1], bytes), what
    expected = [True, False, True] if among_good_ones else [False]
    assert decode(values if among_good_ones else values[1:2]).intact.tolist() == expected


def test_values_of_different_lengths_keep_their_order() -> None:
    values: list[bytes | None] = []
    for sequence in range(40):
        size = (48, 100, 77)[sequence % 3]
        values += Encoder("r", 1, size).encode(0, 0, sequence, intended(1))
    decoded = decode(values)
    assert decoded.intact.all()
    assert decoded.heads["sequence"].tolist() == list(range(40))


def test_a_byte_moved_from_one_value_to_its_neighbour_is_found_in_both() -> None:
    one, other = Encoder("r", 1, 60).encode(0, 0, 0, intended(2))
    assert not decode([one + other[:1], other[1:]]).intact.any()


def test_no_values_decode_to_nothing() -> None:
    decoded = decode([])
    assert len(decoded.heads) == len(decoded.intact) == 0


def test_the_checksum_of_a_known_matrix_never_changes() -> None:
    """Runs recorded by another version of numpy must still verify."""
    matrix = np.arange(2 * 52, dtype=np.uint8).reshape(2, 52)
    assert [hex(value) for value in checksums(matrix)] == KNOWN_CHECKSUMS


def test_a_message_too_small_for_an_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="47 bytes cannot hold the 48 bytes of identity"):
        Encoder("r", 1, 47)


def test_payloads_differ_from_record_to_record_and_repeat_with_the_seed() -> None:
    values = Encoder("r", 1, 200, seed=4).encode(0, 0, 0, intended(100))
    assert len({value[48:] for value in values}) == 100
    assert values == Encoder("r", 1, 200, seed=4).encode(0, 0, 0, intended(100))
    assert values != Encoder("r", 1, 200, seed=5).encode(0, 0, 0, intended(100))


@pytest.mark.parametrize("several", [False, True])
def test_values_encoded_in_chunks_are_those_encoded_one_by_one(several: bool) -> None:
    encoder = Encoder("r", 3, 4096, seed=5)
    count = 2 * 1024 * 1024 // 4096 + 7
    sequences = np.arange(10, 10 + count, dtype=np.uint64)
    intended_us = np.arange(count, dtype=np.int64) + 1_700_000_000_000_000
    numbers = np.arange(count) % 5
    topics: Any
    partitions: Any
    topics, partitions = (numbers, numbers[::-1]) if several else (2, 4)
    values = encoder.encode_rows(topics, partitions, sequences, intended_us)
    for row in (0, 255, 256, 257, count - 1):
        topic, partition = (int(topics[row]), int(partitions[row])) if several else (2, 4)
        one = slice(row, row + 1)
        assert encoder.encode_rows(topic, partition, sequences[one], intended_us[one]) == [
            values[row]
        ]
    assert decode(values).intact.all()


def test_an_output_record_carries_its_input_and_is_intact() -> None:
    encoder = Encoder("run", 3, 100)
    values = encoder.encode(1, 2, 10, np.arange(3, dtype=np.int64))
    inputs = np.array([(7, 2, 2**40), (7, 2, 2**40 + 1), (7, 2, 5)], dtype=INPUT)
    made = with_inputs(values, inputs)
    assert decode(made).intact.all()
    assert decode(made).heads["sequence"].tolist() == [10, 11, 12]
    assert inputs_of(made).tolist() == inputs.tolist()
    assert [value[OUTPUT_BYTES_MIN:] for value in made] == [
        value[OUTPUT_BYTES_MIN:] for value in values
    ]
    spoiled = bytearray(made[0])
    spoiled[OUTPUT_BYTES_MIN - 1] ^= 1
    assert not decode([bytes(spoiled)]).intact.any()
    assert with_inputs([], inputs[:0]) == []
