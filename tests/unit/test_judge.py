"""The judgement on whole runs, and on single promises as a truth table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.anomalies import PROMISES
from harness.errors import EXIT_BROKEN, EXIT_INCONCLUSIVE, EXIT_KEPT
from harness.judge.bounds import bound_95_per_fault
from harness.judge.exposure import Exposure
from harness.judge.judge import KAFKA_17754, LIBRDKAFKA_4953, exit_code, judge
from harness.judge.promises import PromiseCase, judge_promise
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.verdict import ControlResult, FaultCount, PromiseVerdict, Verdict, worst
from tests.support.histories import (
    HEALTHY,
    START_US,
    acked,
    event,
    failed,
    fault,
    foreign,
    judged,
    observed,
    profile,
    run_info,
    run_record_of,
    slot,
    unproven,
)

BROKE = ControlResult("leader-ack", "lost", 12)
ASTRAY = ControlResult("leader-ack", "lost", 12, outside=8, unplaced=4)
HELD = ControlResult("leader-ack", "lost", 0)
EXPOSED = Exposure(RecordedFault("f", "kill_leader", "broker 1", 0), "")
IDLE = Exposure(RecordedFault("f", "kill_leader", "broker 1", 0), "nothing of it was in flight")


def case(**more: Any) -> PromiseCase:
    """A promise that is aimed at, challenged and clean, unless told otherwise."""
    fields: dict[str, Any] = {
        "promise": "no_lost",
        "observed": 0,
        "aimed_control": "leader-ack",
        "control": BROKE,
        "exposures": [EXPOSED],
    }
    given = PromiseCase(**{**fields, **more})
    if "broke_in" in more:
        return given
    count = given.control.count if given.control else 0
    return replace(given, broke_in=[count] * len(given.exposures))


# -- one promise


@pytest.mark.parametrize(
    ("given", "verdict", "challenged", "says"),
    [
        (case(), "kept", True, "the control leader-ack showed 12"),
        (case(observed=3), "broken", True, "3 acknowledged records are absent"),
        (case(observed=1), "broken", True, "1 acknowledged record is absent"),
        (case(control=HELD), "inconclusive", False, "its control leader-ack showed no lost either"),
        (
            case(control=ASTRAY, broke_in=[0]),
            "inconclusive",
            False,
            "none in the window of a fault",
        ),
        (case(control=ASTRAY, broke_in=[0]), "inconclusive", False, "8 more in no fault's window"),
        (case(control=ASTRAY, broke_in=[0]), "inconclusive", False, "4 more at a time that is not"),
        (
            case(exposures=[IDLE, EXPOSED], broke_in=[12, 0]),
            "inconclusive",
            False,
            "not exposed to any fault that broke its control: nothing of it was in flight",
        ),
        (case(exposures=[EXPOSED, EXPOSED], broke_in=[0, 12]), "kept", True, "1 fault that broke"),
        (case(control_unlike="acks=0 only"), "kept", False, "acks=0 only"),
        (case(control_unlike="acks=0 only", observed=1), "broken", False, "1 acknowledged"),
        (case(control=HELD, observed=1), "broken", False, "1 acknowledged record"),
        (case(control=None), "inconclusive", False, "its control leader-ack did not run, so"),
        (case(control=None, control_left_out=True), "inconclusive", False, "(--no-control)"),
        (case(exposures=[]), "inconclusive", False, "there was no fault"),
        (case(exposures=[IDLE]), "inconclusive", False, "in flight (kill_leader)"),
        (case(exposures=[IDLE, EXPOSED]), "kept", True, "1 fault that broke the control hit"),
        (
            case(exposures=[EXPOSED, EXPOSED]),
            "kept",
            True,
            "2 faults that broke the control hit",
        ),
        (case(obstacles=["the drain is not proven"]), "inconclusive", True, "drain is not proven"),
        (case(obstacles=["late"], observed=2), "broken", True, "2 acknowledged"),
        (case(obstacles=["a", "b"]), "inconclusive", True, "a; b"),
        (
            case(run_obstacles=["a", "b"]),
            "inconclusive",
            True,
            "run proves nothing: a (and 1 more)",
        ),
        (case(run_obstacles=["a"], observed=1), "broken", True, "1 acknowledged"),
        (case(obstacles=["a"], unseen=4), "inconclusive", True, "4 acknowledged records were not"),
        (case(aimed_control=None, control=None), "kept", False, "no experiment of this run aims"),
        (case(aimed_control=None, control=None, exposures=[]), "kept", False, "none found"),
        (case(breaches=["min ISR is 1"]), "not_applicable", True, "min ISR is 1"),
        (case(breaches=["min ISR is 1"], observed=7), "not_applicable", True, "7 acknowledged"),
        (case(breaches=["x"], obstacles=["y"]), "not_applicable", True, "outside the envelope: x"),
    ],
)
def test_the_verdict_on_one_promise(
    given: PromiseCase, verdict: str, challenged: bool, says: str
) -> None:
    result = judge_promise(given)
    assert (result.verdict, result.challenged) == (verdict, challenged)
    assert says in result.reason
    assert result.observed == given.observed


def test_a_reason_is_a_sentence_for_every_anomaly() -> None:
    for promise in PROMISES:
        result = judge_promise(PromiseCase(promise, observed=5))
        assert "5 " in result.reason


def test_a_known_defect_is_named_and_still_broken() -> None:
    result = judge_promise(PromiseCase("no_duplicate", observed=2, known_defect=LIBRDKAFKA_4953))
    assert result.verdict == "broken"
    assert "4953" in result.reason


# -- bounds


@pytest.mark.parametrize(
    ("faults", "bound"),
    [(0, None), (1, 0.95), (2, 0.7764), (3, 0.6316), (10, 0.2589), (59, 0.0495)],
)
def test_the_bound_after_faults_without_an_anomaly(faults: int, bound: float | None) -> None:
    assert bound_95_per_fault(faults) == (None if bound is None else pytest.approx(bound, abs=5e-5))


@pytest.mark.parametrize(
    ("given", "bounded"),
    [
        (case(), True),
        (case(aimed_control=None, control=None), True),
        (case(control=HELD), False),
        (case(control=None), False),
        (case(control=ASTRAY, broke_in=[0]), False),
        (case(control_unlike="acks=0 only"), True),
        (case(observed=1), False),
        (case(exposures=[IDLE]), False),
        (case(obstacles=["the drain is not proven"]), False),
        (case(run_obstacles=["the generator was late"]), False),
        (case(breaches=["x"]), False),
    ],
)
def test_a_bound_is_given_where_zero_was_observed_under_exposed_faults(
    given: PromiseCase, bounded: bool
) -> None:
    assert (judge_promise(given).bound_95_per_fault is not None) == bounded


# -- precedence


@pytest.mark.parametrize(
    ("verdicts", "result"),
    [
        ([], "not_applicable"),
        (["kept", "kept"], "kept"),
        (["kept", "inconclusive"], "inconclusive"),
        (["inconclusive", "broken", "kept"], "broken"),
        (["not_applicable"], "not_applicable"),
        (["not_applicable", "kept"], "kept"),
        (["not_applicable", "inconclusive"], "inconclusive"),
    ],
)
def test_broken_outranks_inconclusive_outranks_kept(verdicts: list[str], result: str) -> None:
    assert worst(verdicts) == result


# -- whole runs: a subject and a control, one fault that moves the leader of both

SUBJECT, CONTROL = "t-subject", "t-control"


def promise(verdict: Verdict, name: str, of: int = 0) -> PromiseVerdict:
    (found,) = (each for each in verdict.profiles[of].promises if each.promise == name)
    return found


def two_profiles(**more: Any) -> Any:
    subject = profile("idempotent", topics=[SUBJECT])
    control = profile(
        "leader-ack", topics=[CONTROL], role="control", in_verdict=False, promises=["no_phantom"]
    )
    return run_info([subject, control], **{"aims": {"lost": "leader-ack"}, **more})


def struck(topic: str = SUBJECT, epoch_after: int = 2, **more: Any) -> dict[str, Any]:
    """Evidence of a fault that moved the leader of a topic's partition 0."""
    moved = {"leader_before": 1, "epoch_before": 1, "leader_after": 2, "epoch_after": epoch_after}
    return {
        "moves_leader": True,
        "brokers": [{"broker": 1, "pid": 1, "signal": "SIGKILL", "at": ""}],
        "partitions": [{"topic": topic, "partition": 0, **moved}],
        **more,
    }


