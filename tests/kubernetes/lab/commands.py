"""Short commands of the system that must succeed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentFailure

_TIMEOUT_S: Final = 120.0
_SHOWN: Final = 800


def run(*argv: str | Path, timeout_s: float = _TIMEOUT_S) -> str:
    """Run a command; what it printed. Raises EnvironmentFailure with what it said."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-_SHOWN:]
        raise EnvironmentFailure(f"{' '.join(command)} ended with {done.returncode}: {said}")
    return done.stdout
