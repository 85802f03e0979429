"""The images of the tests, as pods of the cluster run them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.version import __version__
from tests.kubernetes.images.harness_image import NAME as HARNESS
from tests.kubernetes.strimzi.cluster import StrimziCluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

WITHOUT_RIGHTS = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def output_of(cluster: StrimziCluster, name: str, container: dict[str, Any]) -> str:
    """What a pod with this container printed, once it has ended well."""
    spec = {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "one",
                "image": HARNESS,
                "imagePullPolicy": "Never",
                "securityContext": WITHOUT_RIGHTS,
                **container,
            }
        ],
    }
    metadata = {"name": name, "namespace": cluster.namespace}
    cluster.access.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    where = ("-n", cluster.namespace, f"pod/{name}")
    phase = "--for=jsonpath={.status.phase}=Succeeded"
    try:
        cluster.access.kubectl("wait", *where, phase, "--timeout=90s", timeout_s=100)
        return cluster.access.kubectl("logs", *where).stdout
    finally:
        cluster.access.kubectl("delete", *where, "--grace-period=1", "--wait=false")


def test_the_harness_runs_without_rights_and_without_a_place_to_write(
    strimzi_cluster: StrimziCluster,
) -> None:
    said = output_of(strimzi_cluster, "harness-version", {"args": ["--version"]})
    assert __version__ in said


def test_the_harness_image_has_its_user_its_folders_and_no_compiler(
    strimzi_cluster: StrimziCluster,
) -> None:
    program = (
        "import json, os, shutil; print(json.dumps({"
        "'user': [os.getuid(), os.getgid()], 'home': os.environ['HOME'], 'in': os.getcwd(), "
        "'owner': os.stat('/results').st_uid, "
        "'compilers': [c for c in ('cc', 'gcc', 'g++', 'clang', 'ld') if shutil.which(c)]}))"
    )
    command = {"command": ["python3", "-c", program]}
    found = json.loads(output_of(strimzi_cluster, "harness-folders", command))
    assert found == {
        "user": [10001, 10001],
        "home": "/home/harness",
        "in": "/results",
        "owner": 10001,
        "compilers": [],
    }


def test_kafka_is_the_child_of_an_init_process(strimzi_cluster: StrimziCluster) -> None:
    names = strimzi_cluster.exec("delivery-brokers-0", "cat", "/proc/1/comm").strip()
    assert names == "tini"
