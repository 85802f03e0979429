"""What a program calls: the functions behind the command line, with plain arguments.

Each imports what it needs when it is called, so that `import harness` brings none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.runs.options import RunOptions
from harness.system.progress import OnProgress

if TYPE_CHECKING:
    from harness.judge.aggregate import Aggregate
    from harness.load.attempt import Attempt
    from harness.profiles.validate import FileReport
    from harness.rundir.verdict import Verdict
    from harness.runs.definitions import Definition


def run(
    options: RunOptions,
    *,
    on_progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Verdict:
    """Load, break, heal, read back, judge: one run, whose directory is `options.out`.

    on_progress: gets every stage, note and detail, on the calling thread.
    stop: asked again and again; once it says yes the run heals, and what was recorded is judged.

    Signals are the caller's: no handler is installed. Every process that the run starts ends with
    the calling process.

    Raises UsageError for what cannot be run, before anything is started; ClusterError or another
    EnvironmentFailure when the brokers or the machine fail; Interrupted when `stop` said yes before
    there was any load.
    """
    from harness.runs.plan import plan
    from harness.runs.run import run_plan
    from harness.runs.stop import Stop

    return run_plan(plan(options), on_progress, Stop(stop))


def repeat(
    options: RunOptions,
    times: int,
    *,
    on_progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Aggregate:
    """`times` runs with seeds that follow from `options.seed`, and what they show together.

    `options.out` then holds run-1 … run-N and aggregate.json. A run that fails is one without a
    verdict in the aggregate. Raises UsageError for what cannot be run.
    """
    from harness.runs.repeat import plan_series, run_series
    from harness.runs.stop import Stop

    first = plan_series(options, times)
    return run_series(options, first, times, on_progress, Stop(stop))


def judge_producer(
    options: RunOptions,
    produce: Callable[[Attempt], None],
    *,
    flush: Callable[[], object] | None = None,
    name: str = "own-code",
    on_progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Verdict:
    """One run whose subject is a function of the caller's, held to a profile's promises.

    `options.profiles` names the one profile. The function gets an attempt when a record is due,
    hands it to its own client, and reports what became of it, at once or from a callback. It is
    called on `options.producers` threads of this process. The controls of the experiments are
    producers of the harness, and run beside it.

    flush: called once nothing more is to be sent; it should return when every callback has come.
    name: what the function is called in the verdict.

    Raises as `run`, and UsageError for a profile that no function can be held to: one with
    transactions or consumers, or more than one.
    """
    from harness.runs.own_code import OwnCode, run_own_code
    from harness.runs.stop import Stop

    return run_own_code(options, OwnCode(produce, flush, name), on_progress, Stop(stop))


def verify(
    run_dir: Path | str,
    *,
    config: Sequence[str] = (),
    properties: Path | None = None,
    fresh_drain: bool = False,
    require: Sequence[str] = (),
    processes: int | None = None,
    on_progress: OnProgress | None = None,
) -> Verdict:
    """Judge a run once more and write its next verdict-<n>.json.

    Where the run's brokers answer and have its topics, they are read back anew; otherwise the
    newest complete drain of the directory is judged again, unless `fresh_drain` forbids that.

    config, properties: client settings to reach the brokers, as in RunOptions.
    require: thresholds beside those of the run, such as `p99_ack_ms<200`, as in RunOptions.
    processes: how many read side by side; by default as many as are worth it.

    Raises RunDirError for a directory that is no run's, UsageError for wrong settings.
    """
    from harness.runs.verification import verify_run

    verification = verify_run(
        Path(run_dir),
        config=config,
        properties=properties,
        fresh_drain=fresh_drain,
        require=require,
        processes=processes,
        on_progress=on_progress,
    )
    return verification.verdict


def judge_history(
    paths: Sequence[Path | str],
    profile: str | None = None,
    *,
    profiles_file: Path | None = None,
    lenient: bool = False,
    require: Sequence[str] = (),
    report: Path | None = None,
) -> Verdict:
    """Judge histories recorded elsewhere (docs/histories.md) by the promises of a profile.

    profile: its name, built-in or of `profiles_file`; at-least-once where none is given.
    lenient: count and skip malformed lines.
    report: where to write the page of the verdict; without it there is none.
    require: thresholds beside those of the profile, such as `unknown_share<0.01`.

    Raises UsageError for files that are no history, for a profile that there is not, and for a
    threshold of a figure that a history does not have.
    """
    from harness.history.judging import judged_record
    from harness.report.html import write_history_report
    from harness.runs.thresholds import of_history

    record, verdict = judged_record(
        [Path(each) for each in paths],
        profile,
        lenient=lenient,
        profiles=[] if profiles_file is None else [profiles_file],
        asked=lambda chosen: of_history(require, chosen),
    )
    if report is not None:
        write_history_report(record, verdict, report)
    return verdict


def junit(found: Verdict | Aggregate, run_dir: Path | str | None = None) -> str:
    """JUnit's XML: a test case for each promise of each profile, and one for the whole verdict.

    run_dir: where the verdict is from; without it the document does not say how to repeat it.
    Raises RunDirError for a directory that is no run's.
    """
    from harness.report.junit import junit as written
    from harness.report.origin import origin_of_run

    return written(found, None if run_dir is None else origin_of_run(Path(run_dir)))


def markdown(found: Verdict | Aggregate, run_dir: Path | str | None = None) -> str:
    """A summary for a pull request or the page of a CI job: verdict, table, what broke.

    run_dir: as for `junit`.
    """
    from harness.report.markdown import markdown as written
    from harness.report.origin import origin_of_run

    return written(found, None if run_dir is None else origin_of_run(Path(run_dir)))


def validate(paths: Sequence[Path | str]) -> list[FileReport]:
    """Lint files of settings: profiles, topics, Strimzi's resources, Java clients' properties.

    A file that cannot be read as one of these has `error`; nothing is raised for it.
    """
    from harness.runs.linting import lint_files

    return lint_files(Path(each) for each in paths)


def sarif(reports: Sequence[FileReport]) -> dict[str, Any]:
    """SARIF 2.1.0 of what `validate` found, as a JSON document."""
    from harness.report.sarif import sarif as written

    return written(reports)


def definition(kind: str, name: str, *, profiles_file: Path | str | None = None) -> Definition:
    """What a profile, an experiment or a fault is: in words, its promises, its settings.

    kind: fault, profile or experiment. name: of an experiment a file as well.
    Raises UsageError for a name that there is not, with the nearest one.
    """
    from harness.runs.definitions import definition as found

    return found(kind, name, None if profiles_file is None else Path(profiles_file))
