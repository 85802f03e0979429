"""Everything a verdict rests on, read from a run directory as it is, however it was cut short.

`RunRecord` is plain data and memory-mapped columns. What is missing is missing in it: no live set,
no drain, a journal that was never written, a line that breaks off. Whether a verdict is possible
without it is judged elsewhere; only a file that claims to be something it is not is an error.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness.arrays import I64, Rows
from harness.errors import RunDirError
from harness.record.codec import run_hash
from harness.record.keys import KeyTable
from harness.rundir.cells import Columns
from harness.rundir.columns import ColumnFile
from harness.rundir.consumption import Consumption, read_consumption
from harness.rundir.drained import Drain, DrainedPartition, read_drain
from harness.rundir.experiment_journal import ExperimentJournal, read_journal_document
from harness.rundir.hlog import Interval, intervals
from harness.rundir.latency import METRICS
from harness.rundir.read_times import Contested
from harness.rundir.replicas import ReplicaEvidence
from harness.rundir.rows import (
    BATCH,
    EXTRA,
    Counts,
    Written,
    cell_files,
    check_batches,
    checked_extras,
    mapped,
)
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.rundir.timeline import JoinedExperiment, Timeline, read_timeline
from harness.rundir.timeline_file import TimelineDamage, documents
from harness.rundir.transaction_steps import read_transactions
from harness.rundir.transactions import TransactionLog


@dataclass(slots=True)
class RecordedObservations:
    """One set of observations; `there` is false when it was never begun."""

    columns: dict[int, Columns] = field(default_factory=dict)
    extras: Rows = field(default_factory=lambda: np.zeros(0, dtype=EXTRA))
    batches: Rows = field(default_factory=lambda: np.zeros(0, dtype=BATCH))
    contested: dict[tuple[int, int], Contested] = field(default_factory=dict)
    """By topic-partition, when each of several records was read live at one offset."""
    there: bool = False

    @property
    def timed(self) -> bool:
        """Whether the instant of any reading is known."""
        return bool(len(self.batches) or self.contested)


@dataclass(frozen=True, slots=True)
class LatencyLogs:
    """The intervals of several HDR logs, read anew at every iteration: they are never all held."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Interval]:
        for path in self.paths:
            yield from intervals(path)


@dataclass(slots=True)
class Elsewhere:
    """What goes with a history that no run of this harness recorded: no controls, no faults."""

    notes: list[str] = field(default_factory=list)
    """Sentences that go with the verdict's reasons."""
    obstacles: list[str] = field(default_factory=list)
    """Why nothing can be proven by it."""
    once: bool = False
    """Can its format tell of one reading of each offset only?"""
    skipped: int = 0
    """Malformed lines that were left out, each of which may be what an anomaly lacks."""
    firm: frozenset[str] = frozenset()
    """Anomalies that no further line could undo."""
    undone: frozenset[str] = frozenset()
    """Anomalies that a last line which breaks off may have undone."""
    blind: dict[str, str] = field(default_factory=dict)
    """anomaly → why finding none of it proves nothing"""
    unsteady: bool = False
    """Do its instants contradict each other, so that no order follows from them?"""
    transaction_timeout_ms: int | None = None
    """The longest transaction.timeout.ms of all producers of its topics, if the history says."""
    aside: Rows = field(default_factory=lambda: np.zeros(0, dtype=EXTRA))
    """What only readings returned that are set aside by their isolation level: they are in neither
    set of observations, and say what is at their offsets."""
    nowhere: frozenset[int] = frozenset()
    """Topics that stand in place of others where no line says the partition of an attempt."""
    renewed: frozenset[int] = frozenset()
    """Topics that were deleted and created again, and what replaces those of other ids: there an
    acknowledged offset is left out where no line says of which it is."""
    keys: dict[tuple[int, int, int], KeyTable] = field(default_factory=dict)
    """(incarnation, topic, partition) → which key each cell has, where lines say any"""
    compacted: dict[int, bool] = field(default_factory=dict)
    """topic → whether it is compacted, where a line says it"""
    sequences: dict[tuple[int, int, int], I64] = field(default_factory=dict)
    """(incarnation, topic, partition) → the recorder's own number of each cell, where they are
    not 0, 1, 2 …: cells are dense, and numbers that others gave need not be"""


