"""One run, from its plan to its verdict.

Order: the brokers, the topics, the recorders, the load, the experiments one after the other, the
end of the load, a healed cluster, the drain and the judgement. Whatever happens in between, what
was started is stopped and what was recorded is judged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from harness.brokers import Brokers, connect, started, starts
from harness.errors import Interrupted
from harness.metrics.exporter import Exporter, exporting
from harness.profiles import load_builtin
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import BROKEN, KEPT, Verdict
from harness.rundir.verdict_file import read_verdict
from harness.runs.aftermath import heal, keep_broker_logs, put_away
from harness.runs.load_and_faults import load_and_break
from harness.runs.plan import RunPlan
from harness.runs.progress import Progress
from harness.runs.session import RunRequest, Session
from harness.runs.stop import Stop
from harness.system.progress import OnProgress

DRAIN_TIMEOUT_S: Final = 120.0

Work: TypeAlias = Callable[[Session, RunRequest, Progress, Stop], None]


def run_plan(
    plan: RunPlan,
    on_progress: OnProgress | None,
    stop: Stop,
    work: Work = load_and_break,
    exporter: Exporter | None = None,
) -> Verdict:
    """One run, from its directory to its verdict.

    work: makes the load and carries out the experiments; without it the harness's own load.
    exporter: of the metrics of a series; without it the run has one of its own.

    Raises UsageError for a directory that is not empty, ClusterError for brokers that do not do
    what is asked, Interrupted when `stop` said so before there was load.
    """
    if exporter is None:
        with exporting(plan.metrics) as own:
            return run_plan(plan, on_progress, stop, work, own)
    progress = Progress(on_progress)
    made_here = not plan.request.out.exists()
    run_dir = RunDir.create(plan.request.out)
    exporter.begin(run_dir)
    keep_topics = plan.keep_topics or starts(plan.brokers)
    try:
        stop.begin()
        with brokers_for(plan, progress) as brokers:
            stop.check()
            kept = False
            try:
                verdict = carry_out(
                    plan.request, run_dir, brokers, progress, stop, keep_topics, work
                )
                exporter.judged(verdict)
                kept = verdict.verdict == KEPT
            except Interrupted:
                kept = True  # nothing failed, so nothing has to be explained
                raise
            finally:
                if not kept and brokers.control is not None and not plan.keep_cluster:
                    keep_broker_logs(brokers.control, run_dir)
    except BaseException:
        if not any(run_dir.ledger.glob("*")):
            put_away(run_dir, made_here, progress.note)
        raise
    finally:
        stop.end()
    return verdict


def verdict_reached(run_dir: RunDir) -> Verdict | None:
    """The verdict of a run that failed at its end; None where it came to none."""
    path = run_dir.verdict(1)
    return read_verdict(path) if path.exists() else None


def broken_before(error: Exception, run_dir: RunDir) -> Verdict:
    """The verdict of a run that failed after it, where a promise is broken: that wins.

    Raises the error otherwise.
    """
    verdict = verdict_reached(run_dir)
    if verdict is None or verdict.verdict != BROKEN:
        raise error
    return verdict


@contextlib.contextmanager
def brokers_for(plan: RunPlan, progress: Progress) -> Iterator[Brokers]:
    """The brokers of a run, and their end when the run is over."""
    if not starts(plan.brokers):
        brokers = connect(plan.brokers, plan.connection)
        if brokers.control is not None:
            needs = [experiment.needs for experiment in plan.request.experiments]
            brokers.control.require_ready()
            brokers.control.require_rights(frozenset().union(*needs))
        yield brokers
        return
    with started(
        plan.brokers,
        plan.connection,
        keep=plan.keep_cluster,
        kafka_version=plan.kafka_version,
        on_progress=progress.tell,
    ) as brokers:
        yield brokers


def carry_out(
    request: RunRequest,
    run_dir: RunDir,
    brokers: Brokers,
    progress: Progress,
    stop: Stop,
    keep_topics: bool,
    work: Work,
) -> Verdict:
    """Prepare, load, break, heal, judge."""
    progress.stage(f"creating the topics of run {request.run_id}")
    session = Session.prepare(request, run_dir, brokers)
    for line in guardrail_lines(session.info.findings, request):
        progress.note(line)
    try:
        try:
            session.start_recording()
            stop.load_begins()
        except BaseException:
            session.abandon_recording()
            raise
        try:
            work(session, request, progress, stop)
            session.await_experiments(progress.stage, stop=stop)
        finally:
            if brokers.control is not None:
                progress.stage("healing")
                heal(brokers.control, run_dir)
            if any(profile.consume is not None for profile in session.info.profiles):
                progress.stage("letting the consumers catch up")
            session.stop_recording()
        if stop():
            run_dir.append(RunEvent(source="harness", phase="interrupted"))
        progress.stage("verifying")
        verdict = session.judge(drain_timeout_s=DRAIN_TIMEOUT_S, say=progress.detail)
        run_dir.append(RunEvent(source="harness", phase="ended"))
        return verdict
    finally:
        if not keep_topics:
            session.delete_topics(progress.note)


def guardrail_lines(findings: list[dict[str, Any]], request: RunRequest) -> list[str]:
    """What lint found about settings that somebody chose; the rest is in the report.

    The weaknesses of a built-in profile as it is are what it is there for.
    """
    builtin = load_builtin()
    chosen = {each.name for each in request.subjects if builtin.get(each.name) != each}
    shown = [each for each in findings if each["profile"] in chosen]
    lines = [
        f"  guardrail  {each['where']}: {each['severity']} [{each['rule']}] {each['message']} "
        f"{each['fix']}"
        for each in shown
    ]
    if len(shown) < len(findings):
        lines.append(
            f"  guardrail  {len(findings) - len(shown)} findings about built-in profiles and "
            "controls are in report.html"
        )
    return lines
