"""Record batches of format version 2, as they lie in a log segment.

Source: Kafka's DefaultRecordBatch and DefaultRecord (KIP-98). All numbers are big-endian:

    base offset i64 · length i32 · partition leader epoch i32 · magic i8 · CRC-32C u32 ·
    attributes i16 · last offset delta i32 · first, max timestamp i64 · producer id i64 ·
    producer epoch i16 · base sequence i32 · record count i32 · records

The length counts what follows it, the checksum covers what follows it. Records are compressed
together and hold varints. Pure functions over bytes; no client library is imported here.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from harness.replicas.codecs import decompress

HEADER: Final = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES: Final = HEADER.size
_LENGTH_FROM: Final = 12
"""A batch's length counts from here."""
_CRC_FROM: Final = 21
_MAGIC: Final = 2
_CONTROL: Final = 0x20
_TRANSACTIONAL: Final = 0x10

Bytes: TypeAlias = "bytes | mmap.mmap"


@dataclass(frozen=True, slots=True)
class Batch:
    """The header of one batch, and where it lies in its segment."""

    at: int
    size: int
    base_offset: int
    leader_epoch: int
    crc: int
    attributes: int
    last_offset_delta: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def last_offset(self) -> int:
        """The offset of its last record."""
        return self.base_offset + self.last_offset_delta

    @property
    def codec(self) -> int:
        """How its records are compressed, see codecs."""
        return self.attributes & 7

    @property
    def control(self) -> bool:
        """Whether it holds a transaction marker and no record of a client."""
        return bool(self.attributes & _CONTROL)

    @property
    def transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a batch."""

    offset: int
    key: bytes | None
    value: bytes | None


def batches(data: Bytes, begin: int = 0) -> Iterator[Batch]:
    """The batches of a segment from byte `begin` on, up to its end or to a torn one.

    What a broker was writing when it died is no batch; Kafka cuts it off at the next start.
    Raises ValueError for a batch of another format version.
    """
    at, end = begin, len(data)
    while at + HEADER_BYTES <= end:
        (base, length, epoch, magic, crc, attributes, delta, _, _, producer, producer_epoch,
         sequence, records) = HEADER.unpack_from(data, at)  # fmt: skip
        if length <= HEADER_BYTES - _LENGTH_FROM - 1 or at + _LENGTH_FROM + length > end:
            return
        if magic != _MAGIC:
            raise ValueError(f"byte {at}: a batch of format version {magic}; {_MAGIC} is expected")
        size = _LENGTH_FROM + length
        yield Batch(
            at, size, base, epoch, crc, attributes, delta, producer, producer_epoch, sequence,
            records,
        )  # fmt: skip
        at += size


def payload(data: Bytes, batch: Batch) -> bytes:
    """The records of a batch, decompressed. Raises ValueError when they cannot be."""
    return decompress(batch.codec, bytes(data[batch.at + HEADER_BYTES : batch.at + batch.size]))


def records(batch: Batch, plain: bytes) -> Iterator[LogRecord]:
    """The records in a decompressed payload. Raises ValueError when it ends within one."""
    at = 0
    try:
        for _ in range(batch.records):
            size, at = _varint(plain, at)
            end = at + size
            _, at = _varint(plain, at + 1)  # attributes, then the timestamp's delta
            delta, at = _varint(plain, at)
            key, at = _field(plain, at)
            value, at = _field(plain, at)
            yield LogRecord(batch.base_offset + delta, key, value)
            at = end
    except IndexError:
        raise ValueError(f"the batch at offset {batch.base_offset} ends within a record") from None


def crc_holds(data: Bytes, batch: Batch) -> bool:
    """Whether the batch's checksum covers these bytes."""
    return crc32c(bytes(data[batch.at + _CRC_FROM : batch.at + batch.size])) == batch.crc


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), the checksum of a record batch (RFC 3720)."""
    table, value = _crc_table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A signed number in zigzag coding, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _field(data: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(data, at)
    if size < 0:
        return None, at
    if at + size > len(data):
        raise IndexError
    return data[at : at + size], at + size
