"""Admin clients: how one is made, what its answers and failures say, how long it lives.

A request's futures are its client's: a client without a reference is destroyed, and its
open futures end as `_DESTROY`, with the request perhaps not made. So whoever asks keeps the client
until every answer is in, and awaits each answer for a bounded time.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from harness.errors import ClusterError

REQUEST_TIMEOUT_S: Final = 20.0
SOCKET_TIMEOUT_S: Final = 10.0

Result = TypeVar("Result")


def admin_client(
    client_config: Mapping[str, Any],
    *,
    socket_timeout_s: float = SOCKET_TIMEOUT_S,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> AdminClient:
    """An admin client that logs nothing of its own to stderr while brokers are down.

    client_config: librdkafka settings that reach the brokers.
    settings: what this client is to have besides, `error_cb` and `logger` included.
    """
    own = {"log_level": 2, "socket.timeout.ms": int(socket_timeout_s * 1000)}
    return AdminClient({**client_config, **own, **settings})


def reason(error: BaseException) -> str:
    """What the client says of a failure; of anything else its own text."""
    return str(error.args[0].str()) if isinstance(error, KafkaException) else str(error)


def awaited(future: Future[Result], what: str, timeout_s: float = REQUEST_TIMEOUT_S) -> Result:
    """The result of an admin request. Raises ClusterError that names the request."""
    try:
        return future.result(timeout_s)
    except KafkaException as error:
        raise ClusterError(f"{what}: the brokers answered {reason(error)}") from error
    except TimeoutError as error:
        raise ClusterError(f"{what}: no answer from the brokers within {timeout_s:g} s.") from error
