"""The first screen: what a verdict means, and what it asks to change, of this run's data alone."""

from __future__ import annotations

from dataclasses import replace

from harness.profiles import load_builtin
from harness.report.advice import changes, meaning
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT, Verdict
from tests.support.made_up_run import PRODUCERS, make_verdict


def verdict(word: str = KEPT) -> Verdict:
    return make_verdict([load_builtin()[name] for name in PRODUCERS], word)


def test_a_kept_verdict_names_the_harms_that_did_not_happen_and_to_whom_they_are_permitted() -> (
    None
):
    said = meaning(verdict())
    assert said[0].startswith("With at-least-once, in no case an acknowledged record was lost,")
    assert any(
        "With idempotent and transactional, in no case an acknowledged record was lost or a record "
        "was stored twice" in each
        for each in said
    )
    assert (
        "Acknowledged records were lost with fire-and-forget (1,561) and leader-ack (1,503): these "
        "settings permit it." in said
    )


def test_a_broken_verdict_says_what_was_found_in_the_words_of_the_anomaly() -> None:
    said = meaning(verdict(BROKEN))
    assert said[0] == (
        "idempotent does not keep no_duplicate: 2 further copies of attempts were read at other "
        "offsets."
    )


def test_a_broken_promise_points_to_a_profile_that_kept_it_under_the_same_faults() -> None:
    first = changes(verdict(BROKEN))[0]
    assert first.what == ("Where no_duplicate matters, use transactional in place of idempotent.")
    assert "2 found" in first.because
    assert "transactional kept no_duplicate under the same faults" in first.because


def test_no_profile_is_recommended_that_was_not_challenged() -> None:
    found = verdict(BROKEN)
    for profile in found.profiles:
        profile.promises = [replace(each, challenged=False) for each in profile.promises]
    assert changes(found)[0].what == "Do not rely on no_duplicate with idempotent."


def test_a_setting_is_named_only_where_the_run_counted_what_it_leads_to() -> None:
    found = verdict()
    advised = [each.what for each in changes(found)]
    assert any(each.startswith("leader-ack: Set acks=all") for each in advised)
    for profile in found.profiles:
        profile.counts["lost"] = 0
    assert not any("Set acks=all with" in each.what for each in changes(found))


def test_a_wide_bound_asks_for_more_faults_and_a_narrow_one_for_none() -> None:
    found = verdict()
    assert "until 29 faults have hit each promise" in changes(found)[-1].what
    for profile in found.profiles:
        profile.promises = [
            replace(each, trials=40, bound_95_per_fault=0.07) for each in profile.promises
        ]
    assert not any("--until-bound" in each.what for each in changes(found))


def test_an_inconclusive_verdict_gives_its_first_reason_as_what_to_remove() -> None:
    found = verdict(INCONCLUSIVE)
    assert "no proof" in meaning(found)[0]
    first = changes(found)[0]
    assert first.what.startswith("Remove what kept this run from proving anything")
    assert first.because == found.reasons[0].rstrip(".")
