"""The broker kind `strimzi`: a Kafka resource found by its address, as `Brokers`.

The Kafka resource says the listeners, its status their addresses; KafkaNodePools say which node ids
there are. What is found is what the API server says at that moment; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from harness.brokers.kind import (
    CONTAINER,
    OPERATOR,
    PAUSE,
    PROCESS,
    REASSIGN,
    REVOKE,
    ROLL,
    ZONES,
    BrokerControl,
)
from harness.brokers.local.cache import cache_folder
from harness.brokers.strimzi.access import Kubernetes, in_pod
from harness.brokers.strimzi.identity import (
    authority,
    authority_secret,
    login_of,
    protocol,
    secret_of,
    user_settings,
)
from harness.brokers.strimzi.objects import (
    CLUSTER_LABEL,
    GROUP,
    VERSION,
    Document,
    Listener,
    choose_listener,
    listeners,
    named,
    not_ready,
    whereabouts,
)
from harness.brokers.strimzi.operated import StrimziOperated
from harness.brokers.strimzi.target import StrimziTarget, parse_target
from harness.errors import ClusterError, EnvironmentFailure, UsageError
from harness.kafka.client_check import refusal
from harness.kafka.environment import HarnessEnvironment
from harness.system.suggest import nearest

FIRST_WITH_V1: Final = "0.49"
"""Strimzi 0.49.0 serves kafka.strimzi.io/v1 first; 1.0.0 serves nothing else."""
_AUTHORITIES: Final = ("ssl.ca.location", "ssl.ca.pem")
_OWN_LOGIN: Final = ("sasl.mechanism", "sasl.mechanisms", "ssl.certificate.location",
                     "ssl.certificate.pem", "ssl.keystore.location")  # fmt: skip


class StrimziBrokers:
    """A Kafka cluster that Strimzi runs, reached as one of its KafkaUsers."""

    kind = "strimzi"
    capabilities = frozenset({PROCESS, PAUSE, REASSIGN, ZONES, CONTAINER, ROLL, OPERATOR,
                              REVOKE})  # fmt: skip

    def __init__(
        self, target: StrimziTarget, kubernetes: Kubernetes, kafka: Document, listener: Listener,
        client_config: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Use `find`."""
        self.target = target
        self.kubernetes = kubernetes
        self.listener = listener
        self.bootstrap = client_config["bootstrap.servers"]
        self._client_config = dict(client_config)
        self._uid = str(kafka["metadata"]["uid"])
        status = kafka.get("status") or {}
        self.cluster_id: str | None = status.get("clusterId")
        spoken = status.get("kafkaVersion") or kafka["spec"]["kafka"].get("version")
        self.kafka_version = str(spoken or "unknown (the Kafka resource names none)")
        self.control: BrokerControl | None = StrimziOperated(
            target, kubernetes, self._client_config, self.capabilities
        )

    @classmethod
    def find(cls, spec: str, settings: Mapping[str, str] | None = None) -> StrimziBrokers:
        """The cluster that an address names.

        settings: librdkafka settings of the caller, which go before what is found here. Raises
        UsageError for a name that there is not, ClusterError when Kubernetes does not answer, a
        right is missing, or the cluster has no address yet.
        """
        target = parse_target(spec)
        given = dict(settings or {})
        kubernetes = Kubernetes.connect(target.context)
        kafka = kubernetes.custom("kafkas", target.namespace, target.cluster)
        if kafka is None:
            refuse_missing(kubernetes, target)
        return cls._reached(target, kubernetes, kafka, given)

    @classmethod
    def _reached(
        cls, target: StrimziTarget, kubernetes: Kubernetes, kafka: Document, given: dict[str, str]
    ) -> StrimziBrokers:
        where = f"Kafka {target.name}"
        user = None if target.user is None else _user(kubernetes, target)
        login = None
        if user is not None and target.user is not None:
            login = login_of(user, target.user, where, target.cluster)
        known = listeners(kafka)
        if user is None and any(name in given for name in _OWN_LOGIN):
            login = _login_of_settings(known, target, where)
        listener = choose_listener(
            known, where, named=target.listener, login=login, inside=in_pod()
        )
        if not listener.bootstrap:
            reason = not_ready(kafka)
            raise ClusterError(
                f"{where}: listener {listener.name} has no address yet: "
                f"{reason or 'the status of the Kafka resource names none'}. "
                f"`kubectl -n {target.namespace} describe kafka {target.cluster}` says more."
            )
        found = {"bootstrap.servers": listener.bootstrap, "security.protocol": protocol(listener)}
        if user is not None and target.user is not None and login is not None:
            secret = kubernetes.secret(target.namespace, secret_of(user, target.user))
            found |= user_settings(user, target.user, login, secret)
        if listener.tls and not any(name in given for name in _AUTHORITIES):
            name = authority_secret(target.cluster)
            own = listener.own_certificate and listener.certificates
            signed_by = None if own else kubernetes.secret(target.namespace, name)
            found["ssl.ca.pem"] = authority(listener, signed_by, name)
        refused = refusal({**found, **given})
        if refused is not None and refused[0] in found:
            raise ClusterError(
                f"{where}: what its secrets hold is of no use: {refused[0]}: {refused[1]} It comes "
                f"from {authority_secret(target.cluster)} or the secret of user {target.user}."
            )
        return cls(target, kubernetes, kafka, listener, {**found, **given})

    def __repr__(self) -> str:
        return f"StrimziBrokers({self.target.spec!r})"

    @property
    def client_config(self) -> dict[str, str]:
        """librdkafka settings for every client; they hold secrets."""
        return dict(self._client_config)

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find this cluster; the kubeconfig it finds itself."""
        return HarnessEnvironment(brokers=self.target.spec).variables()

    @property
    def if_unreached(self) -> str:
        """Which listener the address is of, and from where it is meant to be reached."""
        return whereabouts(self.listener, self.target.name)

    @property
    def meeting_place(self) -> Path | None:
        """Where runs and experiments of this user on this machine find each other."""
        try:
            folder = cache_folder() / "strimzi"
            folder.mkdir(mode=0o700, exist_ok=True)
        except (EnvironmentFailure, OSError):
            return None  # a container without a home; no other process runs there
        return folder / self._uid  # made and removed by whoever is there


def _user(kubernetes: Kubernetes, target: StrimziTarget) -> Document:
    """The KafkaUser that an address names. Raises UsageError listing those there are."""
    assert target.user is not None
    user = kubernetes.custom("kafkausers", target.namespace, target.user)
    if user is not None:
        return user
    there = named(
        kubernetes.customs(
            "kafkausers",
            target.namespace,
            label_selector=f"{CLUSTER_LABEL}={target.cluster}",
        )
    )
    raise UsageError(
        f"{target.spec}: there is no KafkaUser {target.user} in namespace {target.namespace}"
        f"{nearest(target.user, there)}. Those of cluster {target.cluster} are: "
        f"{', '.join(there) or 'none'}."
    )


def _login_of_settings(known: list[Listener], target: StrimziTarget, where: str) -> str | None:
    """The login of the listener that is meant by somebody who brings settings of their own."""
    if target.listener is not None:
        return next((e.authentication for e in known if e.name == target.listener), None)
    logins = sorted({each.authentication for each in known if each.authentication})
    if len(logins) == 1:
        return logins[0]
    there = "; ".join(map(str, known)) or "none"
    raise UsageError(
        f"{where}: the settings hold a login of your own, so the listener has to be named: "
        f"?listener=NAME. There are: {there}."
    )


def refuse_missing(kubernetes: Kubernetes, target: StrimziTarget) -> NoReturn:
    """Raises UsageError or ClusterError: why there is no such Kafka resource, and what there is."""
    served = kubernetes.versions(GROUP)
    if VERSION not in served:
        if not served:
            raise ClusterError(
                f"{target.spec}: this Kubernetes ({kubernetes.host}) has no API group {GROUP}: "
                f"Strimzi's resource definitions are not installed. Strimzi {FIRST_WITH_V1} or "
                "newer is needed."
            )
        raise ClusterError(
            f"{target.spec}: this Kubernetes serves {GROUP} as {', '.join(served)} alone, and "
            f"{GROUP}/{VERSION} is needed. Strimzi {FIRST_WITH_V1} is the first that serves it; "
            "docs/kubernetes.md says how to move to it."
        )
    here = named(kubernetes.customs("kafkas", target.namespace))
    if here:
        raise UsageError(
            f"{target.spec}: namespace {target.namespace} has no Kafka resource {target.cluster}"
            f"{nearest(target.cluster, here)}. There are: {', '.join(here)}."
        )
    try:
        everywhere = kubernetes.customs("kafkas", None)
    except ClusterError:
        elsewhere = " (this identity may not list other namespaces)"
    else:
        names = sorted(
            f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in everywhere
        )
        elsewhere = f". There are: {', '.join(names) or 'none in this Kubernetes'}"
    raise UsageError(
        f"{target.spec}: there is no Kafka resource in namespace {target.namespace}, or no such "
        f"namespace{elsewhere}."
    )
