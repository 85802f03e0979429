"""How a client shows who it is: from a KafkaUser, its secret and the cluster's authority. Pure.

Strimzi's User Operator writes a secret for each KafkaUser: `password` for SCRAM-SHA-512, `user.crt`
and `user.key` for TLS. The Cluster Operator writes <cluster>-cluster-ca-cert with `ca.crt`. Values
go into librdkafka settings and nowhere else; each is remembered, so that `scrub` finds it in any
text of somebody else's.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from harness.brokers.strimzi.objects import CLUSTER_LABEL, Document, Listener, label, not_ready
from harness.errors import ClusterError, UsageError, remember_secret

SCRAM: Final = "scram-sha-512"
TLS: Final = "tls"
_LOGINS: Final = (SCRAM, TLS)


def login_of(user: Document, name: str, where: str, cluster: str) -> str:
    """The type of authentication of a KafkaUser. Raises UsageError for one that has no secret."""
    belongs = label(user, CLUSTER_LABEL)
    if belongs != cluster:
        raise UsageError(
            f"KafkaUser {name} belongs to cluster {belongs!r} (label {CLUSTER_LABEL}), not to "
            f"{where}. Name a user of this cluster."
        )
    login = ((user.get("spec") or {}).get("authentication") or {}).get("type")
    if login not in _LOGINS:
        raise UsageError(
            f"KafkaUser {name}: its authentication is {login or 'none'}; accepted are "
            f"{' and '.join(_LOGINS)}, whose secret Strimzi writes. Give the settings of any other "
            "login by --config or --properties."
        )
    return str(login)


def secret_of(user: Document, name: str) -> str:
    """The name of a KafkaUser's secret, as its status says."""
    return str((user.get("status") or {}).get("secret") or name)


def user_settings(user: Document, name: str, login: str, secret: Document | None) -> dict[str, str]:
    """librdkafka settings of a login. Raises ClusterError when the secret does not hold it."""
    wanted = ("password",) if login == SCRAM else ("user.crt", "user.key")
    values = {key: value_of(secret, key) for key in wanted}
    missing = [key for key, value in values.items() if not value]
    if missing:
        reason = not_ready(user)
        raise ClusterError(
            f"KafkaUser {name}: secret {secret_of(user, name)} "
            f"{'is not there' if secret is None else 'has no ' + ' and no '.join(missing)}"
            f"{'' if reason is None else f'; the user is not ready ({reason})'}. The User Operator "
            "writes it (entityOperator.userOperator of the Kafka resource)."
        )
    for key, value in values.items():
        if key != "user.crt":
            remember_secret(value)
    if login == SCRAM:
        username = (user.get("status") or {}).get("username") or name
        return {
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": str(username),
            "sasl.password": values["password"],
        }
    return {"ssl.certificate.pem": values["user.crt"], "ssl.key.pem": values["user.key"]}


def protocol(listener: Listener) -> str:
    """librdkafka's security.protocol for a listener."""
    sasl = listener.authentication not in (None, TLS)
    if listener.tls:
        return "SASL_SSL" if sasl else "SSL"
    return "SASL_PLAINTEXT" if sasl else "PLAINTEXT"


def authority_secret(cluster: str) -> str:
    """The name of the secret with the certificate of a cluster's authority."""
    return f"{cluster}-cluster-ca-cert"


def authority(listener: Listener, secret: Document | None, name: str) -> str:
    """The PEM text by which a client verifies a listener's certificate.

    The cluster's authority signs it, unless the listener has a certificate of its own, which the
    status of the Kafka resource then shows. Raises ClusterError when there is neither.
    """
    own = "\n".join(listener.certificates)
    if listener.own_certificate and own:
        return own
    found = value_of(secret, "ca.crt") or own
    if "BEGIN CERTIFICATE" not in found:
        raise ClusterError(
            f"secret {name}: {'it is not there' if secret is None else 'its ca.crt is no PEM'}, so "
            f"the certificate of listener {listener.name} cannot be verified. Strimzi writes the "
            "secret; give another authority by --config ssl.ca.location=FILE."
        )
    return found


def value_of(secret: Document | None, key: str) -> str:
    """A value of a secret; empty where there is none."""
    encoded = ((secret or {}).get("data") or {}).get(key)
    try:
        return base64.b64decode(encoded or "").decode()
    except (binascii.Error, UnicodeDecodeError, TypeError):
        return ""
