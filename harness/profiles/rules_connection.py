"""Rules about the way to the brokers: who can listen in, and who can answer in their place."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from harness.profiles.rule import Problem, Subject, rule


def is_local(server: str) -> bool:
    """Whether `host:port` (a listener's `NAME://` before it is left out) is this machine."""
    address = server.strip().rpartition("://")[2]
    host = address[1:].partition("]")[0] if address.startswith("[") else address.partition(":")[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@rule("plaintext-listener")
def plaintext_listener(subject: Subject) -> Iterator[Problem]:
    servers = str(subject.connection.get("bootstrap.servers", "")).split(",")
    remote = [server.strip() for server in servers if server.strip() and not is_local(server)]
    protocol = str(subject.connection.get("security.protocol", "plaintext")).lower()
    if not remote or protocol in ("ssl", "sasl_ssl"):
        return
    login = ", password included" if protocol == "sasl_plaintext" else ""
    yield Problem(
        "",
        "bootstrap.servers",
        "error",
        f"{remote[0]} is not local and is reached by {protocol}, without TLS: whoever is on the "
        f"way can read and change what is sent{login}.",
        "Use a TLS listener: security.protocol=ssl or sasl_ssl, with ssl.ca.location.",
    )


@rule("tls-unverified")
def tls_unverified(subject: Subject) -> Iterator[Problem]:
    if str(subject.connection.get("security.protocol", "")).lower() not in ("ssl", "sasl_ssl"):
        return
    checks = {
        "enable.ssl.certificate.verification": ("false", "f", "0"),
        "ssl.endpoint.identification.algorithm": ("none", ""),
    }
    for name, off in checks.items():
        if name in subject.connection and str(subject.connection[name]).lower() in off:
            yield Problem(
                "",
                name,
                "error" if name.startswith("enable") else "warning",
                f"{name}={subject.connection[name]}: the broker's certificate is not checked, so "
                "anybody on the way can answer in its place.",
                "Leave the check on, and name the authority with ssl.ca.location.",
            )
