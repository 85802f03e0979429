"""What a run recorded about its consumers: journals, committed offsets, a pipeline's inputs.

    members/<profile>-<number>.journal   what each member did (harness.members.journal)
    <drained set>/groups.json            {group: {"<topic index>:<partition>": committed offset}}
    <drained set>/inputs.bin             rows of dtype INPUT: which input record an output is of

What is missing is missing here too; what that means is judged elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import RunDirError
from harness.members.journal import Journal, read_journals
from harness.record import run_hash
from harness.rundir import RunInfo, read_json

INPUT: Final = np.dtype(
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

Rows: TypeAlias = npt.NDArray[np.void]
Committed: TypeAlias = dict[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Reset:
    """A group's offset was set by somebody who is no member; at_us below 0: nobody says when."""

    offset: int
    at_us: int = -1


@dataclass(slots=True)
class Consumption:
    """Everything about consumers that was recorded.

    journals: profile → its members' journals, by number; committed: group → (topic, partition) →
    next offset to read, as the coordinator says or else as far as commits tell, None when nobody
    asked the group coordinators; inputs: (n,) rows of dtype INPUT, None when the drain wrote none.
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
        """What a group's coordinator had of a partition: -1 for nothing, None if nobody asked."""
        return self.stated.get(group, {}).get(key, -1 if group in self.asked else None)


def read_consumption(members: Path, drained: Path, info: RunInfo) -> Consumption:
    """Read what belongs to the profiles with consumers of a run.

    Raises RunDirError when a journal, groups.json or inputs.bin is not what it should be.
    """
    run = run_hash(info.run_id)
    consuming = [profile.profile for profile in info.profiles if profile.consume is not None]
    if not consuming:
        return Consumption()
    committed = _committed(drained / "groups.json")
    return Consumption(
        journals={name: list(read_journals(members, name, run=run)) for name in consuming},
        committed=committed,
        inputs=_inputs(drained),
        stated=committed or {},
        asked=frozenset(committed or ()),
    )


def _committed(path: Path) -> dict[str, Committed] | None:
    if not path.exists():
        return None
    document = read_json(path, "the committed offsets of groups")
    found: dict[str, Committed] = {}
    try:
        for group, offsets in document.items():
            found[group] = {}
            for key, offset in offsets.items():
                topic, _, partition = key.partition(":")
                if int(offset) >= 0:
                    found[group][int(topic), int(partition)] = int(offset)
    except (AttributeError, TypeError, ValueError) as error:
        raise RunDirError(
            f'{path}: expected is {{group: {{"<topic index>:<partition>": offset}}}} ({error}).'
        ) from None
    return found


def _inputs(drained: Path) -> Rows | None:
    """The whole rows of inputs.bin, of the set itself and of the parts that were read beside it.

    Mapped and not read where one process has read everything.
    """
    paths = [drained / "inputs.bin", *sorted(drained.glob("part-*/inputs.bin"))]
    found = []
    for path in paths:
        if path.exists():
            count = path.stat().st_size // INPUT.itemsize
            empty = np.zeros(0, dtype=INPUT)
            found.append(np.memmap(path, INPUT, mode="r", shape=(count,)) if count else empty)
    if len(found) < 2:
        return found[0] if found else None
    return np.concatenate(found)
