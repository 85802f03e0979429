"""Base, now, base again, round after round: `harness bench --against CHECKOUT`.

The base is another checkout of the harness, now is this one. Both run the same worker command
(`python -m harness.bench.worker`) in processes of their own, on the same brokers, one after the
other. The base on either side of each run of now measures the machine's own noise, and halves out
what drifts.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from harness.bench.cases import LOAD, Case, all_cases
from harness.bench.conditions import machine, versions
from harness.bench.measured import Process
from harness.bench.runs import Topic, prepare
from harness.bench.sides import TIMEOUT_S, Sides
from harness.bench.worker import WorkerResult, result_of
from harness.comparison.compare import Comparison, compare_in_turn
from harness.comparison.figures import repeats_needed
from harness.comparison.measured import BENCH, Conditions, FigureValues, InTurn, Side
from harness.comparison.of_bench import CPU, RATE
from harness.comparison.read import IN_TURN_SCHEMA
from harness.errors import UsageError
from harness.kafka.environment import child_environment
from harness.profiles import load_builtin
from harness.rundir.documents import write_json
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import new_run_id

CASES: Final = ("load idempotent 100 B", "load transactional 100 B", "verify 100 B")
"""What is measured where --only names nothing."""
WITHOUT_BROKERS: Final = "load without brokers"
"""A load against the mock brokers inside librdkafka: short runs, and no Java."""
_MOCKED: Final = {
    "test.mock.num.brokers": "3",
    "allow.auto.create.topics": "true",
    "log_level": "2",
    "bootstrap.servers": "127.0.0.1:9",
}
ROUNDS_MAX: Final = 1_000
_DISTURBED: Final = 3
"""So many rounds more than needed: two disturbed ones then still leave a difference shown."""
_FIGURES_A_CASE: Final = 2
_OWN: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Checkout:
    """Code that can be measured: a folder that holds `harness/`, and the Python that runs it."""

    folder: Path
    python: str

    @classmethod
    def of(cls, folder: Path) -> Checkout:
        """Its own .venv where it has one. Raises UsageError when it is no checkout."""
        if not (folder / "harness" / "bench" / "worker.py").is_file():
            raise UsageError(
                f"--against {folder}: holds no harness/bench/worker.py. Name a checkout of this "
                "project, such as one of `git worktree add`."
            )
        own = folder / ".venv" / "bin" / "python"
        return cls(folder.resolve(), str(own) if own.exists() else sys.executable)

    @classmethod
    def this(cls) -> Checkout:
        """The code that runs now."""
        return cls(_OWN, sys.executable)

    def worker(
        self, what: str, run_dir: RunDir, number: int, environment: Mapping[str, str], name: str
    ) -> tuple[WorkerResult, float]:
        """Run its bench worker: what it did, and CPU seconds of its process."""
        process = Process(
            [self.python, "-m", "harness.bench.worker", what, str(run_dir.path), str(number)],
            what=f"{name} by {self.folder.name}",
            folder=run_dir.path.parent,
            # Without PYTHONSAFEPATH, `python -m` would take the package of the current folder,
            # which is mostly that of one of the two checkouts.
            environment={
                **environment,
                "PYTHONPATH": str(self.folder),
                "PYTHONSAFEPATH": "1",
            },
        )
        measured = process.finish(TIMEOUT_S)
        return result_of(measured.output), measured.cpu_s


Take = Callable[[Checkout], tuple[WorkerResult, float]]
"""Measures a checkout once."""


@dataclass(frozen=True, slots=True)
class AgainstRequest:
    """What to measure, checked. rounds: of each case."""

    base: Checkout
    cases: tuple[Case, ...]
    rounds: int

    @classmethod
    def of(
        cls, against: Path, *, only: Sequence[str], records: int | None, rounds: int | None
    ) -> AgainstRequest:
        """Raises UsageError for numbers out of range and for a text that fits no case.

        rounds: None is as many as can show a difference of any figure, and some to be disturbed.
        """
        known = [*all_cases(), _without_brokers()]
        for text in only:
            if not any(text in case.name for case in known):
                raise UsageError(
                    f"--only {text!r}: fits no case. There are: "
                    f"{', '.join(case.name for case in known)}."
                )
        cases = [case for case in known if any(text in case.name for text in only or CASES)]
        if records is not None:
            cases = [replace(case, records=records) for case in cases]
        needed = repeats_needed(_FIGURES_A_CASE * len(cases), in_turn=True)
        if rounds is not None and not needed <= rounds <= ROUNDS_MAX:
            raise UsageError(
                f"--rounds {rounds}: {_FIGURES_A_CASE * len(cases)} figures of {len(cases)} cases "
                f"need {needed} rounds to show a difference; accepted is {needed} to {ROUNDS_MAX}."
            )
        return cls(Checkout.of(against), tuple(cases), rounds or needed + _DISTURBED)


def measure_against(
    request: AgainstRequest,
    sides: Sides | None,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
    *,
    now: Checkout | None = None,
) -> InTurn:
    """Measure every case in turn. sides: of running brokers; None where no case needs any."""
    checkouts = (request.base, now or Checkout.this(), request.base)
    figures: tuple[list[FigureValues], ...] = ([], [], [])
    for case in request.cases:
        rounds = []
        with _taking(case, sides, folder) as take:
            for number in range(request.rounds):
                say(f"{case.name}: round {number + 1} of {request.rounds}")
                rounds.append([take(checkout) for checkout in checkouts])
        for place, found in enumerate(figures):
            found += _figures(case, [each[place] for each in rounds], own_cpu=_own_cpu(rounds))
    load = {f"{case.name}: records": str(case.records) for case in request.cases}
    under = Conditions(machine(), load, {}, versions(sides.kafka_version if sides else None))
    names = ("base", "now", "base again")
    return InTurn(
        *(
            Side(BENCH, name, request.rounds, under, found)
            for name, found in zip(names, figures, strict=True)
        )
    )


def needs_brokers(request: AgainstRequest) -> bool:
    """Whether any case does."""
    return any(case.name != WITHOUT_BROKERS for case in request.cases)


def write_in_turn(path: Path | None, found: InTurn) -> None:
    """Write what `harness compare --a-b-a` reads, where `--json FILE` asked for it."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(found), schema=IN_TURN_SCHEMA)


