"""`--config KEY=env:NAME` and `KEY=file:PATH`: a value that is not on the command line.

Whoever lists processes sees every command line, so a secret does not belong on one. A run
records the reference, never what it leads to.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from harness.errors import REFERENCES, UsageError

BYTES_MAX: Final = 256 * 1024
ENVIRONMENT, FILE = REFERENCES


def resolved(name: str, value: str, where: str) -> str:
    """What a reference leads to; any other value as it is.

    Raises UsageError that names the variable or file, and never its content.
    """
    if value.startswith(ENVIRONMENT):
        return _of_environment(value.removeprefix(ENVIRONMENT), f"{where}: {name}={value}")
    if value.startswith(FILE):
        return _of_file(Path(value.removeprefix(FILE)).expanduser(), f"{where}: {name}={value}")
    return value


def _of_environment(variable: str, where: str) -> str:
    found = os.environ.get(variable)
    if not found:
        state = "not set" if found is None else "empty"
        raise UsageError(f"{where}: the environment variable {variable or '(no name)'} is {state}.")
    return found


def _of_file(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        text = data.decode()
    except OSError as error:
        raise UsageError(f"{where}: the file cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where}: the file is no UTF-8 text.") from None
    text = text.rstrip("\r\n")
    if len(data) > BYTES_MAX or not text or "\0" in text:
        raise UsageError(
            f"{where}: the file holds no value: a text of 1 to {BYTES_MAX} bytes is expected."
        )
    return text
