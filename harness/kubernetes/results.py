"""A run directory from the results volume to this machine, verified by checksums.

A Job that has ended has no process that could be asked for its files. So a pod of its own mounts
the volume for as long as the copy takes, and ends by itself where no client takes it away.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness.errors import ClusterError, UsageError
from harness.kubernetes.kubectl import ANSWER_S, Kubectl, KubectlFailed
from harness.kubernetes.run_job import RUN_LABEL, ended, template

RESULTS: Final = "/results"
CONTAINER: Final = "reader"
READY_S: Final = 120
LIFE_S: Final = 3600
"""A reader that is left behind ends after this."""
COPY_S: Final = 3000.0
CHECKSUMS: Final = """\
import hashlib, os, sys
os.chdir(sys.argv[1])
for folder, _, names in os.walk("."):
    for path in (os.path.join(folder, name) for name in names):
        if not os.path.islink(path):
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            print(digest, os.path.relpath(path), sep="  ")
"""
"""What the reader says of the files of a folder. Its image has Python. A shell, find or gzip it
need not have."""
ARCHIVE: Final = """\
import os, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz") as archive:
    archive.add(sys.argv[1], os.path.basename(sys.argv[1]))
"""
_NAMED: Final = 12


def fetch(kubectl: Kubectl, run: str, out: Path) -> Path:
    """Copy a run's directory to `out`. Raises UsageError where `out` is in use or the run goes on,
    ClusterError where there is no such directory or the copy differs."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out}: is there already and not empty.")
    if PurePosixPath(run).is_absolute() or ".." in PurePosixPath(run).parts:
        raise UsageError(f"RUN {run}: a folder below {RESULTS} of the volume is expected.")
    job = kubectl.find("job", run) if "/" not in run else None
    if job is not None and not ended(job):
        raise UsageError(
            f"run {run} is under way: its files still change. Await it: harness k8s logs --follow "
            f"{run}."
        )
    with reader(kubectl) as pod:
        expected = _checksums_there(kubectl, pod, run)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as partial:
            _copy(kubectl, pod, run, Path(partial))
            got = Path(partial) / PurePosixPath(run).name
            compare(expected, checksums(got))
            if out.exists():
                out.rmdir()
            got.rename(out)
    return out


@contextlib.contextmanager
def reader(kubectl: Kubectl) -> Iterator[str]:
    """A pod that has the results volume, while the block runs; its name."""
    document = reader_pod(template(kubectl), f"harness-reader-{secrets.token_hex(3)}")
    name: str = document["metadata"]["name"]
    kubectl.show("create", "-f", "-", after=f"   # pod {name}, which mounts the results read-only")
    kubectl.call("create", "-f", "-", stdin=json.dumps(document))
    try:
        ready = ("wait", f"pod/{name}", "--for=condition=Ready", f"--timeout={READY_S}s")
        try:
            kubectl.call(*ready, timeout_s=READY_S + ANSWER_S, shown=True)
        except KubectlFailed as error:
            raise ClusterError(f"{error} {_why_not_ready(kubectl, name)}") from None
        yield name
    finally:
        kubectl.call("delete", "pod", name, "--wait=false", "--grace-period=1", shown=True)


def reader_pod(job: dict[str, Any], name: str) -> dict[str, Any]:
    """The pod, made from the template of runs: the same image, user and volume, no token."""
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    volumes = [each for each in spec["volumes"] if "persistentVolumeClaim" in each]
    mounts = [each for each in container["volumeMounts"] if each["mountPath"] == RESULTS]
    kept = ("image", "imagePullPolicy", "securityContext")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"delivery-harness/reader": "true"}},
        "spec": {
            **({"imagePullSecrets": p} if (p := spec.get("imagePullSecrets")) else {}),
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE_S,
            "terminationGracePeriodSeconds": 1,
            "securityContext": spec["securityContext"],
            "containers": [
                {
                    **{key: container[key] for key in kept if key in container},
                    "name": CONTAINER,
                    "command": ["sleep", str(LIFE_S)],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "64Mi"},
                        "limits": {"memory": "256Mi"},
                    },
                    "volumeMounts": [{**mount, "readOnly": True} for mount in mounts],
                }
            ],
            "volumes": volumes,
        },
    }


def _why_not_ready(kubectl: Kubectl, name: str) -> str:
    events = kubectl.items("events", "--field-selector", f"involvedObject.name={name}")
    said = str(events[-1].get("message", "")) if events else ""
    return f"Its last event: {said}" if said else ""


def _checksums_there(kubectl: Kubectl, pod: str, run: str) -> dict[str, str]:
    """file below the run → SHA-256, as the volume has it."""
    asked = ("exec", pod, "-c", CONTAINER, "--")
    where = f"{RESULTS}/{run}"
    try:
        text = kubectl.call(*asked, "python3", "-c", CHECKSUMS, where, timeout_s=COPY_S)
    except KubectlFailed as error:
        listed = kubectl.call(*asked, "ls", "-t", RESULTS).split()
        there = ", ".join(listed[:_NAMED]) or "nothing"
        raise ClusterError(
            f"run {run}: {RESULTS} of the volume has no such folder that can be read ({error}). "
            f"There is: {there}."
        ) from None
    found = {}
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        found[name] = digest
    return found


def _copy(kubectl: Kubectl, pod: str, run: str, into: Path) -> None:
    path = PurePosixPath(RESULTS, run)
    asked = ("exec", pod, "-c", CONTAINER, "--")
    # What a person would type; an image need not have the gzip that it takes.
    tar = ("tar", "-C", str(path.parent), "-czf", "-", path.name)
    kubectl.show(*asked, *tar, after=" | tar xzf -")
    process = kubectl.start(
        *(*asked, "python3", "-c", ARCHIVE, str(path)),
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|gz") as archive:
            archive.extractall(into, filter="data")
        # What is behind the end of the archive; without it kubectl could not end.
        while process.stdout.read(1 << 20):
            pass
        status = process.wait(ANSWER_S)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ClusterError(
            f"run {run}: the copy broke off ({error}). Nothing was kept; try again."
        ) from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    if status != 0:
        raise ClusterError(f"run {run}: kubectl exec ended with {status} in mid-copy; try again.")


def checksums(folder: Path) -> dict[str, str]:
    """file below the folder → SHA-256."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found


def compare(expected: dict[str, str], got: dict[str, str]) -> None:
    """Raises ClusterError naming the files that differ."""
    differ = sorted(
        name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name)
    )
    if differ:
        more = f" and {len(differ) - _NAMED} more" if len(differ) > _NAMED else ""
        raise ClusterError(
            f"the copy differs from the volume in {', '.join(differ[:_NAMED])}{more}. Nothing was "
            "kept; try again."
        )


def delete_run(kubectl: Kubectl, run: str, *, wait_s: float) -> None:
    """Take away the Job of a run with its pod; its directory stays on the volume."""
    job = kubectl.find("job", run)
    if job is None or job["metadata"].get("labels", {}).get(RUN_LABEL.split("=")[0]) != "true":
        raise UsageError(f"run {run}: namespace {kubectl.target.namespace} has no such run.")
    kubectl.call(
        *("delete", "job", run, "--cascade=foreground", "--wait", f"--timeout={int(wait_s)}s"),
        timeout_s=wait_s + ANSWER_S,
        shown=True,
    )
