"""What a drain proved, as a judgement takes it: its drain.json and holes.json, and run.json.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import I64, Bools
from harness.errors import RunDirError
from harness.rundir.anywhere import PARTITION_SHIFT
from harness.rundir.clock import to_us
from harness.rundir.documents import read_json, whole
from harness.rundir.holes import HoleAccount, Holes, PartitionHoles, account
from harness.rundir.proof import DRAIN_SCHEMA
from harness.rundir.run_info import RunInfo
from harness.system.printable import printable


@dataclass(frozen=True, slots=True)
class DrainedPartition:
    """What the drain says about one topic-partition.

    `proven`: everything from `floor` on that the log holds was read, and all of it is accounted
    for. `floor` is above 0 when the log's start had moved: what lay below is not there to be read.
    `floor_said`: so it was asked or stated; else (in histories) it is only where reading began.
    `floor_contradicted`: a history says that the log began at `floor`, and a record below it was
    read.
    `ceiling`: proven only below this offset, where nothing says that the log ended there (in
    histories recorded elsewhere); None: up to its end.
    `ended_us`: when the reading of this topic-partition ended, in histories.
    """

    topic: int
    partition: int
    proven: bool
    floor: int
    read: int
    end: int | None
    last_stable: int | None
    reason: str
    ceiling: int | None = None
    floor_said: bool = True
    floor_contradicted: bool = False
    ended_us: int | None = None

    @property
    def whole(self) -> bool:
        """Proven, from the very first record on and up to the log's end."""
        return self.proven and self.floor == 0 and self.ceiling is None

    def reaches(self, at: I64) -> Bools:
        """Which of these offsets lie where the drain, if it is proven, read everything."""
        below = True if self.ceiling is None else at < self.ceiling
        return np.asarray((at >= self.floor) & below, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class DrainedAnywhere:
    """What the drain says about all partitions of a topic together; offsets are positions.

    An attempt that may be on any partition is proven absent only where each of them is proven.
    """

    parts: Mapping[int, DrainedPartition]

    @property
    def proven(self) -> bool:
        """Is every partition proven?"""
        return bool(self.parts) and all(part.proven for part in self.parts.values())

    @property
    def floor(self) -> int:
        """The highest of their floors."""
        return max((part.floor for part in self.parts.values()), default=0)

    @property
    def whole(self) -> bool:
        """Is every partition proven from its first record on?"""
        return bool(self.parts) and all(part.whole for part in self.parts.values())

    def reaches(self, at: I64) -> Bools:
        """As `DrainedPartition.reaches`, for positions."""
        found = np.zeros(len(at), dtype=np.bool_)
        for number, part in self.parts.items():
            mine = (at >> PARTITION_SHIFT) == number
            found[mine] = part.reaches(at[mine] & ((1 << PARTITION_SHIFT) - 1))
        return found


@dataclass(slots=True)
class Drain:
    """drain.json: the proof of one drain, checked against run.json."""

    partitions: dict[tuple[int, int], DrainedPartition]
    started_us: int | None
    ended_us: int | None
    reasons: list[str]
    counts: Mapping[str, int] | None = None
    """How the set accounts for what was read; None where drain.json does not say."""
    holes: dict[tuple[int, int], HoleAccount] = field(default_factory=dict)
    """What accounts for the offsets without a record that a read_committed drain of a run passed,
    by topic-partition; empty in histories, which account for theirs in notes."""


def read_drain(folder: Path, info: RunInfo) -> Drain | None:
    """The proof of the drain in a set's folder; None without one.

    Raises RunDirError when drain.json or holes.json is not what a drain leaves.
    """
    path = folder / "drain.json"
    if not path.exists():
        return None
    document = read_json(path, "the proof of a drain", schema=DRAIN_SCHEMA)
    topics = {topic: index for index, topic in enumerate(info.topics)}
    transactional = [profile.transactional for profile in info.profiles for _ in profile.topics]
    cluster_id = document.get("cluster_id")
    elsewhere = ""
    if info.cluster_id and cluster_id and cluster_id != info.cluster_id:
        elsewhere = f"it was read from cluster {cluster_id}, the run's is {info.cluster_id}"
    partitions: dict[tuple[int, int], DrainedPartition] = {}
    holes: dict[tuple[int, int], HoleAccount] = {}
    recorded = Holes.read_from(folder) or Holes()
    noted = {(each.topic, each.partition): each for each in recorded.partitions}
    try:
        reasons = [str(reason) for reason in document.get("reasons", [])]
        for entry in document["partitions"]:
            index = topics.get(str(entry["topic"]))
            if index is None:
                raise ValueError(f"run.json names no topic {printable(str(entry['topic']))[:60]}")
            expected_id = info.topic_ids[index] if index < len(info.topic_ids) else None
            drained = _drained_partition(entry, index, expected_id, elsewhere, transactional[index])
            if (index, drained.partition) in partitions:
                raise ValueError(f"{entry['topic']}-{drained.partition} occurs twice there")
            partitions[index, drained.partition] = drained
            if transactional[index]:
                key = index, drained.partition
                holes[key] = _account(noted.get((str(entry["topic"]), key[1])), entry, drained)
                if drained.proven and holes[key].obstacle:
                    partitions[key] = replace(drained, proven=False, reason=holes[key].obstacle)
        counts = _counts(document.get("counts"))
        read = sum(each.read for each in partitions.values())
        if counts is not None and counts.get("read", read) != read:
            raise ValueError(
                f"its counts say that {counts['read']} records were read, its partitions {read}"
            )
        return Drain(
            partitions,
            _us(document.get("started_at")),
            _us(document.get("ended_at")),
            reasons,
            counts,
            holes,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunDirError(
            f"{path}: not the proof of a drain of this harness ({type(error).__name__}: {error})."
        ) from None


def _counts(value: object) -> dict[str, int] | None:
    if not value:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"counts is {value!r}, expected an object")
    return {str(name): whole(count) for name, count in value.items()}


def _account(
    noted: PartitionHoles | None, entry: Mapping[str, Any], drained: DrainedPartition
) -> HoleAccount:
    """The account of a topic-partition's holes; of an unrecorded one, that it was not checked."""
    if noted is not None:
        return account(noted, drained.last_stable)
    count = _integer(entry.get("holes")) or 0
    why = "the run directory has no holes.json that tells of them" if count else ""
    return HoleAccount(
        str(entry["topic"]), drained.partition, count, unchecked=count, unchecked_why=why
    )


def _drained_partition(
    entry: Mapping[str, Any],
    topic: int,
    topic_id: str | None,
    elsewhere: str,
    transactional: bool,
) -> DrainedPartition:
    """One entry of drain.json; what run.json contradicts is not proven."""
    end, last_stable = _integer(entry.get("end")), _integer(entry.get("last_stable"))
    if not isinstance(entry["complete"], bool):
        raise TypeError(f"complete is {entry['complete']!r}, expected true or false")
    from_somewhere = entry["complete"] or _integer(entry.get("proven_from")) is not None
    reasons = [] if from_somewhere else [str(entry.get("reason") or "")]
    if elsewhere:
        reasons.append(elsewhere)
    if topic_id and entry.get("topic_id") and entry["topic_id"] != topic_id:
        reasons.append(f"the topic is another one of the same name (id {entry['topic_id']})")
    if transactional and from_somewhere and last_stable != end:
        reasons.append(f"its last stable offset is {last_stable}, its end {end}")
    starts = [_integer(entry.get("start")), _integer(entry.get("log_start_after"))]
    return DrainedPartition(
        topic=topic,
        partition=_integer(entry["partition"]) or 0,
        proven=from_somewhere and not reasons,
        floor=max((start for start in starts if start is not None), default=0),
        read=_integer(entry.get("read")) or 0,
        end=end,
        last_stable=last_stable,
        reason="; ".join(reason for reason in reasons if reason) or "no reason is given",
    )


def _integer(value: object) -> int | None:
    """A whole number or None. Raises ValueError for anything else: it is damage."""
    return None if value is None else whole(value)


def _us(value: object) -> int | None:
    return to_us(value) if isinstance(value, str) else None
