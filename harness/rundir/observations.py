"""What was read back: one cell for each attempt's first copy, one row for everything else.

A set of observations is a folder:

    <incarnation>.obs   packed columns (columns.py): the lowest offset at which each attempt
                        of this run was read, on the topic-partition that it was meant for
    extras.bin          rows of dtype EXTRA: whatever is not the first copy of such an attempt
    batches.bin         rows of dtype BATCH (live reading of read_committed topics): when a stretch
                        of offsets was returned by the client

Each record that was read is one of these, in this order of precedence:

1. corrupt: too short, without our magic, or its checksum differs; nothing else is known of it;
2. foreign: its checksum holds, but it belongs to another run;
3. misrouted: this run's, but on another topic or partition than its identity says; one whose
   identity says no partition is at home on each of its topic;
4. stray: this run's identity that gets no cell, because its sequence lies absurdly far ahead or
   because there are more incarnations than files; it is judged by its identity like a cell;
5. copy: the attempt has its cell already, at another offset;
6. the first copy: its offset is in the cell.

A set that several processes read is in parts: `part-<n>/` holds the same files for topic-partitions
that no other part has.

So `read = cells + extras` holds exactly for a set that reads each offset once. A live set may read
offsets again, after a log was truncated: the same attempt at the same offset is then no copy
(`again` counts it), and rows that repeat are dropped.
"""

from __future__ import annotations

import itertools
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from harness.arrays import U32, U64, Bools, Indices, Rows
from harness.errors import RunDirError
from harness.record.codec import ANY_PARTITION, run_hash
from harness.record.codecs import codec_named
from harness.rundir.anywhere import READ_ANYWHERE
from harness.rundir.columns import ColumnFile, pack_offsets, unpack_offsets
from harness.rundir.read_batch import Ints, ReadBatch
from harness.rundir.rows import (
    COPY,
    CORRUPT,
    EXTRA,
    FOREIGN,
    MISROUTED,
    STRAY,
    AppendedRows,
    Counts,
)
from harness.rundir.run_info import RunInfo

