"""Random histories of which it is known what is wrong with them.

A small log is written as brokers would write it, without any fault of theirs; then anomalies are
planted, each on records that no other one touches. What each adds to the counts is known when it
is planted. Nothing here uses the harness: the counts expected follow from what was done.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

T0_US: Final = 1_700_000_000_000_000
HUNG_US: Final = 50_000_000
"""transaction.timeout.ms of the profile `transactional`, ten seconds of scan, ten of failover."""


@dataclass(eq=False)
class Attempt:
    """One record handed to a client."""

    producer: int
    partition: int
    sequence: int
    outcome: str
    transaction: int | None = None
    offsets: list[int] = field(default_factory=list)
    """where the log holds it"""
    acked_at: int | None = None
    touched: bool = False
    """an anomaly stands on it, or next to it"""


@dataclass(eq=False)
class Read:
    """One record as a reader got it."""

    partition: int
    offset: int
    attempt: Attempt | None = None
    content: str = "intact"
    identity: tuple[int, int] | None = None
    """(producer, sequence) where there is no attempt"""
    sent_partition: int | None = None
    read_us: int | None = None
    replaced: bool = False
    """something else was read there later"""


@dataclass(eq=False)
class Transaction:
    """One transaction of a producer."""

    producer: int
    number: int
    end: str
    at_us: int
    members: list[Attempt] = field(default_factory=list)


@dataclass
class Case:
    """A history and what is expected of it."""

    profile: str
    lines: list[dict[str, Any]]
    expected: dict[str, int]
    planted: list[str]
    open: frozenset[str] = frozenset()
    """anomalies of which the readings are too few to exclude them"""

    @property
    def text(self) -> str:
        """The file."""
        return "".join(json.dumps(line) + "\n" for line in self.lines)


class World:
    """Logs, attempts and readings of one topic."""

    def __init__(self, seed: int, size: int) -> None:
        self.chance = random.Random(seed)
        self.size = size
        self.partitions = range(self.chance.randint(1, 3))
        self.producers = range(self.chance.randint(0, 1), self.chance.randint(1, 3) + 1)
        self.stride = self.chance.choice([1, 1, 1, 7, 1000])
        self.first = self.chance.choice([0, 0, 5])
        self.attempts: list[Attempt] = []
        self.transactions: list[Transaction] = []
        self.drained: list[Read] = []
        self.live: list[Read] = []
        self.ends: dict[int, int] = dict.fromkeys(self.partitions, 0)
        self.watched: list[dict[str, Any]] = []
        self.expected: Counter[str] = Counter()
        self.planted: list[str] = []
        self._numbers: Counter[tuple[int, int]] = Counter()

    def one_in(self, number: int) -> bool:
        return self.chance.randrange(number) == 0

    # -- writing -------------------------------------------------------------------------

    def attempt(self, producer: int, partition: int, outcome: str, **more: Any) -> Attempt:
        """The next attempt of a producer on a partition."""
        number = self._numbers[producer, partition]
        self._numbers[producer, partition] += 1
        made = Attempt(producer, partition, self.first + number * self.stride, outcome, **more)
        self.attempts.append(made)
        return made

    def append(self, partition: int, attempt: Attempt | None = None, **more: Any) -> Read:
        """The next record of a partition's log, which every reader gets."""
        read = Read(partition, self.ends[partition], attempt, **more)
        self.ends[partition] += 1
        if attempt is not None:
            attempt.offsets.append(read.offset)
        self.drained.append(read)
        return read

    def seen_live(self, read: Read, read_us: int | None = None) -> None:
        """The live reader got it too."""
        self.live.append(Read(**{**vars(read), "read_us": read_us}))

    def remove(self, attempt: Attempt) -> None:
        """Nobody who reads at the end gets it; what was read live stays read."""
        self.drained = [read for read in self.drained if read.attempt is not attempt]
        self.expected["vanished"] += len(
            {read.offset for read in self.live if read.attempt is attempt}
        )
        attempt.offsets.clear()

    # -- choosing ------------------------------------------------------------------------

    def pick(self, fits: Callable[[Attempt], bool]) -> Attempt | None:
        """An attempt that nothing stands on yet; it is touched then."""
        found = [each for each in self.attempts if not each.touched and fits(each)]
        if not found:
            return None
        chosen = self.chance.choice(found)
        chosen.touched = True
        return chosen

    def highest(self, partition: int) -> int:
        """The highest offset that the final reading got."""
        return max((r.offset for r in self.drained if r.partition == partition), default=-1)

    def is_last(self, attempt: Attempt) -> bool:
        """Whether the reading of its partition ends with it."""
        return self.highest(attempt.partition) in attempt.offsets

    # -- lines ---------------------------------------------------------------------------

    def lines(self, drains: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Everything as lines, the independent ones in any order."""
        lines: list[dict[str, Any]] = []
        for each in self.attempts:
            lines += self._attempt_lines(each)
        for which, reads in (("drain", self.drained), ("live", self.live)):
            lines += [self._read_line(read, which) for read in reads]
        lines += [*self.watched, *drains]
        self.chance.shuffle(lines)
        steps = []
        for transaction in self.transactions:
            names = {
                "committed": ("begin", "commit_called", "committed"),
                "unknown": ("begin", "commit_called", "unknown"),
                "aborted": ("begin", "abort_called", "aborted"),
                "uncalled": ("begin",),
            }[transaction.end]
            steps += [
                {"type": "transaction", "producer": transaction.producer,
                 "transaction": transaction.number,
                 "step": step, "at_us": transaction.at_us + index * 10}
                for index, step in enumerate(names)
            ]  # fmt: skip
        return [*lines, *steps]

    def _attempt_lines(self, each: Attempt) -> list[dict[str, Any]]:
        where = {"producer": each.producer, "topic": "t", "partition": each.partition,
                 "sequence": each.sequence}  # fmt: skip
        line: dict[str, Any] = {"type": "attempt", **where}
        if each.transaction is not None:
            line["transaction"] = each.transaction
        if each.outcome == "open":
            return [line]
        outcome: dict[str, Any] = {"outcome": each.outcome}
        if each.acked_at is not None:
            outcome["offset"] = each.acked_at
        if self.one_in(2):
            return [{**line, **outcome}]
        return [line, {"type": "outcome", **where, **outcome}]

    def _read_line(self, read: Read, which: str) -> dict[str, Any]:
        line: dict[str, Any] = {"type": "observation", "topic": "t", "partition": read.partition,
                                "offset": read.offset}  # fmt: skip
        if which == "live" or self.one_in(3):
            line["set"] = which
        if read.read_us is not None:
            line["read_us"] = read.read_us
        if read.content != "intact":
            return {**line, "content": read.content}
        if read.attempt is not None:
            line |= {"producer": read.attempt.producer, "sequence": read.attempt.sequence}
        elif read.identity is not None:
            line |= {"producer": read.identity[0], "sequence": read.identity[1]}
        if read.sent_partition is not None:
            line["sent_partition"] = read.sent_partition
        return line

    def case(self, profile: str, drains: Iterable[dict[str, Any]]) -> Case:
        """The finished history."""
        counts = {name: count for name, count in self.expected.items() if count}
        return Case(profile, self.lines(drains), counts, self.planted, self.uncovered())

    def uncovered(self) -> frozenset[str]:
        """What the live readings are too few for, by partition: less than 95 % were read twice."""
        found = set()
        for partition in {read.partition for read in self.drained}:
            mine = [r for r in self.drained if r.partition == partition and not r.replaced]
            places = Counter((r.attempt, r.offset) for r in mine if r.attempt is not None)
            lowest: dict[Attempt, int] = {}
            for attempt, offset in places:
                lowest[attempt] = min(offset, lowest.get(attempt, offset))
            seen = {(r.attempt, r.offset): r.read_us for r in self.live}
            again = [at for at in lowest.items() if at in seen or places[at] > 1]
            timed = [at for at in lowest.items() if seen.get(at) is not None]
            if 20 * len(again) < 19 * len(lowest):
                found.add("vanished")
            if 20 * len(timed) < 19 * len(lowest):
                found.add("precommitted_read")
        return frozenset(found)

    def inversions(self) -> int:
        """Records that stand, or were acknowledged, before an acknowledged one sent earlier."""
        found = 0
        highest: dict[tuple[int, int], int] = {}
        for each in self.attempts:
            final = [r for r in self.drained if r.attempt is each]
            drain = [r.offset for r in final if not r.replaced]
            live = [r.offset for r in self.live if r.attempt is each]
            live += [r.offset for r in final if r.replaced]
            acked = [] if each.acked_at is None else [each.acked_at]
            places = drain or live or acked
            if each.outcome == "failed" or not places:
                continue
            lane = each.producer, each.partition
            found += min(places) < highest.get(lane, -1)
            if each.outcome == "acked":
                bound = min(places) if self.whole(each.partition) else min([*places, *acked])
                highest[lane] = max(bound, highest.get(lane, -1))
        return found

    def whole(self, _: int) -> bool:
        """Is it known that reading a partition began at its first record?"""
        return True

    def inconsistent(self) -> int:
        """Acknowledged offsets at which something else stands, or nobody found the record."""
        found = 0
        for each in self.attempts:
            if each.acked_at is None:
                continue
            there = [r for r in self.drained + self.live
                     if (r.partition, r.offset) == (each.partition, each.acked_at)]  # fmt: skip
            if any(r.attempt is each for r in there):
                continue
            elsewhere = any(r.attempt is each for r in self.drained + self.live)
            found += elsewhere or any(r.content != "corrupt" for r in there)
        return found

    def plant(self, anomalies: dict[str, Callable[[], bool]]) -> None:
        """Plant some anomalies, each perhaps several times; none as well."""
        for _ in range(self.chance.choice([0, 1, 1, 2, 3, 5])):
            name = self.chance.choice(list(anomalies))
            if anomalies[name]():
                self.planted.append(name)


class Plain(World):
    """Producers without transactions."""

    def __init__(self, seed: int, size: int) -> None:
        super().__init__(seed, size)
        self.complete = self.one_in(2)
        self.began = self.one_in(2)
        self.late: dict[int, int] = {}
        self._write()
        self.plant(
            {
                "lost": self.lost,
                "unseen": self.unseen,
                "duplicate": self.duplicate,
                "inversion": self.inversion,
                "phantom": self.phantom,
                "corrupt": self.corrupt,
                "misrouted": self.misrouted,
                "failed_visible": self.failed_visible,
                "inconsistent_offset": self.inconsistent_offset,
                "vanished": self.vanished,
            }
        )
        if not self.complete and not self.began and self.one_in(3):
            self._begin_late()
        self._gaps()
        self.expected["inversion"] = self.inversions()
        self.expected["inconsistent_offset"] = self.inconsistent()

    def whole(self, partition: int) -> bool:
        return self.began or self.complete or not self.late.get(partition)

    def _begin_late(self) -> None:
        """The reader of a partition began above its first records: they may be there."""
        partition = self.chance.choice(self.partitions)
        first = self.chance.choice([1, 1, 2])
        missed = [r for r in self.drained if r.partition == partition and r.offset < first]
        acked = {
            r.attempt for r in missed if r.attempt is not None and r.attempt.outcome == "acked"
        }
        known = {a for a in self.attempts if a.partition == partition and a.acked_at is not None}
        if (
            "vanished" in self.planted
            or len({r.offset for r in missed}) < first
            # Where nothing is read at `first`, the reading begins higher still.
            or not any(r.offset == first and r.partition == partition for r in self.drained)
            or {r.attempt for r in missed} != acked
            or any(len(a.offsets) != 1 or a.acked_at not in a.offsets for a in acked)
            or any(a.acked_at is not None and a.acked_at < first for a in known - acked)
            or any(r.offset < first and r.partition == partition for r in self.live)
            or self.highest(partition) <= first
        ):
            return
        self.drained = [read for read in self.drained if read not in missed]
        self.late[partition] = first
        self.expected["unseen"] += len(acked)

    def _write(self) -> None:
        late: list[Attempt] = []
        for _ in range(self.chance.randint(4, self.size)):
            partition = self.chance.choice(self.partitions)
            chosen = self.chance.choice(["acked"] * 8 + ["unknown", "open", "failed", "foreign"])
            if chosen == "foreign":
                self.append(partition, content="foreign")
                self.expected["foreign"] += 1
                continue
            attempt = self.attempt(self.chance.choice(self.producers), partition, chosen)
            if chosen == "acked":
                attempt.acked_at = self.append(partition, attempt).offset
                if self.complete and self.one_in(8):
                    attempt.acked_at = None
            elif chosen != "failed" and self.one_in(2):
                # What nobody acknowledged may be written late: retries overtake nothing.
                if self.one_in(2):
                    self.append(partition, attempt)
                else:
                    late.append(attempt)
            if late and self.one_in(3):
                back = late.pop()
                self.append(back.partition, back)
        for attempt in late:
            self.append(attempt.partition, attempt)
        for partition in self.partitions:
            # Something acknowledged everywhere, so that a clean history is kept.
            attempt = self.attempt(self.producers[0], partition, "acked")
            attempt.acked_at = self.append(partition, attempt).offset
            attempt.touched = True
        for read in self.drained:
            if read.offset == 0 and read.attempt is not None and not self.began:
                read.attempt.touched = True  # the reading has to begin somewhere
        often = self.chance.choice([1, 1, 3])
        for read in list(self.drained):
            if self.one_in(often):
                self.seen_live(read)
        for read in self.chance.sample(self.drained, len(self.drained) // 4):
            self.drained.append(read)  # read again at its offset: the same observation

    def _once(self, attempt: Attempt) -> bool:
        return attempt.outcome == "acked" and len(attempt.offsets) == 1

    def lost(self) -> bool:
        """Acknowledged, and another record stands at its offset, or nothing."""
        attempt = self.pick(
            lambda a: self._once(a) and not self.is_last(a) and a.acked_at is not None
        )
        if attempt is None:
            return False
        self.remove(attempt)
        if self.complete or self.one_in(2):
            assert attempt.acked_at is not None
            # It is another record at the acknowledged offset, unless it was seen there before.
            self.drained.append(Read(attempt.partition, attempt.acked_at, content="foreign"))
            self.expected["foreign"] += 1
        self.expected["lost"] += 1
        return True

    def unseen(self) -> bool:
        """Acknowledged beyond all that was read."""
        if self.complete:
            return False
        partition = self.chance.choice(self.partitions)
        attempt = self.attempt(self.chance.choice(self.producers), partition, "acked", touched=True)
        # Whatever is planted later may be read up to here, and must not reach it.
        attempt.acked_at = 1_000_000 + len(self.attempts)
        self.expected["unseen"] += 1
        return True

    def duplicate(self) -> bool:
        """Written once more, at the end."""
        attempt = self.pick(lambda a: a.outcome != "failed" and len(a.offsets) == 1)
        if attempt is None:
            return False
        copies = self.chance.choice([1, 1, 2])
        for _ in range(copies):
            self.append(attempt.partition, attempt)
        self.expected["duplicate"] += copies
        return True

    def inversion(self) -> bool:
        """Two neighbours of a producer change places."""
        lanes: dict[tuple[int, int], list[Attempt]] = {}
        for each in self.attempts:
            if each.outcome == "acked":
                lanes.setdefault((each.producer, each.partition), []).append(each)
        pairs = [
            (a, b)
            for lane in lanes.values()
            for a, b in pairwise(lane)
            if self._once(a) and self._once(b) and not a.touched and not b.touched
            and not any(r.attempt in (a, b) for r in self.live)
        ]  # fmt: skip
        if not pairs:
            return False
        a, b = self.chance.choice(pairs)
        # What was read twice is there twice, and is still one reading.
        for read in {id(each): each for each in self.drained}.values():
            if read.attempt is a:
                read.attempt = b
            elif read.attempt is b:
                read.attempt = a
        a.offsets, b.offsets = b.offsets, a.offsets
        if a.acked_at is not None:
            a.acked_at = a.offsets[0]
        if b.acked_at is not None:
            b.acked_at = b.offsets[0]
        a.touched = b.touched = True
        return True

    def phantom(self) -> bool:
        """A record that no producer ever attempted."""
        partition = self.chance.choice(self.partitions)
        unheard = (99, self.chance.randrange(100))
        known = (self.producers[0], self.first + 10**6 * self.stride + self.chance.randrange(10**6))
        self.append(partition, identity=self.chance.choice([unheard, known]))
        # Two of one identity are two phantoms all the same.
        self.expected["phantom"] += 1
        return True

    def corrupt(self) -> bool:
        """A record whose checksum differs."""
        self.append(self.chance.choice(self.partitions), content="corrupt")
        self.expected["corrupt"] += 1
        return True

    def misrouted(self) -> bool:
        """A record on another partition than it was sent to."""
        attempt = self.pick(lambda a: a.outcome in ("unknown", "open") and not a.offsets)
        if attempt is None:
            return False
        there = self.chance.choice([each for each in range(4) if each != attempt.partition])
        if there not in self.ends:
            self.ends[there] = 0
        self.append(
            there,
            identity=(attempt.producer, attempt.sequence),
            sent_partition=attempt.partition,
        )
        self.expected["misrouted"] += 1
        return True

    def failed_visible(self) -> bool:
        """A record that had certainly failed is read."""
        attempt = self.pick(lambda a: a.outcome == "failed")
        if attempt is None:
            return False
        self.append(attempt.partition, attempt)
        self.expected["failed_visible"] += 1
        return True

    def inconsistent_offset(self) -> bool:
        """Acknowledged elsewhere than it is."""
        attempt = self.pick(lambda a: self._once(a) and a.acked_at is not None)
        if attempt is None or self.highest(attempt.partition) < 1:
            return False
        wrong = [n for n in range(self.highest(attempt.partition)) if n not in attempt.offsets]
        if not wrong:
            return False
        attempt.acked_at = self.chance.choice(wrong)
        return True

    def vanished(self) -> bool:
        """Read once, at an offset that holds something else in the end."""
        attempt = self.pick(lambda a: a.outcome in ("unknown", "open") and not a.offsets)
        if attempt is None:
            return False
        offset = self.chance.randrange(self.highest(attempt.partition) + 1)
        place = (attempt.partition, offset)
        there = [other for other in self.drained if (other.partition, other.offset) == place]
        free = all(other.attempt is None or not other.attempt.touched for other in there)
        read = Read(attempt.partition, offset, attempt)
        if there and self.one_in(2) and free:
            # The same reader, earlier: its lines say when. What it got later has to stay.
            for other in there:
                other.read_us = T0_US + 5
                if other.attempt is not None:
                    other.attempt.touched = True
            read.read_us, read.replaced = T0_US, True
            self.drained.append(read)
        else:
            self.live.append(read)
        self.expected["vanished"] += 1
        return True

    def _gaps(self) -> None:
        """Count what is missing between acknowledged attempts; nobody promised anything here."""
        lanes: dict[tuple[int, int], list[Attempt]] = {}
        for each in self.attempts:
            lanes.setdefault((each.producer, each.partition), []).append(each)
        if not self.complete:
            return
        for lane in lanes.values():
            acked = [index for index, each in enumerate(lane) if each.outcome == "acked"]
            there = {id(r.attempt) for r in self.drained if not r.replaced}
            self.expected["gap"] += sum(
                each.outcome != "acked" and id(each) not in there and acked[0] < index < acked[-1]
                for index, each in enumerate(lane)
                if acked
            )

    def done(self) -> Case:
        """As a history of the profile `idempotent`."""
        drains = []
        if self.complete:
            for partition in range(max(self.ends) + 1):
                drain = {"type": "drain", "topic": "t", "partition": partition, "complete": True}
                if self.one_in(2):
                    drain["end"] = self.ends.get(partition, 0)
                if self.one_in(2):
                    drain["start"] = 0
                drains.append(drain)
        elif self.began:
            drains = [
                {"type": "reading", "topic": "t", "partition": partition, "start": 0}
                for partition in range(max(self.ends) + 1)
            ]
        return self.case("idempotent", drains)


class Transactional(World):
    """Transactions, read at read_committed."""

    def __init__(self, seed: int, size: int) -> None:
        super().__init__(seed, size)
        self.held: list[tuple[int, Attempt]] = []
        """(offset, attempt) of every record that a log held, visible or not"""
        self._write()
        self.plant(
            {
                "torn_txn": self.torn_txn,
                "lost_txn": self.lost_txn,
                "gap": self.gap,
                "precommitted_read": self.precommitted_read,
                "hung_txn": self.hung_txn,
                "failed_visible": self.failed_visible,
                "duplicate": self.duplicate,
                "corrupt": self.corrupt,
            }
        )
        for partition in self.partitions:
            self._watch(partition, T0_US, 0, 0)

    def _write(self) -> None:
        numbers: Counter[int] = Counter()
        self.often = self.chance.choice([1, 2])
        for turn in range(self.chance.randint(2, max(2, self.size // 4))):
            producer = self.chance.choice(self.producers)
            numbers[producer] += 1
            end = self.chance.choice(["committed"] * 5 + ["aborted", "unknown", "uncalled"])
            self._transaction(producer, numbers[producer], end, T0_US + turn * 1000)
        self._transaction(self.producers[0], numbers[self.producers[0]] + 1, "committed", T0_US)
        for each in self.transactions[-1].members:
            each.touched = True
        # One is always read live, so that the history shows when records were read.
        anchor = next(r for r in self.drained if r.attempt in self.transactions[-1].members)
        self.seen_live(anchor, T0_US + 500)

    def _transaction(self, producer: int, number: int, end: str, at_us: int) -> None:
        transaction = Transaction(producer, number, end, at_us)
        self.transactions.append(transaction)
        visible = end == "committed" or (end == "unknown" and self.one_in(2))
        touched = set()
        for _ in range(self.chance.randint(1, 5)):
            partition = self.chance.choice(self.partitions)
            touched.add(partition)
            reported = self.chance.choice(["acked", "open"])
            attempt = self.attempt(producer, partition, reported, transaction=number)
            transaction.members.append(attempt)
            self.held.append((self.ends[partition], attempt))
            if visible:
                read = self.append(partition, attempt)
                if reported == "acked":
                    attempt.acked_at = read.offset
                if self.one_in(self.often):
                    # The call of the commit is 10 µs after the beginning.
                    self.seen_live(read, at_us + 10 + self.chance.randrange(100))
            else:
                if reported == "acked":
                    attempt.acked_at = self.ends[partition]
                self.ends[partition] += 1
        for partition in touched:
            self.ends[partition] += 1  # the marker

    def _watch(self, partition: int, at_us: int, stable: int, high: int) -> None:
        self.watched.append(
            {"type": "offsets", "topic": "t", "partition": partition, "at_us": at_us,
             "last_stable": stable, "high_watermark": high}
        )  # fmt: skip

    def _choose(self, fits: Callable[[Transaction], bool]) -> Transaction | None:
        found = [
            each
            for each in self.transactions
            if not any(member.touched for member in each.members) and fits(each)
        ]
        chosen = self.chance.choice(found) if found else None
        for member in chosen.members if chosen else ():
            member.touched = True
        return chosen

    def _known(self, transaction: Transaction) -> bool:
        """Its commit is known to have succeeded, or all of it can be read."""
        return transaction.end == "committed" or (
            transaction.end == "unknown" and all(m.offsets for m in transaction.members)
        )

    def torn_txn(self) -> bool:
        """A part of a committed transaction is gone."""
        chosen = self._choose(lambda each: self._known(each) and len(each.members) > 1)
        if chosen is None:
            return False
        gone = self.chance.sample(chosen.members, self.chance.randint(1, len(chosen.members) - 1))
        for each in gone:
            self.remove(each)
        self.expected["torn_txn"] += 1
        if chosen.end == "committed":
            self.expected["lost"] += len(gone)
        else:
            # Of records without acknowledgement between acknowledged ones the rest is a gap.
            self.expected["gap"] += sum(map(self._between_acked, gone))
        return True

    def _between_acked(self, attempt: Attempt) -> bool:
        committed = {(t.producer, t.number) for t in self.transactions if t.end == "committed"}
        lane = [
            each.sequence
            for each in self.attempts
            if (each.producer, each.partition) == (attempt.producer, attempt.partition)
            and (each.producer, each.transaction) in committed
            and each.outcome != "failed"
        ]
        return any(s < attempt.sequence for s in lane) and any(s > attempt.sequence for s in lane)

    def lost_txn(self) -> bool:
        """All of a committed transaction is gone."""
        chosen = self._choose(lambda each: each.end == "committed")
        if chosen is None:
            return False
        for each in chosen.members:
            self.remove(each)
        self.expected["lost"] += len(chosen.members)
        self.expected["lost_txn"] += 1
        return True

    def gap(self) -> bool:
        """A record inside a committed transaction was refused, and the commit went through."""

        def fits(each: Transaction) -> bool:
            return each.end == "committed" and any(map(self._between_acked, each.members))

        chosen = self._choose(fits)
        if chosen is None:
            return False
        refused = self.chance.choice([m for m in chosen.members if self._between_acked(m)])
        self.live = [read for read in self.live if read.attempt is not refused]
        self.remove(refused)
        refused.outcome, refused.acked_at = "failed", None
        self.expected["gap"] += 1
        return True

    def precommitted_read(self) -> bool:
        """A record was read before its commit was called, or with no call at all."""
        chosen = self._choose(
            lambda each: (
                (each.end == "committed" and any(m.offsets for m in each.members))
                or each.end == "uncalled"
            )
        )
        if chosen is None:
            return False
        early = self.chance.choice(chosen.members)
        if chosen.end == "uncalled":
            self.append(early.partition, early)
        else:
            self.live = [read for read in self.live if read.attempt is not early]
            self.live.append(
                Read(early.partition, early.offsets[0], early, read_us=chosen.at_us + 9)
            )
        self.expected["precommitted_read"] += 1
        return True

    def hung_txn(self) -> bool:
        """A last stable offset stands still too long; another one just not too long."""
        partition = self.chance.choice(self.partitions)
        begin = T0_US + 10**9 * (1 + len(self.watched))
        stable = 1000 + len(self.watched)
        self._watch(partition, begin, stable, stable + 5)
        self._watch(partition, begin + HUNG_US // 2, stable, stable + 6)
        self._watch(partition, begin + HUNG_US + 1, stable, stable + 7)
        self._watch(partition, begin + HUNG_US + 2, stable + 7, stable + 7)
        self._watch(partition, begin + HUNG_US + 3, stable + 7, stable + 8)
        self._watch(partition, begin + 2 * HUNG_US + 3, stable + 7, stable + 9)
        self.expected["hung_txn"] += 1
        return True

    def failed_visible(self) -> bool:
        """A record of an aborted transaction is read at read_committed."""
        chosen = self._choose(lambda each: each.end == "aborted")
        if chosen is None:
            return False
        self.append(chosen.members[0].partition, chosen.members[0])
        self.expected["failed_visible"] += 1
        return True

    def duplicate(self) -> bool:
        """A record of a committed transaction stands there twice."""
        chosen = self._choose(lambda each: each.end == "committed")
        if chosen is None:
            return False
        self.append(chosen.members[0].partition, chosen.members[0])
        self.expected["duplicate"] += 1
        return True

    def corrupt(self) -> bool:
        """A record whose checksum differs."""
        self.append(self.chance.choice(self.partitions), content="corrupt")
        self.expected["corrupt"] += 1
        return True

    def _uncommitted(self, ends: dict[int, int]) -> list[dict[str, Any]]:
        """What read_uncommitted readers got, in some histories; it adds nothing to the counts."""
        if self.one_in(2):
            return []
        lines: list[dict[str, Any]] = []
        for offset, attempt in self.held:
            if attempt.outcome == "failed":
                continue  # its client never sent it
            line = {"type": "observation", "producer": attempt.producer, "topic": "t",
                    "partition": attempt.partition, "sequence": attempt.sequence,
                    "offset": offset, "isolation": "read_uncommitted"}  # fmt: skip
            if self.one_in(3):
                lines.append({**line, "set": "live", "read_us": T0_US})
            if not self.one_in(5):
                lines.append(line)
        lines += [
            {"type": "drain", "topic": "t", "partition": partition, "complete": True, "end": end,
             "isolation": "read_uncommitted"}
            for partition, end in ends.items()
            if self.one_in(2)
        ]  # fmt: skip
        return lines

    def done(self) -> Case:
        """As a history of the profile `transactional`."""
        # A log ends at no offset below a high watermark that was seen.
        ends = {partition: end + 1 for partition, end in self.ends.items()}
        for each in self.watched:
            ends[each["partition"]] = max(ends[each["partition"]], each["high_watermark"])
        drains = [
            {"type": "drain", "topic": "t", "partition": partition, "complete": True,
             "start": 0, "end": end, "last_stable": end}
            for partition, end in ends.items()
        ]  # fmt: skip
        head = {"type": "history", "schema": "delivery-history/1", "transaction_timeout_ms": 30_000}
        case = self.case("transactional", drains + self._uncommitted(ends))
        return Case(case.profile, [head, *case.lines], case.expected, case.planted, case.open)


def generate(seed: int, size: int, *, transactional: bool) -> Case:
    """A random history of about `size` records, and what is expected of it."""
    return (Transactional if transactional else Plain)(seed, size).done()
