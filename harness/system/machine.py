"""Which machine this is, and what it has."""

from __future__ import annotations

import os
import platform
import uuid
from pathlib import Path
from typing import Final

import psutil

_CPU_INFO: Final = Path("/proc/cpuinfo")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def hardware() -> dict[str, str]:
    """`cpu`, `cores` and `memory`: what figures of two machines must have in common. Nothing in it
    says which machine of its kind this is."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }


def _cpu() -> str:
    """The processor's name, as the kernel has it; elsewhere, as Python has it."""
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or platform.machine())


def machine_id() -> str:
    """Equal in all processes that share this machine's memory and its monotonic clock: the kernel's
    boot id on Linux, equal in all containers of a machine. Elsewhere its name and the address of
    its network card."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"{platform.node()}-{uuid.getnode():012x}"
