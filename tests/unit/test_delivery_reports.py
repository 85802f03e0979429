"""Delivery reports find their attempts, by what the run's codec has for that.

A real librdkafka producer; the brokers are librdkafka's own, inside its process.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer

from harness.load.outcomes import Reports
from harness.record.codec import Codec
from harness.record.codecs import CODECS
from harness.record.encoder import Encoder

PARTITIONS = 3
COUNT = 40
START_US = 1_700_000_000_000_000
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))


def handed_over(producer: Producer, reports: Reports, codec: Codec) -> None:
    """COUNT records to each partition p of two topics, from sequence 10 p on."""
    encoder = Encoder("run", 1, 300, 0, codec)
    for topic in range(2):
        for partition in range(PARTITIONS):
            intended = START_US + 1000 * partition + np.arange(COUNT)
            values = encoder.encode(topic, partition, 10 * partition, intended)
            messages: list[dict[str, Any]] = [{"value": value} for value in values]
            own = reports.callbacks(topic, partition, 10 * partition, intended)
            for message, callback in zip(messages, own or (), strict=own is not None):
                message["callback"] = callback
            queued = producer.produce_batch(
                f"t{topic}", messages, partition=partition, on_delivery=reports.on_delivery
            )
            assert queued == COUNT


def served(producer: Producer, reports: Reports) -> None:
    deadline = time.monotonic() + 60
    while len(reports) < 2 * PARTITIONS * COUNT:
        assert time.monotonic() < deadline, f"{len(reports)} reports in 60 s"
        producer.poll(0.1)
    reports.stamp(7)


@every_codec
def test_each_acknowledgement_is_bound_to_its_attempt(codec: Codec) -> None:
    producer = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 2})
    reports = Reports(codec)
    handed_over(producer, reports, codec)
    served(producer, reports)
    delivered, errored = reports.take(9, with_offsets=True)
    assert errored == []
    assert len(reports) == 0
    assert sorted((part.topic, part.partition) for part in delivered) == [
        (topic, partition) for topic in range(2) for partition in range(PARTITIONS)
    ]
    for part in delivered:
        order = np.argsort(part.sequences)
        expected = 10 * part.partition + np.arange(COUNT)
        assert part.sequences[order].tolist() == expected.tolist()
        # A partition that nobody else writes to: offsets follow the order of the batch.
        assert part.offsets[order].tolist() == list(range(COUNT))
        sent = START_US + 1000 * part.partition + np.arange(COUNT)
        assert part.intended_us[order].tolist() == sent.tolist()
        assert part.reported_us.tolist() == [7] * COUNT
        assert (part.service_us >= 0).all()


@every_codec
def test_each_error_is_bound_to_its_attempt(codec: Codec) -> None:
    # A port of this machine that nobody serves: purging is what gives the records up.
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    reports = Reports(codec)
    handed_over(producer, reports, codec)
    producer.purge(in_queue=True, in_flight=True)
    served(producer, reports)
    delivered, errored = reports.take(9, with_offsets=True)
    assert delivered == []
    groups = list(reports.errored([report for _, report in errored]))
    assert sorted((group.topic, group.partition) for group in groups) == [
        (topic, partition) for topic in range(2) for partition in range(PARTITIONS)
    ]
    for group in groups:
        expected = 10 * group.partition + np.arange(COUNT)
        assert sorted(group.sequences.tolist()) == expected.tolist()
