"""What is applied so that the stand-in runs: its Deployment and rights, and the storage class.

The names are those of Strimzi's Helm chart, so that a fault that stops the operator, or takes its
rights away, finds here what it finds there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.kubernetes.images.standin_image import NAME as IMAGE
from tests.kubernetes.standin.names import OPERATOR
from tests.kubernetes.standin.volumes import PROVISIONER, STORAGE_CLASS

STORAGE_NAMESPACE: Final = "local-storage"
STORAGE: Final = "local-folder-volumes"
CLUSTER_ROLE: Final = f"{OPERATOR}-namespaced"
_EVERY: Final = ["get", "list", "watch", "create", "delete", "patch", "update"]

Document = dict[str, Any]


def operator_documents(namespace: str) -> list[Document]:
    """The operator of one namespace, in it."""
    labels = {"app": "strimzi", "name": OPERATOR, "strimzi.io/kind": "cluster-operator"}
    environment = [{"name": "STRIMZI_NAMESPACE", "value": namespace}]
    container = _container("strimzi-cluster-operator", "operator", environment)
    pod = {"serviceAccountName": OPERATOR, "containers": [container], "volumes": [_scratch()]}
    rules = [
        _rule("", ["pods", "secrets", "services", "configmaps", "serviceaccounts"], _EVERY),
        _rule("", ["persistentvolumeclaims", "events"], _EVERY),
        _rule("policy", ["poddisruptionbudgets"], _EVERY),
        _rule("core.strimzi.io", ["strimzipodsets", "strimzipodsets/status"], _EVERY),
        _rule("kafka.strimzi.io", [f"{each}{part}" for each in _CUSTOM for part in _PARTS], _EVERY),
    ]
    nodes = [_rule("", ["nodes"], ["get", "list", "watch"])]
    return [
        _account(OPERATOR, namespace),
        _role(CLUSTER_ROLE, rules),
        _role(f"{OPERATOR}-global", nodes),
        _binding("RoleBinding", OPERATOR, CLUSTER_ROLE, OPERATOR, namespace),
        _binding("ClusterRoleBinding", OPERATOR, f"{OPERATOR}-global", OPERATOR, namespace),
        _deployment(OPERATOR, namespace, labels, pod),
    ]


_CUSTOM: Final = ("kafkas", "kafkanodepools", "kafkatopics", "kafkausers")
_PARTS: Final = ("", "/status", "/finalizers")


def storage_documents(folder: Path, node: str) -> list[Document]:
    """The default storage class, with a pod that makes its volumes below `folder` of `node`."""
    labels = {"app": STORAGE}
    environment = [
        {"name": "VOLUMES_FOLDER", "value": str(folder)},
        {"name": "VOLUMES_NODE", "value": node},
    ]
    container = _container("volumes", "volumes", environment)
    container["securityContext"] = {"runAsUser": 0}  # makes folders of the node
    container["volumeMounts"].append({"name": "folder", "mountPath": str(folder)})
    host = {"name": "folder", "hostPath": {"path": str(folder), "type": "Directory"}}
    pod = {
        "serviceAccountName": STORAGE,
        "containers": [container],
        "volumes": [_scratch(), host],
    }
    rules = [
        _rule("", ["persistentvolumes"], _EVERY),
        _rule("", ["persistentvolumeclaims"], ["get", "list", "watch"]),
    ]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORAGE_NAMESPACE}},
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Retain",
            "volumeBindingMode": "Immediate",
        },
        _account(STORAGE, STORAGE_NAMESPACE),
        _role(STORAGE, rules),
        _binding("ClusterRoleBinding", STORAGE, STORAGE, STORAGE, STORAGE_NAMESPACE),
        _deployment(STORAGE, STORAGE_NAMESPACE, labels, pod),
    ]


def _container(name: str, role: str, environment: list[Document]) -> Document:
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "args": [role],
        "env": environment,
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _scratch() -> Document:
    return {"name": "tmp", "emptyDir": {}}


def _deployment(name: str, namespace: str, labels: dict[str, str], pod: Document) -> Document:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            # Two operators at a time would work against each other.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _account(name: str, namespace: str) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _role(name: str, rules: list[Document]) -> Document:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> Document:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _binding(kind: str, name: str, role: str, account: str, namespace: str) -> Document:
    metadata = {"name": name}
    if kind == "RoleBinding":
        metadata["namespace"] = namespace
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
