"""Strimzi's resources as guardrails see them: what each file holds, and what its rules find.

A rule looks at one resource and at those beside it, since a Kafka resource says how many copies
there are to be, and its node pools say how many brokers there are. The rules themselves are in
harness/profiles/rules_strimzi.py. Pure: no files are read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from harness.profiles.documents import Located
from harness.profiles.rule import Finding, Severity

GROUP: Final = "kafka.strimzi.io"
CLUSTER_LABEL: Final = "strimzi.io/cluster"
KINDS: Final = ("Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser")
_REQUIRED: Final = {
    "Kafka": (("spec", "kafka", "listeners"),),
    "KafkaNodePool": (("spec", "replicas"), ("spec", "roles"), ("spec", "storage")),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a file."""

    document: Located

    @property
    def kind(self) -> str:
        """Kafka, KafkaNodePool, KafkaTopic or KafkaUser."""
        return str(self.document.content["kind"])

    @property
    def api_version(self) -> str:
        """As kafka.strimzi.io/v1."""
        return str(self.document.content["apiVersion"])

    @property
    def name(self) -> str:
        """Of its metadata; in words where it has none."""
        return str(self.get("metadata", "name") or f"(a {self.kind} without a name)")

    @property
    def cluster(self) -> str | None:
        """The cluster that it is or belongs to."""
        if self.kind == "Kafka":
            return self.name
        value = self.mapping("metadata", "labels").get(CLUSTER_LABEL)
        return None if value is None else str(value)

    @property
    def whole(self) -> bool:
        """Does it have what Strimzi's definition requires? A patch of Kustomize does not."""
        wanted = _REQUIRED.get(self.kind, ())
        return all(self.get(*keys) is not None for keys in wanted)

    def get(self, *keys: Any) -> Any:
        """The value under nested keys; None where there is none."""
        value: Any = self.document.content
        for key in keys:
            if isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value

    def mapping(self, *keys: Any) -> Mapping[str, Any]:
        """The mapping under nested keys; empty where there is none."""
        value = self.get(*keys)
        return value if isinstance(value, Mapping) else {}

    def entries(self, *keys: Any) -> list[tuple[int, Mapping[str, Any]]]:
        """The mappings of the list under nested keys, with their places."""
        value = self.get(*keys)
        found = enumerate(value) if isinstance(value, list) else ()
        return [(at, each) for at, each in found if isinstance(each, Mapping)]

    def where(self, keys: Sequence[Any]) -> str:
        """`file:line: Kind name.path`."""
        path = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in keys)
        return f"{self.document.where(*keys)}: {self.kind} {self.name}{path}"


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that was given of one folder."""

    all: Sequence[Resource]

    def of(self, kind: str, cluster: str | None) -> list[Resource]:
        """The resources of a kind that belong to a cluster."""
        return [
            each for each in self.all
            if each.kind == kind and each.cluster == cluster and each.whole
        ]  # fmt: skip

    def brokers(self, cluster: str | None) -> int | None:
        """How many brokers a cluster's node pools have together; None where none is there."""
        pools = self.of("KafkaNodePool", cluster)
        counts = [replicas(pool) for pool in pools if "broker" in roles(pool)]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None


def roles(pool: Resource) -> list[str]:
    """What the nodes of a pool do: broker, controller or both."""
    stated = pool.get("spec", "roles")
    return [str(each) for each in stated] if isinstance(stated, list) else []


def replicas(pool: Resource) -> int | None:
    """How many nodes a pool has, or how many copies a topic."""
    stated = pool.get("spec", "replicas")
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else None


@dataclass(frozen=True, slots=True)
class Flaw:
    """A finding before its rule and its place in the file are filled in."""

    keys: tuple[Any, ...]
    severity: Severity
    message: str
    fix: str


ResourceCheck: TypeAlias = Callable[[Resource, Resources], Iterator[Flaw]]
STRIMZI_RULES: Final[dict[str, tuple[tuple[str, ...], ResourceCheck]]] = {}
"""Rule → the kinds that it looks at, and its check."""


def resource_rule(identity: str, *kinds: str) -> Callable[[ResourceCheck], ResourceCheck]:
    """Enter a check of resources of some kinds under its id."""

    def enter(check: ResourceCheck) -> ResourceCheck:
        STRIMZI_RULES[identity] = (kinds, check)
        return check

    return enter


def is_strimzi(content: Any) -> bool:
    """Whether a document is a resource that these rules look at."""
    if not isinstance(content, Mapping):
        return False
    group = str(content.get("apiVersion", "")).partition("/")[0]
    return group == GROUP and content.get("kind") in KINDS


def resource_findings(resource: Resource, beside: Resources) -> list[Finding]:
    """What the rules find in a resource, in the order of the rules."""
    return [
        Finding(identity, flaw.severity, resource.where(flaw.keys), flaw.message, flaw.fix)
        for identity, (kinds, check) in STRIMZI_RULES.items()
        if resource.kind in kinds
        for flaw in check(resource, beside)
    ]
