"""A record's identity in bytes, and the checksum over its whole value.

Every record that the harness produces carries, at the head of its value, who sent it and as the
how-manieth. The head is fixed and little-endian, so that a batch of equally long values is one
numpy matrix and encoding, checking and decoding are array operations:

    offset  bytes  field
         0      4  magic         b"HKR1"
         4      4  incarnation   uint32, one number per producer client process of the run
         8      8  run           uint64, `run_hash(run_id)`
        16      8  sequence      uint64, dense per incarnation × topic-partition, from 0
        24      8  intended_us   uint64, intended send time, µs since the epoch
        32      2  topic         uint16, index into the run's topics (run.json order, all profiles)
        34      2  reserved      0
        36      4  partition     uint32
        40      8  checksum      uint64 over the whole value, these eight bytes taken as zero
        48      …  payload

The checksum is the multilinear hash over 32-bit words with fixed odd 64-bit weights (Lemire and
Kaser, "Strongly universal string hashing is fast", 2014). An odd weight is invertible modulo
2**64, so every change inside one 32-bit word is found with certainty; any other change escapes
with a probability of about 2**-32. It costs 34 ns for 100 bytes as one numpy expression, which
no per-record call to a CRC can match.

No client library is imported here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from harness.arrays import U8, U64, Rows
from harness.record.codec import Attempts, Decoded, Limits, run_hash

MAGIC: Final = int.from_bytes(b"HKR1", "little")
HEAD: Final = np.dtype(
    [
        ("magic", "<u4"),
        ("incarnation", "<u4"),
        ("run", "<u8"),
        ("sequence", "<u8"),
        ("intended_us", "<u8"),
        ("topic", "<u2"),
        ("reserved", "<u2"),
        ("partition", "<u4"),
        ("checksum", "<u8"),
    ]
)
HEAD_BYTES: Final = HEAD.itemsize
INPUT: Final = np.dtype([("topic", "<u4"), ("partition", "<u4"), ("offset", "<i8")])
"""What a pipeline's output record carries right after its head: of which input record it is."""
OUTPUT_BYTES_MIN: Final = HEAD_BYTES + INPUT.itemsize
MESSAGE_BYTES_MIN: Final = HEAD_BYTES
LIMITS: Final = Limits(
    incarnation_max=2**32 - 1, topic_max=2**16 - 1, partition_max=2**32 - 2, sequence_max=2**64 - 1
)
_IDENTITY: Final = struct.Struct("<IIQQ")
_CHECKSUM_WORDS: Final = slice(10, 12)
_FILLER_ROWS: Final = 256
_CHUNK_BYTES: Final = 1024 * 1024
"""Larger matrices come from fresh pages each time, which makes encoding six times as slow."""

Matrix = U8


@lru_cache(maxsize=64)
def _weights(words: int) -> U64:
    generator = np.random.Generator(np.random.PCG64(0x4B61666B61))
    weights = generator.integers(0, 2**63, size=words + 1, dtype=np.uint64) * np.uint64(2)
    return weights + np.uint64(1)


def checksums(values: Matrix) -> U64:
    """The checksum of each row of an (n, value bytes) uint8 matrix; needs at least a head's bytes.

    Rows whose length is no multiple of four are padded with zeros; the length itself is hashed.
    """
    size = values.shape[1]
    padding = -size % 4
    if padding:
        values = np.pad(values, ((0, 0), (0, padding)))
    words = np.ascontiguousarray(values).view("<u4")
    weights = _weights(words.shape[1])
    effective = weights[1:].copy()
    effective[_CHECKSUM_WORDS] = 0
    total = np.einsum("ij,j->i", words, effective, dtype=np.uint64, casting="unsafe")
    length_term = np.uint64(int(weights[0]) * size % 2**64)
    return np.asarray(total + length_term, dtype=np.uint64)


