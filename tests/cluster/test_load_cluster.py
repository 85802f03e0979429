"""The load against the real cluster: what the ledger says is what the topics hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness.brokers import LocalCluster
from harness.kafka.topics import CREATE_TIMEOUT_S, await_created, wait_for_topics
from harness.profiles import load_builtin
from harness.record.codecs import codec_named
from harness.rundir.clock import now_us
from harness.rundir.columns import (
    ACKED,
    ACKED_NO_OFFSET,
    FAILED,
    NEVER,
    OPEN,
    SENT,
    UNKNOWN,
    ColumnFile,
    unpack_offsets,
)
from harness.rundir.latency import merge, percentiles, read_log
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, RunInfo, new_run_id
from harness.system.lifeline import Child
from tests.support.readings import await_settled
from tests.support.runs import load_plan
from tests.support.scenarios import STEADY
from tests.support.timelines import lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

NAMES = {OPEN: "open", FAILED: "failed", UNKNOWN: "unknown", SENT: "sent", ACKED_NO_OFFSET: "acked"}
PARTITIONS = 3


SMALL_QUEUE: dict[str, Any] = {"queue.buffering.max.messages": 40, "linger.ms": 50}
IMPATIENT: dict[str, Any] = {"delivery.timeout.ms": 2000, "request.timeout.ms": 1000}


def prepare(
    cluster: LocalCluster,
    path: Path,
    profiles: list[str],
    *,
    rate: float = 500,
    codec: str = "binary",
    message_bytes: int = 120,
    **producer: Any,
) -> RunDir:
    run_id = new_run_id()
    runs = []
    for name in profiles:
        built_in = load_builtin()[name]
        topics = [f"harness-{run_id}-{name}-{number}" for number in range(built_in.topics)]
        runs.append(
            ProfileRun(
                name,
                "subject",
                topics,
                ["-"] * len(topics),
                {**built_in.producer, **producer},
                dict(built_in.consumer),
                dict(built_in.topic),
                list(built_in.promises),
                transaction_interval_ms=built_in.transaction_interval_ms,
                abort_ratio=built_in.abort_ratio,
            )
        )
    info = RunInfo(
        run_id=run_id,
        seed=3,
        command=[],
        bootstrap=cluster.bootstrap,
        cluster_id="-",
        versions={},
        profiles=runs,
        load=load_plan(
            rate_per_s=rate,
            message_bytes=message_bytes,
            partitions=PARTITIONS,
            warm_up_s=1.0,
            lag_limit_ms=1000.0,
            codec=codec,
        ),
        experiments=[],
        aims={},
    )
    run_dir = RunDir.create(path)
    run_dir.write_info(info)
    admin = AdminClient(dict(cluster.client_config))
    created = admin.create_topics(
        [
            NewTopic(topic, PARTITIONS, 3, config={"min.insync.replicas": "2"})
            for topic in info.topics
        ],
        request_timeout=CREATE_TIMEOUT_S,
    )
    await_created(created)
    wait_for_topics(admin, info.topics, partitions=PARTITIONS)
    return run_dir


@pytest.fixture
def start(cluster: LocalCluster) -> Iterator[Callable[[RunDir], Child]]:
    children: list[Child] = []

    def started(run_dir: RunDir) -> Child:
        child = Child(
            [sys.executable, "-m", "harness.load.process", str(run_dir.path), STEADY],
            log=run_dir.logs / "load.log",
            environment={"HARNESS_CLIENT_CONFIG": json.dumps(cluster.client_config)},
        )
        children.append(child)
        wait_until(lambda: phase(run_dir, "load_started"), 120, "the load to start", child)
        return child

    yield started
    for child in children:
        child.stop(grace_s=0)


def wait_until(
    condition: Callable[[], Any], timeout_s: float, what: str, child: Child | None = None
) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        log = child.tail() if child else ""
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}\n{log}"
        assert child is None or child.process.poll() is None, f"ended before {what}\n{log}"
        time.sleep(0.1)


def phase(run_dir: RunDir, name: str) -> bool:
    return any(event["phase"] == name for event in lines_of(run_dir, "run"))


def states(run_dir: RunDir) -> dict[tuple[int, int, int, int], tuple[str, int]]:
    """(incarnation, topic, partition, sequence) → (outcome, offset or -1)"""
    found = {}
    for path in run_dir.ledger.glob("*.ledger"):
        with ColumnFile.open(path) as cells:
            for topic, partition in cells.partitions:
                for extent in cells.extents(topic, partition):
                    offsets = unpack_offsets(extent.low, extent.high).tolist()
                    for place, state in enumerate(extent.high.tolist()):
                        if state != NEVER:
                            key = (cells.incarnation, topic, partition)
                            outcome = "acked" if state >= ACKED else NAMES[state]
                            found[(*key, extent.first_sequence + place)] = outcome, offsets[place]
    return found


def attempted(run_dir: RunDir) -> Counter[str]:
    return Counter(outcome for outcome, _ in states(run_dir).values())


def records(cluster: LocalCluster, run_dir: RunDir) -> dict[tuple[int, int, int, int], list[int]]:
    """The same keys → offsets at which the record stands; read_committed for transactions."""
    info = run_dir.read_info()
    found: dict[tuple[int, int, int, int], list[Any]] = {}
    codec = codec_named(info.load.codec)
    await_settled(dict(cluster.client_config), info.topics, PARTITIONS)
    for profile in info.profiles:
        isolation = "read_committed" if profile.transactional else "read_uncommitted"
        consumer = Consumer(
            {
                **cluster.client_config,
                "group.id": "unused",
                "auto.offset.reset": "error",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": isolation,
            }
        )
        places = [TopicPartition(t, p, 0) for t in profile.topics for p in range(PARTITIONS)]
        consumer.assign(places)
        ended: set[tuple[str | None, int | None]] = set()
        deadline = time.monotonic() + 60
        while len(ended) < len(places):
            assert time.monotonic() < deadline, f"{profile.profile}: not read to the end in 60 s"
            messages = consumer.consume(5000, 0.2)
            values = []
            for message in messages:
                error = message.error()
                if error is None:
                    values.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add((message.topic(), message.partition()))
                else:
                    raise AssertionError(error)
            decoded = codec.decode([message.value() for message in values])
            assert decoded.intact.all()
            assert (decoded.heads["run"] == codec.run_number(info.run_id)).all()
            for head, message in zip(decoded.heads, values, strict=True):
                topic, partition = int(head["topic"]), int(head["partition"])
                assert (info.topics[topic], partition) == (message.topic(), message.partition())
                key = (int(head["incarnation"]), topic, partition, int(head["sequence"]))
                found.setdefault(key, []).append(message.offset())
        consumer.close()
    return found


def check_against(cluster: LocalCluster, run_dir: RunDir) -> Counter[str]:
    """Ledger beside topics; what must hold after every run whose faults lose nothing."""
    told, held = states(run_dir), records(cluster, run_dir)
    assert held.keys() <= told.keys(), "a record without an attempt"
    for key, (outcome, offset) in told.items():
        offsets = held.get(key, [])
        if outcome in ("acked", "sent"):
            assert offsets, f"{outcome} {key} is absent"
        if outcome == "acked" and offset >= 0:
            assert offset in offsets, f"{key} acked at {offset}, found at {offsets}"
        if outcome == "failed":
            assert not offsets, f"failed {key} is there at {offsets}"
    return Counter(outcome for outcome, _ in told.values())


def test_a_quiet_run_accounts_for_every_record(cluster, start, tmp_path):
    profiles = ["fire-and-forget", "idempotent", "transactional"]
    run_dir = prepare(cluster, tmp_path / "run", profiles)
    child = start(run_dir)
    wait_until(lambda: phase(run_dir, "warmed_up"), 30, "the end of the warm-up", child)
    warm_us = now_us()
    wait_until(
        lambda: attempted(run_dir)["failed"] > 0 and now_us() > warm_us + 4e6,
        60,
        "an aborted transaction and four seconds of load",
        child,
    )
    assert child.stop(grace_s=60) == 0, child.tail()

    counts = check_against(cluster, run_dir)
    assert counts["open"] == counts["unknown"] == 0
    assert counts["sent"] > 1500
    assert counts["acked"] > 3000
    info = run_dir.read_info()
    for path in run_dir.ledger.glob("*.ledger"):
        assert ColumnFile.open(path).closed_cleanly

    # The timeline's slots add up to the ledger, and phases come in their order.
    sums: Counter[str] = Counter()
    for event in lines_of(run_dir, "load"):
        sums.update({key: event[key] for key in ("attempted", "acked", "failed", "unknown")})
    assert sums["attempted"] == counts.total()
    assert sums["acked"] == counts["acked"] + counts["sent"]
    assert sums["failed"] == counts["failed"]
    phases = [event["phase"] for event in lines_of(run_dir, "run")]
    assert phases == ["load_started", "warmed_up", "load_stopped"]
    assert list(lines_of(run_dir, "generator"))

    # Latency has every acknowledged record but those of the warm-up.
    outcome = {profile.profile: 0 for profile in info.profiles}
    for (_, topic, _, _), (name, _) in states(run_dir).items():
        outcome[info.profile_of(topic).profile] += name in ("acked", "sent")
    for profile, total in outcome.items():
        for metric in ("ack", "service"):
            (path,) = run_dir.latency.glob(f"{profile}.{metric}.*.hlog")
            measured = percentiles(merge(read_log(path)))
            # What a transaction aborts has no latency; it may be all of the warm-up.
            left_out_min = 0 if profile == "transactional" else 300
            assert total - 600 < measured.count <= total - left_out_min, (profile, metric)
            assert measured.p50 is not None
            assert measured.max is not None
            assert 0 < measured.p50 <= measured.max
    check_transactions(run_dir)


def check_transactions(run_dir: RunDir) -> Counter[str]:
    """The log of every transaction beside the ledger: its step decides about all its records."""
    told = states(run_dir)
    steps: Counter[str] = Counter()
    refused: Counter[int] = Counter()
    for path in run_dir.ledger.glob("*.txn.ndjson"):
        incarnation = int(path.name.split(".")[0])
        ranges: dict[int, dict[str, list[int]]] = {}
        results: dict[int, str] = {}
        for line in map(json.loads, path.read_text().splitlines()):
            if "ranges" in line:
                ranges[line["txn"]] = line["ranges"]
            if line["step"] in ("committed", "aborted", "unknown"):
                assert line["txn"] in ranges, "a result without its call"
                results[line["txn"]] = line["step"]
        covered: set[Any] = set()
        for txn, result in results.items():
            want = {"committed": "acked", "aborted": "failed", "unknown": "unknown"}[result]
            assert len({key.split(":")[0] for key in ranges[txn]}) == 2, "not in both topics"
            for key, (first, last) in ranges[txn].items():
                topic, partition = map(int, key.split(":"))
                places = [(incarnation, topic, partition, at) for at in range(first, last + 1)]
                assert covered.isdisjoint(places)
                covered.update(places)
                have = [told[place][0] for place in places]
                if result == "unknown":
                    # What a producer refused once it was fenced was never in the transaction.
                    while have[-1:] == ["failed"]:
                        refused[incarnation] += 1
                        have.pop()
                assert set(have) <= {want}, (key, first, last, result)
        mine = {key for key in told if key[0] == incarnation}
        assert covered == mine, "every record belongs to one transaction"
        steps.update(results.values())
    fatal: Counter[int] = Counter()
    for event in lines_of(run_dir, "client_error"):
        if event["code"] == "_FATAL":
            fatal[event["incarnation"]] += event["count"]
    assert refused <= fatal, "refused without a fatal error"
    return steps


def test_events_of_many_lengths_are_bound_to_their_attempts(cluster, start, tmp_path):
    run_dir = prepare(
        cluster, tmp_path / "run", ["idempotent", "transactional"], codec="json", message_bytes=300
    )
    child = start(run_dir)
    wait_until(
        lambda: attempted(run_dir)["failed"] > 0 and attempted(run_dir)["acked"] > 3000,
        60,
        "an aborted transaction and 3,000 acknowledgements",
        child,
    )
    assert child.stop(grace_s=60) == 0, child.tail()
    counts = check_against(cluster, run_dir)
    assert counts["open"] == counts["unknown"] == 0
    with_offset = sum(offset >= 0 for _, offset in states(run_dir).values())
    assert with_offset > 0.9 * counts["acked"]
    check_transactions(run_dir)


def test_a_killed_load_leaves_no_record_without_an_attempt(cluster, start, tmp_path):
    run_dir = prepare(cluster, tmp_path / "run", ["idempotent", "transactional"], rate=2000)
    child = start(run_dir)
    wait_until(lambda: attempted(run_dir)["acked"] > 4000, 60, "4,000 acknowledgements", child)
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait(10)
    # A fresh producer with the same id ends what the killed one left open, so that all can be read.
    settings = run_dir.read_info().profiles[1].producer
    heir = Producer(
        {
            **cluster.client_config,
            "transactional.id": settings["transactional.id"]
            .replace("{run_id}", run_dir.read_info().run_id)
            .replace("{profile}", "transactional")
            .replace("{instance}", "0"),
        }
    )
    heir.init_transactions(30)
    counts = check_against(cluster, run_dir)
    assert counts["acked"] > 4000
    assert counts["open"] > 0
    assert not any(ColumnFile.open(path).closed_cleanly for path in run_dir.ledger.glob("*.ledger"))


def test_the_load_ends_by_itself_when_its_harness_is_gone(cluster, start, tmp_path):
    run_dir = prepare(cluster, tmp_path / "run", ["leader-ack"])
    child = start(run_dir)
    wait_until(lambda: attempted(run_dir)["acked"] > 300, 60, "acknowledgements", child)
    child.release()
    assert child.process.wait(20) == 0
    assert phase(run_dir, "load_stopped")
    assert check_against(cluster, run_dir)["open"] == 0


def test_records_that_produce_refused_are_failed_and_absent(cluster, start, tmp_path):
    run_dir = prepare(
        cluster,
        tmp_path / "run",
        ["idempotent"],
        rate=20_000,
        **SMALL_QUEUE,
    )
    child = start(run_dir)
    wait_until(lambda: attempted(run_dir)["failed"] > 5000, 60, "refused records", child)
    assert child.stop(grace_s=60) == 0
    counts = check_against(cluster, run_dir)
    assert counts["acked"] > 0
    assert counts["unknown"] == counts["open"] == 0
    codes = {event["code"] for event in lines_of(run_dir, "client_error")}
    assert codes == {"_QUEUE_FULL"}


@pytest.fixture
def silent(cluster: LocalCluster) -> Iterator[Callable[[bool], None]]:
    """Cut every client off from every broker without closing a connection, and undo it."""

    def cut(off: bool) -> None:
        for broker in cluster.broker_ids:
            cluster.set_link(broker, "client", "blackhole" if off else "pass")

    yield cut
    cut(False)
    cluster.wait_ready(60)


def test_records_that_time_out_are_unknown_and_never_lost(cluster, start, silent, tmp_path):
    run_dir = prepare(
        cluster,
        tmp_path / "run",
        ["at-least-once"],
        **IMPATIENT,
    )
    child = start(run_dir)
    wait_until(lambda: attempted(run_dir)["acked"] > 300, 60, "acknowledgements", child)
    silent(True)
    wait_until(lambda: attempted(run_dir)["unknown"] > 200, 60, "unknown outcomes", child)
    silent(False)
    before = attempted(run_dir)["acked"]
    wait_until(lambda: attempted(run_dir)["acked"] > before + 500, 60, "recovery", child)
    assert child.stop(grace_s=60) == 0
    counts = check_against(cluster, run_dir)
    assert counts["unknown"] > 200
    assert counts["failed"] == 0
    assert sum(event["unknown"] for event in lines_of(run_dir, "load")) == counts["unknown"]


def test_a_stop_without_brokers_leaves_what_is_open_unknown(cluster, start, silent, tmp_path):
    run_dir = prepare(cluster, tmp_path / "run", ["idempotent"])
    child = start(run_dir)
    wait_until(lambda: attempted(run_dir)["acked"] > 300, 60, "acknowledgements", child)
    silent(True)
    wait_until(lambda: attempted(run_dir)["open"] > 200, 60, "open records", child)
    began = time.monotonic()
    # Letting go ends it soon; a SIGTERM would await the brokers for half a minute.
    child.release()
    assert child.process.wait(20) == 0
    assert time.monotonic() - began < 15
    silent(False)
    counts = check_against(cluster, run_dir)
    assert counts["unknown"] >= 200
    assert counts["open"] == 0


def test_a_commit_whose_outcome_is_unknown_makes_a_new_incarnation(
    cluster, start, silent, tmp_path
):
    timeouts: dict[str, Any] = {
        "transaction.timeout.ms": 4000,
        "delivery.timeout.ms": 4000,
        "request.timeout.ms": 2000,
        "socket.timeout.ms": 2000,
    }
    run_dir = prepare(cluster, tmp_path / "run", ["transactional"], **timeouts)
    child = start(run_dir)
    wait_until(lambda: attempted(run_dir)["acked"] > 500, 60, "commits", child)
    silent(True)
    wait_until(
        lambda: len(list(run_dir.ledger.glob("*.ledger"))) > 1, 60, "a new incarnation", child
    )
    silent(False)
    before = attempted(run_dir)["acked"]
    wait_until(lambda: attempted(run_dir)["acked"] > before + 500, 90, "further commits", child)
    assert child.stop(grace_s=60) == 0
    check_against(cluster, run_dir)
    assert check_transactions(run_dir)["unknown"] >= 1
    phases = [(e["incarnation"], e["phase"]) for e in lines_of(run_dir, "incarnation")]
    assert phases[:2] == [(1, "started"), (1, "replaced")]
    check_atomic(cluster, run_dir)


def check_atomic(cluster: LocalCluster, run_dir: RunDir) -> None:
    """A transaction of unknown outcome is there as a whole or not at all."""
    held = records(cluster, run_dir)
    for path in run_dir.ledger.glob("*.txn.ndjson"):
        incarnation = int(path.name.split(".")[0])
        for line in map(json.loads, path.read_text().splitlines()):
            if line["step"] != "commit_called":
                continue
            present = [
                (incarnation, *map(int, key.split(":")), sequence) in held
                for key, (first, last) in line["ranges"].items()
                for sequence in range(first, last + 1)
            ]
            assert all(present) or not any(present), (path.name, line["txn"])


def test_a_fenced_producer_is_replaced_and_goes_on(cluster, start, tmp_path):
    run_dir = prepare(cluster, tmp_path / "run", ["transactional"])
    child = start(run_dir)
    wait_until(lambda: attempted(run_dir)["acked"] > 500, 60, "commits", child)
    info = run_dir.read_info()
    name = f"harness-{info.run_id}-transactional-0"
    Producer({**cluster.client_config, "transactional.id": name}).init_transactions(30)
    wait_until(
        lambda: len(list(run_dir.ledger.glob("*.ledger"))) > 1, 60, "a new incarnation", child
    )
    before = attempted(run_dir)["acked"]
    wait_until(lambda: attempted(run_dir)["acked"] > before + 500, 60, "further commits", child)
    assert child.stop(grace_s=60) == 0
    check_against(cluster, run_dir)
    check_transactions(run_dir)
    assert any(event["fatal"] for event in lines_of(run_dir, "client_error"))


def test_settings_that_librdkafka_refuses_end_the_load_with_their_reason(cluster, tmp_path):
    run_dir = prepare(cluster, tmp_path / "run", ["idempotent"], acks="1")
    ended = subprocess.run(
        [sys.executable, "-m", "harness.load.process", str(run_dir.path), STEADY],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 4
    assert "profile idempotent: librdkafka refuses its producer settings" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("strangers")
def test_locust_alone_prepares_a_run_and_exits_by_its_verdict(cluster, tmp_path):
    scenario = Path(__file__).parents[2] / "scenarios" / "steady.py"
    ended = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(scenario), "--headless", "--only-summary"]
        + ["--brokers", cluster.bootstrap, "--delivery-profile", "idempotent,transactional"]
        + ["--duration", "3", "--rate", "300", "--seed", "5", "--out", tmp_path / "run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(scenario.parent.parent)},
        capture_output=True,
        text=True,
        timeout=220,
    )
    assert ended.returncode in (0, 3), ended.stderr[-3000:]
    repeat = RunDir(tmp_path / "run").read_info().command
    assert repeat[:6] == ["locust", "-f", "scenarios/steady.py", "--headless", "--seed", "5"]
    assert "idempotent,transactional" in repeat
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    # A machine on which even this load lags behind makes no statement, and says why.
    late = any("generator" in reason for reason in verdict["reasons"])
    assert verdict["verdict"] == ("inconclusive" if late else "kept"), verdict["reasons"]
    assert ended.returncode == (3 if late else 0)
    assert verdict["seed"] == 5
    assert {profile["profile"] for profile in verdict["profiles"]} == {
        "idempotent",
        "transactional",
    }
    assert all(profile["counts"]["acked"] > 0 for profile in verdict["profiles"])
    assert str(tmp_path / "run" / "verdict.json") in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--delivery-profile", "exactly-twice"], 2, "exactly-twice"),
        (["--brokers", "nonsense"], 2, "HOST:PORT"),
        (["--rate", "0"], 2, "--rate"),
    ],
)
def test_locust_alone_refuses_what_cannot_be_run(tmp_path, arguments, status, said):
    scenario = Path(__file__).parents[2] / "scenarios" / "steady.py"
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "locust",
            "-f",
            scenario,
            "--headless",
            "--only-summary",
            *arguments,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(scenario.parent.parent)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ended.returncode == status, ended.stderr[-3000:]
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
