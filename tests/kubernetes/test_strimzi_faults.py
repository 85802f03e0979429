"""Faults on pods that really die: brokers of k8s/overlays/ci, run by the stand-in for Strimzi.

The same experiment files as on local brokers, by `harness run` and by plain `chaos run`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.system.assets import folder
from tests.kubernetes.lab.pki import Authority
from tests.kubernetes.strimzi.cluster import StrimziCluster

pytestmark = pytest.mark.kubernetes

HARNESS: Final = (sys.executable, "-m", "harness")
CHAOS: Final = str(Path(sys.executable).with_name("chaos"))
RUN_TIMEOUT_S: Final = 500


def address(cluster: StrimziCluster, user: str = "harness") -> str:
    return f"strimzi://{cluster.namespace}/{cluster.cluster}?user={user}"


def started(cluster: StrimziCluster, out: Path, *argv: str, user: str = "harness") -> Any:
    """`harness run` in the node's network."""
    command = (*HARNESS, "run", "--brokers", address(cluster, user), "--out", str(out), *argv)
    return cluster.node.run(command, cwd=out.parent)


def ended(process: subprocess.Popen[str], code: int) -> str:
    """What it printed, once it has ended with that exit code."""
    said, _ = process.communicate(timeout=RUN_TIMEOUT_S)
    assert process.returncode == code, said
    return said


def verdict_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "verdict.json").read_text())
    return found


def struck(fault: dict[str, Any], deed: str) -> list[dict[str, Any]]:
    found = [each for each in fault["evidence"]["brokers"] if each["deed"] == deed]
    assert found
    return found


