"""Every document of k8s/ is accepted by a real API server that knows Strimzi's real kinds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.kubernetes import run_job
from harness.kubernetes.overlay import parsed, written
from harness.kubernetes.results import reader_pod
from tests.kubernetes.lab.access import Access
from tests.kubernetes.lab.control_plane import ControlPlane
from tests.support.manifests import COMPONENTS, OVERLAYS, objects, pod_specs, with_component

pytestmark = pytest.mark.kubernetes

DRY_RUN: Final = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
NAMESPACE: Final = "kafka"


@pytest.fixture(scope="module")
def admin(control_plane: ControlPlane) -> Iterator[Access]:
    """The administrator, with the namespace there: a dry run makes none for what is in it."""
    (namespace,) = [each for each in objects("ci") if each["kind"] == "Namespace"]
    control_plane.admin.apply(namespace)
    yield control_plane.admin
    control_plane.admin.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def refusal(admin: Access, document: dict[str, Any]) -> str:
    """What the API server says against a document; empty when it takes it."""
    done = admin.kubectl(*DRY_RUN, stdin=json.dumps(document), check=False)
    return done.stderr if done.returncode else ""


def of(kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        each for each in objects("ci") if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return copy.deepcopy(found)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_document_is_accepted_field_by_field(overlay: str, admin: Access) -> None:
    done = admin.kubectl(*DRY_RUN, stdin=written(objects(overlay)), check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert len(done.stdout.splitlines()) == len(objects(overlay))


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_is_accepted_above_an_overlay(
    component: str, admin: Access, tmp_path: Path
) -> None:
    found = with_component("ci", component, tmp_path)
    assert len(found) > len(objects("ci"))
    done = admin.kubectl(*DRY_RUN, stdin=written(found), check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "name", "change", "said"),
    [
        ("Kafka", "delivery", ("spec", "kafka", "lisenters"), "spec.kafka.lisenters"),
        ("Kafka", "delivery", ("spec", "kafka", "resources"), "spec.kafka.resources"),
        ("KafkaNodePool", "brokers", ("spec", "rolse"), "spec.rolse"),
        ("KafkaTopic", "orders", ("spec", "partitons"), "spec.partitons"),
        ("KafkaUser", "harness", ("spec", "quotas", "producerRate"), "spec.quotas.producerRate"),
        ("CronJob", "harness-run", ("spec", "concurencyPolicy"), "concurencyPolicy"),
        ("Deployment", "locust-worker", ("spec", "template", "spec", "secured"), "secured"),
        ("NetworkPolicy", "default-deny", ("spec", "policyType"), "policyType"),
        ("Role", "harness-chaos", ("rule",), "rule"),
    ],
)
def test_a_misspelt_field_is_refused(
    kind: str, name: str, change: tuple[str, ...], said: str, admin: Access
) -> None:
    document = of(kind, name)
    place = document
    for step in change[:-1]:
        place = place[step]
    place[change[-1]] = {}
    assert "unknown field" in refusal(admin, document) or "field not declared" in refusal(
        admin, document
    )
    assert said in refusal(admin, document)


def test_a_value_that_strimzi_does_not_know_is_refused(admin: Access) -> None:
    pool = of("KafkaNodePool", "brokers")
    pool["spec"]["roles"] = ["leader"]
    assert "spec.roles[0]" in refusal(admin, pool)
    kafka = of("Kafka", "delivery")
    kafka["apiVersion"] = "kafka.strimzi.io/v1beta2"
    assert "no matches for kind" in refusal(admin, kafka)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_namespace_admits_every_pod_of_the_harness(overlay: str, admin: Access) -> None:
    for name, spec in pod_specs(objects(overlay)):
        pod: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": NAMESPACE},
            "spec": {key: value for key, value in spec.items() if key != "serviceAccountName"},
        }
        assert refusal(admin, pod) == "", name
        pod["spec"]["containers"][0]["securityContext"]["capabilities"] = {"add": ["SYS_ADMIN"]}
        assert "violates PodSecurity" in refusal(admin, copy.deepcopy(pod)), name


def test_the_job_of_a_run_and_the_reader_of_results_are_accepted(admin: Access) -> None:
    template = of("CronJob", "harness-run")["spec"]["jobTemplate"]
    job = run_job.job_of(template, run_job.new_name(), ["--rate", "500"])
    for document in (job, reader_pod(template, "harness-reader-x")):
        document["metadata"]["namespace"] = NAMESPACE
        assert refusal(admin, document) == ""


def test_values_for_helm_name_the_namespace_of_kafka() -> None:
    root = Path(__file__).resolve().parents[2]
    (values,) = parsed((root / "k8s" / "operator" / "values.yaml").read_text(encoding="utf-8"))
    assert values["watchNamespaces"] == [NAMESPACE]
