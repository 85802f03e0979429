"""Whole runs on a real cluster: the command line's verdict, and weights planted on the scale."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.anomalies import ANOMALIES
from harness.brokers import LocalCluster
from harness.rundir.run_dir import RunDir
from tests.support import planting
from tests.support.shortened import shortened

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def harness(*arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command; stdout and stderr apart."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def verdict_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout.strip(), done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def found(verdict: dict[str, Any], profile: str) -> dict[str, int]:
    """The anomalies and foreign records of a profile that are not zero."""
    counts = next(p["counts"] for p in verdict["profiles"] if p["profile"] == profile)
    return {name: counts[name] for name in (*ANOMALIES, "foreign") if counts[name]}


@pytest.fixture(scope="module")
def no_fault_run(
    cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunDir, dict[str, Any], int]:
    """One short run of every bare profile without a fault, its topics kept."""
    here = tmp_path_factory.mktemp("run")
    out = here / "no-fault"
    experiment = shortened("no_fault", here / "no_fault.yaml", pause_s=1, hold_s=3.0)
    done = harness(
        *("run", "--brokers", f"local:{cluster.name}", "--keep-topics"),
        *("--experiment", str(experiment)),
        *("--rate", "200", "--seed", "5", "--out", str(out), "--json"),
    )
    return RunDir(out), verdict_of(done), done.returncode


def test_without_a_fault_no_profile_shows_any_anomaly_and_every_promise_is_kept(
    no_fault_run: tuple[RunDir, dict[str, Any], int],
) -> None:
    run_dir, verdict, code = no_fault_run
    assert {p["profile"]: found(verdict, p["profile"]) for p in verdict["profiles"]} == {
        "fire-and-forget": {},
        "leader-ack": {},
        "at-least-once": {},
        "idempotent": {},
        "transactional": {},
    }
    # A machine on which even this load lags behind makes no statement, and says why.
    late = any("generator" in reason for reason in verdict["reasons"])
    assert verdict["verdict"] == ("inconclusive" if late else "kept"), verdict["reasons"]
    assert code == (3 if late else 0)
    for profile in verdict["profiles"]:
        counts = profile["counts"]
        assert counts["attempted"] > 1000
        assert counts["attempted"] == sum(
            counts[each] for each in ("acked", "failed", "unknown", "sent")
        )
    assert run_dir.report_html.exists()


# What is planted is never removed: each test judges its own profile's topic, where no other plants.
def test_planted_anomalies_are_found_with_their_exact_count_and_nothing_else(
    no_fault_run: tuple[RunDir, dict[str, Any], int], cluster: LocalCluster
) -> None:
    run_dir, _, _ = no_fault_run
    info = run_dir.read_info()
    topic = {profile.profile: profile.topics[0] for profile in info.profiles}
    client = cluster.client_config
    planting.plant_copies(client, topic["idempotent"], 0, 7)
    planting.plant_changed_byte(client, topic["at-least-once"], 1, 11)
    planting.plant_never_attempted(client, topic["leader-ack"], 2, 13, info.run_id)
    planting.plant_foreign(client, topic["fire-and-forget"], 0, 17)
    planting.plant_copies(client, topic["transactional"], 1, 3)

    done = harness("verify", str(run_dir.path), "--json")
    verdict = verdict_of(done)
    assert {p["profile"]: found(verdict, p["profile"]) for p in verdict["profiles"]} == {
        "idempotent": {"duplicate": 7},
        "at-least-once": {"corrupt": 11},
        "leader-ack": {"phantom": 13},
        "fire-and-forget": {"foreign": 17},
        "transactional": {"duplicate": 3},
    }
    assert done.returncode == 1
    assert verdict["verdict"] == "broken"
    assert run_dir.verdict(1).exists()
    assert run_dir.verdict(2).exists()


def test_batches_cut_off_every_replica_are_lost_and_vanished_with_their_exact_count(
    no_fault_run: tuple[RunDir, dict[str, Any], int], cluster: LocalCluster
) -> None:
    run_dir, _, _ = no_fault_run
    info = run_dir.read_info()
    topic = next(p.topics[0] for p in info.profiles if p.profile == "idempotent")
    cluster.stop()
    gone = planting.cut_last_batches(
        [cluster.data_directory(broker) for broker in cluster.broker_ids], topic, 2, 3
    )
    cluster.start_all()
    done = harness("verify", str(run_dir.path), "--json")
    verdict = verdict_of(done)
    shown = found(verdict, "idempotent")
    shown.pop("duplicate", None)  # what another test may have planted in partition 0
    assert shown == {"lost": len(gone), "vanished": len(gone)}
    samples = [
        sample
        for profile in verdict["profiles"]
        if profile["profile"] == "idempotent"
        for sample in profile["samples"]
        if sample["anomaly"] == "lost"
    ]
    assert {sample["offset"] for sample in samples} <= set(gone)
    assert {(sample["topic"], sample["partition"]) for sample in samples} == {(topic, 2)}
    assert done.returncode == 1


def test_the_first_interrupt_heals_judges_what_there_is_and_ends_with_3(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "--profile", "idempotent", "--json"]
        + ["--experiment", "stop_followers_then_kill_leader", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timeline = out / "timeline.ndjson"
    deadline = time.monotonic() + 120
    while not (timeline.exists() and b'"phase": "inject"' in timeline.read_bytes()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 3, errors
    verdict = json.loads(output)
    assert verdict["verdict"] == "inconclusive"
    assert any("interrupt" in reason.lower() for reason in verdict["reasons"])
    assert found(verdict, "idempotent") == {}
    assert next(p for p in verdict["profiles"] if p["profile"] == "idempotent")["counts"]["acked"]
