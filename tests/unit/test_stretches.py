"""Pairs kept as stretches say the same as the pairs themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from harness.reconcile.unconfirmed import UnconfirmedRanges

Pair = tuple[int | None, int | None, int]
"""Incarnation, sequence, offset."""


def contradicted(pairs: list[Pair], readings: set[int]) -> list[Pair]:
    """The definition, pair by pair."""
    first: set[int] = set()
    found: list[Pair] = []
    for pair in pairs:
        if pair[2] in readings or pair[2] in first:
            found.append(pair)
        first.add(pair[2])
    return found


def by_stretches(pairs: list[list[Pair]], readings: list[list[int]]) -> list[Pair]:
    """The same of pairs that are added batch by batch."""
    stretches = UnconfirmedRanges()
    for batch in pairs:
        who = batch[0][0]
        sequences = None if who is None else np.array([each[1] for each in batch], np.int64)
        stretches.add(who, sequences, np.array([each[2] for each in batch], np.int64))
    found: list[Pair] = []
    for who, numbers, at in stretches.contradicted(np.array(each, np.int64) for each in readings):
        known = [None] * len(at) if numbers is None else numbers.tolist()
        found += [(who, number, offset) for number, offset in zip(known, at.tolist(), strict=True)]
    return found


def key(pair: Pair) -> tuple[int, int, int]:
    return (-1 if pair[0] is None else pair[0], -1 if pair[1] is None else pair[1], pair[2])


@st.composite
def batches(draw: st.DrawFn) -> list[Pair]:
    """Pairs of one incarnation: mostly runs in which sequence and offset go up together."""
    who = draw(st.sampled_from([None, 0, 1]))
    pairs: list[Pair] = []
    sequence = 0
    for _ in range(draw(st.integers(1, 3))):
        sequence += draw(st.integers(1, 3))
        at = draw(st.integers(0, 12))
        for _ in range(draw(st.integers(1, 5))):
            pairs.append((who, None if who is None else sequence, at))
            sequence, at = sequence + 1, at + 1
    return pairs


RUN_BREAKS_OFF = [(0, 0, 0), (0, 2, 1)]
SHORT_WITHIN_LONG = [(0, each, each) for each in range(6)], [(1, 0, 1)], [(1, 5, 4)]


@given(
    pairs=st.lists(batches(), min_size=1, max_size=5),
    readings=st.lists(st.lists(st.integers(0, 16), max_size=6).map(sorted), max_size=3),
)
@example(pairs=[RUN_BREAKS_OFF], readings=[[1]])
@example(pairs=list(SHORT_WITHIN_LONG), readings=[])
@example(pairs=list(SHORT_WITHIN_LONG), readings=[[4]])
def test_stretches_find_the_pairs_that_are_contradicted(
    pairs: list[list[Pair]], readings: list[list[int]]
) -> None:
    known = {offset for each in readings for offset in each}
    wanted = contradicted([pair for batch in pairs for pair in batch], known)
    assert sorted(by_stretches(pairs, readings), key=key) == sorted(wanted, key=key)


def test_no_pairs_are_never_contradicted() -> None:
    stretches = UnconfirmedRanges()
    stretches.add(0, np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert not stretches
    assert list(stretches.contradicted([np.arange(3)])) == []
