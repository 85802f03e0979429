"""Brokers that do not answer: the client's own reason, at once, and nothing left behind.

Each listener here is a real one on a port of this machine, and the client is the real one.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.errors import ClusterError
from harness.kafka.topics import cluster_facts

SOON_S = 6.0
"""Far below the twenty seconds after which a request that nobody answers ends."""
Handler = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates that have not signed each other."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("broker", "other"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3"]
            + ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"]
            + ["-addext", "subjectAltName=IP:127.0.0.1"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder


@contextlib.contextmanager
def listener(handle: Handler) -> Iterator[str]:
    """The address of a listener that treats every connection so."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)

        def take() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError, struct.error):
                handle(connection)

        threading.Thread(target=take, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def closes(connection: socket.socket) -> None:
    """Speaks no Kafka: reads a little and goes away."""
    connection.recv(10)


def speaks_http(connection: socket.socket) -> None:
    """A web server."""
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def tls(certificates: Path, *, asks_for_one: bool = False) -> Handler:
    """A TLS listener with the certificate `broker`, which may want one of the client too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "broker.crt", certificates / "broker.key")
    if asks_for_one:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "other.crt")

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(100)

    return handle


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def speaks_kafka(
    connection: socket.socket, keys: list[tuple[int, int, int]], answer: Callable[[int], bytes]
) -> None:
    """The part of a broker up to what `answer` says by API key; keys: the APIs that it has."""
    while True:
        request = exactly(connection, struct.unpack(">i", exactly(connection, 4))[0])
        key, version, correlation = struct.unpack(">hhi", request[:8])
        if key == 18:  # ApiVersions: the plain old version of it
            body = struct.pack(">hi", 35 if version > 0 else 0, len(keys) + 1)
            body += b"".join(struct.pack(">hhh", *each) for each in [*keys, (18, 0, 0)])
        else:
            body = answer(key)
        said = struct.pack(">i", correlation) + body
        connection.sendall(struct.pack(">i", len(said)) + said)


def refuses_logins(connection: socket.socket) -> None:
    """The part of a broker up to a login, which it refuses as Kafka does."""
    message = b"Authentication failed: Invalid username or password"

    def answer(key: int) -> bytes:
        if key == 17:  # SaslHandshake
            return struct.pack(">hi", 0, 1) + struct.pack(">h", 5) + b"PLAIN"
        # SaslAuthenticate: error 58
        return struct.pack(">hh", 58, len(message)) + message + struct.pack(">i", 0)

    speaks_kafka(connection, [(17, 0, 1), (36, 0, 1), (3, 0, 9)], answer)


def advertises(addresses: list[tuple[str, int]]) -> Handler:
    """A broker of a cluster whose brokers, from 1 on, are said to be at these addresses."""

    def text(said: str) -> bytes:
        return struct.pack(">h", len(said)) + said.encode()

    def answer(key: int) -> bytes:
        if key == 32:  # DescribeConfigs
            return struct.pack(">ii", 0, 0)
        body = struct.pack(">ii", 0, len(addresses))
        for number, (host, port) in enumerate(addresses, 1):
            body += struct.pack(">i", number) + text(host) + struct.pack(">ih", port, -1)
        return body + text("cluster") + struct.pack(">iii", 1, 0, -(2**31))

    return lambda connection: speaks_kafka(connection, [(3, 0, 8), (32, 0, 1)], answer)


def reason(settings: dict[str, str]) -> str:
    """What is said about brokers that do not answer, and that it is said soon."""
    started = time.monotonic()
    with pytest.raises(ClusterError) as failed:
        cluster_facts(settings)
    assert time.monotonic() - started < SOON_S
    return str(failed.value)


def test_a_port_that_nobody_listens_on_is_said_at_once() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        said = reason({"bootstrap.servers": address})
    assert address in said
    assert "Connection refused" in said


def test_every_address_has_its_own_reason() -> None:
    said = reason({"bootstrap.servers": "127.0.0.1:1,no-such-host.invalid:9092"})
    assert "127.0.0.1:1: Connect to" in said
    assert "no-such-host.invalid:9092: Failed to resolve" in said


UNKNOWN = ("no-such-host.invalid", 9092)
REFUSED = ("127.0.0.1", 1)


@pytest.mark.parametrize("advertised", [[UNKNOWN], [REFUSED], [UNKNOWN, REFUSED]])
def test_a_cluster_that_names_only_addresses_that_lead_nowhere_is_said_at_once(
    advertised: list[tuple[str, int]],
) -> None:
    with listener(advertises(advertised)) as address:
        said = reason({"bootstrap.servers": address})
    for host, port in advertised:
        assert f"{host}:{port}: " in said
    assert "identical error" not in said


@pytest.mark.parametrize(
    ("gone", "why"), [(UNKNOWN, "Failed to resolve"), (REFUSED, "Connection refused")]
)
@pytest.mark.parametrize("first", [True, False])
def test_a_cluster_of_which_one_broker_is_advertised_at_a_place_that_leads_nowhere(
    gone: tuple[str, int], why: str, first: bool
) -> None:
    """Broker 1 is the controller here, which the first question goes to."""
    brokers = [gone]
    with listener(advertises(brokers)) as address:
        host, _, port = address.partition(":")
        brokers.insert(1 if first else 0, (host, int(port)))
        said = reason({"bootstrap.servers": address})
    number = 1 if first else 2
    assert "names 2 brokers, of which 1 cannot be reached from here" in said
    assert f"broker {number} at {gone[0]}:{gone[1]}: " in said
    assert why in said
    assert "advertised.listeners" in said
    assert "identical error" not in said


@pytest.mark.parametrize("handle", [closes, speaks_http])
def test_a_listener_that_speaks_no_kafka_is_said_at_once(handle: Handler) -> None:
    with listener(handle) as address:
        said = reason({"bootstrap.servers": address})
    assert address in said
    assert "no Kafka listener" in said or "does not speak Kafka's protocol" in said


def test_a_tls_listener_reached_without_tls_is_named_as_what_it_may_be(certificates: Path) -> None:
    with listener(tls(certificates)) as address:
        said = reason({"bootstrap.servers": address})
    assert "may expect TLS" in said


def test_a_certificate_of_a_stranger_is_said_at_once(certificates: Path) -> None:
    with listener(tls(certificates)) as address:
        said = reason(
            {
                "bootstrap.servers": address,
                "security.protocol": "ssl",
                "ssl.ca.location": str(certificates / "other.crt"),
            }
        )
    assert "certificate could not be verified" in said


def test_a_broker_that_wants_a_certificate_is_said_at_once(certificates: Path) -> None:
    with listener(tls(certificates, asks_for_one=True)) as address:
        said = reason(
            {
                "bootstrap.servers": address,
                "security.protocol": "ssl",
                "ssl.ca.location": str(certificates / "broker.crt"),
            }
        )
    assert "asks for a certificate" in said


def test_a_listener_without_tls_reached_by_tls_is_said_at_once() -> None:
    with listener(speaks_http) as address:
        said = reason({"bootstrap.servers": address, "security.protocol": "ssl"})
    assert "does not speak TLS" in said


def test_a_login_that_is_refused_is_said_at_once_and_without_the_password() -> None:
    with listener(refuses_logins) as address:
        said = reason(
            {
                "bootstrap.servers": address,
                "security.protocol": "sasl_plaintext",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "app",
                "sasl.password": "hunter2-of-app",
            }
        )
    assert "Invalid username or password" in said
    assert "hunter2" not in said


def test_a_run_that_could_not_start_leaves_its_directory_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["run", "--brokers", "127.0.0.1:1", "--experiment", "no_fault", "--out", str(out)]
    for _ in range(2):
        assert main(arguments) == 4
        assert "Connection refused" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
    out.mkdir()
    assert main(arguments) == 4
    assert list(out.iterdir()) == []