def loaded(topic: str = SUBJECT) -> list[Any]:
    """Steady load, one second without acknowledgement from slot 4 on, steady load again."""
    stopped = range(4, 8)
    return [
        slot(topic, number, attempted=50, acked=0 if number in stopped else 50)
        for number in range(8)
    ] + [slot(topic, 8, attempted=50, acked=250), slot(topic, 9, attempted=50, acked=50)]


def experiment(evidence: dict[str, Any] | None = None, **more: Any) -> list[Any]:
    injected = {"evidence": struck() if evidence is None else evidence, "took_effect": True, **more}
    return [fault("inject", 3.9), fault("injected", 4, **injected), fault("healed", 8)]


def clean(at_slot: int = 4) -> list[Any]:
    """The subject keeps what it acknowledged; the control loses one of two, sent in this slot."""
    return [
        slot(CONTROL, at_slot, attempted=2, acked=2),
        [acked(s, s) for s in range(3)],
        [observed(s, s) for s in range(3)],
        [acked(s, s, topic=1, producer=2) for s in range(2)],
        observed(0, 0, topic=1, producer=2),
    ]


def test_a_challenged_promise_without_anomaly_is_kept(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [clean(), loaded(), experiment()], info=two_profiles())
    kept = promise(verdict, "no_lost")
    assert (kept.verdict, kept.challenged, kept.faults_exposed) == ("kept", True, 1)
    at = "2023-11-14T22:13:21.000000Z"
    assert kept.control == ControlResult(
        "leader-ack", "lost", 1, [FaultCount("kill_leader", at, 1)]
    )
    assert kept.trials == 1
    assert kept.bound_95_per_fault == pytest.approx(0.95)
    assert promise(verdict, "no_phantom").challenged is False
    assert (verdict.verdict, exit_code(verdict)) == ("kept", EXIT_KEPT)
    assert verdict.reasons == [
        "all 10 promises of 1 profile were kept, 1 of them challenged by faults that broke "
        "a control"
    ]


