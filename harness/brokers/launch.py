"""Bringing a local cluster to life: its directory, its ports, its supervisor process.

What is prepared here is held from the first moment: the cluster's lock and the bound ports pass to
the supervisor as open descriptors, so no other process can take or clean up either in between.
"""

from __future__ import annotations

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

from harness.brokers.archive import archive_options, make_archive
from harness.brokers.cache import Progress
from harness.brokers.children import module_path
from harness.brokers.config import (
    BROKER_IDS,
    LOGGING,
    START_TIMEOUT_S,
    properties_text,
    server_settings,
)
from harness.brokers.jars import check_version, fetch_jars
from harness.brokers.java import find_java
from harness.brokers.ports import choose_ports
from harness.brokers.state import (
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
from harness.brokers.storage import format_node, format_template, new_kafka_uuid
from harness.errors import ClusterError, UsageError
from harness.lifeline import LIFELINE_FD

_LOCK_TIMEOUT_S: Final = 2.0
_GIVE_UP_AFTER_S: Final = START_TIMEOUT_S + 15
_END_TIMEOUT_S: Final = 40.0
_LOG_LINES: Final = 15


@dataclass(slots=True)
class Prepared:
    """A cluster that is ready for its supervisor."""

    directory: Path
    state: ClusterState
    lock: int
    """Descriptor that holds the cluster's lock."""
    bound: dict[int, socket.socket] = field(default_factory=dict)
    """The sockets that hold its ports; empty when its old ports are taken again."""
    new: bool = True
    """Whether there is no data that a failure would cost."""

    def close(self) -> None:
        """Let go of what the supervisor holds by now, or of what nobody will."""
        os.close(self.lock)
        for held in self.bound.values():
            held.close()


def prepare(name: str | None, *, kept: bool, kafka_version: str, tell: Progress) -> Prepared:
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
        ports, bound = choose_ports(ports_in_use())
        state = ClusterState(
            name=name,
            kept=kept,
            kafka_version=kafka_version,
            cluster_id=new_kafka_uuid(),
            java=str(java.executable),
            class_path=jars.class_path,
            jvm_options=list(archive_options(jars, java)),
            nodes={i: NodeState(i, ports[i]) for i in BROKER_IDS},
        )
        lock = -1
        try:
            directory.mkdir(mode=0o700)
            lock = _lock(directory, name)
            prepared = Prepared(directory, state, lock, bound)
            state.write(directory)
            _lay_out(directory, state, template)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            if lock >= 0:
                os.close(lock)
            for held in bound.values():
                held.close()
            raise
    return prepared


def prepare_again(name: str, *, tell: Progress) -> Prepared:
    """Take over a cluster whose supervisor is gone, with its data and ports.

    Raises UsageError when there is none of that name, ClusterError when its supervisor lives.
    """
    with creation_lock():
        directory = find_directory(name)
        lock = _lock(directory, name)
        try:
            state = read_state(directory)
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
        except BaseException:
            os.close(lock)
            raise
    return Prepared(directory, state, lock, new=False)


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


def launch(prepared: Prepared) -> Supervision:
    """Start the supervisor; returns when all brokers are registered and unfenced.

    Raises ClusterError with the end of the logs. A new cluster that does not start leaves nothing.
    """
    try:
        supervision = _spawn(prepared)
    finally:
        prepared.close()
    try:
        _wait_started(prepared.directory, supervision.process)
    except BaseException:
        supervision.abandon()
        if prepared.new:
            shutil.rmtree(prepared.directory, ignore_errors=True)
        raise
    return supervision


def _spawn(prepared: Prepared) -> Supervision:
    environment = {k: v for k, v in os.environ.items() if k != LIFELINE_FD} | module_path()
    held = {port: bound.fileno() for port, bound in prepared.bound.items()}
    # The lock goes with it: it is free only once the supervisor has ended.
    passed = [prepared.lock, *held.values()]
    reading = lifeline = -1
    if not prepared.state.kept:
        reading, lifeline = os.pipe()
        environment[LIFELINE_FD] = str(reading)
        passed.append(reading)
    command = [sys.executable, "-m", "harness.brokers.supervisor", str(prepared.directory)]
    command.append(",".join(f"{port}:{descriptor}" for port, descriptor in held.items()))
    try:
        with (prepared.directory / "supervisor.log").open("ab") as output:
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
