"""The arithmetic of keys against the lanes that really hand them out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load.client import Lanes
from harness.record.keys import KeyCycle


@settings(max_examples=300, deadline=None)
@given(
    topics=st.integers(1, 3),
    partitions=st.integers(1, 5),
    keys=st.integers(1, 17),
    instance=st.integers(0, 3),
    sent_before=st.integers(0, 60),
    sent=st.integers(1, 80),
)
def test_every_sequence_has_the_key_that_was_sent_with_it(
    topics: int, partitions: int, keys: int, instance: int, sent_before: int, sent: int
) -> None:
    lanes = Lanes(list(range(topics)), partitions, keys, first=instance)
    lanes.take(sent_before)
    first_record = lanes.next_record
    topic_of, partition_of, names = lanes.take(sent)
    assert names is not None
    for topic in range(topics):
        for partition in range(partitions):
            chosen = np.flatnonzero((topic_of == topic) & (partition_of == partition))
            if not len(chosen):
                continue
            cycle = KeyCycle.of(
                topics=topics,
                topic=topic,
                partitions=partitions,
                partition=partition,
                keys=keys,
                first_record=first_record,
            )
            indices = cycle.key_indices(np.arange(len(chosen), dtype=np.uint64))
            told = [b"key-%d" % cycle.key(index) for index in indices.tolist()]
            assert told == [names[index] for index in chosen.tolist()]
            assert int(indices.max()) < cycle.count


def test_a_partition_without_keys_has_no_cycle() -> None:
    with pytest.raises(ValueError, match="none of 2 keys goes to partition 2 of 3"):
        KeyCycle.of(topics=1, topic=0, partitions=3, partition=2, keys=2, first_record=0)
