"""Writing to a disk that may be full: one sentence instead of an OSError."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from harness.errors import EnvironmentFailure


@contextlib.contextmanager
def needs_space(sentence: str) -> Iterator[None]:
    """Raise EnvironmentFailure with `sentence` when the disk, the quota or the limit of a file's
    size is used up inside."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise EnvironmentFailure(sentence) from error
        raise


def write_whole(descriptor: int, data: bytes, sentence: str) -> None:
    """Write all of `data`, in as many writes as it takes; see `needs_space`."""
    rest = memoryview(data)
    with needs_space(sentence):
        while rest:
            rest = rest[os.write(descriptor, rest) :]


class Appender:
    """Appends entries to a file without another writer: each is there whole, or not.

    Where an entry cannot be written, what was written of it is cut off, EnvironmentFailure says so,
    and nothing further is taken: nothing can stand behind a torn entry.
    """

    def __init__(self, descriptor: int, sentence: str) -> None:
        self.descriptor = descriptor
        self._sentence = sentence
        self._failed = False

    def append(self, data: bytes, *, entry_bytes: int = 0) -> None:
        """Append an entry, or several of `entry_bytes` each, of which the whole ones stay."""
        if self._failed:
            raise EnvironmentFailure(self._sentence)
        rest = memoryview(data)
        try:
            with needs_space(self._sentence):
                while rest:
                    rest = rest[os.write(self.descriptor, rest) :]
        except BaseException:
            self._failed = True
            written = len(data) - len(rest)
            torn = written % entry_bytes if entry_bytes else written
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, os.fstat(self.descriptor).st_size - torn)
            raise
