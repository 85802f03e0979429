"""Kafka's flexible message versions (KIP-482), as far as requests written by hand need them."""

from __future__ import annotations

from harness.kafka.wire import framed

NO_TAGS = b"\0"


def flexible_request(key: int, version: int, correlation: int, body: bytes) -> bytes:
    """The bytes of a request whose header ends with tagged fields, of which there are none."""
    return framed(key, version, correlation, NO_TAGS + body)


def compact_string(text: str) -> bytes:
    """A text as a compact string."""
    encoded = text.encode()
    return compact_length(len(encoded)) + encoded


def compact_length(count: int) -> bytes:
    """The length of a compact array or string: one more than it is, as an unsigned varint."""
    value, encoded = count + 1, b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


class FlexibleAnswer:
    """Reads the fields of a flexible response, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise ValueError("an answer cut short")
        self._at += count
        return part

    def int16(self) -> int:
        return int.from_bytes(self._take(2), "big", signed=True)

    def int64(self) -> int:
        return int.from_bytes(self._take(8), "big", signed=True)

    def skip(self, count: int) -> None:
        self._take(count)

    def int32(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def header(self, correlation: int) -> None:
        """Pass the header and the throttle time. Raises ValueError for another question's."""
        if self.int32() != correlation:
            raise ValueError("not an answer to the question asked")
        self.tags()
        self.int32()

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def length(self) -> int:
        return max(0, self.varint() - 1)

    def string(self) -> str:
        return self._take(self.length()).decode()

    def tags(self) -> None:
        for _ in range(self.varint()):
            self.varint()
            self._take(self.varint())
