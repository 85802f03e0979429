"""The rights of the harness: what each fault asks of the API is allowed, and nothing else is.

Every question is asked twice with the service account's own token: as an access review, and as the
call itself, where a dry run leaves everything as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from harness.brokers.strimzi.access import Kubernetes
from harness.brokers.strimzi.cluster_operator import OperatorControl
from harness.errors import ClusterError
from harness.kubernetes.overlay import parsed
from tests.kubernetes.lab.access import Access
from tests.kubernetes.lab.control_plane import ControlPlane
from tests.support.manifests import objects, with_component

pytestmark = pytest.mark.kubernetes

NAMESPACE: Final = "kafka"
POD: Final = "delivery-brokers-3"
KINDS: Final = ("Namespace", "ServiceAccount", "Role", "RoleBinding", "Kafka", "KafkaNodePool",
                "KafkaUser")  # fmt: skip
SECRETS: Final = ("harness", "harness-mtls", "delivery-cluster-ca-cert")
OTHER_SECRETS: Final = ("harness-verifier", "delivery-cluster-ca", "delivery-clients-ca")

READS: Final = (
    ("get", "kafkas.kafka.strimzi.io/delivery"),
    ("list", "kafkas.kafka.strimzi.io"),
    ("get", "kafkanodepools.kafka.strimzi.io/brokers"),
    ("list", "kafkanodepools.kafka.strimzi.io"),
    ("get", "kafkausers.kafka.strimzi.io/harness"),
    ("list", "kafkausers.kafka.strimzi.io"),
    *(("get", f"secrets/{name}") for name in SECRETS),
)
FAULTS: Final = (
    ("list", "pods"),
    ("watch", "pods"),
    ("delete", f"pods/{POD}"),
    ("get", f"pods/{POD} --subresource=exec"),
    ("create", f"pods/{POD} --subresource=exec"),
    ("get", f"pods/{POD} --subresource=log"),
    ("list", "strimzipodsets.core.strimzi.io"),
    ("patch", "strimzipodsets.core.strimzi.io/delivery-brokers"),
    ("patch", "kafkas.kafka.strimzi.io/delivery"),
)
NEVER: Final = (
    ("list", "secrets"),
    ("watch", "secrets"),
    *(("get", f"secrets/{name}") for name in OTHER_SECRETS),
    ("update", "secrets/harness"),
    ("create", "secrets"),
    ("create", "pods"),
    ("get", f"pods/{POD}"),
    ("patch", f"pods/{POD}"),
    ("create", f"pods/{POD} --subresource=eviction"),
    ("create", f"pods/{POD} --subresource=portforward"),
    ("deletecollection", "pods"),
    ("delete", "kafkas.kafka.strimzi.io/delivery"),
    ("update", "kafkas.kafka.strimzi.io/delivery"),
    ("delete", "kafkatopics.kafka.strimzi.io/orders"),
    ("create", "kafkausers.kafka.strimzi.io"),
    ("patch", "kafkatopics.kafka.strimzi.io/orders"),
    ("delete", "strimzipodsets.core.strimzi.io"),
    ("delete", "persistentvolumeclaims"),
    ("get", "deployments.apps"),
    ("patch", "deployments.apps"),
    ("create", "jobs.batch"),
    ("get", "configmaps"),
    ("create", "networkpolicies.networking.k8s.io"),
    ("create", "serviceaccounts/harness-run --subresource=token"),
    ("create", "roles.rbac.authorization.k8s.io"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("get", "nodes"),
    ("list", "nodes"),
    ("get", "namespaces"),
    ("get", "persistentvolumes"),
)


@dataclass(frozen=True)
class Accounts:
    """The two accounts of the harness, and a namespace that is none of theirs."""

    run: Access
    load: Access
    admin: Access
    elsewhere: str


def broker(name: str, cluster: str = "delivery") -> dict[str, Any]:
    """A pod as Strimzi names and labels it; nothing runs it here."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {
                "strimzi.io/cluster": cluster,
                "strimzi.io/name": f"{cluster}-kafka",
                "strimzi.io/broker-role": "true",
            },
        },
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "kafka",
                    "image": "nothing:1",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def accounts(control_plane: ControlPlane) -> Iterator[Accounts]:
    """The rights of k8s/ in a namespace with a broker's pod and secrets."""
    admin = control_plane.admin
    for kind in KINDS:
        admin.apply(*(each for each in objects("ci") if each["kind"] == kind))
    for name in (*SECRETS, *OTHER_SECRETS):
        admin.kubectl("-n", NAMESPACE, "create", "secret", "generic", name, "--from-literal=a=b")
    admin.apply(broker(POD))
    elsewhere = control_plane.new_namespace()
    yield Accounts(
        run=control_plane.as_account(NAMESPACE, "harness-run"),
        load=control_plane.as_account(NAMESPACE, "harness-load"),
        admin=admin,
        elsewhere=elsewhere,
    )
    admin.kubectl("delete", "namespace", NAMESPACE, elsewhere, "--timeout=60s")


