"""Judging a run once more: by a fresh drain, or by the observations that are there.

The brokers of a run are often gone when it is judged again, and its topics with them. What the run
read back is in its directory, so it can be judged again without them. A report of a better verdict
is kept: what could not be read this time takes nothing away from what was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from harness.brokers import BrokerControl
from harness.brokers.kind import log_directories
from harness.errors import ClusterError, RunDirError
from harness.judge.judge import judge_findings
from harness.kafka.admin import reason
from harness.kafka.reach import first_answer
from harness.read.drain import drain
from harness.reconcile.reconcile import reconcile
from harness.report.html import write_report
from harness.rundir.events import RunEvent
from harness.rundir.proof import DrainProof
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.rundir.run_record import load_replicas, load_run
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT, Verdict
from harness.rundir.verdict_file import read_verdict, write_verdict
from harness.runs.replica_look import look_for_lost

Say = Callable[[str], None]
Required = Mapping[str, Sequence[str]]
"""profile → thresholds"""
NOTHING_MORE: Final[Required] = {}
REACH_S: Final = 10.0
_RANK: Final = {INCONCLUSIVE: 0, KEPT: 1, BROKEN: 2}
"""A broken promise that was found once is not taken back by a reading that does not find it."""


def judge_run(
    run_dir: RunDir,
    info: RunInfo,
    client_config: Mapping[str, str],
    *,
    number: int,
    drain_timeout_s: float,
    say: Say,
    control: BrokerControl | None = None,
    processes: int | None = None,
    also: Required = NOTHING_MORE,
) -> Verdict:
    """One more verification of a run: a fresh drain, its verdict, its report.

    control: of the brokers that the run was made on, whose log files can perhaps be read.
    processes: how many read side by side; by default as many as are worth it.
    also: thresholds that are judged beside those of run.json, by profile.
    """
    say("reading every record back")
    drain(
        run_dir,
        info,
        client_config,
        number,
        timeout_s=drain_timeout_s,
        progress=say,
        processes=processes,
        log_directory=log_directories(control),
    )
    run_dir.append(RunEvent(source="harness", phase="drained", number=number))
    say("reconciling")
    run = load_run(run_dir, number)
    _require(run.info, also)
    findings = reconcile(run)
    if any(found.counts["lost"] for found in findings):
        say("looking for lost records in the brokers' logs")
        look_for_lost(run_dir, number, info, findings, control)
        run.replicas = load_replicas(run_dir, number)
    verdict = judge_findings(run, findings)
    path = run_dir.verdict(number)
    write_verdict(path, verdict)
    write_better_report(run_dir, number, verdict)
    return verdict


def why_no_drain(info: RunInfo, client_config: Mapping[str, str]) -> str | None:
    """Why the run's topics cannot be read any more; None when its brokers answer and have one."""
    where = client_config.get("bootstrap.servers", info.bootstrap)
    try:
        admin, described = first_answer(
            client_config,
            lambda client: client.describe_cluster(request_timeout=REACH_S),
            what=f"Asking {where} for the cluster of the run",
            timeout_s=REACH_S + 1,
        )
    except ClusterError as error:
        return str(error).removesuffix(".")
    found: Any = described
    if str(found.cluster_id) != info.cluster_id:
        return f"{where} is cluster {found.cluster_id}, and the run wrote to {info.cluster_id}"
    try:
        listed = admin.list_topics(timeout=REACH_S).topics
    except KafkaException as error:
        return f"asking {where} for its topics: {reason(error)}"
    if not set(info.topics) & set(listed):
        return f"{where} has none of the run's topics any more"
    return None


def best_drain(run_dir: RunDir) -> int | None:
    """The number of the newest complete drain, otherwise of the newest one; None without any."""
    numbers: dict[int, bool] = {}
    for number in range(1, run_dir.next_verification()):
        with contextlib.suppress(RunDirError):
            numbers[number] = DrainProof.read_from(run_dir.drained(number)).complete
    complete = [each for each, whole in numbers.items() if whole]
    return max(complete or numbers, default=None)


def judge_again(
    run_dir: RunDir, drained: int, number: int, also: Required = NOTHING_MORE
) -> tuple[Verdict, Path]:
    """(the `number`-th verdict, its report), from the observations of an earlier drain."""
    run_dir.append(RunEvent(source="harness", phase="judged_again", number=number, drained=drained))
    run = load_run(run_dir, drained)
    _require(run.info, also)
    verdict = judge_findings(run, reconcile(run))
    path = run_dir.verdict(number)
    write_verdict(path, verdict)
    return verdict, write_better_report(run_dir, number, verdict)


def _require(info: RunInfo, also: Required) -> None:
    for profile in info.profiles:
        profile.requires += also.get(profile.profile, ())


def write_better_report(run_dir: RunDir, number: int, verdict: Verdict) -> Path:
    """Write the report of a verdict: report.html, or beside it where that is of a better one."""
    before = [each for each in range(1, number) if run_dir.verdict(each).exists()]
    better = run_dir.report_html.exists() and any(
        _rank(read_verdict(run_dir.verdict(each))) > _rank(verdict) for each in before
    )
    beside = run_dir.path / f"report-{number}.html" if better else None
    return write_report(run_dir, run_dir.verdict(number), beside)


def _rank(verdict: Verdict) -> int:
    return _RANK.get(verdict.verdict, 0)
