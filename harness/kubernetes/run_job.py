"""A run as a Job: made from the CronJob's template, watched, its exit code read.

The template is the one that the cluster has, so that a run started by hand differs from a scheduled
one in its options only.
"""

from __future__ import annotations

import copy
import json
import secrets
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from harness.errors import ClusterError, UsageError
from harness.kubernetes.kubectl import Kubectl, KubectlFailed

CRON_JOB: Final = "harness-run"
WORKERS: Final = "locust-worker"
PAGE: Final = "locust-page"
RUN_LABEL: Final = "delivery-harness/run=true"
JOB_LABEL: Final = "batch.kubernetes.io/job-name"
EXPECT: Final = "--expect-workers"
_HARNESS_EXITS: Final = range(5)
_HOPELESS: Final = ("ErrImageNeverPull", "InvalidImageName")
"""Reasons of a container that waits which waiting does not change."""


def template(kubectl: Kubectl) -> dict[str, Any]:
    """The Job that the CronJob would make. Raises UsageError where no overlay was applied."""
    cron = kubectl.find("cronjob", CRON_JOB)
    if cron is None:
        raise UsageError(
            f"namespace {kubectl.target.namespace} has no CronJob {CRON_JOB}, a run's template. "
            "Apply an overlay first: harness k8s apply --overlay NAME; or name the "
            "namespace: --namespace."
        )
    found: dict[str, Any] = cron["spec"]["jobTemplate"]
    return found


def new_name() -> str:
    """A name that sorts by time: harness-run-20261129-172545-3f9c."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{CRON_JOB}-{now}-{secrets.token_hex(2)}"


def job_of(made_from: dict[str, Any], name: str, options: list[str]) -> dict[str, Any]:
    """The Job that makes one run, with options of `harness run` behind the template's own."""
    spec = copy.deepcopy(made_from["spec"])
    (container,) = spec["template"]["spec"]["containers"]
    container["args"] = [*container["args"], *options]
    metadata = copy.deepcopy(made_from.get("metadata") or {})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {**metadata.get("labels", {}), **dict([RUN_LABEL.split("=")])},
            "annotations": {
                **metadata.get("annotations", {}),
                "delivery-harness/options": shlex.join(options),
            },
        },
        "spec": spec,
    }


def create(kubectl: Kubectl, job: dict[str, Any]) -> None:
    """Create the Job of a run. Raises UsageError while another one is under way."""
    for other in kubectl.items("jobs", "--selector", RUN_LABEL):
        if not ended(other):
            name = other["metadata"]["name"]
            raise UsageError(
                f"run {name} is under way, and two runs would share workers and faults. Await it: "
                f"harness k8s logs --follow {name}; or end it: harness k8s delete {name}."
            )
    page = kubectl.find("deployment", PAGE)
    if page is not None and page["spec"].get("replicas"):
        raise UsageError(
            f"Locust's page is the master of the workers now. End it first: kubectl -n "
            f"{kubectl.target.namespace} scale deployment/{PAGE} --replicas 0."
        )
    name = job["metadata"]["name"]
    options = job["metadata"]["annotations"]["delivery-harness/options"]
    kubectl.show(
        *("create", "job", name, f"--from=cronjob/{CRON_JOB}"),
        after=f"   # with the options {options}" if options else "",
    )
    kubectl.call("create", "-f", "-", stdin=json.dumps(job))


def workers(kubectl: Kubectl, wanted: int | None, *, timeout_s: int) -> int:
    """How many workers serve the run: scaled to `wanted`, or as many as there are; all ready."""
    if wanted is not None:
        kubectl.call("scale", f"deployment/{WORKERS}", f"--replicas={wanted}", shown=True)
    status = ("rollout", "status", f"deployment/{WORKERS}", f"--timeout={timeout_s}s")
    try:
        kubectl.call(*status, timeout_s=timeout_s + 30, shown=True)
    except KubectlFailed as error:
        raise ClusterError(
            f"Locust's workers are not ready: {error} Look at them: kubectl -n "
            f"{kubectl.target.namespace} describe deployment/{WORKERS}."
        ) from None
    found: int = kubectl.read("deployment", WORKERS)["spec"]["replicas"]
    return found


def ended(job: dict[str, Any]) -> bool:
    """Whether a Job is complete or failed."""
    return any(
        condition["type"] in ("Complete", "Failed") and condition["status"] == "True"
        for condition in job.get("status", {}).get("conditions", [])
    )


def newest(kubectl: Kubectl) -> str:
    """The name of the run that was created last. Raises UsageError where there is none."""
    jobs = kubectl.items("jobs", "--selector", RUN_LABEL)
    if not jobs:
        raise UsageError(
            f"namespace {kubectl.target.namespace} has no run. Start one: harness k8s run."
        )
    last = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]))
    return str(last["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class RunPod:
    """The pod of a run as it was last seen."""

    name: str
    running: bool
    exit_code: int | None
    """None while it has not ended, or where it is not known."""
    why: str
    """What it waits for, or how it ended; for people."""
    hopeless: bool = False
    """Waiting will not help it."""

    @property
    def over(self) -> bool:
        """Whether its container has ended."""
        return self.exit_code is not None


def pod_of(kubectl: Kubectl, run: str) -> RunPod | None:
    """The pod of a run; None where there is none."""
    pods = kubectl.items("pods", "--selector", f"{JOB_LABEL}={run}")
    return seen(pods[0]) if pods else None


def seen(pod: dict[str, Any]) -> RunPod:
    """What a pod's status says."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    containers = status.get("containerStatuses") or []
    state: dict[str, Any] = containers[0]["state"] if containers else {}
    if "terminated" in state:
        last = state["terminated"]
        why = f"{last.get('reason', 'ended')}, exit code {last['exitCode']}"
        if message := str(last.get("message", "")).strip():
            why += f": {message}"
        return RunPod(name, False, int(last["exitCode"]), why)
    if "running" in state:
        return RunPod(name, True, None, "running")
    if "waiting" in state:
        reason = str(state["waiting"].get("reason", "waiting"))
        message = str(state["waiting"].get("message", ""))
        why = f"{reason}: {message}" if message else reason
        return RunPod(name, False, None, why, hopeless=reason in _HOPELESS)
    why = f"{status.get('phase', 'Pending')} {status.get('reason', '')}".strip()
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            why = f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return RunPod(name, False, None, why)


def result(pod: RunPod) -> int:
    """The exit code of the harness in the pod.

    Raises ClusterError where the process was ended from outside: it then says no verdict.
    """
    if pod.exit_code is None or pod.exit_code not in _HARNESS_EXITS:
        raise ClusterError(
            f"pod {pod.name}: the run was ended from outside ({pod.why}), so it has no verdict of "
            "its own. Its run directory, if it got that far: harness k8s fetch; then judge it: "
            "harness verify DIR."
        )
    return pod.exit_code
