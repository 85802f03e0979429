"""What keeps a fault from the page going: an action of Chaos Toolkit that waits for a file."""

import time
from pathlib import Path

from harness.faults.activity import activity

# Annotations are evaluated here (no `from __future__`): Chaos Toolkit reads them as types.

_POLL_S = 0.1


@activity
def until_healed(path: str, timeout_s: float) -> bool:
    """Wait until the file is there; False when it was not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not Path(path).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
