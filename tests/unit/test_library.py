"""What a program gets from `import harness`: these names, no side effects, errors and no output."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path

import pytest

import harness
from harness.cli.main import build_parser
from harness.cli.run_arguments import options_of
from harness.rundir.verdict import BROKEN
from harness.runs.options import DEFAULTS

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = [
    "Aggregate",
    "Attempt",
    "ClusterError",
    "EnvironmentFailure",
    "FaultError",
    "HarnessError",
    "Interrupted",
    "ProgressEvent",
    "RunDirError",
    "RunOptions",
    "UsageError",
    "Verdict",
    "__version__",
    "definition",
    "judge_history",
    "judge_producer",
    "junit",
    "markdown",
    "repeat",
    "run",
    "sarif",
    "validate",
    "verify",
]


def test_the_public_face_is_this_list_and_all_of_it_is_there() -> None:
    assert harness.__all__ == NAMES
    assert all(hasattr(harness, name) for name in NAMES)


def test_importing_it_brings_nothing_heavy_and_changes_nothing() -> None:
    """numpy and rich are not needed to say what is wanted; Locust would patch the process."""
    asked = """
import json, os, signal, sys, threading
before = dict(os.environ), signal.getsignal(signal.SIGINT), threading.excepthook
import harness
after = dict(os.environ), signal.getsignal(signal.SIGINT), threading.excepthook
top = sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
print(json.dumps([before == after, threading.active_count(), top]))
"""
    ended = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{asked}"],
        capture_output=True,
        text=True,
        check=True,
    )
    unchanged, threads, imported = json.loads(ended.stdout)
    assert unchanged
    assert threads == 1
    assert imported == ["__main__", "harness"]
    assert ended.stderr == ""


def test_what_cannot_be_run_is_an_error_of_the_package_and_nothing_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[harness.ProgressEvent] = []
    with pytest.raises(harness.UsageError, match="there is no such profile"):
        harness.run(harness.RunOptions(profiles=("idempotnt",)), on_progress=told.append)
    with pytest.raises(harness.UsageError, match=r"--schedule rampp: unknown.*ramp"):
        harness.run(harness.RunOptions(schedule="rampp"))
    with pytest.raises(harness.UsageError, match="accepted is 1 to"):
        harness.repeat(harness.RunOptions(), 0)
    with pytest.raises(harness.RunDirError):
        harness.verify(tmp_path)
    with pytest.raises(harness.UsageError):
        harness.judge_history([tmp_path / "nothing.ndjson"])
    assert told == []
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_run_that_is_stopped_before_it_began_leaves_nothing(tmp_path: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    out = tmp_path / "run"
    with pytest.raises(harness.Interrupted):
        harness.run(harness.RunOptions(out=out), stop=stopped.is_set)
    assert not out.exists()


def test_a_history_is_judged_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    verdict = harness.judge_history([GOLDEN / "lost.ndjson"], "at-least-once")
    assert isinstance(verdict, harness.Verdict)
    assert verdict.verdict == BROKEN
    assert capfd.readouterr() == ("", "")


OTHER = harness.RunOptions(
    profiles=("idempotent", "leader-ack"),
    all_profiles=True,
    profiles_file=Path("mine.yaml"),
    experiments=("no_fault", "own.yaml"),
    fault_commands=(
        ("inject=break it", "heal=repair it"),
        ("inject=a", "heal=b", "hold_s=3"),
    ),
    control=False,
    require=("p99_ack_ms<200", "idempotent:recovered_ms<5000"),
    until_bound=0.1,
    brokers="b:9092",
    kafka_version="4.3.1",
    config=("acks=1", "topic.min.insync.replicas=1"),
    properties=Path("client.properties"),
    keep_cluster=True,
    keep_topics=True,
    scenario="mine.py",
    rate_per_s=12.5,
    schedule="burst",
    duration_s=3.0,
    message_bytes=77,
    codec="json",
    compression="zstd",
    keys=4,
    partitions=5,
    producers=6,
    workers=2,
    expect_workers=3,
    expect_workers_max_wait_s=4.5,
    master_bind_host="*",
    master_bind_port=5600,
    metrics_port=9405,
    metrics_bind_host="*",
    metrics_textfile=Path("harness.prom"),
    otlp="http://127.0.0.1:4318",
    seed=7,
    asked_by="the payments team",
    out=Path("out dir"),
)


@pytest.mark.parametrize("name", [each.name for each in fields(harness.RunOptions)])
def test_the_command_of_options_asks_for_the_same_options(name: str) -> None:
    options = replace(DEFAULTS, **{name: getattr(OTHER, name)})
    assert options != DEFAULTS
    argv = options.argv()
    assert argv[:2] == ["harness", "run"]
    assert options_of(build_parser().parse_args(argv[1:])) == options


def test_a_collector_of_the_environment_is_asked_for_by_the_bare_option() -> None:
    options = replace(DEFAULTS, otlp="")
    assert options_of(build_parser().parse_args(options.argv()[1:])) == options
    assert options_of(build_parser().parse_args(["run", "--otlp"])) == options


def test_the_command_of_no_options_is_the_bare_command() -> None:
    assert DEFAULTS.argv() == ["harness", "run"]
    assert options_of(build_parser().parse_args(OTHER.argv()[1:])) == OTHER