def test_a_broken_promise_breaks_the_run(tmp_path: Path) -> None:
    history = [clean(), acked(3, 3), loaded(), experiment()]
    verdict = judged(tmp_path / "run", history, info=two_profiles())
    assert promise(verdict, "no_lost").verdict == "broken"
    assert promise(verdict, "no_lost").bound_95_per_fault is None
    assert (verdict.verdict, exit_code(verdict)) == ("broken", EXIT_BROKEN)
    assert verdict.reasons[0].startswith("idempotent: no_lost is broken: 1 acknowledged record")


def test_a_control_that_did_not_break_makes_what_it_should_prove_inconclusive(
    tmp_path: Path,
) -> None:
    history = [clean(), observed(1, 1, topic=1, producer=2), loaded(), experiment()]
    verdict = judged(tmp_path / "run", history, info=two_profiles())
    assert promise(verdict, "no_lost").verdict == "inconclusive"
    assert promise(verdict, "no_lost").control == ControlResult("leader-ack", "lost", 0)
    assert promise(verdict, "no_duplicate").verdict == "kept"
    assert (verdict.verdict, exit_code(verdict)) == ("inconclusive", EXIT_INCONCLUSIVE)
    assert any("its control leader-ack showed no lost either" in r for r in verdict.reasons)


def test_without_controls_what_the_experiment_aims_at_is_inconclusive_and_says_so(
    tmp_path: Path,
) -> None:
    info = run_info(
        [profile("idempotent", topics=[SUBJECT])], aims={"lost": "leader-ack"}, control=False
    )
    history = [acked(0, 0), observed(0, 0), loaded(), experiment()]
    verdict = judged(tmp_path / "run", history, info=info)
    assert promise(verdict, "no_lost").verdict == "inconclusive"
    assert promise(verdict, "no_lost").control is None
    assert promise(verdict, "no_duplicate").verdict == "kept"
    assert any("controls were left out (--no-control)" in reason for reason in verdict.reasons)


