"""How this package starts processes of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from harness.system.assets import IMPORTED_FROM

_PR_SET_PDEATHSIG: Final = 1


def module_path() -> dict[str, str]:
    """Environment under which `python -m harness…` finds this very package from any folder."""
    search = [str(IMPORTED_FROM), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, search))}


def die_with_parent() -> Callable[[], None] | None:
    """What a child does before its program starts, so that the kernel ends it with us (Linux).

    It fires when the thread that started the child ends, and runs between fork and exec: only for
    processes that have no other thread.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask_for_death() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between fork and prctl
            os._exit(1)

    return ask_for_death
