"""Small random histories: a topic is written and read, and independent mishaps befall all of it."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

Line = dict[str, Any]
Lane = tuple[str, int]

SECOND = 1_000_000
BEGINNING = 1_700_000_000 * SECOND
PROFILES = ("fire-and-forget", "leader-ack", "at-least-once", "idempotent", "transactional")


@dataclass
class RandomHistory:
    """What `harness verify --history` is given."""

    files: list[str]
    profile: str
    lenient: bool


@dataclass
class Log:
    """A topic-partition while it is written: records by offset, None where there is none."""

    records: list[Line | None] = field(default_factory=list)


def random_history(seed: int) -> RandomHistory:
    """The history of a seed."""
    return _Recorder(random.Random(seed)).history()


class _Recorder:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.profile = chance.choice((*PROFILES, "transactional", "idempotent"))
        self.rate = chance.choice((0.0, 0.0, 0.02, 0.05, 0.15))
        self.transactional = (self.profile == "transactional") == self.happens(0.97)
        topics = ["t", "u"] if self.happens(0.15) else ["t"]
        partitions = chance.choice((1, 1, 2))
        self.lanes: list[Lane] = [(topic, p) for topic in topics for p in range(partitions)]
        self.anywhere = not self.transactional and self.happens(0.08)
        self.logs = {lane: Log() for lane in self.lanes}
        self.live: list[tuple[Lane, int, Line, int | None]] = []
        self.sent: list[Line] = []
        self.lines: list[Line] = []
        self.late: list[tuple[Lane, Line]] = []
        self.now = BEGINNING
        self.sequences: dict[Any, int] = {}
        self.live_reads = chance.choice((0.0, 0.0, 0.9, 1.0, 1.0))
        self.live_start = {
            lane: 0 if self.happens(0.8) else chance.randrange(4) for lane in self.lanes
        }
        self.live_clock = self.happens(0.9)

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def mishap(self) -> bool:
        return self.happens(self.rate)

    def tick(self) -> int:
        if not self.happens(0.1):
            self.now += self.chance.choice((1, 10, 1000))
        return self.now

    # Writing.

    def history(self) -> RandomHistory:
        producers = self.chance.randint(1, 3)
        if self.transactional:
            self.write_transactions(producers)
        else:
            for _ in range(self.chance.randint(1, 12)):
                self.write(self.chance.randint(1, producers), None)
        while self.late:
            self.append(*self.late.pop())
        self.strangers()
        self.read_back()
        self.mishaps()
        return self.told()

    def write(self, producer: int, transaction: int | None, *, aborts: bool = False) -> list[Lane]:
        lane = self.chance.choice(self.lanes)
        within = (producer, lane[0]) if self.anywhere else (producer, *lane)
        step = 1 if not self.mishap() else 2
        self.sequences[within] = (
            self.sequences.get(within, self.chance.choice((-1, -1, -1, 6))) + step
        )
        who = {"producer": producer, "topic": lane[0], "sequence": self.sequences[within]}
        record = {"content": "intact", "lane": lane, **who}
        fate = self.chance.random()
        sent: Line = {"type": "attempt", **who, "partition": lane[1], "transaction": transaction}
        outcome, offset = "acked", None
        if self.happens(0.06):
            outcome = self.chance.choice(("failed", "unknown", "unknown", "sent"))
        if self.profile == "fire-and-forget" and self.happens(0.9) and outcome == "acked":
            outcome = "sent"
        appended = outcome in ("acked", "sent") or (outcome == "unknown" and fate < 0.5)
        if self.mishap():
            appended = not appended
        if appended:
            if self.mishap():
                self.late.append((lane, record))
                offset = len(self.logs[lane].records) + 1
            else:
                offset = self.append(lane, None if aborts else record)
        if self.mishap():
            self.append(lane, record)
        if self.mishap():
            offset = None if self.happens(0.4) else self.chance.randrange(12)
        elif appended is False:
            offset = len(self.logs[lane].records)
        sent["outcome"] = outcome
        if outcome == "acked" and offset is not None and not self.happens(0.05):
            sent["offset"] = offset
        if outcome == "unknown" and self.happens(0.5):
            del sent["outcome"]
        self.sent.append(sent)
        if self.late and self.happens(0.5):
            self.append(*self.late.pop())
        if self.mishap():
            self.cut(lane)
        return [lane]

    def append(self, lane: Lane, record: Line | None) -> int:
        records = self.logs[lane].records
        records.append(record)
        offset = len(records) - 1
        if record is not None:
            self.look(lane, offset, record)
        return offset

    def look(self, lane: Lane, offset: int, record: Line) -> None:
        """The live reader, which may be late, or miss a record, reads it again now and then."""
        if offset < self.live_start[lane] or not self.happens(self.live_reads):
            return
        instant = self.now if self.happens(0.2) else self.now + self.chance.choice((1, 10, 5000))
        self.live.append((lane, offset, record, instant if self.live_clock else None))

    def cut(self, lane: Lane) -> None:
        """A new leader without the last records of the log: others get their offsets."""
        records = self.logs[lane].records
        del records[max(0, len(records) - self.chance.randint(1, 3)) :]

    def write_transactions(self, producers: int) -> None:
        for number in range(1, self.chance.randint(2, 5)):
            producer = self.chance.randint(1, producers)
            fate = self.chance.choice(("commit", "commit", "commit", "commit", "abort", "open"))
            unknown = fate != "open" and self.happens(0.12)
            if self.happens(0.04):
                fate = "unsaid"
            hidden = fate in ("abort", "open") or (unknown and self.happens(0.5))
            if self.mishap():
                hidden = not hidden
            if fate != "unsaid":
                self.step(producer, number, "begin")
            lanes = set()
            first = len(self.live)
            for _ in range(self.chance.randint(1, 4)):
                lanes |= set(self.write(producer, number, aborts=hidden))
            if fate in ("commit", "abort"):
                self.step(producer, number, "commit_called" if fate == "commit" else "abort_called")
                if fate == "commit" and self.mishap():
                    self.step(producer, number, "abort_called")
                    fate = "abort"
                if unknown:
                    if self.happens(0.5):
                        self.step(producer, number, "unknown")
                else:
                    self.step(producer, number, "committed" if fate == "commit" else "aborted")
            early = self.mishap()
            for place, (lane, offset, record, instant) in enumerate(self.live):
                if place >= first and instant is not None and not early:
                    self.live[place] = lane, offset, record, instant + (self.now - BEGINNING)
                    self.live[place] = lane, offset, record, max(instant, self.tick())
            for lane in lanes:
                self.append(lane, None)
            if self.happens(0.05):
                self.write(producer, None)

    def step(self, producer: int, number: int, step: str) -> None:
        at = self.tick()
        if self.mishap() and self.happens(0.3):
            at -= 5000
        if self.mishap():
            return
        self.lines.append(
            {
                "type": "transaction",
                "producer": producer,
                "transaction": number,
                "step": step,
                "at_us": at,
            }
        )

    def strangers(self) -> None:
        """Records that nobody attempted, that came back changed, or of somebody else."""
        for lane in self.lanes:
            while self.mishap():
                self.append(lane, {"content": self.chance.choice(("corrupt", "foreign"))})
            if self.mishap():
                self.append(lane, self.stranger(lane))

    def stranger(self, lane: Lane) -> Line:
        where = self.chance.choice([*self.lanes, lane, ("elsewhere", 0)])
        if self.anywhere:
            where = lane
        return {
            "content": "intact",
            "lane": where,
            "producer": self.chance.randint(1, 4),
            "sequence": self.chance.randrange(20),
        }

    # Reading.

    def read_back(self) -> None:
        self.read: list[tuple[Lane, int, Line, int | None]] = []
        self.ended = self.now + self.chance.choice((10, SECOND, 60 * SECOND, 90 * SECOND))
        drains = self.chance.choice(("all", "all", "some", "none"))
        clock = self.happens(0.4)
        for lane in self.lanes:
            records = self.logs[lane].records
            start = self.chance.randint(0, len(records)) if self.happens(0.12) else 0
            end = len(records)
            stable = end
            if self.happens(0.08):
                stable = self.chance.randint(start, end)
            late = self.chance.randint(start, end) if self.happens(0.06) else start
            until = self.chance.randint(start, end) if self.happens(0.05) else stable
            for offset in range(late, until):
                record = records[offset]
                if record is not None and not self.mishap():
                    instant = self.now + offset if clock and self.happens(0.95) else None
                    self.read.append((lane, offset, record, instant))
            if drains == "all" or (drains == "some" and self.happens(0.5)):
                self.drain_line(lane, start, end, stable)
            if self.happens(0.12):
                begun = late if self.happens(0.7) else self.chance.randrange(5)
                self.lines.append(
                    {"type": "reading", "topic": lane[0], "partition": lane[1], "start": begun}
                )
            if self.happens(0.9 if self.profile == "transactional" else 0.1):
                self.offsets(lane, end, stable)
        if self.happens(0.7):
            again = [each for each in self.read if self.happens(0.97)]
            self.live.extend(
                (lane, offset, record, self.ended) for lane, offset, record, _ in again
            )

    def drain_line(self, lane: Lane, start: int, end: int, stable: int) -> None:
        line: Line = {"type": "drain", "topic": lane[0], "partition": lane[1]}
        line["complete"] = self.happens(0.9)
        if self.mishap():
            end = max(start, end + self.chance.choice((-2, -1, 1)))
        if self.mishap():
            start = self.chance.randint(0, end)
        if self.happens(0.6) or (start and self.happens(0.8)):
            line["start"] = start
        if self.happens(0.8):
            line["end"] = end
        if self.happens(0.85 if self.transactional else 0.2):
            line["last_stable"] = stable
        if self.happens(0.5):
            line["ended_us"] = self.ended
        self.lines.append(line)

    def offsets(self, lane: Lane, end: int, stable: int) -> None:
        """Looks at the last stable offset, which stands still for long where nobody ends."""
        stood = self.happens(0.15)
        at, last = BEGINNING - 10, 0
        for _ in range(self.chance.randint(1, 5)):
            watermark = min(end, last + self.chance.randrange(3))
            last = min(stable, watermark) if not stood else last
            if self.mishap():
                last = max(0, last - 1)
            self.lines.append(
                {
                    "type": "offsets",
                    "topic": lane[0],
                    "partition": lane[1],
                    "at_us": at,
                    "last_stable": last,
                    "high_watermark": max(last, watermark),
                }
            )
            at += self.chance.choice((10, 100, SECOND))
            if self.happens(0.15):
                at += self.chance.choice((50, 51, 80, 81, 120)) * SECOND
            if self.happens(0.1):
                at -= at % 10

    # Telling.

    def mishaps(self) -> None:
        """What befalls the record of it all."""
        for reads in (self.read, self.live):
            for place, (lane, offset, _, instant) in enumerate(list(reads)):
                if self.mishap():
                    reads[place] = lane, offset, self.content(lane), instant
                if self.mishap():
                    reads.append((lane, offset, self.content(lane), instant))
                if self.mishap():
                    reads.append(reads[place])
                if self.mishap() and instant is not None:
                    reads[place] = (*reads[place][:3], self.ended)
        for line in self.sent:
            if self.mishap() and line.get("outcome") == "acked":
                line["offset"] = self.chance.randrange(8)

    def content(self, lane: Lane) -> Line:
        kind = self.chance.random()
        if kind < 0.2:
            return {"content": "corrupt"}
        if kind < 0.4:
            return {"content": "foreign"}
        if kind < 0.6 or not self.sent:
            return self.stranger(lane)
        sent = self.chance.choice(self.sent)
        return {
            "content": "intact",
            "lane": (sent["topic"], sent["partition"]),
            "producer": sent["producer"],
            "sequence": sent["sequence"],
        }

    def told(self) -> RandomHistory:
        lines: list[Line] = []
        for sent in self.sent:
            line = dict(sent)
            apart = self.happens(0.3) and "outcome" in line
            named = self.anywhere and (not apart or self.happens(0.5))
            outcome = {
                "type": "outcome",
                **{k: line[k] for k in line if k not in ("type", "transaction")},
            }
            if self.anywhere:
                if apart:
                    lines.append(outcome)
                    del line["outcome"]
                line.pop("offset", None)
                del line["partition"]
                if apart and named and "offset" not in outcome:
                    del outcome["partition"]
            elif apart:
                lines.append(outcome)
                line = {k: v for k, v in line.items() if k not in ("outcome", "offset")}
            lines.append({k: v for k, v in line.items() if v is not None or self.happens(0.1)})
        for reads, kind in ((self.read, "drain"), (self.live, "live")):
            lines.extend(self.observation(read, kind) for read in reads)
        lines.extend(self.lines)
        while lines and self.happens(0.01):
            lines.append(self.again(self.chance.choice(lines)))
        if self.happens(0.2):
            lines = self.shuffled(lines)
        return self.in_files(lines)

    def again(self, line: Line) -> Line:
        """A line that stands twice, and does not always say the same."""
        name = self.chance.choice(("outcome", "start", "end", "complete"))
        if name in line and self.happens(0.5):
            others: Line = {"outcome": "unknown", "start": 1, "end": 3, "complete": False}
            line = {key: value for key, value in line.items() if key != "offset"}
            return line | {name: others[name]}
        return dict(line)

    def observation(self, read: tuple[Lane, int, Line, int | None], kind: str) -> Line:
        lane, offset, record, instant = read
        line: Line = {
            "type": "observation",
            "topic": lane[0],
            "partition": lane[1],
            "offset": offset,
        }
        if record["content"] == "intact":
            line |= {"producer": record["producer"], "sequence": record["sequence"]}
            topic, partition = record["lane"]
            if topic != lane[0] or self.happens(0.02):
                line["sent_topic"] = topic
            if not self.anywhere and (partition != lane[1] or self.happens(0.02)):
                line["sent_partition"] = partition
        else:
            line["content"] = record["content"]
        if kind == "live" or self.happens(0.2):
            line["set"] = kind
        if instant is not None:
            line["read_us"] = instant
        return line

    def shuffled(self, lines: list[Line]) -> list[Line]:
        """In any order, but the steps of a transaction in their own."""
        steps = iter([line for line in lines if line["type"] == "transaction"])
        mixed = list(lines)
        self.chance.shuffle(mixed)
        return [next(steps) if line["type"] == "transaction" else line for line in mixed]

    def in_files(self, lines: list[Line]) -> RandomHistory:
        cuts = [len(lines)]
        if self.happens(0.25):
            cuts = [self.chance.randint(1, max(1, len(lines) - 1)), len(lines)]
        files, begun = [], 0
        lenient = self.happens(0.05)
        for cut in cuts:
            part = [json.dumps(line) for line in lines[begun:cut]]
            begun = cut
            ends = self.happens(0.08)
            if ends or self.happens(0.2):
                head: Line = {"type": "history", "schema": "delivery-history/1"}
                if ends:
                    head["ends"] = True
                if self.happens(0.3):
                    head["transaction_timeout_ms"] = self.chance.choice((30_000, 60_000, 100_000))
                part.insert(0, json.dumps(head))
            if self.happens(0.02):
                part.insert(
                    self.chance.randint(0, len(part)), self.chance.choice(("garbage", "{", "[]"))
                )
            if ends and not self.happens(0.25):
                part.append(json.dumps({"type": "end", "lines": len(part)}))
            text = "".join(line + "\n" for line in part)
            if part and self.happens(0.1):
                torn = len(part[-1]) - self.chance.randint(1, max(1, len(part[-1]) - 1))
                text = text[: len(text) - 1 - len(part[-1]) + max(1, torn)]
                if self.happens(0.3):
                    text = text.rstrip("}") + "}"[: self.chance.randrange(1)]
            files.append(text)
        if not any(files):
            files = ['{"type": "history", "schema": "delivery-history/1"}\n']
        return RandomHistory([text for text in files if text], self.profile, lenient)
