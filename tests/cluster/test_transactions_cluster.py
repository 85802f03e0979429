"""Transactions in trouble, on the real cluster: all of a commit is there, or nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.anomalies import ANOMALIES
from harness.brokers import LocalCluster
from tests.support import transaction_scenes as scenes
from tests.support.transaction_stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def test_every_scene_of_a_transaction_in_trouble_leaves_all_of_it_or_nothing(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Moves only: killed coordinators are for `make transactions`."""
    with Stage.opened(cluster, tmp_path / "run") as stage:
        scenes.play(stage, ("move",), print)
        verdict = stage.judged()
    (profile,) = verdict.profiles
    found = {name: profile.counts[name] for name in ANOMALIES if profile.counts[name]}
    assert found == {}, profile.witnesses
    assert stage.fates() == []
    assert len(stage.expected) == 26, "every transaction of every scene was played"
    assert {each.verdict for each in profile.promises} <= {"kept", "inconclusive"}
