"""The supervisor's control port: one JSON line asks, one JSON line answers, then the end.

It listens on 127.0.0.1, which other users of the machine can reach too, so every request carries
the token of the cluster's state file, readable by its owner only.
"""

from __future__ import annotations

import json
import socket
from typing import Any, Final

from harness.brokers.local.config import HOST
from harness.errors import ClusterError, UsageError

LINE_BYTES_MAX: Final = 1 << 20
_CONNECT_TIMEOUT_S: Final = 5.0


def encode(document: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(document).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The object on a line. Raises ValueError when there is none."""
    document = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError("a JSON object was expected")
    return document


def call(
    port: int, token: str, name: str, op: str, *, timeout_s: float, arguments: dict[str, Any]
) -> Any:
    """Ask the supervisor of cluster `name` for one operation; its result.

    Raises UsageError for arguments it does not accept, ClusterError when it refuses, fails, is
    gone, or does not answer within `timeout_s`.
    """
    request = encode({"token": token, "op": op, **arguments})
    try:
        with socket.create_connection((HOST, port), _CONNECT_TIMEOUT_S) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                line = answers.readline(LINE_BYTES_MAX)
    except TimeoutError as error:
        raise ClusterError(
            f"cluster {name}: its supervisor did not answer {op!r} within {timeout_s:g} s."
        ) from error
    except OSError as error:
        raise ClusterError(
            f"cluster {name}: its supervisor cannot be reached for {op!r} "
            f"({error.strerror or error}). `harness cluster status` says what is left of it."
        ) from error
    if not line:
        raise ClusterError(f"cluster {name}: its supervisor ended before it answered {op!r}.")
    answer = decode(line)
    if not answer.get("ok"):
        kind = UsageError if answer.get("usage") else ClusterError
        raise kind(str(answer.get("error")))
    return answer.get("result")
