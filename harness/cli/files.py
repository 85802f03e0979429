"""Files that a command is asked to write beside its result."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import EnvironmentFailure, UsageError

STDOUT: Final = "-"


def writable(value: str, option: str) -> Path:
    """A file that can be made. Raises UsageError where a folder is, or where none can be."""
    path = Path(value)
    if not value or path.is_dir():
        raise UsageError(f"{option} {value}: is a folder. Name a file.")
    above = next((each for each in path.parents if each.exists()), Path())
    if not above.is_dir():
        raise UsageError(f"{option} {value}: {above} is no folder. Name a file in one.")
    return path


def save(path: Path, option: str, text: str) -> None:
    """Write a file, and its folder where there is none. Raises EnvironmentFailure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(
            f"{option} {path}: cannot be written ({error.strerror})."
        ) from error