def test_a_control_that_takes_part_anyway_counts_in_spite_of_no_control(tmp_path: Path) -> None:
    history = [clean(), loaded(), experiment()]
    verdict = judged(tmp_path / "run", history, info=two_profiles(control=False))
    assert promise(verdict, "no_lost").verdict == "kept"


def test_a_control_never_decides_the_run(tmp_path: Path) -> None:
    info = two_profiles()
    info.profiles[1].promises = ["no_lost"]
    verdict = judged(tmp_path / "run", [clean(), loaded(), experiment()], info=info)
    assert verdict.profiles[1].verdict == "broken"
    assert verdict.verdict == "kept"
    assert not any("leader-ack: no_lost" in reason for reason in verdict.reasons)


# -- exposure


def exposure_of(tmp_path: Path, *history: Any, at_slot: int = 4) -> PromiseVerdict:
    verdict = judged(tmp_path / "run", [clean(at_slot), *history], info=two_profiles())
    return promise(verdict, "no_lost")


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([loaded(), experiment(struck("another-topic"))], "no partition of it was hit"),
        ([loaded(), experiment(struck(epoch_after=1))], "leader of its partitions did not change"),
        (
            [
                [slot(SUBJECT, number, attempted=50, acked=50) for number in range(12)],
                experiment(),
            ],
            "nothing of it was in flight",
        ),
        (
            [[slot(SUBJECT, number, attempted=5, acked=0) for number in range(4, 8)]]
            + [slot(SUBJECT, 8, acked=20), experiment()],
            "nothing of it was acknowledged just before",
        ),
        (
            [[slot(SUBJECT, number, attempted=5, acked=5) for number in range(4)]]
            + [slot(SUBJECT, 5, attempted=5), experiment()],
            "nothing of it was acknowledged afterwards",
        ),
        ([experiment()], "nothing of it was in flight"),
    ],
)
def test_a_profile_that_a_fault_did_not_put_to_the_test_is_inconclusive(
    events: list[Any], says: str, tmp_path: Path
) -> None:
    result = exposure_of(tmp_path, events)
    assert (result.verdict, result.faults_exposed, result.challenged) == ("inconclusive", 0, False)
    assert says in result.reason


def test_acknowledgements_long_before_a_fault_are_not_around_it(tmp_path: Path) -> None:
    """The last one before came 15 seconds earlier."""
    before = [slot(SUBJECT, number, attempted=5, acked=5) for number in range(4)]
    later = [slot(SUBJECT, 64, attempted=5), slot(SUBJECT, 66, acked=5)]
    injected = fault("injected", 64, evidence=struck(), took_effect=True)
    result = exposure_of(tmp_path, before, later, injected, at_slot=64)
    assert result.faults_exposed == 0
    assert "nothing of it was acknowledged just before" in result.reason


def test_a_fault_without_effect_exposes_nobody(tmp_path: Path) -> None:
    assert exposure_of(tmp_path, loaded(), experiment(took_effect=True)).faults_exposed == 1
    none = judged(
        tmp_path / "none", [clean(), loaded(), experiment(took_effect=False)], info=two_profiles()
    )
    assert promise(none, "no_lost").faults_exposed == 0


def test_a_fault_that_moves_no_leader_exposes_without_a_leader_change(tmp_path: Path) -> None:
    evidence = struck(epoch_after=1, moves_leader=False)
    assert exposure_of(tmp_path, loaded(), experiment(evidence)).verdict == "kept"


def test_a_partition_led_by_a_broker_that_was_struck_is_hit(tmp_path: Path) -> None:
    led = [
        event("leader", START_US, topic=SUBJECT, partition=0, leader=1, leader_epoch=4),
        event("leader", START_US + 1_500_000, topic=SUBJECT, partition=0, leader=2, leader_epoch=5),
    ]
    evidence = struck("another-topic")
    assert exposure_of(tmp_path, led, loaded(), experiment(evidence)).verdict == "kept"


