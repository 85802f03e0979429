"""A run made and judged by a program, on a real cluster."""

from __future__ import annotations

import re
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.brokers import LocalCluster
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def calm(cluster: LocalCluster, out: Path) -> harness.RunOptions:
    """A short run without faults."""
    return harness.RunOptions(
        profiles=("idempotent",),
        experiments=("no_fault",),
        control=False,
        brokers=cluster.bootstrap,
        rate_per_s=200,
        seed=11,
        out=out,
    )


def test_a_program_runs_and_verifies_again_and_nothing_is_printed(
    cluster: LocalCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    handler = signal.getsignal(signal.SIGINT)
    told: list[harness.ProgressEvent] = []
    verdict = harness.run(calm(cluster, out), on_progress=told.append)
    # A machine on which even this load lags behind makes no statement, and says why.
    assert verdict.verdict in ("kept", "inconclusive"), verdict.reasons
    assert verdict.profiles[0].counts["acked"] > 0
    assert [each.text for each in told if each.kind == "stage"][-1] == "verifying"
    assert signal.getsignal(signal.SIGINT) is handler
    run_dir = RunDir(out)
    command = run_dir.read_info().command
    assert command[:4] == ["harness", "run", "--profile", "idempotent"]
    assert command[-2:] == ["--seed", "11"]
    # Its topics are gone with it, so what it read back is judged again.
    again = harness.verify(out, on_progress=told.append)
    assert again.run_id == verdict.run_id
    assert again.profiles[0].counts == verdict.profiles[0].counts
    assert run_dir.verdict(2).exists()
    assert any("no fresh drain" in each.text for each in told)
    assert capfd.readouterr() == ("", "")


def test_a_run_that_is_asked_to_stop_is_healed_and_judged(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    stop = threading.Event()

    def on_progress(event: harness.ProgressEvent) -> None:
        if event.text.startswith("experiment "):
            stop.set()

    out = tmp_path / "run"
    verdict = harness.run(calm(cluster, out), on_progress=on_progress, stop=stop.is_set)
    assert verdict.verdict == "inconclusive"
    phases = [event.phase for event in RunDir(out).events(RunEvent)]
    assert "interrupted" in phases
    assert phases[-1] == "ended"


def test_the_scenario_of_the_documentation_makes_the_load_of_a_run(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One scheduled record a second, and batches of three hundred from the scenario itself."""
    page = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?ProducerUser.*?)```", page, re.DOTALL)
    (tmp_path / "shop.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    options = replace(calm(cluster, tmp_path / "run"), rate_per_s=1, scenario="shop.py")
    verdict = harness.run(replace(options, profiles=("idempotent", "transactional")))
    assert verdict.verdict in ("kept", "inconclusive"), verdict.reasons
    for profile in verdict.profiles:
        batches, scheduled = divmod(profile.counts["acked"] + profile.counts["failed"], 300)
        assert batches > 0
        assert 0 < scheduled < 100
    command = RunDir(tmp_path / "run").read_info().command
    assert command[command.index("--scenario") + 1] == "shop.py"
