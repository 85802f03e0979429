"""What log files showed, as data: written once by whoever looked, judged elsewhere.

    drained/replicas.json       where sampled lost records were looked for after the drain
    replicas/<fault_id>.json    what a killed broker's logs held beyond its successors', noted
                                before it was started again: on its return it cuts that off
    drained/holes.json          what a leader's log held at the offsets that a read_committed drain
                                passed without a record (LogHeld; see harness.rundir.holes)

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.errors import RunDirError
from harness.rundir.documents import read_json, typed, write_json


@dataclass(slots=True)
class LogState:
    """One replica's log after the drain; `complete`: every record of it was looked at."""

    broker: int
    topic: str
    partition: int
    start: int | None
    end: int | None
    epochs: list[list[int]]
    """[leader epoch, its first offset], ascending"""
    complete: bool
    reason: str = ""


@dataclass(slots=True)
class Copy:
    """A record found in a replica's log."""

    broker: int
    offset: int
    leader_epoch: int
    crc_holds: bool


@dataclass(slots=True)
class Sought:
    """One record that was looked for, and every copy of it that was found."""

    topic: str
    partition: int
    producer: int
    sequence: int
    found: list[Copy] = field(default_factory=list)


@dataclass(slots=True)
class StrandedRange:
    """Records of one producer with consecutive sequences at consecutive offsets."""

    producer: int
    first_sequence: int
    last_sequence: int
    first_offset: int
    leader_epoch: int

    def offset_of(self, producer: int, sequence: int) -> int | None:
        """The offset of one of them; None when it is none of them."""
        if producer != self.producer:
            return None
        if not self.first_sequence <= sequence <= self.last_sequence:
            return None
        return self.first_offset + sequence - self.first_sequence


@dataclass(slots=True)
class DeadLog:
    """A dead broker's log: what it alone held, from where its successor's log went on."""

    fault_id: str
    at: str
    broker: int
    topic: str
    partition: int
    end: int | None
    successor: int
    successor_start: int | None
    """The first offset of the successor's leader epoch: what lies beyond is cut off."""
    successor_epoch: int | None
    stranded: list[StrandedRange]
    complete: bool
    reason: str = ""


@dataclass(slots=True)
class LogHeld:
    """What one log holds from `start` on and below `end`, as far as readers at read_committed are
    concerned. Ranges are first and last offsets in turn, ascending and apart. An offset in none of
    them holds a record that they are handed: a committed one, or one of no transaction."""

    broker: int
    start: int
    end: int
    markers: list[int] = field(default_factory=list)
    """transaction markers"""
    aborted: list[int] = field(default_factory=list)
    """records of transactions that an ABORT marker ended"""
    open: list[int] = field(default_factory=list)
    """records of transactions that no marker has ended"""
    absent: list[int] = field(default_factory=list)
    """no batch of the log has these"""
    reason: str = ""
    """why `end` is below what was asked for, when it is"""


@dataclass(slots=True)
class ReplicaEvidence:
    """Everything that log files showed about a run."""

    logs: list[LogState] = field(default_factory=list)
    sought: list[Sought] = field(default_factory=list)
    dead: list[DeadLog] = field(default_factory=list)
    reason: str = ""
    """Why nothing was looked at, when nothing was."""

    def write(self, path: Path) -> None:
        """Write the note, whole or not at all; its folder is made."""
        path.parent.mkdir(exist_ok=True)
        write_json(path, asdict(self))

    @classmethod
    def read_from(cls, path: Path) -> ReplicaEvidence:
        """Raises RunDirError that names a field that is missing or of another type."""
        document = read_json(path, "a note about the brokers' log files")
        try:
            return typed(cls, document)
        except ValueError as error:
            raise RunDirError(f"{path}: not a note about log files ({error}).") from None
