"""Strimzi's objects in Kubernetes as data: listeners, readiness, node pools, broker pods. Pure.

Read from the JSON of kafka.strimzi.io/v1 and core/v1 (Strimzi API reference; names and labels as
io.strimzi.operator.common.model.Labels has them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.errors import UsageError

Document = Mapping[str, Any]
"""An object as the Kubernetes API returns it."""

GROUP: Final = "kafka.strimzi.io"
VERSION: Final = "v1"
CLUSTER_LABEL: Final = "strimzi.io/cluster"
NAME_LABEL: Final = "strimzi.io/name"
BROKER_LABEL: Final = "strimzi.io/broker-role"
CONTROLLER_LABEL: Final = "strimzi.io/controller-role"
POOL_LABEL: Final = "strimzi.io/pool-name"
POD_LABEL: Final = "strimzi.io/pod-name"
CONTAINER: Final = "kafka"
"""The container of a pod in which the broker runs."""
INSIDE: Final = ("internal", "cluster-ip")
"""Types of listeners whose addresses are meant for clients in the same Kubernetes."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener: what the Kafka resource asks for, and the address that its status gives."""

    name: str
    type: str
    """internal, nodeport, loadbalancer, ingress, route or cluster-ip"""
    tls: bool
    authentication: str | None
    """scram-sha-512, tls, …; None: whoever connects is let in."""
    bootstrap: str
    """HOST:PORT,…; empty while the operator has not written it into the status."""
    own_certificate: bool = False
    """Does it show a certificate that the cluster's authority did not sign?"""
    certificates: tuple[str, ...] = ()
    """PEM texts by which its certificate can be verified."""

    def __str__(self) -> str:
        login = self.authentication or "none"
        return f"{self.name} ({self.type}, TLS {'on' if self.tls else 'off'}, login {login})"


def listeners(kafka: Document) -> list[Listener]:
    """The listeners of a Kafka resource, in its order."""
    stated = _list(_dict(_dict(kafka.get("spec")).get("kafka")).get("listeners"))
    statuses = {
        str(each.get("name")): each for each in _list(_dict(kafka.get("status")).get("listeners"))
    }
    found: list[Listener] = []
    for each in stated:
        status = statuses.get(str(each.get("name")), {})
        own = "brokerCertChainAndKey" in _dict(each.get("configuration"))
        login = _dict(each.get("authentication")).get("type")
        found.append(
            Listener(
                name=str(each.get("name")),
                type=str(each.get("type", "internal")),
                tls=each.get("tls") is True,
                authentication=None if login is None else str(login),
                bootstrap=str(status.get("bootstrapServers") or ""),
                own_certificate=own,
                certificates=tuple(map(str, status.get("certificates") or ())),
            )
        )
    return found


def choose_listener(
    known: Iterable[Listener], where: str, *, named: str | None, login: str | None, inside: bool
) -> Listener:
    """The listener that a client uses: the one that is named, or the first that fits.

    login: the type of authentication that the client can show; None: it has nothing to show.
    inside: does the client run in the same Kubernetes? Then its internal listeners come first,
    else the external ones; listeners with TLS come before those without. Raises UsageError that
    lists the listeners when none fits.
    """
    all_of_them = list(known)
    there = "; ".join(map(str, all_of_them)) or "none"
    has = "no user is named" if login is None else f"the user logs in by {login}"
    if named is not None:
        found = [each for each in all_of_them if each.name == named]
        if not found:
            raise UsageError(f"{where}: it has no listener {named!r}. There are: {there}.")
        if found[0].authentication != login:
            raise UsageError(
                f"{where}: listener {found[0]} does not fit: {has}. There are: {there}. Name "
                f"another listener, or a KafkaUser with that login: ?user=NAME&listener={named}."
            )
        return found[0]
    fitting = [each for each in all_of_them if each.authentication == login]
    if not fitting:
        raise UsageError(
            f"{where}: no listener fits: {has}. There are: {there}. Name a KafkaUser whose login "
            "one of them accepts: ?user=NAME."
        )
    return min(fitting, key=lambda each: ((each.type in INSIDE) != inside, not each.tls))


def whereabouts(listener: Listener, kafka: str) -> str:
    """Where the address of a listener is from and who can reach it, in one or two sentences."""
    said = f"The status of Kafka {kafka} gives {listener.bootstrap} for its listener {listener}."
    if listener.type in INSIDE:
        return (
            f"{said} It is for clients inside that Kubernetes: run there (harness k8s run), or "
            "give the Kafka resource a listener for clients outside."
        )
    if listener.type == "nodeport":
        return (
            f"{said} It is the address of a node: from here the node's network and its ports have "
            "to be open (30000 to 32767 unless the cluster has others), for this one and for that "
            "of each broker."
        )
    return f"{said} The {listener.type} in front of the brokers has to be reached from here."


def not_ready(resource: Document) -> str | None:
    """Why a resource of Strimzi is not ready, as its conditions say; None when it is."""
    conditions = _list(_dict(resource.get("status")).get("conditions"))
    for each in conditions:
        if each.get("type") == "Ready" and each.get("status") == "True":
            return None
    for each in conditions:
        if each.get("type") == "NotReady" or each.get("status") != "True":
            said = [str(each[key]) for key in ("reason", "message") if each.get(key)]
            return ": ".join(said) or f"condition {each.get('type')} is {each.get('status')}"
    return "the operator has not said that it is ready"


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """A Kafka node that a node pool is to have; it may have no pod at the moment."""

    node_id: int
    pod: str
    pool: str
    broker: bool
    controller: bool


def nodes(cluster: str, pools: Iterable[Document]) -> list[KafkaNode]:
    """The nodes that the operator has given ids, ascending; other clusters' pools are left out.

    Ids are not ordinals: a pool keeps the ids of its other nodes when one is removed.
    """
    found: list[KafkaNode] = []
    for pool in pools:
        metadata = _dict(pool.get("metadata"))
        if _dict(metadata.get("labels")).get(CLUSTER_LABEL) != cluster:
            continue
        name, status = str(metadata.get("name")), _dict(pool.get("status"))
        roles = status.get("roles") or _dict(pool.get("spec")).get("roles") or ()
        for number in status.get("nodeIds") or ():
            pod = f"{cluster}-{name}-{number}"
            found.append(
                KafkaNode(int(number), pod, name, "broker" in roles, "controller" in roles)
            )
    return sorted(found, key=lambda node: node.node_id)


def broker_selector(cluster: str) -> str:
    """The labels of a cluster's broker pods, as a selector."""
    return f"{CLUSTER_LABEL}={cluster},{NAME_LABEL}={cluster}-kafka,{BROKER_LABEL}=true"


def node_selector(cluster: str) -> str:
    """The labels of all pods of a cluster's nodes: brokers and controllers."""
    return f"{CLUSTER_LABEL}={cluster},{NAME_LABEL}={cluster}-kafka"


def named(resources: Iterable[Document]) -> list[str]:
    """The names of resources, sorted."""
    return sorted(str(_dict(each.get("metadata")).get("name")) for each in resources)


def label(resource: Document, name: str) -> str | None:
    """A label of a resource."""
    value = _dict(_dict(resource.get("metadata")).get("labels")).get(name)
    return None if value is None else str(value)


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
