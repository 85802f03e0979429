"""`harness run --repeat N`: N runs with seeds of their own, and what they show together.

Each run stands in a directory of its own, run-1 … run-N in that of --out, and can be judged and
repeated alone; aggregate.json beside them holds the sums.
"""

from __future__ import annotations

import argparse
import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.cli.ending import report
from harness.cli.run import reached_before, run_once
from harness.errors import HarnessError, UsageError
from harness.judge.aggregate import Aggregate, Outcome, aggregate
from harness.report.aggregate import print_aggregate
from harness.rundir.run import RunDir, write_json
from harness.runs import options
from harness.runs.progress import Progress
from harness.runs.stop import Stop
from harness.system.output import delivering, print_json

FAILURES_MAX: Final = 2
"""After so many runs in a row without a verdict the environment is what fails; no more are made."""
_WITH_VALUE: Final = ("--repeat", "--seed", "--out")


def run_repeated(args: argparse.Namespace) -> int:
    """Carry out `harness run --repeat`; the exit code of the worst run."""
    first = options.plan(args)
    seed = first.request.seed
    folder = first.request.out
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"--out {folder}: exists and is not empty; a series of runs writes only into a new or "
            "an empty directory. Choose another one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(quiet=args.json)
    stop = Stop()
    outcomes: list[Outcome] = []
    for number, each_seed in enumerate(seeds(seed, args.repeat), 1):
        outcome = _one(args, number, each_seed, folder / f"run-{number}", stop)
        outcomes.append(outcome)
        told = (
            outcome.verdict.verdict
            if outcome.verdict is not None
            else f"no verdict: {outcome.error}"
        )
        progress.note(f"run {number} of {args.repeat}, seed {each_seed}: {told}")
        found = aggregate(seed, args.repeat, outcomes)
        write_json(folder / "aggregate.json", found.to_json())
        if stop.asked or _all_failed(outcomes[-FAILURES_MAX:]):
            break
    return _show(found, folder, progress, as_json=args.json)


def seeds(seed: int, count: int) -> list[int]:
    """The seeds of `count` runs: the first is `seed` itself, the others follow from it."""
    generator = random.Random(f"repeat/{seed}")
    return [seed, *(generator.randrange(2**31) for _ in range(count - 1))]


def argv_of_one(argv: Sequence[str], seed: int) -> list[str]:
    """The command that makes one run of the series alone."""
    kept: list[str] = []
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in _WITH_VALUE:
            skip = True
        elif word.partition("=")[0] not in _WITH_VALUE:
            kept.append(word)
    return [*kept, "--seed", str(seed)]


def _one(args: argparse.Namespace, number: int, seed: int, out: Path, stop: Stop) -> Outcome:
    one = copy.copy(args)
    one.seed, one.out, one.repeat = seed, str(out), None
    one.argv = argv_of_one(args.argv, seed)
    try:
        verdict = run_once(options.plan(one), args.keep_topics, Progress(quiet=args.json), stop)
    except Exception as error:
        try:
            verdict = reached_before(error, RunDir(out))
        except HarnessError as failed:
            return Outcome(number, seed, out.name, None, str(failed))
        except Exception as failed:
            # The runs before it have their verdicts, and a broken promise among them wins.
            report(failed)
            return Outcome(number, seed, out.name, None, f"a defect: {type(failed).__name__}")
    return Outcome(number, seed, out.name, verdict)


def _all_failed(outcomes: Sequence[Outcome]) -> bool:
    return len(outcomes) == FAILURES_MAX and all(each.verdict is None for each in outcomes)


def _show(found: Aggregate, folder: Path, progress: Progress, *, as_json: bool) -> int:
    with delivering(found.exit_code, str(folder / "aggregate.json")):
        if as_json:
            print_json(found.to_json())
        else:
            print_aggregate(found, progress.output)
            progress.output.print(f"aggregate  {folder / 'aggregate.json'}", soft_wrap=True)
    return found.exit_code
