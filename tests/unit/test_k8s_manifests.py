"""What a user applies: one resource a document, a Job that never tries again, least rights."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

import harness
from harness.brokers.kind import OPERATOR, REVOKE
from harness.brokers.strimzi.rights import ALWAYS, RIGHTS
from tests.support.manifests import (
    COMPONENTS,
    FILES,
    K8S,
    OVERLAYS,
    ROOT,
    documents,
    objects,
    pod_specs,
    resources,
    with_component,
)

FORBIDDEN: Final = [
    "listeners",
    "advertised.",
    "broker.",
    "listener.",
    "host.name",
    "port",
    "inter.broker.listener.name",
    "sasl.",
    "ssl.",
    "security.",
    "password.",
    "log.dir",
    "zookeeper.connect",
    "zookeeper.set.acl",
    "zookeeper.ssl",
    "zookeeper.clientCnxnSocket",
    "authorizer.",
    "super.user",
    "cruise.control.metrics.topic",
    "cruise.control.metrics.reporter.bootstrap.servers",
    "node.id",
    "process.roles",
    "controller.",
    "metadata.log.dir",
    "zookeeper.metadata.migration.enable",
    "client.quota.callback.static.kafka.admin.",
    "client.quota.callback.static.produce",
    "client.quota.callback.static.fetch",
    "client.quota.callback.static.storage.per.volume.limit.min.available.",
    "client.quota.callback.static.excluded.principal.name.list",
    "prometheus.metrics.reporter.",
    "cordoned.log.dirs",
]
ALLOWED: Final = [
    "zookeeper.connection.timeout.ms",
    "sasl.server.max.receive.size",
    "ssl.cipher.suites",
    "ssl.protocol",
    "ssl.enabled.protocols",
    "ssl.secure.random.implementation",
    "cruise.control.metrics.topic.num.partitions",
    "cruise.control.metrics.topic.replication.factor",
    "cruise.control.metrics.topic.retention.ms",
    "cruise.control.metrics.topic.auto.create.retries",
    "cruise.control.metrics.topic.auto.create.timeout.ms",
    "cruise.control.metrics.topic.min.insync.replicas",
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
    "controller.socket.timeout.ms",
    "controller.quorum.election.backoff.max.ms",
    "controller.quorum.election.timeout.ms",
    "controller.quorum.fetch.timeout.ms",
]
"""FORBIDDEN_PREFIXES and their EXCEPTIONS in KafkaClusterSpec of io.strimzi:api 1.2.0."""


def name_of(path: Path) -> str:
    return path.relative_to(K8S).as_posix()


def of_kind(overlay: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in objects(overlay) if each["kind"] == kind]


def run_template(overlay: str) -> dict[str, Any]:
    (cron,) = of_kind(overlay, "CronJob")
    template: dict[str, Any] = cron["spec"]["jobTemplate"]
    return template


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_holds_one_document(path: Path) -> None:
    assert len(documents(path.read_text(encoding="utf-8"))) == 1


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_strimzis_resources_are_of_its_version_one(path: Path) -> None:
    for each in resources(path):
        if "strimzi" in each["apiVersion"]:
            assert each["apiVersion"] == "kafka.strimzi.io/v1"


def test_every_file_is_part_of_an_overlay_or_a_component() -> None:
    listed: set[Path] = set()
    for path in K8S.rglob("kustomization.yaml"):
        listed.add(path)
        (document,) = documents(path.read_text(encoding="utf-8"))
        for key in ("resources", "components", "patches"):
            for entry in document.get(key, []):
                name = entry if isinstance(entry, str) else entry.get("path")
                if name is not None:
                    listed.add((path.parent / name).resolve())
    folders = {path.parent for path in K8S.rglob("kustomization.yaml")}
    unlisted = {path for path in FILES if path not in listed} - {K8S / "operator" / "values.yaml"}
    roots = {K8S / "overlays" / each for each in OVERLAYS}
    roots |= {K8S / "components" / each for each in COMPONENTS}
    assert unlisted == set()
    assert {folder for folder in folders if folder not in listed} <= roots


def test_scenarios_in_config_maps_are_the_ones_of_the_project() -> None:
    ours = {path.name: path.read_bytes() for path in (ROOT / "scenarios").glob("*.py")}
    theirs = {path.name: path.read_bytes() for path in (K8S / "base" / "scenarios").glob("*.py")}
    assert theirs == ours, "run: cp scenarios/*.py k8s/base/scenarios/"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_scenario_is_a_config_map_and_mounted_in_every_pod_of_the_harness(
    overlay: str,
) -> None:
    maps = {
        each["metadata"]["name"]: each["data"]
        for each in of_kind(overlay, "ConfigMap")
        if each["metadata"]["name"].startswith("scenario-")
    }
    files = {name: text for data in maps.values() for name, text in data.items()}
    assert files == {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "scenarios").glob("*.py")
    }
    for name, spec in pod_specs(objects(overlay)):
        (volume,) = [each for each in spec["volumes"] if each["name"] == "scenarios"]
        sources = volume["projected"]["sources"]
        assert {source["configMap"]["name"] for source in sources} == set(maps), name


def test_every_file_ships_inside_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = project["tool"]["setuptools"]["package-data"]["harness.k8s"]
    files = {path for path in K8S.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert files == {path for pattern in shipped for path in K8S.glob(pattern)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_run_is_a_job_whose_first_exit_code_stays(overlay: str) -> None:
    template = run_template(overlay)
    assert template["spec"]["backoffLimit"] == 0
    assert template["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    # Kubernetes would start a second pod beside one that is being evicted.
    assert template["spec"]["podReplacementPolicy"] == "Failed"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_scheduled_runs_never_overlap(overlay: str) -> None:
    (cron,) = of_kind(overlay, "CronJob")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron["spec"]["suspend"] is (overlay != "preproduction")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_have_a_version_and_it_is_this_one(overlay: str) -> None:
    for name, spec in pod_specs(objects(overlay)):
        for container in spec["containers"] + spec.get("initContainers", []):
            assert container["image"] == f"delivery-harness:{harness.__version__}", name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_of_the_harness_is_admitted_by_the_restricted_standard(overlay: str) -> None:
    pods = list(pod_specs(objects(overlay)))
    assert {name for name, _ in pods} == {
        "CronJob/harness-run",
        "Deployment/locust-worker",
        "Deployment/locust-page",
    }
    for name, spec in pods:
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_account_gives_its_token_to_pods_that_ask_for_it_only(overlay: str) -> None:
    for account in of_kind(overlay, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    accounts = {each["metadata"]["name"] for each in of_kind(overlay, "ServiceAccount")}
    for name, spec in pod_specs(objects(overlay)):
        assert spec["serviceAccountName"] in accounts, name
        assert isinstance(spec["automountServiceAccountToken"], bool), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_brokers_keep_what_the_envelope_asks_for(overlay: str) -> None:
    (kafka,) = of_kind(overlay, "Kafka")
    config = kafka["spec"]["kafka"]["config"]
    assert config["default.replication.factor"] == 3
    assert config["min.insync.replicas"] == 2
    assert config["unclean.leader.election.enable"] is False
    assert config["transaction.state.log.replication.factor"] == 3
    assert config["transaction.state.log.min.isr"] == 2
    assert config["offsets.topic.replication.factor"] == 3
    pools = of_kind(overlay, "KafkaNodePool")
    for role in ("broker", "controller"):
        replicas = [each["spec"]["replicas"] for each in pools if role in each["spec"]["roles"]]
        assert replicas == [3]
    for pool in pools:
        (volume,) = pool["spec"]["storage"]["volumes"]
        assert volume["type"] == "persistent-claim"


def is_dropped(setting: str) -> bool:
    return setting not in ALLOWED and any(setting.startswith(each) for each in FORBIDDEN)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_strimzi_drops_none_of_the_brokers_settings(overlay: str) -> None:
    assert is_dropped("broker.rack")
    (kafka,) = of_kind(overlay, "Kafka")
    assert [name for name in kafka["spec"]["kafka"]["config"] if is_dropped(name)] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_listener_asks_who_is_there(overlay: str) -> None:
    (kafka,) = of_kind(overlay, "Kafka")
    listeners = kafka["spec"]["kafka"]["listeners"]
    assert {each["name"]: each["authentication"]["type"] for each in listeners} == {
        "plain": "scram-sha-512",
        "tls": "scram-sha-512",
        "mtls": "tls",
    }
    assert {each["type"] for each in listeners} == {"internal"}
    assert kafka["spec"]["kafka"]["authorization"] == {"type": "simple"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_both_identities_of_a_run_have_the_same_rights(overlay: str) -> None:
    users = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "KafkaUser")}
    scram, certificate = users["harness"], users["harness-mtls"]
    assert scram["authorization"] == certificate["authorization"]
    assert scram["quotas"] == certificate["quotas"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_users_write_to_topics_groups_and_transactions_of_the_harness_only(overlay: str) -> None:
    for user in of_kind(overlay, "KafkaUser"):
        assert user["spec"]["quotas"], user["metadata"]["name"]
        for acl in user["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            if set(acl["operations"]) - {"Describe", "DescribeConfigs"} and (
                resource["type"] != "cluster"
            ):
                assert (resource["name"], resource["patternType"]) == ("harness-", "prefix")


def test_the_version_in_the_containerfile_is_this_one() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"delivery-harness:(\S+)", text)) == {harness.__version__}
    assert "latest" not in text
    assert "USER 10001:10001" in text


def test_the_image_is_given_every_folder_that_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = set(project["tool"]["setuptools"]["package-dir"].values()) | {"harness"}
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (\S+) \1$", text, re.MULTILINE))
    assert {each for each in folders if each not in copied} <= {"reports"}
    assert {"reports/schemas", "reports/templates"} <= copied


def rights(found: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    """(verb, resource, API group) of the roles of a run; without the group where it is core's."""
    return {
        (verb, resource, *([group] if group else []))
        for each in found
        if each["kind"] == "Role"
        for rule in each["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_run_has_the_rights_that_its_faults_ask_for(overlay: str) -> None:
    needed = {
        right
        for what, each in RIGHTS.items()
        if what not in (OPERATOR, REVOKE)
        for right in (*ALWAYS, *each)
    }
    assert needed - rights(objects(overlay)) == set()


BIND = ("bind", "clusterroles", "rbac.authorization.k8s.io")
"""Asked by a dry run and not as a right, since it is for roles by name."""


@pytest.mark.parametrize(
    ("component", "what", "more"),
    [("operator-faults", OPERATOR, set()), ("operator-rights", REVOKE, {BIND})],
)
def test_faults_of_the_operator_take_a_component_and_nothing_else_does(
    component: str, what: str, more: set[tuple[str, ...]], tmp_path: Path
) -> None:
    without = rights(objects("ci"))
    with_it = rights(with_component("ci", component, tmp_path))
    assert set(RIGHTS[what]) - without
    assert set(RIGHTS[what]) - with_it == set()
    assert with_it - without == (set(RIGHTS[what]) - without) | more