_SPARE_FILES: Final = 192
_INCARNATIONS_MAX: Final = 4096
_CELLS_AHEAD: Final = 1 << 20
_UNKNOWN_EPOCH: Final = -1
_STRETCHES_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a batch: the decoded heads, and which records filled a new cell."""

    heads: Rows
    fresh: Bools


class ObservationSet:
    """Writes one set of observations; not safe for two threads.

    Its memory does not grow with what is read: cells live in file mappings.
    """

    def __init__(
        self,
        folder: Path,
        info: RunInfo,
        *,
        kind: str,
        incarnations_max: int | None = None,
    ) -> None:
        """Start a set in `folder`, which must not hold one. `kind` is `live` or `drained`.

        Raises RunDirError when the folder holds observations already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.kind = kind
        self.counts = Counts()
        self._info = info
        self._run = run_hash(info.run_id)
        self._run_in_heads = np.uint64(codec_named(info.load.codec).run_number(info.run_id))
        self._files: dict[int, ColumnFile] = {}
        self._files_max = _files_max() if incarnations_max is None else incarnations_max
        try:
            self._extras = AppendedRows(folder / "extras.bin")
        except FileExistsError:
            raise RunDirError(
                f"{folder}: holds a set of observations already, and a set is written once."
            ) from None

    def add(self, batch: ReadBatch) -> Added:
        """Record a batch. Raises EnvironmentFailure when the disk is full."""
        decoded = batch.decoded
        heads = decoded.heads
        added = Added(heads, np.zeros(len(heads), dtype=np.bool_))
        self.counts.read += len(heads)
        ours = decoded.intact & (heads["run"] == self._run_in_heads)
        good = ours & (heads["topic"] == batch.topics) & (heads["partition"] == batch.partitions)
        rows: list[Rows] = []
        kept: Indices | None = None
        partitions = batch.partitions
        if not good.all():
            anywhere = ours & (heads["topic"] == batch.topics)
            anywhere &= heads["partition"] == ANY_PARTITION
            good |= anywhere
            partitions = np.where(anywhere, partitions | READ_ANYWHERE, partitions)
            kept, odd = np.flatnonzero(good), np.flatnonzero(~good)
            kinds = np.select([~decoded.intact[odd], ~ours[odd]], [CORRUPT, FOREIGN], MISROUTED)
            rows.append(_rows(batch, kinds, odd, heads))
            self.counts.corrupt += int(np.count_nonzero(kinds == CORRUPT))
            self.counts.foreign += int(np.count_nonzero(kinds == FOREIGN))
            self.counts.misrouted += int(np.count_nonzero(kinds == MISROUTED))
        for chosen in _groups(batch.topics, partitions, heads["incarnation"], kept):
            rows += self._place(batch, partitions, chosen, added)
        if rows:
            self._extras.append(np.concatenate(rows))
        return added

    def _place(
        self, batch: ReadBatch, partitions: Ints, chosen: slice | Indices, added: Added
    ) -> list[Rows]:
        """Put the records of one incarnation × topic-partition into cells; rows for the others.

        partitions: as the set keeps them apart.
        """
        sequences: U64 = added.heads["sequence"][chosen]
        offsets = batch.offsets[chosen]
        first = chosen.start if isinstance(chosen, slice) else int(chosen[0])
        topic, partition = int(batch.topics[first]), int(partitions[first])
        file = self._file(int(added.heads["incarnation"][first]), topic)
        # Sequences are dense within a partition, and attempts outnumber appended records only by
        # what was lost. One far beyond its offset is made up; cells up to it would fill the disk.
        lanes = self._info.load.partitions if partition & READ_ANYWHERE else 1
        limit = 2 * lanes * (int(offsets.max()) + 1) + _CELLS_AHEAD
        if file is not None and int(sequences.max()) < limit:
            if _fill_empty(file, topic, partition, sequences, offsets):
                added.fresh[chosen] = True
                self.counts.cells += len(sequences)
                return []
            return self._merge(batch, file, partition, np.arange(len(added.fresh))[chosen], added)
        indices = np.arange(len(added.fresh))[chosen]
        far = sequences >= np.uint64(limit) if file is not None else np.ones(len(indices), np.bool_)
        stray = indices[far]
        self.counts.stray += len(stray)
        rows = [_rows(batch, np.full(len(stray), STRAY), stray, added.heads)]
        if len(stray) < len(indices):
            rows += self._place(batch, partitions, indices[~far], added)
        return rows

    def _merge(
        self, batch: ReadBatch, file: ColumnFile, partition: int, indices: Indices, added: Added
    ) -> list[Rows]:
        """As `_place`, where some attempts have a cell already or come twice in the batch."""
        topic = int(batch.topics[indices[0]])
        rows: list[Rows] = []
        while len(indices):
            # One round for each copy within the batch: the first of every sequence, then the next.
            _, firsts = np.unique(added.heads["sequence"][indices], return_index=True)
            now, indices = indices[firsts], np.delete(indices, firsts)
            sequences: U64 = added.heads["sequence"][now]
            offsets = batch.offsets[now]
            held = unpack_offsets(*file.gather(topic, partition, sequences))
            empty = held < 0
            copied = ~empty & (offsets != held)
            lower = copied & (offsets < held)
            written = empty | lower
            file.scatter(topic, partition, sequences[written], *pack_offsets(offsets[written]))
            added.fresh[now[empty]] = True
            self.counts.cells += int(np.count_nonzero(empty))
            self.counts.copies += int(np.count_nonzero(copied))
            self.counts.again += int(np.count_nonzero(~empty & ~copied))
            if copied.any():
                copies = now[copied]
                row = _rows(batch, np.full(len(copies), COPY), copies, added.heads)
                # The cell keeps the lowest offset; what it held until now becomes the row.
                row["offset"][lower[copied]] = held[lower]
                row["leader_epoch"][lower[copied]] = _UNKNOWN_EPOCH
                rows.append(row)
        return rows

    def _file(self, incarnation: int, topic: int) -> ColumnFile | None:
        file = self._files.get(incarnation)
        if file is None and len(self._files) < self._files_max:
            file = ColumnFile.create(
                self.folder / f"{incarnation}.obs",
                run=self._run,
                incarnation=incarnation,
                kind=self.kind,
                profile=self._info.profile_of(topic).profile,
            )
            self._files[incarnation] = file
        return file

    def close(self, *, cleanly: bool = True) -> None:
        """Let go of all files; safe to call again."""
        for file in self._files.values():
            file.close(cleanly=cleanly)
        self._files.clear()
        self._extras.close()

    def __enter__(self) -> ObservationSet:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(cleanly=kind is None)


