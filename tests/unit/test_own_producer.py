"""A user's own function as a producer: what it reports is what the ledger and the timeline say.

Brokers are librdkafka's mock ones, so nothing can be read back here.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from harness.errors import UsageError
from harness.load.attempt import Attempt
from harness.load.own_load import OwnLoad
from harness.profiles import load_builtin
from harness.record.codec import run_hash
from harness.record.codecs import codec_named
from harness.rundir.columns import ACKED, ACKED_NO_OFFSET, FAILED, SENT, UNKNOWN, ColumnFile
from harness.rundir.events import IncarnationEvent, LoadEvent, RunEvent
from harness.rundir.load_events import LEFT_OPEN
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import LoadPlan, ProfileRun, RunInfo, new_run_id
from harness.runs.options import RunOptions
from harness.runs.own_code import OwnCode, plan_own_code, subject_of

MOCKED = {"test.mock.num.brokers": "1", "log_level": "2"}
WAIT_S = 20.0


def a_run(path: Path, *names: str, acks: str = "all", producers: int = 1) -> RunDir:
    """A prepared run whose first profile is the function's; others are controls."""
    run_dir = RunDir.create(path)
    profiles = [
        ProfileRun(
            profile=name,
            role="control" if number else "subject",
            topics=[f"harness-own-{name}"],
            topic_ids=["A" * 22],
            producer={"acks": acks},
            consumer={},
            topic={},
            promises=["no_lost"],
        )
        for number, name in enumerate(names)
    ]
    load = LoadPlan(200, "constant", None, 250, 0, 1, producers, 0.5, 1000.0, codec="json")
    run_dir.write_info(RunInfo(new_run_id(), 7, [], "127.0.0.1:9", "", {}, profiles, load, [], {}))
    return run_dir


def states(run_dir: RunDir, profile: str) -> Counter[int]:
    """state → how many attempts of a profile have it; ACKED for every offset."""
    found: Counter[int] = Counter()
    for path in run_dir.ledger.glob("*.ledger"):
        with ColumnFile.open(path) as file:
            if file.profile != profile:
                continue
            assert file.closed_cleanly
            for key in file.partitions:
                for extent in file.extents(*key):
                    found.update(min(int(high), ACKED) for high in extent.high if high)
    return found


def slots(run_dir: RunDir, profile: str) -> Counter[str]:
    """What the load events of a profile say, added up."""
    found: Counter[str] = Counter()
    for event in run_dir.events(LoadEvent):
        if event.profile == profile:
            for name in ("attempted", "acked", "failed", "unknown"):
                found[name] += getattr(event, name)
            found.update({f"unknown_by {k}": n for k, n in (event.unknown_by or {}).items()})
            found.update({f"failed_by {k}": n for k, n in (event.failed_by or {}).items()})
    return found


def carried_out(
    run_dir: RunDir,
    produce: Callable[[Attempt], None],
    enough: Callable[[], bool],
    flush: Callable[[], object] | None = None,
) -> OwnLoad:
    """A load from its start until `enough`, and its end."""
    subject = run_dir.read_info().profiles[0].profile
    load = OwnLoad(run_dir, subject, produce, flush=flush, connection=MOCKED)
    load.start()
    deadline = time.monotonic() + WAIT_S
    while not enough() and time.monotonic() < deadline:
        assert not load.ended, load.failures
        time.sleep(0.02)
    load.stop()
    assert enough()
    return load


