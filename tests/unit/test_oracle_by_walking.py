"""A slice of `make oracles`: the harness and the second oracle, which walks, judge the
same random histories. And the oracle is not blind: what is planted, it sees."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.series.oracles.by_walking import judge
from tests.series.oracles.compare_b import compare_by_walking
from tests.series.oracles.promised import BY_NAME
from tests.series.oracles.random_histories_b import played_history

FIRST, LAST = 151, 250
T0 = 1_700_000_000_000_000
IDEMPOTENT, TRANSACTIONAL = "idempotent", "transactional"


@pytest.mark.parametrize(("generator", "last"), [("a", FIRST + 49), ("b", LAST)])
def test_harness_and_oracle_say_the_same(tmp_path: Path, generator: str, last: int) -> None:
    for seed in range(FIRST, last + 1):
        compared = compare_by_walking(seed, tmp_path, generator)
        assert compared.differences == [], (generator, seed, compared.profile)


def test_generator_reaches_each_anomaly_and_each_verdict_of_each_promise() -> None:
    found: Counter[str] = Counter()
    verdicts: Counter[tuple[str, str]] = Counter()
    of_histories: Counter[str] = Counter()
    for seed in range(1, 1001):
        history = played_history(seed)
        judged = judge(history.files, history.profile, lenient=history.lenient)
        found.update(name for name, count in judged.counts.items() if count)
        verdicts.update(judged.promises.items())
        of_histories[judged.verdict] += 1
    assert min(of_histories[each] for each in ("kept", "broken", "inconclusive", "refused")) > 9
    promises = BY_NAME[TRANSACTIONAL].promises
    for promise in promises:
        assert found[promise.removeprefix("no_")] > 9, promise
        for verdict in ("kept", "broken", "inconclusive"):
            assert verdicts[promise, verdict] > 9, (promise, verdict)


def attempt(sequence: int, offset: int | None = None, **more: object) -> dict[str, object]:
    line: dict[str, object] = {"type": "attempt", "producer": 1, "topic": "t", "partition": 0}
    line |= {"sequence": sequence, "outcome": "acked"}
    return line | ({} if offset is None else {"offset": offset}) | more


def read(sequence: int, offset: int, **more: object) -> dict[str, object]:
    line: dict[str, object] = {"type": "observation", "topic": "t", "partition": 0}
    return line | {"offset": offset, "producer": 1, "sequence": sequence} | more


def strange(content: str, offset: int) -> dict[str, object]:
    return {"type": "observation", "topic": "t", "partition": 0, "offset": offset} | {
        "content": content
    }


def step(name: str, after_s: int) -> dict[str, object]:
    line: dict[str, object] = {"type": "transaction", "producer": 1, "transaction": 1}
    return line | {"step": name, "at_us": T0 + after_s * 1_000_000}


def drained(end: int, **more: object) -> dict[str, object]:
    line: dict[str, object] = {"type": "drain", "topic": "t", "partition": 0, "complete": True}
    return line | {"start": 0, "end": end, "last_stable": end} | more


def looked(last_stable: int, after_s: int) -> dict[str, object]:
    line: dict[str, object] = {"type": "offsets", "topic": "t", "partition": 0}
    return line | {
        "at_us": T0 + after_s * 1_000_000,
        "last_stable": last_stable,
        "high_watermark": 2,
    }


COMMITTED = [step("begin", 0), step("commit_called", 1), step("committed", 2)]
PLANTED = {
    "lost": (IDEMPOTENT, [attempt(0, 0), attempt(1, 1), read(1, 1), read(1, 1), drained(2)]),
    "unseen": (IDEMPOTENT, [attempt(0, 0), attempt(1, 1), read(0, 0)]),
    "duplicate": (IDEMPOTENT, [attempt(0, 0), read(0, 0), read(0, 1), drained(2)]),
    "inversion": (IDEMPOTENT, [attempt(0), attempt(1), read(0, 1), read(1, 0), drained(2)]),
    "gap": (
        "ordered",
        [attempt(0, 0), attempt(1, outcome="failed"), attempt(2, 1), read(0, 0), read(2, 1)]
        + [drained(2)],
    ),
    "phantom": (IDEMPOTENT, [attempt(0, 0), read(0, 0), read(7, 1)]),
    "corrupt": (IDEMPOTENT, [attempt(0, 0), read(0, 0), strange("corrupt", 1)]),
    "foreign": (IDEMPOTENT, [attempt(0, 0), read(0, 0), strange("foreign", 1)]),
    "misrouted": (IDEMPOTENT, [attempt(0, 0), read(0, 0), read(1, 1, sent_partition=3)]),
    "failed_visible": (IDEMPOTENT, [attempt(0, outcome="failed"), read(0, 0)]),
    "inconsistent_offset": (IDEMPOTENT, [attempt(0, 1), read(0, 0)]),
    "vanished": (IDEMPOTENT, [attempt(0), read(0, 0, set="live"), strange("foreign", 0)]),
    "torn_txn": (
        TRANSACTIONAL,
        [attempt(0, transaction=1), attempt(1, transaction=1), *COMMITTED, read(0, 0), drained(3)],
    ),
    "lost_txn": (TRANSACTIONAL, [attempt(0, transaction=1), *COMMITTED, drained(2)]),
    "precommitted_read": (
        TRANSACTIONAL,
        [attempt(0, transaction=1), *COMMITTED, read(0, 0, set="live", read_us=T0)],
    ),
    "hung_txn": (
        TRANSACTIONAL,
        [attempt(0, transaction=1), *COMMITTED, looked(1, 0), looked(1, 81)],
    ),
}


@pytest.mark.parametrize("anomaly", PLANTED)
def test_oracle_sees_what_is_planted(anomaly: str) -> None:
    profile, lines = PLANTED[anomaly]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    judged = judge([text], BY_NAME[profile], lenient=False)
    assert judged.counts[anomaly] == 1
    if f"no_{anomaly}" in BY_NAME[profile].promises:
        assert judged.promises[f"no_{anomaly}"] == "broken"
        assert judged.verdict == "broken"