@dataclass(slots=True)
class RunRecord:
    """A run as it was recorded."""

    info: RunInfo
    ledgers: dict[int, Columns] = field(default_factory=dict)
    transactions: dict[int, TransactionLog] = field(default_factory=dict)
    live: RecordedObservations = field(default_factory=RecordedObservations)
    drained: RecordedObservations = field(default_factory=RecordedObservations)
    drain: Drain | None = None
    timeline: Timeline = field(default_factory=Timeline)
    journals: list[ExperimentJournal] = field(default_factory=list)
    replicas: ReplicaEvidence | None = None
    """What the brokers' log files showed; None where they could not be read."""
    latency: dict[tuple[str, str], Iterable[Interval]] = field(default_factory=dict)
    """(profile, metric) → intervals of one second of intended send time"""
    consumption: Consumption = field(default_factory=Consumption)
    elsewhere: Elsewhere | None = None
    """Set when this is no run of ours but a history."""

    def own_sequence(
        self, producer: int | None, topic: int, partition: int, sequence: int | None
    ) -> int | None:
        """The number that the recorder gave to the attempt of a cell."""
        if self.elsewhere is None or producer is None or sequence is None:
            return sequence
        numbers = self.elsewhere.sequences.get((producer, topic, partition))
        return sequence if numbers is None else int(numbers[sequence])

    def compacted(self, topic: int) -> bool:
        """Whether a topic keeps the last record of each key only; a history can say it itself."""
        by_settings = self.info.profile_of(topic).compacted
        if self.elsewhere is None:
            return by_settings
        return self.elsewhere.compacted.get(topic, by_settings)

    def partitions_of(self, topic: int) -> Sequence[int]:
        """The partitions of a topic; of a history those that it tells of."""
        if self.elsewhere is None or self.drain is None:
            return range(self.info.load.partitions)
        return [each for of, each in sorted(self.drain.partitions) if of == topic]

    def drained_partition(self, topic: int, partition: int) -> DrainedPartition:
        """The proof for a topic-partition; an unproven one where there is none."""
        if self.drain is not None:
            found = self.drain.partitions.get((topic, partition))
            if found is not None:
                return found
            reason = "the drain says nothing about it"
        else:
            reason = "it was not drained to the end"
        return DrainedPartition(topic, partition, False, 0, 0, None, None, reason)

    @property
    def without_ledger(self) -> list[int]:
        """Producers that began, as the timeline says, and whose ledger is not there."""
        return sorted(self.timeline.started - self.ledgers.keys())

    def unaccounted(self, incarnation: int) -> bool:
        """Whether a producer may have attempted anything that no ledger here tells of: it began, or
        its number was handed out and what it recorded never arrived."""
        if incarnation in self.ledgers:
            return False
        return incarnation in self.timeline.started or any(
            incarnation in each for each in self.timeline.awaited
        )

    def close(self) -> None:
        """Let go of the mapped files."""
        for columns in (self.ledgers, self.live.columns, self.drained.columns):
            for file in columns.values():
                file.close()


def load_run(run_dir: RunDir, number: int) -> RunRecord:
    """Read a run with the `number`-th drain.

    Raises RunDirError when run.json, a ledger or an observation file is not what it should be,
    or belongs to another run.
    """
    info = run_dir.read_info()
    run_number = run_hash(info.run_id)
    drained = run_dir.drained(number)
    drain = read_drain(drained, info)
    damage = TimelineDamage()
    timeline = read_timeline(documents(run_dir.timeline, damage))
    timeline.take(damage)
    return RunRecord(
        info=with_joined(info, timeline.experiments),
        ledgers=_columns(sorted(run_dir.ledger.glob("*.ledger")), run_number),
        transactions=_transactions(run_dir.ledger),
        live=_observations(
            run_dir.live,
            info,
            _written(
                timeline.read_live,
                whole=any(each.phase == "stopped" for each in timeline.reader),
                where=f"{run_dir.timeline}, event 'reader'",
            ),
        ),
        drained=_observations(
            drained,
            info,
            _written(
                drain.counts if drain is not None else None,
                whole=drain is not None and drain.counts is not None,
                where=str(drained / "drain.json"),
            ),
        ),
        drain=drain,
        timeline=timeline,
        journals=_journals(run_dir, info, timeline.experiments),
        replicas=load_replicas(run_dir, number),
        latency=_latency(run_dir.latency, info),
        consumption=read_consumption(
            run_dir.members, drained, info, whole=drain is not None and drain.counts is not None
        ),
    )


