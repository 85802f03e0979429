"""A run directory made up from a seed: what the report's tests read.

Its numbers are those of an ordinary run under the default experiments; nothing of it was judged.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from harness.anomalies import ANOMALIES, CONSUMER_ANOMALIES, anomaly_of
from harness.profiles import DeliveryProfile, lint, load_builtin
from harness.rundir.clock import from_us
from harness.rundir.documents import write_json
from harness.rundir.latency import IntervalRecorder
from harness.rundir.percentiles import Percentiles
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, RunInfo
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    Availability,
    ConsumerLag,
    ConsumeVerdict,
    ControlResult,
    FailureVerdict,
    FaultCount,
    FaultRecord,
    KeysVerdict,
    LoadVerdict,
    Phases,
    ProfileVerdict,
    PromiseVerdict,
    Sample,
    Verdict,
    worst,
)
from tests.support.runs import load_plan
from tests.support.timelines import add_line

RUN_ID = "20260301-101500-ab12"
START_US = 1_772_360_100_000_000
SECONDS = 44
SLOT_US = 250_000
RATE = 1000
PARTITIONS = 3
FAULTS = (
    ("stop_followers_then_kill_leader", 10.1, 17.6),
    ("cut_responses", 25.3, 26.4),
)
CONTROLS = {"lost": ("leader-ack", 1503), "duplicate": ("at-least-once", 63)}
FOUND = {
    "fire-and-forget": {"lost": 1561, "gap": 12},
    "leader-ack": {"lost": 1503, "duplicate": 88, "inversion": 140},
    "at-least-once": {"duplicate": 63, "inversion": 31},
    "idempotent": {},
    "transactional": {},
    "unsafe-topic": {"lost": 5388, "inconsistent_offset": 4},
    "consume-at-most-once": {"unprocessed": 412},
    "consume-at-least-once": {"repeated": 388, "unprocessed": 2},
}
PRODUCERS = tuple(FOUND)[:5]
CONSUMERS = tuple(FOUND)[6:]


def make_run(
    path: Path, names: tuple[str, ...] = PRODUCERS, verdict: str = KEPT
) -> tuple[RunDir, Path]:
    """A run directory with verdict, timeline and latency logs; and the path of its verdict."""
    shutil.copytree(_kept_copy(names, verdict), path)
    return RunDir(path), RunDir(path).verdict(1)


@cache
def _kept_copy(names: tuple[str, ...], verdict: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="made-up-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build(folder / "run", names, verdict)
    return folder / "run"


def build(path: Path, names: tuple[str, ...], verdict: str) -> RunDir:
    """Make the run anew."""
    run_dir = RunDir.create(path)
    profiles = [load_builtin()[name] for name in names]
    run_dir.write_info(make_info(profiles))
    random = np.random.default_rng(7)
    add_line(run_dir, "run", "harness", at=from_us(START_US - 3_000_000), phase="started")
    for profile in profiles:
        _load(run_dir, profile, random)
        _latency(run_dir, profile, random)
    for slot in range(SECONDS * 4):
        lag = float(random.gamma(2.0, 2.0))
        add_line(run_dir, "generator", "load", at=_at(slot / 4), lag_ms_max=lag)
    for profile in profiles:
        for topic in _topics(profile):
            for partition in range(PARTITIONS):
                for at_s, leader, epoch in ((0.3, 1, 0), (14.2, 2, 1), (18.9, 1, 2)):
                    add_line(
                        run_dir,
                        "leader",
                        "observer",
                        at=_at(at_s + 0.02 * partition),
                        topic=topic,
                        partition=partition,
                        leader=leader,
                        leader_epoch=epoch,
                    )
    add_line(
        run_dir,
        "client_error",
        "load",
        at=_at(10.4),
        profile=names[-1],
        incarnation=3,
        code="_TRANSPORT",
        reason="broker 1: Connection reset by peer",
        fatal=False,
        count=3,
    )
    write_json(run_dir.verdict(1), make_verdict(profiles, verdict).to_json())
    write_json(
        _folder(run_dir.drained(1)) / "drain.json",
        {
            "started_at": _at(50),
            "ended_at": _at(52),
            "complete": True,
            "cluster_id": "made-up",
            "reasons": [],
            "partitions": [
                {"topic": topic, "partition": partition, "read": 14_000, "complete": True}
                for profile in profiles
                for topic in _topics(profile)
                for partition in range(PARTITIONS)
            ],
        },
    )
    return run_dir


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _at(seconds: float) -> str:
    return from_us(START_US + int(seconds * 1e6))


def _topics(profile: DeliveryProfile) -> list[str]:
    name = f"harness-{RUN_ID}-{profile.name}"
    return [name] if profile.topics == 1 else [f"{name}-{letter}" for letter in "ab"]


def make_info(profiles: list[DeliveryProfile]) -> RunInfo:
    return RunInfo(
        run_id=RUN_ID,
        seed=1848,
        command=["harness", "run", "--seed", "1848", "--config", "sasl.password=hunter2"],
        bootstrap="127.0.0.1:41001,127.0.0.1:41002,127.0.0.1:41003",
        cluster_id="made-up",
        versions={"harness": "0.1.0", "kafka": "4.3.1", "librdkafka": "2.16.0", "cores": "2"},
        profiles=[
            ProfileRun(
                profile=profile.name,
                role="subject",
                topics=_topics(profile),
                topic_ids=["id"] * profile.topics,
                producer={**profile.producer},
                consumer=dict(profile.consumer),
                topic=dict(profile.topic),
                promises=list(profile.promises),
                summary=profile.summary,
                in_verdict=profile.counted,
            )
            for profile in profiles
        ],
        load=load_plan(
            rate_per_s=RATE, keys=64, partitions=PARTITIONS, warm_up_s=4.0, lag_limit_ms=1000.0
        ),
        experiments=[fault for fault, _, _ in FAULTS],
        aims={anomaly: control for anomaly, (control, _) in CONTROLS.items()},
        started_at=_at(-5),
    )


def _load(run_dir: RunDir, profile: DeliveryProfile, random: np.random.Generator) -> None:
    """Steady load; nothing is acknowledged for a while after each fault, then the backlog is."""
    outages = [(10.25, 14.5), (25.25, 26.25)]
    if profile.acks == "0":
        outages = [(10.25, 13.5)]
    topics = _topics(profile)
    for topic in topics:
        for partition in range(PARTITIONS):
            backlog = 0
            for slot in range(SECONDS * 4):
                at_s = slot / 4
                sent = int(random.poisson(RATE / 4 / PARTITIONS / len(topics)))
                down = any(start <= at_s < end for start, end in outages)
                after = any(end <= at_s < end + 0.25 for _, end in outages)
                acked = 0 if down else sent + (backlog if after else 0)
                waited = max((end - start for start, end in outages if end <= at_s + 0.01), key=abs,
                             default=0)  # fmt: skip
                backlog = backlog + sent if down else 0
                quick = float(random.gamma(4.0, 1.6)) + 2
                add_line(
                    run_dir,
                    "load",
                    "load",
                    at=_at(at_s + 0.25),
                    profile=profile.name,
                    topic=topic,
                    partition=partition,
                    from_us=START_US + slot * SLOT_US,
                    to_us=START_US + (slot + 1) * SLOT_US,
                    attempted=sent,
                    acked=acked,
                    failed=0,
                    unknown=4 if profile.acks == "0" and at_s == 10.25 else 0,
                    ack_ms_max=waited * 1000 + quick if after else 0.0 if down else quick,
                )


def _latency(run_dir: RunDir, profile: DeliveryProfile, random: np.random.Generator) -> None:
    for metric, factor, shift in (("ack", 1.0, 0), ("service", 0.55, 0), ("end_to_end", 1.3, 900)):
        if profile.acks == "0" and metric != "end_to_end":
            continue
        name = f"{profile.name}.{metric}.{'reader' if metric == 'end_to_end' else 1}.hlog"
        with IntervalRecorder(run_dir.latency / name, START_US) as recorder:
            for second in range(4, SECONDS):
                values = random.lognormal(8.2, 0.45, RATE) * factor + shift
                if second in (10, 11, 12, 13):
                    stall = 4.2e6 - (second - 10.0) * 1e6
                    stalled = np.linspace(stall, stall - 1e6, RATE).clip(0)
                    values += stalled if metric != "service" else stalled * 0.02
                if second == 25:
                    values += np.linspace(9e5, 1e5, RATE)
                intended = START_US + second * 1_000_000 + np.arange(RATE) * 1000
                recorder.record(intended.astype(np.int64), values.astype(np.int64))


def make_verdict(profiles: list[DeliveryProfile], verdict: str = KEPT) -> Verdict:
    """`broken` gives the idempotent profile two duplicates, `inconclusive` takes a control away."""
    found = {name: dict(counts) for name, counts in FOUND.items()}
    if verdict == BROKEN:
        found["idempotent"]["duplicate"] = 2
    judged = [_profile(profile, found[profile.name], verdict) for profile in profiles]
    counted = [each for each in judged if each.in_verdict]
    result = worst(each.verdict for each in counted)
    reasons = [
        f"{each.profile}: {promise.promise} is {promise.verdict}: {promise.reason}"
        for each in counted
        for promise in each.promises
        if promise.verdict != KEPT
    ]
    promises = sum(len(each.promises) for each in counted)
    return Verdict(
        run_id=RUN_ID,
        seed=1848,
        verdict=result,
        reasons=reasons or [f"every promise was kept: {promises} of {len(counted)} profiles"],
        profiles=judged,
        faults=[
            FaultRecord(fault, "broker 1", _at(start), _at(end), _evidence(fault), True)
            for fault, start, end in FAULTS
        ],
        findings=[
            {"profile": profile.name, **finding.to_json()}
            for profile in profiles
            for finding in lint(profile, brokers=3)
        ],
    )


def _profile(profile: DeliveryProfile, found: dict[str, int], verdict: str) -> ProfileVerdict:
    promises = [_promise(promise, found, verdict) for promise in profile.promises]
    attempted = RATE * SECONDS
    counts = dict.fromkeys(
        ("attempted", "acked", "failed", "unknown", "unknown_present", "sent", "read", "foreign",
         *ANOMALIES), 0)  # fmt: skip
    aborted = 4_400 if profile.transactional else 0
    outcome = "sent" if profile.acks == "0" else "acked"
    counts |= {
        "attempted": attempted,
        "unknown": 12,
        "unknown_present": 3,
        "failed": aborted,
        outcome: attempted - 12 - aborted,
    }
    counts |= found
    counts["read"] = counts[outcome] + 3 - counts["lost"] + counts["duplicate"]
    samples = [
        Sample(anomaly, _topics(profile)[0], n % PARTITIONS, 1, 3370 + 3 * n, 9000 + n, 1,
               round(0.4 + n / 250, 3), 2 if anomaly in CONSUMER_ANOMALIES else None)
        for anomaly, count in found.items()
        for n in range(min(count, 20))
    ]  # fmt: skip
    return ProfileVerdict(
        profile=profile.name,
        role="subject",
        verdict=worst(promise.verdict for promise in promises),
        counts=counts,
        promises=promises,
        samples=samples,
        latency_ms={metric: _phases(metric) for metric in ("ack", "service", "end_to_end")},
        availability=[
            Availability(topic, partition, 4250.0 - 250 * partition, 4400.0)
            for topic in _topics(profile)
            for partition in range(PARTITIONS)
        ],
        in_verdict=profile.counted,
        consume=None if profile.consume is None else _consume(profile, counts),
        keys=KeysVerdict(64, counts["inversion"] // 2, 7, 5, 0),
        load=LoadVerdict(RATE, RATE - 1.5, attempted + 70, 70, _failures(counts)),
    )


def _failures(counts: dict[str, int]) -> list[FailureVerdict]:
    """Why attempts were not acknowledged: aborted on purpose, or timed out."""
    timed_out = "not acknowledged within delivery.timeout.ms"
    aborted = "its transaction was aborted on purpose"
    found = [
        FailureVerdict("failed", "aborted", aborted, counts["failed"], _at(4), _at(40)),
        FailureVerdict(
            "unknown", "_MSG_TIMED_OUT", timed_out, counts["unknown"], _at(12), _at(13.5)
        ),
    ]
    return [each for each in found if each.count]


def _consume(profile: DeliveryProfile, counts: dict[str, int]) -> ConsumeVerdict:
    assert profile.consume is not None
    lag = [
        ConsumerLag(topic, partition, 3100 + partition, 3, 5250.0)
        for topic in _topics(profile)
        for partition in range(PARTITIONS)
    ]
    return ConsumeVerdict(
        mode=profile.consume.mode,
        protocol=profile.consume.protocol,
        group=f"harness-{RUN_ID}-{profile.name}",
        members=5,
        died=3,
        records=counts["read"],
        processed=counts["read"] - counts["unprocessed"] - 17,
        pending=17,
        polled=counts["read"] + 500,
        effects=counts["read"] - counts["unprocessed"] - 17 + counts["repeated"],
        commits=900,
        commits_failed=4,
        assignments=14,
        partitions_lost=2,
        fenced=0,
        lag=lag,
    )


def _promise(promise: str, found: dict[str, int], verdict: str) -> PromiseVerdict:
    anomaly = anomaly_of(promise)
    control, count = CONTROLS.get(anomaly, (None, 0))
    if verdict == INCONCLUSIVE and anomaly == "duplicate":
        count = 0
    aimed = None if control is None else ControlResult(control, anomaly, count, _by_fault(count))
    kept = PromiseVerdict(
        promise=promise,
        verdict=KEPT,
        challenged=bool(count),
        observed=0,
        control=aimed,
        faults_exposed=2,
        trials=2 if count or not control else 0,
        bound_95_per_fault=1 - 0.05**0.5,
        reason=f"none found, while the control {control} showed {count:,} under the same faults; "
        "2 faults hit this profile"
        if control
        else "none found; no experiment of this run aims at it",
    )
    if found.get(anomaly):
        return replace(
            kept,
            verdict=BROKEN,
            observed=found[anomaly],
            bound_95_per_fault=None,
            reason=f"{found[anomaly]} further copies of attempts stand at other offsets",
        )
    if control and not count:
        return replace(
            kept,
            verdict=INCONCLUSIVE,
            reason=f"its control {control} showed no {anomaly} either",
        )
    return kept


def _by_fault(count: int) -> list[FaultCount]:
    """Half of what a control showed in each of the two faults."""
    halves = (count - count // 2, count // 2)
    return [
        FaultCount(fault, _at(start), half)
        for (fault, start, _), half in zip(FAULTS, halves, strict=True)
        if half
    ]


def _phases(metric: str) -> Phases:
    base = {"ack": 4.1, "service": 2.2, "end_to_end": 6.0}[metric]
    calm = Percentiles(6_000, base, base * 1.7, base * 2.6, base * 3.4, base * 3.9, base * 4)
    hit = Percentiles(8_000, base * 90, base * 700, base * 950, base * 1010, 4212.7, 4215.1)
    return Phases(calm, hit, replace(calm, count=26_000), replace(hit, count=40_000, p50=base))


def _evidence(fault: str) -> dict[str, object]:
    moved = fault.startswith("stop")
    return {
        "moves_leader": moved,
        "graceful": False,
        "brokers": [
            {"broker": 2, "pid": 4102, "signal": "SIGSTOP", "at": _at(10.1), "state": "stopped"},
            {"broker": 3, "pid": 4103, "signal": "SIGSTOP", "at": _at(10.1), "state": "stopped"},
            {"broker": 1, "pid": 4101, "signal": "SIGKILL", "at": _at(11.6), "exit_status": -9},
        ]
        if moved
        else [],
        "links": []
        if moved
        else [
            {
                "broker": 1,
                "listener": "client",
                "mode": "cut_responses",
                "answered_through_link": False,
                "answered_past_link": True,
                "connections_reset": 7,
            }
        ],
        "partitions": [
            {
                "topic": f"t{n}",
                "partition": n,
                "leader_before": 1,
                "epoch_before": 0,
                "leader_after": 2 if moved else 1,
                "epoch_after": 1 if moved else 0,
            }
            for n in range(6)
        ],
        "notes": [],
        "shortcomings": [],
    }
