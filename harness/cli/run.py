"""`harness run`: the one command, from arguments to exit code.

Order: everything that can be refused is refused first; then the brokers, the topics, the
recorders, the load, the experiments one after the other, the end of the load, a healed cluster,
the drain and the judgement. Whatever happens in between, what was started is stopped and what
was recorded is judged.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from harness.brokers import Brokers, LocalCluster
from harness.brokers.foreign import connect
from harness.cli.ending import report
from harness.errors import ClusterError, HarnessError, Interrupted
from harness.faults.injection import open_faults
from harness.faults.run import start_experiment
from harness.judge.judge import exit_code
from harness.judge.verdict import BROKEN, KEPT, Verdict
from harness.profiles import load_builtin
from harness.report.document import read_verdict
from harness.report.terminal import print_verdict
from harness.rundir.run import RunDir
from harness.runs import options
from harness.runs.progress import Progress
from harness.runs.rounds import Rounds
from harness.runs.session import RunRequest, Session, wait_for_event
from harness.runs.stop import Stop
from harness.system.lifeline import Child
from harness.system.output import complain, delivering, print_json

SETTLE_S = 3.0
"""Load that goes on after the last experiment, so that recovery is on record."""
DRAIN_TIMEOUT_S = 120.0
EXPERIMENT_TIMEOUT_S = 900.0
BROKER_LOG_BYTES_MAX = 16 * 1024 * 1024


def run_run(args: argparse.Namespace) -> int:
    """Carry out `harness run`; the exit code of its verdict."""
    if args.repeat is not None:
        from harness.cli.repeat import run_repeated

        return run_repeated(args)
    asked = options.plan(args)
    progress = Progress(quiet=args.json)
    run_dir = RunDir(asked.request.out)
    try:
        verdict = run_once(asked, args.keep_topics, progress, Stop())
    except Exception as error:
        verdict = reached_before(error, run_dir)
    code = exit_code(verdict)
    with delivering(code, str(run_dir.verdict(1))):
        if args.json:
            print_json(verdict.to_json())
        else:
            print_verdict(verdict, progress.output)
            progress.output.print(
                f"verdict  {run_dir.verdict(1)}\nreport   {run_dir.report_html}", soft_wrap=True
            )
    return code


def reached_before(error: Exception, run_dir: RunDir) -> Verdict:
    """The verdict of a run that failed after it, where a promise is broken: that wins over exit 4.

    Raises the error otherwise, and says where the verdict is if there is one.
    """
    path = run_dir.verdict(1)
    if not path.exists():
        raise error
    verdict = read_verdict(path)
    if verdict.verdict != BROKEN:
        complain(f"harness: the run failed after its verdict, {verdict.verdict}, in {path}")
        raise error
    if isinstance(error, HarnessError):
        complain(f"harness: {error}")
    else:
        report(error)
    return verdict


def run_once(asked: options.Asked, keep_topics: bool, progress: Progress, stop: Stop) -> Verdict:
    """One run, from its directory to its verdict."""
    made_here = not asked.request.out.exists()
    run_dir = RunDir.create(asked.request.out)
    keep = keep_topics or asked.brokers == "local"
    try:
        with stop.installed(progress), progress, brokers_for(asked, progress) as brokers:
            kept = False
            try:
                verdict = carry_out(asked.request, run_dir, brokers, progress, stop, keep)
                kept = verdict.verdict == KEPT
            except Interrupted:
                kept = True  # nothing failed, so nothing has to be explained
                raise
            finally:
                if not kept and isinstance(brokers, LocalCluster) and not asked.keep_cluster:
                    keep_broker_logs(brokers, run_dir)
    except BaseException:
        if not any(run_dir.ledger.glob("*")):
            put_away(run_dir, made_here, progress)
        raise
    return verdict


def put_away(run_dir: RunDir, made_here: bool, progress: Progress) -> None:
    """Free the place of a run whose start failed, so that the next try can have it.

    What its processes and brokers logged is moved beside it; an empty directory is removed.
    """
    path = run_dir.path
    with contextlib.suppress(OSError):
        if any(each.is_file() for each in path.rglob("*")):
            beside = next(
                each
                for each in (path.with_name(f"{path.name}.failed-{n}") for n in itertools.count(1))
                if not each.exists()
            )
            path.rename(beside)
            progress.note(f"what the failed start left is in {beside}")
        else:
            shutil.rmtree(path)
        if not made_here:
            path.mkdir()


def keep_broker_logs(cluster: LocalCluster, run_dir: RunDir) -> None:
    """Copy what the brokers printed to where the run's other logs are, the last part at least.

    Of a run that was not kept they are worth more than their space, and a cluster that is not
    kept takes them with it.
    """
    run_dir.logs.mkdir(exist_ok=True)
    for broker in cluster.broker_ids:
        # A log that cannot be copied must not hide why the run is not kept.
        with contextlib.suppress(OSError), cluster.broker_log(broker).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - BROKER_LOG_BYTES_MAX))
            (run_dir.logs / f"broker-{broker}.log").write_bytes(log.read(BROKER_LOG_BYTES_MAX))


@contextlib.contextmanager
def brokers_for(asked: options.Asked, progress: Progress) -> Iterator[Brokers]:
    """The brokers of a run, and their end when the run is over."""
    if asked.brokers != "local":
        yield connect(asked.brokers, asked.connection)
        return
    progress.stage("starting three brokers")
    cluster = LocalCluster.start(
        kept=asked.keep_cluster, kafka_version=asked.kafka_version, progress=progress.detail
    )
    cluster.add_client_settings(asked.connection)
    keep = False
    try:
        yield cluster
        keep = asked.keep_cluster
        if keep:
            progress.note(
                f"cluster {cluster.name} is kept at {cluster.bootstrap}: `harness cluster down "
                f"{cluster.name}` ends it"
            )
    finally:
        if not keep:
            progress.stage("stopping the brokers")
            cluster.down()


def carry_out(
    request: RunRequest,
    run_dir: RunDir,
    brokers: Brokers,
    progress: Progress,
    stop: Stop,
    keep_topics: bool,
) -> Verdict:
    """Prepare, load, break, heal, judge."""
    progress.stage(f"creating the topics of run {request.run_id}")
    session = Session.prepare(request, run_dir, brokers)
    for line in guardrail_lines(session.info.findings, request):
        progress.note(line)
    try:
        try:
            session.start_recording()
        except BaseException:
            session.abandon_recording()
            raise
        stop.loaded = True
        try:
            load_and_break(session, request, progress, stop)
            session.await_experiments(progress.stage, stop=stop)
        finally:
            if isinstance(brokers, LocalCluster):
                progress.stage("healing")
                heal(brokers, run_dir)
            if any(profile.consume is not None for profile in session.info.profiles):
                progress.stage("letting the consumers catch up")
            session.stop_recording()
        if stop.asked:
            run_dir.append("run", "harness", phase="interrupted")
        progress.stage("verifying")
        verdict = session.judge(drain_timeout_s=DRAIN_TIMEOUT_S, say=progress.detail)
        run_dir.append("run", "harness", phase="ended")
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


def heal(cluster: LocalCluster, run_dir: RunDir) -> None:
    """Make the cluster whole. When it does not heal, the drain says what is missing."""
    left = open_faults(run_dir)
    try:
        cluster.heal()
    except ClusterError as error:
        run_dir.append("run", "harness", phase="not_healed", reason=str(error))
        return
    # What an experiment did not come to heal is healed here, and its window ends here.
    for event in left:
        run_dir.append(
            "fault",
            "harness",
            fault_id=event["fault_id"],
            fault=event["fault"],
            phase="healed",
            target=event["target"],
        )
    run_dir.append("run", "harness", phase="healed", faults=[event["fault_id"] for event in left])


def load_and_break(session: Session, request: RunRequest, progress: Progress, stop: Stop) -> None:
    """Run the load, and the experiments one after the other while it runs."""
    run_dir = session.run_dir
    load = stop.watch_over(
        Child(
            [sys.executable, "-m", "harness.load.process", str(run_dir.path)],
            log=run_dir.logs / "load.log",
            environment=session.environment(),
        )
    )
    progress.stage("warming up the load")
    try:
        if not wait_for_event(
            run_dir, load, "run", {"phase": "warmed_up"}, what="the load", stop=stop
        ):
            return
        warmed_up = time.monotonic()
        rounds = Rounds(session, request, warmed_up)
        while True:
            for experiment in request.experiments:
                progress.stage(f"experiment {experiment.name}{rounds.told()}")
                child = stop.watch_over(
                    start_experiment(
                        experiment, run_dir, rounds.next_journal(), session.environment()
                    )
                )
                await_experiment(child, load, session, progress, stop)
                if stop():
                    return
            if load.process.poll() is not None or rounds.enough(progress.note):
                break
        until = time.monotonic() + (SETTLE_S if request.experiments else 0.0)
        if request.load.duration_s is not None and request.until_bound is None:
            until = max(until, warmed_up + request.load.duration_s)
        progress.stage("load goes on")
        while time.monotonic() < until and not stop() and load.process.poll() is None:
            time.sleep(0.1)
            progress.follow(run_dir)
    finally:
        progress.stage("stopping the load")
        status = load.stop(grace_s=60)
        if status != 0:
            run_dir.append(
                "run",
                "harness",
                phase="load_died",
                reason=f"the load process ended with status {status}: {load.tail(3)}",
            )


def await_experiment(
    child: Child, load: Child, session: Session, progress: Progress, stop: Stop
) -> None:
    """Wait for an experiment; a stop asks it to heal and end, a dead load ends it too."""
    deadline = time.monotonic() + EXPERIMENT_TIMEOUT_S
    asked = False
    while child.process.poll() is None:
        ending = stop() or load.process.poll() is not None or time.monotonic() > deadline
        if ending and not asked:
            asked = True
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 60
        elif asked and time.monotonic() > deadline:
            child.process.kill()
        session.check_recording()
        progress.follow(session.run_dir)
        time.sleep(0.1)
    child.release()
