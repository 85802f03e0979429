"""spec.authorization.acls of a KafkaUser, as ACLs of Kafka's StandardAuthorizer."""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.kubernetes.standin.kafka_admin import KafkaAdmin, finish, finish_all

_RESOURCES: Final = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "cluster": ResourceType.BROKER,
    "transactionalId": ResourceType.TRANSACTIONAL_ID,
}
_PATTERNS: Final = {"literal": ResourcePatternType.LITERAL, "prefix": ResourcePatternType.PREFIXED}
_OPERATIONS: Final = {
    "All": AclOperation.ALL,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Delete": AclOperation.DELETE,
    "Alter": AclOperation.ALTER,
    "Describe": AclOperation.DESCRIBE,
    "ClusterAction": AclOperation.CLUSTER_ACTION,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
    "IdempotentWrite": AclOperation.IDEMPOTENT_WRITE,
}
_CLUSTER: Final = "kafka-cluster"


def bindings(principal: str, rules: list[dict[str, Any]]) -> set[AclBinding]:
    """The ACLs that a user's rules mean. Pure."""
    return {
        AclBinding(
            _RESOURCES[rule["resource"]["type"]],
            rule["resource"].get("name", _CLUSTER),
            _PATTERNS[rule["resource"].get("patternType", "literal")],
            principal,
            rule.get("host", "*"),
            _OPERATIONS[operation],
            AclPermissionType[rule.get("type", "allow").upper()],
        )
        for rule in rules
        for operation in rule["operations"]
    }


def set_acls(admin: KafkaAdmin, username: str, rules: list[dict[str, Any]]) -> None:
    """Make `rules` all that the user may do. Raises KafkaException."""
    principal = f"User:{username}"
    wanted = bindings(principal, rules)
    every = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]  # any name, any host
        ResourcePatternType.ANY,
        principal,
        None,  # type: ignore[arg-type]
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found = set(finish(admin.client.describe_acls(every)))
    if missing := wanted - found:
        finish_all(admin.client.create_acls(list(missing)).values())
    if surplus := found - wanted:
        filters = [
            AclBindingFilter(
                each.restype,
                each.name,
                each.resource_pattern_type,
                each.principal,
                each.host,
                each.operation,
                each.permission_type,
            )
            for each in surplus
        ]
        finish_all(admin.client.delete_acls(filters).values())
