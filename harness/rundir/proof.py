"""The proof of a drain: drain.json, and the rule by which a partition counts as drained whole.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from harness.errors import RunDirError
from harness.rundir.documents import read_json, typed, write_json
from harness.rundir.holes import Holes, accounts
from harness.rundir.run_info import RunInfo

DRAIN_SCHEMA: Final = "delivery-drain/1"


@dataclass(slots=True)
class PartitionProof:
    """What is known of one topic-partition of a drain; None where it could not be learnt."""

    topic: str
    partition: int
    topic_id: str | None = None
    start: int | None = None
    """Log start offset, before reading."""
    end: int | None = None
    """Where the log ended (read_uncommitted ListOffsets), asked in full ISR."""
    last_stable: int | None = None
    """Where it ended for read_committed."""
    log_end: int | None = None
    """`end`, once the leader had said that its log goes no further: nothing is unreplicated."""
    isr: list[int] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    leader: int | None = None
    position: int | None = None
    """One past the last offset that the reader knows it has passed."""
    read: int = 0
    """How many records were returned?"""
    holes: int = 0
    """How many offsets below `position` were passed without a record?"""
    eof: bool = False
    """Did the broker say, at or past `end`, that there is nothing further?"""
    log_start_after: int | None = None
    complete: bool = False
    reason: str = ""
    proven_from: int | None = None
    """From which offset on everything is accounted for: the log's start, where that had moved and
    nothing else prevents a proof. None where the proof is whole or there is none."""

    def obstacle(self, *, read_committed: bool, holes_allowed: bool, unaccounted: str = "") -> str:
        """Why this partition is not proven to be drained whole; empty when it is.

        `holes_allowed`: transaction markers, aborted or compacted records take offsets.
        `unaccounted`: what the account of its holes says against it.
        """
        reason = self._obstacle(
            read_committed=read_committed, holes_allowed=holes_allowed, unaccounted=unaccounted
        )
        if reason:
            return reason
        if self.start != 0:
            return (
                f"the log starts at offset {self.start}: what came before was deleted before it "
                "was read"
            )
        if self.log_start_after != self.start:
            return f"the log start moved from {self.start} to {self.log_start_after} meanwhile"
        return ""

    def conclude(self, *, read_committed: bool, holes_allowed: bool, unaccounted: str = "") -> None:
        """Decide whether everything is accounted for, and from which offset on."""
        allowed = {"read_committed": read_committed, "holes_allowed": holes_allowed}
        blocked = self._obstacle(**allowed, unaccounted=unaccounted)
        self.reason = self.obstacle(**allowed, unaccounted=unaccounted)
        self.complete = not self.reason
        if self.reason and not blocked and self.log_start_after is not None:
            self.proven_from = max(self.start or 0, self.log_start_after)

    def _obstacle(self, *, read_committed: bool, holes_allowed: bool, unaccounted: str) -> str:
        """As `obstacle`, but for what a log start that moved leaves open."""
        if self.reason:
            return self.reason
        if not self.replicas or len(self.isr) < len(self.replicas):
            return f"not in full ISR: in sync {self.isr} of replicas {self.replicas}"
        if self.start is None or self.end is None:
            return "the brokers named no start and end offset"
        if read_committed and self.last_stable != self.end:
            return (
                f"the last stable offset {self.last_stable} stays behind the end {self.end}: a "
                "transaction is open"
            )
        if self.position is None or self.position < self.end or not self.eof:
            return f"read up to offset {self.position}, and the log ends at {self.end}"
        if self.log_end != self.end:
            return (
                f"no leader said that its log ends at the high watermark {self.end}: what is "
                "above it is not in every in-sync replica, and cannot be read"
            )
        if self.holes and not holes_allowed:
            return f"{self.holes} offsets below {self.position} were passed without a record"
        return unaccounted


@dataclass(slots=True)
class DrainProof:
    """drain.json: one entry for every topic-partition of the run, unreachable ones included."""

    started_at: str
    ended_at: str
    complete: bool
    cluster_id: str | None
    reasons: list[str]
    partitions: list[PartitionProof]
    counts: dict[str, int] = field(default_factory=dict)
    """How the set accounts for what was read (observations.Counts); empty where its writer did not
    come to its end."""

    @property
    def read(self) -> int:
        return sum(partition.read for partition in self.partitions)

    def conclude(self, info: RunInfo, holes: Holes | None = None) -> None:
        """Decide each partition and the whole, and say why not."""
        profiles = {topic: profile for profile in info.profiles for topic in profile.topics}
        last_stable = {(each.topic, each.partition): each.last_stable for each in self.partitions}
        found = accounts(holes, last_stable) if holes is not None else {}
        for proof in self.partitions:
            profile = profiles[proof.topic]
            account = found.get((proof.topic, proof.partition))
            proof.conclude(
                read_committed=profile.transactional,
                holes_allowed=profile.transactional or profile.compacted,
                unaccounted=account.obstacle if account is not None else "",
            )
        for proof in self.partitions:
            if not proof.complete:
                said = f"{proof.topic}/{proof.partition}: {proof.reason}"
                if proof.reason not in self.reasons and said not in self.reasons:
                    self.reasons.append(said)
        self.complete = not self.reasons and all(proof.complete for proof in self.partitions)

    def write(self, folder: Path) -> None:
        """Write drain.json, whole or not at all."""
        write_json(folder / "drain.json", asdict(self), schema=DRAIN_SCHEMA)

    @classmethod
    def read_from(cls, folder: Path) -> DrainProof:
        """Raises RunDirError when drain.json is missing or not one."""
        path = folder / "drain.json"
        document = read_json(path, "the proof of a drain", schema=DRAIN_SCHEMA)
        try:
            return typed(cls, document)
        except ValueError as error:
            raise RunDirError(f"{path}: not a drain.json of this harness ({error}).") from None


def blank_proof(info: RunInfo, started_at: str) -> DrainProof:
    """A proof of nothing yet, with an entry for each topic-partition of the run."""
    partitions = [
        PartitionProof(topic, partition)
        for topic in info.topics
        for partition in range(info.load.partitions)
    ]
    return DrainProof(started_at, started_at, False, None, [], partitions)
