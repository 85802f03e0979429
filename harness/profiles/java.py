"""Java clients' .properties files in librdkafka's names.

Most settings are called the same. Those that are not stand in `RENAMED`; those that mean nothing
to the harness, which writes its own bytes and reads by assignment, in `WITHOUT_EFFECT`. Anything
else is refused by file, line and key: a setting that were ignored in silence would make a verdict
about a configuration that nobody runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import UsageError
from harness.profiles.documents import Property
from harness.profiles.documents import read_properties as parse_properties
from harness.profiles.settings import (
    VERIFICATION,
    Overrides,
    canonical,
    client_settings,
)
from harness.suggest import nearest

RENAMED: Final[Mapping[str, str]] = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "max.request.size": "message.max.bytes",
    "metadata.max.age.ms": "topic.metadata.refresh.interval.ms",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "compression.gzip.level": "compression.level",
    "compression.lz4.level": "compression.level",
    "compression.zstd.level": "compression.level",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
    "ssl.cipher.suites": "ssl.cipher.suites",
}
WITHOUT_EFFECT: Final = re.compile(
    r"(key|value)\.(de)?serializer(\..*)?|interceptor\.classes|partitioner\..*|metric(s|\.).*|"
    r"auto\.include\.jmx\.reporter|max\.block\.ms|max\.poll\.records|default\.api\.timeout\.ms|"
    r"exclude\.internal\.topics|schema\.registry\..*|basic\.auth\..*|specific\.avro\.reader|"
    r"ssl\.(protocol|enabled\.protocols|provider|secure\.random\.implementation)|"
    r"ssl\.(trust|key)manager\.algorithm|sasl\.login\..*|sasl\.client\.callback\.handler\.class|"
    r"transaction\.two\.phase\.commit\.enable|security\.providers"
)
STORES: Final = frozenset(
    f"ssl.{store}.{field}"
    for store in ("truststore", "keystore")
    for field in ("location", "password", "type")
)
_JAAS_OPTION: Final = re.compile(
    r"""(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))"""
)
_JAAS_MODULES: Final = ("ScramLoginModule", "PlainLoginModule")


@dataclass(frozen=True, slots=True)
class Translated:
    """One setting under librdkafka's name, and the property it comes from."""

    name: str
    value: str
    where: str
    key: str


def read_properties(path: Path, *, into: Overrides | None = None) -> Overrides:
    """The settings of a .properties file, sorted by the part of a run that they belong to.

    What the verification rests on (`group.id`, `auto.offset.reset`, `enable.auto.commit`, …) is
    left out: the harness reads in its own way. Raises UsageError naming file, line and key.
    """
    overrides = into if into is not None else Overrides()
    for setting in translate(path):
        if setting.name not in VERIFICATION and setting.name != "transactional.id":
            overrides.add(setting.name, setting.value, setting.where)
            overrides.places[setting.name] = f"{setting.where}: {setting.key}"
    return overrides


def translate(path: Path) -> list[Translated]:
    """A .properties file in librdkafka's names, in file order. Raises UsageError."""
    properties = parse_properties(path)
    known = client_settings()
    translated: list[Translated] = []
    for item in properties:
        key = item.key
        if key in STORES or WITHOUT_EFFECT.fullmatch(key):
            continue
        if key in _VALUES:
            translated += [Translated(n, v, item.where, key) for n, v in _VALUES[key](item)]
        elif key in RENAMED:
            translated.append(Translated(RENAMED[key], item.value, item.where, key))
        elif canonical(key) in known:
            translated.append(Translated(canonical(key), item.value, item.where, key))
        else:
            offered = [*known, *RENAMED, *STORES, *_VALUES]
            raise UsageError(
                f"{item.where}: {key}: unknown{nearest(key, offered)}. Accepted: the settings of "
                "Java's producer and consumer, and librdkafka's names. Take it out or correct it."
            )
        for setting in translated[-2:]:
            refusal = known[setting.name].refusal(setting.value)
            if refusal and setting.where == item.where:
                raise UsageError(f"{item.where}: {key}: {refusal}")
    return translated + _stores({item.key: item for item in properties if item.key in STORES})


def is_java(path: Path) -> bool:
    """Whether every key is one of Java's clients: then Java's defaults hold for what is missing."""
    only_librdkafka = {name for name in client_settings() if not _in_java(name)}
    return not any(canonical(item.key) in only_librdkafka for item in parse_properties(path))


