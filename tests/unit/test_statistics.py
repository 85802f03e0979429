"""Bounds over rounds and over runs: how many faults they take, and what adds up."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from harness.cli.main import build_parser
from harness.cli.run import argv_of_one
from harness.cli.run_arguments import options_of
from harness.errors import UsageError
from harness.judge.aggregate import Outcome, aggregate
from harness.judge.bounds import bound_95_per_fault
from harness.judge.progress_to_bound import (
    faults_needed,
    progress_of,
    promises_to_bound,
    suspicions,
)
from harness.report.aggregate import print_aggregate
from harness.rundir.verdict import Verdict
from harness.runs.plan import RunPlan, plan
from harness.runs.repeat import plan_series, seeds
from harness.system.assets import folder
from tests.support.histories import (
    acked,
    event,
    fault,
    judged,
    live,
    observed,
    profile,
    run_info,
    run_record_of,
    slot,
)

TOPIC = "t"


@pytest.mark.parametrize(
    ("bound", "faults"), [(0.95, 1), (0.78, 2), (0.5, 5), (0.26, 10), (0.1, 29), (0.05, 59)]
)
def test_so_many_faults_without_a_breach_bring_the_bound_down(bound: float, faults: int) -> None:
    assert faults_needed(bound) == faults
    reached = bound_95_per_fault(faults)
    assert reached is not None
    assert reached <= bound
    if faults > 1:
        before = bound_95_per_fault(faults - 1)
        assert before is not None
        assert before > bound


def struck(number: int, at_slot: int) -> list[Any]:
    evidence = {
        "moves_leader": False,
        "links": [{"broker": 1}],
        "partitions": [{"topic": TOPIC, "partition": 0, "leader_before": 1}],
    }
    identity = f"f{number}"
    return [
        fault("inject", at_slot, identity, "cut_responses"),
        fault("injected", at_slot, identity, "cut_responses", evidence=evidence, took_effect=True),
        fault("healed", at_slot + 1, identity, "cut_responses"),
    ]


CONTROL = f"{TOPIC}-control"


def loaded(slots: int) -> list[Any]:
    return [slot(TOPIC, number, attempted=9, acked=8) for number in range(slots)]


def doubled(*at_slots: int) -> list[Any]:
    """The control sends one record in each of these slots; each was read twice along with it."""
    found: list[Any] = []
    for sequence, at_slot in enumerate(at_slots):
        sent = slot(CONTROL, at_slot, attempted=1, acked=1, attempted_by={"2": 1})
        where = {"topic": 1, "producer": 2}
        copies = [live(sequence, 2 * sequence + more, **where) for more in (0, 1)]
        found += [sent, acked(sequence, 2 * sequence, **where), *copies]
    return found


def passed_over(*at_slots: int) -> list[Any]:
    """The control sends one record in each of these slots; only one sent at the end was read."""
    last, where = len(at_slots), {"topic": 1, "producer": 2}
    sent = [
        slot(CONTROL, at_slot, attempted=1, acked=1, attempted_by={"2": 1})
        for at_slot in (*at_slots, 11)
    ]
    records = [acked(sequence, sequence, **where) for sequence in range(last + 1)]
    return [*sent, *records, live(last, last, **where)]


@pytest.mark.parametrize(
    ("aims", "shown", "told"),
    [
        ({"duplicate": "control"}, doubled(3, 8), {"no_duplicate": 2}),
        ({"duplicate": "control"}, doubled(2, 3), {"no_duplicate": 1}),
        ({"duplicate": "control"}, doubled(10), {"no_duplicate": 0}),
        # cut_responses aims at duplicates: it is no trial of no_lost.
        (
            {"duplicate": "control", "lost": "control"},
            doubled(3, 8),
            {"no_lost": 0, "no_duplicate": 2},
        ),
        ({"duplicate": "of no profile here"}, [], {"no_duplicate": 0}),
        ({"repeated": "control"}, [], {}),
    ],
)
def test_the_promises_aimed_at_are_counted_by_the_faults_that_broke_their_control(
    aims: dict[str, str], shown: list[Any], told: dict[str, int], tmp_path: Path
) -> None:
    """The faults strike at slots 3 and 8; each window ends one slot later."""
    control = profile("control", topics=[CONTROL], in_verdict=False)
    info = run_info(
        [profile(topics=[TOPIC]), control], aims=aims, fault_aims={"cut_responses": ["duplicate"]}
    )
    history = [loaded(12), struck(1, 3), struck(2, 8), shown]
    trials = progress_of(run_record_of(tmp_path, history, info=info))
    assert {trial.promise: trial.faults for trial in trials} == told
    assert [trial.faults for trial in trials] == sorted(told.values())


@pytest.mark.parametrize(("at_slots", "faults"), [((3, 8), 2), ((8,), 1), ((10,), 0)])
def test_a_loss_of_the_control_is_seen_along_by_what_the_live_reader_passed_over(
    at_slots: tuple[int, ...], faults: int, tmp_path: Path
) -> None:
    control = profile("control", topics=[CONTROL], in_verdict=False)
    info = run_info([profile(topics=[TOPIC]), control], aims={"lost": "control"})
    history = [loaded(12), struck(1, 3), struck(2, 8), passed_over(*at_slots)]
    (trial,) = progress_of(run_record_of(tmp_path, history, info=info))
    assert trial.faults == faults


def test_what_the_live_reader_has_not_come_to_yet_is_no_loss_of_the_control(tmp_path: Path) -> None:
    """Both were sent in the second fault's window; the reader has got the first one so far."""
    control = profile("control", topics=[CONTROL], in_verdict=False)
    info = run_info([profile(topics=[TOPIC]), control], aims={"lost": "control"})
    where = {"topic": 1, "producer": 2}
    waiting = [
        slot(CONTROL, 8, attempted=2, acked=2, attempted_by={"2": 2}),
        [acked(sequence, sequence, **where) for sequence in (0, 1)],
        live(0, 0, **where),
    ]
    history = [loaded(12), struck(1, 3), struck(2, 8), waiting]
    (trial,) = progress_of(run_record_of(tmp_path, history, info=info))
    assert trial.faults == 0