def load_replicas(run_dir: RunDir, number: int) -> ReplicaEvidence | None:
    """What was noted of the brokers' log files; None when nothing was.

    Raises RunDirError for a file that is no such note.
    """
    paths = [path for path in (run_dir.replicas(number),) if path.exists()]
    found: ReplicaEvidence | None = None
    for path in [*paths, *run_dir.all_dead_logs]:
        part = ReplicaEvidence.read_from(path)
        if found is None:
            found = part
        else:
            found.logs += part.logs
            found.sought += part.sought
            found.dead += part.dead
    return found


def _columns(paths: Iterable[Path], run: int) -> dict[int, Columns]:
    """Column files by incarnation. One without a header was never written to."""
    found: dict[int, ColumnFile] = {}
    for path in paths:
        if path.stat().st_size == 0:
            continue
        file = ColumnFile.open(path)
        if file.run != run:
            raise RunDirError(
                f"{path}: belongs to another run (hash {file.run:016x}, this one's is {run:016x}). "
                "A run directory holds one run; restore its own file."
            )
        if str(file.incarnation) != path.stem:
            raise RunDirError(
                f"{path}: says that it belongs to producer {file.incarnation}; its name says "
                f"{path.stem}. Restore the file as its writer left it."
            )
        if file.incarnation in found:
            found[file.incarnation].include(file)
        else:
            found[file.incarnation] = file
    return dict(found)


def _transactions(folder: Path) -> dict[int, TransactionLog]:
    """The logs of transactions by incarnation. What is damaged in one is named in it."""
    found: dict[int, TransactionLog] = {}
    for path in sorted(folder.glob("*.txn.ndjson")):
        number = path.name.split(".")[0]
        if number.isdecimal():
            with path.open("rb") as lines:
                found[int(number)] = read_transactions(lines)
    return found


def _observations(folder: Path, info: RunInfo, written: Written) -> RecordedObservations:
    if not folder.is_dir():
        return RecordedObservations()
    batches = mapped(folder / "batches.bin", BATCH, whole=written.whole)
    check_batches(folder / "batches.bin", batches, info)
    return RecordedObservations(
        columns=_columns(cell_files(folder), run_hash(info.run_id)),
        extras=checked_extras(folder, info, written),
        batches=batches,
        there=True,
    )


def _written(counts: Mapping[str, int] | None, *, whole: bool, where: str) -> Written:
    """How a set was written. Raises RunDirError for counts that no set has."""
    if counts is None:
        return Written(whole)
    try:
        return Written(whole, Counts(**counts))
    except TypeError as error:
        raise RunDirError(f"{where}: not the counts of a set of observations ({error}).") from None


def with_joined(info: RunInfo, joined: Sequence[JoinedExperiment]) -> RunInfo:
    """A run as if the experiments that ran beside it had been its own: what they aim at counts.

    Where two aim at the same anomaly, the first names the control, the run's own before others.
    """
    aims = dict(info.aims)
    fault_aims = {fault: set(anomalies) for fault, anomalies in info.fault_aims.items()}
    for each in joined:
        for anomaly, control in each.aims.items():
            aims.setdefault(anomaly, control)
        for fault in each.faults:
            fault_aims.setdefault(fault, set()).update(each.aims)
    return replace(
        info,
        aims=aims,
        fault_aims={fault: sorted(anomalies) for fault, anomalies in fault_aims.items()},
        faults_planned=info.faults_planned + sum(len(each.faults) for each in joined),
    )


def _journals(
    run_dir: RunDir, info: RunInfo, joined: Sequence[JoinedExperiment]
) -> list[ExperimentJournal]:
    """One for each experiment of the run and beside it, and for each journal that lies there."""
    names = dict(enumerate(info.experiments, 1))
    for each in joined:
        names.setdefault(each.journal, each.title)
    found = {number: read_journal_document(run_dir.journal(number)) for number in names}
    for number in range(1, len(run_dir.journals) + 1):
        if number not in names:
            found[number] = document = read_journal_document(run_dir.journal(number))
            experiment = document.get("experiment") if document else None
            title = experiment.get("title") if isinstance(experiment, Mapping) else None
            names[number] = str(title or f"experiment {number}")
    return [ExperimentJournal(number, names[number], found[number]) for number in sorted(found)]


def _latency(folder: Path, info: RunInfo) -> dict[tuple[str, str], Iterable[Interval]]:
    found: dict[tuple[str, str], Iterable[Interval]] = {}
    for profile in info.profiles:
        for metric in METRICS:
            paths = tuple(sorted(folder.glob(f"{profile.profile}.{metric}.*.hlog")))
            if paths:
                found[profile.profile, metric] = LatencyLogs(paths)
    return found
