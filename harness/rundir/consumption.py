"""What a run recorded about its consumers: journals, committed offsets, a pipeline's inputs.

    members/<profile>-<number>.journal   what each member did (harness.rundir.member_journal)
    <drained set>/groups.json            {group: {"<topic index>:<partition>": committed offset}}
    <drained set>/inputs.bin             rows of dtype INPUT_ROW: of which input record an output is

What is missing is missing here too; what that means is judged elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from harness.arrays import Rows
from harness.errors import RunDirError
from harness.record.codec import run_hash
from harness.rundir.columns import OFFSET_MAX
from harness.rundir.documents import read_json, write_json
from harness.rundir.documents import whole as whole_number
from harness.rundir.member_journal import Journal, read_journals
from harness.rundir.rows import check_inputs, mapped
from harness.rundir.run_info import RunInfo
from harness.system.disk import write_whole
from harness.system.printable import printable

INPUT_ROW: Final = np.dtype(
    [
        ("output_offset", "<i8"),
        ("input_offset", "<i8"),
        ("partition", "<u4"),
        ("topic", "<u2"),
        ("input_topic", "<u2"),
    ]
)
"""`topic` says where the output record was read; `partition` is that of the input record. A run's
pipeline writes to the partition that it read from."""

HISTORY_GROUP: Final = "history"
"""The group of a history whose lines name none."""
GROUPS_JSON: Final = "groups.json"
INPUTS_BIN: Final = "inputs.bin"
_PLACE: Final = re.compile("([0-9]{1,9}):([0-9]{1,9})", re.ASCII)

Committed: TypeAlias = dict[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Reset:
    """A group's offset was set by a client that is no member; at_us below 0: not known when."""

    offset: int
    at_us: int = -1


@dataclass(slots=True)
class Consumption:
    """Everything about consumers that was recorded.

    journals: profile → its members' journals, by number; committed: group → (topic, partition) →
    next offset to read, as the coordinator says or else as far as commits tell, None when no
    asked the group coordinators; inputs: (n,) rows of dtype INPUT_ROW, None when the drain wrote
    none.
    """

    journals: dict[str, list[Journal]] = field(default_factory=dict)
    committed: dict[str, Committed] | None = None
    inputs: Rows | None = None
    stated: dict[str, Committed] = field(default_factory=dict)
    """As `committed`, only what a coordinator said."""
    asked: frozenset[str] = frozenset()
    """Groups of which the coordinator was asked about every partition: one that is not among
    `stated` had no offset."""
    at_most: dict[str, Committed] = field(default_factory=dict)
    """Where it is not known which commit was the last one: the highest that it may be."""
    resets: dict[str, dict[tuple[int, int], list[Reset]]] = field(default_factory=dict)
    archived: dict[str, dict[tuple[int, int], list[int]]] = field(default_factory=dict)
    """Records that a share group is known to have given up at their delivery limit."""
    unplaced: str = ""
    """Why it is not known which input record the output records are of."""

    def coordinator_of(self, group: str, key: tuple[int, int]) -> int | None:
        """What a group's coordinator had of a partition: -1 for nothing, None if not asked."""
        return self.stated.get(group, {}).get(key, -1 if group in self.asked else None)


def read_consumption(
    members: Path, drained: Path, info: RunInfo, *, whole: bool = False
) -> Consumption:
    """Read what belongs to the profiles with consumers of a run.

    whole: the drain came to its end, so that its files do not break off.
    Raises RunDirError when a journal, groups.json or inputs.bin is not what it should be.
    """
    run = run_hash(info.run_id)
    consuming = [profile.profile for profile in info.profiles if profile.consume is not None]
    if not consuming:
        return Consumption()
    committed = _committed(drained / GROUPS_JSON, info)
    return Consumption(
        journals={name: list(read_journals(members, name, run=run)) for name in consuming},
        committed=committed,
        inputs=_inputs(drained, info, whole=whole),
        stated=committed or {},
        asked=frozenset(committed or ()),
    )


def write_groups(drained: Path, groups: Mapping[str, Committed]) -> None:
    """Write groups.json of a drained set, whole or not at all: group → its committed offsets."""
    document = {
        group: {f"{topic}:{partition}": offset for (topic, partition), offset in offsets.items()}
        for group, offsets in groups.items()
    }
    write_json(drained / GROUPS_JSON, document)


def _committed(path: Path, info: RunInfo) -> dict[str, Committed] | None:
    if not path.exists():
        return None
    document = read_json(path, "the committed offsets of groups")
    groups = {each.consume.group for each in info.profiles if each.consume is not None}
    found: dict[str, Committed] = {}
    try:
        for group, offsets in document.items():
            if group not in groups:
                raise ValueError(f"{group!r} is no group of this run")
            if not isinstance(offsets, dict):
                raise ValueError(f"{group}: {offsets!r}")
            found[group] = {}
            for key, offset in offsets.items():
                matched = _PLACE.fullmatch(key)
                topic, partition = map(int, matched.groups()) if matched else (-1, -1)
                if not 0 <= topic < len(info.topics) or partition >= info.load.partitions:
                    raise ValueError(f"{group}: {key!r} is no topic-partition of this run")
                if not -1 <= whole_number(offset) <= OFFSET_MAX:
                    raise ValueError(f"{group}: {offset} is no offset")
                if offset >= 0:
                    found[group][topic, partition] = offset
    except ValueError as error:
        raise RunDirError(
            f'{path}: expected is {{group: {{"<topic index>:<partition>": offset}}}} '
            f"({printable(str(error))})."
        ) from None
    return found


class InputsWriter:
    """Appends rows to the inputs.bin of a drained set, or of a part of it."""

    def __init__(self, folder: Path) -> None:
        """Make the file, which may stay empty."""
        self.path = folder / INPUTS_BIN
        self.path.touch()

    def append(self, rows: Rows) -> None:
        """Append (n,) rows of dtype INPUT_ROW. Raises EnvironmentFailure when the disk is full."""
        with self.path.open("ab", buffering=0) as file:
            write_whole(
                file.fileno(),
                rows.tobytes(),
                f"{self.path}: no space for {rows.nbytes} more bytes. What was recorded is kept; "
                "free disk space or choose another --out.",
            )


def _inputs(drained: Path, info: RunInfo, *, whole: bool) -> Rows | None:
    """The rows of inputs.bin, of the set itself and of the parts that were read beside it.

    Mapped where one process has read everything.
    """
    paths = [drained / INPUTS_BIN, *sorted(drained.glob(f"part-*/{INPUTS_BIN}"))]
    found = []
    for path in paths:
        if path.exists():
            rows = mapped(path, INPUT_ROW, whole=whole)
            check_inputs(path, rows, info)
            found.append(rows)
    if len(found) < 2:
        return found[0] if found else None
    return np.concatenate(found)