@pytest.mark.parametrize(
    ("aimed", "trials", "challenged"), [(["lost"], 1, True), (["duplicate"], 0, False)]
)
def test_only_a_fault_that_aims_at_an_anomaly_is_a_trial_of_its_promise(
    aimed: list[str], trials: int, challenged: bool, tmp_path: Path
) -> None:
    info = two_profiles(fault_aims={"kill_leader": aimed})
    verdict = judged(tmp_path / "run", [clean(), loaded(), experiment()], info=info)
    kept = promise(verdict, "no_lost")
    assert (kept.faults_exposed, kept.challenged) == (trials, challenged)
    assert promise(verdict, "no_phantom").faults_exposed == 1


def test_a_partition_led_elsewhere_is_not_hit(tmp_path: Path) -> None:
    led = [
        event("leader", START_US, topic=SUBJECT, partition=0, leader=3, leader_epoch=4),
        event("leader", START_US + 1_500_000, topic=SUBJECT, partition=0, leader=2, leader_epoch=5),
    ]
    result = exposure_of(tmp_path, led, loaded(), experiment(struck("another-topic")))
    assert "no partition of it was hit" in result.reason


@pytest.mark.parametrize(
    ("leaders", "verdict"), [((1, 3), "inconclusive"), ((3, 1), "kept")], ids=["left", "came"]
)
def test_who_led_last_before_the_fault_decides_whether_a_partition_is_hit(
    leaders: tuple[int, int], verdict: str, tmp_path: Path
) -> None:
    led = [
        event("leader", START_US + at, topic=SUBJECT, partition=0, leader=leader, leader_epoch=e)
        for at, leader, e in ((0, leaders[0], 4), (500_000, leaders[1], 5), (1_500_000, 2, 6))
    ]
    result = exposure_of(tmp_path, led, loaded(), experiment(struck("another-topic")))
    assert result.verdict == verdict, result.reason


def test_acknowledgements_after_the_next_fault_belong_to_that_one(tmp_path: Path) -> None:
    second = [
        fault("inject", 5, "g"),
        fault("injected", 5, "g", evidence=struck(), took_effect=True),
    ]
    result = exposure_of(tmp_path, loaded(), experiment(), second)
    assert result.faults_exposed == 1


def test_no_fault_strikes_and_exposes_nothing(tmp_path: Path) -> None:
    nothing = {"moves_leader": False, "brokers": [], "links": [], "partitions": []}
    injected = fault("injected", 4, name="no_fault", evidence=nothing, took_effect=True)
    info = two_profiles(aims={}, experiments=[])
    verdict = judged(tmp_path / "run", [clean(), loaded(), injected], info=info)
    assert verdict.verdict == "kept"
    assert promise(verdict, "no_lost").faults_exposed == 0
    assert promise(verdict, "no_lost").bound_95_per_fault is None


# -- what keeps a run from proving anything

JOURNAL = {
    "status": "completed",
    "deviated": False,
    "steady_states": {"before": {"steady_state_met": True}, "after": {"steady_state_met": True}},
    "run": [{"activity": {"name": "kill"}, "status": "succeeded"}],
    "rollbacks": [{"activity": {"name": "heal"}, "status": "succeeded"}],
}
PROBE = {"activity": {"name": "full ISR"}, "tolerance_met": False}


def with_experiment(tmp_path: Path, journal: dict[str, Any] | None, *more: Any) -> Verdict:
    return judged(
        tmp_path / "run",
        [clean(), loaded(), experiment(), *more],
        info=two_profiles(experiments=["kill"]),
        journals=[] if journal is None else [journal],
    )


def test_a_sound_journal_stands_in_nobodys_way(tmp_path: Path) -> None:
    assert with_experiment(tmp_path, JOURNAL).verdict == "kept"


