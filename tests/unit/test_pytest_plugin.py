"""The pytest plugin without brokers: quiet unless used, and failure texts that say why."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.brokers.foreign import ForeignBrokers
from harness.errors import UsageError
from harness.profiles import load_builtin
from harness.pytest_plugin.cluster import LOCK_NAME, address_of, lock_beside
from harness.pytest_plugin.delivery import KafkaDelivery, promises_of, run_options
from harness.pytest_plugin.failure import PromiseNotKept
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT, Verdict, Witness
from tests.support.made_up_run import make_verdict

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ("-p", "no:kafka_delivery", "-p", "harness.pytest_plugin.plugin")
"""By its module, whether this installation has the entry point or not."""


def suite(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest over one test file of a project that is not this one."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_suite.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *PLUGIN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def delivery(tmp_path: Path, verdict: Verdict | None = None, **options: object) -> KafkaDelivery:
    """A fixture's object with a verdict that was reached."""
    made = KafkaDelivery(
        ForeignBrokers("127.0.0.1:9"), folder=tmp_path, test="test_it.py::test_it", options=options
    )
    made.verdict = verdict
    made.run_dir = tmp_path / "run-1"
    return made


def verdict_of(names: list[str], verdict: str = KEPT) -> Verdict:
    return make_verdict([load_builtin()[name] for name in names], verdict)


def test_a_suite_that_uses_nothing_of_it_gets_no_import_and_no_word(tmp_path: Path) -> None:
    ran = suite(
        tmp_path,
        "import sys\n\n"
        "def test_nothing_heavy_is_imported():\n"
        "    heavy = {'numpy', 'confluent_kafka', 'locust', 'gevent', 'yaml', 'msgspec'}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    assert 'harness.pytest_plugin.delivery' not in sys.modules\n"
        "    assert 'harness.brokers' not in sys.modules\n",
        "-q",
    )
    assert ran.returncode == 0, ran.stdout
    assert "kafka" not in ran.stdout.lower()
    assert ran.stderr == ""


def test_options_marker_and_fixtures_are_described(tmp_path: Path) -> None:
    helped = suite(tmp_path, "", "--help")
    for option in ("--kafka-brokers", "--kafka-version", "--kafka-runs"):
        assert option in helped.stdout
    assert "@pytest.mark.kafka_delivery(" in suite(tmp_path, "", "--markers").stdout
    listed = suite(tmp_path, "", "--fixtures").stdout
    assert "kafka_cluster [session scope]" in listed
    assert "kafka_delivery --" in listed


def test_a_test_that_asks_for_brokers_that_are_not_there_says_so(tmp_path: Path) -> None:
    ran = suite(
        tmp_path,
        "def test_it(kafka_cluster): pass\n",
        *("--kafka-brokers", "local:no-such-cluster"),
    )
    assert ran.returncode == 1
    assert "no-such-cluster" in ran.stdout


def test_a_kept_promise_passes(tmp_path: Path) -> None:
    made = delivery(tmp_path, verdict_of(["idempotent", "at-least-once"]))
    made.assert_kept()
    made.assert_kept("no_lost", profile="idempotent")


def test_a_broken_promise_fails_with_reason_witness_faults_and_report(tmp_path: Path) -> None:
    verdict = verdict_of(["idempotent"], BROKEN)
    story = Witness(
        "duplicate", "t", 0, 1, 7, 12,
        ["duplicate: record 7 of producer 1 on t, partition 0", "10:15:25.301  cut_responses"],
        [], None,
    )  # fmt: skip
    profiles = [replace(each, witnesses=[story]) for each in verdict.profiles]
    made = delivery(tmp_path, replace(verdict, profiles=profiles))
    with pytest.raises(PromiseNotKept) as failed:
        made.assert_kept("no_duplicate")
    lines = str(failed.value).splitlines()
    reason = next(each for each in profiles[0].promises if each.promise == "no_duplicate").reason
    assert lines[0] == f"idempotent: no_duplicate is broken: {reason}"
    assert lines[1] == "  witness   duplicate: record 7 of producer 1 on t, partition 0"
    assert lines[2] == "            10:15:25.301  cut_responses"
    assert any(
        line.startswith("  fault     cut_responses on broker 1, 2026-03-01") for line in lines
    )
    assert f"  report    {tmp_path / 'run-1' / 'report.html'}" in lines
    # What another promise of the same run says is not asked for here.
    made.assert_kept("no_lost")


def test_an_inconclusive_promise_fails_and_says_what_was_not_shown(tmp_path: Path) -> None:
    made = delivery(tmp_path, verdict_of(["idempotent"], INCONCLUSIVE))
    with pytest.raises(PromiseNotKept, match=r"idempotent: no_\w+ is inconclusive: "):
        made.assert_kept()


def test_a_promise_that_the_profile_does_not_make_is_refused(tmp_path: Path) -> None:
    made = delivery(tmp_path, verdict_of(["at-least-once"]))
    with pytest.raises(UsageError, match="at-least-once does not promise no_duplicate"):
        made.assert_kept("no_duplicate")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"profil": "idempotent"}, "did you mean|profile"),
        ({"brokers": "local"}, "the plugin says itself"),
        ({"out": "here"}, "the plugin says itself"),
    ],
)
def test_options_that_are_none_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run_options(given, {})


def test_one_name_or_several_are_taken_for_profiles_and_experiments() -> None:
    asked = run_options({"profile": "idempotent", "experiments": ["a", "b"], "rate_per_s": 5}, {})
    assert asked.profiles == ("idempotent",)
    assert asked.experiments == ("a", "b")
    assert asked.rate_per_s == 5


def test_a_promise_with_a_wrong_name_is_refused() -> None:
    assert promises_of("no_lost") == ("no_lost",)
    with pytest.raises(UsageError, match="no_lots: unknown"):
        promises_of(["no_lots"])


def test_workers_of_one_session_share_one_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    assert lock_beside(tmp_path / "popen-gw1") == tmp_path / LOCK_NAME
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    assert lock_beside(tmp_path) == tmp_path / LOCK_NAME
    assert address_of(ForeignBrokers("127.0.0.1:9")) == "127.0.0.1:9"
