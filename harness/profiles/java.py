"""Java clients' .properties files in librdkafka's names.

Most settings are called the same. Those that are not are listed in `RENAMED`; those that mean
nothing to the harness, which writes its own bytes and reads by assignment, in `WITHOUT_EFFECT`.
Anything else is refused by file, line and key: to pass over a setting without a word would make a
verdict about a configuration that is not in use.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.profiles.documents import Property
from harness.profiles.documents import read_properties as parse_properties
from harness.profiles.refusal import Refusal, Refused, placeholder, raise_all, unfilled
from harness.profiles.settings import (
    VERIFICATION,
    Overrides,
    canonical,
    client_settings,
)
from harness.system.suggest import nearest

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


@dataclass(slots=True)
class Translation:
    """A .properties file in librdkafka's names, in file order."""

    settings: list[Translated] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    """Settings that are stated with a value that is not known → where they are stated."""
    passed_by: list[Property] = field(default_factory=list)
    """What means nothing to the harness."""
    java: bool = True
    """Is every key one of Java's clients? Then Java's defaults hold for what is missing."""


def read_properties(path: Path, *, into: Overrides | None = None) -> Overrides:
    """The settings of a .properties file, sorted by the part of a run that they belong to.

    What the verification rests on (`group.id`, `auto.offset.reset`, `enable.auto.commit`, …) is
    left out: the harness reads in its own way. Raises UsageError naming file, line and key of
    everything that cannot be taken.
    """
    overrides = into if into is not None else Overrides()
    translation = translate(path)
    raise_all(translation.refusals)
    for setting in translation.settings:
        if setting.name not in VERIFICATION and setting.name != "transactional.id":
            overrides.add(setting.name, setting.value, setting.where)
            overrides.origins[setting.name] = f"{setting.where}: {setting.key}"
    return overrides


def translate(path: Path) -> Translation:
    """A .properties file in librdkafka's names, with everything of it that cannot be taken.

    Raises UsageError for a file that cannot be read as properties.
    """
    properties, twice = parse_properties(path)
    done = Translation(refusals=twice, java=_is_java(properties))
    for item in properties:
        if item.key in STORES:
            continue
        if WITHOUT_EFFECT.fullmatch(item.key):
            done.passed_by.append(item)
        else:
            _translate(item, done)
    _stores({item.key: item for item in properties if item.key in STORES}, done)
    return done


def _translate(item: Property, done: Translation) -> None:
    known = client_settings()
    origin = f"{item.where}: {item.key}"
    names = _NAMES.get(item.key, (RENAMED.get(item.key, canonical(item.key)),))
    if names[0] in known and _held_open(item):
        done.refusals.append(unfilled(origin, item.key, item.value))
        done.unknown |= dict.fromkeys(names, origin)
        return
    try:
        if item.key in _VALUES:
            found = _VALUES[item.key](item.value)
        elif names[0] in known:
            found = [(names[0], item.value)]
        else:
            offered = [*known, *RENAMED, *STORES, *_VALUES]
            raise Refused(
                f"unknown{nearest(item.key, offered)}.",
                "Accepted: the settings of Java's producer and consumer, and librdkafka's names. "
                "Take it out or correct it.",
                "unknown-setting",
            )
        for name, value in found:
            refusal = known[name].refusal(value)
            if refusal:
                raise Refused(refusal)
    except Refused as refused:
        done.refusals.append(refused.at(origin))
        done.unknown |= {name: origin for name in names if name in known}
        return
    done.settings += [Translated(name, value, item.where, item.key) for name, value in found]


def _held_open(item: Property) -> bool:
    options = _options(item.value) if item.key == "sasl.jaas.config" else {}
    return any(placeholder(item.key, each) for each in (item.value, *options.values()))


def _is_java(properties: list[Property]) -> bool:
    only_librdkafka = {name for name in client_settings() if not _in_java(name)}
    return not any(canonical(item.key) in only_librdkafka for item in properties)


def _in_java(name: str) -> bool:
    return not name.startswith(
        ("queue.", "queued.", "socket.", "topic.", "batch.num.", "message.", "fetch.queue.")
    ) and name not in ("sasl.username", "sasl.password", "enable.auto.offset.store")


