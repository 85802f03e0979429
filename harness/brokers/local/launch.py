"""Bringing a local cluster to life: its directory, its ports, its supervisor process.

What is prepared here is held from the first moment: the cluster's lock and the bound ports pass to
the supervisor as open descriptors, so no other process can take or clean up either in between.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.brokers.local.archive import archive_options, make_archive
from harness.brokers.local.cache import Progress
from harness.brokers.local.children import module_path
from harness.brokers.local.config import (
    BROKER_IDS,
    LOGGING,
    START_TIMEOUT_S,
    properties_text,
    server_settings,
)
from harness.brokers.local.jars import check_version, fetch_jars
from harness.brokers.local.java import find_java
from harness.brokers.local.ports import choose_ports
from harness.brokers.local.state import (
    ClusterState,
    NodeState,
    check_name,
    clusters_folder,
    creation_lock,
    find_directory,
    kill_leftovers,
    ports_in_use,
    read_state,
    sweep,
    take_lock,
)
from harness.brokers.local.storage import format_node, format_template, new_kafka_uuid
from harness.errors import ClusterError, UsageError
from harness.system.interrupts import deferred_interrupts
from harness.system.lifeline import LIFELINE_FD

_LOCK_TIMEOUT_S: Final = 2.0
_GIVE_UP_AFTER_S: Final = START_TIMEOUT_S + 15
_END_TIMEOUT_S: Final = 40.0
_LOG_LINES: Final = 15


class Supervision:
    """A supervisor process that this process started, and its lifeline."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: int) -> None:
        self.process = process
        self._lifeline = lifeline

    def release(self, timeout_s: float) -> bool:
        """Close the lifeline and wait for the supervisor; whether it ended in time."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def abandon(self) -> None:
        """End a supervisor whose start failed or was interrupted."""
        self.process.terminate()
        if not self.release(_END_TIMEOUT_S):
            self.process.kill()
            self.process.wait()


@dataclass(slots=True)
class Launch:
    """A cluster that is being started, and what has to be let go of when that fails.

    Each thing is noted here in the same deferred block in which it is made: an interrupt can come
    between any two lines, and finds the cluster either not begun or named here.
    """

    directory: Path | None = None
    """Set once it is there."""
    state: ClusterState | None = None
    lock: int = -1
    """Descriptor that holds the cluster's lock."""
    bound: dict[int, socket.socket] = field(default_factory=dict)
    """The sockets that hold its ports; empty when its old ports are taken again."""
    new: bool = True
    """Whether there is no data that a failure would cost."""
    supervision: Supervision | None = None

    def close(self) -> None:
        """Let go of what the supervisor holds by now, or of what it never will."""
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1
        for held in self.bound.values():
            held.close()

    def abandon(self) -> None:
        """End what was started; a new cluster leaves nothing."""
        self.close()
        if self.supervision is not None:
            self.supervision.abandon()
        if self.new and self.directory is not None:
            remove(self.directory)


def prepare(
    launch: Launch, name: str | None, *, kept: bool, kafka_version: str, tell: Progress
) -> None:
    """Fetch what is missing, clean up after the dead, and lay out a new cluster."""
    name = check_name(name or f"run-{os.getpid()}-{secrets.token_hex(3)}")
    check_version(kafka_version)
    java = find_java()
    jars = fetch_jars(kafka_version, progress=tell)
    template = format_template(jars, java, tell)
    make_archive(jars, java, template, tell)
    tell(f"starting three brokers, Kafka {kafka_version}, Java {java.version} ({java.source})")
    with creation_lock():
        for died in sweep():
            tell(f"cleaned up after cluster {died}, whose supervisor was killed")
        directory = clusters_folder() / name
        if directory.exists():
            raise UsageError(
                f"cluster {name} exists already. `harness cluster status` shows it; `harness "
                f"cluster start {name}` starts its brokers, `harness cluster down {name}` removes "
                "it."
            )
        with deferred_interrupts():
            ports, launch.bound = choose_ports(ports_in_use())
            launch.state = ClusterState(
                name=name,
                kept=kept,
                kafka_version=kafka_version,
                cluster_id=new_kafka_uuid(),
                java=str(java.executable),
                class_path=jars.class_path,
                jvm_options=list(archive_options(jars, java)),
                nodes={i: NodeState(i, ports[i]) for i in BROKER_IDS},
            )
            directory.mkdir(mode=0o700)
            launch.directory = directory
            launch.lock = _lock(directory, name)
            launch.state.write(directory)
            _lay_out(directory, launch.state, template)


