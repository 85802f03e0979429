"""The command that makes a run again, so that it can be pasted into a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from harness.errors import REDACTED


def repeat_command(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The command line of a run as a shell takes it, and the variables to set before it.

    A secret that was left out of the record is asked for by an environment variable: without it
    the command refuses to run, where a made-up value would run against the wrong thing.
    """
    words: list[str] = []
    variables: list[str] = []
    for word in argv:
        head, separator, value = word.rpartition("=")
        if separator and value == REDACTED:
            name = head.rpartition("=")[2]
            variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
            variables.append(variable)
            word = f"{head}=env:{variable}"
        words.append(word)
    return shlex.join(words), list(dict.fromkeys(variables))
