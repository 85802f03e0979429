"""One line on stderr for each thing that the stand-in does."""

from __future__ import annotations

import sys
import time
import traceback


def say(text: str) -> None:
    """`text` must hold no secret: a pod's log is for everybody."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    print(f"{stamp}.{int(now % 1 * 1000):03d}Z {text}", file=sys.stderr, flush=True)


def say_failure(what: str, error: BaseException) -> None:
    """The error and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "?"
    say(f"{what}: {type(error).__name__}: {error} ({where})")
