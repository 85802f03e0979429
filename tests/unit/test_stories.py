"""A story claims nothing that was not recorded, goes by time, and holds what proves the anomaly.

The sentences of every golden history are held against its lines, read here once more from the
file: each sentence has one meaning, and that has to be so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.judge.explain.order import EVENTS_MAX, in_order, shortened
from harness.judge.explain.scene import Event
from tests.support.histories import START_US, consuming, judged, profile, run_info
from tests.unit.test_golden import GOLDEN, lines

Lines = list[dict[str, Any]]
INDENT = 14


def placed(all_lines: Lines) -> Lines:
    """The lines, where each attempt has the partition that its outcome, or else a reading, says."""
    found = []
    for line in all_lines:
        if line["type"] != "attempt" or line.get("partition") is not None:
            found.append(line)
            continue
        names = [line[name] for name in ("producer", "topic", "sequence")]
        says = {
            kind: [
                each
                for each in all_lines
                if each["type"] == kind
                and [each.get("producer"), each.get("sent_topic", each["topic"])] == names[:2]
                and each["sequence"] == names[2]
                and ("sent_partition" in each or each["topic"] == names[1])
            ]
            for kind in ("outcome", "observation")
        }
        settled = says["outcome"][0] if says["outcome"] else {}
        homes = [each["partition"] for each in says["outcome"] if "partition" in each]
        homes += [each.get("sent_partition", each["partition"]) for each in says["observation"]]
        place = (
            {"partition": homes[0]}
            if homes
            else {"topic": f"{names[1]} (partition not known)", "partition": 0}
        )
        kept: tuple[str, ...] = ("outcome", "offset")
        more = {name: settled[name] for name in kept if name in settled}
        found.append({**line, **more, **place})
    return found


def of_topic(all_lines: Lines, topic: str) -> Lines:
    """The lines, where those of a topic id have the topic that stands for it."""
    named = re.fullmatch(r"(\w+) \(topic id ([\w ]+)\)", topic)
    if named is None:
        return all_lines
    wanted = None if named[2] == "not known" else named[2]
    told = {
        (line["producer"], line["sequence"]): line.get("topic_id")
        for kind in ("observation", "attempt", "outcome")
        for line in all_lines
        if line["type"] == kind and line.get("topic_id") is not None
    }
    return [
        {**line, "topic": topic}
        if line["type"] in ("attempt", "observation")
        and line["topic"] == named[1]
        and told.get((line["producer"], line["sequence"])) == wanted
        else line
        for line in all_lines
    ]


class Record:
    """The lines of a history, asked about one witness."""

    def __init__(self, all_lines: Lines, witness: dict[str, Any]) -> None:
        self.all, self.witness = of_topic(placed(all_lines), witness["topic"]), witness

    def of(self, kind: str, **fields: Any) -> Lines:
        """The lines of a type with these fields; those without a topic are not told apart by it."""
        place = {"topic": self.witness["topic"], "partition": self.witness["partition"]}
        if kind in ("processing", "commit", "assignment", "attempt", "observation"):
            fields = {**place, **fields}
        if kind == "group_offset":
            fields = {**place, **fields}
        return [
            line
            for line in self.all
            if line["type"] == kind and all(line.get(n) == v for n, v in fields.items())
        ]

    def attempt(self, **fields: Any) -> Lines:
        return self.of(
            "attempt",
            producer=self.witness["producer"],
            sequence=self.witness["sequence"],
            **fields,
        )

    def read(self, offset: int, *, live: bool, **fields: Any) -> Lines:
        """The readings of an offset; "the reading" is the last one, whichever the file calls it."""
        found = self.of("observation", offset=offset, **fields)
        return [line for line in found if not live or line.get("set") == "live"]

    def __bool__(self) -> bool:
        return bool(self.all)

    def ends(self, step: str) -> bool:
        """Whether a transaction of the witness has this step on record."""
        named = re.search(r": transaction (\d+) of", self.witness["text"][0])
        if named is not None:
            numbers = [int(named[1])]
        else:
            numbers = [line["transaction"] for line in self.attempt() if "transaction" in line]
        producer = self.witness["producer"]
        return any(
            self.of("transaction", producer=producer, transaction=number, step=step)
            for number in numbers
        )


def _attempts(record: Record, *numbers: int) -> Lines:
    return record.of("attempt", producer=numbers[0], sequence=numbers[1])


def _ledger(record: Record, producer: int, count: int, number: int) -> bool:
    attempts = record.of("attempt", producer=producer)
    return len(attempts) == count and number not in [each["sequence"] for each in attempts]


def _own_offset(record: Record, sequence: int, offset: int) -> bool:
    producer = record.witness["producer"]
    return bool(record.read(offset, live=False, producer=producer, sequence=sequence))


def _part(record: Record, partition: int, there: int, of: int, *_: int) -> bool:
    producer, transaction = record.witness["producer"], record.witness["text"][0].split()[2]
    records = [
        line["sequence"]
        for line in record.all
        if line["type"] == "attempt"
        and (line["producer"], line.get("transaction")) == (producer, int(transaction))
        and line["partition"] == partition
        and "(partition not known)" not in line["topic"]
        and line.get("outcome") != "failed"
    ]
    read = [
        line["sequence"]
        for line in record.all
        if line["type"] == "observation"
        and line.get("set") != "live"
        and "isolation" not in line  # the reading is one at the profile's level
        and (line.get("producer"), line["partition"]) == (producer, partition)
        and line["sequence"] in records
    ]
    return (len(records), len(set(read))) == (of, there)


def _of_nowhere(record: Record, count: int, first: int, last: int) -> bool:
    producer, transaction = record.witness["producer"], record.witness["text"][0].split()[2]
    numbers = [
        line["sequence"]
        for line in record.all
        if line["type"] == "attempt" and "(partition not known)" in line["topic"]
        and (line["producer"], line.get("transaction")) == (producer, int(transaction))
    ]  # fmt: skip
    return (len(numbers), min(numbers), max(numbers)) == (count, first, last)


def _accounted(record: Record, start: int, end: int) -> bool:
    """Nothing between two offsets is missing, or a line says that the drain was complete."""
    if any(line.get("complete") for line in record.of("drain", topic=record.witness["topic"])):
        return True
    read = {line["offset"] for line in record.of("observation") if line.get("set") != "live"}
    return all(offset in read or _acked_there(record, offset) for offset in range(start, end))


def _acked_there(record: Record, offset: int) -> bool:
    return bool(record.of("attempt", offset=offset))


def _last_committed(record: Record, offset: int) -> bool:
    stated = record.of("group_offset")
    if stated:
        return offset in [line["offset"] for line in stated]
    commits = record.of("commit", step="committed")
    return any(line["offset"] == offset for line in commits)


def _unclosed(record: Record, member: int) -> bool:
    mine = [line for line in record.all if line.get("member") == member]
    return bool(mine) and not any(line.get("step") == "closed" for line in mine)


def _end(record: Record, end: int, offset: int) -> bool:
    place = {"topic": record.witness["topic"], "partition": record.witness["partition"]}
    stated = [line["end"] for line in record.of("drain", **place) if "end" in line]
    read = [line["offset"] + 1 for line in record.of("observation") if line.get("set") != "live"]
    return end <= offset and end == (stated[0] if stated else max(read, default=0))


def _begins(record: Record, start: int, offset: int) -> bool:
    stated = [
        line["start"]
        for kind in ("drain", "reading")
        for line in record.of(kind)
        if "start" in line
    ]
    first = min((line["offset"] for line in record.of("observation")), default=None)
    return offset < start and start in [*stated, first]


def _last_of_its_key(record: Record) -> bool:
    """It has a value, and no record of its key was acknowledged or read above it."""
    own = record.attempt()[0]
    live = record.of("observation", sequence=own["sequence"], producer=own["producer"])
    key = own["key"]
    at = max(line["offset"] for line in (own, *live) if "offset" in line)
    keys = {(line["producer"], line["sequence"]): line.get("key") for line in record.of("attempt")}
    read = [
        line["offset"]
        for line in record.of("observation")
        if line.get("key", keys.get((line.get("producer"), line.get("sequence")))) == key
        and "isolation" not in line  # only what was aborted was set aside there
    ]
    acked = [line.get("offset", -1) for line in record.of("attempt", key=key)]
    return bool(not own.get("tombstone") and max([*read, *acked]) == at and _compacted(record))


def _compacted(record: Record) -> Lines:
    return record.of("topic", topic=record.witness["topic"], compacted=True)


MEMBER = r"member (\d+)(?: of group \w+)?"
CLAIMS: list[tuple[str, Callable[..., Any]]] = [
    (r"(?:about here )?producer (\d+) hands record (\d+) to its client", _attempts),
    (r"it failed", lambda r: r.attempt(outcome="failed") or r.ends("aborted")),
    (r"it has an unknown outcome", lambda r: r.attempt(outcome="unknown") or r.attempt()),
    (r"it has no outcome on record.*", lambda r: not r.attempt(outcome="acked")),
    (r"it was acknowledged at offset (\d+)",
     lambda r, at: [line for kind in ("attempt", "outcome")
                    for line in r.of(kind, producer=r.witness["producer"], offset=at)]),
    (r"it was acknowledged without an offset",
     lambda r: r.attempt(outcome="acked") or r.ends("committed") or r.attempt()),
    (r"no reading that says the id of this topic returned a record at offset (\d+)",
     lambda r, at: not [x for x in r.of("observation", offset=at) if "topic_id" in x]),
    (r"no live reading that says the id of this topic holds it",
     lambda r: not [x for x in r.of("observation", producer=r.witness["producer"], set="live",
                                    sequence=r.witness["sequence"]) if "topic_id" in x]),
    (r"it was acknowledged; at which offset of this topic is not known",
     lambda r: [x for x in r.attempt(outcome="acked") if "topic_id" not in x]),
    (r"it was sent without an error \(acks=0: no broker confirms\)",
     lambda r: r.attempt(outcome="sent")),
    (r"record (\d+) was acknowledged at offset (\d+)",
     lambda r, n, at: r.of("attempt", producer=r.witness["producer"], sequence=n, offset=at)),
    (r"the ledger of producer (\d+) holds (\d+) attempts here, and none of them is record (\d+)",
     _ledger),
    (r"no attempt of a producer (\d+) is on record", lambda r, p: not r.of("attempt", producer=p)),
    (r"the reading returned (?:copy \d+|it, intact,|it) at offset (\d+)",
     lambda r, at: r.read(at, live=False, producer=r.witness["producer"])),
    (r"the reading got it at offset (\d+)",
     lambda r, at: r.read(at, live=False, producer=r.witness["producer"])),
    (r"the live reader got (?:it|copy \d+) at offset (\d+)", lambda r, at: r.read(at, live=True)),
    (r"a reading got it at offset (\d+)",
     lambda r, at: r.of("observation", offset=at)
     if r.witness["producer"] is None
     else r.of("observation", offset=at, producer=r.witness["producer"],
               sequence=r.witness["sequence"])),
    (r"what other readings returned at offset (\d+) is not part of this story",
     lambda r, at: [x for x in r.all if x["type"] == "observation" and x["offset"] == at
                    and ("isolation" in x or r.witness["producer"] is None)]),
    (r"a reader at read_committed got it at offset (\d+)", lambda r, at: r.read(at, live=True)),
    (r"the reading returned record (\d+) at offset (\d+)", _own_offset),
    (r"the reading returned record (\d+) at offset (\d+); it was handed over before record (\d+)",
     lambda r, n, at, later: _own_offset(r, n, at) and n < later),
    (r"the reading returned record (\d+) of producer (\d+) at offset (\d+)",
     lambda r, n, p, at: r.read(at, live=False, producer=p, sequence=n)),
    (r"the live reader returned record (\d+) of producer (\d+) at offset (\d+)",
     lambda r, n, p, at: r.read(at, live=True, producer=p, sequence=n)),
    (r"the reading returned a (?:corrupt|foreign) record at offset (\d+)",
     lambda r, at: r.read(at, live=False)),
    (r"the reading returned a record that fails its checksum at offset (\d+)",
     lambda r, at: r.read(at, live=False)),
    (r"the reading returned record (\d+) of producer (\d+), whose identity names another topic or "
     r"partition, at offset (\d+)", lambda r, _n, _p, at: r.read(at, live=False)),
    (r"no reading on record returned a record at offset (\d+)",
     lambda r, at: not r.read(at, live=False) and not r.read(at, live=True)),
    (r"no reading from while the load ran is on record",
     lambda r: not [x for x in r.all if x["type"] == "observation" and x.get("set") == "live"]),
    (r"the live reading does not hold it",
     lambda r: not [x for x in r.of("observation", producer=r.witness["producer"],
                                    sequence=r.witness["sequence"])
                    if x.get("set") == "live" and "isolation" not in x]),
    (r"the log ends at (\d+), at or below offset (\d+)", _end),
    (r"the reading begins at (\d+), above offset (\d+)", _begins),
    (r"record (\d+) of producer (\d+) was acknowledged at offset (\d+) as well",
     lambda r, n, p, at: r.of("attempt", producer=p, sequence=n, offset=at)),
    (r"record (\d+) was acknowledged at offset (\d+); it was handed over before record (\d+)",
     lambda r, n, at, later: n < later
     and r.of("attempt", producer=r.witness["producer"], sequence=n, offset=at)),
    (r"what was read from offset (\d+) to (\d+) is accounted for, and it is not there", _accounted),
    (r"whether it is there is not known: .+", bool),
    (r"the topic is compacted, and this was the last record of its key: no later one was "
     r"acknowledged or read(?: but in a transaction that was aborted)?, so compaction had to keep "
     r"it",
     _last_of_its_key),
    (r"the topic is compacted, and whether compaction removed it cannot be known", _compacted),
    (r"the brokers' log files were not looked at", bool),
    (r"of (\d+) sampled lost records (\d+) are like this", lambda _, n, k: 1 <= k <= n),
    (r"producer (\d+) begins transaction (\d+)",
     lambda r, p, n: r.of("transaction", producer=p, transaction=n, step="begin")
     or r.of("attempt", producer=p, transaction=n)),
    (r"it calls commit", lambda r: r.ends("commit_called")),
    (r"no call of commit is on record", lambda r: not r.ends("commit_called")),
    (r"commit returns success", lambda r: r.ends("committed")),
    (r"abort returns success", lambda r: r.ends("aborted")),
    (r"the outcome of its end is unknown", lambda r: r.ends("unknown")),
    (r"no end of the transaction is on record",
     lambda r: not r.ends("committed") and not r.ends("aborted")),
    (r"[\w-]+, partition (\d+): the reading returned (\d+) of its (\d+) records (\d+) to (\d+)"
     r"(?:; the first that it did not return is record (\d+))?(?: \(not proven: .*\))?", _part),
    (r"[\w-]+ \(partition not known\): no line says to which partition it sent its (\d+) records "
     r"(\d+) to (\d+)", _of_nowhere),
    (r"(?:first|last) seen: last stable offset (\d+), high watermark (\d+)",
     lambda r, stable, high: r.of("offsets", last_stable=stable, high_watermark=high)),
    (r"at the end the last stable offset is still (\d+), and the log ends at (\d+)",
     lambda r, stable, end: r.of("drain", last_stable=stable, end=end)),
    (MEMBER + r" is handed the record at offset (\d+)",
     lambda r, m, at: r.of("processing", member=m, offset=at, step="polled")),
    (MEMBER + r" begins to process it at offset (\d+)",
     lambda r, m, at: r.of("processing", member=m, offset=at, step="begin")),
    (MEMBER + r" has done its effect at offset (\d+)",
     lambda r, m, at: r.of("processing", member=m, offset=at, step="effect")),
    (MEMBER + r" calls commit up to offset (\d+)(?:, past it)?",
     lambda r, m, at: r.of("commit", member=m, offset=at, step="called")),
    (MEMBER + r" has committed up to offset (\d+)(?:, past it)?",
     lambda r, m, at: r.of("commit", member=m, offset=at, step="committed")),
    (MEMBER + r" has committed up to offset (\d+)(?:, past it)? \(it waited\)",
     lambda r, m, at: r.of("commit", member=m, offset=at, step="committed", synchronous=True)),
    (MEMBER + r" does not know whether its commit up to offset (\d+) holds",
     lambda r, m, at: r.of("commit", member=m, offset=at, step="unknown")),
    (MEMBER + r" is assigned the partition, to read from offset (\d+)",
     lambda r, m, at: r.of("assignment", member=m, offset=at, step="assigned")),
    (MEMBER + r" is assigned the partition; from which offset it reads is not on record",
     lambda r, m: r.of("assignment", member=m, step="assigned")),
    (MEMBER + r" gives the partition up",
     lambda r, m: r.of("assignment", member=m, step="revoked")),
    (MEMBER + r" has the partition taken away",
     lambda r, m: r.of("assignment", member=m, step="lost")),
    ("the record of " + MEMBER + " ends here, without a line that it closed", _unclosed),
    (r"the last committed offset(?: of group \w+)? on record is (\d+)", _last_committed),
    (r"\(\d+ further events? between\)", bool),
    (MEMBER + r" has acknowledged it to the group at offset (\d+): (?:accepted|released|rejected)",
     lambda r, m, at: [x for x in r.all if x.get("member") == m and x.get("offset") == at
                       and "ack" in x["type"]]),
    (r"\w+ holds an output record of it at offset (\d+)",
     lambda r, at: [x for x in r.all if x["type"] == "observation" and x["offset"] == at]),
    (r"the reading of the output holds no record of it",
     lambda r: not [x for x in r.all if x["type"] == "observation"
                    and x.get("input_offset") == r.witness["offset"]]),
]  # fmt: skip


def witnesses_of(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    named = json.loads(path.read_text().splitlines()[0])["note"]["profile"]
    main(["verify", "--history", str(path), "--profile", named, "--json"])
    return list(json.loads(capsys.readouterr().out)["profiles"][0]["witnesses"])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_each_sentence_of_a_story_follows_from_the_lines_of_its_history(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for witness in witnesses_of(path, capsys):
        record = Record(list(lines(path)), witness)
        for line in witness["text"][1:]:
            sentence = line[INDENT:]
            meant = [
                (found, so) for claim, so in CLAIMS if (found := re.fullmatch(claim, sentence))
            ]
            assert len(meant) == 1, f"{sentence!r} has {len(meant)} meanings"
            found, so = meant[0]
            numbers = [int(each) for each in found.groups() if each is not None]
            assert so(record, *numbers), f"not on record: {sentence!r}"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_times_of_a_story_ascend(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for witness in witnesses_of(path, capsys):
        instants = [each["at"] for each in witness["events"] if each["at"] is not None]
        assert instants == sorted(instants), witness["text"]
        assert all(not at.startswith("1970") for at in instants)


PROOF = {
    "lost": {"outcome", "drained"},
    "duplicate": {"copy"},
    "inversion": {"stands"},
    "vanished": {"read_live", "stands"},
    "phantom": {"ledger", "read"},
    "corrupt": {"read"},
    "misrouted": {"read"},
    "failed_visible": {"outcome"},
    "torn_txn": {"drained", "ended"},
    "lost_txn": {"drained", "ended"},
    "precommitted_read": {"read_live"},
    "unprocessed": {"group_at"},
    "backward_poll": {"polled"},
    "poll_skip": {"polled"},
    "unassigned_read": {"polled"},
    "commit_beyond_position": {"committed"},
}
"""What each anomaly follows from; of repeated and reprocessed, see below."""


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_story_holds_the_events_that_prove_its_anomaly(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for witness in witnesses_of(path, capsys):
        told = [each["what"] for each in witness["events"]]
        needed = PROOF.get(witness["anomaly"], set())
        if "acknowledged" in told:  # in a share group, an acceptance takes the place of a commit
            needed = needed - {"group_at"}
        assert needed <= set(told), witness["text"]


# ------------------------------------------------------------------------- made-up evidence


def busy(rounds: int) -> list[Any]:
    """A member that is handed a record again and again, and another one that does it at the end."""
    from tests.support.histories import assigned, committed, group_at, polled, records, worked

    history: list[Any] = [*records(2), assigned(0), polled(0, 1), worked(0, 1)]
    for _ in range(rounds):
        history += [assigned(0), polled(0, 1)]
    # A commit in the background before the one that was waited for.
    history += [committed(2, synchronous=False), committed(2)]
    history += [assigned(1, member=2), polled(1, member=2), worked(1, member=2), group_at(2)]
    return history


def test_a_long_story_leaves_out_neither_the_commit_nor_the_effects_that_prove_it(
    tmp_path: Path,
) -> None:
    info = run_info([consuming(topics=["t"])])
    found = judged(tmp_path, busy(30), info=info).profiles[0].witnesses
    again = next(each for each in found if each.anomaly == "reprocessed")
    text = "\n".join(again.text)
    told = [(each["what"], each.get("member")) for each in again.events]
    assert "further event" in text
    waited = text.index("has committed up to offset 2, past it (it waited)")
    assert text.index("member 1 has done its effect") < waited
    assert waited < text.index("member 2 begins to process it")
    assert told.index(("begin", 2)) < told.index(("effect", 2))
    assert "killed" not in text


def test_a_member_without_a_closing_line_is_not_said_to_have_been_killed(tmp_path: Path) -> None:
    from tests.support.histories import committed, group_at, polled, records, worked

    info = run_info([consuming(topics=["t"])])
    history = [*records(1), polled(0), worked(0), committed(1), worked(0), group_at(1)]
    found = judged(tmp_path, history, info=info).profiles[0].witnesses
    text = "\n".join(line for each in found for line in each.text)
    assert "without a line that it closed" in text
    assert "killed" not in text


def test_what_was_left_out_is_counted_where_it_was() -> None:
    events = [Event("polled", str(n), proves=n == 20) for n in range(40)]
    told = [event.text for event in shortened(events)]
    assert "20" in told
    assert told[:6] == ["0", "1", "2", "3", "4", "5"]
    counted = [int(text.split()[0][1:]) for text in told if text.startswith("(")]
    assert len(told) - len(counted) + sum(counted) == 40
    assert shortened(events[:EVENTS_MAX]) == events[:EVENTS_MAX]


def test_an_event_without_a_time_stays_behind_the_one_that_it_was_told_after() -> None:
    events = [
        Event("attempt", "later", START_US + 5),
        Event("outcome", "of the later one"),
        Event("end", "what is so at the end", closing=True),
        Event("fault", "earlier", START_US + 1),
        Event("fault", "as early", START_US + 1),
    ]
    assert [event.text for event in in_order(events)] == [
        "earlier", "as early", "later", "of the later one", "what is so at the end",
    ]  # fmt: skip


def test_a_fault_before_the_attempt_comes_first_and_its_signals_have_their_own_times(
    tmp_path: Path,
) -> None:
    """The broker that was the leader is killed, and the record is handed over after that."""
    from harness.rundir.clock import from_us
    from tests.support.histories import acked, event, fault, observed, slot

    second = START_US + 1_000_000
    move = {"topic": "t", "partition": 0, "leader_before": 1, "epoch_before": 4}
    evidence = {
        "moves_leader": True,
        "brokers": [
            {"broker": 2, "signal": "SIGSTOP", "at": from_us(START_US + 500_000)},
            {"broker": 1, "signal": "SIGKILL", "at": from_us(second)},
            {"broker": 2, "signal": "SIGCONT", "at": from_us(second + 200_000)},
        ],
        "partitions": [{**move, "leader_after": 2, "epoch_after": 5}],
    }
    history = [
        event("leader", START_US, topic="t", partition=0, leader=1, leader_epoch=4),
        fault("inject", 2), fault("injected", 2, evidence=evidence, took_effect=True),
        event("leader", second + 3_000_000, topic="t", partition=0, leader=2, leader_epoch=5),
        fault("healed", 20),
        acked(0, 1), observed(0, 1), acked(1, 0), observed(1, 0),
        slot("t", 10, attempted=2, acked=2),
    ]  # fmt: skip
    info = run_info([profile(topics=["t"])])
    witness = judged(tmp_path, history, info=info).profiles[0].witnesses[0]
    told = [each["what"] for each in witness.events]
    assert told[:4] == ["fault", "signal", "signal", "signal"]
    assert told.index("attempt") > 3
    instants = [str(each["at"]) for each in witness.events if each["at"] is not None]
    assert instants == sorted(instants)
    text = "\n".join(witness.text)
    assert "leader last seen" not in text, "the last leader seen was killed before the attempt"
    assert "is seen as the leader in epoch 5" in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([(5_000_000, 1, 6)], [5, 6]),
        ([(5_000_000, 1, 6), (6_000_000, 2, 7)], [5, 6]),
        ([(1_500_000, 1, 6)], [5]),
        ([(5_000_000, -1, 6)], [5]),
        ([(40_000_000, 1, 6)], [5]),
        ([(5_000_000, 2, 5)], [5]),
    ],
    ids=[
        "a heal moved it back",
        "only the next one",
        "before the record",
        "nobody leads",
        "late",
        "the fault's own, seen once more",
    ],
)
def test_a_story_holds_the_next_change_of_leader_after_the_record_was_handed_over(
    changes: list[tuple[int, int, int]], told: list[int], tmp_path: Path
) -> None:
    """The fault moved leadership before the attempt. What cut the record off came after it."""
    from tests.support.histories import acked, event, fault, observed, slot

    move = {"topic": "t", "partition": 0, "leader_before": 1, "epoch_before": 4}
    evidence = {
        "moves_leader": True,
        "partitions": [{**move, "leader_after": 2, "epoch_after": 5}],
    }
    history = [
        event("leader", START_US, topic="t", partition=0, leader=1, leader_epoch=4),
        fault("inject", 0), fault("injected", 0, evidence=evidence, took_effect=True),
        event("leader", START_US + 500_000, topic="t", partition=0, leader=2, leader_epoch=5),
        [
            event("leader", START_US + after_us, topic="t", partition=0, leader=leader,
                  leader_epoch=epoch)
            for after_us, leader, epoch in changes
        ],
        fault("healed", 7),
        acked(0, 0), acked(1, 1), observed(1, 1),
        slot("t", 10, attempted=2, acked=2),
    ]  # fmt: skip
    info = run_info([profile(topics=["t"])])
    witness = judged(tmp_path, history, info=info).profiles[0].witnesses[0]
    assert witness.anomaly == "lost"
    epochs = [each["leader_epoch"] for each in witness.events if each["what"] == "elected"]
    assert epochs == told
