"""Objects of Kubernetes and Strimzi as their API returns them, shortened to what is read."""

from __future__ import annotations

import base64
from typing import Any

CLUSTER = "my-cluster"
NAMESPACE = "kafka"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

PLAIN = {"name": "plain", "port": 9092, "type": "internal", "tls": False}
SCRAM = {
    "name": "tls", "port": 9093, "type": "internal", "tls": True,
    "authentication": {"type": "scram-sha-512"},
}  # fmt: skip
MUTUAL = {
    "name": "mutual", "port": 9094, "type": "internal", "tls": True,
    "authentication": {"type": "tls"},
}  # fmt: skip
OUTSIDE = {
    "name": "external", "port": 9095, "type": "nodeport", "tls": True,
    "authentication": {"type": "scram-sha-512"},
}  # fmt: skip
READY = {"type": "Ready", "status": "True"}


def kafka(*listeners: dict[str, Any], conditions: Any = (READY,), reached: bool = True) -> Any:
    """A Kafka resource; `reached`: has the operator written the listeners' addresses?"""
    addresses = [
        {"name": each["name"], "bootstrapServers": f"{each['name']}.kafka.svc:{each['port']}"}
        for each in listeners
    ]
    return {
        "metadata": {"name": CLUSTER, "namespace": NAMESPACE, "uid": "u-1"},
        "spec": {"kafka": {"version": "4.3.1", "listeners": list(listeners)}},
        "status": {
            "conditions": list(conditions),
            "listeners": addresses if reached else [],
            "clusterId": "abc",
        },
    }


def user(name: str = "load", login: str | None = "scram-sha-512", cluster: str = CLUSTER) -> Any:
    """A KafkaUser."""
    return {
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": cluster}},
        "spec": {"authentication": {"type": login}} if login else {},
        "status": {"username": name, "secret": f"{name}-secret", "conditions": [READY]},
    }


def secret(**values: str) -> Any:
    """A secret; `_` in a key stands for a dot."""
    return {
        "data": {
            key.replace("_", "."): base64.b64encode(value.encode()).decode()
            for key, value in values.items()
        }
    }


def pool(name: str, roles: list[str], ids: list[int], cluster: str = CLUSTER) -> Any:
    """A KafkaNodePool with the ids that the operator gave its nodes."""
    return {
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": cluster}},
        "spec": {"replicas": len(ids), "roles": roles},
        "status": {"nodeIds": ids, "roles": roles},
    }
