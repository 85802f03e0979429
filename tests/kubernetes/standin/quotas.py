"""Quotas of a user, by Kafka's request AlterClientQuotas (KIP-546).

confluent-kafka does not have it. Version 0 of the request (key 49), the one without compact fields,
goes over the operator's own TLS identity; any broker hands it to the controller.
"""

from __future__ import annotations

import socket
import ssl
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.kubernetes.standin.kafka_admin import KafkaAdmin
from tests.kubernetes.standin.names import REPLICATION_PORT

_ALTER_CLIENT_QUOTAS: Final = 49
_VERSION: Final = 0
_CORRELATION: Final = 1
_TIMEOUT_S: Final = 20.0

KEYS: Final = {
    "producerByteRate": "producer_byte_rate",
    "consumerByteRate": "consumer_byte_rate",
    "requestPercentage": "request_percentage",
    "controllerMutationRate": "controller_mutation_rate",
}
"""KafkaUser's spec.quotas → Kafka's names."""


class QuotaRefused(Exception):
    """Kafka's error code and words for a quota that it did not take."""


def set_quotas(admin: KafkaAdmin, user: str, quotas: Mapping[str, float]) -> None:
    """Make `quotas` (Kafka's names) the user's own; those not named are taken away.

    Raises QuotaRefused, and OSError when no broker answers.
    """
    answer = _exchange(admin, encode(user, quotas))
    code, message = decode(answer)
    if code:
        raise QuotaRefused(f"error {code} for the quotas of {user}: {message}")


def encode(user: str, quotas: Mapping[str, float]) -> bytes:
    """The request without its length."""
    header = struct.pack(">hhi", _ALTER_CLIENT_QUOTAS, _VERSION, _CORRELATION) + _text("standin")
    entity = struct.pack(">i", 1) + _text("user") + _text(user)
    operations = struct.pack(">i", len(KEYS))
    for key in KEYS.values():
        value = quotas.get(key)
        operations += _text(key) + struct.pack(">d?", value or 0.0, value is None)
    entries = struct.pack(">i", 1) + entity + operations
    return header + entries + struct.pack(">?", False)


def decode(answer: bytes) -> tuple[int, str]:
    """The error code and message of the one entry: correlation, throttle, entries."""
    _, _, count, code, length = struct.unpack_from(">iiihh", answer)
    if count != 1:
        raise QuotaRefused(f"one entry was sent, {count} came back")
    start = struct.calcsize(">iiihh")
    return code, answer[start : start + max(0, length)].decode()


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _exchange(admin: KafkaAdmin, request: bytes) -> bytes:
    context = ssl.create_default_context(cadata=admin.cluster_ca)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        # The ssl module reads a certificate from files only.
        file.write(admin.identity.key + admin.identity.certificate)
        file.flush()
        context.load_cert_chain(Path(file.name))
    address = (admin.host, REPLICATION_PORT)
    with (
        socket.create_connection(address, _TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=admin.host) as connection,
    ):
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _receive(connection, 4))
        return _receive(connection, size)


def _receive(connection: ssl.SSLSocket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("the broker closed the connection before its answer")
        received += part
    return received
