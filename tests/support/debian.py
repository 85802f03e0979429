"""Debian packages that tests need, installed where a script asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

_INSTALL_TIMEOUT_S: Final = 900.0


def install(packages: list[str]) -> int:
    """Install these with apt-get; its exit status."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "--quiet", "--quiet", *argv],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            timeout=_INSTALL_TIMEOUT_S,
        )
        if done.returncode:
            return done.returncode
    return 0
