"""Writing to a disk that may be full: one sentence instead of an OSError."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from harness.errors import EnvironmentFailure


@contextlib.contextmanager
def needs_space(sentence: str) -> Iterator[None]:
    """Raise EnvironmentFailure with `sentence` when the disk or the quota is used up inside."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFailure(sentence) from error
        raise


def write_whole(descriptor: int, data: bytes, sentence: str) -> None:
    """Write all of `data`, in as many writes as it takes; see `needs_space`."""
    rest = memoryview(data)
    with needs_space(sentence):
        while rest:
            rest = rest[os.write(descriptor, rest) :]