def test_a_control_and_a_profile_outside_its_envelope_are_not_to_be_bounded() -> None:
    aims = {"lost": "leader-ack"}
    assert promises_to_bound(profile(), aims) == ["no_lost"]
    assert promises_to_bound(profile(in_verdict=False), aims) == []
    assert promises_to_bound(profile(envelope_breaches=["min ISR 1"]), aims) == []
    assert len(promises_to_bound(profile(), {})) == len(profile().promises)


@pytest.mark.parametrize(
    ("history", "looks"),
    [
        ([acked(0, 0), live(0, 0), acked(1, 1)], []),  # the reader has not come so far
        ([acked(0, 0), acked(1, 1), live(1, 1)], ["no_lost"]),
        # Another record stands where it was acknowledged.
        ([acked(0, 0), acked(1, 0), live(0, 0)], ["no_lost"]),
        ([acked(0, 0), live(0, 0), live(0, 1)], ["no_duplicate"]),
        ([acked(0, 0), live(0, 0), acked(1, 1), live(1, 1)], []),
    ],
)
def test_what_was_read_along_shows_whether_a_promise_looks_broken(
    history: list[Any], looks: list[str], tmp_path: Path
) -> None:
    info = run_info([profile(topics=[TOPIC])])
    doubts = suspicions(run_record_of(tmp_path, history, info=info))
    assert [word for word in looks if not any(word in doubt for doubt in doubts)] == []
    assert len(doubts) == len(looks)


# -- repeated runs -------------------------------------------------------------------------------


def verdict(path: Path, *history: Any, in_verdict: bool = True) -> Verdict:
    info = run_info([profile(topics=[TOPIC], in_verdict=in_verdict)])
    return judged(path, history, info=info)


