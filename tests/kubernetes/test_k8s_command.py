"""`harness k8s` against a real API server: what is applied, a run's Job from creation to exit code.

No node is here, so no pod starts: where a pod's end matters, its status is written as its kubelet
would write it.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import ClusterError, UsageError
from harness.kubernetes import run_job, watching
from harness.kubernetes.kubectl import Kubectl, KubeTarget
from tests.kubernetes.lab.access import Access
from tests.kubernetes.lab.control_plane import ControlPlane
from tests.support.manifests import objects

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="module")
def admin(control_plane: ControlPlane) -> Iterator[Access]:
    """The administrator, whose kubeconfig and kubectl this process has too."""
    with pytest.MonkeyPatch.context() as patched:
        use(control_plane.admin, patched)
        yield control_plane.admin


def use(access: Access, patched: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "PATH"):
        patched.setenv(name, access.environment()[name])


@pytest.fixture(scope="module")
def installed(admin: Access) -> Iterator[str]:
    """A namespace with the overlay `ci`; its name."""
    namespace = "k8s-command"
    assert main(["k8s", "apply", "--no-wait", "--overlay", "ci", "--namespace", namespace]) == 0
    yield namespace
    admin.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def applied(admin: Access, installed: str) -> Iterator[str]:
    """That namespace, without a run before and after."""
    yield installed
    admin.kubectl("-n", installed, "delete", "job", "--selector", run_job.RUN_LABEL, "--wait=false")


def told() -> tuple[list[str], Any]:
    said: list[str] = []
    return said, said.append


def kubectl_in(namespace: str) -> tuple[Kubectl, list[str]]:
    said, say = told()
    return Kubectl(KubeTarget(namespace=namespace), say), said


def new_run(kubectl: Kubectl, *options: str) -> str:
    job = run_job.job_of(run_job.template(kubectl), run_job.new_name(), list(options))
    run_job.create(kubectl, job)
    return str(job["metadata"]["name"])


def pod_of(admin: Access, namespace: str, run: str) -> dict[str, Any]:
    selector = ("pods", "--selector", f"{run_job.JOB_LABEL}={run}")
    admin.kubectl("-n", namespace, "wait", "--for=create", *selector, "--timeout=30s")
    (pod,) = admin.get("-n", namespace, *selector)["items"]
    found: dict[str, Any] = pod
    return found


def end_pod(admin: Access, namespace: str, run: str, exit_code: int, reason: str) -> None:
    """What a kubelet writes when the container has ended."""
    name = pod_of(admin, namespace, run)["metadata"]["name"]
    state = {"terminated": {"exitCode": exit_code, "reason": reason}}
    container = {
        "name": "harness",
        "image": "i",
        "imageID": "i",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }
    phase = "Failed" if exit_code else "Succeeded"
    status = {"status": {"phase": phase, "containerStatuses": [container]}}
    patch = ("--subresource=status", "--type=merge", "--patch", json.dumps(status))
    admin.kubectl("-n", namespace, "patch", "pod", name, *patch)


def test_what_is_applied_is_what_the_overlay_renders_and_again_it_changes_nothing(
    admin: Access, applied: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = generations(admin, applied)
    capsys.readouterr()
    where = ["--overlay", "ci", "--namespace", applied]
    assert main(["k8s", "apply", "--no-wait", *where]) == 0
    said = capsys.readouterr().err
    assert f"--namespace {applied} apply -k" in said
    assert generations(admin, applied) == before
    assert len(before) == len(objects("ci"))


def generations(admin: Access, namespace: str) -> dict[str, int]:
    """kind/name → how often its specification was changed; everything of the overlay is there."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects("ci")})
    text = text.replace('"namespace": "kafka"', f'"namespace": "{namespace}"')
    listed = json.loads(text)
    for each in listed["items"]:
        if each["kind"] == "Namespace":
            each["metadata"]["name"] = namespace
    found = admin.kubectl("get", "-f", "-", "-o", "json", stdin=json.dumps(listed)).stdout
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"].get("generation", 0)
        for each in json.loads(found)["items"]
    }