def may(access: Access, verb: str, what: str, namespace: str = NAMESPACE) -> bool:
    """What the API server answers to a SelfSubjectAccessReview of this identity."""
    from kubernetes import client

    words = what.replace("--subresource=", "").split()
    kind, _, name = words[0].partition("/")
    resource, _, group = kind.partition(".")
    asked = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": resource,
        "name": name or None,
        "subresource": words[1] if len(words) > 1 else None,
    }
    reviews = client.AuthorizationV1Api(access.api())
    answer = reviews.create_self_subject_access_review({"spec": {"resourceAttributes": asked}})
    return bool(answer.status.allowed)


def refused(access: Access, *argv: str, namespace: str = NAMESPACE) -> bool:
    """Whether the API server refuses a call for want of a right.

    Otherwise it succeeds, or goes as far as the node that the pod does not have.
    """
    done = access.kubectl("-n", namespace, *argv, check=False)
    if "is forbidden" in done.stderr:
        return True
    assert done.returncode == 0 or "does not have a host assigned" in done.stderr, done.stderr
    return False


@pytest.mark.parametrize(("verb", "what"), READS)
def test_both_accounts_may_read_what_an_address_of_strimzi_takes(
    verb: str, what: str, accounts: Accounts
) -> None:
    assert may(accounts.run, verb, what)
    assert may(accounts.load, verb, what)
    assert not may(accounts.run, verb, what, accounts.elsewhere)


@pytest.mark.parametrize(("verb", "what"), FAULTS)
def test_only_the_account_of_runs_may_do_what_faults_do_and_only_here(
    verb: str, what: str, accounts: Accounts
) -> None:
    assert may(accounts.run, verb, what)
    assert not may(accounts.load, verb, what)
    assert not may(accounts.run, verb, what, accounts.elsewhere)


@pytest.mark.parametrize(("verb", "what"), NEVER)
def test_nothing_else_is_allowed(verb: str, what: str, accounts: Accounts) -> None:
    assert not may(accounts.run, verb, what)
    assert not may(accounts.load, verb, what)
    # The question is one that can be answered with yes.
    assert may(accounts.admin, verb, what)


