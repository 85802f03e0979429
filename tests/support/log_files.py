"""Writes segments in Kafka's format version 2, as a broker would, so that readers can be tested."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cramjam

from harness.replicas.batches import HEADER_BYTES, crc32c

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4, "xerial": 2}


def varint(value: int) -> bytes:
    """A signed number in zigzag coding."""
    value = (value << 1) ^ (value >> 63)
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def record(delta: int, value: bytes | None, key: bytes | None = None) -> bytes:
    """One record of a batch."""
    body = b"\0" + varint(0) + varint(delta)
    for part in (key, value):
        body += varint(-1) if part is None else varint(len(part)) + part
    body += varint(0)
    return varint(len(body)) + body


def compress(codec: str, data: bytes) -> bytes:
    """As a client would, by the name of the compression."""
    match codec:
        case "gzip":
            deflate = zlib.compressobj(wbits=31)
            return deflate.compress(data) + deflate.flush()
        case "snappy":
            return bytes(cramjam.snappy.compress_raw(data))
        case "xerial":
            parts = [data[i : i + 1000] for i in range(0, len(data), 1000)]
            blocks = [bytes(cramjam.snappy.compress_raw(part)) for part in parts]
            head = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
            return head + b"".join(struct.pack(">i", len(block)) + block for block in blocks)
        case "lz4":
            return bytes(cramjam.lz4.compress(data))
        case "zstd":
            return bytes(cramjam.zstd.compress(data))
    return data


def batch(
    base: int, values: list[bytes], *, epoch: int = 0, codec: str = "none", control: bool = False,
    producer: int = 5, producer_epoch: int = 0, transactional: bool = False,
    deltas: list[int] | None = None, key: bytes | None = None,
) -> bytes:  # fmt: skip
    """One batch of records at the offsets from `base` on; `deltas`: at others than the next ones,
    the last of which is that of the batch, as compaction leaves it."""
    numbers = list(range(len(values))) if deltas is None else deltas[: len(values)]
    last = len(values) - 1 if deltas is None else deltas[-1]
    plain = b"".join(record(at, value, key) for at, value in zip(numbers, values, strict=True))
    attributes = CODECS[codec] | (0x20 if control else 0) | (0x10 if transactional else 0)
    covered = struct.pack(
        ">hiqqqhii", attributes, last, 0, 0, producer, producer_epoch, base, len(values)
    ) + compress(codec, plain)
    size = HEADER_BYTES - 12 + len(covered) - (HEADER_BYTES - 21)
    return struct.pack(">qiibI", base, size, epoch, 2, crc32c(covered)) + covered


def marker(base: int, end: str, producer: int, producer_epoch: int = 0) -> bytes:
    """The control batch that ends a producer's transaction: end is commit or abort."""
    key = struct.pack(">hh", 0, {"abort": 0, "commit": 1, "leader change": 2}[end])
    value = struct.pack(">hi", 0, 7)
    return batch(
        base, [value], control=True, transactional=True, producer=producer,
        producer_epoch=producer_epoch, key=key,
    )  # fmt: skip


def replica(
    data_directory: Path, topic: str, parts: list[bytes], epochs: list[tuple[int, int]],
    partition: int = 0, first: int = 0,
) -> Path:  # fmt: skip
    """A replica's directory with one segment; returns the segment's path."""
    folder = data_directory / f"{topic}-{partition}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{epoch} {start}" for epoch, start in epochs]
    (folder / "leader-epoch-checkpoint").write_text(
        "\n".join(["0", str(len(lines)), *lines]) + "\n"
    )
    segment = folder / f"{first:020d}.log"
    segment.write_bytes(b"".join(parts))
    return segment
