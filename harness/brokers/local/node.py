"""One broker as its supervisor holds it: its process, as often as it is started, and its links."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

import psutil

from harness.brokers.kind import BrokerStatus
from harness.brokers.local.children import die_with_parent
from harness.brokers.local.config import HOST, LINKS, broker_command
from harness.brokers.local.java import java_environment
from harness.brokers.local.ports import Hold
from harness.brokers.local.proxy import Proxy
from harness.brokers.local.state import ClusterState, NodeState, ProcessIdentity
from harness.errors import ClusterError
from harness.kafka import wire

_ASK_TIMEOUT_S: Final = 1.0


def log(text: str) -> None:
    """One line in supervisor.log."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    print(f"[{stamp}.{int(now % 1 * 1000):03d}Z] {text}", flush=True)


class Node:
    """One broker: its process as often as it is started, its held ports, its proxies."""

    def __init__(
        self,
        state: NodeState,
        directory: Path,
        cluster: ClusterState,
        bound: dict[int, socket.socket],
    ) -> None:
        self.state = state
        self.directory = directory
        self.cluster = cluster
        self.log_path = directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.exit_status: int | None = None
        self.exited = asyncio.Event()
        self.exited.set()
        self.starts = 0
        self.ready = False
        ports = state.ports
        self.holds = [
            Hold(port, bound.get(port))
            for port in (
                ports.client_broker,
                ports.replication_broker,
                ports.direct,
                ports.controller,
            )
        ]
        self.proxies = {
            link: Proxy(
                ports.advertised(link), ports.behind(link), bound.get(ports.advertised(link))
            )
            for link in LINKS
        }

    def hold_ports(self) -> None:
        """Keep the broker's own ports bound while it is down."""
        for hold in self.holds:
            hold.take()

    def start(self) -> int:
        """Start its process; the process id."""
        if self.process is not None:
            raise ClusterError(f"broker {self.state.node_id} runs already (pid {self.process.pid})")
        for hold in self.holds:
            hold.make_way()
        command = broker_command(
            Path(self.cluster.java),
            self.cluster.class_path,
            self.directory / "server.properties",
            self.directory.parent / "log4j2.properties",
            tuple(self.cluster.jvm_options),
        )
        with self.log_path.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=java_environment(),
                preexec_fn=die_with_parent(),  # safe: no other thread runs here
                cwd=self.directory,
            )
        self.starts += 1
        self.ready = False
        self.exited.clear()
        self.state.process = ProcessIdentity.of(self.process.pid)
        log(f"broker {self.state.node_id}: started, pid {self.process.pid}")
        return self.process.pid

    def reap(self) -> bool:
        """Note that its process has ended; whether it had."""
        if self.process is None or self.process.poll() is None:
            return False
        self.exit_status = self.process.returncode
        log(f"broker {self.state.node_id}: pid {self.process.pid} ended, {self.exit_status}")
        self.process = None
        self.state.process = None
        self.ready = False
        if not Hold.stays:
            with contextlib.suppress(ClusterError):  # the next start says who has it
                self.hold_ports()
        self.exited.set()
        return True

    def send(self, number: int) -> int:
        """Send a signal; the process id. Raises ClusterError when no process runs."""
        if self.process is None or self.process.poll() is not None:
            raise ClusterError(
                f"broker {self.state.node_id} has no process to signal (its last one ended with "
                f"{self.exit_status})."
            )
        os.kill(self.process.pid, number)
        log(f"broker {self.state.node_id}: {signal.Signals(number).name} to {self.process.pid}")
        return self.process.pid

    @property
    def paused(self) -> bool:
        """Whether its process is stopped by a signal."""
        if self.process is None:
            return False
        try:
            return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    async def view(self) -> bool:
        """Ask it whether it sees all brokers; remembered in `ready`."""
        asked = self.process
        seen = (
            None
            if asked is None
            else await wire.ask_view((HOST, self.state.ports.direct), _ASK_TIMEOUT_S)
        )
        self.ready = (
            seen is not None
            and self.process is asked
            and seen.brokers == set(self.cluster.nodes)
            and seen.cluster_id == self.cluster.cluster_id
        )
        return self.ready

    def status(self) -> BrokerStatus:
        """What is known of it now."""
        ports = self.state.ports
        return BrokerStatus(
            broker_id=self.state.node_id,
            pid=None if self.process is None else self.process.pid,
            paused=self.paused,
            ready=self.ready,
            exit_status=self.exit_status,
            starts=self.starts,
            client=f"{HOST}:{ports.client}",
            direct=f"{HOST}:{ports.direct}",
            links={link: proxy.mode for link, proxy in self.proxies.items()},
        )

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            text = self.log_path.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
