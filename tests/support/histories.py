"""Tiny helpers to write down what happened in a run, and the run directory that tells it.

A history is a list of events, each made by a helper below; coordinates that do not matter to a
test have defaults (topic 0, partition 0, producer 1). `write_run` turns it into the files that a
real run leaves behind, and `judged` and `reconciled` read those with the real code.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.anomalies import (
    ANOMALIES,
    CONSUMER_ANOMALIES,
    PROMISES,
    TRANSACTION_ANOMALIES,
    anomaly_of,
)
from harness.judge.judge import judge
from harness.reconcile.findings import ProfileFindings
from harness.reconcile.reconcile import reconcile
from harness.record.codec import run_hash
from harness.rundir.clock import from_us
from harness.rundir.columns import (
    ACKED_NO_OFFSET,
    FAILED,
    OPEN,
    SENT,
    UNKNOWN,
    ColumnFile,
    pack_offsets,
)
from harness.rundir.consumption import INPUT_ROW
from harness.rundir.member_journal import (
    NO_POSITION,
    SYNCHRONOUS,
    JournalWriter,
    Step,
    journal_path,
)
from harness.rundir.rows import BATCH, COPY, CORRUPT, EXTRA, FOREIGN, MISROUTED, STRAY
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ConsumeRun, LoadPlan, ProfileRun, RunInfo
from harness.rundir.run_record import RunRecord, load_run
from harness.rundir.verdict import Verdict

RUN_ID = "20250101-000000-abcd"
START_US = 1_700_000_000_000_000


@dataclass(frozen=True)
class Attempt:
    """A ledger cell: what became of an attempt. `at`: its acknowledged offset."""

    sequence: int
    state: int
    at: int | None = None
    topic: int = 0
    partition: int = 0
    producer: int = 1


def attempted(sequence: int, **where: int) -> Attempt:
    """Handed to the client, and nothing more is known: its process died."""
    return Attempt(sequence, OPEN, **where)


def acked(sequence: int, at: int | None = None, **where: int) -> Attempt:
    """Acknowledged, at an offset or (after a duplicate sequence) without one."""
    return Attempt(sequence, ACKED_NO_OFFSET, at, **where)


def sent(sequence: int, **where: int) -> Attempt:
    """acks=0: written to a socket without error."""
    return Attempt(sequence, SENT, **where)


def failed(sequence: int, **where: int) -> Attempt:
    """Certainly absent."""
    return Attempt(sequence, FAILED, **where)


def unknown(sequence: int, **where: int) -> Attempt:
    """May or may not be there."""
    return Attempt(sequence, UNKNOWN, **where)


@dataclass(frozen=True)
class Read:
    """A record that was read back, by the drain or by the live reader."""

    at: int
    sequence: int = 0
    kind: str = "ours"
    live: bool = False
    topic: int = 0
    partition: int = 0
    producer: int = 1
    stray: bool = False
    run: int = 0
    leader_epoch: int = -1


def drained(sequence: int, at: int, **more: Any) -> Read:
    """An intact record of this run, read by the drain; `stray=True` for one that got no cell."""
    return Read(at, sequence, **more)


def live(sequence: int, at: int, **more: Any) -> Read:
    """An intact record of this run, read by the live reader."""
    return Read(at, sequence, live=True, **more)


def observed(sequence: int, at: int, **more: Any) -> list[Read]:
    """Read by both, as it should be."""
    return [drained(sequence, at, **more), live(sequence, at, **more)]


def corrupt(at: int, **more: Any) -> Read:
    """A record whose checksum differs."""
    return Read(at, kind="corrupt", **more)


def misrouted(sequence: int, at: int, **more: Any) -> Read:
    """A record of this run whose identity names another topic or partition."""
    return Read(at, sequence, kind="misrouted", **more)


def foreign(at: int, run: int = 77, **more: Any) -> Read:
    """A record of another run."""
    return Read(at, kind="foreign", run=run, **more)


@dataclass(frozen=True)
class Txn:
    """A transaction's lines; `ranges`: (topic, partition) → (first, last) sequence."""

    number: int
    steps: tuple[tuple[str, int], ...]
    ranges: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    producer: int = 1