def test_without_strimzis_kinds_nothing_is_applied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], control_plane: ControlPlane
) -> None:
    assert control_plane.url  # skips where none can run
    with ControlPlane.start() as bare:
        use(bare.admin, monkeypatch)
        assert main(["k8s", "apply", "--overlay", "ci"]) == 4
        assert "docs/kubernetes.md has the Helm commands" in capsys.readouterr().err
        names = [each["metadata"]["name"] for each in bare.admin.get("namespaces")["items"]]
        assert "kafka" not in names


def test_kafka_that_does_not_get_ready_is_named(
    admin: Access, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.cli.k8s.READY_S", 1.0)
    where = ["--overlay", "ci", "--namespace", "k8s-not-ready"]
    assert main(["k8s", "apply", *where]) == 4
    said = capsys.readouterr().err
    assert "wait kafka/delivery --for=condition=Ready" in said
    assert "timed out waiting for the condition on kafkas/delivery" in said
    admin.kubectl("delete", "namespace", "k8s-not-ready", "--wait=false")


def test_a_namespace_where_nothing_was_applied_has_no_template(
    admin: Access, capsys: pytest.CaptureFixture[str]
) -> None:
    assert admin.kubeconfig
    assert main(["k8s", "run", "--namespace", "default"]) == 2
    assert "Apply an overlay first" in capsys.readouterr().err
    assert main(["k8s", "logs", "--namespace", "default"]) == 2
    assert "has no run" in capsys.readouterr().err
    assert main(["k8s", "logs", "nowhere", "--namespace", "default"]) == 2
    assert main(["k8s", "delete", "nowhere", "--namespace", "default"]) == 2
    assert "no such run" in capsys.readouterr().err


def test_a_run_is_a_job_with_the_options_and_its_name_as_its_folder(
    admin: Access, applied: str
) -> None:
    kubectl, said = kubectl_in(applied)
    run = new_run(kubectl, "--rate", "500")
    assert said == [
        f"+ kubectl --namespace {applied} create job {run} --from=cronjob/harness-run   "
        "# with the options --rate 500"
    ]
    (container,) = pod_of(admin, applied, run)["spec"]["containers"]
    assert container["args"][-2:] == ["--rate", "500"]
    assert run_job.newest(kubectl) == run


def test_a_second_run_is_refused_while_one_is_under_way(admin: Access, applied: str) -> None:
    kubectl, _ = kubectl_in(applied)
    run = new_run(kubectl)
    with pytest.raises(UsageError, match=f"run {run} is under way"):
        new_run(kubectl)
    end_pod(admin, applied, run, 0, "Completed")
    admin.kubectl("-n", applied, "wait", "job", run, "--for=condition=Complete", "--timeout=30s")
    assert new_run(kubectl) != run


def test_a_run_is_refused_while_the_page_has_the_workers(admin: Access, applied: str) -> None:
    kubectl, _ = kubectl_in(applied)
    admin.kubectl("-n", applied, "scale", "deployment/locust-page", "--replicas", "1")
    with pytest.raises(UsageError, match="scale deployment/locust-page --replicas 0"):
        new_run(kubectl)
    admin.kubectl("-n", applied, "scale", "deployment/locust-page", "--replicas", "0")


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_the_exit_code_of_the_pod_is_the_one_of_the_command(
    code: int, admin: Access, applied: str, capfd: pytest.CaptureFixture[str]
) -> None:
    kubectl, _ = kubectl_in(applied)
    run = new_run(kubectl)
    end_pod(admin, applied, run, code, "Error" if code else "Completed")
    assert main(["k8s", "logs", "--follow", run, "--namespace", applied]) == code
    assert f"(exit code {code})" in capfd.readouterr().err


def test_a_run_that_was_killed_has_no_verdict(
    admin: Access, applied: str, capfd: pytest.CaptureFixture[str]
) -> None:
    kubectl, _ = kubectl_in(applied)
    run = new_run(kubectl)
    end_pod(admin, applied, run, 137, "OOMKilled")
    assert main(["k8s", "logs", "--follow", run, "--namespace", applied]) == 4
    assert "OOMKilled, exit code 137" in capfd.readouterr().err


def test_the_end_of_a_run_is_awaited(admin: Access, applied: str) -> None:
    kubectl, _ = kubectl_in(applied)
    run = new_run(kubectl)
    found: list[int] = []
    waiting = threading.Thread(
        target=lambda: found.append(watching.follow(kubectl, run, io.FileIO("/dev/null", "wb")))
    )
    waiting.start()
    assert waiting.is_alive()
    end_pod(admin, applied, run, 3, "Error")
    waiting.join(60)
    assert found == [3]


def test_a_pod_that_does_not_start_is_named_and_its_job_is_taken_away(
    admin: Access, applied: str
) -> None:
    kubectl, said = kubectl_in(applied)
    run = new_run(kubectl)
    with pytest.raises(ClusterError, match=r"its pod did not start\. Pending"):
        watching.await_start(kubectl, run, timeout_s=1)
    assert f"run {run}: Pending" in said
    admin.kubectl("-n", applied, "wait", "job", run, "--for=delete", "--timeout=30s")


def test_a_job_whose_pod_is_refused_says_why(admin: Access, applied: str) -> None:
    kubectl, said = kubectl_in(applied)
    job = run_job.job_of(run_job.template(kubectl), run_job.new_name(), [])
    job["spec"]["template"]["spec"]["serviceAccountName"] = "nobody"
    run_job.create(kubectl, job)
    run = job["metadata"]["name"]
    assert admin.kubeconfig
    with pytest.raises(ClusterError, match='serviceaccount "nobody" not found'):
        watching.await_start(kubectl, run, timeout_s=15)
    assert said


def test_a_run_is_deleted_with_its_pod(
    admin: Access, applied: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl, _ = kubectl_in(applied)
    run = new_run(kubectl)
    pod = pod_of(admin, applied, run)["metadata"]["name"]
    assert main(["k8s", "delete", run, "--namespace", applied]) == 0
    assert f"delete job {run} --cascade=foreground" in capsys.readouterr().err
    there = admin.kubectl("-n", applied, "get", "job,pods", "-o", "name").stdout.split()
    assert not {f"job.batch/{run}", f"pod/{pod}"} & set(there)


def test_an_overlay_is_deleted_but_for_data_and_then_with_it(
    admin: Access, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace = "k8s-deleted"
    where = ["--overlay", "laptop", "--namespace", namespace]
    assert main(["k8s", "apply", "--no-wait", *where]) == 0
    kubectl, _ = kubectl_in(namespace)
    new_run(kubectl)
    assert main(["k8s", "delete", *where]) == 0
    assert "kept: Namespace" in capsys.readouterr().err
    kinds = "kafka,kafkanodepool,kafkatopic,kafkauser,deployment,cronjob,job,pod,role,rolebinding"
    assert admin.kubectl("-n", namespace, "get", kinds, "-o", "name").stdout == ""
    admin.kubectl("-n", namespace, "get", "persistentvolumeclaim", "harness-results")
    assert main(["k8s", "delete", *where, "--all-data"]) == 0
    assert admin.kubectl("get", "namespace", namespace, check=False).returncode == 1


def test_a_run_under_way_is_not_fetched(
    admin: Access, applied: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert admin.kubeconfig
    kubectl, _ = kubectl_in(applied)
    run = new_run(kubectl)
    out = str(tmp_path / "out")
    assert main(["k8s", "fetch", "--out", out, "--namespace", applied]) == 2
    assert f"run {run} is under way" in capsys.readouterr().err


def test_an_identity_without_rights_is_told_which_one_is_missing(
    control_plane: ControlPlane, applied: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load = control_plane.as_account(applied, "harness-load")
    argv = ["--namespace", applied, "--kubeconfig", str(load.kubeconfig)]
    assert main(["k8s", "run", *argv]) == 4
    assert 'cannot get resource "cronjobs" in API group "batch"' in capsys.readouterr().err
