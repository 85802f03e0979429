"""A cluster's directory and what is in its state file.

    <cache>/clusters/<name>/lock           held by the supervisor as long as it lives
                            state.json     this module's ClusterState, readable by its owner only
                            runs/, experiments/   who is at work here (presence.py)
                            supervisor.log
                            log4j2.properties
                            <node id>/server.properties, server.log, data/

The lock tells whether a supervisor lives, and the kernel frees it however the supervisor ends.
Brokers that outlive a killed supervisor are recognised by process id and start time together,
since ids are used again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from harness.brokers.local.cache import cache_folder, locked, make_folder, try_lock, write_json
from harness.brokers.local.config import NodePorts, bootstrap
from harness.errors import ClusterError, UsageError

STATE_FILE: Final = "state.json"
LOCK_FILE: Final = "lock"
SCHEMA: Final = 1
DEFAULT_NAME: Final = "local"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_EXIT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that is not mistaken for a later one of the same id."""

    pid: int
    started_at: float
    """Seconds since the epoch, as the system reports it."""

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a living process; None when there is none of that id."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def alive(self) -> bool:
        """Whether this very process exists and has not ended (a zombie has)."""
        try:
            process = psutil.Process(self.pid)
            # The boot time that start times are counted from can be off by a tick.
            same = abs(process.create_time() - self.started_at) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def kill(self) -> bool:
        """SIGKILL, when it is alive; whether it was."""
        if not self.alive():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return True


@dataclass(slots=True)
class NodeState:
    """One node as the state file has it."""

    node_id: int
    ports: NodePorts
    process: ProcessIdentity | None = None


@dataclass(slots=True)
class ClusterState:
    """What others need to know of a cluster. `token` admits to its control port: keep it secret."""

    name: str
    kept: bool
    kafka_version: str
    cluster_id: str
    java: str
    class_path: str
    jvm_options: list[str]
    nodes: dict[int, NodeState]
    supervisor: ProcessIdentity | None = None
    control_port: int = 0
    token: str = field(default="", repr=False)
    phase: str = "starting"
    """starting | running | stopped | failed"""
    problem: str = ""
    """Why it failed, with the end of the log in question."""

    @property
    def ports(self) -> dict[int, NodePorts]:
        """The ports of every node, by node id."""
        return {i: node.ports for i, node in self.nodes.items()}

    @property
    def bootstrap(self) -> str:
        """bootstrap.servers through the proxies."""
        return bootstrap(self.ports)

    def write(self, directory: Path) -> None:
        """Replace the state file in one step."""
        write_json(directory / STATE_FILE, {"schema": SCHEMA, **asdict(self)}, mode=0o600)


def read_state(directory: Path) -> ClusterState:
    """The state in a cluster's directory. Raises ClusterError when there is none to be read."""
    path = directory / STATE_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if document.pop("schema") != SCHEMA:
            raise ValueError("written by another version of this harness")
        document["nodes"] = {
            int(i): NodeState(
                node["node_id"], NodePorts(**node["ports"]), _identity(node["process"])
            )
            for i, node in document["nodes"].items()
        }
        document["supervisor"] = _identity(document["supervisor"])
        return ClusterState(**document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"{path}: no readable state of a cluster ({error}).") from error


def _identity(found: dict[str, Any] | None) -> ProcessIdentity | None:
    return None if found is None else ProcessIdentity(found["pid"], found["started_at"])


# -- directories -------------------------------------------------------------------------------


def clusters_folder() -> Path:
    """The folder that holds every cluster's directory."""
    folder = cache_folder() / "clusters"
    make_folder(folder, 0o700)
    return folder


def check_name(name: str) -> str:
    """The name, when it can be one. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"cluster name {name!r}: accepted are 1 to 40 characters of a–z, 0–9, dot, dash and "
            "underscore, the first a letter or digit."
        )
    return name


def creation_lock() -> contextlib.AbstractContextManager[None]:
    """Held while a cluster's directory is made or removed and its ports are chosen."""
    return locked(
        clusters_folder() / ".lock", timeout_s=60, waiting_for="a cluster is made or removed"
    )


def directories() -> list[Path]:
    """Every cluster's directory, sorted by name."""
    return sorted(p for p in clusters_folder().iterdir() if p.is_dir() and p.name[0] != ".")


def find_directory(name: str | None) -> Path:
    """The directory of the cluster of that name, running or not; without a name the one kept.

    Raises UsageError when there is none, or more than one to choose from.
    """
    found = directories()
    if name is not None:
        directory = clusters_folder() / check_name(name)
        if directory not in found:
            known = ", ".join(d.name for d in found) or "none"
            raise UsageError(f"There is no local cluster {name!r}; known: {known}.")
        return directory
    kept = []
    for directory in found:
        with contextlib.suppress(ClusterError):
            if read_state(directory).kept:
                kept.append(directory)
    if not kept:
        raise UsageError("No local cluster is kept. `harness cluster up` starts one.")
    if len(kept) > 1:
        names = ", ".join(d.name for d in kept)
        raise UsageError(f"More than one local cluster is kept: {names}. Name the one meant.")
    return kept[0]


def take_lock(directory: Path) -> int | None:
    """An open descriptor that holds the cluster's lock; None while a supervisor lives."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def has_supervisor(directory: Path) -> bool:
    """Whether a supervisor owns this cluster now."""
    try:
        descriptor = take_lock(directory)
    except OSError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def kill_leftovers(state: ClusterState) -> list[int]:
    """SIGKILL brokers that outlived their supervisor and wait until they are gone; their ids.

    Raises ClusterError when one does not end. Call it with the cluster's lock held.
    """
    left = [node.process for node in state.nodes.values() if node.process is not None]
    killed = [process for process in left if process.kill()]
    deadline = time.monotonic() + _EXIT_TIMEOUT_S
    while remaining := [process.pid for process in killed if process.alive()]:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"cluster {state.name}: processes {remaining} did not end within "
                f"{_EXIT_TIMEOUT_S:.0f} s of SIGKILL. They may wait for a disk."
            )
        time.sleep(0.02)
    return [process.pid for process in killed]


def sweep() -> list[str]:
    """Clean up after supervisors that were killed; names of the clusters that had died.

    Their brokers are ended. The directory of a cluster that was not to be kept is removed; a kept
    one stays, to be started again. Call it with `creation_lock` held.
    """
    died = []
    for directory in directories():
        try:
            descriptor = take_lock(directory)
        except FileNotFoundError:
            continue  # taken down a moment ago
        if descriptor is None:
            continue
        try:
            try:
                state = read_state(directory)
            except ClusterError:
                # Ended between making the directory and writing its state: it has no broker. A
                # state that cannot be read may belong to another version's data, and stays.
                if not (directory / STATE_FILE).exists():
                    shutil.rmtree(directory, ignore_errors=True)
                continue
            if kill_leftovers(state) or not state.kept:
                died.append(state.name)
            if not state.kept:
                shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(descriptor)
    return died


def ports_in_use() -> set[int]:
    """Port numbers that belong to some cluster, running or not."""
    taken: set[int] = set()
    for directory in directories():
        with contextlib.suppress(ClusterError):
            state = read_state(directory)
            taken.add(state.control_port)
            for node in state.nodes.values():
                taken.update(asdict(node.ports).values())
    return taken