def txn(
    number: int,
    end: str,
    first: int,
    last: int,
    *,
    called_us: int = START_US,
    ranges: dict[tuple[int, int], tuple[int, int]] | None = None,
    producer: int = 1,
) -> Txn:
    """A transaction over sequences first…last of topic 0, partition 0 (or over `ranges`).

    end: `committed`, `aborted`, `unknown` (the commit's outcome), `uncalled` (never ended, with
    its ranges on record), `commit_called` or `abort_called` (the process died in the call).
    """
    steps = {
        "committed": ("begin", "commit_called", "committed"),
        "unknown": ("begin", "commit_called", "unknown"),
        "commit_called": ("begin", "commit_called"),
        "aborted": ("begin", "abort_called", "aborted"),
        "abort_called": ("begin", "abort_called"),
        "uncalled": ("begin", "unknown"),
        "begin": ("begin",),
    }[end]
    return Txn(
        number,
        tuple((step, called_us) for step in steps),
        {(0, 0): (first, last)} if ranges is None else ranges,
        producer,
    )


@dataclass(frozen=True)
class Batch:
    """A stretch of offsets that the live reader was given at an instant."""

    first: int
    last: int
    read_us: int
    topic: int = 0
    partition: int = 0


def read_at(first: int, last: int, read_us: int, **where: int) -> Batch:
    """Offsets first…last were read live at that instant."""
    return Batch(first, last, read_us, **where)


@dataclass(frozen=True)
class Proof:
    """What the drain says about a topic-partition, where it is not simply complete."""

    partition: int = 0
    topic: int = 0
    complete: bool = True
    start: int = 0
    end: int | None = None
    last_stable: int | None = None
    log_start_after: int | None = None
    read: int | None = None
    topic_id: str | None = None
    reason: str = ""


def unproven(partition: int = 0, topic: int = 0, **more: Any) -> Proof:
    """A topic-partition whose drain is not proven complete."""
    return Proof(partition, topic, False, reason="its end was not reached", **more)


@dataclass(frozen=True)
class Did:
    """An entry of a member's journal. Its instant is its place in the history, unless told."""

    step: Step
    offset: int = -1
    member: int = 1
    partition: int = 0
    topic: int = 0
    flags: int = 0
    detail: int = 0
    at_us: int | None = None


def assigned(at: int = NO_POSITION, **more: int) -> Did:
    """A partition was assigned; reading starts at `at`."""
    return Did(Step.ASSIGNED, at, **more)


def revoked(**more: int) -> Did:
    """A partition was given up in order."""
    return Did(Step.REVOKED, **more)


def lost(**more: int) -> Did:
    """A partition was taken away."""
    return Did(Step.LOST, **more)


def polled(*offsets: int, **more: int) -> list[Did]:
    """Records were handed over."""
    return [Did(Step.POLLED, offset, **more) for offset in offsets]


def begun(*offsets: int, **more: int) -> list[Did]:
    """Processing of records began."""
    return [Did(Step.BEGIN, offset, **more) for offset in offsets]


def done(*offsets: int, **more: int) -> list[Did]:
    """The effects of records happened."""
    return [Did(Step.EFFECT, offset, **more) for offset in offsets]


def worked(*offsets: int, **more: int) -> list[Did]:
    """Processing of records, begun and done."""
    return [step for offset in offsets for step in (*begun(offset, **more), *done(offset, **more))]


def committed(offset: int, *, synchronous: bool = True, **more: int) -> Did:
    """A commit was confirmed; `offset` is the next to read."""
    return Did(Step.COMMITTED, offset, flags=SYNCHRONOUS if synchronous else 0, **more)


def called(offset: int, **more: int) -> Did:
    """A synchronous commit was called."""
    return Did(Step.COMMIT_CALLED, offset, **more)