def test_what_confluent_kafka_acknowledges_is_acknowledged_in_the_ledger(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run", "mine", "other")
    client = Producer({**MOCKED, "bootstrap.servers": "127.0.0.1:9"})
    calls: list[Attempt] = []

    def produce(attempt: Attempt) -> None:
        calls.append(attempt)
        client.produce(
            attempt.topic,
            attempt.value,
            partition=attempt.partition,
            on_delivery=attempt.on_delivery,
        )
        client.poll(0)

    load = carried_out(run_dir, produce, lambda: len(calls) >= 200, client.flush)
    assert load.failures == []
    assert states(run_dir, "mine") == {ACKED: len(calls)}
    told = slots(run_dir, "mine")
    assert (told["attempted"], told["acked"]) == (len(calls), len(calls))
    control = states(run_dir, "other")
    assert control[ACKED] > 0
    assert control.total() == control[ACKED]
    phases = [event.phase for event in run_dir.events(RunEvent)]
    assert phases == ["load_started", "load_stopped"]
    assert any(run_dir.latency.glob("mine.ack.*.hlog"))


def test_each_value_carries_its_attempt_and_nothing_else_is_needed(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run", "mine")
    calls: list[Attempt] = []

    def produce(attempt: Attempt) -> None:
        calls.append(attempt)
        attempt.acked(len(calls) - 1)

    carried_out(run_dir, produce, lambda: len(calls) >= 20)
    decoded = codec_named("json").decode([attempt.value for attempt in calls])
    assert decoded.intact.all()
    assert decoded.heads["sequence"].tolist() == [attempt.sequence for attempt in calls]
    run = run_hash(run_dir.read_info().run_id) >> 32
    assert set(decoded.heads["run"].tolist()) == {run}


def test_every_kind_of_report_has_its_own_outcome(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run", "mine")
    calls: list[Attempt] = []

    def produce(attempt: Attempt) -> None:
        calls.append(attempt)
        match attempt.sequence:
            case 0:
                attempt.acked(0)
                attempt.unknown("late")  # the first report counts
            case 1:
                attempt.acked()
            case 2:
                attempt.failed("full")
            case 3:
                attempt.unknown("timeout")
            case 4:
                raise RuntimeError("after it was sent, or before: who knows")
            case 5:
                threading.Thread(target=attempt.acked, args=(7,)).start()
            case _:
                attempt.acked(attempt.sequence)

    load = carried_out(run_dir, produce, lambda: len(calls) >= 10)
    assert states(run_dir, "mine") == {
        ACKED: len(calls) - 4, ACKED_NO_OFFSET: 1, FAILED: 1, UNKNOWN: 2,
    }  # fmt: skip
    told = slots(run_dir, "mine")
    assert told["failed_by full"] == 1
    assert told["unknown_by late"] == 0
    assert told["attempted"] == told["acked"] + told["failed"] + told["unknown"]
    assert told["unknown_by timeout"] == 1
    assert told["unknown_by RuntimeError"] == 1
    assert (load.calls, load.calls_raised) == (len(calls), 1)
    assert "who knows" in load.raised


def test_an_attempt_without_a_report_is_of_unknown_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.load.own_load.STOP_TIMEOUT_S", 0.3)
    run_dir = a_run(tmp_path / "run", "mine")
    calls: list[Attempt] = []

    def produce(attempt: Attempt) -> None:
        calls.append(attempt)
        if attempt.sequence != 3:
            attempt.acked(attempt.sequence)

    carried_out(run_dir, produce, lambda: len(calls) >= 10)
    assert states(run_dir, "mine") == {ACKED: len(calls) - 1, UNKNOWN: 1}
    assert slots(run_dir, "mine")[f"unknown_by {LEFT_OPEN}"] == 1
    closed = [each for each in run_dir.events(IncarnationEvent) if each.phase == "closed"]
    assert [each.reason for each in closed] == ["stopped with 1 records open"]


def test_with_acks_0_a_report_without_error_means_sent(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run", "mine", acks="0")
    calls: list[Attempt] = []

    def produce(attempt: Attempt) -> None:
        calls.append(attempt)
        attempt.acked()

    carried_out(run_dir, produce, lambda: len(calls) >= 10)
    assert states(run_dir, "mine") == {SENT: len(calls)}


def test_each_producer_has_a_thread_and_a_ledger_of_its_own(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run", "mine", producers=3)
    threads: dict[int, set[int]] = {}

    def produce(attempt: Attempt) -> None:
        threads.setdefault(attempt.producer, set()).add(threading.get_ident())
        attempt.acked(attempt.sequence)

    carried_out(run_dir, produce, lambda: len(threads) == 3)
    assert sorted(threads) == [0, 1, 2]
    assert len(set.union(*threads.values())) == 3
    assert len(list(run_dir.ledger.glob("*.ledger"))) == 3


def test_a_function_that_blocks_leaves_records_unsent_and_is_no_late_generator(
    tmp_path: Path,
) -> None:
    run_dir = a_run(tmp_path / "run", "mine")
    calls: list[Attempt] = []

    def produce(attempt: Attempt) -> None:
        calls.append(attempt)
        time.sleep(0.2)
        attempt.acked(attempt.sequence)

    carried_out(run_dir, produce, lambda: len(calls) >= 5)
    stopped = next(each for each in run_dir.events(RunEvent) if each.phase == "load_stopped")
    # 200 a second were due for about a second, and five were sent.
    assert stopped.unsent is not None
    assert stopped.unsent > 50
    assert stopped.unsent_by == {"mine": stopped.unsent}


def test_a_flush_that_raises_is_said_in_the_timeline(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run", "mine")

    def flush() -> None:
        raise RuntimeError("no flush today")

    calls: list[Attempt] = []

    def produce(attempt: Attempt) -> None:
        calls.append(attempt)
        attempt.acked(attempt.sequence)

    carried_out(run_dir, produce, lambda: len(calls) >= 3, flush)
    died = [each.reason for each in run_dir.events(RunEvent) if each.phase == "load_died"]
    assert died == ["RuntimeError: no flush today"]


def nothing(attempt: Attempt) -> None:
    attempt.acked()


def test_the_function_is_held_to_the_promises_of_the_profile_and_keeps_its_own_name() -> None:
    builtin = load_builtin()
    subject = subject_of([builtin["idempotent"]], "checkout")
    assert subject.name == "checkout"
    assert subject.promises == builtin["idempotent"].promises
    assert subject.topic == builtin["idempotent"].topic


def test_the_profile_that_it_is_held_to_can_be_the_control_as_well() -> None:
    planned = plan_own_code(
        RunOptions(profiles=("at-least-once",), experiments=("cut_responses",)),
        OwnCode(nothing, name="checkout"),
    )
    assert [each.name for each in planned.request.subjects] == ["checkout"]
    assert [each.name for each in planned.request.controls] == ["at-least-once"]


@pytest.mark.parametrize(
    ("options", "name", "said"),
    [
        (RunOptions(), "mine", "5 are chosen"),
        (RunOptions(profiles=("transactional",)), "mine", "has transactions"),
        (RunOptions(profiles=("consume-at-least-once",)), "mine", "consumers"),
        (RunOptions(profiles=("idempotent",), workers=2), "mine", "--workers"),
        (RunOptions(profiles=("idempotent",), until_bound=0.1), "mine", "--until-bound"),
        (RunOptions(profiles=("idempotent",)), "My Code", "lower-case"),
        (
            RunOptions(profiles=("idempotent",), experiments=("cut_responses",)),
            "at-least-once",
            "a built-in profile",
        ),
    ],
)
def test_what_no_function_can_be_is_refused(options: RunOptions, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan_own_code(options, OwnCode(nothing, name=name))
