"""The bytes of one file of a history: a file, a pipe or standard input, compressed or not."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from harness.system.printable import printable

STDIN: Final = Path("-")
BLOCK_BYTES: Final = 1 << 22
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Stream:
    """Reads what a --history option names, a block at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest = hashlib.blake2s(digest_size=4)
        self.bytes_read = 0
        self.is_pipe = False
        self.broken = ""
        """Why compressed data could not be read to its end; empty where it could."""

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, decompressed. Raises UsageError for what cannot be read.

        A byte order mark of UTF-8 is left out. Compressed data that is damaged ends the blocks and
        is described in `broken`.
        """
        blocks = self._raw()
        first = next(blocks, b"")
        if first.startswith(_GZIP):
            blocks = self._unzipped(chain([first], blocks))
            first = next(blocks, b"")
        if first.startswith(_UTF_16):
            raise UsageError(
                f"--history {self.name}: is UTF-16 by its first bytes; expected UTF-8. Save it as "
                "UTF-8, for example with: iconv -f UTF-16 -t UTF-8"
            )
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from blocks

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return "-" if self.path == STDIN else printable(str(self.path))

    def _raw(self) -> Iterator[bytes]:
        try:
            descriptor = self._open()
            with os.fdopen(descriptor, "rb", buffering=0, closefd=self.path != STDIN) as file:
                while data := _filled(file):
                    self.digest.update(data)
                    self.bytes_read += len(data)
                    yield data
        except OSError as error:
            raise UsageError(
                f"--history {self.name}: cannot be read ({error.strerror}). A file with one JSON "
                "object a line is expected."
            ) from None

    def _open(self) -> int:
        """A descriptor. A pipe is opened without waiting for its writer, which may have ended."""
        if self.path == STDIN:
            if sys.stdin is None or sys.stdin.closed:
                raise OSError(errno.EBADF, "standard input is closed")
            return sys.stdin.fileno()
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(descriptor, True)
        self.is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        return descriptor

    def _unzipped(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Decompressed bytes, of one compressed member after the other."""
        unzip = zlib.decompressobj(_GZIP_WINDOW)
        for data in blocks:
            try:
                while data:
                    if unzip.eof:
                        if not data.strip(b"\0"):
                            break
                        unzip = zlib.decompressobj(_GZIP_WINDOW)
                    found = unzip.decompress(data, BLOCK_BYTES)
                    data = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
                    if found:
                        yield found
            except zlib.error as error:
                self.broken = f"its compressed data is damaged ({error})"
                return
        if not unzip.eof:
            self.broken = "its compressed data breaks off"


def _filled(file: Any) -> bytes:
    """A whole block, of however many readings; empty at the end."""
    parts: list[bytes] = []
    size = 0
    while size < BLOCK_BYTES:
        data = file.read(BLOCK_BYTES - size)
        if not data:
            break
        parts.append(data)
        size += len(data)
    return b"".join(parts)