def accepted(*offsets: int, **more: int) -> list[Did]:
    """Records were acknowledged as processed in a share group, and that was confirmed."""
    return [
        Did(Step.ACKNOWLEDGED, offset, flags=SYNCHRONOUS, **{"detail": 1, **more})
        for offset in offsets
    ]


def closed(**more: int) -> Did:
    """The member left its group in order."""
    return Did(Step.CLOSED, **more)


@dataclass(frozen=True)
class GroupAt:
    """The offset that the group had committed at the end."""

    offset: int
    partition: int = 0


def group_at(offset: int, partition: int = 0) -> GroupAt:
    """The group's committed offset of a partition of topic 0."""
    return GroupAt(offset, partition)


@dataclass(frozen=True)
class Output:
    """An output record of a pipeline and the offset of the input that it was made of."""

    at: int
    of: int
    partition: int = 0
    topic: int = 1
    input_topic: int = 0


def output(at: int, of: int, **more: int) -> Output:
    """The record at offset `at` of topic 1 was made of the one at offset `of` of topic 0."""
    return Output(at, of, **more)


def records(count: int, first: int = 0, **where: int) -> list[Any]:
    """Acknowledged records at the offsets first…first+count-1, read back by both readers."""
    return [
        each
        for at in range(first, first + count)
        for each in (acked(at, at, **where), *observed(at, at, **where))
    ]


@dataclass(frozen=True)
class Event:
    """A line of the timeline, as it stands there."""

    fields: dict[str, Any]


def event(name: str, /, at_us: int = START_US, **fields: Any) -> Event:
    """Any timeline event."""
    return Event({"at": from_us(at_us), "event": name, "source": "test", **fields})


SLOT_US = 250_000


def slot(topic: str, number: int, partition: int = 0, **counts: Any) -> Event:
    """The load event of the n-th slot of 250 ms of a topic-partition."""
    from_us = START_US + number * SLOT_US
    fields = {"attempted": 0, "acked": 0, "failed": 0, "unknown": 0, **counts}
    return event(
        "load",
        from_us + SLOT_US,
        profile="",
        topic=topic,
        partition=partition,
        from_us=from_us,
        to_us=from_us + SLOT_US,
        ack_ms_max=1.0,
        **fields,
    )


def fault(
    phase: str, at_slot: float = 0, fault_id: str = "f", name: str = "kill_leader", **fields: Any
) -> Event:
    """One phase of a fault; `at_slot` counts slots of 250 ms from the start."""
    return event(
        "fault",
        START_US + round(at_slot * SLOT_US),
        fault_id=fault_id,
        fault=name,
        phase=phase,
        target=fields.pop("target", "broker 1"),
        **fields,
    )


def profile(name: str = "idempotent", **more: Any) -> ProfileRun:
    """A profile of a run, with one topic and every promise unless told otherwise."""
    topics = more.pop("topics", [f"harness-{RUN_ID}-{name}"])
    transactional = more.pop("transactional", False)
    settings: dict[str, Any] = {
        "role": "subject",
        "producer": {"acks": "all", "enable.idempotence": True},
        "consumer": {},
        "topic": {},
        "promises": [
            promise
            for promise in PROMISES
            if (transactional or anomaly_of(promise) not in TRANSACTION_ANOMALIES)
            and (more.get("consume") or anomaly_of(promise) not in CONSUMER_ANOMALIES)
        ],
    }
    if transactional:
        settings["producer"]["transactional.id"] = "t"
    settings.update(more)
    return ProfileRun(
        profile=name, topics=topics, topic_ids=[f"id-{topic}" for topic in topics], **settings
    )