@pytest.mark.parametrize(
    ("journal", "says"),
    [
        (None, "experiment kill left no journal"),
        ({**JOURNAL, "status": "aborted"}, "ended as 'aborted'"),
        ({**JOURNAL, "status": "failed"}, "ended as 'failed'"),
        ({**JOURNAL, "deviated": True}, "deviated from its steady state"),
        (
            {**JOURNAL, "steady_states": {"before": {"steady_state_met": False}}},
            "did not hold before the fault",
        ),
        (
            {
                **JOURNAL,
                "steady_states": {"after": {"steady_state_met": False, "probes": [PROBE]}},
            },
            "did not hold after the fault ('full ISR')",
        ),
        (
            {
                **JOURNAL,
                "run": [
                    {
                        "activity": {"name": "kill"},
                        "status": "failed",
                        "exception": ["Traceback", "FaultError: no leader\n"],
                    }
                ],
            },
            "activity 'kill' ended as 'failed': FaultError: no leader",
        ),
        (
            {**JOURNAL, "rollbacks": [{"activity": {"name": "heal"}, "status": "failed"}]},
            "rollback 'heal' ended as 'failed'",
        ),
    ],
)
def test_a_journal_that_tells_of_trouble_makes_the_run_inconclusive(
    journal: dict[str, Any] | None, says: str, tmp_path: Path
) -> None:
    verdict = with_experiment(tmp_path, journal)
    assert verdict.verdict == "inconclusive"
    assert says in promise(verdict, "no_phantom").reason
    assert any(reason.startswith("the run: ") and says in reason for reason in verdict.reasons)


def test_a_promise_seen_to_break_is_broken_whatever_the_journal_says(tmp_path: Path) -> None:
    verdict = with_experiment(tmp_path, None, acked(9, 9))
    assert verdict.verdict == "broken"
    assert promise(verdict, "no_lost").verdict == "broken"
    assert promise(verdict, "no_phantom").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (
            [fault("inject", 3), fault("injected", 4, evidence={}, took_effect=False)],
            "fault kill_leader on broker 1 shows no evidence that it took effect",
        ),
        (
            [
                fault("inject", 3),
                fault("injected", 4, evidence={"shortcomings": ["it lives"]}, took_effect=False),
            ],
            "(it lives)",
        ),
        ([fault("inject", 3), fault("failed", 4, reason="no such broker")], "no such broker"),
        ([fault("inject", 3)], "nothing says that it was injected"),
        ([event("run", phase="interrupted")], "the run was interrupted"),
        ([event("run", phase="load_died", reason="status -9")], "load process died (status -9)"),
        ([event("run", phase="not_healed", reason="broker 2")], "not be healed after"),
        ([event("generator", lag_ms_max=100.5)], "the load generator itself fell behind"),
    ],
)
def test_what_makes_a_whole_run_inconclusive(events: list[Any], says: str, tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [clean(), *events], info=two_profiles(aims={}))
    assert verdict.verdict == "inconclusive"
    assert {each.verdict for each in verdict.profiles[0].promises} == {"inconclusive"}
    assert sum(says in reason for reason in verdict.reasons) == 1


def test_a_run_that_proves_nothing_is_inconclusive_even_where_nobody_promises_anything(
    tmp_path: Path,
) -> None:
    info = run_info([profile("unsafe-topic", promises=[])])
    cut = [acked(0, 0), observed(0, 0), event("run", phase="interrupted")]
    assert judged(tmp_path / "cut", cut, info=info).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("alone", "says"),
    [
        (profile("unsafe-topic", in_verdict=False), "unsafe-topic does not count in a verdict"),
        (profile("silent", promises=[]), "silent promises nothing"),
        (
            profile("one-copy", envelope_breaches=["replication.factor is 1"]),
            "the promises of one-copy do not apply",
        ),
    ],
)
def test_a_run_that_judged_nothing_is_inconclusive_and_says_what_would_be_judged(
    alone: Any, says: str, tmp_path: Path
) -> None:
    history = [acked(0, 0), observed(0, 0)]
    verdict = judged(tmp_path / "run", history, info=run_info([alone]))
    assert (verdict.verdict, exit_code(verdict)) == ("inconclusive", EXIT_INCONCLUSIVE)
    (why,) = (reason for reason in verdict.reasons if reason.startswith("nothing was judged"))
    assert says in why
    assert "replication.factor 3" in why