def _in_java(name: str) -> bool:
    return not name.startswith(
        ("queue.", "queued.", "socket.", "topic.", "batch.num.", "message.", "fetch.queue.")
    ) and name not in ("sasl.username", "sasl.password", "enable.auto.offset.store")


def _jaas(item: Property) -> list[tuple[str, str]]:
    """User and password of a login module; the text itself never enters a message."""
    module = item.value.split(maxsplit=1)[0].rpartition(".")[2] if item.value else ""
    if module not in _JAAS_MODULES:
        raise UsageError(
            f"{item.where}: sasl.jaas.config: one of {', '.join(_JAAS_MODULES)} with username and "
            "password is accepted here. For OAUTHBEARER or Kerberos state librdkafka's "
            "sasl.oauthbearer.… or sasl.kerberos.… settings instead."
        )
    options = {
        match[1]: re.sub(
            r"\\(.)", r"\1", next((g for g in match.groups()[1:] if g is not None), "")
        )
        for match in _JAAS_OPTION.finditer(item.value.rstrip("; "))
    }
    missing = [name for name in ("username", "password") if name not in options]
    if missing:
        raise UsageError(f"{item.where}: sasl.jaas.config: has no {' and no '.join(missing)}.")
    return [("sasl.username", options["username"]), ("sasl.password", options["password"])]


def _buffer(item: Property) -> list[tuple[str, str]]:
    """Java counts the buffer in bytes, librdkafka in KiB."""
    if not item.value.isdigit() or int(item.value) < 1024:
        raise UsageError(
            f"{item.where}: buffer.memory: a number of bytes from 1024 on is expected."
        )
    return [("queue.buffering.max.kbytes", str(int(item.value) // 1024))]


def _reset(item: Property) -> list[tuple[str, str]]:
    accepted = {"none": "error", "earliest": "earliest", "latest": "latest", "error": "error"}
    if item.value.lower() not in accepted:
        raise UsageError(
            f"{item.where}: auto.offset.reset: {item.value!r} is not accepted. "
            "Accepted: earliest, latest, none."
        )
    return [("auto.offset.reset", accepted[item.value.lower()])]


def _endpoint_check(item: Property) -> list[tuple[str, str]]:
    return [("ssl.endpoint.identification.algorithm", item.value.lower() or "none")]


_VALUES: Final[Mapping[str, Callable[[Property], list[tuple[str, str]]]]] = {
    "auto.offset.reset": _reset,
    "buffer.memory": _buffer,
    "sasl.jaas.config": _jaas,
    "ssl.endpoint.identification.algorithm": _endpoint_check,
}


def _stores(items: Mapping[str, Property]) -> list[Translated]:
    """Trust and key stores: librdkafka reads PEM for both, and PKCS12 for the key store."""
    found: list[Translated] = []
    trust = items.get("ssl.truststore.location")
    if trust is not None:
        kind = _store_type(trust, items.get("ssl.truststore.type"))
        if kind != "PEM":
            raise UsageError(
                f"{trust.where}: {trust.key}: a {kind} trust store is not accepted, PEM is. "
                f"Convert it: keytool -list -rfc -keystore {trust.value} > ca.pem, then "
                "ssl.truststore.type=PEM and ssl.truststore.location=ca.pem."
            )
        found.append(Translated("ssl.ca.location", trust.value, trust.where, trust.key))
    key = items.get("ssl.keystore.location")
    if key is not None:
        kind = _store_type(key, items.get("ssl.keystore.type"))
        if kind == "PEM":
            names = ["ssl.certificate.location", "ssl.key.location"]
        elif kind == "PKCS12":
            names = ["ssl.keystore.location"]
        else:
            raise UsageError(
                f"{key.where}: {key.key}: a {kind} key store is not accepted, PEM and PKCS12 are. "
                f"Convert it: keytool -importkeystore -srckeystore {key.value} -destkeystore "
                "client.p12 -deststoretype PKCS12, then ssl.keystore.type=PKCS12."
            )
        found += [Translated(name, key.value, key.where, key.key) for name in names]
        password = items.get("ssl.keystore.password")
        if password is not None and kind == "PKCS12":
            found.append(
                Translated("ssl.keystore.password", password.value, password.where, password.key)
            )
    return found


def _store_type(location: Property, stated: Property | None) -> str:
    if stated is not None:
        return stated.value.upper()
    suffix = Path(location.value).suffix.lower()
    if suffix in (".pem", ".crt", ".cer"):
        return "PEM"
    return "PKCS12" if suffix in (".p12", ".pfx", ".pkcs12") else "JKS"