def test_the_aggregate_adds_up_runs_and_takes_the_worst_verdict(tmp_path: Path) -> None:
    clean = verdict(tmp_path / "1", acked(0, 0), observed(0, 0), loaded(12), struck(1, 4))
    broken = verdict(
        tmp_path / "2", acked(0, 0), observed(0, 0), observed(0, 1), loaded(12), struck(1, 4)
    )
    found = aggregate(
        7, 3, [Outcome(1, 7, "run-1", clean), Outcome(2, 8, "run-2", broken),
               Outcome(3, 9, "run-3", clean)],
    )  # fmt: skip
    assert (found.verdict, found.exit_code, found.faults) == ("broken", 1, 3)
    (one,) = found.profiles
    assert one.runs == {"kept": 2, "broken": 1}
    assert one.attempted == 3
    spread = one.anomalies["duplicate"]
    assert (spread.min, spread.max, spread.total, spread.runs) == (0, 1, 1, 1)
    promises = {each.promise: each for each in one.promises}
    assert promises["no_duplicate"].bound_95_per_fault is None
    assert promises["no_duplicate"].faults_exposed == 2
    assert promises["no_lost"].faults_exposed == 3
    assert promises["no_lost"].bound_95_per_fault == pytest.approx(1 - 0.05 ** (1 / 3))
    schema = json.loads((folder("reports") / "schemas" / "aggregate.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(json.dumps(found.to_json())))


def test_the_table_of_an_aggregate_fits_a_pipe_and_names_spreads_and_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    runs = [
        verdict(tmp_path / str(n), acked(0, 0), observed(0, 0), copies, loaded(12), struck(1, 4))
        for n, copies in enumerate(([], [observed(0, 1), observed(0, 2)]))
    ]
    found = aggregate(7, 2, [Outcome(n, n, f"run-{n}", each) for n, each in enumerate(runs, 1)])
    console = Console(file=io.StringIO())
    print_aggregate(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 100
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "duplicate 0–2" in text
    assert "1 kept, 1 broken" in text
    assert "Broken: 2 runs of 2 asked for, 2 faults in all" in text


@pytest.mark.parametrize(
    ("outcomes", "asked", "code"),
    [
        (["kept", "kept"], 2, 0),
        (["kept", None], 2, 4),
        (["broken", None], 2, 1),
        (["kept"], 2, 3),
        ([None, None], 5, 4),
    ],
)
def test_the_exit_code_is_that_of_the_worst_run(
    outcomes: list[str | None], asked: int, code: int, tmp_path: Path
) -> None:
    histories: dict[str, list[Any]] = {
        "kept": [acked(0, 0), observed(0, 0)],
        "broken": [acked(0, 0)],
    }
    runs = [
        Outcome(n, n, f"run-{n}", None, "no room")
        if each is None
        else Outcome(n, n, f"run-{n}", verdict(tmp_path / str(n), *histories[each]))
        for n, each in enumerate(outcomes, 1)
    ]
    found = aggregate(1, asked, runs)
    assert found.exit_code == code
    failed = [line for line in found.runs if line.verdict == "failed"]
    assert [line.reason for line in failed] == ["no room"] * outcomes.count(None)


def test_seeds_follow_from_the_first_and_differ() -> None:
    assert seeds(5, 3) == seeds(5, 4)[:3]
    assert seeds(5, 1) == [5]
    assert len(set(seeds(5, 50))) == 50
    assert seeds(6, 3)[1:] != seeds(5, 3)[1:]


def test_the_command_of_one_run_repeats_that_run_alone() -> None:
    argv = ["harness", "run", "--repeat", "3", "--out=x", "--rate", "5", "--seed", "1", "--json"]
    assert argv_of_one(argv, 9) == ["harness", "run", "--rate", "5", "--json", "--seed", "9"]


def planned(*words: str) -> RunPlan:
    args = build_parser().parse_args(["run", *words])
    options = options_of(args)
    return plan(options) if args.repeat is None else plan_series(options, args.repeat)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--until-bound", "1"], "between 0 and 1"),
        (["--until-bound", "0"], "between 0 and 1"),
        (["--until-bound", "0.1", "--experiment", "no_fault"], "no fault"),
        (["--profile", "idempotent", "--experiment", "move_transaction_coordinator"], "no profile"),
        (["--until-bound", "0.5", "--no-control", "--profile", "idempotent"], "broke, and at-"),
        (["--repeat", "0"], "accepted is 1 to"),
        (["--repeat", "2", "--keep-cluster"], "brokers of its own"),
    ],
)
def test_a_series_that_makes_no_sense_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        planned(*words)


def test_a_bound_that_was_not_reached_is_told_in_the_verdict(tmp_path: Path) -> None:
    reason = "another round would end after 10 s"
    info = run_info([profile(topics=[TOPIC])], until_bound=0.1)
    ended = event("run", phase="bound", reason=reason, reached=False)
    found = judged(tmp_path, [acked(0, 0), observed(0, 0), ended], info=info)
    assert any(reason in each for each in found.reasons)
