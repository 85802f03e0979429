"""What is judged key by key: order within a key, and the last value of each in a compacted log."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.reconcile.key_order import CycleOrder
from harness.record.keys import KeyCycle
from harness.rundir import cells
from harness.rundir.run_info import LoadPlan, RunInfo
from harness.rundir.verdict import INCONCLUSIVE, KEPT, KeysVerdict
from tests.support.histories import (
    Proof,
    acked,
    anomalies,
    drained,
    event,
    foreign,
    judged,
    live,
    observed,
    profile,
    reconciled,
    run_info,
    unknown,
    unproven,
)

KEYS = 2


def keyed(**more: Any) -> RunInfo:
    """A run whose records take turns between two keys, on one partition."""
    info = run_info([profile(**more)])
    load = info.load
    info.load = LoadPlan(
        load.rate_per_s, load.schedule, None, 100, KEYS, 1, 1, 0.0, load.lag_limit_ms
    )
    return info


DELETED = keyed()
COMPACTED = keyed(topic={"cleanup.policy": "compact"})


def began(first_record: int = 0, producer: int = 1) -> Any:
    """A producer, and which of its client's records was its first."""
    return event(
        "incarnation", phase="started", incarnation=producer, first_record=first_record, profile=""
    )


# With two keys, even sequences have key 0 and odd ones key 1.
COMPACTION: dict[str, tuple[list[Any], dict[str, int], int]] = {
    "a record of which a later one has the key is superseded": (
        [acked(0, 0), acked(1, 1), observed(1, 1), acked(2, 2), observed(2, 2)],
        {},
        1,
    ),
    "the last record of a key is lost when it is absent": (
        [acked(0, 0), observed(0, 0), acked(1, 1), observed(1, 1), acked(2, 2)],
        {"lost": 1},
        0,
    ),
    "a later record of another key takes nobody's place": (
        [acked(0, 0), acked(1, 1), observed(1, 1)],
        {"lost": 1},
        0,
    ),
    "of a key that is gone altogether the last record is lost, the others superseded": (
        [acked(0, 0), acked(2, 2), acked(4, 4), acked(1, 1), observed(1, 1)],
        {"lost": 1},
        2,
    ),
    "an unknown record takes the place of an acknowledged one when it is there": (
        [acked(0, 0), unknown(2), observed(2, 2)],
        {},
        1,
    ),
    "an unknown record that is not there takes nobody's place": (
        [acked(0, 0), unknown(2)],
        {"lost": 1},
        0,
    ),
    "another producer's record of the key takes the place too": (
        [began(0, 2), acked(0, 0), acked(0, 7, producer=2), observed(0, 7, producer=2)],
        {},
        1,
    ),
    "another producer's record of another key does not": (
        [began(1, 2), acked(0, 0), acked(0, 7, producer=2), observed(0, 7, producer=2)],
        {"lost": 1},
        0,
    ),
    "what was read live and has a successor has not vanished": (
        [acked(0, 0), live(0, 0), acked(2, 2), observed(2, 2)],
        {},
        1,
    ),
    "what was read live and was the last has vanished and is lost": (
        [acked(0, 0), live(0, 0)],
        {"lost": 1, "vanished": 1},
        0,
    ),
    "a first copy that was compacted away makes no wrong offset and no inversion": (
        [acked(0, 0), drained(0, 5), acked(1, 1), drained(1, 1)],
        {},
        0,
    ),
    "a record that stands below the offset of its acknowledgement is at the wrong one": (
        [acked(0, 5), drained(0, 0)],
        {"inconsistent_offset": 1},
        0,
    ),
    "an unknown record missing between others is no gap": (
        [acked(0, 0), observed(0, 0), unknown(1), acked(2, 2), observed(2, 2)],
        {},
        0,
    ),
    "acknowledged without an offset and absent, while its key is there, is unseen": (
        [acked(0), acked(2, 2), observed(2, 2)],
        {"unseen": 1},
        0,
    ),
    "acknowledged without an offset, and nothing of its key is there": (
        [acked(0), acked(2), acked(1, 1), observed(1, 1)],
        {"lost": 1, "unseen": 1},
        0,
    ),
    "acknowledged without an offset and absent, while an unknown record of its key is there": (
        [acked(0), unknown(2), observed(2, 2)],
        {"unseen": 1},
        0,
    ),
    "a producer whose keys are not on record may have taken anybody's place": (
        [acked(0, 0), acked(0, 7, producer=2), observed(0, 7, producer=2)],
        {"unseen": 1},
        0,
    ),
    "a foreign record above it may have its key": (
        [acked(0, 0), foreign(3)],
        {"unseen": 1},
        0,
    ),
    "a foreign record below it cannot have taken its place": (
        [foreign(3), acked(0, 4), Proof(end=5)],
        {"lost": 1},
        0,
    ),
    "an unproven drain of a compacted topic shows no loss": (
        [acked(0, 0), unproven()],
        {"unseen": 1},
        0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPACTION)
@pytest.mark.parametrize("chunk", [65_536, 1])
def test_a_compacted_topic_is_judged_by_the_last_value_of_each_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, chunk: int
) -> None:
    monkeypatch.setattr(cells, "CHUNK", chunk)
    history, expected, superseded = COMPACTION[name]
    found = reconciled(tmp_path / "run", [began(), history], info=COMPACTED)
    assert anomalies(found) == expected
    assert found.keyed.superseded == superseded


def test_the_same_history_without_compaction_is_a_loss(tmp_path: Path) -> None:
    history = COMPACTION["a record of which a later one has the key is superseded"][0]
    assert anomalies(reconciled(tmp_path / "run", [began(), history], info=DELETED)) == {"lost": 1}