class BinaryFiller:
    """The values of one producer incarnation, all of the same size, without what differs.

    The payload is taken from a pool of random upper-case text made from `seed`, the row chosen by
    sequence: compressible as text is, and not the same from record to record.
    """

    def __init__(self, run_id: str, incarnation: int, message_bytes: int, seed: int) -> None:
        if message_bytes < MESSAGE_BYTES_MIN:
            raise ValueError(
                f"a message of {message_bytes} bytes cannot hold the {HEAD_BYTES} bytes of identity"
            )
        LIMITS.check_incarnation(incarnation)
        self.incarnation = incarnation
        self.message_bytes = message_bytes
        generator = np.random.Generator(np.random.PCG64(seed))
        pool = np.zeros((_FILLER_ROWS, message_bytes), dtype=np.uint8)
        letters = generator.integers(65, 91, size=(_FILLER_ROWS, message_bytes - HEAD_BYTES))
        pool[:, HEAD_BYTES:] = letters.astype(np.uint8)
        heads = pool[:, :HEAD_BYTES].view(HEAD)[:, 0]
        heads["magic"] = MAGIC
        heads["incarnation"] = incarnation
        heads["run"] = run_hash(run_id)
        self.pool = pool
        # The hash is linear in its words: what never changes in a row is summed once.
        self.pool_sums = checksums(pool)
        # bytes 16 to 40: sequence, intended_us (two words each), topic, partition
        self.weights = _weights((message_bytes + 3) // 4)[5:11].copy()
        self.row = np.dtype((np.void, message_bytes))


def _encode(attempts: Attempts, filler: BinaryFiller) -> list[bytes]:
    """Values for one chunk of attempts."""
    sequences, topic, partition = attempts.sequences, attempts.topic, attempts.partition
    rows = (sequences % np.uint64(_FILLER_ROWS)).astype(np.intp)
    intended = np.asarray(attempts.intended_us).astype(np.uint64, copy=False)
    matrix = filler.pool[rows]
    heads = matrix[:, :HEAD_BYTES].view(HEAD)[:, 0]
    heads["sequence"] = sequences
    heads["intended_us"] = intended
    heads["topic"] = topic
    heads["partition"] = partition
    weights, low = filler.weights, np.uint64(0xFFFFFFFF)
    total = filler.pool_sums[rows]
    total += (sequences & low) * weights[0]
    total += (sequences >> np.uint64(32)) * weights[1]
    total += (intended & low) * weights[2]
    total += (intended >> np.uint64(32)) * weights[3]
    total += _times(topic, weights[4])
    total += _times(partition, weights[5])
    heads["checksum"] = total
    # A row seen as one opaque item becomes bytes four times as fast as by slicing.
    return cast("list[bytes]", matrix.view(filler.row)[:, 0].tolist())


def with_inputs(values: Sequence[bytes], inputs: Rows) -> list[bytes]:
    """(n,) equally long values with (n,) `INPUT` coordinates after their heads, summed anew."""
    if not values:
        return []
    size = len(values[0])
    matrix = np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), size).copy()
    matrix[:, HEAD_BYTES:OUTPUT_BYTES_MIN] = inputs.view(np.uint8).reshape(len(values), -1)
    matrix[:, :HEAD_BYTES].view(HEAD)[:, 0]["checksum"] = checksums(matrix)
    return [row.tobytes() for row in matrix]


def inputs_of(values: Sequence[bytes]) -> Rows:
    """(n,) `INPUT` coordinates of output values of at least `OUTPUT_BYTES_MIN` bytes."""
    return np.frombuffer(
        b"".join(value[HEAD_BYTES:OUTPUT_BYTES_MIN] for value in values), dtype=INPUT
    )


def _part(attempts: Attempts, first: int, end: int) -> Attempts:
    topic, partition = attempts.topic, attempts.partition
    return Attempts(
        topic if isinstance(topic, int) else topic[first:end],
        partition if isinstance(partition, int) else partition[first:end],
        attempts.sequences[first:end],
        attempts.intended_us[first:end],
    )


