"""Rules about the way to the brokers: who can listen in, and who can answer in their place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from harness.profiles.advice import settings_of
from harness.profiles.rule import Change, Dialect, Problem, Subject, rule


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


PROTOCOLS: Final = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
PORT: Final = 9092
_HOST_PORT: Final = re.compile(r"(?:\[[0-9a-fA-F:.%\w]+\]|[\w.-]+)(?::(\d{1,5}))?")


def bare_address(server: str) -> str:
    """`host:port` out of what may be a URL; a port that is missing is Kafka's usual one."""
    address = server.strip().rpartition("://")[2].split("/", 1)[0].rpartition("@")[2]
    found = _HOST_PORT.fullmatch(address)
    if found is not None and found[1] is not None and 1 <= int(found[1]) <= 65535:
        return address
    host = re.sub(r"[^\w.-]", "", address.partition(":")[0]) if found is None else found[0]
    return f"{host.removesuffix(f':{found[1]}' if found else '') or 'kafka'}:{PORT}"


def address_trouble(server: str, protocol: str, dialect: Dialect) -> str | None:
    """Why one entry of bootstrap.servers is no address for a client, or None."""
    scheme, separator, rest = server.partition("://")
    if separator and scheme.lower() not in PROTOCOLS:
        return f"{scheme}:// begins a URL, and Kafka's clients take host:port"
    if separator and scheme.lower() != protocol:
        return f"{scheme}:// contradicts security.protocol={protocol}"
    found = _HOST_PORT.fullmatch(rest if separator else server)
    if found is None:
        return "it is not host:port"
    if found[1] is None:
        return "it has no port, and Java's client refuses that" if dialect == "java" else None
    return None if 1 <= int(found[1]) <= 65535 else f"{found[1]} is no port"


def _shown(server: str) -> str:
    """An entry without what may be a user and a password in it."""
    before, at, host = server.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}…@{host}" if at else host


@rule("no-address")
def no_address(subject: Subject) -> Iterator[Problem]:
    stated = subject.connection.get("bootstrap.servers")
    if stated is None:
        return
    protocol = str(subject.connection.get("security.protocol", "plaintext")).lower()
    servers = [server.strip() for server in str(stated).split(",") if server.strip()]
    troubles = {each: address_trouble(each, protocol, subject.dialect) for each in servers}
    wrong = {each: why for each, why in troubles.items() if why is not None}
    if not wrong:
        return
    good = ",".join(bare_address(each) if each in wrong else each for each in servers)
    wrong_parts = "; ".join(f"{_shown(each)}: {why}" for each, why in wrong.items())
    change: tuple[Change, ...] = (("connection", "bootstrap.servers", good),)
    yield Problem(
        "",
        "bootstrap.servers",
        "error",
        f"{wrong_parts}. A client cannot connect to it.",
        f"Set {settings_of(change)}.",
        change,
    )


@rule("plaintext-listener")
def plaintext_listener(subject: Subject) -> Iterator[Problem]:
    servers = str(subject.connection.get("bootstrap.servers", "")).split(",")
    remote = [server.strip() for server in servers if server.strip() and not is_local(server)]
    protocol = str(subject.connection.get("security.protocol", "plaintext")).lower()
    if not remote or protocol in ("ssl", "sasl_ssl"):
        return
    secure = "sasl_ssl" if protocol == "sasl_plaintext" else "ssl"
    off = [("connection", name, on) for name, on in _unchecked(subject)]
    change: tuple[Change, ...] = (("connection", "security.protocol", secure), *off)
    login = ", password included" if protocol == "sasl_plaintext" else ""
    yield Problem(
        "",
        "bootstrap.servers",
        "error",
        f"{_shown(remote[0])} is not local and is reached by {protocol}, without TLS: whoever "
        f"is on the way can read and change what is sent{login}.",
        f"Use a TLS listener: set {settings_of(change)}, with ssl.ca.location.",
        change,
    )


@rule("tls-unverified")
def tls_unverified(subject: Subject) -> Iterator[Problem]:
    if str(subject.connection.get("security.protocol", "")).lower() not in ("ssl", "sasl_ssl"):
        return
    for name, on in _unchecked(subject):
        yield Problem(
            "",
            name,
            "error" if name.startswith("enable") else "warning",
            f"{name}={subject.connection[name]}: the broker's certificate is not checked, so "
            "anybody on the way can answer in its place.",
            f"Set {name}={on}, and name the authority with ssl.ca.location.",
            (("connection", name, on),),
        )


def _unchecked(subject: Subject) -> Iterator[tuple[str, str]]:
    """(setting, its value for on) of each check of the broker's certificate that is off."""
    checks = {
        "enable.ssl.certificate.verification": ("true", ("false", "f", "0")),
        "ssl.endpoint.identification.algorithm": ("https", ("none", "")),
    }
    for name, (on, off) in checks.items():
        if name in subject.connection and str(subject.connection[name]).lower() in off:
            yield name, on
