"""`harness k8s run`, `logs` and `fetch` where pods run, and brokers whose pods die."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.kubernetes import run_job
from harness.kubernetes.kubectl import Kubectl, KubeTarget
from tests.kubernetes.strimzi.cluster import StrimziCluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1200)]

SCRIPT = """\
set -e
echo a line of progress >&2
mkdir -p "/results/$RUN/ledger"
head -c 3000000 /dev/urandom > "/results/$RUN/ledger/1.ledger"
truncate -s 5000000 "/results/$RUN/ledger/2.ledger"
echo '{"schema": "delivery-run/1"}' > "/results/$RUN/run.json"
sleep 2
echo the verdict
exit CODE
"""
"""Stands in for a run where only its Job, its output and its files matter."""


def scripted_run(namespace: str, code: int) -> str:
    """A Job of the CronJob's template whose container runs SCRIPT; its name."""
    kubectl = Kubectl(KubeTarget(namespace=namespace), lambda _: None)
    job = run_job.job_of(run_job.template(kubectl), run_job.new_name(), [])
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["command"] = ["bash", "-c", SCRIPT.replace("CODE", str(code))]
    del container["args"]
    run_job.create(kubectl, job)
    return str(job["metadata"]["name"])


@pytest.mark.parametrize("code", [0, 3])
def test_what_a_run_prints_and_its_exit_code_arrive(
    code: int, run_namespace: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = scripted_run(run_namespace, code)
    assert main(["k8s", "logs", "--follow", run]) == code
    printed = capfd.readouterr()
    assert printed.out.splitlines() == ["a line of progress", "the verdict"]
    assert f"+ kubectl --namespace {run_namespace} logs --follow {run}-" in printed.err
    assert main(["k8s", "logs", run]) == 0
    assert capfd.readouterr().out.splitlines() == ["a line of progress", "the verdict"]


def test_a_run_directory_comes_home_whole_and_the_reader_goes(
    run_namespace: str,
    strimzi_cluster: StrimziCluster,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = scripted_run(run_namespace, 0)
    assert main(["k8s", "logs", "--follow", run]) == 0
    out = tmp_path / "home"
    capfd.readouterr()
    assert main(["k8s", "fetch", run, "--out", str(out)]) == 0
    assert capfd.readouterr().out == f"{out}\n"
    files = {path.relative_to(out).as_posix(): path.stat().st_size for path in out.rglob("*.*")}
    assert files == {"ledger/1.ledger": 3_000_000, "ledger/2.ledger": 5_000_000, "run.json": 29}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert main(["k8s", "fetch", "nowhere", "--out", str(tmp_path / "none")]) == 4
    said = capfd.readouterr().err
    assert run in said.partition("There is: ")[2]
    assert not (tmp_path / "none").exists()
    admin = strimzi_cluster.access
    readers = ("pods", "--selector", "delivery-harness/reader=true")
    admin.kubectl("-n", run_namespace, "wait", "--for=delete", *readers, "--timeout=30s")


def test_a_run_with_two_workers_kills_a_broker_and_is_judged(
    run_namespace: str,
    strimzi_cluster: StrimziCluster,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The whole way: a Job, workers, a leader's pod killed, the drain, the verdict, its files."""
    before = {each["metadata"]["uid"] for each in strimzi_cluster.pods(broker_role="true")}
    options = ["--profile", "at-least-once", "--profile", "idempotent", "--rate", "200"]
    options += ["--experiment", "kill_leader", "--seed", "7"]
    code = main(["k8s", "run", "--workers", "2", "--", *options])
    printed = capfd.readouterr()
    out = tmp_path / "run"
    assert main(["k8s", "fetch", "--out", str(out), "--namespace", run_namespace]) == 0, printed
    verdict: dict[str, Any] = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    said = {"kept": 0, "broken": 1, "inconclusive": 3}[verdict["verdict"]]
    assert code == said, printed
    assert verdict["faults"], verdict["reasons"]
    assert all(each["took_effect"] for each in verdict["faults"]), verdict["faults"]
    counts = {each["profile"]: each["counts"] for each in verdict["profiles"]}
    for profile in ("at-least-once", "idempotent"):
        assert counts[profile]["acked"] > 1000, printed
        assert counts[profile]["lost"] == counts[profile]["phantom"] == 0
    after = {each["metadata"]["uid"] for each in strimzi_cluster.pods(broker_role="true")}
    assert before - after, "no broker's pod was replaced"
    assert "password" not in (out / "run.json").read_text(encoding="utf-8").lower()
    strimzi_cluster.wait_ready()