def _files_max() -> int:
    """How many incarnations get a file: each keeps one open, and the client needs some too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _INCARNATIONS_MAX + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _INCARNATIONS_MAX if soft == resource.RLIM_INFINITY else max(16, soft - _SPARE_FILES)


def _groups(
    topics: Ints, partitions: Ints, incarnations: U32, kept: Indices | None
) -> list[slice] | list[Indices]:
    """The positions of each incarnation × topic-partition, in the order read; `kept` or all."""
    if kept is not None:
        topics, partitions, incarnations = topics[kept], partitions[kept], incarnations[kept]
    count = len(topics)
    if not count:
        return []
    where = (topics.astype(np.int64) << 32) | partitions.astype(np.int64)
    changes = (where[1:] != where[:-1]) | (incarnations[1:] != incarnations[:-1])
    breaks = np.flatnonzero(changes) + 1
    if kept is None and len(breaks) <= _STRETCHES_MAX:
        # A few stretches: each is its own group, even where one comes back.
        return [slice(a, b) for a, b in itertools.pairwise([0, *breaks.tolist(), count])]
    order = np.lexsort((incarnations, where))
    where, incarnations = where[order], incarnations[order]
    changes = (where[1:] != where[:-1]) | (incarnations[1:] != incarnations[:-1])
    groups = np.split(order if kept is None else kept[order], np.flatnonzero(changes) + 1)
    return list(groups)


def _fill_empty(
    file: ColumnFile, topic: int, partition: int, sequences: U64, offsets: Ints
) -> bool:
    """Write the cells if all are distinct and empty; otherwise write nothing and say so."""
    count = len(sequences)
    if count > 1 and not bool((sequences[1:] > sequences[:-1]).all()):
        return False
    low, high = pack_offsets(offsets)
    first = int(sequences[0])
    if int(sequences[-1]) - first + 1 != count:
        if file.gather(topic, partition, sequences)[1].any():
            return False
        file.scatter(topic, partition, sequences, low, high)
        return True
    spans = list(file.spans(topic, partition, first, count))
    if any(extent.high[cells].any() for extent, cells, _ in spans):
        return False
    for extent, cells, part in spans:
        extent.low[cells] = low[part]
        extent.high[cells] = high[part]
    return True


def _rows(batch: ReadBatch, kinds: Ints, indices: Indices, heads: Rows) -> Rows:
    """Rows of extras.bin for the records at `indices`."""
    rows = np.zeros(len(indices), dtype=EXTRA)
    rows["kind"] = kinds
    rows["topic"] = batch.topics[indices]
    rows["partition"] = batch.partitions[indices]
    rows["offset"] = batch.offsets[indices]
    rows["leader_epoch"] = [
        _UNKNOWN_EPOCH if epoch is None else epoch for epoch in batch.leader_epochs(indices)
    ]
    known = kinds != CORRUPT
    identity = heads[indices[known]]
    rows["incarnation"][known] = identity["incarnation"]
    rows["identity_topic"][known] = identity["topic"]
    rows["identity_partition"][known] = identity["partition"]
    rows["sequence"][known] = identity["sequence"]
    rows["run"][known] = identity["run"]
    return rows
