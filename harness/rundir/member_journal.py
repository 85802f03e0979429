"""The journal of one group member: what it was handed, did and committed, step by step.

A file is a header of 64 bytes and then entries of 32, all little-endian. Each entry is appended
by one `write`; 32 divides a page, so no entry lies across two pages and whatever kills the member
leaves whole entries and, at most, one torn tail, which a reader leaves out.

    header   bytes  field
         0      8  magic    b"HKMEM01\\n"
         8      8  run      uint64, `harness.record.binary.run_hash(run_id)`
        16      4  member   uint32, numbered from 1 in each profile; a replacement has the next
        20      4  pid      uint32
        24     40  zeros

    entry    bytes  field
         0      8  at_us      int64, µs since the epoch; the members of one run share one clock
                              that never steps back, so their entries can be put in order
         8      8  offset     int64, -1 where the step has none
        16      4  detail     uint32, see `Step`; an error code is stored in two's complement
        20      4  partition  uint32
        24      2  topic      uint16, index into the run's topics
        26      1  step       uint8, `Step`
        27      1  flags      uint8, `SYNCHRONOUS`
        28      4  zeros

Which entry comes first matters: a step that promises something (BEGIN, COMMIT_CALLED,
TXN_BEGIN, TXN_COMMIT_CALLED, TXN_ABORT_CALLED) is written before the deed, one that reports
something (COMMITTED, TXN_COMMITTED, …) after it. EFFECT is the deed itself.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

import numpy as np

from harness.arrays import Rows
from harness.errors import RunDirError
from harness.system.disk import Appender

MAGIC: Final = b"HKMEM01\n"
HEADER: Final = np.dtype(
    [("magic", "S8"), ("run", "<u8"), ("member", "<u4"), ("pid", "<u4"), ("zeros", "V40")]
)
HEADER_BYTES: Final = HEADER.itemsize
ENTRY: Final = np.dtype(
    [
        ("at_us", "<i8"),
        ("offset", "<i8"),
        ("detail", "<u4"),
        ("partition", "<u4"),
        ("topic", "<u2"),
        ("step", "u1"),
        ("flags", "u1"),
        ("pad", "<u4"),
    ]
)
ENTRY_BYTES: Final = ENTRY.itemsize
_PACKED: Final = struct.Struct("<qqIIHBBI")
"""The same layout for one entry at a time, at a fifth of the cost."""
SYNCHRONOUS: Final = 1
"""Flag of a commit that the member waited for."""
ACCEPT: Final = 1
"""The acknowledgement type of a record that was processed (KIP-932)."""
RELEASE: Final = 2
"""That of a record that is to be handed over again."""
REJECT: Final = 3
"""That of a record that is never to be handed over again, processed or not."""
NO_OFFSET: Final = -1
NO_POSITION: Final = -1001
"""ASSIGNED: no committed offset is known (librdkafka's OFFSET_INVALID)."""
_NAME: Final = re.compile(r"^(?P<profile>.+)-(?P<member>[1-9][0-9]*)\.journal$")

Entries = Rows


class Step(IntEnum):
    """What an entry says happened. Without a word on it, offset, detail and partition are unset."""

    STARTED = 1
    """the process runs and has its journal"""
    CLOSED = 2
    """it left the group in order; a journal without this ended by a kill"""
    ASSIGNED = 3
    """one partition was assigned; offset: where reading starts, or `NO_POSITION`. Again without a
    rebalance: the member itself went back there, after a transaction that did not commit"""
    REVOKED = 4
    """one partition is about to be given up in order"""
    LOST = 5
    """one partition was taken away: the member had been put out of the group"""
    POLLED = 6
    """the record at offset was handed over by the client"""
    BEGIN = 7
    """its processing begins"""
    EFFECT = 8
    """its effect is done: this entry is the effect. In a pipeline: its output record was handed to
    the producer inside the open transaction; detail = low 32 bits of the output's sequence"""
    COMMIT_CALLED = 9
    """offset: the next to read, as it is committed"""
    COMMITTED = 10
    """offset as committed; flag `SYNCHRONOUS` when the member waited for it"""
    COMMIT_FAILED = 11
    """offset that was to be committed; detail: the client's error code; the answer was a refusal"""
    COMMIT_UNKNOWN = 12
    """offset that was to be committed; detail: the error code; it may have been committed"""
    STORED = 13
    """offset: the next to read, as handed to the client to commit in the background"""
    TXN_BEGIN = 14
    """offset: number of the transaction in its producer; detail: incarnation of the producer"""
    TXN_COMMIT_CALLED = 15
    TXN_COMMITTED = 16
    TXN_ABORT_CALLED = 17
    TXN_ABORTED = 18
    TXN_UNKNOWN = 19
    """the end of the transaction is unknown (offset and detail of all TXN steps as TXN_BEGIN)"""
    FENCED = 20
    """offset: the transaction, if any; detail: the error code that said so"""
    ACKNOWLEDGED = 21
    """share groups: detail: the acknowledgement's type (1 accept, 2 release, 3 reject)"""
    PAUSED_SEEN = 22
    """the member found that it had been paused; offset: for how many µs"""


@dataclass(frozen=True, slots=True)
class Journal:
    """One journal as read.

    entries: (n,) structured array of dtype `ENTRY`, in the order written, mapped from the file.
    torn_bytes: what came after the last whole entry.
    """

    path: Path
    profile: str
    run: int
    member: int
    pid: int
    entries: Entries
    torn_bytes: int
    group: str = ""
    """The member's group, where it is not the only one of its profile."""


class JournalWriter:
    """Appends entries to a member's journal. Not for several threads at once."""

    def __init__(self, path: Path, *, run: int, member: int) -> None:
        """Make the journal. Raises RunDirError when there is one already or it cannot be made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise RunDirError(
                f"{path}: a new journal is expected here ({error.strerror})."
            ) from None
        self._file = Appender(
            self._descriptor, f"{path}: the disk is full, and a member's step is not on record."
        )
        self.path = path
        header = np.zeros((), dtype=HEADER)
        header["magic"], header["run"] = MAGIC, run
        header["member"], header["pid"] = member, os.getpid()
        self._write(header.tobytes())

    def write(
        self,
        step: Step,
        at_us: int,
        *,
        topic: int = 0,
        partition: int = 0,
        offset: int = NO_OFFSET,
        detail: int = 0,
        flags: int = 0,
    ) -> None:
        """Append one entry; it survives whatever happens to the process afterwards.

        Raises EnvironmentFailure when the disk is full: then it is not there, in no part, and no
        later one will be.
        """
        self._write(
            _PACKED.pack(at_us, offset, detail & 0xFFFFFFFF, partition, topic, step, flags, 0)
        )

    def write_all(self, entries: Entries) -> None:
        """Append (n,) entries of dtype `ENTRY` in order; a kill can cut between two of them."""
        self._write(entries.tobytes())

    def _write(self, data: bytes) -> None:
        self._file.append(data, entry_bytes=ENTRY_BYTES)

    def close(self) -> None:
        """Close the file. Safe to call again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def journal_path(folder: Path, profile: str, member: int) -> Path:
    """Where the journal of a member is inside the run's folder `members`."""
    return folder / f"{profile}-{member}.journal"


def read_journal(path: Path, *, run: int | None = None) -> Journal:
    """Read one journal, as far as it is whole.

    run: the run hash that it must carry, if given. Raises RunDirError when the file is no journal,
    belongs to another run or member, or holds a step that does not exist.
    """
    name = _NAME.match(path.name)
    if name is None:
        raise RunDirError(
            f"{path}: a journal's name is <profile>-<member's number>.journal, such as "
            "consume-at-least-once-1.journal."
        )
    try:
        with path.open("rb") as file:
            head, size = file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise RunDirError(
            f"{path}: a member's journal is expected here ({error.strerror})."
        ) from None
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        raise RunDirError(f"{path}: not a member's journal: its first 64 bytes are no such header.")
    header = np.frombuffer(head, dtype=HEADER, count=1)[0]
    if run is not None and int(header["run"]) != run:
        raise RunDirError(
            f"{path}: the journal of another run (run hash {int(header['run']):#x}, expected "
            f"{run:#x})."
        )
    if int(header["member"]) != int(name["member"]):
        raise RunDirError(
            f"{path}: the journal of member {int(header['member'])} under another member's name."
        )
    count, torn = divmod(size - HEADER_BYTES, ENTRY_BYTES)
    # Mapped, so that long journals cost no memory of the process.
    entries: Entries = (
        np.memmap(path, dtype=ENTRY, mode="r", offset=HEADER_BYTES, shape=(count,))
        if count
        else np.zeros(0, dtype=ENTRY)
    )
    strange = np.flatnonzero((entries["step"] < min(Step)) | (entries["step"] > max(Step)))
    if len(strange):
        index = int(strange[0])
        raise RunDirError(
            f"{path}: entry {index} has step {int(entries['step'][index])}; accepted is "
            f"{int(min(Step))} to {int(max(Step))}."
        )
    return Journal(
        path=path,
        profile=name["profile"],
        run=int(header["run"]),
        member=int(header["member"]),
        pid=int(header["pid"]),
        entries=entries,
        torn_bytes=torn,
    )


def read_journals(folder: Path, profile: str, *, run: int | None = None) -> Iterator[Journal]:
    """The journals of a profile's members in `folder`, by number; raises as `read_journal`.

    A member that was killed before its header was whole left a shorter file: there is nothing in
    it, and it is passed over.
    """
    found: list[tuple[int, Path]] = []
    for path in folder.glob(f"{profile}-*.journal"):
        name = _NAME.match(path.name)
        if name is not None and name["profile"] == profile:
            found.append((int(name["member"]), path))
    for _, path in sorted(found):
        if path.stat().st_size >= HEADER_BYTES:
            yield read_journal(path, run=run)
