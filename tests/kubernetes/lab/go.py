"""The Go toolchain: whether one is here that can build our programs, and building with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentFailure

SOURCES: Final = Path(__file__).resolve().parent / "sources"
_NEEDS: Final = SOURCES / "hyperkube"
"""The module that asks for the newest Go."""
_ANSWER_TIMEOUT_S: Final = 300.0  # Go may fetch the toolchain that go.mod asks for
_BUILD_TIMEOUT_S: Final = 3300.0
_SHOWN_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class GoModule:
    """A module fetched by `go mod download`, checked against the sum that is pinned here."""

    path: str
    version: str
    checksum: str
    """Its `h1:` sum, as in go.sum."""


@lru_cache(maxsize=1)
def missing_go() -> str:
    """Why no program can be built here; empty when it can.

    Go decides itself: it reads go.mod, and takes a newer toolchain where GOTOOLCHAIN allows that.
    """
    if shutil.which("go") is None:
        return "no `go` on PATH (Go builds Kubernetes from source; Go 1.26 or newer is needed)"
    try:
        answer = subprocess.run(
            ["go", "env", "GOVERSION"],
            cwd=_NEEDS,
            capture_output=True,
            text=True,
            timeout=_ANSWER_TIMEOUT_S,
        )
        # An old Go answers `env` and refuses only what reads the module.
        listed = subprocess.run(
            ["go", "list", "-m"],
            cwd=_NEEDS,
            capture_output=True,
            text=True,
            timeout=_ANSWER_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`go` does not run: {error}"
    if answer.returncode or listed.returncode:
        said = (answer.stderr + listed.stderr).strip().splitlines()
        return f"`go` on PATH cannot build Kubernetes: {said[-1] if said else 'it failed'}"
    return ""


def build(folder: Path, output: Path, *, variables: dict[str, str] | None = None) -> None:
    """Compile the program in `folder` to `output`, with `variables` set at link time.

    Raises EnvironmentFailure with the end of what the compiler said.
    """
    missing = missing_go()
    if missing:
        raise EnvironmentFailure(f"{folder.name} cannot be built: {missing}")
    linked = " ".join(f"-X {name}={value}" for name, value in (variables or {}).items())
    argv = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {linked}".strip()]
    done = subprocess.run(
        [*argv, "-o", str(output), "."],
        cwd=folder,
        env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-_SHOWN_LINES:])
        raise EnvironmentFailure(f"{folder.name}: `go build` ended with {done.returncode}:\n{said}")


def fetch(module: GoModule) -> Path:
    """The folder with a module's files, read-only, in Go's own cache.

    Raises EnvironmentFailure when it cannot be fetched or is not what was pinned.
    """
    name = f"{module.path}@{module.version}"
    done = subprocess.run(
        ["go", "mod", "download", "-json", name],
        cwd=SOURCES,
        env={**os.environ, "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
    )
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = {"Error": done.stderr.strip() or f"go ended with {done.returncode}"}
    if "Error" in found:
        raise EnvironmentFailure(f"{name} could not be downloaded: {found['Error']}")
    if found["Sum"] != module.checksum:
        raise EnvironmentFailure(f"{name} has the sum {found['Sum']}, not {module.checksum}.")
    return Path(found["Dir"])
