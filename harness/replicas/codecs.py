"""The compressions of a record batch, undone.

Kafka numbers them in the low three bits of a batch's attributes. Snappy comes in two framings: raw
blocks from librdkafka, and blocks behind the header of Java's snappy-xerial library from Java
clients; a reader has to take both.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import cramjam

NAMES: Final = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEAD_BYTES: Final = 16


def decompress(codec: int, data: bytes) -> bytes:
    """The records of a batch whose attributes name `codec`.

    Raises ValueError when the codec is unknown or the data are none of it.
    """
    try:
        match codec:
            case 0:
                return data
            case 1:
                return zlib.decompress(data, wbits=31)
            case 2:
                return _snappy(data)
            case 3:
                return bytes(cramjam.lz4.decompress(data))
            case 4:
                return bytes(cramjam.zstd.decompress(data))
    except (zlib.error, cramjam.DecompressionError, struct.error) as error:
        raise ValueError(f"not {NAMES[codec]}: {error}") from error
    raise ValueError(f"unknown compression {codec}; known are {', '.join(NAMES.values())}")


def _snappy(data: bytes) -> bytes:
    if not data.startswith(_XERIAL):
        return bytes(cramjam.snappy.decompress_raw(data))
    parts: list[bytes] = []
    at = _XERIAL_HEAD_BYTES
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        parts.append(bytes(cramjam.snappy.decompress_raw(data[at + 4 : at + 4 + length])))
        at += 4 + length
    return b"".join(parts)
