"""Anomalies planted in random histories: every one is found, and nothing else is."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.anomalies import PRODUCER_ANOMALIES, TRANSACTION_ANOMALIES
from harness.history.judging import judge_files
from tests.support.generated import Case, generate

COUNTED = (*PRODUCER_ANOMALIES, *TRANSACTION_ANOMALIES, "foreign")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own for one history: hypothesis runs many in one test."""
    path = Path(tempfile.mkdtemp(prefix="history-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def check(case: Case) -> None:
    """Every count as it was planted, and a verdict that follows from it."""
    with folder() as path:
        file = path / "h.ndjson"
        file.write_text(case.text)
        verdict = judge_files([file], case.profile, lenient=False)
    profile = verdict.profiles[0]
    found = {name: profile.counts[name] for name in COUNTED if profile.counts[name]}
    assert found == case.expected, (case.planted, json.dumps(case.lines))
    for promise in profile.promises:
        count = case.expected.get(promise.promise.removeprefix("no_"), 0)
        short = bool(case.expected.get("unseen"))
        if promise.promise == "no_precommitted_read" and case.expected.get("failed_visible"):
            short = True  # whether such a record was visible too early is not told
        unsure = short or promise.promise.removeprefix("no_") in case.open
        expected = "broken" if count else "inconclusive" if unsure else "kept"
        assert promise.verdict == expected, (promise, case.planted)
        assert promise.observed == count


CASES = st.builds(generate, st.integers(0, 2**62), st.integers(4, 60), transactional=st.booleans())
QUIET: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=500, **QUIET)
@given(CASES)
@example(generate(904_728_239_620, 7, transactional=False))
@example(generate(506_331, 35, transactional=False))
def test_planted_anomalies_are_found_and_nothing_else(case: Case) -> None:
    check(case)


@pytest.mark.long
@settings(max_examples=10_000, **QUIET)
@given(CASES)
@example(generate(904_728_239_620, 7, transactional=False))
@example(generate(506_331, 35, transactional=False))
def test_planted_anomalies_are_found_and_nothing_else_in_ten_thousand_histories(case: Case) -> None:
    check(case)


def test_the_generated_histories_plant_every_anomaly_and_often_none() -> None:
    planted: Counter[str] = Counter()
    clean = 0
    for seed in range(600):
        case = generate(seed, 40, transactional=seed % 2 == 0)
        planted.update(name for name in case.expected)
        clean += not case.planted
    assert clean > 60
    assert {name for name in COUNTED if planted[name] < 10} == set()
