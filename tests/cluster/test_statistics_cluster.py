"""Rounds up to a bound, and repeated runs, on the real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.brokers import LocalCluster
from harness.judge.bounds import bound_95_per_fault
from harness.rundir.run_dir import RunDir
from tests.support.shortened import shortened
from tests.support.timelines import lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def test_a_run_goes_on_in_rounds_until_the_bound_is_reached(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    experiment = shortened("cut_responses", tmp_path / "cuts.yaml", pause_s=1)
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "--brokers", f"local:{cluster.name}", "--json"]
        + ["--profile", "idempotent", "--experiment", str(experiment), "--rate", "500"]
        + ["--until-bound", "0.64", "--duration", "120", "--seed", "3", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    # Two faults bound to 0.78, so one round is not enough; two rounds of two faults are.
    assert len(verdict["faults"]) == 4
    subject = next(each for each in verdict["profiles"] if each["profile"] == "idempotent")
    promise = next(each for each in subject["promises"] if each["promise"] == "no_duplicate")
    assert promise["challenged"]
    assert promise["faults_exposed"] == 4
    assert promise["bound_95_per_fault"] == pytest.approx(bound_95_per_fault(4))
    run_dir = RunDir(out)
    assert len(run_dir.journals) == 2
    ended = [each for each in lines_of(run_dir, "run") if each["phase"] == "bound"]
    assert [(each["rounds"], each["reached"]) for each in ended] == [(2, True)]


@pytest.mark.long
def test_repeated_runs_stand_beside_each_other_and_add_up(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "series"
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "--brokers", f"local:{cluster.name}", "--json"]
        + ["--profile", "idempotent", "--experiment", "no_fault", "--rate", "100"]
        + ["--repeat", "2", "--seed", "3", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((out / "aggregate.json").read_text())
    assert found["verdict"] == "kept"
    runs = [RunDir(out / f"run-{number}") for number in (1, 2)]
    infos = [run.read_info() for run in runs]
    assert [info.seed for info in infos] == [each["seed"] for each in found["runs"]]
    assert infos[0].seed == 3 != infos[1].seed
    for info in infos:
        assert info.command[-2:] == ["--seed", str(info.seed)]
        assert "--repeat" not in info.command
    verdicts = [json.loads(run.verdict(1).read_text()) for run in runs]
    attempted = [each["profiles"][0]["counts"]["attempted"] for each in verdicts]
    assert found["profiles"][0]["attempted"] == sum(attempted)
    assert found["profiles"][0]["runs"] == {"kept": 2}