def consuming(mode: str = "commit-after", **more: Any) -> ProfileRun:
    """A profile with consumers that promises everything; a pipeline has an output topic too."""
    pipeline = mode == "transactional"
    name = more.pop("name", "exactly-once-pipeline" if pipeline else f"consume-{mode}")
    consume = ConsumeRun(
        mode=mode,
        protocol="classic",
        members=2,
        processing_ms=1.0,
        group=f"harness-{RUN_ID}-{name}",
    )
    if pipeline:
        more.setdefault("topics", [f"{name}-in", f"{name}-out"])
    return profile(name, consume=consume, transactional=pipeline, **more)


def run_info(profiles: list[ProfileRun], **more: Any) -> RunInfo:
    """run.json of a run without experiments, unless told otherwise."""
    load = LoadPlan(
        rate_per_s=1000.0,
        schedule="constant",
        duration_s=None,
        message_bytes=100,
        keys=0,
        partitions=more.pop("partitions", 1),
        producers=1,
        warm_up_s=0.0,
        lag_limit_ms=100.0,
    )
    settings: dict[str, Any] = {
        "run_id": RUN_ID,
        "seed": 7,
        "command": ["harness", "run"],
        "bootstrap": "127.0.0.1:9092",
        "cluster_id": "cluster",
        "versions": {},
        "experiments": [],
        "aims": {},
    }
    settings.update(more)
    return RunInfo(profiles=profiles, load=load, **settings)


HEALTHY = [
    event("run", phase="load_started"),
    event("run", phase="load_stopped"),
    event("generator", lag_ms_max=1.0),
    event("reader", phase="started"),
    event("reader", phase="stopped"),
]
"""Events of a run in which nothing went wrong."""


def flat(history: Iterable[Any]) -> list[Any]:
    """A history without its nested lists."""
    result: list[Any] = []
    for each in history:
        result.extend(flat(each) if isinstance(each, list) else [each])
    return result


def write_run(
    path: Path,
    history: Iterable[Any],
    *,
    info: RunInfo | None = None,
    healthy: bool = True,
    closed: bool = True,
    drain: bool = True,
    live_set: bool = True,
    journals: Iterable[dict[str, Any]] = (),
) -> RunDir:
    """Write the run directory of a history. `drain=False`: the drain never came to its proof."""
    info = info or run_info([profile()])
    events = flat(history)
    run_dir = RunDir.create(path)
    run_dir.write_info(info)
    _write_ledgers(run_dir, info, [e for e in events if isinstance(e, Attempt)], closed)
    reads = [e for e in events if isinstance(e, Read)]
    _write_set(run_dir.drained(1), info, [read for read in reads if not read.live])
    if live_set:
        _write_set(run_dir.live, info, [read for read in reads if read.live])
        _write_batches(run_dir.live, [e for e in events if isinstance(e, Batch)])
    for each in events:
        if isinstance(each, Txn):
            _write_txn(run_dir, each)
    _write_members(run_dir, info, events)
    if drain:
        _write_proof(run_dir, info, reads, [e for e in events if isinstance(e, Proof)])
    lines = [*(HEALTHY + _watched(info) if healthy else []), *events]
    if live_set and healthy:
        stopped = event("reader", phase="stopped", counts=counts_of(run_dir.live))
        lines[lines.index(HEALTHY[-1])] = stopped
    with run_dir.timeline.open("w") as timeline:
        for line in lines:
            if isinstance(line, Event):
                timeline.write(json.dumps(line.fields) + "\n")
    for number, journal in enumerate(journals, 1):
        run_dir.journal(number).write_text(json.dumps(journal))
    return run_dir


def _watched(info: RunInfo) -> list[Event]:
    return [
        event("offsets", topic=topic, partition=partition, last_stable=0, high_watermark=0)
        for each in info.profiles
        if each.transactional
        for topic in each.topics
        for partition in range(info.load.partitions)
    ]


