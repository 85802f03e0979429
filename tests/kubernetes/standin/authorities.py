"""The cluster's two certificate authorities, kept in secrets under Strimzi's names.

What is in the secrets is used again: an operator that was killed, and one that comes back after
hours, finds what it made. `strimzi.io/force-renew` on `<cluster>-cluster-ca-cert` or
`<cluster>-clients-ca-cert` renews the certificate, and the generation says so to the pods.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

from tests.kubernetes.standin.api_server import SECRET, ApiServer
from tests.kubernetes.standin.broker_config import KafkaNode, digest
from tests.kubernetes.standin.certificates import KeyPair, issue, make_authority, renew_authority
from tests.kubernetes.standin.custom_resources import Cluster
from tests.kubernetes.standin.names import (
    CA_GENERATION,
    CLUSTER_CA_GENERATION,
    FORCE_RENEW,
    ClusterNames,
    service_sans,
)

_NAMES_HASH: Final = "strimzi.io/server-names-hash"


@dataclass(frozen=True, slots=True, repr=False)
class CertificateAuthority:
    """One of the two; `generation` counts its renewals."""

    pair: KeyPair
    generation: int


@dataclass(frozen=True, slots=True, repr=False)
class Authorities:
    """Who signs for nodes (`cluster`) and for users (`clients`)."""

    cluster: CertificateAuthority
    clients: CertificateAuthority


def read_secret(document: dict[str, Any]) -> dict[str, str]:
    """Its values as text."""
    return {
        key: base64.b64decode(value).decode() for key, value in (document.get("data") or {}).items()
    }


def secret(
    metadata: dict[str, Any], values: dict[str, str], annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    """A Secret resource."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "annotations": annotations or {}},
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in values.items()},
    }


def metadata_of(cluster: Cluster, name: str) -> dict[str, Any]:
    """What belongs to the cluster as a whole and goes with it."""
    return {
        "name": name,
        "namespace": cluster.names.namespace,
        "labels": cluster.names.labels(),
        "ownerReferences": [cluster.reference],
    }


def ensure_authorities(api: ApiServer, cluster: Cluster) -> Authorities:
    """Both, read from their secrets; made where there are none, renewed where it is asked for."""
    names = cluster.names
    return Authorities(
        _ensure(api, cluster, names.cluster_ca, "cluster-ca"),
        _ensure(api, cluster, names.clients_ca, "clients-ca"),
    )


def read_authority(api: ApiServer, name: str) -> CertificateAuthority | None:
    """The authority of `<cluster>-cluster-ca` or `<cluster>-clients-ca`; None before it is made."""
    private, public = api.get(SECRET, name), api.get(SECRET, f"{name}-cert")
    if private is None or public is None:
        return None
    pair = KeyPair(read_secret(private)["ca.key"], read_secret(public)["ca.crt"])
    return CertificateAuthority(pair, int(_annotations(public).get(CA_GENERATION, "0")))


def _ensure(api: ApiServer, cluster: Cluster, name: str, title: str) -> CertificateAuthority:
    found = read_authority(api, name)
    if found is None:
        pair, generation = make_authority(_subject(title, 0)), 0
        key = {"ca.key": pair.key}
        api.apply(secret(metadata_of(cluster, name), key, {CA_GENERATION: "0"}))
    else:
        public = api.get(SECRET, f"{name}-cert") or {}
        if _annotations(public).get(FORCE_RENEW) != "true":
            return found
        generation = found.generation + 1
        pair = renew_authority(found.pair, _subject(title, 0))
    annotations = {CA_GENERATION: str(generation)}
    api.apply(
        secret(metadata_of(cluster, f"{name}-cert"), {"ca.crt": pair.certificate}, annotations)
    )
    # Whoever asked for the renewal owns the annotation, so an apply would leave it.
    api.merge(SECRET, f"{name}-cert", {"metadata": {"annotations": {FORCE_RENEW: None}}})
    return CertificateAuthority(pair, generation)


def ensure_node_certificate(
    api: ApiServer, cluster: Cluster, authorities: Authorities, node: KafkaNode, extra: list[str]
) -> str:
    """The secret `<pod>` with what the node's listeners need; the hash of its certificate."""
    sans = node_names(cluster.names, node.pod) + extra
    generations = f"{authorities.cluster.generation}-{authorities.clients.generation}"
    marks = {CLUSTER_CA_GENERATION: generations, _NAMES_HASH: digest(",".join(sans))}
    found = api.get(SECRET, node.pod)
    if found is not None and marks.items() <= _annotations(found).items():
        return digest(read_secret(found)[f"{node.pod}.crt"])
    subject = f"/O=io.strimzi/CN={cluster.names.component}"
    pair = issue(authorities.cluster.pair, subject, sans)
    values = {
        f"{node.pod}.crt": pair.certificate,
        f"{node.pod}.key": pair.key,
        "node.pem": pair.key + pair.certificate,
        "cluster-ca.crt": authorities.cluster.pair.certificate,
        "clients-ca.crt": authorities.clients.pair.certificate,
    }
    api.apply(secret(metadata_of(cluster, node.pod), values, marks))
    return digest(pair.certificate)


def ensure_operator_certificate(
    api: ApiServer, cluster: Cluster, authorities: Authorities
) -> KeyPair:
    """The operator's own identity towards the brokers, a super user."""
    name = cluster.names.operator_certificate
    found = api.get(SECRET, name)
    if found is not None:
        values = read_secret(found)
        return KeyPair(values["cluster-operator.key"], values["cluster-operator.crt"])
    pair = issue(authorities.cluster.pair, "/O=io.strimzi/CN=cluster-operator")
    values = {"cluster-operator.key": pair.key, "cluster-operator.crt": pair.certificate}
    api.apply(secret(metadata_of(cluster, name), values))
    return pair


def node_names(names: ClusterNames, pod: str) -> list[str]:
    """The DNS names in a node's certificate."""
    namespace = names.namespace
    return [
        *service_sans(namespace, names.bootstrap_service),
        *service_sans(namespace, names.brokers_service),
        names.pod_host(pod),
        f"{names.pod_host(pod)}.cluster.local",
    ]


def _subject(title: str, version: int) -> str:
    return f"/O=io.strimzi/CN={title} v{version}"


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    return document.get("metadata", {}).get("annotations") or {}
