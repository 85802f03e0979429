"""A second judge of histories, written from docs/verification.md and docs/histories.md alone.

It is slow and plain on purpose: sets, dictionaries and loops, and no import of the harness. The
numbers in comments are the sections of docs/verification.md.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Lane = tuple[str, int | None]
Place = tuple[str, int | None, int]
Content = tuple[Any, ...]
Identity = tuple[int, str, int | None, int]
Line = dict[str, Any]

KEPT, BROKEN, INCONCLUSIVE, REFUSED = "kept", "broken", "inconclusive", "refused"
EXIT_CODES = {KEPT: 0, BROKEN: 1, REFUSED: 2, INCONCLUSIVE: 3}

EVERYWHERE = {"phantom", "corrupt", "misrouted", "failed_visible", "vanished"}
ACKS_ALL = EVERYWHERE | {"lost", "inconsistent_offset"}
ONCE = ACKS_ALL | {"duplicate", "inversion"}
OF_TRANSACTIONS = {"gap", "torn_txn", "lost_txn", "precommitted_read", "hung_txn"}
PROMISES = {
    "fire-and-forget": EVERYWHERE,
    "leader-ack": EVERYWHERE,
    "at-least-once": ACKS_ALL,
    "idempotent": ONCE,
    "transactional": ONCE | OF_TRANSACTIONS,
}
OUTCOMES = ("acked", "failed", "unknown", "sent")
ANOMALIES = sorted(ONCE | OF_TRANSACTIONS | {"unseen", "foreign"})
COUNTS = ["attempted", *OUTCOMES, "unknown_present", "read", *ANOMALIES, "duplicate_live"]

READINGS = {
    "lost", "gap", "inversion", "inconsistent_offset", "vanished", "torn_txn", "lost_txn",
    "hung_txn",
}  # fmt: skip
UNDONE: dict[str, set[str]] = {
    "attempt": {"phantom"},
    "outcome": {"gap", "inversion"},
    "transaction": {"gap", "inversion", "torn_txn", "precommitted_read", "hung_txn"},
    "observation": READINGS,
    "reading": READINGS,
    "drain": READINGS,
    "offsets": {"hung_txn"},
    "history": {"hung_txn"},
    "end": set(),
}

SECOND = 1_000_000
OWN_TIMEOUT = 30 * SECOND
DEFAULT_TIMEOUT = 60 * SECOND
SCAN_AND_FAILOVER = 20 * SECOND


@dataclass
class Judged:
    """What one history comes to."""

    verdict: str
    counts: dict[str, int] = field(default_factory=dict)
    promises: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


class RefusedError(Exception):
    """A line is no event."""


@dataclass
class Attempt:
    """One record handed to a client, and what became of it."""

    identity: Identity
    transaction: int | None = None
    said: str | None = None
    offset: int | None = None
    outcome: str = "unknown"


@dataclass
class Transaction:
    """The steps of one transaction: the instant of the first of each name, in their order."""

    steps: dict[str, int] = field(default_factory=dict)
    last: str = ""
    instants: list[int] = field(default_factory=list)

    @property
    def never_called(self) -> bool:
        """Whether no commit can have been called: an answer alone says that one may have been."""
        if "abort_called" not in self.steps and "unknown" in self.steps:
            return False
        return not {"commit_called", "committed"} & set(self.steps)

    @property
    def known(self) -> bool:
        return bool(self.steps)


@dataclass
class Proof:
    """How far the drain of one topic-partition proves that what is absent is absent (3, 1.4)."""

    first: int
    limit: int | None  # Nothing is proven from there on; None where all is.
    proven: bool
    obstacle: bool  # Nothing that was not found is shown to be absent.

    @property
    def stated(self) -> bool:
        return self.proven and self.limit is None

    def reaches(self, offset: int) -> bool:
        """Whether the drain reaches that offset."""
        if not self.proven or offset < self.first:
            return False
        return self.limit is None or offset < self.limit

    def misses(self, offset: int | None) -> bool:
        """Whether a record that is acknowledged there and was not drained is proven absent."""
        if offset is not None:
            return self.reaches(offset)
        return self.proven and self.limit is None and self.first == 0

    @property
    def whole(self) -> bool:
        return self.proven and self.stated and self.first == 0


def judge(files: list[str], profile: str, *, lenient: bool) -> Judged:
    """The verdict on the text of files, by the promises of a profile."""
    try:
        return _Judge(files, profile, lenient).judged()
    except RefusedError:
        return Judged(REFUSED)


class _Judge:
    def __init__(self, files: list[str], profile: str, lenient: bool) -> None:
        self.promised = PROMISES[profile]
        self.transactional = profile == "transactional"
        self.damaged = False
        self.torn: list[str] = []
        self.lines: list[Line] = []
        for text in files:
            self._read(text, lenient)
        if not self.lines:
            raise RefusedError
        self._refuse_contradictions(lenient)
        self._refuse_steps(lenient)
        self._attempts(lenient)
        self._transactions()
        self._readings()
        self._outcomes()
        self.proofs = {lane: self._proof(lane) for lane in self._lanes()}
        self.counts = dict.fromkeys(COUNTS, 0)

    # What the files say.

    def _read(self, text: str, lenient: bool) -> None:
        *whole, rest = text.split("\n")
        if rest.startswith("{") and not rest.rstrip().endswith("}"):
            self.torn.append(rest)
        if rest.strip() and (rest.rstrip().endswith("}") or not rest.startswith("{")):
            whole.append(rest)
        ends = ended = False
        before = len(self.lines)
        for raw in whole:
            try:
                line = json.loads(raw)
                if not isinstance(line, dict) or "type" not in line:
                    raise ValueError
            except ValueError:
                if not lenient:
                    raise RefusedError from None
                self.damaged = True
                continue
            line = {key: value for key, value in line.items() if value is not None}
            ends = ends or bool(line.get("ends"))
            ended = ended or line["type"] == "end"
            self.lines.append(line)
        torn = bool(rest.strip()) and (not whole or whole[-1] is not rest)
        if len(self.lines) == before and not torn:
            raise RefusedError
        if ends and not ended:
            self.damaged = True

    def _of(self, kind: str) -> Iterable[Line]:
        return [line for line in self.lines if line["type"] == kind]

    def _refuse_contradictions(self, lenient: bool) -> None:
        """Two drain lines of one partition that say different things; start above end.

        With --lenient the first line of a partition counts.
        """
        claims: dict[Any, Line] = {}
        kept = []
        for line in self.lines:
            if line["type"] == "drain":
                claim = {key: value for key, value in line.items() if key != "note"}
                first = claims.setdefault((line["type"], line["topic"], line["partition"]), claim)
                upside_down = "end" in line and line.get("start", 0) > line["end"]
                if first != claim or upside_down:
                    if not lenient:
                        raise RefusedError
                    self.damaged = True
                    continue
            kept.append(line)
        self.lines = kept

    def _refuse_steps(self, lenient: bool) -> None:
        """Steps that contradict those of the same transaction before them."""
        before: dict[tuple[int, int], list[str]] = defaultdict(list)
        kept = []
        for line in self.lines:
            if line["type"] == "transaction":
                steps, step = before[line["producer"], line["transaction"]], line["step"]
                only_aborting = "abort_called" in steps and "commit_called" not in steps
                if (
                    {"committed", "aborted"} & set(steps)
                    or (step == "begin" and steps)
                    or (step == "committed" and only_aborting)
                ):
                    if not lenient:
                        raise RefusedError
                    self.damaged = True
                    continue
                steps.append(step)
            kept.append(line)
        self.lines = kept

    def _attempts(self, lenient: bool) -> None:
        """Attempts by identity; those without a partition get it from an outcome or a reading."""
        anywhere = {
            (line["producer"], line["topic"], line["sequence"])
            for line in self._of("attempt")
            if "partition" not in line
        }
        self.homes: dict[tuple[int, str, int], int] = {}
        for line in self._of("outcome"):
            key = line["producer"], line["topic"], line["sequence"]
            if key in anywhere and "partition" in line:
                self.homes.setdefault(key, line["partition"])
        for line in self._of("observation"):
            topic = line.get("sent_topic", line["topic"])
            named = line.get(
                "sent_partition", line["partition"] if topic == line["topic"] else None
            )
            key = line.get("producer"), topic, line.get("sequence")
            if key in anywhere and named is not None:
                self.homes.setdefault(key, named)
        self.anywhere = anywhere
        self.attempts: dict[Identity, Attempt] = {}
        for kind in ("attempt", "outcome"):
            for line in self._of(kind):
                identity = self._identity(
                    line["producer"], line["topic"], line.get("partition"), line["sequence"]
                )
                known = self.attempts.get(identity)
                second = known is not None if kind == "attempt" else known is None or known.said
                if second:  # or an outcome of no attempt
                    if not lenient:
                        raise RefusedError
                    self.damaged = True
                    continue
                attempt = self.attempts.setdefault(identity, Attempt(identity))
                attempt.transaction = line.get("transaction", attempt.transaction)
                attempt.said = line.get("outcome", attempt.said)
                attempt.offset = line.get("offset", attempt.offset)

    def _identity(
        self, producer: int, topic: str, partition: int | None, sequence: int
    ) -> Identity:
        if (producer, topic, sequence) in self.anywhere:
            partition = self.homes.get((producer, topic, sequence))
        return producer, topic, partition, sequence

    def _transactions(self) -> None:
        self.transactions: dict[tuple[int, int], Transaction] = defaultdict(Transaction)
        for line in self._of("transaction"):
            each = self.transactions[line["producer"], line["transaction"]]
            each.steps.setdefault(line["step"], line["at_us"])
            each.last = line["step"]
            each.instants.append(line["at_us"])
        self.unsteady = any(
            each.instants != sorted(each.instants) for each in self.transactions.values()
        )

    def _outcomes(self) -> None:
        """2.1 to 2.5: what became of each attempt."""
        for attempt in self.attempts.values():
            attempt.outcome = attempt.said or "unknown"
            transaction = self._transaction(attempt)
            if transaction is None or attempt.said == "failed":
                continue
            attempt.outcome = {"committed": "acked", "aborted": "failed"}.get(
                transaction.last, "unknown"
            )

    def _transaction(self, attempt: Attempt) -> Transaction | None:
        if attempt.transaction is None:
            return None
        key = attempt.identity[0], attempt.transaction
        return self.transactions.get(key, Transaction())

    # What was read.

    def _readings(self) -> None:
        """1.3 and 1.5: the content of each offset, drained and read live."""
        read: dict[Place, list[tuple[Content, bool, int | None, int]]] = defaultdict(list)
        self.aside: dict[Place, set[Content]] = defaultdict(set)
        self.aside_drained: set[Place] = set()
        for order, line in enumerate(self._of("observation")):
            place = line["topic"], line["partition"], line["offset"]
            drained = line.get("set", "drain") == "drain"
            if self._is_aside(self._content(line), line["topic"]):
                self.aside[place].add(self._content(line))
                if drained:
                    self.aside_drained.add(place)
                continue
            # Of no steady clock no instant says anything.
            instant = None if self.unsteady else line.get("read_us")
            read[place].append((self._content(line), drained, instant, order))
        self.drained: dict[Place, Content] = {}
        self.hidden_by_foreign = False
        self.live: dict[Place, set[Content]] = defaultdict(set)
        self.read_at: dict[tuple[Place, Content], int] = {}
        self.times_read: dict[tuple[Place, Content], int] = defaultdict(int)
        seen: dict[tuple[Place, Content], list[int | None]] = {}
        for place, readings in read.items():
            latest = self._latest(readings)
            someone_drained = any(drained for _, drained, _, _ in readings)
            if someone_drained:
                self.drained[place] = latest
            for content, drained, instant, _ in readings:
                self.times_read[place, content] += 1
                if not drained or content != latest:
                    self.live[place].add(content)
                    seen.setdefault((place, content), []).append(instant)

        # The instant is known where each live reading of the record at that offset says its own.
        for where, instants in seen.items():
            known = [each for each in instants if each is not None]
            if len(known) == len(instants):
                self.read_at[where] = min(known)

    def _is_aside(self, content: Content, topic: str) -> bool:
        """1.6: whether a read_uncommitted reading of it shows nothing, since it may be aborted."""
        attempt = self.attempts.get(content[1:])
        if self.transactional or attempt is None or attempt.said == "failed":
            return False
        written = {
            each.identity[1] for each in self.attempts.values() if each.transaction is not None
        }
        transaction = self._transaction(attempt)
        return topic in written and transaction is not None and transaction.last != "committed"

    def _content(self, line: Line) -> Content:
        if line.get("content", "intact") != "intact":
            return (line["content"],)
        topic: Any = line.get("sent_topic", line["topic"])
        said = line.get("sent_partition")
        if said is not None and said != line["partition"]:
            return ("intact", line["producer"], topic, said, line["sequence"])
        return (
            "intact",
            *self._identity(line["producer"], topic, line["partition"], line["sequence"]),
        )

    @staticmethod
    def _latest(readings: list[tuple[Content, bool, int | None, int]]) -> Content:
        if all(instant is not None for _, _, instant, _ in readings):
            return max(readings, key=lambda each: (each[2], each[1], each[3]))[0]
        among = [each for each in readings if each[1]] or readings
        if all(instant is not None for _, _, instant, _ in among):
            return max(among, key=lambda each: (each[2], each[3]))[0]
        return max(among, key=lambda each: each[3])[0]

    def _at_home(self, content: Content, place: Place) -> bool:
        return content[0] == "intact" and content[2:4] == place[:2]

    def _places(self, identity: Identity, sets: str) -> set[int]:
        """The offsets at which an attempt is read: by the drain, live, or both."""
        found = set()
        for place, content in self.drained.items():
            if "d" in sets and content[1:] == identity and self._at_home(content, place):
                found.add(place[2])
        for place, contents in self.live.items():
            for content in contents:
                if "l" in sets and content[1:] == identity and self._at_home(content, place):
                    found.add(place[2])
        return found

    # What the drain proves.

    def _lanes(self) -> set[Lane]:
        lanes: set[Lane] = {identity[1:3] for identity in self.attempts}
        lanes |= {place[:2] for place in [*self.drained, *self.live, *self.aside]}
        for kind in ("drain", "reading", "offsets"):
            lanes |= {(line["topic"], line["partition"]) for line in self._of(kind)}
        return lanes

    def _returned(self, lane: Lane) -> set[int]:
        """The offsets that the drain returned."""
        returned = self.aside_drained | set(self.drained)
        return {place[2] for place in returned if place[:2] == lane}

    def _proof(self, lane: Lane) -> Proof:
        offsets = self._returned(lane)
        stated = self._line_of("drain", lane)
        begun = [
            line["start"]
            for line in self._of("reading")
            if (line["topic"], line["partition"]) == lane
        ]
        begins = [*offsets, *begun]
        first = stated.get("start", min(begins, default=0))
        beyond = max(offsets, default=-1) + 1
        if not stated:
            return Proof(first, beyond, True, first > 0)
        if not stated["complete"]:
            return Proof(first, None, False, True)
        end = stated.get("end")
        holes = set() if end is None else set(range(first, end)) - offsets
        if self._contradicted(stated, offsets) or (holes and not self.transactional):
            return Proof(first, beyond, True, True)
        if self.transactional and not self._end_believed(lane, stated):
            stable = stated.get("last_stable")
            if stable is not None:
                beyond = max(beyond, stable if end is None else min(stable, end))
            return Proof(first, beyond, True, True)
        return Proof(first, None, True, first > 0)

    def _contradicted(self, stated: Line, offsets: set[int]) -> bool:
        """Whether what the drain returned contradicts a drain line."""
        if not offsets:
            return False
        above = [stated["end"]] if "end" in stated else []
        if self.transactional and "last_stable" in stated:
            above.append(stated["last_stable"])
        return min(offsets) < stated.get("start", 0) or max(offsets) >= min(
            above, default=max(offsets) + 1
        )

    def _end_believed(self, lane: Lane, stated: Line) -> bool:
        """3.2: whether the end of a topic with transactions is the one that it says."""
        end = stated.get("end")
        if end is None or end != stated.get("last_stable"):
            return False
        if any(place[:2] == lane and place[2] >= end for place in self.live):
            return True
        acknowledged = {
            attempt.offset
            for attempt in self.attempts.values()
            if self._lane(attempt) == lane and attempt.offset is not None
        }
        watermarks = {
            line["high_watermark"]
            for line in self._of("offsets")
            if (line["topic"], line["partition"]) == lane
        }
        return not any(offset >= end for offset in acknowledged) and not any(
            watermark > end for watermark in watermarks
        )

    def _line_of(self, kind: str, lane: Lane) -> Line:
        for line in self._of(kind):
            if (line["topic"], line["partition"]) == lane:
                return line
        return {}

    # Anomalies.

    def judged(self) -> Judged:
        self._count_outcomes()
        self._count_readings()
        self._count_losses()
        self._count_inversions()
        self._count_gaps()
        self._count_inconsistent()
        self._count_vanished()
        if self.transactional:
            self._count_torn()
            self._count_precommitted()
            stuck_too_long, self.hung_unsure = self._hung()
            self.counts["hung_txn"] = len(stuck_too_long)
        promises = {anomaly: self._decide(anomaly) for anomaly in self.promised}
        verdicts = set(promises.values())
        verdict = next(each for each in (BROKEN, INCONCLUSIVE, KEPT) if each in verdicts)
        return Judged(verdict, self.counts, {f"no_{name}": v for name, v in promises.items()})

    def _acknowledged(self, attempt: Attempt) -> bool:
        return attempt.outcome in ("acked", "sent")

    def _count_outcomes(self) -> None:
        for identity, attempt in self.attempts.items():
            self.counts["attempted"] += 1
            self.counts[attempt.outcome] += 1
            places = self._places(identity, "dl")
            if attempt.outcome == "unknown" and self._places(identity, "d"):
                self.counts["unknown_present"] += 1
            transaction = self._transaction(attempt)
            aborted = transaction is not None and transaction.last == "aborted"
            aborted = aborted and attempt.said != "failed"  # which was never sent at all
            if attempt.outcome == "failed" and places and (self.transactional or not aborted):
                self.counts["failed_visible"] += 1
            copies = max(0, len(places) - 1)
            drained = max(0, len(self._places(identity, "d")) - 1)
            self.counts["duplicate"] += copies
            self.counts["duplicate_live"] += copies - drained

    def _count_readings(self) -> None:
        self.counts["read"] = len(self.drained)
        for place, content in self.drained.items():
            kind = self._kind(content, place)
            if kind != "attempt":
                self.counts[kind] += 1

    def _kind(self, content: Content, place: Place) -> str:
        if content[0] != "intact":
            return str(content[0])
        if not self._at_home(content, place):
            return "misrouted"
        return "attempt" if content[1:] in self.attempts else "phantom"

    def _lane(self, attempt: Attempt) -> Lane | None:
        _, topic, partition, _ = attempt.identity
        return None if partition is None else (topic, partition)

    def _proof_of(self, attempt: Attempt) -> Proof | None:
        lane = self._lane(attempt)
        return None if lane is None else self.proofs[lane]

    def _count_losses(self) -> None:
        self.lost: set[Identity] = set()
        for identity, attempt in self.attempts.items():
            if not self._acknowledged(attempt) or self._places(identity, "d"):
                continue
            proof = self._proof_of(attempt)
            if proof is not None and proof.misses(attempt.offset):
                self.lost.add(identity)
        absent = {
            identity
            for identity, attempt in self.attempts.items()
            if self._acknowledged(attempt) and not self._places(identity, "d")
        }
        self.counts["lost"] = len(self.lost)
        self.counts["unseen"] = len(absent - self.lost)

    def _producer_lanes(self) -> list[list[Attempt]]:
        """The attempts of each producer on each topic-partition, in the order of sequences."""
        lanes: dict[Any, list[Attempt]] = defaultdict(list)
        for (producer, topic, partition, _), attempt in self.attempts.items():
            if partition is not None:
                lanes[producer, topic, partition].append(attempt)
        return [sorted(lane, key=lambda each: each.identity[3]) for lane in lanes.values()]

    def _count_inversions(self) -> None:
        for lane in self._producer_lanes():
            highest = -1
            for attempt in lane:
                place = self._place(attempt)
                if place is None or attempt.outcome == "failed":
                    continue
                if place < highest:
                    self.counts["inversion"] += 1
                if not self._acknowledged(attempt):
                    continue
                proof = self._proof_of(attempt)
                assert proof is not None
                below = proof.limit is None or place <= proof.limit
                if proof.proven and proof.first == 0 and below:
                    highest = max(highest, place)
                elif attempt.offset is not None:
                    highest = max(highest, min(place, attempt.offset))

    def _place(self, attempt: Attempt) -> int | None:
        for sets in ("d", "l"):
            places = self._places(attempt.identity, sets)
            if places:
                return min(places)
        return attempt.offset if self._acknowledged(attempt) else None

    def _count_gaps(self) -> None:
        for lane in self._producer_lanes():
            acked = [attempt.identity[3] for attempt in lane if self._acknowledged(attempt)]
            for attempt in lane:
                sequence = attempt.identity[3]
                if attempt.outcome not in ("failed", "unknown"):
                    continue
                if self._places(attempt.identity, "d"):
                    continue
                proof = self._proof_of(attempt)
                if proof is None or not proof.whole:
                    continue
                if not any(each < sequence for each in acked):
                    continue
                if not any(each > sequence for each in acked):
                    continue
                if self.transactional:
                    transaction = self._transaction(attempt)
                    if transaction is None or not self._committed(attempt):
                        continue
                self.counts["gap"] += 1

    def _committed(self, attempt: Attempt) -> bool:
        """2.5: whether the attempt's transaction is, or counts as, committed."""
        transaction = self._transaction(attempt)
        if transaction is None:
            return False
        if transaction.last in ("committed", "aborted"):
            return transaction.last == "committed"
        if transaction.never_called:
            return False
        return any(self._places(each.identity, "dl") for each in self._fellows(attempt))

    def _fellows(self, attempt: Attempt) -> list[Attempt]:
        return [
            each
            for each in self.attempts.values()
            if each.transaction == attempt.transaction
            and each.identity[0] == attempt.identity[0]
            and each.said != "failed"
        ]

    def _count_inconsistent(self) -> None:
        left: dict[Place, int] = defaultdict(int)
        for identity, attempt in self.attempts.items():
            lane, proof = self._lane(attempt), self._proof_of(attempt)
            if attempt.outcome != "acked" or attempt.offset is None:
                continue
            if lane is None or proof is None or attempt.offset in self._places(identity, "dl"):
                continue
            place = (*lane, attempt.offset)
            there = self._contents(place)
            if ("intact", *identity) in there:
                continue
            elsewhere = self._places(identity, "d") and proof.reaches(attempt.offset)
            if (
                there - {("corrupt",)}
                or elsewhere
                or ("duplicate" in self.promised and self._places(identity, "dl"))
            ):
                self.counts["inconsistent_offset"] += 1
            else:
                left[place] += 1
        self.counts["inconsistent_offset"] += sum(count - 1 for count in left.values())

    def _contents(self, place: Place) -> set[Content]:
        there = self.live.get(place, set()) | self.aside.get(place, set())
        if place in self.drained:
            there.add(self.drained[place])
        return there

    def _count_vanished(self) -> None:
        for place in {*self.live, *self.aside}:
            proof = self.proofs[place[:2]]
            contents = self.live.get(place, set())
            aside = self.aside.get(place, set()) - contents
            rest = []
            for content in (contents | aside) - {self.drained.get(place), ("foreign",)}:
                reached = proof.reaches(place[2]) and content not in aside
                gone = place in self.drained or reached
                if not gone:
                    rest.append(content)
                else:
                    self.counts["vanished"] += 1
            self.counts["vanished"] += max(0, len(rest) - 1)
            if rest and ("foreign",) in contents and place not in self.drained:
                self.hidden_by_foreign = True

    def _members(self) -> dict[tuple[int, int], list[Attempt]]:
        members: dict[tuple[int, int], list[Attempt]] = defaultdict(list)
        for attempt in self.attempts.values():
            if attempt.transaction is not None and attempt.said != "failed":
                members[attempt.identity[0], attempt.transaction].append(attempt)
        return members

    def _count_torn(self) -> None:
        for members in self._members().values():
            if not self._committed(members[0]):
                continue
            absent = [each for each in members if self._proven_absent(each)]
            if absent and len(absent) == len(members):
                self.counts["lost_txn"] += 1
            elif absent:
                self.counts["torn_txn"] += 1

    def _proven_absent(self, attempt: Attempt) -> bool:
        proof = self._proof_of(attempt)
        if proof is None or self._places(attempt.identity, "d"):
            return False
        return proof.misses(attempt.offset if attempt.outcome == "acked" else None)

    def _count_precommitted(self) -> None:
        """4.14: read before its commit was called, or without that it ever was."""
        for attempt in self.attempts.values():
            transaction = self._transaction(attempt)
            places = self._places(attempt.identity, "dl")
            if transaction is None or not transaction.known or not places:
                continue
            if attempt.outcome == "failed":
                continue
            called = transaction.steps.get("commit_called")
            if called is None:
                if transaction.never_called and {"begin", "abort_called"} & set(transaction.steps):
                    self.counts["precommitted_read"] += 1
            elif not self.unsteady and self._read_before(attempt, called):
                self.counts["precommitted_read"] += 1

    def _read_before(self, attempt: Attempt, called: int) -> bool:
        return any(
            content[1:] == attempt.identity and self._at_home(content, place) and instant < called
            for (place, content), instant in self.read_at.items()
        )

    def _all_transactions(self) -> list[Transaction]:
        """Those with steps on record, and those that only attempts name."""
        named = {
            (each.identity[0], each.transaction)
            for each in self.attempts.values()
            if each.transaction is not None
        }
        known = {key for key, each in self.transactions.items() if each.known}
        return [self.transactions.get(key, Transaction()) for key in named | known]

    def _hung(self) -> tuple[set[Place], bool]:
        """4.15: the last stable offsets that stood still for too long, and whether one may have."""
        stated = [
            line["transaction_timeout_ms"] * 1000
            for line in self._of("history")
            if "transaction_timeout_ms" in line
        ]
        bound = max(stated, default=max(OWN_TIMEOUT, DEFAULT_TIMEOUT)) + SCAN_AND_FAILOVER
        least = max(stated, default=OWN_TIMEOUT) + SCAN_AND_FAILOVER
        steps = [at for each in self.transactions.values() for at in each.instants]
        hung: set[Place] = set()
        unsure = self.unsteady
        for lane in self.proofs:
            looks = sorted(
                (line["at_us"], line["last_stable"], line["high_watermark"])
                for line in self._of("offsets")
                if (line["topic"], line["partition"]) == lane
            )
            if not looks:
                unsure = True
            stood: dict[int, int] = {}
            since: int | None = None
            before = -1
            for at, stable, watermark in looks:
                if stable < before:
                    unsure = True
                if stable >= watermark:
                    since = None
                elif since is None or stable != before:
                    since = at
                if since is not None:
                    stood[stable] = max(stood.get(stable, 0), at - since)
                before = stable
            for stable, for_us in stood.items():
                if for_us > bound:
                    hung.add((*lane, stable))
                elif for_us > least:
                    unsure = True
            instants = [at for at, _, _ in looks] if steps else []
            if steps:
                within = [at for at in instants if min(steps) < at < max(steps)]
                instants = [min(steps), *within, max(steps)]
            if any(b - a > bound for a, b in pairwise(instants)):
                unsure = True
            drain = self._line_of("drain", lane)
            if self._contradicted(drain, self._returned(lane)):
                drain = {}
            unfinished = any(
                each.last not in ("committed", "aborted") for each in self._all_transactions()
            )
            done = max(steps, default=10**18) + (bound if unfinished else 0)
            ended = drain.get("complete") and self._end_believed(lane, drain)
            if not ended and not any(
                at > done and stable >= watermark for at, stable, watermark in looks
            ):
                unsure = True
            if steps and {"end", "last_stable", "ended_us"} <= set(drain):
                waited = drain["ended_us"] - max(steps)
                if drain["last_stable"] < drain["end"] and waited > least:
                    if waited > bound:
                        hung.add((*lane, drain["last_stable"]))
                    else:
                        unsure = True
        if self.unsteady:
            hung = set()
        return hung, unsure

    # Verdicts.

    def _decide(self, anomaly: str) -> str:
        found = self.counts[anomaly] > 0
        if self.damaged:
            placed = all("partition" in line for line in self._of("attempt"))
            stays = anomaly == "corrupt" or (
                placed
                and (
                    anomaly in ("duplicate", "misrouted")
                    or (anomaly == "failed_visible" and not self.transactions)
                )
            )
            return BROKEN if found and stays else INCONCLUSIVE
        if found and self._undone(anomaly):
            return INCONCLUSIVE
        if found:
            return BROKEN
        return INCONCLUSIVE if self._hidden(anomaly) else KEPT

    def _undone(self, anomaly: str) -> bool:
        """Whether a last line that breaks off may have said what undoes an anomaly."""
        within = any(each.transaction is not None for each in self.attempts.values())
        if anomaly == "corrupt" or (anomaly in ("duplicate", "misrouted") and not self.anywhere):
            return False
        steps = within or self.transactions
        if anomaly == "failed_visible" and not steps and not self.anywhere:
            return False
        for text in self.torn:
            found = re.search(r'"type": "(\w+)"', text)
            kind = found[1] if found else ""
            if kind not in UNDONE or (kind in ("attempt", "outcome") and self.anywhere):
                return True
            if anomaly in UNDONE[kind] or (
                kind == "outcome"
                and within
                and anomaly in ("lost", "torn_txn", "lost_txn", "precommitted_read")
            ):
                return True
        return False

    def _hidden(self, anomaly: str) -> bool:
        """5.2: whether something kept us from looking."""
        if self.counts["acked"] + self.counts["sent"] == 0:
            return True
        stepless = any(
            each.transaction is not None
            and not self.transactions.get((each.identity[0], each.transaction), Transaction()).known
            for each in self.attempts.values()
        )
        if anomaly == "hung_txn":
            return self.hung_unsure
        if anomaly in OF_TRANSACTIONS and self._without_record():
            return True
        if anomaly == "precommitted_read":
            called = all(
                "commit_called" in each.steps
                for each in self.transactions.values()
                if {"committed", "unknown"} & set(each.steps) and "abort_called" not in each.steps
            )
            if self.counts["failed_visible"]:
                return True
            return stepless or self.unsteady or not called or not self._timed()
        if any(proof.obstacle for proof in self.proofs.values()) or self.counts["unseen"]:
            return True
        if anomaly == "vanished":
            return self.hidden_by_foreign or not self._covered(known=False)
        if anomaly in ("gap", "torn_txn", "lost_txn"):
            return stepless or not all(proof.stated for proof in self.proofs.values())
        return False

    def _without_record(self) -> bool:
        """Whether nothing is on record of the transactions of some producer."""
        known = {producer for producer, _ in self.transactions}
        known |= {
            each.identity[0] for each in self.attempts.values() if each.transaction is not None
        }
        return any(identity[0] not in known for identity in self.attempts)

    def _timed(self) -> bool:
        """Whether live readings have instants: any of them, and those of each partition."""
        home = [place for place, content in self.read_at if self._at_home(content, place)]
        return bool(home) and self._covered(known=True)

    def _covered(self, *, known: bool) -> bool:
        """Whether of each partition at least 95 % of the drained attempts were read twice."""
        for topic, partition in self.proofs:
            lowest: dict[Content, int] = {}
            for place, content in self.drained.items():
                if place[:2] == (topic, partition) and self._kind(content, place) == "attempt":
                    lowest[content] = min(place[2], lowest.get(content, place[2]))
            covered = 0
            for content, offset in lowest.items():
                here = (topic, partition, offset), content
                if known:
                    covered += here in self.read_at
                else:
                    read_live = content in self.live.get(here[0], ())
                    covered += read_live or self.times_read[here] > 1
            if 100 * covered < 95 * len(lowest):
                return False
        return known or any(self.live.values()) or any(n > 1 for n in self.times_read.values())
