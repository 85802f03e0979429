"""Every metric that a run exports: its name, its unit, its labels and what it says.

Names in Prometheus follow its conventions: the prefix `delivery_`, base units as a suffix, `_total`
behind what only grows. OpenTelemetry gets `delivery.<name>` and the unit beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
BOUNDS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds of the buckets of a latency, in seconds; one more has no bound."""
_UNITS: Final = {"s": "_seconds"}


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. `unit` is OpenTelemetry's (UCUM): `s`, or what is counted in braces."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    description: str

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus, without `_total`, `_bucket`, `_sum` and `_count`."""
        return f"delivery_{self.name}{_UNITS.get(self.unit, '')}"

    @property
    def otel(self) -> str:
        """Its name in OpenTelemetry."""
        return f"delivery.{self.name}"

    @property
    def exposed(self) -> tuple[str, ...]:
        """The names under which Prometheus finds its samples."""
        if self.kind == "counter":
            return (f"{self.prometheus}_total",)
        if self.kind == "histogram":
            return tuple(f"{self.prometheus}_{part}" for part in ("bucket", "sum", "count"))
        return (self.prometheus,)


_OF_PROFILE: Final = ("profile", "role")


def _records(name: str, description: str) -> MetricSpec:
    return MetricSpec(name, "counter", "{record}", _OF_PROFILE, description)


def _latency(name: str, description: str) -> MetricSpec:
    return MetricSpec(name, "histogram", "s", _OF_PROFILE, description)


ATTEMPTS: Final = _records("attempts", "Records handed to the client.")
ACKNOWLEDGED: Final = _records(
    "acknowledged", "Records acknowledged; with acks=0 those reported as sent."
)
FAILED: Final = _records("failed", "Records that are certainly absent.")
UNKNOWN: Final = _records("unknown", "Records that may be in the topic or not.")
ACK_LATENCY: Final = _latency(
    "ack_latency", "From the intended send time to the acknowledgement, by intended send time."
)
END_TO_END_LATENCY: Final = _latency(
    "end_to_end_latency", "From the intended send time to the live reader, by intended send time."
)
CLIENT_ERRORS: Final = MetricSpec(
    "client_errors",
    "counter",
    "{error}",
    ("profile", "code"),
    "Errors of Kafka clients.",
)
GENERATOR_LAG: Final = MetricSpec(
    "generator_lag",
    "gauge",
    "s",
    (),
    "How late the load generator woke in the last 250 ms.",
)
FAULTS_ACTIVE: Final = MetricSpec(
    "faults_active", "gauge", "{fault}", ("fault",), "Faults that were injected and not healed yet."
)
FAULTS: Final = MetricSpec(
    "faults_injected", "counter", "{fault}", ("fault",), "Faults that were injected."
)
UNDER_REPLICATED: Final = MetricSpec(
    "under_replicated_partitions", "gauge", "{partition}", _OF_PROFILE,
    "Partitions of the run's topics with fewer in-sync replicas than replicas.",
)  # fmt: skip
LEADER_CHANGES: Final = MetricSpec(
    "leader_changes", "counter", "{change}", _OF_PROFILE,
    "New leaders, and new epochs of the same leader, after the first one of each partition.",
)  # fmt: skip
RUN_INFO: Final = MetricSpec(
    "run_info", "gauge", "1", ("run_id", "seed", "harness_version", "kafka_version"),
    "1 for the run that goes on, or was the last one.",
)  # fmt: skip
RUN_VERDICT: Final = MetricSpec(
    "run_verdict", "gauge", "1", ("verdict",), "1 for the verdict of the last run that was judged."
)
RUNS: Final = MetricSpec("runs", "counter", "{run}", ("verdict",), "Runs that were judged.")
PROMISE_VERDICT: Final = MetricSpec(
    "promise_verdict", "gauge", "1", (*_OF_PROFILE, "promise", "verdict"),
    "1 for the verdict of each promise in the last run that was judged.",
)  # fmt: skip
ANOMALIES: Final = MetricSpec(
    "anomalies", "counter", "{record}", (*_OF_PROFILE, "anomaly"),
    "Anomalies in the runs that were judged.",
)  # fmt: skip

CATALOGUE: Final = (
    ATTEMPTS, ACKNOWLEDGED, FAILED, UNKNOWN, ACK_LATENCY, END_TO_END_LATENCY, CLIENT_ERRORS,
    GENERATOR_LAG, FAULTS_ACTIVE, FAULTS, UNDER_REPLICATED, LEADER_CHANGES, RUN_INFO, RUN_VERDICT,
    RUNS, PROMISE_VERDICT, ANOMALIES,
)  # fmt: skip
