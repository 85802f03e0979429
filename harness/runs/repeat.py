"""The same run N times with their own seeds, and what the runs show together.

Each run is in its own directory, run-1 … run-N in that of the series, and can be judged and
repeated alone; aggregate.json beside them holds the sums.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from harness.errors import HarnessError, UsageError
from harness.judge.aggregate import Aggregate, Outcome, aggregate
from harness.metrics.exporter import Exporter, exporting
from harness.report.aggregate_page import write_aggregate_report
from harness.rundir.documents import write_json
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import Verdict
from harness.runs.options import RunOptions
from harness.runs.plan import RunPlan, plan
from harness.runs.progress import Progress
from harness.runs.run import broken_before, run_plan
from harness.runs.stop import Stop
from harness.system.progress import OnProgress

REPEAT_MAX: Final = 10_000
FAILURES_MAX: Final = 2
"""After so many runs in a row without a verdict the environment is what fails; no more are made."""
AfterError = Callable[[Exception, RunDir], Verdict]
"""Gets the error that a run ended with: returns the verdict that holds all the same, or raises."""


def plan_series(options: RunOptions, times: int, command: Sequence[str] | None = None) -> RunPlan:
    """The plan of the first run, with the directory of the series. Raises UsageError."""
    first = plan(options, command)
    if not 1 <= times <= REPEAT_MAX:
        raise UsageError(f"--repeat {times}: accepted is 1 to {REPEAT_MAX}.")
    if options.keep_cluster:
        raise UsageError(
            "--keep-cluster: each of the --repeat runs starts brokers of its own. Start a "
            "cluster to keep with `harness cluster up`, and name it with --brokers."
        )
    folder = first.request.out
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"--out {folder}: exists and is not empty; a series of runs writes only into a new or "
            "an empty directory. Choose another one."
        )
    return first


def run_series(
    options: RunOptions,
    first: RunPlan,
    times: int,
    on_progress: OnProgress | None,
    stop: Stop,
    *,
    command_of: Callable[[int], Sequence[str] | None] = lambda _: None,
    after_error: AfterError = broken_before,
) -> Aggregate:
    """Carry out the runs of a series; aggregate.json is written anew after each.

    command_of: the command that makes the run of this seed alone. A run that ends with an error
    is one without a verdict, unless `after_error` says otherwise.
    """
    with exporting(first.metrics) as exporter:
        return _run_all(options, first, times, on_progress, stop, exporter, command_of, after_error)


def _run_all(
    options: RunOptions,
    first: RunPlan,
    times: int,
    on_progress: OnProgress | None,
    stop: Stop,
    exporter: Exporter,
    command_of: Callable[[int], Sequence[str] | None],
    after_error: AfterError,
) -> Aggregate:
    seed, folder = first.request.seed, first.request.out
    folder.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for number, each_seed in enumerate(seeds(seed, times), 1):
        out = folder / f"run-{number}"
        one = replace(options, seed=each_seed, out=out)
        try:
            try:
                planned = plan(one, command_of(each_seed))
                verdict = run_plan(planned, on_progress, stop, exporter=exporter)
            except Exception as error:
                verdict = after_error(error, RunDir(out))
            outcome = Outcome(number, each_seed, out.name, verdict)
            said = verdict.verdict
        except Exception as error:
            # The runs before it have their verdicts, and a broken promise among them wins.
            known = isinstance(error, HarnessError)
            reason = str(error) if known else f"a defect: {type(error).__name__}"
            outcome = Outcome(number, each_seed, out.name, None, reason)
            said = f"no verdict: {reason}"
        outcomes.append(outcome)
        Progress(on_progress).note(f"run {number} of {times}, seed {each_seed}: {said}")
        found = aggregate(seed, times, outcomes)
        write_json(folder / "aggregate.json", found.to_json())
        write_aggregate_report(folder, found, options.asked_by)
        if stop() or _all_failed(outcomes[-FAILURES_MAX:]):
            break
    return found


def seeds(seed: int, count: int) -> list[int]:
    """The seeds of `count` runs: the first is `seed` itself, the others follow from it."""
    generator = random.Random(f"repeat/{seed}")
    return [seed, *(generator.randrange(2**31) for _ in range(count - 1))]


def _all_failed(outcomes: Sequence[Outcome]) -> bool:
    return len(outcomes) == FAILURES_MAX and all(each.verdict is None for each in outcomes)
