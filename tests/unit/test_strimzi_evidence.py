"""What shows that a deed had its effect on a pod: the evidence judges itself, and is read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.brokers.strimzi.evidence import (
    ContainerKilled,
    ContainerPaused,
    ContainerResumed,
    OnPod,
    PodKilled,
    PodRestarted,
    PodStopped,
)
from harness.brokers.strimzi.pods import PodState, pod_state
from harness.brokers.strimzi.processes import read_seen
from harness.brokers.strimzi.restarts import changes_of
from harness.errors import ClusterError
from harness.rundir.fault_evidence import FaultEvidence, PartitionMove, shortcomings
from harness.rundir.recorded_evidence import RecordedEvidence

AT = "2026-01-01T00:00:00.000000Z"
WHERE = (2, "c-brokers-2", "uid-1", AT)
GONE: dict[str, Any] = {"gone": True, "exit_code": 137}
ENDED: dict[str, Any] = {"gone": True, "exit_code": 143, "led_before": 3, "led_at_end": 0}
BACK: dict[str, Any] = {**ENDED, "uid_after": "uid-2", "ready_after_s": 20.0}
SENT: dict[str, Any] = {"signal": "SIGSTOP", "pid": 7, "restarts": 1}


@pytest.mark.parametrize(
    ("evidence", "missing"),
    [
        (PodKilled(*WHERE, grace_s=1, **GONE), ""),
        (PodKilled(*WHERE, grace_s=1), "it was not seen to end"),
        (PodKilled(*WHERE, grace_s=1, gone=True), "its exit status was not seen"),
        (PodKilled(*WHERE, grace_s=1, gone=True, exit_code=143), "which is no crash"),
        (PodKilled(*WHERE, grace_s=1, gone=True, exit_code=1), "exit status 1, expected 137"),
        (PodStopped(*WHERE, **ENDED), ""),
        (PodStopped(*WHERE, gone=True, exit_code=0), ""),
        (PodStopped(*WHERE, **GONE), "the grace period was over before it had ended"),
        (PodStopped(*WHERE, **{**ENDED, "led_at_end": 2}), "it still led 2 partitions"),
        (PodRestarted(*WHERE, **BACK), ""),
        (PodRestarted(*WHERE, **ENDED), "no new pod took its place"),
        (PodRestarted(*WHERE, **{**BACK, "uid_after": "uid-1"}), "no new pod took its place"),
        (PodRestarted(*WHERE, **{**BACK, "ready_after_s": None}), "not seen ready"),
        (ContainerPaused(*WHERE, **SENT, state="stopped"), ""),
        (ContainerPaused(*WHERE, **SENT, state="running (TS)"), "state 'running (TS)'"),
        (ContainerPaused(*WHERE, signal="SIGSTOP", pid=1, state="running (S)"), "needs an init"),
        (ContainerResumed(*WHERE, **SENT, restarts_after=1), ""),
        (ContainerResumed(*WHERE, **SENT, restarts_after=2, exit_code=137), "liveness probe"),
        (ContainerKilled(*WHERE, **SENT, restarts_after=2, exit_code=137), ""),
        (ContainerKilled(*WHERE, **SENT, restarts_after=1), "not seen to start again"),
        (ContainerKilled(*WHERE, **SENT, restarts_after=2, exit_code=1), "exit status 1"),
        (ContainerKilled(*WHERE, **SENT, restarts_after=2, exit_code=137, uid_after="other"),
         "the pod became another one"),
    ],
)  # fmt: skip
def test_evidence_says_itself_what_it_lacks(evidence: OnPod, missing: str) -> None:
    said = evidence.shortcomings()
    assert [missing in each for each in said] == ([True] if missing else [])
    assert all(each.startswith("broker 2 (pod c-brokers-2): ") for each in said)


def test_a_fault_on_a_pod_is_told_and_read_back() -> None:
    killed = PodKilled(*WHERE, "node1", 1, **GONE, ended_after_s=1.84, led_before=3, led_at_end=3,
                       uid_after="uid-2", ready_after_s=33.01)  # fmt: skip
    evidence = FaultEvidence(moves_leader=True, graceful=False, brokers=[killed])
    evidence.partitions = [PartitionMove("t", 0, 2, 4, 1, 5)]
    assert shortcomings(evidence) == []
    read = RecordedEvidence("kill_leader", json.loads(json.dumps(evidence.to_json())))
    read.check()
    (trace,) = read.brokers
    assert (trace.broker, trace.deed, trace.pod_uid) == (2, "kill", "uid-1")
    assert trace.what == "pod c-brokers-2 of node 2 (uid-1) deleted with 1 s of grace"
    assert list(read.lines()) == [
        "pod c-brokers-2 of node 2 (uid-1) deleted with 1 s of grace, exit status 137 after "
        "1.8 s, it led 3 partitions before and 3 when it ended, pod uid-2 took its place and was "
        "ready after 33.0 s"
    ]
    assert read.document["brokers"][0]["handed_over"] is False


def test_a_crash_is_told_from_a_broker_that_handed_over_first() -> None:
    first = PodKilled(*WHERE, grace_s=1, **GONE, led_before=7, led_at_end=0)
    assert first.handed_over is True
    crash = PodKilled(*WHERE, grace_s=1, **GONE, led_before=7, led_at_end=7, stopped_first=True)
    assert (crash.handed_over, crash.shortcomings()) == (False, [])
    assert "its process stopped by SIGSTOP before, exit status 137" in crash.sentence()
    assert PodKilled(*WHERE, grace_s=1, **GONE, led_before=0, led_at_end=0).handed_over is None


def pod(**status: Any) -> PodState:
    return pod_state(
        {
            "metadata": {"name": "c-brokers-12", "uid": "u"},
            "spec": {"nodeName": "node1"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], **status},
        }
    )


def container(**more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "sidecar", "restartCount": 9},
                                  {"name": "kafka", "restartCount": 1, **more}]}  # fmt: skip


def test_a_pod_is_read_from_its_object() -> None:
    state = pod(**container(state={"terminated": {"exitCode": 137, "reason": "Error"}}))
    assert (state.node_id, state.node, state.ready, state.restarts) == (12, "node1", True, 1)
    assert (state.exit_code, state.reason, state.terminating) == (137, "Error", False)
    before = pod(**container(lastState={"terminated": {"exitCode": 3, "reason": "OOMKilled"}}))
    assert (before.exit_code, before.last_exit_code, before.reason) == (None, 3, "OOMKilled")
    bare = pod_state({"metadata": {"name": "c-b-0", "uid": "u", "deletionTimestamp": "now"}})
    assert (bare.ready, bare.restarts, bare.node, bare.terminating) == (False, 0, None, True)


def test_pods_that_end_or_start_again_are_told_once() -> None:
    def state(name: str, uid: str, restarts: int = 0, **more: Any) -> PodState:
        fields: dict[str, Any] = {"exit_code": None, "last_exit_code": None, "reason": None}
        return PodState(name, uid, "n", True, False, restarts, None, **{**fields, **more})

    known = {"c-b-1": state("c-b-1", "one", exit_code=137), "c-b-2": state("c-b-2", "two")}
    assert changes_of(dict(known), dict(known)) == []
    gone = changes_of(known, {"c-b-2": state("c-b-2", "two")})
    assert [(e.phase, e.node, e.uid, e.uid_after, e.exit_code) for e in gone] == [
        ("ended", 1, "one", None, 137)
    ]
    assert changes_of(known, {"c-b-2": state("c-b-2", "two")}) == []
    replaced = changes_of(dict(known), {"c-b-2": state("c-b-2", "three")})
    assert [(e.phase, e.uid, e.uid_after) for e in replaced] == [("ended", "two", "three")]
    again = changes_of(known, {"c-b-2": state("c-b-2", "two", 1, last_exit_code=1, reason="Error")})
    assert [(e.phase, e.uid, e.exit_code, e.reason) for e in again] == [
        ("restarted", "two", 1, "Error")
    ]


@pytest.mark.parametrize(
    ("output", "pid", "before", "state"),
    [
        ("pid=7 before=SSS\nafter=TTT\n", 7, False, "stopped"),
        ("pid=7 before=TTT\n", 7, True, None),
        ("pid=7 before=SS\nafter=TS\n", 7, False, "running (TS)"),
        ("pid=1 before=SS\nafter=\n", 1, False, "running ()"),
    ],
)
def test_what_the_shell_in_the_container_saw(
    output: str, pid: int, before: bool, state: str | None
) -> None:
    seen = read_seen(output, "c-b-1")
    assert (seen.pid, seen.stopped_before, seen.state) == (pid, before, state)


def test_a_container_without_a_broker_is_named() -> None:
    with pytest.raises(ClusterError, match=r"pod c-b-1: no signal .*: no process named java"):
        read_seen("no process named java\n", "c-b-1")
