"""KafkaTopic resources become topics: made, changed and deleted.

As Strimzi's unidirectional topic operator: the resource is the truth, a finalizer keeps it until
its topic is gone, and what cannot be done (fewer partitions, another replication factor) is a
condition in its status.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
    TopicDescription,
)

from tests.kubernetes.standin.api_server import TOPIC, ApiServer
from tests.kubernetes.standin.conditions import not_ready, ready, write_status
from tests.kubernetes.standin.custom_resources import InvalidResource
from tests.kubernetes.standin.kafka_admin import KafkaAdmin, finish
from tests.kubernetes.standin.log import say
from tests.kubernetes.standin.names import CLUSTER_LABEL, TOPIC_FINALIZER

DELETED_TOO: Final = "strimzi.io/managed"
"""An annotation: `false` leaves the topic alone."""


def reconcile_topics(api: ApiServer, admin: KafkaAdmin, cluster: str) -> None:
    """Carry out every KafkaTopic resource of the cluster."""
    for document in api.list(TOPIC, {CLUSTER_LABEL: cluster}):
        metadata = document["metadata"]
        if (metadata.get("annotations") or {}).get(DELETED_TOO) == "false":
            continue
        if metadata.get("deletionTimestamp"):
            _delete(api, admin, document)
            continue
        if TOPIC_FINALIZER not in (metadata.get("finalizers") or ()):
            finalizers = [*(metadata.get("finalizers") or ()), TOPIC_FINALIZER]
            api.merge(TOPIC, metadata["name"], {"metadata": {"finalizers": finalizers}})
        try:
            topic_id = _carry_out(admin, document)
        except (KafkaException, InvalidResource) as error:
            write_status(api, document, not_ready(document, "KafkaError", str(error)))
        else:
            status = {**ready(document), "topicName": topic_name(document), "topicId": topic_id}
            write_status(api, document, status)


def topic_name(document: dict[str, Any]) -> str:
    return str(document["spec"].get("topicName") or document["metadata"]["name"])


def _carry_out(admin: KafkaAdmin, document: dict[str, Any]) -> str:
    """The topic's id, once it is as the resource says."""
    name, spec = topic_name(document), document["spec"]
    config = {key: _text(value) for key, value in (spec.get("config") or {}).items()}
    found = _describe(admin, name)
    if found is None:
        new = NewTopic(name, spec.get("partitions", -1), spec.get("replicas", -1), config=config)
        finish(admin.client.create_topics([new])[name])
        say(f"topic {name}: made")
        found = _describe(admin, name)
        if found is None:
            raise InvalidResource(f"topic {name} was made, and brokers do not show it yet")
        return str(found.topic_id)
    partitions = spec.get("partitions", len(found.partitions))
    if partitions > len(found.partitions):
        finish(admin.client.create_partitions([NewPartitions(name, partitions)])[name])
        say(f"topic {name}: {partitions} partitions")
    elif partitions < len(found.partitions):
        raise InvalidResource(
            f"Decreasing partitions of {name} from {len(found.partitions)} to {partitions} is not "
            "supported"
        )
    replicas = {len(each.replicas) for each in found.partitions}
    if "replicas" in spec and replicas != {spec["replicas"]}:
        raise InvalidResource(
            f"Replication factor of {name} is {sorted(replicas)}, changing it needs Cruise Control"
        )
    _set_config(admin, name, config)
    return str(found.topic_id)


def _describe(admin: KafkaAdmin, name: str) -> TopicDescription | None:
    futures = admin.client.describe_topics(TopicCollection([name]))
    try:
        found: TopicDescription = finish(futures[name])
        return found
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise


def _set_config(admin: KafkaAdmin, name: str, wanted: dict[str, str]) -> None:
    resource = ConfigResource(ResourceType.TOPIC, name)
    found: dict[str, Any] = finish(admin.client.describe_configs([resource])[resource])
    dynamic = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    own = {key: each.value for key, each in found.items() if each.source == dynamic}
    changes = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in wanted.items()
        if own.get(key) != value
    ]
    changes += [
        ConfigEntry(key, "", incremental_operation=AlterConfigOpType.DELETE)
        for key in own
        if key not in wanted
    ]
    if changes:
        change = ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes)
        finish(admin.client.incremental_alter_configs([change])[change])
        say(f"topic {name}: changed {', '.join(each.name for each in changes)}")


def _delete(api: ApiServer, admin: KafkaAdmin, document: dict[str, Any]) -> None:
    name, metadata = topic_name(document), document["metadata"]
    if TOPIC_FINALIZER not in (metadata.get("finalizers") or ()):
        return
    if _describe(admin, name) is not None:
        finish(admin.client.delete_topics([name])[name])
        say(f"topic {name}: deleted")
    others = [each for each in metadata["finalizers"] if each != TOPIC_FINALIZER]
    api.merge(TOPIC, metadata["name"], {"metadata": {"finalizers": others or None}})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
