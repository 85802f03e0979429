"""Random histories against an oracle that knows nothing of columns, chunks or carries.

The oracle keeps plain sets and dictionaries and says each definition of docs/verification.md as
slowly and as literally as it can. What hypothesis varies: outcomes, what the drain and the live
reader returned at each offset, copies, strays, odd records, transactions, the drain's proof, and
how many cells the real code walks at a time.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.anomalies import PRODUCER_ANOMALIES, TRANSACTION_ANOMALIES
from harness.reconcile.reconcile import reconcile
from harness.rundir import cells
from tests.support.histories import (
    START_US,
    Proof,
    Read,
    acked,
    attempted,
    corrupt,
    drained,
    failed,
    foreign,
    live,
    misrouted,
    profile,
    read_at,
    run_info,
    run_record_of,
    sent,
    txn,
    unknown,
)

PRODUCERS = (1, 2)
PARTITIONS = (0, 1)
FAR = 2**63 + 11


@dataclass
class Model:
    """A history as the oracle sees it."""

    ledger: dict[tuple[int, int, int], tuple[str, int | None]] = field(default_factory=dict)
    """(producer, partition, sequence) → outcome, acknowledged offset"""
    drained: list[tuple[int, int, str, Any]] = field(default_factory=list)
    """(partition, offset, kind, identity); identity = (producer, sequence)"""
    live: list[tuple[int, int, str, Any]] = field(default_factory=list)
    proofs: dict[int, tuple[bool, int]] = field(default_factory=dict)
    """partition → proven, floor"""
    drain: bool = True
    transactions: list[tuple[int, int, str, int, dict[int, tuple[int, int]]]] = field(
        default_factory=list
    )
    """(producer, number, end, commit called at, partition → first and last sequence)"""
    read_us: dict[tuple[int, int], int] = field(default_factory=dict)
    transactional: bool = False
    copies_permitted: bool = False


MADE = {"acked": acked, "sent": sent, "failed": failed, "unknown": unknown, "open": attempted}


class Chance:
    """Random choices from one seed; hypothesis draws the seed and the sizes, and shrinks those."""

    def __init__(self, seed: int, sequences: int, offsets: int) -> None:
        self.random = random.Random(seed)
        self.sequences = range(sequences)
        self.offsets = range(offsets)

    def one_in(self, number: int) -> bool:
        return self.random.randrange(number) == 0

    def offset(self) -> int:
        return self.random.choice(self.offsets)

    def content(self) -> tuple[str, Any, bool]:
        """What may stand at an offset: kind, identity, and whether it got no cell."""
        kind = self.random.choice(["ours"] * 12 + ["corrupt", "misrouted", "foreign"])
        producer = 9 if self.one_in(12) else self.random.choice(PRODUCERS)
        if self.one_in(20):
            return kind, (producer, FAR), True
        return kind, (producer, self.random.choice(self.sequences)), self.one_in(7)


def draw_history(chance: Chance, transactional: bool) -> tuple[Model, list[Any]]:
    model = Model(transactional=transactional)
    for producer in PRODUCERS:
        for partition in PARTITIONS:
            if transactional:
                _draw_transactions(chance, model, producer, partition)
                continue
            for sequence in chance.sequences:
                outcome = chance.random.choice(["acked"] * 4 + [*MADE, "never"])
                _attempt(chance, model, producer, partition, sequence, outcome)
    history: list[Any] = []
    for (producer, partition, sequence), (outcome, at) in model.ledger.items():
        more: dict[str, Any] = {"at": at} if outcome == "acked" else {}
        history.append(MADE[outcome](sequence, producer=producer, partition=partition, **more))
    for producer, number, end, called_us, ranges in model.transactions:
        where = {(0, partition): span for partition, span in ranges.items()}
        history.append(txn(number, end, 0, 0, called_us=called_us, ranges=where, producer=producer))
    for partition in PARTITIONS:
        history += _draw_reads(chance, model, partition)
        proven, floor = not chance.one_in(4), 3 if chance.one_in(4) else 0
        model.proofs[partition] = (proven, floor)
        history.append(Proof(partition, complete=proven, start=floor))
    model.drain = not chance.one_in(10)
    return model, history


def _draw_reads(chance: Chance, model: Model, partition: int) -> list[Any]:
    history: list[Any] = []
    both: list[tuple[int, str, Any, bool]] = []
    for offset in chance.offsets:
        if chance.one_in(2):
            kind, identity, stray = chance.content()
            model.drained.append((partition, offset, kind, identity))
            history.append(_read(False, kind, offset, identity, partition, stray))
            if not chance.one_in(3):
                both.append((offset, kind, identity, identity[1] == FAR))
    if chance.one_in(2):
        both += [(chance.offset(), *chance.content()) for _ in range(chance.random.randrange(4))]
    for offset, kind, identity, stray in both:
        model.live.append((partition, offset, kind, identity))
        history.append(_read(True, kind, offset, identity, partition, stray))
    if model.transactional:
        for offset in chance.offsets:
            if not chance.one_in(4):
                model.read_us[partition, offset] = at_us = START_US + chance.random.randrange(10)
                history.append(read_at(offset, offset, at_us, partition=partition))
    return history


def _attempt(
    chance: Chance, model: Model, producer: int, partition: int, sequence: int, outcome: str
) -> None:
    if outcome != "never":
        at = chance.offset() if outcome == "acked" and not chance.one_in(4) else None
        model.ledger[producer, partition, sequence] = (outcome, at)


def _draw_transactions(chance: Chance, model: Model, producer: int, partition: int) -> None:
    """Consecutive ranges of sequences; the n-th range of both partitions is one transaction."""
    first = 0
    for number in range(3):
        known = {each[:2]: each for each in model.transactions}
        if (producer, number) in known:
            _, _, end, _, ranges = known[producer, number]
        else:
            end = chance.random.choice(["committed", "unknown", "aborted", "uncalled"])
            ranges = {}
            # A producer's transactions come one after the other, on a clock that never steps back.
            called_us = START_US + 3 * number + chance.random.randrange(4)
            model.transactions.append((producer, number, end, called_us, ranges))
        length = chance.random.randrange(3)
        if length:
            ranges[partition] = (first, first + length - 1)
        usual = {"committed": "acked", "aborted": "failed"}.get(end, "unknown")
        for sequence in range(first, first + length):
            outcome = chance.random.choice([usual] * 5 + ["failed", "open"])
            _attempt(chance, model, producer, partition, sequence, outcome)
        first += length
    if chance.one_in(2):
        _attempt(chance, model, producer, partition, first, "open")


def _read(
    seen_live: bool, kind: str, offset: int, identity: Any, partition: int, stray: bool
) -> Read:
    producer, sequence = identity
    if kind == "corrupt":
        return corrupt(offset, live=seen_live, partition=partition)
    if kind == "foreign":
        return foreign(offset, live=seen_live, partition=partition)
    if kind == "misrouted":
        return misrouted(
            min(sequence, 5), offset, live=seen_live, partition=partition, producer=producer
        )
    make = live if seen_live else drained
    return make(sequence, offset, partition=partition, producer=producer, stray=stray)


# -- the oracle


def oracle(model: Model) -> Counter[str]:
    """Every count, by the letter of the definitions."""
    counts: Counter[str] = Counter()
    of_drain = offsets_by_attempt(model.drained)
    of_live = offsets_by_attempt(model.live)
    for partition in PARTITIONS:
        proven, floor = model.proofs[partition] if model.drain else (False, 0)
        _per_attempt(model, counts, of_drain, of_live, partition, proven, floor)
        _order(model, counts, of_drain, of_live, partition, proven, floor)
        _acknowledged_at(model, counts, of_drain, of_live, partition, proven, floor)
        _gone(model, counts, partition, proven, floor)
    for _, _, kind, _identity in model.drained:
        counts["read"] += 1
        if kind != "ours":
            counts[kind] += 1
    for (partition, producer, sequence), offsets in of_drain.items():
        if (producer, partition, sequence) not in model.ledger:
            counts["phantom"] += len(offsets)
    for producer, partition, sequence in model.ledger:
        returned = of_drain.get((partition, producer, sequence), set())
        everywhere = returned | of_live.get((partition, producer, sequence), set())
        counts["duplicate"] += max(len(everywhere) - 1, 0)
        counts["duplicate_live"] += max(len(everywhere) - 1, 0) - max(len(returned) - 1, 0)
    if model.transactional:
        _transactions(model, counts, of_drain, of_live)
    return counts


def offsets_by_attempt(reads: list[Any]) -> dict[tuple[int, int, int], set[int]]:
    result: dict[tuple[int, int, int], set[int]] = {}
    for partition, offset, kind, identity in reads:
        if kind == "ours":
            result.setdefault((partition, *identity), set()).add(offset)
    return result


def _per_attempt(
    model: Model, counts: Counter[str], of_drain: Any, of_live: Any,
    partition: int, proven: bool, floor: int,
) -> None:  # fmt: skip
    for (producer, where, sequence), (outcome, at) in model.ledger.items():
        if where != partition:
            continue
        copies = of_drain.get((partition, producer, sequence), set())
        seen_live = (partition, producer, sequence) in of_live
        counts["attempted"] += 1
        counts["unknown" if outcome == "open" else outcome] += 1
        if outcome in ("unknown", "open") and copies:
            counts["unknown_present"] += 1
        if outcome == "failed" and (copies or seen_live):
            counts["failed_visible"] += 1
        if outcome in ("acked", "sent") and not copies:
            reachable = floor == 0 or (at is not None and at >= floor)
            counts["lost" if proven and reachable else "unseen"] += 1


def _order(
    model: Model, counts: Counter[str], of_drain: Any, of_live: Any,
    partition: int, proven: bool, floor: int,
) -> None:  # fmt: skip
    """Pairs of attempts, compared one by one."""
    for producer in PRODUCERS:
        mine = {
            s: o for (p, w, s), (o, _) in model.ledger.items() if (p, w) == (producer, partition)
        }
        ackd = [s for s, outcome in mine.items() if outcome in ("acked", "sent")]
        place: dict[int, int] = {}
        surely_not_before: dict[int, int] = {}
        for s, outcome in mine.items():
            acked_at = model.ledger[producer, partition, s][1]
            for read in (of_drain, of_live, {(partition, producer, s): {acked_at}}):
                if s not in place and outcome != "failed":
                    known = read.get((partition, producer, s), {None}) - {None}
                    place |= {s: min(known)} if known else {}
            if s in ackd and s in place and proven and not floor:
                surely_not_before[s] = place[s]
            elif s in ackd and acked_at is not None:
                surely_not_before[s] = min(place[s], acked_at)
        counts["inversion"] += sum(
            any(surely_not_before[b] > place[a] for b in surely_not_before if b < a) for a in place
        )
        for sequence, outcome in mine.items():
            missing = outcome in ("failed", "unknown", "open")
            missing = missing and (partition, producer, sequence) not in of_drain
            between = any(a < sequence for a in ackd) and any(a > sequence for a in ackd)
            if (
                proven
                and not floor
                and missing
                and between
                and _counts_as_gap(model, producer, partition, sequence)
            ):
                counts["gap"] += 1


def _acknowledged_at(
    model: Model, counts: Counter[str], of_drain: Any, of_live: Any,
    partition: int, proven: bool, floor: int,
) -> None:  # fmt: skip
    """Offsets that were acknowledged to records that were never read there."""
    others = {
        offset
        for where, offset, kind, _ in model.drained + model.live
        if where == partition and kind != "corrupt"
    }
    left: Counter[int] = Counter()
    for (producer, where, sequence), (_, at) in model.ledger.items():
        returned = of_drain.get((partition, producer, sequence), set())
        read = returned | of_live.get((partition, producer, sequence), set())
        if where != partition or at is None or at in read:
            continue
        if (
            at in others
            or (read and not model.copies_permitted)
            or (returned and proven and at >= floor)
        ):
            counts["inconsistent_offset"] += 1
        else:
            left[at] += 1
    counts["inconsistent_offset"] += sum(number - 1 for number in left.values())


def _counts_as_gap(model: Model, producer: int, partition: int, sequence: int) -> bool:
    if not model.transactional:
        return True
    found = transaction_of(model, producer, partition, sequence)
    return found is not None and was_committed(model, found)


def transaction_of(model: Model, producer: int, partition: int, sequence: int) -> Any:
    for each in model.transactions:
        first, last = each[4].get(partition, (1, 0))
        if each[0] == producer and first <= sequence <= last:
            return each
    return None


def records_of(model: Model, transaction: Any) -> Iterator[tuple[int, int, int]]:
    """The attempts that went into a transaction: refused ones did not."""
    producer, _, _, _, ranges = transaction
    for partition, (first, last) in ranges.items():
        for sequence in range(first, last + 1):
            if model.ledger.get((producer, partition, sequence), ("failed", 0))[0] != "failed":
                yield partition, producer, sequence


def was_committed(model: Model, transaction: Any) -> bool:
    if transaction[2] == "committed":
        return True
    seen = {*offsets_by_attempt(model.drained), *offsets_by_attempt(model.live)}
    return transaction[2] == "unknown" and any(r in seen for r in records_of(model, transaction))


def _gone(model: Model, counts: Counter[str], partition: int, proven: bool, floor: int) -> None:
    """Contents that the live reader saw at an offset and the drain did not."""

    def content(kind: str, identity: Any) -> Any:
        return (kind, identity) if kind in ("ours", "misrouted") else kind

    now = {(o, content(k, i)) for p, o, k, i in model.drained if p == partition}
    left: Counter[int] = Counter()
    for offset, what in {
        (o, content(k, i)) for p, o, k, i in model.live if p == partition and k != "foreign"
    }:
        if (offset, what) in now:
            continue
        replaced = any(o == offset for o, _ in now)
        if (proven and offset >= floor) or replaced:
            counts["vanished"] += 1
        else:
            left[offset] += 1
    counts["vanished"] += sum(number - 1 for number in left.values())


def _proven_absent(model: Model, record: tuple[int, int, int]) -> bool:
    """Would the drain have returned it? Above a start that moved, only what was acknowledged."""
    partition, producer, sequence = record
    proven, floor = model.proofs[partition]
    at = model.ledger[producer, partition, sequence][1]
    return proven and (floor == 0 or (at is not None and at >= floor))


def _transactions(model: Model, counts: Counter[str], of_drain: Any, of_live: Any) -> None:
    for transaction in model.transactions:
        records = list(records_of(model, transaction))
        absent = [
            record
            for record in records
            if record not in of_drain and model.drain and _proven_absent(model, record)
        ]
        if records and was_committed(model, transaction) and absent:
            counts["lost_txn" if len(absent) == len(records) else "torn_txn"] += 1
    for (producer, partition, sequence), (outcome, _) in model.ledger.items():
        record = (partition, producer, sequence)
        if outcome == "failed" or not (record in of_drain or record in of_live):
            continue
        transaction = transaction_of(model, producer, partition, sequence)
        if transaction is None:
            continue  # their producer closed its ledger, and left no transaction open
        called_us = None
        if transaction[2] in ("committed", "unknown"):
            called_us = transaction[3]
        if called_us is None:
            counts["precommitted_read"] += 1
        elif record in of_live:
            instants = [model.read_us.get((partition, offset)) for offset in of_live[record]]
            early = [each for each in instants if each is not None and each < called_us]
            counts["precommitted_read"] += bool(early)


NON_TRANSACTIONAL = run_info([profile()], partitions=len(PARTITIONS))
PERMITTING = run_info([profile("at-least-once")], partitions=len(PARTITIONS))
PERMITTING.profiles[0].promises.remove("no_duplicate")
TRANSACTIONAL = run_info([profile("transactional", transactional=True)], partitions=len(PARTITIONS))
COMPARED = (
    "attempted", "acked", "sent", "failed", "unknown", "unknown_present", "read", "foreign",
    "duplicate_live",
    *(name for name in PRODUCER_ANOMALIES + TRANSACTION_ANOMALIES if name != "hung_txn"),
)  # fmt: skip


SIZES = st.builds(Chance, st.integers(0, 2**32), st.integers(1, 7), st.integers(1, 9))


@pytest.mark.parametrize(
    "info",
    [NON_TRANSACTIONAL, PERMITTING, TRANSACTIONAL],
    ids=["plain", "copies permitted", "transactional"],
)
def test_reconciling_agrees_with_the_oracle(info: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(SIZES, st.sampled_from([65_536, 65_536, 65_536, 3]))
    def compare(chance: Chance, chunk: int) -> None:
        model, history = draw_history(chance, info is TRANSACTIONAL)
        model.copies_permitted = info is PERMITTING
        monkeypatch.setattr(cells, "CHUNK", chunk)
        folder = Path(tempfile.mkdtemp(prefix="history-"))
        try:
            run = run_record_of(folder / "run", history, info=info, drain=model.drain)
            found = reconcile(run)[0].table()
            run.close()
        finally:
            shutil.rmtree(folder)
        expected = oracle(model)
        differs = {
            name: (found[name], expected[name])
            for name in COMPARED
            if found[name] != expected[name]
        }
        assert not differs, history

    compare()


def test_the_random_histories_hold_every_anomaly() -> None:
    """A property over histories that never have an anomaly would prove nothing about it."""
    seen: Counter[str] = Counter()
    for seed in range(300):
        model, _ = draw_history(Chance(seed, 6, 8), transactional=seed % 2 == 0)
        seen.update(name for name, count in oracle(model).items() if count)
    assert {name for name in COMPARED if seen[name] < 5} == set()