def test_the_rules_name_nothing_that_no_test_asks_for(accounts: Accounts) -> None:
    """A right that is added to a role has to be added to the list of what needs it."""
    asked = set()
    for verb, what in (*READS, *FAULTS):
        words = what.replace("--subresource=", "").split()
        kind = words[0].partition("/")[0].partition(".")[0]
        asked.add((verb, f"{kind}/{words[1]}" if len(words) > 1 else kind))
    given = {
        (verb, resource)
        for each in objects("ci")
        if each["kind"] == "Role"
        for rule in each["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert given == asked
    assert accounts.elsewhere


def test_a_run_reads_the_cluster_its_pools_its_user_and_its_secrets(accounts: Accounts) -> None:
    for access in (accounts.run, accounts.load):
        for what in ("kafka/delivery", "kafkanodepools", "kafkauser/harness", "secret/harness"):
            access.kubectl("-n", NAMESPACE, "get", what)
        assert refused(access, "get", "secrets")
        assert refused(access, "get", "secret/delivery-cluster-ca")
        assert refused(access, "get", "kafkas", namespace=accounts.elsewhere)


def test_a_run_deletes_a_pod_and_load_does_not(accounts: Accounts) -> None:
    delete = ("delete", "pod", POD, "--dry-run=server", "--grace-period=1")
    assert not refused(accounts.run, *delete)
    assert refused(accounts.load, *delete)
    elsewhere = {**broker(POD), "metadata": {"name": POD, "namespace": accounts.elsewhere}}
    accounts.admin.apply(elsewhere)
    assert refused(accounts.run, *delete, namespace=accounts.elsewhere)


def test_chaos_toolkits_own_action_deletes_a_pod_with_these_rights_alone(
    accounts: Accounts, tmp_path: Path
) -> None:
    accounts.admin.apply(broker("delivery-brokers-4"))
    experiment = {
        "title": "kill one",
        "description": "delete a broker's pod",
        "method": [
            {
                "type": "action",
                "name": "kill",
                "provider": {
                    "type": "python",
                    "module": "chaosk8s.pod.actions",
                    "func": "terminate_pods",
                    "arguments": {
                        "name_pattern": "^delivery-brokers-4$",
                        "label_selector": "strimzi.io/broker-role=true",
                        "ns": NAMESPACE,
                        "grace_period": 1,
                    },
                },
            }
        ],
    }
    (tmp_path / "kill.json").write_text(json.dumps(experiment), encoding="utf-8")
    environment = accounts.run.environment()
    chaos = [sys.executable, "-m", "chaostoolkit", "run", "kill.json"]
    ran = subprocess.run(chaos, cwd=tmp_path, env=environment, capture_output=True, text=True)
    (activity,) = json.loads((tmp_path / "journal.json").read_text(encoding="utf-8"))["run"]
    assert (activity["status"], activity["output"]) == ("succeeded", ["delivery-brokers-4"]), ran
    there = accounts.admin.get("-n", NAMESPACE, "pods")["items"]
    left = [each for each in there if "deletionTimestamp" not in each["metadata"]]
    assert [each["metadata"]["name"] for each in left] == [POD]


def executed(access: Access) -> str:
    """What exec ends with, by the client and the calls that faults use; no kubelet is here."""
    from kubernetes import client
    from kubernetes.stream import stream

    core = client.CoreV1Api(access.api())
    try:
        stream(
            core.connect_get_namespaced_pod_exec,
            POD,
            NAMESPACE,
            container="kafka",
            command=["true"],
            stdout=True,
        )
    except client.ApiException as error:
        return str(error)
    return "done"


def logged(access: Access) -> int:
    """The status that asking for a pod's log ends with."""
    from kubernetes import client

    try:
        client.CoreV1Api(access.api()).read_namespaced_pod_log(POD, NAMESPACE, container="kafka")
    except client.ApiException as error:
        return int(error.status)
    return 200


def test_a_run_executes_in_a_pod_and_reads_its_log_and_load_does_not(accounts: Accounts) -> None:
    assert "orbidden" not in executed(accounts.run)
    assert "orbidden" in executed(accounts.load)
    assert logged(accounts.run) != 403
    assert logged(accounts.load) == 403


def patched(access: Access, group: str, plural: str, name: str, change: dict[str, Any]) -> int:
    """The status that a merge patch would end with; kubectl would read the object first."""
    from kubernetes import client

    custom = client.CustomObjectsApi(access.api())
    try:
        custom.patch_namespaced_custom_object(
            group,
            "v1",
            NAMESPACE,
            plural,
            name,
            change,
            dry_run="All",
            _content_type="application/merge-patch+json",
        )
    except client.ApiException as error:
        return int(error.status)
    return 200


def test_a_run_asks_strimzi_for_a_rolling_restart_and_a_rolling_update(accounts: Accounts) -> None:
    pod_set = {
        "apiVersion": "core.strimzi.io/v1",
        "kind": "StrimziPodSet",
        "metadata": {"name": "delivery-brokers", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {}}, "pods": []},
    }
    accounts.admin.apply(pod_set)
    restart = {"metadata": {"annotations": {"strimzi.io/manual-rolling-update": "true"}}}
    update = {"spec": {"kafka": {"template": {"pod": {"metadata": {"labels": {"a": "b"}}}}}}}
    for access, status in ((accounts.run, 200), (accounts.load, 403)):
        of_pods = ("core.strimzi.io", "strimzipodsets", "delivery-brokers", restart)
        assert patched(access, *of_pods) == status
        assert patched(access, "kafka.strimzi.io", "kafkas", "delivery", update) == status


def test_the_component_for_the_operators_rights_is_enough_and_without_it_nothing_changes(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the fault's own verb, with the account's own token."""
    operator, base = "strimzi-cluster-operator", "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": operator, "namespace": NAMESPACE}
    role = {"apiGroup": base, "kind": "ClusterRole", "name": f"{operator}-namespaced"}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete"]}
    named = {"name": operator, "namespace": NAMESPACE}
    accounts.admin.apply(
        {"apiVersion": f"{base}/v1", "kind": "ClusterRole",
         "metadata": {"name": f"{operator}-namespaced"}, "rules": [rule]},
        {"apiVersion": f"{base}/v1", "kind": "RoleBinding", "metadata": named, "roleRef": role,
         "subjects": [subject]},
    )  # fmt: skip
    monkeypatch.setenv("KUBECONFIG", str(accounts.run.kubeconfig))
    control = OperatorControl(Kubernetes.connect(), NAMESPACE)
    with pytest.raises(ClusterError, match="forbids this identity to list rolebindings"):
        control.revoke()
    documents = with_component("ci", "operator-rights", tmp_path)
    rights = [each for each in documents if each["metadata"]["name"] == "harness-operator-rights"]
    assert len(rights) == 2
    accounts.admin.apply(*rights)
    deadline = time.monotonic() + 20
    while not may(accounts.run, "create", "localsubjectaccessreviews.authorization.k8s.io"):
        assert time.monotonic() < deadline
    assert control.revoke().shortcomings() == []
    assert not accounts.admin.get("-n", NAMESPACE, "rolebinding", operator).get("subjects")
    control.heal()
    assert accounts.admin.get("-n", NAMESPACE, "rolebinding", operator)["subjects"] == [subject]
    # A role that it may not bind stays out of its reach.
    accounts.admin.kubectl(
        "-n", NAMESPACE, "create", "rolebinding", "others", "--clusterrole=admin", "--user=nobody"
    )
    change = {"subjects": [{**subject, "name": "harness-run"}]}
    patch = ("patch", "rolebinding", "others", "--type=merge", "--patch", json.dumps(change))
    assert refused(accounts.run, *patch)
    accounts.admin.kubectl("-n", NAMESPACE, "delete", "rolebinding", "others")
    accounts.admin.kubectl("-n", NAMESPACE, "delete", "rolebinding,role", "harness-operator-rights")
    accounts.admin.kubectl("-n", NAMESPACE, "delete", "rolebinding", operator)


@pytest.mark.parametrize("verb", ["get", "create"])
def test_exec_by_a_web_socket_takes_both_verbs(
    verb: str, accounts: Accounts, control_plane: ControlPlane
) -> None:
    """The control: with either one alone the same call is refused, or a right is one too many."""
    name = f"only-{verb}"
    rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": [verb]}
    base = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    metadata = {"name": name, "namespace": NAMESPACE}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    role = {**base, "kind": "Role", "metadata": metadata, "rules": [rule]}
    binding = {
        **base,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": reference,
        "subjects": [subject],
    }
    accounts.admin.apply(account, role, binding)

    assert "orbidden" in executed(control_plane.as_account(NAMESPACE, name))
    assert "orbidden" not in executed(accounts.run)


def test_subjects_are_of_the_namespace_that_the_overlay_is_put_into(
    control_plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.cli.main import main

    assert main(["k8s", "render", "--overlay", "ci", "--namespace", "other-kafka"]) == 0
    found = parsed(capsys.readouterr().out)
    admin = control_plane.admin
    for kind in KINDS[:4]:
        admin.apply(*(each for each in found if each["kind"] == kind))
    account = control_plane.as_account("other-kafka", "harness-run")
    assert may(account, "delete", f"pods/{POD}", "other-kafka")
    assert not may(account, "delete", f"pods/{POD}", "another")
    admin.kubectl("delete", "namespace", "other-kafka", "--wait=false")