def _write_ledgers(run_dir: RunDir, info: RunInfo, attempts: list[Attempt], closed: bool) -> None:
    for producer in sorted({attempt.producer for attempt in attempts}):
        mine = [attempt for attempt in attempts if attempt.producer == producer]
        ledger = ColumnFile.create(
            run_dir.ledger / f"{producer}.ledger",
            run=run_hash(RUN_ID),
            incarnation=producer,
            kind="ledger",
            profile=info.profile_of(mine[0].topic).profile,
        )
        for each in mine:
            key = (each.topic, each.partition)
            ledger.mark(*key, each.sequence, 1, each.state)
            if each.at is not None:
                packed = pack_offsets(np.array([each.at]))
                ledger.scatter(*key, np.array([each.sequence], dtype=np.uint64), *packed)
        ledger.close(cleanly=closed)


_KINDS = {"corrupt": CORRUPT, "misrouted": MISROUTED, "foreign": FOREIGN}


def _write_set(folder: Path, info: RunInfo, reads: list[Read]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[int, ColumnFile] = {}
    first: dict[tuple[int, int, int, int], Read] = {}
    rows: list[Read] = []
    for read in reads:
        key = (read.producer, read.topic, read.partition, read.sequence)
        if read.kind != "ours" or read.stray:
            rows.append(read)
        elif key not in first:
            first[key] = read
        elif read.at < first[key].at:
            rows.append(first[key])
            first[key] = read
        elif read.at > first[key].at:
            rows.append(read)
    for (producer, topic, partition, sequence), read in first.items():
        if producer not in files:
            files[producer] = ColumnFile.create(
                folder / f"{producer}.obs",
                run=run_hash(RUN_ID),
                incarnation=producer,
                kind="live" if read.live else "drained",
                profile=info.profile_of(topic).profile,
            )
        packed = pack_offsets(np.array([read.at]))
        files[producer].scatter(topic, partition, np.array([sequence], np.uint64), *packed)
    for file in files.values():
        file.close()
    extras = np.zeros(len(rows), dtype=EXTRA)
    for row, read in zip(extras, rows, strict=True):
        row["kind"] = _KINDS.get(read.kind, STRAY if read.stray else COPY)
        row["topic"], row["partition"], row["offset"] = read.topic, read.partition, read.at
        row["leader_epoch"] = read.leader_epoch
        if read.kind != "corrupt":
            row["incarnation"], row["sequence"] = read.producer, read.sequence
            row["run"] = read.run if read.kind == "foreign" else run_hash(RUN_ID)
            row["identity_topic"], row["identity_partition"] = read.topic, read.partition
            if read.kind == "misrouted":
                row["identity_partition"] += 1
    (folder / "extras.bin").write_bytes(extras.tobytes())


def counts_of(folder: Path) -> dict[str, int]:
    """What the writer of a set says of it; how many cells it has, nobody compares."""
    kinds = np.fromfile(folder / "extras.bin", dtype=EXTRA)["kind"].tolist()
    names = {"copies": COPY, "corrupt": CORRUPT, "misrouted": MISROUTED, "foreign": FOREIGN}
    return {name: kinds.count(kind) for name, kind in (names | {"stray": STRAY}).items()}


def _write_batches(folder: Path, batches: list[Batch]) -> None:
    rows = np.zeros(len(batches), dtype=BATCH)
    for row, batch in zip(rows, batches, strict=True):
        row["topic"], row["partition"], row["read_us"] = batch.topic, batch.partition, batch.read_us
        row["first_offset"], row["last_offset"] = batch.first, batch.last
    (folder / "batches.bin").write_bytes(rows.tobytes())


def _write_txn(run_dir: RunDir, each: Txn) -> None:
    ranges = {f"{topic}:{part}": list(span) for (topic, part), span in each.ranges.items()}
    with (run_dir.ledger / f"{each.producer}.txn.ndjson").open("a") as lines:
        for step, at_us in each.steps:
            line: dict[str, Any] = {"txn": each.number, "step": step, "at_us": at_us}
            if step in ("commit_called", "abort_called") or (
                step == "unknown" and len(each.steps) == 2
            ):
                line["ranges"] = ranges
            lines.write(json.dumps(line) + "\n")


def _write_members(run_dir: RunDir, info: RunInfo, events: list[Any]) -> None:
    """Journals, committed offsets and a pipeline's inputs, where the history has any."""
    entries = [each for each in events if isinstance(each, Did)]
    for member in sorted({each.member for each in entries}):
        writer = JournalWriter(
            journal_path(run_dir.members, info.profiles[0].profile, member),
            run=run_hash(RUN_ID),
            member=member,
        )
        for place, each in enumerate(entries):
            if each.member == member:
                writer.write(
                    each.step,
                    START_US + 1000 * place if each.at_us is None else each.at_us,
                    topic=each.topic,
                    partition=each.partition,
                    offset=each.offset,
                    detail=each.detail,
                    flags=each.flags,
                )
        writer.close()
    folder, consume = run_dir.drained(1), info.profiles[0].consume
    offsets = {f"0:{each.partition}": each.offset for each in events if isinstance(each, GroupAt)}
    if offsets and consume is not None:
        (folder / "groups.json").write_text(json.dumps({consume.group: offsets}))
    outputs = [each for each in events if isinstance(each, Output)]
    if len(info.topics) > 1 and consume is not None:
        rows = np.zeros(len(outputs), dtype=INPUT_ROW)
        for row, output in zip(rows, outputs, strict=True):
            row["output_offset"], row["input_offset"] = output.at, output.of
            row["partition"], row["topic"] = output.partition, output.topic
            row["input_topic"] = output.input_topic
        (folder / "inputs.bin").write_bytes(rows.tobytes())


def _write_proof(run_dir: RunDir, info: RunInfo, reads: list[Read], proofs: list[Proof]) -> None:
    given = {(proof.topic, proof.partition): proof for proof in proofs}
    counted: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    number: defaultdict[tuple[int, int], int] = defaultdict(int)
    for read in reads:
        if not read.live:
            counted[read.topic, read.partition].add(read.at)
            number[read.topic, read.partition] += 1
    entries = []
    for topic, name in enumerate(info.topics):
        for partition in range(info.load.partitions):
            key = (topic, partition)
            proof = given.get(key, Proof(partition, topic))
            end = max(counted[key], default=-1) + 1 if proof.end is None else proof.end
            entries.append(
                {
                    "topic": name,
                    "partition": partition,
                    "topic_id": proof.topic_id or info.topic_ids[topic],
                    "start": proof.start,
                    "end": end,
                    "last_stable": end if proof.last_stable is None else proof.last_stable,
                    "isr": [1, 2, 3],
                    "replicas": [1, 2, 3],
                    "position": end,
                    "read": number[key] if proof.read is None else proof.read,
                    "holes": 0,
                    "eof": proof.complete,
                    "log_start_after": proof.start
                    if proof.log_start_after is None
                    else proof.log_start_after,
                    "complete": proof.complete,
                    "reason": proof.reason,
                }
            )
    document = {
        "started_at": from_us(START_US + 60_000_000),
        "ended_at": from_us(START_US + 61_000_000),
        "complete": all(entry["complete"] for entry in entries),
        "cluster_id": "cluster",
        "reasons": [],
        "partitions": entries,
        "counts": counts_of(run_dir.drained(1)),
    }
    (run_dir.drained(1) / "drain.json").write_text(json.dumps(document))


def run_record_of(path: Path, history: Iterable[Any], **options: Any) -> RunRecord:
    """The evidence that a history leaves behind."""
    return load_run(write_run(path, history, **options), 1)


def reconciled(path: Path, history: Iterable[Any], **options: Any) -> ProfileFindings:
    """What reconciling finds about the first profile of a history."""
    return reconcile(run_record_of(path, history, **options))[0]


def anomalies(found: ProfileFindings) -> dict[str, int]:
    """The anomalies that were found, those with a count."""
    return {name: found.counts[name] for name in ANOMALIES if found.counts[name]}


def judged(path: Path, history: Iterable[Any], **options: Any) -> Verdict:
    """The verdict on a history."""
    return judge(run_record_of(path, history, **options))
