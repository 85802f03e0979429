"""A run's Job followed to its end: until its pod has started, what it prints, how it ended."""

from __future__ import annotations

import time
from typing import IO, Final

from harness.errors import ClusterError
from harness.kubernetes.kubectl import Kubectl
from harness.kubernetes.run_job import RunPod, ended, pod_of, result

START_S: Final = 300.0
POLL_S: Final = 1.0
END_S: Final = 5.0
"""So long the end of a container may take to be known after its output has ended."""
JOB_END_S: Final = 30.0
"""So long its Job may take to be known as ended after that. Until then the run counts as under
way."""


def await_start(kubectl: Kubectl, run: str, timeout_s: float = START_S) -> RunPod:
    """The run's pod once its container runs or has ended.

    Raises ClusterError with what it waits for. A Job whose pod did not start is deleted: it would
    begin at some later time, without anyone waiting for it.
    """
    deadline = time.monotonic() + timeout_s
    reported = ""
    while True:
        pod = pod_of(kubectl, run)
        if pod is not None and (pod.running or pod.over):
            return pod
        why = pod.why if pod is not None else _last_event(kubectl, run)
        if why != reported:
            kubectl.say(f"run {run}: {why}")
            reported = why
        job = kubectl.find("job", run)
        if job is None:
            raise ClusterError(f"run {run}: its Job was deleted before it began.")
        if ended(job) or (pod is not None and pod.hopeless) or time.monotonic() > deadline:
            kubectl.call("delete", "job", run, "--wait=false", shown=True)
            raise ClusterError(f"run {run}: its pod did not start. {why}")
        time.sleep(POLL_S)


def _last_event(kubectl: Kubectl, run: str) -> str:
    """Why a Job has no pod, as its controller says."""
    events = kubectl.items("events", "--field-selector", f"involvedObject.name={run}")
    return str(events[-1].get("message", "")) if events else "no pod yet"


def follow(kubectl: Kubectl, run: str, output: IO[bytes]) -> int:
    """Copy what the run prints to `output` until it ends; its exit code.

    A connection that breaks is made again, from where the output had come to.
    Raises ClusterError where the pod went away without an exit code.
    """
    name = await_start(kubectl, run).name
    kubectl.show("logs", "--follow", name)
    since: list[str] = []
    while True:
        copy(kubectl, output, "--follow", *since, name)
        broken_at = time.monotonic()
        pod = _at_end(kubectl, run)
        if pod is None:
            raise ClusterError(
                f"run {run}: its pod {name} was deleted before it ended, so there is no exit code. "
                f"What it recorded: harness k8s fetch {run}; then judge it: harness verify DIR."
            )
        if pod.over:
            _await_job(kubectl, run)
            return result(pod)
        since = [f"--since={int(time.monotonic() - broken_at) + 1}s"]


def copy(kubectl: Kubectl, output: IO[bytes], *arguments: str) -> int:
    """`kubectl logs` to its end, its output to `output`; its exit status."""
    process = kubectl.start("logs", *arguments, stdout=output)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _at_end(kubectl: Kubectl, run: str) -> RunPod | None:
    """The pod, once its container is known to have ended; as it is where its output goes on."""
    deadline = time.monotonic() + END_S
    while True:
        pod = pod_of(kubectl, run)
        if pod is None or pod.over or time.monotonic() > deadline:
            return pod
        time.sleep(POLL_S)


def _await_job(kubectl: Kubectl, run: str) -> None:
    """Until the Job is known to have ended, so that what comes next finds no run under way."""
    deadline = time.monotonic() + JOB_END_S
    while (job := kubectl.find("job", run)) is not None and not ended(job):
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_S)
