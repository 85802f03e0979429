"""run.json: what a run is, written once at its start, with secrets already redacted."""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.anomalies import PROMISES
from harness.errors import RunDirError
from harness.profiles.threshold import parse
from harness.record.codec import Codec
from harness.record.codecs import codec_named
from harness.rundir.documents import read_json, typed, write_json

RUN_SCHEMA: Final = "delivery-run/1"
RUN_ID: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")
_PARTITIONS_MAX: Final = 1 << 16
_ROLES: Final = ("subject", "control")


def new_run_id() -> str:
    """A run's name: its start in UTC and four random hex digits, valid inside a topic name."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class ConsumeRun:
    """The consumers of a profile as they took part in a run; they read its first topics.

    mode: commit-before, commit-after, auto, stored, transactional or share; protocol: the group
    protocol, classic or consumer; members: how many there are at a time.
    """

    mode: str
    protocol: str
    members: int
    processing_ms: float
    group: str
    send_offsets: bool = True
    """Does a pipeline commit its offsets in its transactions? Only its control does not."""
    inputs: int = 1
    """How many of the profile's topics they read, the first ones."""


@dataclass(slots=True)
class ProfileRun:
    """One profile as it took part in a run. Topics are in the order of their record index."""

    profile: str
    role: str
    topics: list[str]
    topic_ids: list[str]
    producer: dict[str, Any]
    consumer: dict[str, Any]
    topic: dict[str, Any]
    promises: list[str]
    requires: list[str] = field(default_factory=list)
    """Thresholds, such as `p99_ack_ms<200`."""
    summary: str = ""
    envelope_breaches: list[str] = field(default_factory=list)
    in_verdict: bool = True
    transaction_interval_ms: float | None = None
    """How long a transaction stays open; None without transactions."""
    abort_ratio: float = 0.0
    """Share of transactions that are aborted on purpose."""
    consume: ConsumeRun | None = None
    """Its consumers under test; None where nothing but the load is judged."""

    @property
    def input_topics(self) -> list[str]:
        """What the load writes: all topics, but the output of a pipeline is its members'."""
        pipeline = self.consume is not None and self.consume.mode == "transactional"
        return self.topics[: self.consume.inputs] if pipeline and self.consume else self.topics

    @property
    def transactional(self) -> bool:
        """Whether its producer works in transactions."""
        return bool(self.producer.get("transactional.id"))

    @property
    def compacted(self) -> bool:
        """Whether its topics keep the last record of each key only."""
        return "compact" in str(self.topic.get("cleanup.policy", ""))

    @property
    def transaction_timeout_ms(self) -> int:
        """How long a transaction of it may stay open, as set or by librdkafka's default."""
        return int(self.producer.get("transaction.timeout.ms", 60_000))

    @property
    def acks(self) -> str:
        """`0`, `1` or `all`, however the setting was spelled."""
        value = str(self.producer.get("acks", self.producer.get("request.required.acks", "all")))
        return "all" if value == "-1" else value


@dataclass(slots=True)
class LoadPlan:
    """What the load process is to do; all of it also decides how a run is repeated."""

    rate_per_s: float
    schedule: str
    duration_s: float | None
    message_bytes: int
    keys: int
    partitions: int
    producers: int
    warm_up_s: float
    lag_limit_ms: float
    """The generator may wake this late; beyond it the verdict is inconclusive."""
    codec: str = "binary"
    """How identities are put into values: a name of `harness.record.codecs`."""
    workers: int = 0
    """Over how many Locust workers it was to be spread; 0: one process makes it."""


