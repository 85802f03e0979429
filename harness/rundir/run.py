"""The run directory: where load, faults and judgement meet, and the one owner of its file names.

Each stage writes its own files and reads those of others, so any stage can be run again alone,
and a run cut short can still be judged. `timeline.ndjson` has several writers: each event is one
`write` of one whole line to a file opened for appending, which the kernel keeps in one piece.

Timeline events (every line has `at`, RFC 3339 UTC with microseconds, `event` and `source`):

    run         unsent, unsent_by: {profile: count} (on load_stopped: due and never attempted)
                phase: started | members_ready | load_started | warmed_up | bound |
                load_stopped | healed | members_caught_up | members_stopped | drained | ended
    fault       fault_id, fault, phase: inject | injected | heal | healed | failed, target,
                evidence, took_effect (on injected), reason (on failed)
    experiment  phase: started | method | rollback | ended, title   (of the run's own experiments);
                joined (experiment_id, title, journal: its number, aims, faults: those to come) |
                left (experiment_id, status, deviated)       (of one that somebody runs beside it)
    leader      topic, partition, leader, leader_epoch       (-1: no leader)
    isr         topic, partition, isr: [broker ids]
    brokers     brokers: [ids]                               (those that are registered)
    offsets     topic, partition, last_stable, high_watermark   (transactional topics)
    load        profile, topic, partition, from_us, to_us, attempted, acked, failed, unknown,
                ack_ms_max                     (one a slot of 250 ms; attempted by send time),
                attempted_by: {incarnation: count}, failed_by and unknown_by: {reason: count}
                                               (each only where it is not empty)
    generator   lag_ms_max                     (how late the generator's own clock was, per slot)
    incarnation profile, incarnation, phase: started | closed | replaced, reason
    client_error profile, incarnation, code, reason, fatal
    reader      phase: started | stopped | failed, reason, counts (on stopped: {kind: count})
    member      profile, member, pid, phase: started | ended | replaced, reason
    rebalance   profile, member, phase: assigned | revoked | lost, partitions: ["topic/partition"]
    lag         profile, topic, partition, committed, end     (committed −1: nothing yet; end:
                the last stable offset)
    recovered   profile, fault_id, fault, after_ms    (the group has committed all that its input
                held when that fault was seen; from the fault's first event, within a second)
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import RunDirError, UsageError
from harness.rundir.documents import parse_json, typed
from harness.rundir.documents import read_json as read_json
from harness.rundir.documents import write_json as write_json

RUN_ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


def now() -> str:
    """The present instant, RFC 3339 in UTC with microseconds."""
    return from_us(now_us())


def now_us() -> int:
    """The present instant in µs since the epoch."""
    return int(datetime.now(UTC).timestamp() * 1_000_000)


def from_us(at_us: int) -> str:
    """µs since the epoch as RFC 3339 text."""
    whole = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000:06d}Z"


def to_us(at: str) -> int:
    """RFC 3339 text as µs since the epoch. Raises ValueError when it is none."""
    moment = datetime.fromisoformat(at.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{at!r} says no time zone")
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + moment.microsecond


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
    """One profile as it took part in a run. Topics stand in the order of their record index."""

    profile: str
    role: str
    topics: list[str]
    topic_ids: list[str]
    producer: dict[str, Any]
    consumer: dict[str, Any]
    topic: dict[str, Any]
    promises: list[str]
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
        place = [each.profile for each in self.profiles].index(profile.profile)
        first = sum(len(each.topics) for each in self.profiles[:place])
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

    def to_json(self) -> dict[str, Any]:
        """The document as it is stored."""
        return asdict(self)


class RunDir:
    """Paths inside one run directory, its run.json, and its timeline."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunDir:
        """Make the directory. Raises UsageError when it exists and is not empty."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(
                f"--out {path}: exists and is not empty; a run writes only into a new or an empty "
                "directory. Choose another one."
            )
        run_dir = cls(path)
        for folder in (path, run_dir.ledger, run_dir.observations, run_dir.latency):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"--out {path}: cannot be made ({error.strerror}).") from error
        return run_dir

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def ledger(self) -> Path:
        """ledger/<incarnation>.ledger and, for a transactional one, <incarnation>.txn.ndjson"""
        return self.path / "ledger"

    @property
    def observations(self) -> Path:
        """observations/<set>/<incarnation>.obs, beside extras.bin and drain.json of that set"""
        return self.path / "observations"

    @property
    def members(self) -> Path:
        """members/<profile>-<number>.journal, one a group member (member_journal.py)"""
        return self.path / "members"

    @property
    def latency(self) -> Path:
        """latency/<profile>.hlog"""
        return self.path / "latency"

    @property
    def timeline(self) -> Path:
        return self.path / "timeline.ndjson"

    @property
    def report_html(self) -> Path:
        return self.path / "report.html"

    @property
    def logs(self) -> Path:
        """Logs of the run's own processes: load.log, reader.log, chaos-<n>.log"""
        return self.path / "logs"

    def journal(self, number: int) -> Path:
        """Chaos Toolkit's journal of the n-th experiment, from 1."""
        return self.path / ("journal.json" if number == 1 else f"journal-{number}.json")

    def claim_journal(self, *, above: int) -> int:
        """The number of a journal that nobody else writes, from `above` + 1; its file is made.

        Numbers up to `above` belong to the run's own experiments. The file is empty, and so no
        journal, until the experiment ends.
        """
        number = above + 1
        while True:
            try:
                os.close(os.open(self.journal(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                number += 1
            else:
                return number

    @property
    def journals(self) -> list[Path]:
        """The journals that exist, in the order of their experiments."""
        found: list[Path] = []
        while self.journal(len(found) + 1).exists():
            found.append(self.journal(len(found) + 1))
        return found

    @property
    def live(self) -> Path:
        return self.observations / "live"

    def dead_logs(self, fault_id: str) -> Path:
        """What the logs of the brokers that a fault killed held, noted before their return."""
        return self.path / "replicas" / f"{fault_id}.json"

    @property
    def all_dead_logs(self) -> list[Path]:
        """The notes about dead brokers' logs that exist."""
        return sorted((self.path / "replicas").glob("*.json"))

    def replicas(self, number: int) -> Path:
        """Where the n-th verification looked for lost records in the brokers' log files."""
        return self.drained(number) / "replicas.json"

    def drained(self, number: int) -> Path:
        """The observation set of the n-th drain, from 1."""
        return self.observations / ("drained" if number == 1 else f"drained-{number}")

    def drained_of(self, verdict: int) -> Path:
        """The observation set that a verdict rests on: that of an earlier one, judged again."""
        if not self.drained(verdict).exists() and self.timeline.exists():
            for event in self.events("run"):
                if event.get("phase") == "judged_again" and event.get("number") == verdict:
                    return self.drained(int(event["drained"]))
        return self.drained(verdict)

    def verdict(self, number: int) -> Path:
        return self.path / ("verdict.json" if number == 1 else f"verdict-{number}.json")

    def next_verification(self) -> int:
        """The number of the next drain and verdict: one more than any that left a trace."""
        number = 1
        while self.verdict(number).exists() or self.drained(number).exists():
            number += 1
        return number

    def latest_verdict(self) -> Path:
        """Raises RunDirError when the run has none yet."""
        numbers = [1, *sorted(int(p.stem.split("-")[1]) for p in self.path.glob("verdict-*.json"))]
        for number in reversed(numbers):
            if self.verdict(number).exists():
                return self.verdict(number)
        raise RunDirError(
            f"{self.path}: holds no verdict.json. Judge the run first: harness verify {self.path}"
        )

    def write_info(self, info: RunInfo) -> None:
        """Write run.json, whole or not at all."""
        write_json(self.run_json, info.to_json())

    def read_info(self) -> RunInfo:
        """Raises RunDirError that names what is wrong with run.json."""
        document = read_json(self.run_json, "a run directory's run.json")
        try:
            info = typed(RunInfo, document)
        except ValueError as error:
            raise RunDirError(
                f"{self.run_json}: not a run.json of this harness: {error}."
            ) from None
        from harness.rundir.run_check import problem_of

        problem = problem_of(info)
        if problem:
            raise RunDirError(f"{self.run_json}: not a run.json of this harness: {problem}.")
        return info

    def append(self, event: str, source: str, *, at: str | None = None, **fields: Any) -> None:
        """Add one event to the timeline; safe from any process."""
        self.append_all([{"at": at or now(), "event": event, "source": source, **fields}])

    def append_all(self, events: Iterable[dict[str, Any]]) -> None:
        """Add whole events, `at`, `event` and `source` included, with one write."""
        lines = "".join(json.dumps(event) + "\n" for event in events)
        if not lines:
            return
        descriptor = os.open(
            self.timeline, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        try:
            os.write(descriptor, lines.encode())
        finally:
            os.close(descriptor)

    def events(self, *names: str, damage: TimelineDamage | None = None) -> Iterator[dict[str, Any]]:
        """Timeline events in file order, all or those named.

        Lines that are no event are left out, and noted in `damage`.
        Raises RunDirError when the file cannot be read.
        """
        if not self.timeline.exists():
            return
        try:
            with self.timeline.open("rb") as lines:
                for event in self.parse(lines, damage):
                    if not names or event["event"] in names:
                        yield event
        except OSError as error:
            raise RunDirError(
                f"{self.timeline}: the timeline of a run is expected here ({error.strerror})."
            ) from None

    @staticmethod
    def parse(
        lines: Iterable[bytes], damage: TimelineDamage | None = None
    ) -> Iterator[dict[str, Any]]:
        """The events in lines of a timeline; what is no event is left out."""
        for number, line in enumerate(lines, start=1):
            event = _event(line)
            if event is not None:
                yield event
            elif damage is not None and line.strip():
                damage.note(number, torn=line.startswith(b"{") and not line.endswith(b"\n"))


@dataclass(slots=True)
class TimelineDamage:
    """Lines of a timeline that cannot be read."""

    count: int = 0
    first: int = 0
    """The number of the first one, from 1."""
    torn: bool = False
    """Does the last line break off, as a process leaves it that dies while it writes?"""

    def note(self, number: int, *, torn: bool) -> None:
        """A line that is no event. `torn`: it is the last one and has no line break."""
        if torn:
            self.torn = True
            return
        self.count += 1
        self.first = self.first or number


def _event(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None where there is none."""
    try:
        event = parse_json(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    return event if isinstance(event.get("at"), str) else None