def test_without_the_place_of_its_first_record_a_producer_is_not_accused(tmp_path: Path) -> None:
    history = [acked(0, 0), acked(1, 1), observed(1, 1)]
    found = reconciled(tmp_path / "run", history, info=COMPACTED)
    assert anomalies(found) == {"unseen": 1}
    assert "cannot be known" in found.blind["lost"][0]


def test_promises_that_need_every_record_stay_open_on_a_compacted_topic(tmp_path: Path) -> None:
    history = [began(), acked(0, 0), acked(1, 1), observed(1, 1), acked(2, 2), observed(2, 2)]
    judgement = judged(tmp_path / "run", history, info=COMPACTED).profiles[0]
    assert judgement.keys == KeysVerdict(KEYS, 0, 0, 0, superseded=1)
    promises = judgement.promises
    verdicts = {promise.promise: promise for promise in promises}
    assert verdicts["no_lost"].verdict == KEPT
    assert verdicts["no_gap"].verdict == INCONCLUSIVE
    assert verdicts["no_duplicate"].verdict == INCONCLUSIVE
    assert "compaction removed 1 acknowledged record" in verdicts["no_duplicate"].reason


def test_a_record_that_is_out_of_order_for_another_key_only(tmp_path: Path) -> None:
    history = [began(), acked(0, 5), drained(0, 5), acked(1, 1), drained(1, 1)]
    found = reconciled(tmp_path / "run", history, info=DELETED)
    assert anomalies(found) == {"inversion": 1}
    assert (found.keyed.inversions, found.keyed.keys_inverted, found.keyed.keys) == (0, 0, KEYS)


def test_a_record_that_is_out_of_order_within_its_key(tmp_path: Path) -> None:
    history = [began(), acked(0, 5), drained(0, 5), acked(2, 1), drained(2, 1)]
    found = reconciled(tmp_path / "run", history, info=DELETED)
    assert (found.keyed.inversions, found.keyed.keys_inverted) == (1, 1)


def test_copies_of_one_key_are_one_duplicated_key(tmp_path: Path) -> None:
    copies = [drained(0, 7), drained(0, 8), drained(2, 9)]
    history = [began(), acked(0, 0), drained(0, 0), acked(2, 1), drained(2, 1), copies]
    found = reconciled(tmp_path / "run", history, info=DELETED)
    assert found.counts["duplicate"] == 3
    assert found.keyed.keys_duplicated == 1


@pytest.mark.parametrize("chunk", [65_536, 3, 2, 1])
def test_inversions_within_a_key_do_not_depend_on_where_chunks_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Chunks in which nothing else is amiss are walked by a shorter way."""
    monkeypatch.setattr(cells, "CHUNK", chunk)
    at = [4, 5, 2, 3, 6, 7, 0, 9, 8, 10]
    history = [[acked(n, offset), observed(n, offset)] for n, offset in enumerate(at)]
    found = reconciled(tmp_path / "run", [began(), history], info=DELETED)
    assert anomalies(found) == {"inversion": 4}
    assert (found.keyed.inversions, found.keyed.keys_inverted) == (3, 2)


@settings(max_examples=60, deadline=None)
@given(
    at=st.permutations(range(14)),
    sure=st.lists(st.booleans(), min_size=14, max_size=14),
    keys=st.integers(1, 5),
    phase=st.integers(0, 4),
)
def test_keyed_histories_are_judged_alike_in_chunks_of_any_size(
    at: list[int], sure: list[bool], keys: int, phase: int
) -> None:
    """Mostly rising offsets, of which a few are exchanged, so that the shorter way is taken too."""
    at = sorted(at[:9]) + at[9:]
    highest: dict[int, int] = defaultdict(lambda: -1)
    inverted: set[int] = set()
    expected = 0
    history: list[Any] = [began(phase)]
    for sequence, offset in enumerate(at):
        key = (sequence + phase) % keys
        history.append(observed(sequence, offset))
        history.append(acked(sequence, offset) if sure[sequence] else unknown(sequence))
        if offset < highest[key]:
            expected += 1
            inverted.add(key)
        if sure[sequence]:
            highest[key] = max(highest[key], offset)
    info = run_info([profile()])
    load = info.load
    info.load = LoadPlan(load.rate_per_s, load.schedule, None, 100, keys, 1, 1, 0.0, 100.0)
    for chunk in (cells.CHUNK, 5, 2, 1):
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            patch.setattr(cells, "CHUNK", chunk)
            found = reconciled(Path(folder) / "run", history, info=info)
        assert found.keyed.inversions == expected, chunk
        assert found.keyed.keys_inverted == len(inverted), chunk


@settings(max_examples=200, deadline=None)
@given(
    firsts=st.lists(st.integers(-1, 30), min_size=1, max_size=40),
    keys=st.integers(1, 9),
    phase=st.integers(0, 8),
    chunk=st.integers(1, 12),
)
def test_order_within_keys_agrees_with_one_list_a_key(
    firsts: list[int], keys: int, phase: int, chunk: int
) -> None:
    order = CycleOrder(KeyCycle(0, 1, keys, phase % keys))
    found: list[int] = []
    top = -1
    for first in range(0, len(firsts), chunk):
        cells_of = np.array(firsts[first : first + chunk], dtype=np.int64)
        if (cells_of >= 0).all() and (np.diff(cells_of) > 0).all() and cells_of[0] > top:
            order.rising(first, cells_of)
        else:
            found += (first + order.add(first, cells_of, cells_of)).tolist()
        top = max(top, int(cells_of.max()))
    highest: dict[int, int] = defaultdict(lambda: -1)
    expected = []
    for sequence, offset in enumerate(firsts):
        key = (sequence + phase) % keys
        if 0 <= offset < highest[key]:
            expected.append(sequence)
        highest[key] = max(highest[key], offset)
    assert found == expected
