"""Whole runs in pods: one that the CronJob starts, and one that loses a worker's pod."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.anomalies import ANOMALIES
from harness.cli.main import main
from harness.kubernetes import run_job
from harness.rundir.events import RunEvent, WorkerEvent
from harness.rundir.run_dir import RunDir
from tests.kubernetes.strimzi.cluster import StrimziCluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(1200)]

CRON: Final = f"cronjob/{run_job.CRON_JOB}"
FIRED_WITHIN_S: Final = 90.0
LOAD_WITHIN_S: Final = 300.0
FALSE: Final = [name for name in ANOMALIES if name not in ("unseen", "gap")]
"""What no worker's end may bring about; a record that nobody read yet is none of them."""
HAS_LOAD: Final = """\
import pathlib, sys
timeline = pathlib.Path("/results", sys.argv[1], "timeline.ndjson")
text = timeline.read_text() if timeline.exists() else ""
print("warmed_up" in text)
"""
STOP_LOAD: Final = """\
import os, pathlib, signal
stopped = 0
for each in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    process = int(each.parent.name)
    if process != os.getpid() and b"harness.load.worker" in each.read_bytes():
        os.kill(process, signal.SIGSTOP)
        stopped += 1
assert stopped
"""
"""Lets the process that makes a worker's load stand still."""

Options = Callable[[list[str]], None]