@dataclass(slots=True)
class RunInfo:
    """run.json: written once at the start of a run, secrets already redacted."""

    run_id: str
    seed: int
    command: list[str]
    bootstrap: str
    cluster_id: str
    versions: dict[str, str]
    profiles: list[ProfileRun]
    load: LoadPlan
    experiments: list[str]
    aims: dict[str, str]
    """anomaly → the control profile that the run's experiments should break"""
    control: bool = True
    fault_aims: dict[str, list[str]] = field(default_factory=dict)
    """fault → the anomalies that its experiments aim at; a fault that is not named aims at all"""
    faults_planned: int = 0
    """how many faults the experiments inject; a nominal one, such as no_fault, does not count"""
    findings: list[dict[str, Any]] = field(default_factory=list)
    """guardrail findings: {profile, rule, severity, message}"""
    started_at: str = ""
    asked_by: str = ""
    """who asked for the run, as --asked-by says it; empty where it was not said"""
    until_bound: float | None = None
    """the bound per fault up to which the experiments were to be repeated; None: run once"""

    @property
    def topics(self) -> list[str]:
        """Every topic of the run; a record's topic index points into this list."""
        return [topic for profile in self.profiles for topic in profile.topics]

    @property
    def topic_ids(self) -> list[str]:
        """The ids of `topics`, in the same order."""
        return [topic_id for profile in self.profiles for topic_id in profile.topic_ids]

    def topics_of(self, profile: ProfileRun) -> range:
        """The indexes of a profile's topics among the run's. Raises ValueError for another's."""
        number = [each.profile for each in self.profiles].index(profile.profile)
        first = sum(len(each.topics) for each in self.profiles[:number])
        return range(first, first + len(profile.topics))

    def input_topics_of(self, profile: ProfileRun) -> range:
        """As `topics_of`, those that the load writes to: the others are its members'."""
        return self.topics_of(profile)[: len(profile.input_topics)]

    def profile_of(self, topic_index: int) -> ProfileRun:
        """The profile that owns a topic index. Raises IndexError."""
        for profile in self.profiles:
            if topic_index < len(profile.topics):
                return profile
            topic_index -= len(profile.topics)
        raise IndexError(topic_index)

    def write(self, path: Path) -> None:
        """Write run.json, whole or not at all."""
        write_json(path, asdict(self), schema=RUN_SCHEMA)

    @classmethod
    def read_from(cls, path: Path) -> RunInfo:
        """Raises RunDirError that names what is wrong with run.json."""
        document = read_json(path, "a run directory's run.json", schema=RUN_SCHEMA)
        try:
            info = typed(cls, document)
        except ValueError as error:
            raise RunDirError(f"{path}: not a run.json of this harness: {error}.") from None
        problem = problem_of(info)
        if problem:
            raise RunDirError(f"{path}: not a run.json of this harness: {problem}.")
        return info


def problem_of(info: RunInfo) -> str:
    """What in a run.json cannot be; empty where all of it can."""
    if not RUN_ID.match(info.run_id):
        return f"run_id: {info.run_id!r} is no run's name"
    if not 1 <= info.load.partitions <= _PARTITIONS_MAX:
        return f"load.partitions: {info.load.partitions}; accepted is 1 to {_PARTITIONS_MAX}"
    problem = _problem_of_codec(info)
    if problem:
        return problem
    if len({profile.profile for profile in info.profiles}) < len(info.profiles):
        return "profiles: one of them occurs twice"
    if len(set(info.topics)) < len(info.topics):
        return "profiles: a topic occurs twice"
    for number, profile in enumerate(info.profiles):
        where = f"profiles[{number}]"
        if profile.role not in _ROLES:
            return f"{where}.role: {profile.role!r}; accepted is {' or '.join(_ROLES)}"
        unknown = [promise for promise in profile.promises if promise not in PROMISES]
        if unknown:
            return f"{where}.promises: {unknown[0]!r} is no promise"
        for text in profile.requires:
            try:
                parse(text)
            except ValueError as error:
                return f"{where}.requires: {text!r}: {error}"
        if not profile.topics:
            return f"{where}.topics: there is none"
        try:
            profile.transaction_timeout_ms  # noqa: B018
        except (ValueError, TypeError):
            return f"{where}.producer: transaction.timeout.ms is no number"
    unknown = [anomaly for anomaly in info.aims if f"no_{anomaly}" not in PROMISES]
    return f"aims: {unknown[0]!r} is no anomaly" if unknown else ""


def _problem_of_codec(info: RunInfo) -> str:
    """What the run's codec cannot carry; empty where it can carry all of it."""
    try:
        codec: Codec = codec_named(info.load.codec)
    except ValueError as error:
        return f"load.codec: {error}"
    limits, named = codec.limits, f"the {codec.name} codec accepts"
    if info.load.partitions - 1 > limits.partition_max:
        return (
            f"load.partitions: {info.load.partitions}; {named} at most {limits.partition_max + 1}"
        )
    if len(info.topics) - 1 > limits.topic_max:
        return f"profiles: {len(info.topics)} topics; {named} at most {limits.topic_max + 1}"
    pipelines = [
        profile.profile
        for profile in info.profiles
        if profile.consume is not None and profile.consume.mode == "transactional"
    ]
    if pipelines and codec.name != "binary":
        return (
            f"load.codec: {codec.name!r}, and profile {pipelines[0]} is a pipeline, whose output "
            "names its input in the binary codec alone"
        )
    return ""
