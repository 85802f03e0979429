"""A profile is exposed to a fault that strikes its coordinator, wherever its partitions are led."""

from __future__ import annotations

from typing import Any

import pytest

from harness.judge.exposure import exposures
from harness.rundir.timeline import read_timeline
from tests.support.histories import fault, profile, slot

TOPIC = "t"
PROFILE = profile("transactional", topics=[TOPIC], transactional=True)


def struck(name: str = "transactional", epoch_after: int = 6) -> list[Any]:
    evidence = {
        "moves_leader": True,
        "elections": [{"topic": "__transaction_state", "partition": 2, "leader": 3, "at": ""}],
        "coordinates": [
            {"client": "id", "profile": name, "topic": "__transaction_state", "partition": 2}
        ],
        "partitions": [
            {
                "topic": "__transaction_state",
                "partition": 2,
                "leader_before": 1,
                "epoch_before": 5,
                "leader_after": 3,
                "epoch_after": epoch_after,
            }
        ],
    }
    return [
        fault("inject", 4),
        fault("injected", 4, evidence=evidence, took_effect=True),
        fault("healed", 6),
    ]


def loaded(slots: range, acked: int = 8) -> list[Any]:
    return [slot(TOPIC, number, attempted=9, acked=acked) for number in slots]


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        ([*loaded(range(12)), *struck()], ""),
        ([*loaded(range(12)), *struck("another")], "no partition of it was hit"),
        ([*loaded(range(12)), *struck(epoch_after=5)], "did not change"),
        ([*struck()], "nothing of it was in flight"),
        ([*loaded(range(4, 12)), *struck()], "just before"),
        ([*loaded(range(4)), *loaded(range(4, 12), acked=0), *struck()], "afterwards"),
    ],
)
def test_a_profile_whose_coordinator_was_struck_under_load_is_exposed(
    events: list[Any], missing: str
) -> None:
    timeline = read_timeline(each.fields for each in events)
    (met,) = exposures(PROFILE, timeline)
    assert met.exposed == (not missing)
    assert missing in met.missing


def test_an_election_alone_is_a_fault_that_struck_something() -> None:
    timeline = read_timeline(each.fields for each in struck())
    assert not timeline.faults[0].idle
    assert timeline.faults[0].coordinated("transactional") == [("__transaction_state", 2)]
    assert timeline.faults[0].coordinated("idempotent") == []