@pytest.fixture
def with_options(strimzi_cluster: StrimziCluster, run_namespace: str) -> Iterator[Options]:
    """Lets the CronJob fire every minute, with options of `harness run` behind its own."""
    kubectl, where = strimzi_cluster.access.kubectl, ("-n", run_namespace)
    before = strimzi_cluster.get(CRON)["spec"]

    def patch(spec: dict[str, Any]) -> None:
        kubectl(*where, "patch", CRON, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def fire(options: list[str]) -> None:
        spec = json.loads(json.dumps(before))
        (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        container["args"] += options
        patch({**spec, "schedule": "* * * * *", "suspend": False})

    yield fire
    patch(before)


def jobs(cluster: StrimziCluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.get("jobs", "--selector", run_job.RUN_LABEL)["items"]
    return found


def two_workers(cluster: StrimziCluster) -> None:
    where = ("-n", cluster.namespace)
    cluster.access.kubectl(*where, "scale", "deployment/locust-worker", "--replicas=2")
    ready = ("rollout", "status", "deployment/locust-worker", "--timeout=120s")
    cluster.access.kubectl(*where, *ready, timeout_s=130)


def test_the_cron_job_fires_a_run_that_kills_a_broker_and_leaves_directory_and_exit_code(
    strimzi_cluster: StrimziCluster,
    with_options: Options,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = {each["metadata"]["uid"] for each in strimzi_cluster.pods(broker_role="true")}
    two_workers(strimzi_cluster)
    with_options(["--profile", "at-least-once", "--rate", "200", "--experiment", "kill_leader",
                  "--seed", "21"])  # fmt: skip
    strimzi_cluster.wait("the schedule fires", lambda: bool(jobs(strimzi_cluster)), FIRED_WITHIN_S)
    suspended = json.dumps({"spec": {"suspend": True}})
    where = ("-n", strimzi_cluster.namespace)
    strimzi_cluster.access.kubectl(*where, "patch", CRON, "--type=merge", "--patch", suspended)
    (job,) = jobs(strimzi_cluster)
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("CronJob", "harness-run", True)

    code = main(["k8s", "logs", "--follow"])
    printed = capfd.readouterr()
    out = tmp_path / "run"
    assert main(["k8s", "fetch", "--out", str(out)]) == 0
    assert f"harness k8s logs --follow {job['metadata']['name']}" not in printed.err
    verdict = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    assert code == {"kept": 0, "broken": 1, "inconclusive": 3}[verdict["verdict"]], printed
    (ended,) = jobs(strimzi_cluster)
    finished = {each["type"] for each in ended["status"]["conditions"] if each["status"] == "True"}
    assert ("Complete" if code == 0 else "Failed") in finished
    assert ended["status"].get("failed", 0) == (0 if code == 0 else 1)
    joined = [each for each in RunDir(out).events(WorkerEvent) if each.phase == "joined"]
    assert len(joined) == 2
    assert verdict["faults"]
    assert all(each["took_effect"] for each in verdict["faults"]), verdict["faults"]
    counts = {each["profile"]: each["counts"] for each in verdict["profiles"]}["at-least-once"]
    assert counts["acked"] > 1000
    assert counts["lost"] == counts["phantom"] == 0
    after = {each["metadata"]["uid"] for each in strimzi_cluster.pods(broker_role="true")}
    assert before - after, "no broker's pod was replaced"
    strimzi_cluster.wait_ready()


@pytest.mark.parametrize("grace", ["crash", "in order"])
def test_a_workers_pod_deleted_in_mid_run_gives_no_false_word_and_is_named(
    grace: str,
    strimzi_cluster: StrimziCluster,
    run_namespace: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The Deployment makes another pod at once; its disk is new, so nothing of the lost one's
    ledger ever arrives after a crash."""
    kubectl, where = strimzi_cluster.access.kubectl, ("-n", run_namespace)
    options = ["--profile", "idempotent", "--profile", "transactional", "--rate", "200"]
    options += ["--experiment", "no_fault", "--duration", "25", "--no-control", "--seed", "22"]
    assert main(["k8s", "run", "--workers", "2", "--no-wait", "--", *options]) == 0
    run = capfd.readouterr().out.strip()
    (pod,) = strimzi_cluster.get("pods", "--selector", f"{run_job.JOB_LABEL}={run}")["items"]
    name = pod["metadata"]["name"]

    def has_load() -> bool:
        phase = strimzi_cluster.get("pod", name)["status"]["phase"]
        assert phase in ("Pending", "Running"), kubectl(*where, "logs", name).stdout
        asked = ("exec", name, "--", "python3", "-c", HAS_LOAD, run)
        return kubectl(*where, *asked, check=False).stdout.strip() == "True"

    strimzi_cluster.wait("there is load", has_load, LOAD_WITHIN_S)
    workers = ("pods", "--selector", "delivery-harness/locust=worker")
    victim = strimzi_cluster.get(*workers)["items"][0]["metadata"]["name"]
    soon = []
    if grace == "crash":
        # A second is enough for a worker to hand in its part: stopped, it cannot.
        kubectl(*where, "exec", victim, "--", "python3", "-c", STOP_LOAD)
        soon = ["--grace-period=1"]
    kubectl(*where, "delete", "pod", victim, *soon, timeout_s=120)

    code = main(["k8s", "logs", "--follow", run])
    printed = capfd.readouterr()
    out = tmp_path / "run"
    assert main(["k8s", "fetch", run, "--out", str(out)]) == 0
    verdict = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    wrong = {
        (each["profile"], anomaly): each["counts"][anomaly]
        for each in verdict["profiles"]
        for anomaly in FALSE
        if each["counts"][anomaly]
    }
    assert wrong == {}, printed
    events = list(RunDir(out).events(WorkerEvent))
    lost = [each.name for each in events if each.phase == "lost"]
    arrived = {each.name for each in events if each.phase == "arrived"}
    assert [each.phase for each in RunDir(out).events(RunEvent)][-1] == "ended", printed
    if grace == "in order":
        assert len(arrived) == 2
        assert any(each.startswith(victim) for each in arrived)
        return
    assert code == 3, printed
    assert [each.partition(" ")[0] for each in lost] == [victim], printed
    assert len(arrived) == 1
    assert any(victim in reason for reason in verdict["reasons"]), verdict["reasons"]
    assert sum(each["counts"]["unaccounted"] for each in verdict["profiles"]) > 0