def bench_against(request: AgainstRequest, path: Path | None) -> int:
    """Measure, write, compare, print; the exit code of the comparison."""
    from harness.bench.series import local_brokers
    from harness.report.comparison import print_comparison
    from harness.report.progress import TerminalProgress

    progress = TerminalProgress()
    with progress, tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        folder = Path(name)
        if needs_brokers(request):
            with local_brokers(progress) as brokers:
                found = measure_against(request, Sides(brokers, folder), folder, progress.stage)
        else:
            found = measure_against(request, None, folder, progress.stage)
    write_in_turn(path, found)
    comparison: Comparison = compare_in_turn(found)
    print_comparison(comparison, progress.output)
    return comparison.exit_code


def _without_brokers() -> Case:
    return Case(WITHOUT_BROKERS, LOAD, "idempotent", 100, 300_000, "")


@contextmanager
def _taking(case: Case, sides: Sides | None, folder: Path) -> Iterator[Take]:
    """How a case is measured once."""
    if case.name == WITHOUT_BROKERS:
        yield lambda checkout: _take_mocked(case, checkout, folder)
        return
    assert sides is not None
    if case.kind == LOAD:
        yield lambda checkout: _take_load(case, checkout, sides)
        return
    with sides.filled(case) as run:
        yield lambda checkout: checkout.worker(
            "verify", run.run_dir, run.run_dir.next_verification(), sides.environment, case.name
        )


def _take_load(case: Case, checkout: Checkout, sides: Sides) -> tuple[WorkerResult, float]:
    with sides.run(case) as run:
        found = checkout.worker("load", run.run_dir, case.records, sides.environment, case.name)
        sides.topics.check_arrived(run.topic, case, f"the producer of {checkout.folder}")
    return found


def _take_mocked(case: Case, checkout: Checkout, folder: Path) -> tuple[WorkerResult, float]:
    profile = load_builtin()[case.profile]
    topic = Topic(f"harness-{new_run_id()}-bench", "A" * 22)
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        bootstrap = _MOCKED["bootstrap.servers"]
        run_dir = prepare(place / "run", case, profile, topic, bootstrap=bootstrap, cluster_id="")
        return checkout.worker("load", run_dir, case.records, child_environment(_MOCKED), case.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _own_cpu(rounds: Sequence[Sequence[tuple[WorkerResult, float]]]) -> bool:
    """Do the workers of both checkouts tell their CPU without start-up?"""
    return all(result.cpu_s is not None for each in rounds for result, _ in each)


def _figures(
    case: Case, found: Sequence[tuple[WorkerResult, float]], *, own_cpu: bool
) -> list[FigureValues]:
    used: list[float] = [
        (result.cpu_s if own_cpu and result.cpu_s is not None else cpu_s) / result.records * 1e6
        for result, cpu_s in found
    ]
    rates = [result.records_per_s for result, _ in found]
    return [
        FigureValues(f"{case.name}: CPU", CPU, used),
        FigureValues(f"{case.name}: rate", RATE, rates),
    ]
