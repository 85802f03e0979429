"""Kafka's own performance tools, started as their shell scripts start them.

The payload is made by our own encoder, and a profile's settings are handed over under their Java
names, so that both sides send the same bytes under the same promises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.arrays import U64
from harness.bench.cases import Case
from harness.brokers.local.jars import KafkaJars
from harness.brokers.local.java import Java
from harness.errors import HarnessError
from harness.profiles.model import text
from harness.read.drain_reading import FETCH_BYTES
from harness.record.binary import HEAD_BYTES
from harness.record.codec import run_hash
from harness.record.encoder import Encoder

JVM_OPTIONS: Final = (
    "-Xmx512M",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)
"""What kafka-producer-perf-test.sh and kafka-consumer-perf-test.sh pass by default."""

SAME_NAME: Final = frozenset(
    (
        "acks",
        "batch.size",
        "compression.type",
        "delivery.timeout.ms",
        "enable.idempotence",
        "enable.metrics.push",
        "linger.ms",
        "max.in.flight.requests.per.connection",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "request.timeout.ms",
        "retries",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "transaction.timeout.ms",
    )
)
OTHER_NAME: Final = {
    "message.max.bytes": "max.request.size",
    "topic.metadata.refresh.interval.ms": "metadata.max.age.ms",
}
BUFFER_KBYTES: Final = "queue.buffering.max.kbytes"
WITHOUT_COUNTERPART: Final = frozenset(
    (
        "allow.auto.create.topics",
        "batch.num.messages",
        "delivery.report.only.error",
        "queue.buffering.max.messages",
        "socket.keepalive.enable",
        "socket.timeout.ms",
        "transactional.id",  # has an option of the tool's own
    )
)

_PAYLOADS: Final = 2_000
_CANDIDATES: Final = 16_384
_LZ4_WINDOW_BYTES: Final = 64 * 1024
_SENT: Final = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PeerResult:
    """What a tool says of its own run."""

    records: int
    records_per_s: float


def java_settings(producer: Mapping[str, Any]) -> dict[str, str]:
    """A profile's producer settings under the names of Kafka's Java client.

    Raises HarnessError for a setting of which this module does not know what it is there.
    """
    settings: dict[str, str] = {}
    for key, value in producer.items():
        if key in SAME_NAME:
            settings[key] = text(value)
        elif key in OTHER_NAME:
            settings[OTHER_NAME[key]] = text(value)
        elif key == BUFFER_KBYTES:
            settings["buffer.memory"] = str(int(value) * 1024)
        elif key not in WITHOUT_COUNTERPART:
            raise HarnessError(f"bench: no Java name is known for the producer setting {key}.")
    return settings


def producer_command(
    java: Java,
    jars: KafkaJars,
    case: Case,
    topic: str,
    bootstrap: str,
    settings: Mapping[str, str],
    payload: Path,
    transaction_ms: float | None,
) -> list[str]:
    """The argument vector of ProducerPerformance for one run."""
    command = [
        *_tool(java, jars, "ProducerPerformance"),
        *("--bootstrap-server", bootstrap),
        *("--topic", topic),
        *("--num-records", str(case.records)),
        *("--throughput", "-1"),
        *("--payload-file", str(payload)),
    ]
    if transaction_ms is not None:
        command += ["--transactional-id", topic]
        command += ["--transaction-duration-ms", str(round(transaction_ms))]
    return [*command, "--command-property", *(f"{k}={v}" for k, v in settings.items())]


def consumer_command(
    java: Java, jars: KafkaJars, case: Case, topic: str, bootstrap: str
) -> list[str]:
    """The argument vector of ConsumerPerformance for one run."""
    return [
        *_tool(java, jars, "ConsumerPerformance"),
        *("--bootstrap-server", bootstrap),
        *("--topic", topic),
        *("--num-records", str(case.records)),
        # As much for one partition as our drain asks for.
        *("--fetch-size", str(FETCH_BYTES)),
        # Joining a group on a busy machine can take longer than the tool's own ten seconds.
        *("--timeout", "60000"),
    ]


def _tool(java: Java, jars: KafkaJars, name: str) -> list[str]:
    return [
        str(java.executable),
        *JVM_OPTIONS,
        *("-cp", jars.tools_class_path),
        f"org.apache.kafka.tools.{name}",
    ]


def producer_result(output: str) -> PeerResult:
    """The last line of totals that ProducerPerformance printed. Raises HarnessError without."""
    totals = _SENT.findall(output)
    if not totals:
        raise HarnessError(f"ProducerPerformance printed no totals:\n{output[-2000:]}")
    records, records_per_s = totals[-1]
    return PeerResult(int(records), float(records_per_s))


def consumer_result(output: str) -> PeerResult:
    """ConsumerPerformance's totals; the rate is that of fetching, without joining its group.

    Raises HarnessError when it printed none.
    """
    lines = [line.split(", ") for line in output.splitlines()]
    for header, values in pairwise(lines):
        if "fetch.nMsg.sec" in header and len(values) == len(header):
            found = dict(zip(header, values, strict=True))
            return PeerResult(int(found["data.consumed.in.nMsg"]), float(found["fetch.nMsg.sec"]))
    raise HarnessError(f"ConsumerPerformance printed no totals:\n{output[-2000:]}")


def write_payloads(path: Path, message_bytes: int) -> int:
    """Write values of our encoder, one a line, for --payload-file; how many there are.

    The tool reads UTF-8 text, so of many candidates those are taken whose bytes are all ASCII
    and no newline: values as ours in every other respect, each with its identity and checksum.
    """
    run_id = next(
        name
        for name in (f"bench-{number}" for number in range(100_000))
        if _is_line(run_hash(name).to_bytes(8, "little"))
    )
    # Our producer goes through 256 payloads in turn. The tool draws at random: as many where all
    # of them lie in the 64 KiB that lz4 looks back over, so that both find a match each time;
    # many more where none of ours does.
    fillers = 2 if 256 * message_bytes < _LZ4_WINDOW_BYTES else 16
    kept: list[bytes] = []
    for seed in range(fillers):
        kept += _lines(Encoder(run_id, 1, message_bytes, seed), _PAYLOADS // fillers)
    path.write_bytes(b"\n".join(kept))
    return len(kept)


def _lines(encoder: Encoder, count: int) -> list[bytes]:
    kept: list[bytes] = []
    for first in range(0, 1 << 40, _CANDIDATES):
        numbers = np.arange(first, first + _CANDIDATES, dtype=np.uint64)
        values = encoder.encode_rows(
            0, 1, _seven_bits(numbers), _seven_bits(numbers + np.uint64(1 << 40))
        )
        # What is left to chance is the checksum: about one of 300 is ASCII without a newline.
        kept += [value for value in values if _is_line(value[:HEAD_BYTES])]
        if len(kept) >= count:
            break
    return kept[:count]


def _is_line(data: bytes) -> bool:
    return data.isascii() and b"\n" not in data


def _seven_bits(numbers: U64) -> U64:
    """The numbers, seven bits to a byte, so that every byte is ASCII."""
    spread = np.zeros(len(numbers), dtype=np.uint64)
    for digit in range(8):
        bits = (numbers >> np.uint64(7 * digit)) & np.uint64(0x7F)
        spread |= bits << np.uint64(8 * digit)
    return spread