def _jaas(text: str) -> list[tuple[str, str]]:
    """User and password of a login module; the text itself never enters a message."""
    module = text.split(maxsplit=1)[0].rpartition(".")[2] if text else ""
    if module not in _JAAS_MODULES:
        raise Refused(
            f"one of {', '.join(_JAAS_MODULES)} with username and password is accepted here.",
            "For OAUTHBEARER or Kerberos state librdkafka's sasl.oauthbearer.… or "
            "sasl.kerberos.… settings instead.",
        )
    options = _options(text)
    missing = [name for name in ("username", "password") if name not in options]
    if missing:
        raise Refused(f"has no {' and no '.join(missing)}.", "State both in it.")
    return [("sasl.username", options["username"]), ("sasl.password", options["password"])]


def _options(text: str) -> dict[str, str]:
    """The `name="value"` options of a login module."""
    return {
        match[1]: re.sub(
            r"\\(.)", r"\1", next((g for g in match.groups()[1:] if g is not None), "")
        )
        for match in _JAAS_OPTION.finditer(text.rstrip("; "))
    }


def _buffer(text: str) -> list[tuple[str, str]]:
    """Java counts the buffer in bytes, librdkafka in KiB."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1024:
        raise Refused("a number of bytes from 1024 on is expected.")
    return [("queue.buffering.max.kbytes", str(int(text) // 1024))]


def _reset(text: str) -> list[tuple[str, str]]:
    accepted = {"none": "error", "earliest": "earliest", "latest": "latest", "error": "error"}
    if text.lower() not in accepted:
        raise Refused(f"{text!r} is not accepted.", "Accepted: earliest, latest, none.")
    return [("auto.offset.reset", accepted[text.lower()])]


def _endpoint_check(text: str) -> list[tuple[str, str]]:
    return [("ssl.endpoint.identification.algorithm", text.lower() or "none")]


_VALUES: Final[Mapping[str, Callable[[str], list[tuple[str, str]]]]] = {
    "auto.offset.reset": _reset,
    "buffer.memory": _buffer,
    "sasl.jaas.config": _jaas,
    "ssl.endpoint.identification.algorithm": _endpoint_check,
}
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "buffer.memory": ("queue.buffering.max.kbytes",),
    "sasl.jaas.config": ("sasl.username", "sasl.password"),
}
"""What a property states where its name is not that of one setting."""


def _stores(items: Mapping[str, Property], done: Translation) -> None:
    """Trust and key stores: librdkafka reads PEM for both, and PKCS12 for the key store."""
    for store, names, takes in (
        ("truststore", ("ssl.ca.location",), ("PEM",)),
        ("keystore", ("ssl.certificate.location", "ssl.key.location"), ("PEM", "PKCS12")),
    ):
        location = f"ssl.{store}.location"
        item = items.get(location)
        if item is None:
            continue
        origin = f"{item.where}: {location}"
        stated, password = items.get(f"ssl.{store}.type"), items.get(f"ssl.{store}.password")
        kind = _store_type(item, stated)
        if kind == "PKCS12" and kind in takes:
            names = (location,)
        secret = password if names == (location,) else None
        parts = [part for part in (item, stated, secret) if part is not None]
        still_open = [part for part in parts if placeholder(part.key, part.value)]
        done.refusals += [unfilled(f"{p.where}: {p.key}", p.key, p.value) for p in still_open]
        if still_open or kind not in takes:
            done.unknown |= dict.fromkeys(names, origin)
        if not still_open and kind not in takes:
            done.refusals.append(_unreadable(origin, location, item.value, kind))
        elif not still_open:
            done.settings += [Translated(name, item.value, item.where, location) for name in names]
            if secret is not None:
                done.settings.append(Translated(secret.key, secret.value, secret.where, secret.key))


def _unreadable(origin: str, location: str, path: str, kind: str) -> Refusal:
    if location == "ssl.truststore.location":
        return Refusal(
            "unreadable-store",
            origin,
            f"a {kind} trust store is not accepted, PEM is.",
            f"Convert it: keytool -list -rfc -keystore {shlex.quote(path)} > ca.pem, then "
            "ssl.truststore.type=PEM and ssl.truststore.location=ca.pem.",
        )
    return Refusal(
        "unreadable-store",
        origin,
        f"a {kind} key store is not accepted, PEM and PKCS12 are.",
        f"Convert it: keytool -importkeystore -srckeystore {shlex.quote(path)} -destkeystore "
        "client.p12 -deststoretype PKCS12, then ssl.keystore.type=PKCS12 and "
        "ssl.keystore.location=client.p12.",
    )


def _store_type(location: Property, stated: Property | None) -> str:
    if stated is not None:
        return stated.value.upper()
    suffix = Path(location.value).suffix.lower()
    if suffix in (".pem", ".crt", ".cer"):
        return "PEM"
    return "PKCS12" if suffix in (".p12", ".pfx", ".pkcs12") else "JKS"
