"""Every error that the harness raises on purpose.

HarnessError                exit 4: the harness or its environment failed
├── UsageError              exit 2: wrong usage or configuration; nothing was started or touched
├── EnvironmentFailure      exit 4: Java, jars, ports, disk or memory are not what a run needs
│   └── ClusterError        exit 4: brokers did not start, stop or answer
│       └── BrokersUnreached    exit 4: no broker answers at its address from here
├── RunDirError             exit 2: a run directory, ledger or history that cannot be read as one
├── FaultError              a fault could not be injected or shows no evidence (exit 3 by verdict)
└── Interrupted             exit 3: first Ctrl-C; what was recorded is judged

A message says what was found, where, what is accepted, and what to do. No message carries a
secret: settings pass through `redact` before they are printed or stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

EXIT_KEPT = 0
EXIT_BROKEN = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_HARNESS_FAILED = 4
EXIT_INTERRUPTED_TWICE = 130


class HarnessError(Exception):
    """Base of every deliberate error; `exit_code` is what the command line ends with."""

    exit_code = EXIT_HARNESS_FAILED


class UsageError(HarnessError):
    """Wrong usage or configuration, found before anything was started or touched."""

    exit_code = EXIT_USAGE


class EnvironmentFailure(HarnessError):
    """Something that a run needs from its machine is missing."""


class ClusterError(EnvironmentFailure):
    """Brokers did not start, stop or answer as asked."""


class BrokersUnreached(ClusterError):
    """No broker answers at the addresses that are given for it."""


class RunDirError(HarnessError):
    """A run directory or one of its files cannot be read as what it should be."""

    exit_code = EXIT_USAGE


class FaultError(HarnessError):
    """A fault could not be injected, healed, or shows no evidence that it took effect."""

    exit_code = EXIT_INCONCLUSIVE


class Interrupted(HarnessError):
    """The user asked to stop; what was recorded is still judged."""

    exit_code = EXIT_INCONCLUSIVE


REDACTED = "[redacted]"
REFERENCES = ("env:", "file:")
"""How a value begins that says where it is to be read; as it is no secret, it is shown."""
_SECRET_KEY = re.compile(
    r"password|secret|token|jaas|credential|api[._-]?key|oauthbearer\.config|\.pem$|private[._-]?key",
    re.IGNORECASE,
)


def is_secret(key: str) -> bool:
    """Whether a setting's name says that its value must never be shown."""
    return _SECRET_KEY.search(key) is not None


_SECRETS: set[str] = set()
_SECRET_LENGTH_MIN = 4


def remember_secret(value: str) -> None:
    """A secret's value, so that `scrub` finds it wherever it turns up."""
    for part in (value, *value.splitlines()):
        if len(part.strip()) >= _SECRET_LENGTH_MIN:
            _SECRETS.add(part.strip())


def scrub(text: str) -> str:
    """A text from elsewhere (a library, a traceback) without the secrets known by now."""
    for value in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(value, REDACTED)
    return text


def redact(settings: Mapping[str, object]) -> dict[str, object]:
    """A copy of `settings` with the values of secret keys replaced by `[redacted]`."""
    return {key: REDACTED if is_secret(key) else value for key, value in settings.items()}


def redact_argv(argv: list[str]) -> list[str]:
    """A command line with the values of secret `key=value` arguments replaced."""

    def shown(argument: str) -> str:
        head, separator, value = argument.partition("=")
        if separator and head.startswith("--") and "=" in argument[len(head) + 1 :]:
            option, rest = head, argument[len(head) + 1 :]
            return f"{option}={shown(rest)}"
        hidden = separator and is_secret(head) and not value.startswith(REFERENCES)
        return f"{head}={REDACTED}" if hidden else argument

    return [shown(argument) for argument in argv]
