"""Whether the client accepts its settings: asked of librdkafka itself, before anything is made.

A client is constructed with the settings and closed again; it is given no broker, so it connects to
nothing. What only a connection can show (a wrong password, an authority that did not sign the
broker's certificate) shows when the brokers are asked first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from harness.errors import UsageError, scrub
from harness.profiles import DeliveryProfile
from harness.profiles.settings import canonical, client_settings

ENDPOINT: Final = "sasl.oauthbearer.token.endpoint.url"
MECHANISM: Final = "sasl.mechanism"
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_FILES: Final = (
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
)
_CREATED: Final = re.compile(r"^Failed to create \w+: ")
_NAME: Final = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+")
_PLAIN: Final = (
    ("no certificate or crl found", "holds no certificate in PEM"),
    ("key values mismatch", "does not belong to the certificate of ssl.certificate.location"),
    ("Type=PKCS12", "is no PKCS#12 store, or ssl.keystore.password is wrong"),
    ("mac verify failure", "cannot be opened: ssl.keystore.password is wrong or missing"),
    ("no cipher match", "names no cipher suite that OpenSSL knows"),
)


def check_connection(settings: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Refuse connection settings that the client refuses. Raises UsageError naming the setting."""
    found = refusal(settings)
    if found is not None:
        name, why = found
        raise UsageError(f"{origin_of(name, settings, origins)}: {why}")


def refusal(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """(setting, why) where the client refuses connection settings; None where it takes them."""
    if str(settings.get("security.protocol", "")).lower() in ("ssl", "sasl_ssl"):
        for name in _FILES:
            if name in settings and (why := _unreadable(str(settings[name]))) is not None:
                return name, why
    if _without_token(settings):
        return ENDPOINT, (
            "is missing: mechanism OAUTHBEARER gets its token from there. State it, with "
            "sasl.oauthbearer.method=oidc, sasl.oauthbearer.client.id and "
            "sasl.oauthbearer.client.secret."
        )
    return _construct(settings)


def check_producer(profile: DeliveryProfile, origins: Mapping[str, str]) -> None:
    """Refuse producer settings that contradict each other in the client's eyes."""
    found = _construct(profile.producer)
    if found is not None:
        name, why = found
        raise UsageError(f"{origins.get(name, f'profile {profile.name}: producer: {name}')}: {why}")


def _construct(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    wanted = {key: value for key, value in settings.items() if key != "bootstrap.servers"}
    if ENDPOINT in wanted:
        # A client begins to fetch its token as soon as it exists; nothing is to be reached yet.
        wanted[ENDPOINT] = "http://127.0.0.1:1/"
    wanted["log_level"] = 0
    try:
        Producer(wanted)
    except KafkaException as error:
        return _explained(_CREATED.sub("", str(error.args[0].str())), settings)
    except (TypeError, ValueError) as error:
        return "", scrub(str(error))
    return None


def _explained(said: str, settings: Mapping[str, Any]) -> tuple[str, str]:
    """The setting that a refusal is about, and the refusal in plain words."""
    said = scrub(said).replace("`", "")
    if "SASL mechanism" in said or "hash function" in said:
        given = settings.get(MECHANISM)
        found = f"{given} is not built into the client" if given else "is missing"
        return MECHANISM, (
            f"{found}; accepted are {', '.join(MECHANISMS)}. "
            "(Without a mechanism the client takes GSSAPI, which is Kerberos.)"
        )
    named = [canonical(name) for name in _NAME.findall(said)]
    known = [name for name in named if name in client_settings()]
    missing = [name for name in known if name not in settings]
    if "must be set" in said and "must be set to" not in said and missing:
        return missing[0], f"is missing: the client says {said!r}."
    if "is mandatory" in said and missing:
        return missing[0], f"is missing: {said}."
    name = known[0] if known else ""
    for sign, plain in _PLAIN:
        if sign in said:
            return name, f"{_shown(name, settings)}{plain}."
    if name == "ssl.key.location" and "PEM" in said:
        return name, (
            f"{_shown(name, settings)}holds no private key in PEM, or ssl.key.password is "
            f"{'wrong' if 'ssl.key.password' in settings else 'missing'}."
        )
    if name == "ssl.certificate.location" and "PEM" in said:
        return name, f"{_shown(name, settings)}holds no certificate in PEM."
    return name, f"the client refuses it: {said}."


def _shown(name: str, settings: Mapping[str, Any]) -> str:
    return f"{settings[name]} " if name in _FILES and name in settings else ""


def _unreadable(path: str) -> str | None:
    try:
        if not Path(path).is_dir():
            with Path(path).open("rb"):
                pass
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})."
    except ValueError as error:
        return f"{path!r} is no path of a file ({error})."
    return None


def _without_token(settings: Mapping[str, Any]) -> bool:
    """Whether OAUTHBEARER has no source of tokens: the client is built, and never logs in."""
    if not str(settings.get("security.protocol", "")).lower().startswith("sasl"):
        return False
    if str(settings.get(MECHANISM, "")).upper() != "OAUTHBEARER":
        return False
    unsecured = str(settings.get("enable.sasl.oauthbearer.unsecure.jwt", "")).lower()
    return ENDPOINT not in settings and unsecured not in ("true", "t", "1")


def origin_of(name: str, settings: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """Where a setting was given; for one that is missing, where what asks for it was."""
    if name in origins:
        return origins[name]
    asking = next((each for each in (MECHANISM, "security.protocol") if each in settings), "")
    where = origins.get(asking, "").partition(": ")[0]
    return f"{where}: {name}" if where else name or "client settings"