def _times(
    factor: int | npt.NDArray[np.integer[Any]], weight: np.uint64
) -> np.uint64 | npt.NDArray[np.uint64]:
    """The product modulo 2**64, of one number or of each."""
    if isinstance(factor, int):
        return np.uint64(factor * int(weight) & 0xFFFFFFFFFFFFFFFF)
    return factor.astype(np.uint64) * weight


def _decode_matrix(matrix: Matrix) -> Decoded:
    heads = np.ascontiguousarray(matrix[:, :HEAD_BYTES]).view(HEAD)[:, 0]
    intact = (heads["magic"] == MAGIC) & (heads["checksum"] == checksums(matrix))
    return Decoded(heads, np.asarray(intact, dtype=np.bool_))


def decode(values: Sequence[bytes | None]) -> Decoded:
    """Read the identities of `values`; a null or short value is not intact, never an error."""
    count = len(values)
    if count == 0:
        return Decoded(np.zeros(0, dtype=HEAD), np.zeros(0, dtype=np.bool_))
    try:
        lengths = set(map(len, values))  # type: ignore[arg-type]
    except TypeError:
        lengths = {-1}
    if len(lengths) == 1:
        size = lengths.pop()
        if size >= HEAD_BYTES:
            joined = b"".join(values)  # type: ignore[arg-type]
            return _decode_matrix(np.frombuffer(joined, dtype=np.uint8).reshape(count, size))
    heads = np.zeros(count, dtype=HEAD)
    intact = np.zeros(count, dtype=np.bool_)
    by_length: dict[int, list[int]] = {}
    for index, value in enumerate(values):
        if value is not None and len(value) >= HEAD_BYTES:
            by_length.setdefault(len(value), []).append(index)
    for size, indexes in by_length.items():
        joined = b"".join(values[index] for index in indexes)  # type: ignore[misc]
        part = _decode_matrix(np.frombuffer(joined, dtype=np.uint8).reshape(len(indexes), size))
        heads[indexes] = part.heads
        intact[indexes] = part.intact
    return Decoded(heads, intact)


class BinaryCodec:
    """The head described above, in front of a payload; see `harness.record.codec.Codec`."""

    name: Final = "binary"
    limits: Final = LIMITS
    message_bytes_min: Final = MESSAGE_BYTES_MIN

    def run_number(self, run_id: str) -> int:
        return run_hash(run_id)

    def filler(self, run_id: str, incarnation: int, message_bytes: int, seed: int) -> BinaryFiller:
        return BinaryFiller(run_id, incarnation, message_bytes, seed)

    def encode(self, attempts: Attempts, filler: BinaryFiller) -> list[bytes]:
        """Not checked against LIMITS: numpy raises OverflowError where a column is too narrow."""
        count, rows = len(attempts.sequences), max(1, _CHUNK_BYTES // filler.message_bytes)
        if count <= rows:
            return _encode(attempts, filler)
        return [
            value
            for first in range(0, count, rows)
            for value in _encode(_part(attempts, first, first + rows), filler)
        ]

    def decode(self, messages: Sequence[bytes | None]) -> Decoded:
        return decode(messages)

    def own_heads(self, messages: Sequence[bytes]) -> Rows:
        size = len(messages[0])
        joined = b"".join(messages)
        if size * len(messages) != len(joined):
            raise ValueError("records of one incarnation are all of one size")
        matrix = np.frombuffer(joined, dtype=np.uint8).reshape(len(messages), size)
        return np.ascontiguousarray(matrix[:, :HEAD_BYTES]).view(HEAD)[:, 0]

    def pattern(self, head: np.void) -> bytes:
        """Its first 24 bytes: magic, incarnation, run and sequence."""
        return _IDENTITY.pack(
            MAGIC, int(head["incarnation"]), int(head["run"]), int(head["sequence"])
        )
