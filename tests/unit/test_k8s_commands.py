"""`harness k8s` before a cluster is asked: what it refuses, and what it makes of its template."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli.main import main
from harness.errors import ClusterError, UsageError
from harness.kubernetes import run_job
from harness.kubernetes.kubectl import KubectlFailed, failure
from harness.kubernetes.overlay import overlays, parsed
from harness.kubernetes.results import CHECKSUMS, checksums, compare, reader_pod
from tests.support.manifests import K8S, OVERLAYS, objects, rendered

NOBODY_LISTENS = "https://127.0.0.1:9"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """One context, of a cluster that nothing answers for."""
    rendered("ci")  # skips where there is no kubectl
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "c", "cluster": {"server": NOBODY_LISTENS}}],
                "users": [{"name": "u", "user": {"token": "t0ken-of-a-test"}}],
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            }
        ),
        encoding="utf-8",
    )
    return path


def template() -> dict[str, Any]:
    (cron,) = [each for each in objects("ci") if each["kind"] == "CronJob"]
    found: dict[str, Any] = cron["spec"]["jobTemplate"]
    return found


def pod(state: dict[str, Any], **status: Any) -> dict[str, Any]:
    statuses = [{"name": "harness", "state": state}] if state else []
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": statuses, **status}}


@pytest.mark.parametrize("action", ["render", "apply", "delete"])
def test_an_unknown_overlay_is_refused_with_those_that_there_are(
    action: str, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["k8s", action, "--overlay", "preprodution", "--kubeconfig", str(kubeconfig)])
    said = capsys.readouterr().err
    assert code == 2
    assert "did you mean preproduction?" in said
    assert "ci, laptop, preproduction" in said


@pytest.mark.parametrize("action", ["render", "apply"])
def test_an_overlay_has_to_be_named(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["k8s", action])
    assert ended.value.code == 2
    assert "--overlay" in capsys.readouterr().err


def test_without_kubectl_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["k8s", "render", "--overlay", "ci"]) == 2
    assert "install kubectl" in capsys.readouterr().err


def test_a_context_that_does_not_exist_is_wrong_usage(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["k8s", "run", "--kubeconfig", str(kubeconfig), "--context", "nowhere"]
    assert main(argv) == 2
    assert 'context "nowhere" does not exist' in capsys.readouterr().err


def test_a_kubeconfig_that_does_not_exist_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rendered("ci")
    assert main(["k8s", "logs", "--kubeconfig", str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_kubeconfig_that_is_none_is_wrong_usage(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig.write_text("{ not a kubeconfig", encoding="utf-8")
    assert main(["k8s", "fetch", "--kubeconfig", str(kubeconfig)]) == 2
    assert "loading config file" in capsys.readouterr().err


@pytest.mark.parametrize("action", [["run"], ["apply", "--overlay", "ci"], ["logs"], ["fetch"]])
def test_a_cluster_that_does_not_answer_is_a_failed_environment(
    action: list[str], kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["k8s", *action, "--kubeconfig", str(kubeconfig)]) == 4
    said = capsys.readouterr().err
    assert "127.0.0.1:9 was refused" in said
    assert "t0ken" not in said


def test_without_any_configuration_it_says_how_to_name_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rendered("ci")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["k8s", "run"]) == 2
    assert "--kubeconfig FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--profile"], "--profile"),
        (["--rat", "5"], "--rate"),
        (["--schedule", "sometimes"], "poisson"),
        (["--out", "/tmp/x"], "the Job's own"),
        (["--out=/tmp/x"], "the Job's own"),
        (["--master-bind-port", "1"], "the Job's own"),
        (["harness", "run"], "without `harness run`"),
        (["--config", "sasl.password=hunter22"], "KEY=env:NAME"),
        (["--config=sasl.password=hunter22"], "KEY=env:NAME"),
    ],
)
def test_options_of_a_run_that_cannot_be_are_refused_before_anything_is_created(
    options: list[str], says: str, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(["k8s", "run", "--kubeconfig", str(kubeconfig), "--", *options])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert code == 2
    assert says in said
    assert "hunter22" not in said
    assert "kubectl" not in said


def test_a_reference_to_a_secret_is_an_option_like_others(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--config", "sasl.password=env:PASSWORD"]
    assert main(["k8s", "run", "--kubeconfig", str(kubeconfig), "--", *options]) == 4
    assert "was refused" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["delete"], ["delete", "a", "--overlay", "ci"]])
def test_delete_takes_a_run_or_an_overlay(
    argv: list[str], kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["k8s", *argv, "--kubeconfig", str(kubeconfig)]) == 2
    assert "not both" in capsys.readouterr().err


def test_a_run_directory_is_not_copied_over_another(
    kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").touch()
    out = str(tmp_path / "out")
    assert main(["k8s", "fetch", "r", "--out", out, "--kubeconfig", str(kubeconfig)]) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize("run", ["/etc", "../x", "a/../../etc"])
def test_only_folders_of_the_results_are_fetched(
    run: str, kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["k8s", "fetch", run, "--out", out, "--kubeconfig", str(kubeconfig)]) == 2
    assert "/results" in capsys.readouterr().err


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_render_prints_what_kubectl_makes_of_the_overlay(
    overlay: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = rendered(overlay)
    assert main(["k8s", "render", "--overlay", overlay]) == 0
    captured = capsys.readouterr()
    assert captured.out == expected
    assert captured.err == f"+ kubectl kustomize {overlays()[overlay]}\n"


def test_an_overlay_of_ones_own_is_named_by_its_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered("ci")
    (tmp_path / "mine").mkdir()
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../k8s/overlays/laptop"],
    }
    (tmp_path / "mine" / "kustomization.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    (tmp_path / "k8s").symlink_to(K8S)
    monkeypatch.chdir(tmp_path)
    assert main(["k8s", "render", "--overlay", "mine"]) == 0
    assert capsys.readouterr().out == rendered("laptop")


def test_in_another_namespace_everything_and_every_subject_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rendered("ci")
    assert main(["k8s", "render", "--overlay", "ci", "--namespace", "other"]) == 0
    found = parsed(capsys.readouterr().out)
    (namespace,) = [each for each in found if each["kind"] == "Namespace"]
    assert namespace["metadata"]["name"] == "other"
    others = [each["metadata"]["namespace"] for each in found if each is not namespace]
    subjects = [
        subject["namespace"]
        for each in found
        if each["kind"] == "RoleBinding"
        for subject in each["subjects"]
    ]
    assert set(others) == set(subjects) == {"other"}
    assert len(found) == len(objects("ci"))


def test_a_run_is_the_template_with_options_behind_its_own() -> None:
    made = run_job.job_of(template(), "r1", ["--rate", "500"])
    (container,) = made["spec"]["template"]["spec"]["containers"]
    (before,) = template()["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [*before["args"], "--rate", "500"]
    assert container["args"][0] == "run"
    assert made["metadata"]["name"] == "r1"
    assert made["metadata"]["labels"]["delivery-harness/run"] == "true"
    assert made["spec"]["backoffLimit"] == 0


def test_the_run_names_its_folder_by_its_job() -> None:
    (container,) = template()["spec"]["template"]["spec"]["containers"]
    assert container["args"][container["args"].index("--out") + 1] == "/results/$(RUN)"
    (run,) = [each for each in container["env"] if each["name"] == "RUN"]
    path = run["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == f"metadata.labels['{run_job.JOB_LABEL}']"


def test_a_name_of_a_run_is_one_of_a_label() -> None:
    assert len(run_job.new_name()) <= 63


def test_the_reader_has_the_results_read_only_and_no_token() -> None:
    made = reader_pod(template(), "r")
    assert made["spec"]["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in made["spec"]
    (container,) = made["spec"]["containers"]
    assert container["volumeMounts"] == [
        {"mountPath": "/results", "name": "results", "readOnly": True}
    ]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert made["spec"]["securityContext"]["runAsNonRoot"] is True
    # It is neither a run nor a master of workers.
    assert made["metadata"]["labels"] == {"delivery-harness/reader": "true"}


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_the_exit_code_of_the_pod_is_the_result(code: int) -> None:
    ended = run_job.seen(pod({"terminated": {"exitCode": code, "reason": "Error"}}))
    assert ended.over
    assert run_job.result(ended) == code


@pytest.mark.parametrize(
    ("code", "reason"), [(137, "OOMKilled"), (143, "Error"), (130, "Error"), (127, "StartError")]
)
def test_a_pod_that_was_ended_from_outside_has_no_verdict(code: int, reason: str) -> None:
    ended = run_job.seen(pod({"terminated": {"exitCode": code, "reason": reason}}))
    with pytest.raises(ClusterError, match=f"{reason}, exit code {code}"):
        run_job.result(ended)


def test_a_container_that_could_not_start_says_why() -> None:
    state = {"exitCode": 128, "reason": "StartError", "message": "exec: sh: not found"}
    assert run_job.seen(pod({"terminated": state})).why.endswith(
        "exit code 128: exec: sh: not found"
    )


def test_a_pod_says_what_it_waits_for() -> None:
    waiting = run_job.seen(pod({"waiting": {"reason": "ErrImageNeverPull", "message": "no image"}}))
    assert (waiting.why, waiting.hopeless) == ("ErrImageNeverPull: no image", True)
    pulling = run_job.seen(pod({"waiting": {"reason": "ImagePullBackOff"}}))
    assert (pulling.why, pulling.hopeless) == ("ImagePullBackOff", False)
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available",
    }
    unscheduled = run_job.seen(pod({}, phase="Pending", conditions=[condition]))
    assert unscheduled.why == "Unschedulable: 0/1 nodes are available"
    assert not unscheduled.over


def test_a_job_has_ended_once_a_condition_says_so() -> None:
    def job(*conditions: tuple[str, str]) -> dict[str, Any]:
        return {"status": {"conditions": [{"type": t, "status": s} for t, s in conditions]}}

    assert not run_job.ended({})
    assert not run_job.ended(job(("Suspended", "True")))
    assert not run_job.ended(job(("Failed", "False")))
    assert run_job.ended(job(("Complete", "True")))
    assert run_job.ended(job(("FailureTarget", "True"), ("Failed", "True")))


def test_a_copy_that_differs_in_one_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "a").write_bytes(b"1" * 1000)
    (tmp_path / "run.json").write_text("{}")
    printed = subprocess.run(
        [sys.executable, "-c", CHECKSUMS, str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    there = dict(line.split("  ")[::-1] for line in printed.splitlines())
    compare(there, checksums(tmp_path))
    (tmp_path / "ledger" / "a").write_bytes(b"1" * 999)
    with pytest.raises(ClusterError, match="ledger/a"):
        compare(there, checksums(tmp_path))
    (tmp_path / "ledger" / "a").unlink()
    with pytest.raises(ClusterError, match="ledger/a"):
        compare(there, checksums(tmp_path))


def test_what_kubectl_says_of_an_answer_is_no_wrong_usage() -> None:
    said = 'Error from server (NotFound): cronjobs.batch "x" not found\n'
    assert isinstance(failure("get", said), KubectlFailed)
    assert isinstance(failure("get", 'error: context "x" does not exist\n'), UsageError)