def test_a_profile_that_does_not_apply_takes_nothing_from_one_that_was_kept(
    tmp_path: Path,
) -> None:
    outside = profile("one-copy", topics=[CONTROL], envelope_breaches=["replication.factor is 1"])
    info = run_info([profile(topics=[SUBJECT]), outside])
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0)], info=info)
    assert [each.verdict for each in verdict.profiles] == ["kept", "not_applicable"]
    assert verdict.verdict == "kept"
    assert not any("nothing was judged" in reason for reason in verdict.reasons)


def test_the_end_of_a_log_is_told_by_its_first_line(tmp_path: Path) -> None:
    died = event("run", phase="load_died", reason=f"status 4: {'x' * 300}\nsecond line")
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0), died])
    (reason,) = verdict.reasons
    assert "\n" not in reason
    assert "second line" not in reason
    assert len(reason) < 220


def test_an_experiment_without_its_faults_on_record_proves_nothing(tmp_path: Path) -> None:
    info = two_profiles(experiments=["kill"], aims={}, faults_planned=2)
    verdict = judged(tmp_path / "run", [clean()], info=info, journals=[JOURNAL])
    assert any("of the 2 faults" in reason for reason in verdict.reasons)
    assert verdict.verdict == "inconclusive"


def test_an_experiment_that_injects_nothing_needs_no_fault_on_record(tmp_path: Path) -> None:
    info = two_profiles(experiments=["no_fault"], aims={}, faults_planned=0)
    verdict = judged(tmp_path / "run", [clean()], info=info, journals=[JOURNAL])
    assert not any("on record" in reason for reason in verdict.reasons)


def test_a_lag_at_the_limit_is_accepted(tmp_path: Path) -> None:
    lag = event("generator", lag_ms_max=100.0)
    assert judged(tmp_path / "run", [acked(0, 0), observed(0, 0), lag]).verdict == "kept"


def test_a_lag_during_warm_up_is_accepted(tmp_path: Path) -> None:
    events = [
        event("generator", START_US - 2_000_000, lag_ms_max=5_000.0),
        event("run", START_US - 1_000_000, phase="warmed_up"),
    ]
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0), *events])
    assert verdict.verdict == "kept"


def test_a_generator_that_says_nothing_of_its_lag_proves_nothing(tmp_path: Path) -> None:
    events = [each for each in HEALTHY if each.fields["event"] != "generator"]
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0), *events], healthy=False)
    assert verdict.verdict == "inconclusive"
    assert "left no record of how late it was" in verdict.reasons[0]


def test_a_load_that_ended_without_saying_so_proves_nothing(tmp_path: Path) -> None:
    events = [each for each in HEALTHY if each.fields.get("phase") != "load_stopped"]
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0), *events], healthy=False)
    assert "the load process ended without saying that it did" in verdict.reasons[0]


# -- what keeps one profile from proving anything


def test_a_ledger_that_was_never_closed_makes_its_profile_inconclusive(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0)], closed=False)
    assert verdict.verdict == "inconclusive"
    assert "the process of producer 1 died" in verdict.reasons[0]


def test_a_profile_that_attempted_nothing_proves_nothing(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [])
    assert verdict.verdict == "inconclusive"
    assert "nothing was attempted" in verdict.reasons[0]


def test_a_profile_without_any_acknowledgement_proves_nothing(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [failed(0)])
    assert "not one record was acknowledged" in verdict.reasons[0]


def test_an_unproven_drain_makes_what_needs_it_inconclusive(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [acked(0, 0), unproven()])
    lost = promise(verdict, "no_lost")
    assert lost.verdict == "inconclusive"
    assert lost.reason.startswith("1 acknowledged record was not seen, and the drain is not proven")
    assert "its end was not reached" in lost.reason


def test_an_unproven_drain_that_shows_a_break_shows_it(tmp_path: Path) -> None:
    history = [acked(0, 0), observed(0, 0), observed(0, 1), unproven()]
    verdict = judged(tmp_path / "run", history)
    assert promise(verdict, "no_duplicate").verdict == "broken"
    assert promise(verdict, "no_lost").verdict == "inconclusive"
    assert verdict.verdict == "broken"


