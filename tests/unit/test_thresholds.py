"""Thresholds: how an expression is read, and the verdict on one as a truth table."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.judge.judge import judge
from harness.judge.thresholds import ThresholdCase, Value, judge_threshold
from harness.profiles.threshold import (
    FIGURES,
    IN_HISTORIES,
    LATENCIES,
    PERCENTILES,
    PHASES,
    amount,
    parse,
)
from harness.rundir.latency import METRICS, IntervalRecorder
from harness.rundir.percentiles import Percentiles
from harness.rundir.run_record import load_run
from harness.rundir.verdict import Phases, PromiseVerdict, Verdict
from tests.support.histories import (
    START_US,
    acked,
    event,
    failed,
    fault,
    observed,
    profile,
    run_info,
    slot,
    unknown,
    write_run,
)

LATE = "the load generator itself fell behind"

# -- expressions


@pytest.mark.parametrize(
    ("text", "canonical", "required"),
    [
        ("p99_ack_ms<200", "p99_ack_ms<200", "less than 200 ms"),
        ("  p999_end_to_end_during_ms <= 1.5e3 ", "p999_end_to_end_during_ms<=1500",
         "at most 1,500 ms"),
        ("achieved_rate>0.99", "achieved_rate>0.99", "more than 0.99"),
        ("achieved_per_s>=950.5", "achieved_per_s>=950.5", "at least 950.5 records/s"),
        ("failed_share<=0", "failed_share<=0", "at most 0"),
        ("consumer_lag_max<10000", "consumer_lag_max<10000", "less than 10,000 records"),
    ],
)  # fmt: skip
def test_an_expression_is_read_and_written_in_one_way(
    text: str, canonical: str, required: str
) -> None:
    assert parse(text).text == canonical
    assert parse(parse(text).text) == parse(text)
    assert parse(text).required == required


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p99_akc_ms<200", "did you mean p99_ack_ms"),
        ("p99_ack_ms", "put quotes around the expression"),
        ("p99_ack_ms=200", "no comparison"),
        ("p99_ack_ms<", "a number of milliseconds"),
        ("p99_ack_ms<200ms", "200ms: a number of milliseconds, without a unit"),
        ("p99_ack_ms<nan", "nan: a number"),
        ("p99_ack_ms<-1", "-1: a number"),
        ("p99_ack_ms<1_0", "1_0: a number"),
        ("<3", "no name"),
        ("", "no comparison"),
        ("achieved_rate>99", "a share from 0 to 1, such as 0.99 for 99 %"),
        ("achieved_rate>1.01", "a share from 0 to 1"),
        ("achieved_rate>1", "can never hold"),
        ("achieved_rate<=1", "holds whatever is measured"),
        ("recovered_ms<0", "can never hold"),
        ("recovered_ms>=0", "holds whatever is measured"),
    ],
)
def test_what_is_no_threshold_is_refused_with_what_is_accepted(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"Accepted|expected|never|whatever") as refused:
        parse(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [("<", True, False, False), ("<=", True, True, False), (">", False, False, True),
     (">=", False, True, True)],
)  # fmt: skip
def test_a_limit_belongs_to_one_side(comparison: str, below: bool, at: bool, above: bool) -> None:
    threshold = parse(f"p99_ack_ms{comparison}200")
    assert [threshold.holds(value) for value in (199.9, 200.0, 200.1)] == [below, at, above]


def test_the_figures_are_those_that_a_verdict_holds() -> None:
    assert LATENCIES == METRICS
    assert [*PERCENTILES, "count"] == sorted(
        (each.name for each in fields(Percentiles)), key=[*PERCENTILES, "count"].index
    )
    assert [*PHASES, "all"] == [each.name for each in fields(Phases)]
    assert {each.phase for each in FIGURES.values() if each.metric} == {*PHASES, "all"}
    assert IN_HISTORIES == ("failed_share", "unknown_share")


def test_an_amount_has_the_digits_that_matter() -> None:
    assert [amount(v, "ms") for v in (0.0, 12.0, 12.3456, 4250.0)] == [
        "0 ms", "12 ms", "12.346 ms", "4,250 ms",
    ]  # fmt: skip
    assert amount(0.9876543, "share") == "0.987654"


# -- one threshold


def case(text: str = "recovered_ms<5000", *values: Value, **more: Any) -> ThresholdCase:
    return ThresholdCase(parse(text), values=values, **more)


QUICK = Value(1200.0, topic="t", partition=0)
SLOW = Value(5000.0, topic="t", partition=1)
AWAY_LONG = Value(None, least=6000.0, topic="t", partition=2)
AWAY_SHORT = Value(None, least=4000.0, topic="t", partition=2)
MS = "recovered_ms<5000"


@pytest.mark.parametrize(
    ("given", "verdict", "observed", "measured", "says"),
    [
        (case(MS, QUICK), "kept", 0, 1200, "1,200 ms on t/0, where less than 5,000 ms is"),
        (case(MS, QUICK, Value(3.0)), "kept", 0, 1200, "on t/0, the worst of 2 partitions, where"),
        (case(MS, QUICK, faults_exposed=2), "kept", 0, 1200, "while 2 faults hit the profile"),
        (case(MS, SLOW), "broken", 1, 5000, "5,000 ms on t/1, where less than 5,000 ms is"),
        (case(MS, QUICK, SLOW), "broken", 1, 5000, "(1 of 2 partitions are beyond the limit)"),
        (case(MS, SLOW, Value(7000.0)), "broken", 2, 7000, "7,000 ms"),
        (case("recovered_ms<=5000", SLOW), "kept", 0, 5000, "5,000 ms on t/1"),
        (case(MS, QUICK, AWAY_LONG), "broken", 1, None, "not back after 6,000 ms"),
        (case(MS, QUICK, AWAY_SHORT), "inconclusive", 0, None, "not back on t/2 when the load"),
        (case(MS, SLOW, AWAY_SHORT), "broken", 1, 5000, "5,000 ms on t/1"),
        (case("recovered_ms>100", AWAY_LONG), "inconclusive", 0, None, "not back on t/2"),
        (case(MS, missing="no fault"), "inconclusive", 0, None, "no fault"),
        (case(MS, missing="none", obstacles=["a"]), "inconclusive", 0, None, "none; a"),
        (case(MS, missing="none", run_obstacles=["b"]), "inconclusive", 0, None, "none; b"),
        (case(MS, QUICK, obstacles=["a", "b"]), "inconclusive", 0, 1200, "but a; b"),
        (case(MS, QUICK, run_obstacles=["a", "b"]), "inconclusive", 0, 1200,
         "the whole run proves nothing: a (and 1 more)"),
        (case(MS, SLOW, obstacles=["a"], run_obstacles=["b"]), "broken", 1, 5000, "5,000 ms"),
        (case(MS, SLOW, partial=[LATE]), "inconclusive", 1, 5000, f"proves nothing: {LATE}"),
        (case(MS, QUICK, partial=[LATE], run_obstacles=[LATE]), "inconclusive", 0, 1200, LATE),
        (case(MS, SLOW, not_applicable="acks=0"), "not_applicable", 0, None, "acks=0"),
        (case("achieved_rate>0.99", Value(0.98)), "broken", 1, 0.98, "0.98, where more than 0.99"),
        (case("achieved_rate>0.99", Value(1.0)), "kept", 0, 1.0, "1, where more than 0.99 is"),
        (case("p99_ack_ms<200", Value(12.5, over=4000)), "kept", 0, 12.5, "over 4,000 records"),
    ],
)  # fmt: skip
def test_the_verdict_on_one_threshold(
    given: ThresholdCase, verdict: str, observed: int, measured: float | None, says: str
) -> None:
    found = judge_threshold(given)
    assert (found.verdict, found.observed) == (verdict, observed)
    assert says in found.reason
    assert found.threshold is not None
    assert found.threshold.measured == measured
    assert (found.challenged, found.control, found.bound_95_per_fault) == (False, None, None)


# -- whole runs


def run(
    tmp_path: Path,
    requires: list[str],
    *history: Any,
    ack_ms: int = 0,
    unsent: int = 0,
    **more: Any,
) -> Verdict:
    """A run of one profile on topic t, whose acknowledgements took `ack_ms`; 0: none measured."""
    info = run_info([profile(topics=["t"], requires=requires, **more)])
    stopped = event("run", phase="load_stopped", unsent=unsent, unsent_by={"idempotent": unsent})
    run_dir = write_run(tmp_path / "run", [*history, stopped], info=info)
    if ack_ms:
        run_dir.latency.mkdir(exist_ok=True)
        with IntervalRecorder(run_dir.latency / "idempotent.ack.1.hlog", START_US) as recorder:
            recorder.record(np.full(100, START_US), np.full(100, ack_ms * 1000))
    return judge(load_run(run_dir, 1))


def on(verdict: Verdict, text: str) -> PromiseVerdict:
    (found,) = (each for each in verdict.profiles[0].promises if each.promise == text)
    return found


def sent(count: int, **more: Any) -> list[Any]:
    """Acknowledged attempts that are read back, and the slot in which they were made."""
    attempts = [each for s in range(count) for each in (acked(s, s), *observed(s, s))]
    return [attempts, slot("t", 0, attempted=count, acked=count, **more)]


def test_a_threshold_that_is_broken_breaks_its_profile_and_the_run(tmp_path: Path) -> None:
    found = run(tmp_path, ["p99_ack_ms<200", "achieved_rate>0.99"], sent(4), ack_ms=300)
    assert on(found, "p99_ack_ms<200").verdict == "broken"
    assert on(found, "achieved_rate>0.99").verdict == "kept"
    assert (found.profiles[0].verdict, found.verdict) == ("broken", "broken")
    assert found.reasons[0].startswith("idempotent: p99_ack_ms<200 is broken: 300.031 ms over 100")
    assert {each.verdict for each in found.profiles[0].promises if each.threshold is None} == {
        "kept"
    }


def test_a_figure_that_was_not_measured_is_inconclusive(tmp_path: Path) -> None:
    found = run(tmp_path, ["p99_ack_ms<200"], sent(4))
    assert on(found, "p99_ack_ms<200").verdict == "inconclusive"
    assert "no acknowledgement was measured" in on(found, "p99_ack_ms<200").reason
    assert found.verdict == "inconclusive"
    assert any("p99_ack_ms<200 inconclusive" in reason for reason in found.reasons)


def test_a_late_generator_takes_the_proof_from_what_is_beyond_a_limit(tmp_path: Path) -> None:
    late = event("generator", lag_ms_max=5000.0)
    found = run(tmp_path, ["p99_ack_ms<200"], sent(4), late, ack_ms=300)
    assert on(found, "p99_ack_ms<200").verdict == "inconclusive"
    assert found.verdict == "inconclusive"


def test_a_load_of_which_too_much_is_missing_is_no_test_but_of_its_own_figures(
    tmp_path: Path,
) -> None:
    """4 of 5 due records were sent: a fifth is missing, more than a tenth."""
    asked = ["achieved_rate>0.5", "achieved_rate>0.9", "p99_ack_ms<500"]
    found = run(tmp_path, asked, sent(4), ack_ms=300, unsent=1)
    assert on(found, "achieved_rate>0.5").verdict == "kept"
    missing = on(found, "achieved_rate>0.9")
    assert (missing.verdict, missing.threshold and missing.threshold.measured) == ("broken", 0.8)
    assert on(found, "p99_ack_ms<500").verdict == "inconclusive"
    assert "1 (20 %) of the 5 records" in on(found, "p99_ack_ms<500").reason


def test_a_run_that_proves_nothing_keeps_no_threshold_but_can_break_one(tmp_path: Path) -> None:
    cut_short = event("run", phase="interrupted")
    found = run(tmp_path, ["p99_ack_ms<500", "p99_ack_ms<200"], sent(4), cut_short, ack_ms=300)
    assert on(found, "p99_ack_ms<500").verdict == "inconclusive"
    assert "the run was interrupted" in on(found, "p99_ack_ms<500").reason
    assert on(found, "p99_ack_ms<200").verdict == "broken"


def test_no_broker_acknowledges_with_acks_0(tmp_path: Path) -> None:
    found = run(tmp_path, ["p99_ack_ms<200"], sent(4), producer={"acks": "0"}, promises=[])
    assert on(found, "p99_ack_ms<200").verdict == "not_applicable"
    assert found.verdict == "inconclusive"


def test_a_figure_of_faults_does_not_apply_without_any(tmp_path: Path) -> None:
    found = run(tmp_path, ["recovered_ms<5000"], sent(4))
    assert on(found, "recovered_ms<5000").verdict == "not_applicable"
    assert found.verdict == "kept"
    assert any("recovered_ms<5000 does not apply" in reason for reason in found.reasons)


def gone(slots: int) -> list[Any]:
    """A fault after which nothing is acknowledged for so many slots, until the load ends."""
    evidence = {"moves_leader": False}
    return [
        fault("inject", 10),
        fault("injected", 10, evidence=evidence, took_effect=True),
        [slot("t", n, attempted=20, acked=20) for n in range(1, 10)],
        [slot("t", n, attempted=20) for n in range(10, 10 + slots)],
    ]


@pytest.mark.parametrize(("slots", "verdict"), [(24, "broken"), (8, "inconclusive")])
def test_a_partition_that_never_came_back_is_late_once_the_limit_has_passed(
    slots: int, verdict: str, tmp_path: Path
) -> None:
    """Six seconds without any acknowledgement are more than five; two seconds may be in time."""
    found = on(run(tmp_path, ["recovered_ms<5000"], sent(4), gone(slots)), "recovered_ms<5000")
    assert found.verdict == verdict, found.reason
    assert found.threshold is not None
    assert (found.threshold.topic, found.threshold.partition) == ("t", 0)


def test_what_was_aborted_on_purpose_is_no_failed_share(tmp_path: Path) -> None:
    history = [sent(6), [failed(s) for s in range(6, 9)], unknown(9),
               slot("t", 2, attempted=4, failed=3, unknown=1, failed_by={"aborted": 3},
                    unknown_by={"_MSG_TIMED_OUT": 1})]  # fmt: skip
    found = run(tmp_path, ["failed_share<=0", "unknown_share<0.1"], history)
    assert on(found, "failed_share<=0").verdict == "kept"
    share = on(found, "unknown_share<0.1")
    assert (share.verdict, share.threshold and share.threshold.measured) == ("broken", 0.1)


def test_a_threshold_that_holds_does_not_stand_for_deliveries_that_were_not_judged(
    tmp_path: Path,
) -> None:
    outside = ["min.insync.replicas is 1"]
    found = run(tmp_path, ["achieved_rate>0.99"], sent(4), envelope_breaches=outside)
    assert on(found, "achieved_rate>0.99").verdict == "kept"
    assert found.verdict == "inconclusive"
    assert found.reasons[0].startswith("nothing but thresholds was judged")


def test_a_profile_that_promises_nothing_else_is_judged_by_its_thresholds(tmp_path: Path) -> None:
    found = run(tmp_path, ["achieved_rate>0.99"], sent(4), promises=[])
    assert found.verdict == "kept"


def test_a_threshold_outside_the_envelope_is_judged_all_the_same(tmp_path: Path) -> None:
    outside = ["min.insync.replicas is 1"]
    found = run(tmp_path, ["p99_ack_ms<200"], sent(4), ack_ms=300, envelope_breaches=outside)
    assert found.verdict == "broken"
