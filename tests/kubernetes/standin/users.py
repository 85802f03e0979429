"""KafkaUser resources become users: credentials in a secret and in Kafka, ACLs, quotas."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from tests.kubernetes.standin.acls import set_acls
from tests.kubernetes.standin.api_server import SECRET, USER, ApiServer
from tests.kubernetes.standin.authorities import read_authority, read_secret, secret
from tests.kubernetes.standin.certificates import issue
from tests.kubernetes.standin.conditions import not_ready, ready, write_status
from tests.kubernetes.standin.custom_resources import InvalidResource
from tests.kubernetes.standin.kafka_admin import KafkaAdmin, finish_all
from tests.kubernetes.standin.log import say
from tests.kubernetes.standin.names import CLUSTER_LABEL, OPERATOR, ClusterNames
from tests.kubernetes.standin.quotas import KEYS, QuotaRefused, set_quotas

_PASSWORD_CHARACTERS: Final = 32
_ITERATIONS: Final = 4096


@dataclass(frozen=True, slots=True, repr=False)
class _Done:
    """A user as it was carried out last."""

    user: str
    generation: int
    password: str


class UserOperator:
    """Carries out the KafkaUser resources of one cluster."""

    def __init__(
        self, api: ApiServer, admin: KafkaAdmin, names: ClusterNames, authorized: bool
    ) -> None:
        self._api = api
        self._admin = admin
        self._names = names
        self._authorized = authorized
        """Whether the cluster has an authorizer; without one Kafka takes no ACLs."""
        self._done: dict[str, _Done] = {}
        """Resource → what was carried out."""

    def reconcile(self) -> None:
        documents = self._api.list(USER, {CLUSTER_LABEL: self._names.cluster})
        for document in documents:
            name = document["metadata"]["name"]
            try:
                self._carry_out(document)
            except (KafkaException, QuotaRefused, InvalidResource) as error:
                self._done.pop(name, None)
                write_status(self._api, document, not_ready(document, "KafkaError", str(error)))
            else:
                status = {**ready(document), "username": username(document), "secret": name}
                write_status(self._api, document, status)
        for gone in set(self._done) - {each["metadata"]["name"] for each in documents}:
            self._remove(gone)

    def _carry_out(self, document: dict[str, Any]) -> None:
        name, spec = document["metadata"]["name"], document["spec"]
        user = username(document)
        password = self._secret(document)
        state = _Done(user, document["metadata"]["generation"], password)
        if self._done.get(name) == state:
            return
        if password:
            self._set_password(user, password)
        authorization = spec.get("authorization") or {}
        if authorization and not self._authorized:
            raise InvalidResource("the Kafka resource has no authorization, so ACLs are refused")
        if self._authorized:
            set_acls(self._admin, user, authorization.get("acls") or [])
        quotas = spec.get("quotas") or {}
        given = {KEYS[key]: float(value) for key, value in quotas.items() if key in KEYS}
        set_quotas(self._admin, user, given)
        self._done[name] = state
        say(f"user {user}: carried out")

    def _secret(self, document: dict[str, Any]) -> str:
        """Make the user's secret unless it is there; the password of a SCRAM user, else empty."""
        name = document["metadata"]["name"]
        kind = str((document["spec"].get("authentication") or {}).get("type", ""))
        found = self._api.get(SECRET, name)
        values = read_secret(found) if found is not None else {}
        if kind == "scram-sha-512":
            password = self._given_password(document) or values.get("password") or _password()
            wanted = {"password": password, "sasl.jaas.config": _jaas(name, password)}
        elif kind == "tls":
            password = ""
            if "user.crt" in values:
                return password
            clients = read_authority(self._api, self._names.clients_ca)
            if clients is None:
                raise InvalidResource("the clients CA is not there yet")
            pair = issue(clients.pair, f"/CN={name}")
            wanted = {"user.crt": pair.certificate, "user.key": pair.key}
            wanted["ca.crt"] = clients.pair.certificate
        else:
            return ""
        if values != wanted:
            self._api.apply(secret(self._metadata(document), wanted))
        return password

    def _given_password(self, document: dict[str, Any]) -> str:
        source = document["spec"]["authentication"].get("password")
        if not source:
            return ""
        reference = source["valueFrom"]["secretKeyRef"]
        found = self._api.get(SECRET, reference["name"])
        if found is None or reference["key"] not in (found.get("data") or {}):
            raise InvalidResource(
                f"secret {reference['name']} with key {reference['key']} is missing"
            )
        return read_secret(found)[reference["key"]]

    def _metadata(self, document: dict[str, Any]) -> dict[str, Any]:
        name = document["metadata"]["name"]
        return {
            "name": name,
            "namespace": self._names.namespace,
            "labels": {
                CLUSTER_LABEL: self._names.cluster,
                "strimzi.io/kind": "KafkaUser",
                "app.kubernetes.io/managed-by": OPERATOR,
            },
            "ownerReferences": [
                {
                    "apiVersion": USER.api_version,
                    "kind": USER.kind,
                    "name": name,
                    "uid": document["metadata"]["uid"],
                    "controller": False,
                    "blockOwnerDeletion": False,
                }
            ],
        }

    def _set_password(self, user: str, password: str) -> None:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        change = UserScramCredentialUpsertion(user, info, password.encode())
        finish_all(self._admin.client.alter_user_scram_credentials([change]).values())

    def _remove(self, name: str) -> None:
        done = self._done[name]
        user = done.user
        if done.password:
            deletion = UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512)
            futures = self._admin.client.alter_user_scram_credentials([deletion]).values()
            finish_all(futures, accept=_is_missing)
        if self._authorized:
            set_acls(self._admin, user, [])
        set_quotas(self._admin, user, {})
        del self._done[name]
        say(f"user {user}: removed")


def username(document: dict[str, Any]) -> str:
    """What Kafka calls the user: the name, or `CN=name` of a TLS user."""
    name = str(document["metadata"]["name"])
    kind = str((document["spec"].get("authentication") or {}).get("type", ""))
    return f"CN={name}" if kind.startswith("tls") else name


def _is_missing(error: KafkaException) -> bool:
    return bool(error.args[0].code() == KafkaError.RESOURCE_NOT_FOUND)


def _password() -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(_PASSWORD_CHARACTERS))


def _jaas(user: str, password: str) -> str:
    login = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return f'{login} required username="{user}" password="{password}";'