def prepare_again(launch: Launch, name: str, *, tell: Progress) -> None:
    """Take over a cluster whose supervisor is gone, with its data and ports.

    Raises UsageError when there is none of that name, ClusterError when its supervisor lives.
    """
    launch.new = False
    with creation_lock():
        directory = find_directory(name)
        with deferred_interrupts():
            launch.lock = _lock(directory, name)
            launch.directory = directory
        state = launch.state = read_state(directory)
        if kill_leftovers(state):
            tell(f"ended brokers of {name} that outlived their supervisor")
        java = find_java()
        jars = fetch_jars(state.kafka_version, progress=tell)
        state.java, state.class_path = str(java.executable), jars.class_path
        state.jvm_options = list(archive_options(jars, java))
        state.phase, state.problem, state.supervisor = "starting", "", None
        for node in state.nodes.values():
            node.process = None
        state.write(directory)


def spawn(launch: Launch) -> None:
    """Start the supervisor; returns when all brokers are registered and unfenced.

    Raises ClusterError with the end of the logs.
    """
    assert launch.directory is not None
    with deferred_interrupts():
        launch.supervision = _spawn(launch)
        launch.close()
    _wait_started(launch.directory, launch.supervision.process)


def _spawn(launch: Launch) -> Supervision:
    assert launch.directory is not None
    assert launch.state is not None
    environment = {k: v for k, v in os.environ.items() if k != LIFELINE_FD} | module_path()
    held = {port: bound.fileno() for port, bound in launch.bound.items()}
    # The lock goes with it: it is free only once the supervisor has ended.
    passed = [launch.lock, *held.values()]
    reading = lifeline = -1
    if not launch.state.kept:
        reading, lifeline = os.pipe()
        environment[LIFELINE_FD] = str(reading)
        passed.append(reading)
    command = [sys.executable, "-m", "harness.brokers.local.supervisor", str(launch.directory)]
    command.append(",".join(f"{port}:{descriptor}" for port, descriptor in held.items()))
    try:
        with (launch.directory / "supervisor.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=passed,
                start_new_session=True,
                cwd="/",
            )
        return Supervision(process, lifeline)
    except BaseException:
        if lifeline >= 0:
            os.close(lifeline)
        raise
    finally:
        if reading >= 0:
            os.close(reading)


def _wait_started(directory: Path, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _GIVE_UP_AFTER_S
    while True:
        ended = supervisor.poll() is not None
        state = read_state(directory)
        if state.phase == "running" and not ended:
            return
        if ended or time.monotonic() > deadline:
            log = (directory / "supervisor.log").read_text(errors="replace").splitlines()
            end = "\n".join(log[-_LOG_LINES:])
            problem = state.problem or f"its supervisor gave up; its log ends:\n{end}"
            raise ClusterError(f"The local cluster did not start: {problem}")
        time.sleep(0.02)


def _lay_out(directory: Path, state: ClusterState, template: Path) -> None:
    (directory / "log4j2.properties").write_text(LOGGING)
    for i in state.nodes:
        own = directory / str(i)
        own.mkdir()
        format_node(own / "data", i, state.cluster_id, template)
        settings = server_settings(i, state.ports, own / "data")
        (own / "server.properties").write_text(properties_text(settings))


def _lock(directory: Path, name: str) -> int:
    # A probe of `has_supervisor` may hold it for an instant.
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while (descriptor := take_lock(directory)) is None:
        if time.monotonic() > deadline:
            raise ClusterError(f"cluster {name} is running; its supervisor lives.")
        time.sleep(0.01)
    return descriptor


def remove(directory: Path) -> None:
    """Remove a cluster whose supervisor is ending or gone, and what is left of its brokers.

    Raises ClusterError when its supervisor does not end.
    """
    deadline = time.monotonic() + _END_TIMEOUT_S
    while directory.is_dir():
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{directory}: could not be removed within {_END_TIMEOUT_S:.0f} s; its supervisor "
                "lives on, or files in it belong to another user."
            )
        try:
            lock = take_lock(directory)
        except FileNotFoundError:
            continue  # being removed by its supervisor
        if lock is None:
            time.sleep(0.02)
            continue
        try:
            with contextlib.suppress(ClusterError):
                kill_leftovers(read_state(directory))
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(lock)