def test_stopped_followers_lose_what_the_leader_acknowledged_alone(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    said = ended(
        started(
            strimzi_cluster, out, "--experiment", "stop_followers_then_kill_leader",
            "--profile", "idempotent", "--rate", "200", "--seed", "11",
        ),
        0,
    )  # fmt: skip
    verdict = verdict_of(out)
    assert verdict["verdict"] == "kept", said
    assert [fault["took_effect"] for fault in verdict["faults"]] == [True, True]
    for fault in verdict["faults"]:
        (killed,) = struck(fault, "kill")
        assert (killed["exit_code"], killed["grace_s"]) == (137, 1)
        assert killed["uid_after"] not in (None, killed["uid"])
        assert killed["ready_after_s"] > 0
        assert killed["stopped_first"]
        assert killed["handed_over"] is not True
        assert {each["state"] for each in struck(fault, "pause")} == {"stopped"}
    profiles = {each["profile"]: each["counts"] for each in verdict["profiles"]}
    assert profiles["leader-ack"]["lost"] > 0
    assert (profiles["idempotent"]["lost"], profiles["idempotent"]["duplicate"]) == (0, 0)
    assert verdict["disturbances"] == []


@pytest.mark.long
def test_the_same_experiment_strikes_by_plain_chaos_run(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.json"
    experiment = folder("experiments") / "rolling_restart.yaml"
    process = strimzi_cluster.node.run(
        (CHAOS, "run", str(experiment), "--journal-path", str(journal)),
        environment={"HARNESS_BROKERS": address(strimzi_cluster, "harness-mtls")},
        cwd=tmp_path,
    )
    said = ended(process, 0)
    (step,) = [each for each in json.loads(journal.read_text())["run"]
               if each["activity"]["name"] == "rolling-restart"]  # fmt: skip
    assert step["output"]["took_effect"] is True, said
    restarted = struck(step["output"], "restart")
    assert len({each["uid_after"] for each in restarted}) == len(restarted) == 3
    assert {each["exit_code"] for each in restarted} <= {0, 143}


@pytest.mark.long
def test_a_paused_leader_is_deposed_and_goes_on(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    said = ended(
        started(
            strimzi_cluster, out, "--experiment", "pause_leader", "--no-control",
            "--profile", "idempotent", "--rate", "100", "--seed", "12",
        ),
        3,  # without a control, nothing shows that the faults could have broken no_lost
    )  # fmt: skip
    for fault in verdict_of(out)["faults"]:
        assert fault["took_effect"], said
        assert [each["deed"] for each in fault["evidence"]["brokers"]] == ["pause", "resume"]


@pytest.mark.long
def test_a_pod_that_somebody_else_deletes_is_no_fault_of_ours(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = started(
        strimzi_cluster, out, "--experiment", "no_fault", "--profile", "idempotent",
        "--rate", "100", "--duration", "20", "--seed", "13",
    )  # fmt: skip
    pod = strimzi_cluster.pods(broker_role="true")[0]["metadata"]["name"]
    await_load(out, process)
    strimzi_cluster.access.kubectl("-n", strimzi_cluster.namespace, "delete", "pod", pod)
    process.communicate(timeout=RUN_TIMEOUT_S)
    verdict = verdict_of(out)
    assert verdict["faults"] == []
    assert any(f"pod {pod} ended" in each["text"] for each in verdict["disturbances"])
    strimzi_cluster.wait_ready()


def await_load(out: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (out / "timeline.ndjson").exists() and any(
            event.phase == "warmed_up" for event in RunDir(out).events(RunEvent)
        ):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("there was no load")


@pytest.mark.long
def test_faults_beyond_single_brokers_take_effect(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    """Each by itself; what each must show is in its evidence, of which nothing may be missing."""
    script = (
        "import json, sys\nfrom harness import faults\nfound = {}\n"
        "for name in sys.argv[1:]:\n"
        "    found[name] = getattr(faults, name)()\n"
        "    faults.heal()\n"
        "print(json.dumps(found))"
    )
    names = ("kill_controller", "kill_leader_in_container", "move_transaction_coordinator",
             "kill_leader_without_operator", "revoke_operator_then_kill_leader",
             "kill_leader_then_operator", "roll_by_annotation")  # fmt: skip
    process = strimzi_cluster.node.run(
        (sys.executable, "-c", script, *names),
        environment={"HARNESS_BROKERS": address(strimzi_cluster)},
        cwd=tmp_path,
    )
    found = json.loads(ended(process, 0).splitlines()[-1])
    assert {name: found[name]["evidence"]["shortcomings"] for name in names} == {
        name: [] for name in names
    }
    (revoked,) = found["revoke_operator_then_kill_leader"]["evidence"]["operators"]
    assert (revoked["allowed_before"], revoked["allowed_after"]) == (True, False)
    (away,) = struck(found["revoke_operator_then_kill_leader"], "kill")
    assert away["uid_after"] is None, "somebody made the pod again"
    (again,) = struck(found["kill_leader_then_operator"], "kill")
    assert again["ready_after_s"] > 0
    (rolled, *_) = struck(found["roll_by_annotation"], "restart")
    assert rolled["led_at_end"] == 0
    (killed,) = struck(found["kill_leader_in_container"], "kill")
    assert (killed["uid_after"], killed["exit_code"]) == (killed["uid"], 137)


@pytest.mark.long
def test_all_brokers_of_a_zone_die_together(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    zones = {0: "west", 1: "west", 2: "east"}
    for number, zone in zones.items():
        strimzi_cluster.access.kubectl(
            "-n", strimzi_cluster.namespace, "label", "--overwrite", "pod",
            f"{strimzi_cluster.cluster}-brokers-{number}", f"topology.kubernetes.io/zone={zone}",
        )  # fmt: skip
    script = ("import json\nfrom harness import faults\n"
              "print(json.dumps([faults.kill_zone(), faults.heal()][0]))")  # fmt: skip
    process = strimzi_cluster.node.run(
        (sys.executable, "-c", script),
        environment={"HARNESS_BROKERS": address(strimzi_cluster)},
        cwd=tmp_path,
    )
    found = json.loads(ended(process, 0).splitlines()[-1])
    assert found["took_effect"], found["evidence"]["shortcomings"]
    killed = struck(found, "kill")
    zone = zones[killed[0]["broker"]]
    assert {each["broker"] for each in killed} == {n for n, z in zones.items() if z == zone}
    assert {each["exit_code"] for each in killed} == {137}


def test_addresses_that_lead_nowhere_from_here_are_named(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    command = (*HARNESS, "run", "--brokers", address(strimzi_cluster), "--experiment", "no_fault",
               "--out", str(tmp_path / "run"))  # fmt: skip
    done = subprocess.run(
        command, env=strimzi_cluster.access.environment(), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "delivery-kafka-bootstrap.kafka.svc" in done.stderr
    assert "Failed to resolve" in done.stderr
    assert "It is for clients inside that Kubernetes: run there" in done.stderr


def test_an_authority_that_does_not_fit_is_named_before_anything_is_made(
    strimzi_cluster: StrimziCluster, tmp_path: Path
) -> None:
    other = Authority.make(tmp_path / "other", "other").certificate
    said = ended(
        started(
            strimzi_cluster, tmp_path / "run", "--experiment", "no_fault",
            "--profile", "idempotent", "--config", f"ssl.ca.location={other}",
        ),
        4,
    )  # fmt: skip
    assert "certificate" in said
    assert not (tmp_path / "run" / "ledger").exists()
