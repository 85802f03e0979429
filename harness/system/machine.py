"""Which machine this is: equal in all processes that share its memory and its monotonic clock."""

from __future__ import annotations

import platform
import uuid
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def machine_id() -> str:
    """The kernel's boot id on Linux, equal in all containers of a machine. Elsewhere its name and
    the address of its network card."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"{platform.node()}-{uuid.getnode():012x}"
