"""Rules about Strimzi's resources: copies, who may lead, storage, who may connect, what users may.

Names and defaults are those of Strimzi's kafka.strimzi.io/v1 and of Kafka's broker settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.profiles.model import as_int, is_true
from harness.profiles.strimzi import (
    CLUSTER_LABEL,
    GROUP,
    KINDS,
    Flaw,
    Resource,
    Resources,
    replicas,
    resource_rule,
    roles,
)

CONFIG: Final = ("spec", "kafka", "config")
COPIES: Final = 3
MIN_ISR: Final = 2
_INTERNAL: Final = (
    ("offsets.topic.replication.factor", "min.insync.replicas"),
    ("transaction.state.log.replication.factor", "transaction.state.log.min.isr"),
    ("share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr"),
)
_OUTSIDE: Final = ("nodeport", "loadbalancer", "ingress", "route")


@resource_rule("strimzi-old-api", *KINDS)
def old_api(resource: Resource, _: Resources) -> Iterator[Flaw]:
    version = resource.api_version.partition("/")[2]
    if version != "v1":
        yield Flaw(
            ("apiVersion",),
            "warning",
            f"{resource.api_version} is served up to Strimzi 0.51 alone; Strimzi 1.0 refuses it.",
            f"Use {GROUP}/v1 (Strimzi 0.49 or newer).",
        )


@resource_rule("strimzi-no-cluster", "KafkaNodePool", "KafkaTopic", "KafkaUser")
def no_cluster(resource: Resource, _: Resources) -> Iterator[Flaw]:
    if resource.cluster is None and resource.whole:
        yield Flaw(
            ("metadata", "labels"),
            "error",
            f"label {CLUSTER_LABEL} is missing: no operator looks at the resource, and nothing "
            "says so.",
            f"Set metadata.labels, {CLUSTER_LABEL}, to the name of the Kafka resource.",
        )


# ------------------------------------------------------------------------------------------ Kafka


@resource_rule("kafka-internal-topics", "Kafka")
def internal_topics(resource: Resource, _: Resources) -> Iterator[Flaw]:
    config = resource.mapping(*CONFIG)
    for name, isr_name in _INTERNAL:
        factor, min_isr = as_int(config.get(name)), as_int(config.get(isr_name))
        if factor is not None and factor < COPIES:
            yield Flaw(
                (*CONFIG, name),
                "error" if factor == 1 else "warning",
                f"{name}={factor}: "
                + (
                    "the only copy of committed offsets or of transactions is on one broker."
                    if factor == 1
                    else "with one broker away there is one copy, or nothing can be committed."
                ),
                f"Set {name}={COPIES}. An internal topic that exists keeps what it was made with.",
            )
        if isr_name == "min.insync.replicas" or min_isr is None:
            continue
        if min_isr == 1 and factor != 1:
            yield Flaw(
                (*CONFIG, isr_name),
                "error",
                f"{isr_name}=1: an acknowledged state of transactions can die with one broker.",
                f"Set {isr_name}={MIN_ISR}.",
            )
        elif factor is not None and min_isr >= factor > 1:
            yield Flaw(
                (*CONFIG, isr_name),
                "error",
                f"{isr_name}={min_isr} with {name}={factor}: one broker away stops every "
                "transaction.",
                f"Set {isr_name}={factor - 1}.",
            )


@resource_rule("kafka-default-copies", "Kafka")
def default_copies(resource: Resource, _: Resources) -> Iterator[Flaw]:
    config = resource.mapping(*CONFIG)
    for name, wanted, why in (
        ("default.replication.factor", COPIES, "a topic that states no replicas has one copy"),
        ("min.insync.replicas", MIN_ISR, "acks=all can be the leader alone, also for committed "
         "offsets"),
    ):  # fmt: skip
        stated = as_int(config.get(name))
        if stated is None and not resource.whole:
            continue
        if stated is None or stated < wanted:
            yield Flaw(
                (*CONFIG, name),
                "warning" if stated is None or stated > 1 else "error",
                f"{name} is {'not stated, so it is 1' if stated is None else stated}: {why}."
                if stated in (None, 1)
                else f"{name}={stated}: one broker away leaves one copy, or stops writing.",
                f"Set {name}={wanted}.",
            )
    factor = as_int(config.get("default.replication.factor"))
    min_isr = as_int(config.get("min.insync.replicas"))
    if factor is not None and min_isr is not None and min_isr >= factor > 1:
        yield Flaw(
            (*CONFIG, "min.insync.replicas"),
            "error",
            f"min.insync.replicas={min_isr} with default.replication.factor={factor}: one broker "
            "away, be it for a restart, stops every write with acks=all.",
            f"Set min.insync.replicas={factor - 1}.",
        )


@resource_rule("kafka-unclean-election", "Kafka")
def unclean_election(resource: Resource, _: Resources) -> Iterator[Flaw]:
    name = "unclean.leader.election.enable"
    if is_true(resource.mapping(*CONFIG).get(name)):
        yield Flaw(
            (*CONFIG, name),
            "error",
            "unclean election is on for every topic: a replica without acknowledged records may "
            "become the leader, and the others then delete them too.",
            f"Set {name}=false.",
        )


@resource_rule("kafka-few-brokers", "Kafka")
def few_brokers(resource: Resource, beside: Resources) -> Iterator[Flaw]:
    brokers = beside.brokers(resource.cluster)
    if brokers is None:
        return
    config = resource.mapping(*CONFIG)
    names = ["default.replication.factor", *(name for name, _ in _INTERNAL)]
    above = {name: factor for name in names if (factor := as_int(config.get(name))) is not None
             and factor > brokers}  # fmt: skip
    for name, factor in above.items():
        yield Flaw(
            (*CONFIG, name),
            "error",
            f"{name}={factor}, and the node pools have {brokers} brokers: such a topic cannot be "
            "made.",
            f"Have {factor} brokers.",
        )
    if brokers < COPIES and not above:
        yield Flaw(
            ("metadata", "name"),
            "warning",
            f"the node pools have {brokers} brokers: three copies, of which one may be away, need "
            "three.",
            "Have three brokers.",
        )


@resource_rule("kafka-open-listener", "Kafka")
def open_listener(resource: Resource, _: Resources) -> Iterator[Flaw]:
    for at, listener in resource.entries("spec", "kafka", "listeners"):
        keys = ("spec", "kafka", "listeners", at)
        name, tls = listener.get("name"), listener.get("tls") is True
        login = listener.get("authentication")
        outside = listener.get("type") in _OUTSIDE
        if outside and not (tls and login):
            lacks = " and ".join(["TLS"] * (not tls) + ["authentication"] * (not login))
            yield Flaw(
                keys,
                "error",
                f"listener {name} can be reached from outside of Kubernetes without {lacks}: "
                "strangers can read or write records.",
                "Set tls: true and an authentication, such as type: scram-sha-512.",
            )
        elif not outside and not login and not listener.get("networkPolicyPeers"):
            yield Flaw(
                keys,
                "warning",
                f"listener {name} asks for no login: every pod of the Kubernetes that reaches it "
                "can read and write.",
                "Set an authentication, or networkPolicyPeers that name the pods that may connect.",
            )


@resource_rule("kafka-no-authorization", "Kafka")
def no_authorization(resource: Resource, _: Resources) -> Iterator[Flaw]:
    if resource.whole and not resource.get("spec", "kafka", "authorization"):
        yield Flaw(
            ("spec", "kafka"),
            "warning",
            "no authorization: whoever logs in may do everything, and ACLs of KafkaUsers mean "
            "nothing.",
            "Set spec.kafka.authorization, such as type: simple.",
        )


# ------------------------------------------------------------------------------------------ pools


@resource_rule("pool-ephemeral-storage", "KafkaNodePool")
def ephemeral_storage(resource: Resource, _: Resources) -> Iterator[Flaw]:
    storage = ("spec", "storage")
    places: list[tuple[str | int, ...]] = [storage]
    places += [(*storage, "volumes", at) for at, _ in resource.entries(*storage, "volumes")]
    for keys in places:
        if resource.get(*keys, "type") == "ephemeral":
            yield Flaw(
                (*keys, "type"),
                "error",
                "ephemeral storage: a pod that is killed or moved comes back empty. Two of them "
                "together lose what acks=all acknowledged.",
                "Set type: persistent-claim with a size.",
            )


@resource_rule("pool-both-roles", "KafkaNodePool")
def both_roles(resource: Resource, _: Resources) -> Iterator[Flaw]:
    if {"broker", "controller"} <= set(roles(resource)):
        yield Flaw(
            ("spec", "roles"),
            "warning",
            "one pool is brokers and controllers: a broker that dies takes a vote of the quorum "
            "with it, and a broker under load makes the controllers slow.",
            "Have two pools, with three controllers and at least three brokers.",
        )


@resource_rule("pool-few-nodes", "KafkaNodePool")
def few_nodes(resource: Resource, beside: Resources) -> Iterator[Flaw]:
    count = replicas(resource)
    if count is None or "controller" not in roles(resource):
        return
    pools = beside.of("KafkaNodePool", resource.cluster)
    voters = sum(replicas(each) or 0 for each in pools if "controller" in roles(each))
    if voters < COPIES:
        yield Flaw(
            ("spec", "replicas"),
            "warning",
            f"{voters} controllers: with one away the others are no majority, and no leader can be "
            "elected.",
            "Have three controllers.",
        )
    elif voters % 2 == 0:
        yield Flaw(
            ("spec", "replicas"),
            "warning",
            f"{voters} controllers: an even number bears no more losses than one less.",
            f"Have {voters - 1} or {voters + 1} controllers.",
        )


# --------------------------------------------------------------------------------- topics, users


@resource_rule("topic-copies", "KafkaTopic")
def topic_copies(resource: Resource, beside: Resources) -> Iterator[Flaw]:
    factor = replicas(resource)
    if factor is None and "replicas" not in resource.mapping("spec"):
        yield Flaw(
            ("spec",),
            "warning",
            "replicas is not stated: default.replication.factor of the brokers decides, 1 unless "
            "changed.",
            f"Set spec.replicas: {COPIES}.",
        )
    brokers = beside.brokers(resource.cluster)
    if factor is not None and brokers is not None and factor > brokers:
        yield Flaw(
            ("spec", "replicas"),
            "error",
            f"replicas: {factor}, and the node pools of {resource.cluster} have {brokers} brokers: "
            "the topic cannot be made.",
            f"Have {factor} brokers, or set spec.replicas: {brokers}.",
        )


@resource_rule("user-wide-acl", "KafkaUser")
def wide_acl(resource: Resource, _: Resources) -> Iterator[Flaw]:
    for at, acl in resource.entries("spec", "authorization", "acls"):
        if acl.get("type") == "deny":
            continue
        keys = ("spec", "authorization", "acls", at)
        what = resource.mapping(*keys, "resource")
        kind = str(what.get("type", "resource"))
        everything = kind != "cluster" and str(what.get("name", "*")) in ("*", "")
        stated = acl.get("operations") or ([acl["operation"]] if "operation" in acl else [])
        all_of_it = "All" in stated
        if everything:
            yield Flaw(
                (*keys, "resource", "name"),
                "error" if all_of_it else "warning",
                f"the rule holds for every {kind}"
                + (", and for every operation." if all_of_it else "."),
                f"Name the {kind}, or a prefix with patternType: prefix.",
            )
        if all_of_it:
            yield Flaw(
                (*keys, "operations"),
                "error" if kind == "cluster" else "warning",
                f"operation All on {kind} {what.get('name', '')}".rstrip()
                + ": the user may also delete it and change its settings and ACLs.",
                "Name the operations, such as Read, Write and Describe.",
            )


@resource_rule("user-no-login", "KafkaUser")
def no_login(resource: Resource, _: Resources) -> Iterator[Flaw]:
    if not resource.get("spec", "authentication", "type"):
        yield Flaw(
            ("spec",),
            "warning",
            "no authentication: the operator makes no secret, so this user cannot log in.",
            "Set spec.authentication, such as type: scram-sha-512.",
        )


@resource_rule("user-no-quotas", "KafkaUser")
def no_quotas(resource: Resource, _: Resources) -> Iterator[Flaw]:
    if not resource.mapping("spec", "quotas"):
        yield Flaw(
            ("spec",),
            "warning",
            "no quotas: one client of this user can take a broker's whole bandwidth.",
            "Set spec.quotas, such as producerByteRate and consumerByteRate.",
        )
