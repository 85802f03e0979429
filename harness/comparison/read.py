"""What a path of the command line names, as a side of a comparison.

a run directory · a directory or aggregate.json of `harness run --repeat` · a document of
`harness bench --json` · what `harness bench --against` wrote · a baseline
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.comparison.baseline import BASELINE_SCHEMA, read_baseline
from harness.comparison.measured import InTurn, Side
from harness.comparison.of_bench import in_turn_of, of_bench
from harness.comparison.of_runs import JudgedRun, of_aggregate, of_runs
from harness.errors import RunDirError, UsageError
from harness.judge.aggregate import AGGREGATE_SCHEMA, FAILED, Aggregate
from harness.rundir.documents import parse_json, read_json, typed
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict_file import read_verdict

IN_TURN_SCHEMA: Final = "delivery-in-turn/1"
ACCEPTED: Final = (
    "a run directory, a directory of harness run --repeat, a file of harness bench --json, or a "
    "baseline"
)
_AGGREGATE: Final = "aggregate.json"


def read_side(paths: Sequence[Path]) -> Side:
    """One side from one path or several of a kind.

    Raises UsageError for a path that is not there or is of another kind, RunDirError for a file
    that cannot be read as what it is.
    """
    name = ", ".join(str(path) for path in paths)
    runs: list[JudgedRun] = []
    benches: list[tuple[str, list[dict[str, Any]]]] = []
    whole: list[Side] = []
    notes: list[str] = []
    for path in paths:
        if path.is_dir() and not (path / _AGGREGATE).is_file():
            runs.append(_run(path))
        elif path.is_dir() or path.name == _AGGREGATE:
            found = _runs_of(path if path.is_file() else path / _AGGREGATE, notes)
            if isinstance(found, Side):
                whole.append(found)
            else:
                runs += found
        else:
            document = _document(path)
            if isinstance(document, list):
                benches.append((str(path), _entries(path, document)))
            else:
                whole.append(read_baseline(path))
    if [bool(runs), bool(benches), *(True for _ in whole)].count(True) != 1:
        raise UsageError(
            f"compare: {name}: one side is made of run directories, of benches, or of one baseline."
        )
    if whole:
        return whole[0]
    try:
        return of_runs(name, runs, notes) if runs else of_bench(name, benches)
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{name}: not written by harness bench --json ({error!r}).") from None


def read_in_turn(path: Path) -> InTurn:
    """What `harness bench --against … --json FILE` wrote. Raises UsageError or RunDirError."""
    _document(path)
    document = read_json(path, "a bench against a checkout", schema=IN_TURN_SCHEMA)
    try:
        return in_turn_of(document)
    except ValueError as error:
        raise RunDirError(f"{path}: not a bench against a checkout: {error}.") from None


def _run(path: Path) -> JudgedRun:
    run_dir = RunDir(path)
    if not run_dir.run_json.exists():
        raise RunDirError(f"{path}: holds no run.json. Accepted is {ACCEPTED}.")
    return JudgedRun(str(path), run_dir.read_info(), read_verdict(run_dir.latest_verdict()))


def _runs_of(path: Path, notes: list[str]) -> list[JudgedRun] | Side:
    """The runs of an aggregate; where their directories are gone, what it says itself."""
    document = read_json(path, "an aggregate", schema=AGGREGATE_SCHEMA)
    try:
        found = typed(Aggregate, document)
    except ValueError as error:
        raise RunDirError(f"{path}: not an aggregate of this harness: {error}.") from None
    judged = [run for run in found.runs if run.verdict != FAILED]
    if not judged:
        raise UsageError(f"compare: {path}: none of its runs has a verdict.")
    for run in found.runs:
        if run.verdict == FAILED:
            notes.append(f"run {run.run} has no verdict and is left out: {run.reason}")
    folders = [path.parent / run.directory for run in judged]
    if all((folder / "run.json").exists() for folder in folders):
        return [_run(folder) for folder in folders]
    return of_aggregate(str(path), found)


def _document(path: Path) -> Any:
    if not path.exists():
        raise UsageError(f"compare: {path}: there is no such file. Accepted is {ACCEPTED}.")
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RunDirError(f"{path}: no JSON ({error}). Accepted is {ACCEPTED}.") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    known = (BASELINE_SCHEMA, IN_TURN_SCHEMA)
    if not isinstance(document, list) and schema not in known:
        raise UsageError(f"compare: {path}: is none of {ACCEPTED}.")
    return document


def _entries(path: Path, document: list[Any]) -> list[dict[str, Any]]:
    if not document or not all(isinstance(each, dict) and "name" in each for each in document):
        raise UsageError(f"compare: {path}: is none of {ACCEPTED}.")
    return document