def test_a_reader_that_failed_makes_only_what_it_sees_inconclusive(tmp_path: Path) -> None:
    events = [event("reader", phase="failed", reason="status -9")]
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0), *events])
    inconclusive = [e.promise for e in verdict.profiles[0].promises if e.verdict != "kept"]
    assert inconclusive == ["no_vanished"]
    assert "(status -9)" in promise(verdict, "no_vanished").reason


def test_outside_the_envelope_counts_are_given_and_nothing_is_promised(tmp_path: Path) -> None:
    outside = profile(envelope_breaches=["min.insync.replicas is 1, not 2"])
    verdict = judged(tmp_path / "run", [acked(0, 0)], info=run_info([outside]))
    assert {each.verdict for each in verdict.profiles[0].promises} == {"not_applicable"}
    assert verdict.profiles[0].counts["lost"] == 1
    assert verdict.profiles[0].verdict == "not_applicable"
    assert verdict.verdict == "inconclusive"
    assert any("min.insync.replicas is 1" in reason for reason in verdict.reasons)


def test_records_of_another_run_are_told_with_its_hash(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [acked(0, 0), observed(0, 0), foreign(1, run=0xABC)])
    assert verdict.verdict == "kept"
    assert verdict.profiles[0].counts["foreign"] == 1
    assert any("1 records of another run (run hash 0000000000000abc)" in r for r in verdict.reasons)


# -- known defects


@pytest.mark.parametrize(
    ("graceful", "idempotence", "named"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_duplicates_of_an_idempotent_producer_under_rolling_restarts_are_a_known_defect(
    graceful: bool, idempotence: bool, named: bool, tmp_path: Path
) -> None:
    subject = profile(topics=[SUBJECT], producer={"acks": "all", "enable.idempotence": idempotence})
    history = [
        acked(0, 0),
        observed(0, 0),
        observed(0, 1),
        loaded(),
        experiment(struck(graceful=graceful)),
    ]
    verdict = judged(tmp_path / "run", history, info=run_info([subject]))
    assert (LIBRDKAFKA_4953 in promise(verdict, "no_duplicate").reason) == named


def test_torn_transactions_under_faults_are_a_known_defect() -> None:
    assert "17754" in KAFKA_17754


# -- samples


def test_a_sample_tells_how_long_after_the_fault_it_was_sent(tmp_path: Path) -> None:
    """Ten attempts a slot; the fault strikes at slot 2, attempt 45 was sent half-way in slot 4."""
    history = [
        [acked(s, s) for s in range(50)],
        [observed(s, s) for s in range(50) if s not in (5, 45)],
        [slot(SUBJECT, number, attempted=10, acked=10) for number in range(5)],
        fault("injected", 2, evidence=struck(), took_effect=True),
    ]
    info = run_info([profile(topics=[SUBJECT])])
    samples = {
        s.sequence: s for s in judged(tmp_path / "run", history, info=info).profiles[0].samples
    }
    assert samples[45].since_fault_s == pytest.approx(2.5 * 0.25)
    assert samples[5].since_fault_s == pytest.approx(-1.5 * 0.25)
    assert samples[45].topic == SUBJECT


def test_where_slots_and_ledger_disagree_no_time_is_made_up(tmp_path: Path) -> None:
    history = [
        [acked(s, s) for s in range(50)],
        [slot(SUBJECT, number, attempted=9, acked=9) for number in range(5)],
        fault("injected", 2, evidence=struck(), took_effect=True),
    ]
    info = run_info([profile(topics=[SUBJECT])])
    verdict = judged(tmp_path / "run", history, info=info)
    assert {sample.since_fault_s for sample in verdict.profiles[0].samples} == {None}


def test_judging_the_same_evidence_twice_gives_the_same_verdict(tmp_path: Path) -> None:
    run = run_record_of(tmp_path / "run", [clean(), loaded(), experiment()], info=two_profiles())
    assert judge(run).to_json() == judge(run).to_json()
