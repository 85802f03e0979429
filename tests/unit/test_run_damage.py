"""Run directories that were damaged: what cannot be read is told, and proves nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError, RunDirError
from harness.judge.judge import judge
from harness.report.facts import balances
from harness.rundir.columns import ColumnFile, pack_offsets
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from harness.rundir.verdict import Verdict
from tests.series.mutated_input import (
    Defect,
    Outcome,
    check,
    check_history,
    check_run_dir,
    run_dirs,
)
from tests.support.histories import (
    acked,
    drained,
    event,
    fault,
    judged,
    observed,
    records,
    write_run,
)

STARTED = event("incarnation", profile="idempotent", incarnation=1, phase="started", first_record=0)


def a_run(path: Path, *more: Any) -> RunDir:
    """A run in which nothing went wrong, and more lines of its timeline."""
    return write_run(path / "run", [STARTED, records(5), *more])


def verdict_of(run_dir: RunDir) -> Verdict:
    """The judgement on a directory as it is."""
    return judge(load_run(run_dir, 1))


def timeline(run_dir: RunDir, *lines: bytes) -> None:
    """Add lines to a timeline."""
    with run_dir.timeline.open("ab") as file:
        file.writelines(lines)


def test_the_run_that_the_others_damage_is_kept(tmp_path: Path) -> None:
    verdict = verdict_of(a_run(tmp_path))
    assert verdict.verdict == "kept", verdict.reasons


DIED = json.dumps({"at": "2026-01-01T00:00:00Z", "event": "run", "phase": "load_died"}).encode()
WHOLE = b'{"at": "2026-01-01T00:00:00Z", "event": "run", "phase": "ended"}\n'


@pytest.mark.parametrize(
    "line",
    [
        DIED[:-9] + b"\n" + WHOLE,
        b"\0" * 50 + b"\n" + WHOLE,
        b"\0" * 50,
        DIED[:-9] + WHOLE,
        DIED.replace(b"load_died", b"\xff") + b"\n",
        b'{"at": "2026-01-01T00:00:00Z", "at": "2026-01-01T00:00:00Z", "event": "run"}\n',
        b'{"event": "run", "phase": "load_died"}\n',
        b'{"at": "2026-01-01T00:00:00", "event": "run", "phase": "load_died"}\n',
        b'{"at": 5, "event": "run", "phase": "load_died"}\n',
        b'{"at": "yesterday", "event": "run", "phase": "load_died"}\n',
        b'{"at": "yesterday", "event": "client_error", "code": "_TRANSPORT"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "client_error", "code": 5}\n',
        b'{"at" :"2026-01-01T00:00:00Z", "event": "run", "phase": "ended", "phase":"ended"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "run"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "fault", "phase": "failed", "fault": "f"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "fault", "phase": "x", "fault": "f", '
        b'"fault_id": "f"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "generator", "lag_ms_max": NaN}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "generator", "lag_ms_max": 1e999}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "leader", "topic": "t", "partition": 0, '
        b'"leader": true, "leader_epoch": 1}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "load", "topic": "t", "partition": 0, '
        b'"from_us": 1, "to_us": 99999999999999999999, "attempted": 1, "acked": 1, "failed": 0, '
        b'"unknown": 0}\n',
        b"[" * 9000 + b"\n",
        b'{"at": "2026-01-01T00:00:00Z", "event": "power_cut", "broker": 1}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "run", "phase": "load_vanished"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "run", "phase": ["load_died"]}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "run", "phase": "load_died", "reason": 5}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "reader", "phase": "gave_up"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "experiment", "phase": "paused"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "incarnation", "phase": "reopened", '
        b'"incarnation": 1}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "generator", "lag_ms_max": "5"}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "isr", "topic": "t", "partition": 0, '
        b'"isr": [1.5]}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "brokers", "brokers": ["1"]}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "leader", "topic": 7, "partition": 0, '
        b'"leader": 1, "leader_epoch": 1}\n',
        b'{"at": "2026-01-01T00:00:00Z", "event": "run", "phase": "load_stopped", '
        b'"unsent_by": 5}\n',
    ],
)  # fmt: skip
def test_a_line_of_the_timeline_that_cannot_be_read_leaves_nothing_proven(
    line: bytes, tmp_path: Path
) -> None:
    run_dir = a_run(tmp_path)
    timeline(run_dir, line)
    verdict = verdict_of(run_dir)
    assert verdict.verdict == "inconclusive", verdict.reasons
    assert "1 line of timeline.ndjson cannot be read" in verdict.reasons[0]


def test_a_last_line_of_the_timeline_that_breaks_off_is_free_and_told(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    timeline(run_dir, DIED[:-9])
    verdict = verdict_of(run_dir)
    assert verdict.verdict == "kept"
    assert "the last line of timeline.ndjson breaks off" in verdict.reasons[-1]


def test_evidence_of_a_fault_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    injected = fault("injected", took_effect=True, evidence={"brokers": [{"broker": "one"}]})
    verdict = judged(tmp_path, [records(5), fault("inject"), injected])
    assert verdict.verdict == "inconclusive"
    assert not verdict.faults[0].took_effect


@pytest.mark.parametrize(
    "field",
    [{"took_effect": "true"}, {"took_effect": 1}, {"took_effect": True, "evidence": ["brokers"]}],
)
def test_a_fault_whose_fields_have_other_types_has_no_evidence(
    field: dict[str, Any], tmp_path: Path
) -> None:
    verdict = judged(tmp_path, [records(5), fault("inject"), fault("injected", **field)])
    assert verdict.verdict == "inconclusive"
    assert not verdict.faults[0].took_effect
    assert "1 line of timeline.ndjson cannot be read" in verdict.reasons[0]


def test_an_event_of_another_version_is_named_and_a_further_field_is_passed_over(
    tmp_path: Path,
) -> None:
    run_dir = a_run(tmp_path)
    timeline(run_dir, WHOLE.replace(b"}", b', "more": {"than": ["before"]}}'))
    assert verdict_of(run_dir).verdict == "kept"
    timeline(run_dir, b'{"at": "2026-01-01T00:00:00Z", "event": "power_cut"}\n')
    (told,) = [each for each in verdict_of(run_dir).reasons if "timeline" in each]
    assert "an event 'power_cut': ValueError: this version knows no such event" in told


def test_a_stuck_offset_is_not_broken_where_a_faults_line_may_be_what_is_missing(
    tmp_path: Path,
) -> None:
    from tests.support.histories import profile, run_info

    info = run_info([profile("transactional", transactional=True)])
    stuck = [
        event("offsets", 1_700_000_000_000_000 + second * 1_000_000, topic=info.topics[0],
              partition=0, last_stable=0, high_watermark=9)
        for second in range(0, 200, 10)
    ]  # fmt: skip
    run_dir = write_run(tmp_path / "run", [records(5), stuck], info=info)
    promise = {p.promise: p for p in verdict_of(run_dir).profiles[0].promises}["no_hung_txn"]
    assert promise.verdict == "broken"
    timeline(run_dir, b"\0\n")
    promise = {p.promise: p for p in verdict_of(run_dir).profiles[0].promises}["no_hung_txn"]
    assert promise.verdict == "inconclusive"
    assert "may tell otherwise" in promise.reason


def test_records_of_a_producer_whose_ledger_is_gone_are_no_phantoms(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    (run_dir.ledger / "1.ledger").unlink()
    verdict = verdict_of(run_dir)
    assert verdict.verdict == "inconclusive"
    assert verdict.profiles[0].counts["phantom"] == 0
    assert verdict.profiles[0].counts["unaccounted"] == 5
    assert "the ledger of producer 1 is missing" in verdict.reasons[0]


HANDED_OUT = event("incarnations", phase="handed_out", first=5, last=9, to="host-b")
ARRIVED = event("incarnations", phase="arrived", first=5, last=9)
OF_NOBODY = {
    "a record of the first of them": [observed(0, 5, producer=5)],
    "a record of the last of them": [observed(0, 5, producer=9)],
    "two copies": [observed(0, 5, producer=7), observed(0, 6, producer=7)],
    "one absurdly far ahead": [drained(2**63 + 5, 5, producer=7, stray=True)],
}


@pytest.mark.parametrize("reads", OF_NOBODY.values(), ids=list(OF_NOBODY))
def test_records_of_incarnations_whose_ledgers_never_arrived_are_unaccounted(
    tmp_path: Path, reads: list[Any]
) -> None:
    count = 2 if reads is OF_NOBODY["two copies"] else 1
    verdict = verdict_of(a_run(tmp_path, HANDED_OUT, *reads))
    counts = verdict.profiles[0].counts
    assert (counts["unaccounted"], counts["phantom"], counts["duplicate"]) == (count, 0, 0)
    assert verdict.verdict == "inconclusive"
    assert "producer numbers 5 to 9 were handed out to host-b, and what" in verdict.reasons[0]
    (balance,) = balances(verdict)
    assert (balance.distinct, balance.closes) == (5, True)
    assert not any(each.verdict == "broken" for each in verdict.profiles[0].promises)


@pytest.mark.parametrize("reads", OF_NOBODY.values(), ids=list(OF_NOBODY))
def test_once_their_ledgers_arrived_such_records_are_phantoms(
    tmp_path: Path, reads: list[Any]
) -> None:
    count = 2 if reads is OF_NOBODY["two copies"] else 1
    verdict = verdict_of(a_run(tmp_path, HANDED_OUT, *reads, ARRIVED))
    counts = verdict.profiles[0].counts
    assert (counts["unaccounted"], counts["phantom"]) == (0, count)
    assert verdict.verdict == "broken"


@pytest.mark.parametrize("producer", [4, 10])
def test_a_producer_beside_the_numbers_handed_out_has_phantoms(
    tmp_path: Path, producer: int
) -> None:
    verdict = verdict_of(a_run(tmp_path, HANDED_OUT, observed(0, 5, producer=producer)))
    counts = verdict.profiles[0].counts
    assert (counts["unaccounted"], counts["phantom"]) == (0, 1)
    assert verdict.verdict == "broken"


def test_a_ledger_that_is_there_tells_of_its_producers_attempts(tmp_path: Path) -> None:
    others = [acked(0, 5, producer=6), observed(0, 5, producer=6), observed(1, 6, producer=6)]
    verdict = verdict_of(a_run(tmp_path, HANDED_OUT, *others))
    counts = verdict.profiles[0].counts
    assert (counts["unaccounted"], counts["phantom"]) == (0, 1)
    assert verdict.verdict == "broken"
    assert "producer numbers 5 to 9" in " ".join(verdict.reasons)


def test_numbers_that_were_handed_out_keep_a_run_from_proving_anything(tmp_path: Path) -> None:
    assert verdict_of(a_run(tmp_path / "a", HANDED_OUT)).verdict == "inconclusive"
    assert verdict_of(a_run(tmp_path / "b", HANDED_OUT, ARRIVED)).verdict == "kept"
    more = [
        event("incarnations", phase="handed_out", first=at, last=at) for at in range(20, 25)
    ]  # fmt: skip
    reasons = verdict_of(a_run(tmp_path / "c", *more)).reasons
    assert "producer number 20 was handed out, and what" in reasons[0]
    assert any("of 2 more load processes what they recorded" in each for each in reasons)


def test_a_range_of_no_numbers_cannot_be_read(tmp_path: Path) -> None:
    wrong = event("incarnations", phase="arrived", first=5, last=4)
    assert "cannot be read" in verdict_of(a_run(tmp_path, wrong)).reasons[0]


def test_a_phantom_is_firm_only_where_no_unreadable_line_may_tell_of_its_producer(
    tmp_path: Path,
) -> None:
    for producer, verdict in ((1, "broken"), (9, "inconclusive")):
        run_dir = a_run(tmp_path / verdict, observed(7, 5, producer=producer))
        assert verdict_of(run_dir).verdict == "broken"
        timeline(run_dir, b"\0\n")
        assert verdict_of(run_dir).verdict == verdict


def test_a_file_of_a_drain_that_is_gone_is_named_and_no_failure_of_the_harness(
    tmp_path: Path,
) -> None:
    run_dir = a_run(tmp_path)
    (run_dir.drained(1) / "1.obs").unlink()
    with pytest.raises(RunDirError, match=r"the file 1\.obs of the drain is missing"):
        verdict_of(run_dir)


# -- documents


def damage(document: dict[str, Any], path: str, value: object) -> None:
    """Put a value at a path of keys, or take the key away."""
    *parents, last = path.split(".")
    place: Any = document
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value


@pytest.mark.parametrize(
    ("file", "path", "value", "says"),
    [
        ("run.json", "run_id", 5, "run_id: 5; expected text"),
        ("run.json", "run_id", ..., "run_id: is missing"),
        ("run.json", "run_id", "A b", "no run's name"),
        ("run.json", "seed", True, "seed: true or false; expected a whole number"),
        ("run.json", "profiles", {}, "profiles: an object; expected a list"),
        ("run.json", "profiles.0.topics", [], "profiles[0].topics: there is none"),
        ("run.json", "profiles.0.topics", ["t", "t"], "a topic occurs twice"),
        ("run.json", "profiles.0.role", "sub", "profiles[0].role"),
        ("run.json", "profiles.0.promises", ["no_los"], "'no_los' is no promise"),
        ("run.json", "load.partitions", 0, "load.partitions: 0"),
        ("run.json", "load.partitions", 10**9, "load.partitions: 1000000000"),
        ("run.json", "load.lag_limit_ms", "x", "load.lag_limit_ms"),
        ("run.json", "aims", {"loss": "leader-ack"}, "'loss' is no anomaly"),
        ("observations/drained/drain.json", "partitions", ..., "partitions"),
        ("observations/drained/drain.json", "partitions", 5, "not the proof"),
        ("observations/drained/drain.json", "partitions.0.complete", "false", "complete"),
        ("observations/drained/drain.json", "partitions.0.end", 1.5, "1.5"),
        ("observations/drained/drain.json", "partitions.0.start", "0", "'0'"),
        ("observations/drained/drain.json", "reasons", 5, "not the proof"),
        ("observations/drained/drain.json", "ended_at", "x", "not the proof"),
        ("observations/drained/drain.json", "partitions.0.topic", "a\x1b", r"no topic a\x1b"),
        ("observations/drained/drain.json", "counts", {"read": 9}, "its counts say that 9 records"),
    ],
)
def test_a_document_with_a_field_that_cannot_be_is_refused_by_file_and_field(
    file: str, path: str, value: object, says: str, tmp_path: Path
) -> None:
    run_dir = a_run(tmp_path)
    document = json.loads((run_dir.path / file).read_text())
    damage(document, path, value)
    (run_dir.path / file).write_text(json.dumps(document))
    with pytest.raises(RunDirError) as caught:
        load_run(run_dir, 1)
    assert file in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("file", ["run.json", "observations/drained/drain.json"])
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\0" * 9, b"\xff{}", b"[]", b'{"a": NaN}', b'{"a": 1, "a": 1}', b"[" * 9000],
)
def test_a_document_that_is_no_json_is_refused(file: str, data: bytes, tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    (run_dir.path / file).write_bytes(data)
    with pytest.raises(RunDirError) as caught:
        load_run(run_dir, 1)
    assert file in str(caught.value)


def test_a_proof_that_names_a_partition_twice_is_refused(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    path = run_dir.drained(1) / "drain.json"
    document = json.loads(path.read_text())
    document["partitions"] *= 2
    path.write_text(json.dumps(document))
    with pytest.raises(RunDirError, match="occurs twice"):
        load_run(run_dir, 1)


# -- ledgers and observations


def ledger(path: Path, *, cleanly: bool = True) -> Path:
    """A ledger with three extents."""
    file = ColumnFile.create(path / "1.ledger", run=1, incarnation=1, kind="ledger", profile="p")
    at = np.arange(400)
    file.scatter(0, 0, at.astype(np.uint64), *pack_offsets(at))
    file.close(cleanly=cleanly)
    return path / "1.ledger"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[:-1], "when it was closed"),
        (lambda data: data[:4096], "when it was closed"),
        (lambda data: data + b"\0", "when it was closed"),
        (lambda data: data[:4096] + b"\0" * 32 + data[4128:], "no extent begins"),
        (lambda data: data[:4096] + b"x" + data[4097:], "no extent begins"),
        (lambda data: data[:10] + data[11:], "bytes|not a ledger|when it was closed"),
        (lambda data: b"X" + data[1:], "not a ledger"),
    ],
)
def test_a_ledger_that_was_cut_or_written_to_is_refused(
    change: Any, says: str, tmp_path: Path
) -> None:
    path = ledger(tmp_path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(RunDirError, match=says) as caught:
        ColumnFile.open(path)
    assert str(path) in str(caught.value)


def test_an_extent_that_is_not_where_the_last_one_ended_is_damage(tmp_path: Path) -> None:
    path = ledger(tmp_path)
    data = bytearray(path.read_bytes())
    second = 4096 + 32 + 128 * 5
    assert data[second : second + 4] == data[4096:4100]
    data[second + 16] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RunDirError, match="holds sequences from"):
        ColumnFile.open(path)


def test_the_ledger_of_a_dead_process_is_refused_when_it_ends_within_an_extent(
    tmp_path: Path,
) -> None:
    path = ledger(tmp_path, cleanly=False)
    assert ColumnFile.open(path).allocated(0, 0) == 512
    path.write_bytes(path.read_bytes()[: 4096 + 800])
    with pytest.raises(RunDirError, match="is cut off"):
        ColumnFile.open(path)


def test_a_ledger_under_another_producers_name_is_refused(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    (run_dir.ledger / "1.ledger").rename(run_dir.ledger / "2.ledger")
    with pytest.raises(RunDirError, match=r"2\.ledger: says that it belongs to producer 1"):
        load_run(run_dir, 1)


# -- a slice of `make mutated`


def test_changed_histories_and_run_directories_are_refused_or_judged_rightly(
    tmp_path: Path,
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(120):
        check_history(seed, tmp_path, seen)
    (tmp_path / "made").mkdir()
    made = run_dirs(tmp_path / "made")
    for seed in range(100):
        check_run_dir(seed, made, tmp_path, seen)
    assert {label.partition(":")[0] for label in seen} >= {"cut", "nul", "torn_line", ".json nul"}


def test_the_check_of_changed_input_finds_what_it_looks_for() -> None:
    kept, broken = Outcome(0, "kept"), Outcome(1, "broken", frozenset({"p no_lost"}))
    unsure = Outcome(3, "inconclusive")
    for before, after in ((unsure, kept), (broken, kept), (kept, broken), (unsure, broken)):
        with pytest.raises(Defect):
            check(before, after, "x", visible=True)
        check(before, after, "x", visible=False)
    check(broken, broken, "x", visible=True)
    check(kept, unsure, "x", visible=True)
    for said in ("", "two\nlines", "a\x1b[2J"):
        with pytest.raises(Defect):
            check(kept, Outcome(2, message=said), "x", visible=False)


def test_an_exception_that_is_not_the_harnesss_own_is_no_outcome() -> None:
    def fails() -> Verdict:
        raise ValueError("not ours")

    def refuses() -> Verdict:
        raise HarnessError("no")

    with pytest.raises(ValueError, match="not ours"):
        Outcome.of(fails)
    assert Outcome.of(refuses).code == 4
