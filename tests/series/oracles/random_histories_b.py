"""Small random histories, by playing: brokers, producers and readers take turns on one clock.

The other generator (random_histories_a.py) lets mishaps befall a topic that was written at once.
Here transactions of several producers are open at the same time, leaders lose the ends of their
logs, retention moves their starts, a live reader follows as far as it is allowed to, and a drain
reads what is left. Then somebody writes it all down, not always well.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from tests.series.oracles.promised import PROFILES, Profile

Line = dict[str, Any]
Lane = tuple[str, int]

SECOND = 1_000_000
BEGINNING = 1_750_000_000 * SECOND
COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"


@dataclass
class PlayedHistory:
    """What `harness verify --history` is given."""

    files: list[str]
    profile: Profile
    lenient: bool


@dataclass
class Entry:
    """What stands at an offset of a log; without a record it is a marker."""

    record: Line | None
    open_for: object = None  # the transaction that still decides about it
    aborted: bool = False


@dataclass
class Partition:
    entries: list[Entry] = field(default_factory=list)
    start: int = 0
    position: int = 0  # of the live reader
    looks: list[Line] = field(default_factory=list)

    @property
    def last_stable(self) -> int:
        undecided = [at for at, each in enumerate(self.entries) if each.open_for is not None]
        return min(undecided, default=len(self.entries))


@dataclass
class Client:
    """A producer, and the transaction that it has open."""

    number: int
    transaction: int = 0
    is_open: bool = False
    fate: str = "commit"
    written: list[Lane] = field(default_factory=list)
    sequences: dict[Any, int] = field(default_factory=dict)


def played_history(seed: int) -> PlayedHistory:
    """The history of a seed."""
    return _Stage(random.Random(f"played {seed}")).play()


class _Stage:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        weights = [3 if each.transactional else 1 for each in PROFILES]
        self.profile = chance.choices(PROFILES, weights)[0]
        self.transactional = self.profile.transactional != self.happens(0.06)
        self.trouble = chance.choice((0.0, 0.0, 0.01, 0.04, 0.12))
        topics = chance.choice((["orders"], ["orders"], ["orders", "bills"]))
        self.logs = {(t, p): Partition() for t in topics for p in range(chance.choice((1, 1, 2)))}
        self.lanes = list(self.logs)
        self.nowhere = not self.transactional and self.happens(0.15)
        self.clients = [Client(n) for n in chance.sample(range(1, 9), chance.randint(1, 3))]
        self.live_level = self.level(0.15)
        self.live_from = chance.choice((0, 0, 0, 0, 2))
        self.live_until = chance.choice((1.0, 1.0, 1.0, 1.0, 0.5, 0.0))
        self.clock = chance.choice(("all", "all", "most", "none"))
        self.now = BEGINNING
        self.told: list[Line] = []
        self.attempts: list[Line] = []
        self.watched = self.happens(0.9 if self.transactional else 0.1)

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def goes_wrong(self) -> bool:
        return self.happens(self.trouble)

    def level(self, other: float) -> str:
        """A level of isolation, mostly the profile's."""
        chosen = self.profile.level
        if self.happens(other):
            chosen = COMMITTED if chosen == UNCOMMITTED else UNCOMMITTED
        return chosen

    def tick(self) -> int:
        self.now += self.chance.choice((0, 1, 1, 7, 1000, 1000, 20_000))
        if self.happens(0.01):
            self.now += self.chance.choice((49, 50, 51, 80, 81, 120)) * SECOND
        return self.now

    def play(self) -> PlayedHistory:
        turns = self.chance.randint(2, 24)
        for turn in range(turns):
            client = self.chance.choice(self.clients)
            if self.transactional:
                self.transact(client)
            else:
                self.write(client, None)
            self.surprise()
            if turn < turns * self.live_until:
                self.look_live()
            self.watch()
        for client in self.clients:
            if client.is_open and not self.happens(0.15):
                self.finish(client)
        if self.live_until == 1.0:
            self.look_live()
        self.watch()
        for lane, log in self.logs.items():
            if self.happens(0.1):
                log.start = self.chance.randint(0, len(log.entries))
            self.drain(lane, log)
        return self.write_down()

    # Producers.

    def transact(self, client: Client) -> None:
        if not client.is_open:
            client.transaction += 1
            client.is_open = True
            client.fate = self.chance.choice(("commit", "commit", "commit", "abort", "doubt"))
            client.written = []
            if not self.happens(0.02):
                self.step(client, "begin")
        if self.happens(0.7):
            self.write(client, client.transaction)
        else:
            self.finish(client)

    def step(self, client: Client, name: str) -> None:
        if self.goes_wrong():
            return
        at = self.tick() - (self.chance.choice((1, SECOND)) if self.happens(0.003) else 0)
        who = {"producer": client.number, "transaction": client.transaction}
        self.told.append({"type": "transaction", **who, "step": name, "at_us": at})

    def finish(self, client: Client) -> None:
        """Commit or abort; the answer may be missing, and the records be there or not."""
        aborts = client.fate == "abort"
        self.step(client, "abort_called" if aborts else "commit_called")
        if not aborts and self.goes_wrong():
            self.step(client, "abort_called")
            aborts = True
        vanishes = aborts != self.goes_wrong()
        if client.fate == "doubt":
            vanishes = self.happens(0.5)
        key = (client.number, client.transaction)
        for lane in self.lanes:
            entries = self.logs[lane].entries
            for entry in entries:
                if entry.open_for == key:
                    entry.open_for = None
                    entry.aborted = vanishes and not self.goes_wrong()
            if lane in client.written:
                entries.append(Entry(None))
        if client.fate != "doubt":
            self.step(client, "aborted" if aborts else "committed")
        elif self.happens(0.5):
            self.step(client, "unknown")
        client.is_open = False

    def write(self, client: Client, transaction: int | None) -> None:
        lane = self.chance.choice(self.lanes)
        within = lane[0] if self.nowhere else lane
        before = client.sequences.get(within, self.chance.choice((-1, -1, 4)))
        sequence = client.sequences[within] = before + (2 if self.goes_wrong() else 1)
        record = {"producer": client.number, "lane": lane, "sequence": sequence}
        attempt: Line = {"type": "attempt", "producer": client.number, "topic": lane[0]}
        attempt |= {"partition": lane[1], "sequence": sequence, "transaction": transaction}
        self.attempts.append(attempt)
        fate = self.chance.choices(("acked", "failed", "unknown"), (12, 1, 2))[0]
        if self.profile.name == "fire-and-forget" and fate == "acked":
            fate = "sent"
        attempt["outcome"] = fate
        lands = fate in ("acked", "sent") or (fate == "unknown" and self.happens(0.5))
        if lands != self.goes_wrong():
            place = self.append(lane, record, transaction)
            client.written.append(lane)
            if self.goes_wrong() and place > 0:  # overtakes the one before it
                entries = self.logs[lane].entries
                entries[place - 1], entries[place] = entries[place], entries[place - 1]
                place -= self.chance.choice((0, 1))
            if self.goes_wrong():  # a retry
                place = self.append(lane, record, transaction) - self.chance.choice((0, 1))
        else:
            place = len(self.logs[lane].entries)
        if fate == "acked" and not self.happens(0.05):
            attempt["offset"] = place if not self.goes_wrong() else self.chance.randrange(9)

    def append(self, lane: Lane, record: Line | None, transaction: int | None) -> int:
        undecided = None if transaction is None or not record else (record["producer"], transaction)
        self.logs[lane].entries.append(Entry(record, undecided))
        return len(self.logs[lane].entries) - 1

    def surprise(self) -> None:
        """What brokers and strangers do."""
        lane = self.chance.choice(self.lanes)
        log = self.logs[lane]
        if self.goes_wrong():  # a leader dies with the end of its log
            del log.entries[max(0, len(log.entries) - self.chance.randint(1, 3)) :]
        if self.goes_wrong():
            log.entries.append(Entry({"content": self.chance.choice(("corrupt", "foreign"))}))
        if self.goes_wrong():  # never attempted, or somewhere else than it should be
            log.entries.append(Entry(self.stranger()))
        if self.transactional and self.happens(0.03):  # a transaction that is not on record
            stranger = Entry({"content": "foreign"}, open_for="stranger")
            log.entries.append(stranger)
        if self.happens(0.5):
            for each in self.logs.values():
                for entry in each.entries:
                    if entry.open_for == "stranger":
                        entry.open_for, entry.aborted = None, True

    def stranger(self) -> Line:
        lane = self.chance.choice(self.lanes)
        if self.attempts and self.happens(0.5):
            known = self.chance.choice(self.attempts)
            lane = (known["topic"], known["partition"])
            return {"producer": known["producer"], "lane": lane, "sequence": known["sequence"]}
        return {"producer": self.chance.randint(1, 9), "lane": lane, "sequence": 40}

    # Readers.

    def look_live(self) -> None:
        for lane, log in self.logs.items():
            limit = log.last_stable if self.live_level == COMMITTED else len(log.entries)
            if self.goes_wrong():
                limit = len(log.entries)
            if log.position > limit or self.goes_wrong():  # its position was cut off
                log.position = self.chance.randint(0, max(0, limit))
            for offset in range(max(log.position, self.live_from), limit):
                self.observe(lane, offset, self.live_level, live=True)
            log.position = max(log.position, limit)

    def observe(self, lane: Lane, offset: int, level: str, *, live: bool) -> None:
        entry = self.logs[lane].entries[offset]
        hidden = entry.record is None or (entry.aborted and level == COMMITTED)
        if (hidden and not (entry.record and self.goes_wrong())) or self.goes_wrong():
            return
        assert entry.record is not None
        line: Line = {"type": "observation", "topic": lane[0], "partition": lane[1]}
        line |= {"offset": offset, "set": "live" if live else "drain"}
        record = entry.record if not self.goes_wrong() else self.stranger()
        if "content" in record:
            line["content"] = record["content"]
        else:
            line |= {"producer": record["producer"], "sequence": record["sequence"]}
            home, partition = record["lane"]
            if home != lane[0] or (not self.nowhere and self.happens(0.02)):
                line["sent_topic"] = home
            elsewhere = home != lane[0] if self.nowhere else partition != lane[1]
            if elsewhere or (not self.nowhere and self.happens(0.02)):
                line["sent_partition"] = partition
        if level != self.profile.level or self.happens(0.1):
            line["isolation"] = level
        timed = self.clock == "all" or (self.clock == "most" and self.happens(0.97))
        if timed and (live or self.happens(0.7)):
            line["read_us"] = self.tick() if self.happens(0.9) else self.now
            if self.goes_wrong():
                line["read_us"] -= self.chance.choice((1, 1000, 30_000))
        self.told.append(line)
        if self.goes_wrong():
            self.told.append(dict(line))

    def watch(self) -> None:
        for lane, log in self.logs.items():
            if not self.watched or self.happens(0.5):
                continue
            line: Line = {"type": "offsets", "topic": lane[0], "partition": lane[1]}
            line |= {"at_us": self.tick(), "last_stable": log.last_stable}
            line["high_watermark"] = len(log.entries)
            if self.goes_wrong():
                line["last_stable"] = max(0, log.last_stable - 1)
            self.told.append(line)

    def drain(self, lane: Lane, log: Partition) -> None:
        levels = [self.level(0.1)]
        if self.happens(0.3 if self.transactional else 0.05):
            levels.append(COMMITTED if levels[0] == UNCOMMITTED else UNCOMMITTED)
        for level in levels:
            self.drain_at(lane, log, level)
        for _ in range(2 if self.happens(0.25) else 0):
            again = self.chance.choice((True, False))
            for offset in range(log.start, log.last_stable):
                if self.happens(0.97):
                    self.observe(lane, offset, self.profile.level, live=again)

    def drain_at(self, lane: Lane, log: Partition, level: str) -> None:
        stable, end = log.last_stable, len(log.entries)
        until = stable if level == COMMITTED else end
        begin = log.start
        if self.happens(0.06):
            begin = self.chance.randint(begin, max(begin, until))
        if self.happens(0.06):
            until = self.chance.randint(min(begin, until), until)
        for offset in range(begin, until):
            self.observe(lane, offset, level, live=False)
        place: Line = {"topic": lane[0], "partition": lane[1]}
        if level != self.profile.level or self.happens(0.1):
            place["isolation"] = level
        if self.happens(0.15):
            start = begin if self.happens(0.8) else self.chance.randrange(4)
            self.told.append({"type": "reading", **place, "start": start})
        if self.happens(0.25):
            return
        line: Line = {"type": "drain", **place, "complete": self.happens(0.92)}
        if self.happens(0.8):
            line["start"] = log.start
        if self.happens(0.9):
            line["end"] = end if not self.goes_wrong() else self.chance.randint(log.start, end + 1)
        if self.happens(0.93 if self.transactional else 0.2):
            line["last_stable"] = stable if not self.goes_wrong() else end
        if self.happens(0.6):
            line["ended_us"] = self.now + self.chance.choice((10, 51, 81, 100, 101)) * SECOND
        self.told.append(line)
        if self.goes_wrong() and self.happens(0.3):
            self.told.append({**line, "complete": False} if self.happens(0.5) else dict(line))

    # Whoever writes it down.

    def write_down(self) -> PlayedHistory:
        lines: list[Line] = []
        for attempt in self.attempts:
            lines += self.as_lines(attempt)
        lines += self.told
        for line in list(lines):
            if self.happens(self.trouble / 20) and line["type"] != "attempt":
                lines.remove(line)
        if self.happens(0.01):
            lines.append(dict(self.chance.choice(lines)))
        if self.happens(0.2):  # whole blocks change places; what is in order stays so within
            cut = self.chance.randint(0, len(self.attempts))
            lines = [*lines[cut:], *lines[:cut]]
        return PlayedHistory(self.in_files(lines), self.profile, self.happens(0.06))

    def as_lines(self, attempt: Line) -> list[Line]:
        line = {name: each for name, each in attempt.items() if each is not None}
        if self.nowhere:
            known = self.happens(0.7)
            outcome = {name: line[name] for name in line if name != "transaction"}
            outcome["type"] = "outcome"
            if not known:
                outcome = {k: v for k, v in outcome.items() if k not in ("partition", "offset")}
            line = {k: v for k, v in line.items() if k not in ("partition", "offset", "outcome")}
            return [line, outcome] if self.happens(0.9) else [line]
        if self.happens(0.3):
            outcome = {name: line[name] for name in line if name != "transaction"}
            del line["outcome"]
            line.pop("offset", None)
            return [line, outcome | {"type": "outcome"}]
        if line["outcome"] == "unknown" and self.happens(0.5):
            del line["outcome"]
        return [line]

    def in_files(self, lines: list[Line]) -> list[str]:
        cut = self.chance.randint(1, len(lines)) if self.happens(0.2) else len(lines)
        return [self.as_text(part) for part in (lines[:cut], lines[cut:]) if part]

    def as_text(self, lines: list[Line]) -> str:
        ends = self.happens(0.1)
        if ends or self.happens(0.3):
            head: Line = {"type": "history", "schema": "delivery-history/1"}
            if ends:
                head["ends"] = True
            if self.happens(0.5):
                head["transaction_timeout_ms"] = self.chance.choice((30_000, 60_000, 80_000))
            lines = [head, *lines]
        if ends and not self.happens(0.2):
            lines = [*lines, {"type": "end", "lines": len(lines) + self.happens(0.05)}]
        raw = [json.dumps(line) for line in lines]
        if self.happens(0.01):
            raw.insert(self.chance.randrange(len(raw)), self.chance.choice(("?", '{"type": 1}')))
        text = "\n".join(raw) + "\n"
        if self.happens(0.1):
            last = text.rstrip("\n").rfind("\n") + 1
            text = text[: self.chance.randint(last + 1, len(text) - 2)]
        return text
