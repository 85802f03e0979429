"""The process that owns a local cluster: three brokers and the proxies in front of them.

`python -m harness.brokers.local.supervisor DIRECTORY [PORT:DESCRIPTOR,…]` is started by
`LocalCluster` in its own session, with the cluster's lock and, for a new one, its ports
already held. It starts every broker from its main thread, each in its own session, so neither a
terminal's Ctrl-C nor the end of a thread reaches them.

It ends, and everything with it, when
- its lifeline closes, which is how it learns that the harness is gone (not for kept clusters),
- it gets SIGTERM or SIGINT, or is asked to by `down`.
Brokers end by SIGKILL then, which also ends those that are paused. Should the supervisor itself be
killed, the kernel kills its brokers (Linux) or a reaper does (elsewhere).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from harness.brokers.local import control, reaper
from harness.brokers.local.config import HOST, LINKS, START_TIMEOUT_S
from harness.brokers.local.node import Node, log
from harness.brokers.local.ports import passed_sockets
from harness.brokers.local.proxy import MODES, Proxy
from harness.brokers.local.state import ProcessIdentity, read_state
from harness.errors import ClusterError, HarnessError, UsageError
from harness.system.lifeline import LIFELINE_FD

_ASK_INTERVAL_S: Final = 0.05
_KILL_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 20.0
_PAUSE_TIMEOUT_S: Final = 5.0


class Supervisor:
    """The life of one cluster."""

    def __init__(self, directory: Path, bound: dict[int, socket.socket]) -> None:
        self.directory = directory
        self.state = read_state(directory)
        self.nodes = {
            i: Node(node, directory / str(i), self.state, bound)
            for i, node in self.state.nodes.items()
        }
        self.ending = asyncio.Event()
        self.remove_directory = not self.state.kept
        self._server: asyncio.Server | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._operations: dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]] = {
            "status": self._status,
            "signal": self._signal,
            "wait_exited": self._wait_exited,
            "start_broker": self._start_broker,
            "wait_ready": self._wait_ready,
            "set_link": self._set_link,
            "close_connections": self._close_connections,
            "heal": self._heal,
            "stop": self._stop,
            "start_all": self._start_all,
            "down": self._down,
        }

    async def run(self) -> int:
        """From the first broker's start to the end of the last; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, f"{number.name}")
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        self._watch_lifeline(loop)
        failed = False
        try:
            await self._bring_up()
        except HarnessError as error:
            failed = True
            self.state.phase, self.state.problem = "failed", str(error)
            log(f"failed: {error}")
        if not failed:
            await self.ending.wait()
        await self._take_down(keep_directory=failed)
        return int(failed)

    def _watch_lifeline(self, loop: asyncio.AbstractEventLoop) -> None:
        text = os.environ.pop(LIFELINE_FD, None)
        if text is not None:
            descriptor = int(text)
            os.set_inheritable(descriptor, False)
            loop.add_reader(descriptor, self._end, "the harness that started it is gone")

    def _end(self, reason: str) -> None:
        if not self.ending.is_set():
            log(f"ending: {reason}")
            self.ending.set()

    async def _bring_up(self) -> None:
        self.state.supervisor = ProcessIdentity.of(os.getpid())
        for node in self.nodes.values():
            node.hold_ports()
            for proxy in node.proxies.values():
                proxy.open()
        self._server = await asyncio.start_server(
            self._serve, HOST, 0, limit=control.LINE_BYTES_MAX
        )
        self.state.control_port = self._server.sockets[0].getsockname()[1]
        self.state.token = secrets.token_hex(16)
        if sys.platform != "linux":
            self._reaper = reaper.start(self.directory)
        for node in self.nodes.values():
            node.start()
        self._write_state()
        waiting = asyncio.create_task(self._until_ready(START_TIMEOUT_S, all_must_live=True))
        ending = asyncio.create_task(self.ending.wait())
        await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if self.ending.is_set():
            waiting.cancel()
            raise ClusterError("ended while its brokers were starting")
        await waiting
        self.state.phase = "running"
        self._write_state()
        log("running")

    async def _take_down(self, *, keep_directory: bool) -> None:
        for node in self.nodes.values():
            if node.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    node.process.kill()
        self._reap()
        try:
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                for node in self.nodes.values():
                    await node.exited.wait()
        except TimeoutError:
            left = [n.process.pid for n in self.nodes.values() if n.process is not None]
            log(f"processes {left} did not end within {_KILL_TIMEOUT_S:.0f} s of SIGKILL")
            keep_directory = True
        for node in self.nodes.values():
            for proxy in node.proxies.values():
                proxy.close()
            for hold in node.holds:
                hold.release()
        if self._server is not None:
            self._server.close()
        if self._reaper is not None:
            self._reaper.communicate()
        if self.remove_directory and not keep_directory:
            log("removing the cluster's directory")
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            if self.state.phase != "failed":
                self.state.phase = "stopped"
            self.state.supervisor = None
            self._write_state()
        log("ended")

    def _reap(self) -> None:
        ended = [node.reap() for node in self.nodes.values()]
        if any(ended) and not self.ending.is_set():
            self._write_state()

    def _write_state(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.state.write(self.directory)

    # -- readiness -------------------------------------------------------------------------

    async def _until_ready(self, timeout_s: float, *, all_must_live: bool = False) -> None:
        deadline = time.monotonic() + timeout_s
        nodes = list(self.nodes.values())
        while True:
            if all(await asyncio.gather(*(node.view() for node in nodes))):
                return
            dead = any(node.process is None for node in nodes)
            if (all_must_live and dead) or time.monotonic() > deadline:
                raise ClusterError(self._why_not_ready(timeout_s))
            await asyncio.sleep(_ASK_INTERVAL_S)

    def _why_not_ready(self, timeout_s: float) -> str:
        lines = [
            f"cluster {self.state.name}: not all brokers are registered and unfenced "
            f"(waited for up to {timeout_s:g} s)"
        ]
        dead = [node for node in self.nodes.values() if node.process is None]
        for node in dead or self.nodes.values():
            number = node.state.node_id
            if node.process is None:
                lines.append(f"  broker {number} ended with {node.exit_status}; its log ends:")
                lines.append(node.log_tail())
            elif node.paused:
                lines.append(f"  broker {number} is paused (SIGSTOP); send SIGCONT or heal")
            elif not node.ready:
                cut = [f"{link} {p.mode}" for link, p in node.proxies.items() if p.mode != "pass"]
                lines.append(
                    f"  broker {number} does not answer or does not see the others"
                    + (f" (links: {', '.join(cut)})" if cut else "")
                    + "; its log ends:"
                )
                lines.append(node.log_tail(8))
        return "\n".join(lines)

    # -- control ---------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer: dict[str, Any]
        try:
            request = control.decode(await reader.readline())
            if not secrets.compare_digest(str(request.get("token", "")), self.state.token):
                raise UsageError("the control port wants the token of the cluster's state file")
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                raise UsageError(f"the supervisor knows no operation {request.get('op')!r}")
            if self.ending.is_set():
                raise ClusterError(f"cluster {self.state.name} is being taken down")
            answer = {"ok": True, "result": await operation(request)}
        except UsageError as error:
            answer = {"ok": False, "usage": True, "error": str(error)}
        except (HarnessError, ValueError, OSError) as error:
            answer = {"ok": False, "usage": False, "error": str(error)}
        except asyncio.CancelledError:
            answer = {"ok": False, "usage": False, "error": "the cluster is being taken down"}
        with contextlib.suppress(OSError):
            writer.write(control.encode(answer))
            await writer.drain()
            writer.close()

    def _node(self, request: dict[str, Any]) -> Node:
        number = request.get("broker")
        if number not in self.nodes:
            known = ", ".join(map(str, self.nodes))
            raise UsageError(f"broker {number!r}: this cluster has brokers {known}.")
        return self.nodes[number]

    def _proxy(self, request: dict[str, Any]) -> Proxy:
        node, listener = self._node(request), request.get("listener")
        if listener not in node.proxies:
            raise UsageError(f"listener {listener!r}: has no proxy; {', '.join(LINKS)} have.")
        return node.proxies[str(listener)]

    async def _status(self, request: dict[str, Any]) -> Any:
        if request.get("ask", True):
            await asyncio.gather(*(node.view() for node in self.nodes.values()))
        return {
            "phase": self.state.phase,
            "brokers": [asdict(node.status()) for node in self.nodes.values()],
        }

    async def _signal(self, request: dict[str, Any]) -> int:
        node, number = self._node(request), signal.Signals(int(request["signal"]))
        pid = node.send(number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            # The caller records this as evidence: answer once it is so.
            deadline = time.monotonic() + _PAUSE_TIMEOUT_S
            while node.process is not None and node.paused != (number == signal.SIGSTOP):
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"broker {node.state.node_id}: {number.name} was sent to {pid} and had no "
                        f"effect within {_PAUSE_TIMEOUT_S:.0f} s."
                    )
                await asyncio.sleep(0.002)
        return pid

    async def _wait_exited(self, request: dict[str, Any]) -> int | None:
        node, timeout_s = self._node(request), float(request["timeout_s"])
        if node.starts == 0:
            raise ClusterError(f"broker {node.state.node_id} was never started.")
        try:
            async with asyncio.timeout(timeout_s):
                await node.exited.wait()
        except TimeoutError as error:
            pid = node.process.pid if node.process else None
            raise ClusterError(
                f"broker {node.state.node_id} (pid {pid}) did not end within {timeout_s:g} s."
            ) from error
        return node.exit_status

    async def _start_broker(self, request: dict[str, Any]) -> int:
        pid = self._node(request).start()
        self._write_state()
        return pid

    async def _wait_ready(self, request: dict[str, Any]) -> None:
        await self._until_ready(float(request["timeout_s"]))

    async def _set_link(self, request: dict[str, Any]) -> None:
        proxy, mode = self._proxy(request), request.get("mode")
        if mode not in MODES:
            raise UsageError(f"link mode {mode!r}: accepted are {', '.join(MODES)}.")
        proxy.set_mode(mode)
        log(
            f"broker {request['broker']}: {request['listener']} link {mode}, "
            f"{len(proxy.connections)} connections"
        )

    async def _close_connections(self, request: dict[str, Any]) -> int:
        count = self._proxy(request).close_connections()
        log(f"broker {request['broker']}: {request['listener']}: {count} connections reset")
        return count

    async def _heal(self, request: dict[str, Any]) -> None:
        log("healing")
        for node in self.nodes.values():
            if node.paused:
                node.send(signal.SIGCONT)
            for proxy in node.proxies.values():
                if proxy.mode != "pass":
                    proxy.set_mode("pass")
            if node.process is None:
                node.start()
        self.state.phase = "running"
        self._write_state()
        await self._until_ready(float(request["timeout_s"]))

    async def _stop(self, _request: dict[str, Any]) -> None:
        log("stopping all brokers; data and ports are kept")
        for node in self.nodes.values():
            if node.process is not None and node.process.poll() is None:
                node.send(signal.SIGTERM)
                # A paused process takes a signal only when it goes on.
                os.kill(node.process.pid, signal.SIGCONT)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                for node in self.nodes.values():
                    await node.exited.wait()
        except TimeoutError:
            for node in self.nodes.values():
                if node.process is not None:
                    node.process.kill()
                await node.exited.wait()
        self.state.phase = "stopped"
        self._write_state()

    async def _start_all(self, request: dict[str, Any]) -> None:
        for node in self.nodes.values():
            if node.process is None:
                node.start()
        self.state.phase = "running"
        self._write_state()
        await self._until_ready(float(request["timeout_s"]), all_must_live=True)

    async def _down(self, _request: dict[str, Any]) -> None:
        self.remove_directory = True
        self._end("asked to take the cluster down")


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _main(directory: Path, bound: dict[int, socket.socket]) -> int:
    return await Supervisor(directory, bound).run()


def main() -> int:
    """The supervisor process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _raise_descriptor_limit()
    bound = passed_sockets(sys.argv[2]) if len(sys.argv) > 2 else {}
    return asyncio.run(_main(Path(sys.argv[1]), bound))


if __name__ == "__main__":
    sys.exit(main())
