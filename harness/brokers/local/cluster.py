"""The local broker kind: a handle on three real brokers that a supervisor process owns.

All calls are synchronous and may come from any thread and any process of this user: each is one
question to the supervisor's control port. The handle itself holds no state beyond the lifeline of
a cluster that it started.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from harness.brokers.kind import FILES, PAUSE, PROCESS, PROXY, REASSIGN, BrokerStatus
from harness.brokers.local import control
from harness.brokers.local.cache import Progress
from harness.brokers.local.config import bootstrap
from harness.brokers.local.jars import KAFKA_VERSION
from harness.brokers.local.launch import Launch, Supervision, prepare, prepare_again, remove, spawn
from harness.brokers.local.state import (
    STATE_FILE,
    ClusterState,
    find_directory,
    has_supervisor,
    read_state,
)
from harness.brokers.local.verbs import LocalControl
from harness.errors import ClusterError, UsageError
from harness.kafka.environment import HarnessEnvironment

_ANSWER_TIMEOUT_S: Final = 30.0
_HEAL_TIMEOUT_S: Final = 120.0
_END_TIMEOUT_S: Final = 40.0


class LocalCluster:
    """Three combined KRaft nodes on 127.0.0.1, every client and replication link proxied."""

    kind = "local"
    capabilities = frozenset({PROCESS, PAUSE, REASSIGN, PROXY, FILES})
    if_unreached = ""

    def __init__(self, directory: Path, state: ClusterState) -> None:
        """Use `start` or `attach`."""
        self.directory = directory
        self.name = state.name
        self.kept = state.kept
        self.kafka_version = state.kafka_version
        self.cluster_id = state.cluster_id
        self.broker_ids = sorted(state.nodes)
        self.bootstrap = state.bootstrap
        self.direct_bootstrap = bootstrap(state.ports, direct=True)
        self.client_config = {"bootstrap.servers": self.bootstrap}
        self.control = LocalControl(self)
        self._supervision: Supervision | None = None

    def __repr__(self) -> str:
        return f"LocalCluster({self.name!r}, {self.bootstrap})"

    def add_client_settings(self, settings: Mapping[str, str]) -> None:
        """Settings that clients of this handle have beside the address."""
        self.client_config = {**settings, "bootstrap.servers": self.bootstrap}

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find this cluster."""
        return HarnessEnvironment(cluster=str(self.directory)).variables()

    @property
    def meeting_place(self) -> Path:
        """Where runs and experiments on this cluster find each other."""
        return self.directory

    # -- starting and finding ----------------------------------------------------------------

    @classmethod
    def start(
        cls,
        name: str | None = None,
        *,
        kept: bool = False,
        kafka_version: str = KAFKA_VERSION,
        progress: Progress | None = None,
    ) -> LocalCluster:
        """Start a new cluster; returns when all brokers are registered and unfenced.

        With `kept` it lives until `down`; otherwise it ends with this process, however that ends.
        A version that is not in the cache is downloaded first. Raises UsageError for a name that
        is taken or a version that cannot be, EnvironmentFailure or ClusterError when Java, jars,
        ports or brokers fail; the message carries the end of the logs, and nothing is left behind.
        """
        tell = progress or (lambda _: None)
        return cls._launched(
            lambda launch: prepare(launch, name, kept=kept, kafka_version=kafka_version, tell=tell)
        )

    @classmethod
    def revive(cls, name: str, *, progress: Progress | None = None) -> LocalCluster:
        """Start a kept cluster again whose supervisor is gone, on its data and ports.

        Raises UsageError when there is none of that name, ClusterError when it lives.
        """
        tell = progress or (lambda _: None)
        return cls._launched(lambda launch: prepare_again(launch, name, tell=tell))

    @classmethod
    def _launched(cls, prepared: Callable[[Launch], None]) -> LocalCluster:
        launch = Launch()
        try:
            prepared(launch)
            spawn(launch)
            assert launch.directory is not None
            assert launch.state is not None
            cluster = cls(launch.directory, launch.state)
            cluster._supervision = launch.supervision
            return cluster
        except BaseException:
            launch.abandon()
            raise

    @classmethod
    def attach(cls, name_or_directory: str | None = None) -> LocalCluster:
        """A handle on a running cluster: by name, by state directory, or the one kept.

        Raises UsageError when there is none of that name or more than one to choose from,
        ClusterError when the one that is meant has no living supervisor.
        """
        if name_or_directory is not None and os.sep in name_or_directory:
            directory = Path(name_or_directory)
            if not (directory / STATE_FILE).is_file():
                raise UsageError(
                    f"{directory}: no directory of a local cluster (it has no {STATE_FILE}). The "
                    "cluster may have ended; `harness cluster status` lists those there are."
                )
        else:
            directory = find_directory(name_or_directory)
        state = read_state(directory)
        if not has_supervisor(directory):
            raise ClusterError(
                f"cluster {state.name} is not running: its supervisor is gone. "
                f"`harness cluster start {state.name}` starts it on its data, `harness cluster "
                f"down {state.name}` removes it."
            )
        return cls(directory, state)

    # -- one broker --------------------------------------------------------------------------

    def pid(self, broker_id: int) -> int | None:
        """The process id of a broker; None when it does not run."""
        return self._status_of(broker_id).pid

    def signal(self, broker_id: int, number: signal.Signals) -> int:
        """Send a signal to a broker's process; the process id that got it.

        After SIGSTOP and SIGCONT it returns once the process is stopped or goes on. Raises
        ClusterError when the broker does not run.
        """
        return int(self._call("signal", broker=broker_id, signal=int(number)))

    def wait_exited(self, broker_id: int, timeout_s: float) -> int:
        """Wait until a broker's process has ended; its exit status, -9 after SIGKILL.

        Raises ClusterError when it still runs after `timeout_s`.
        """
        return int(self._call("wait_exited", wait_s=timeout_s, broker=broker_id))

    def start_broker(self, broker_id: int) -> int:
        """Start a broker that ended, on its data and ports; its new process id.

        Returns when the process runs, not yet when it is ready. Raises ClusterError when the
        broker runs already.
        """
        return int(self._call("start_broker", broker=broker_id))

    def broker_log(self, broker_id: int) -> Path:
        """The file with all that a broker printed, over all its starts."""
        return self._node_directory(broker_id) / "server.log"

    def data_directory(self, broker_id: int) -> Path:
        """A broker's log directory."""
        return self._node_directory(broker_id) / "data"

    # -- links -------------------------------------------------------------------------------

    def set_link(self, broker_id: int, listener: str, mode: str) -> None:
        """Change the link in front of a broker's `client` or `replication` listener.

        Modes: pass, blackhole, cut_responses (see `proxy.py`). In force for every connection when
        this returns.
        """
        self._call("set_link", broker=broker_id, listener=listener, mode=mode)

    def close_connections(self, broker_id: int, listener: str) -> int:
        """Reset every connection through a link; how many there were."""
        return int(self._call("close_connections", broker=broker_id, listener=listener))

    # -- the whole cluster -------------------------------------------------------------------

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until all brokers are registered and unfenced, as every one of them sees it.

        Raises ClusterError after `timeout_s`, saying which broker is not and why.
        """
        self._call("wait_ready", wait_s=timeout_s)

    def heal(self, timeout_s: float = _HEAL_TIMEOUT_S) -> None:
        """Continue what is paused, pass on all links, start dead brokers, wait until ready."""
        self._call("heal", wait_s=timeout_s)

    def status(self) -> list[BrokerStatus]:
        """How each broker is; every one is asked what it sees, for at most one second."""
        return [BrokerStatus(**entry) for entry in self._call("status")["brokers"]]

    def phase(self) -> str:
        """`running`, or `stopped` between `stop` and `start_all`."""
        return str(self._call("status", ask=False)["phase"])

    def stop(self) -> None:
        """Stop all brokers in an orderly way; data and ports are kept."""
        self._call("stop", wait_s=30)

    def start_all(self, timeout_s: float = _HEAL_TIMEOUT_S) -> None:
        """Start the brokers that do not run and wait until all are ready."""
        self._call("start_all", wait_s=timeout_s)

    def down(self) -> None:
        """End the cluster and remove its directory. Safe to call again."""
        if self.directory.is_dir() and has_supervisor(self.directory):
            try:
                self._call("down")
            except ClusterError:
                if has_supervisor(self.directory):
                    self._end_supervisor()
        if self._supervision is not None and not self._supervision.release(_END_TIMEOUT_S):
            self._end_supervisor()
        remove(self.directory)

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _end_supervisor(self) -> None:
        with contextlib.suppress(ClusterError):
            supervisor = read_state(self.directory).supervisor
            if supervisor is not None:
                supervisor.kill()
        if self._supervision is not None:
            self._supervision.process.wait()

    def _status_of(self, broker_id: int) -> BrokerStatus:
        for entry in self._call("status", ask=False)["brokers"]:
            if entry["broker_id"] == broker_id:
                return BrokerStatus(**entry)
        known = ", ".join(map(str, self.broker_ids))
        raise UsageError(f"broker {broker_id!r}: this cluster has brokers {known}.")

    def _node_directory(self, broker_id: int) -> Path:
        if broker_id not in self.broker_ids:
            known = ", ".join(map(str, self.broker_ids))
            raise UsageError(f"broker {broker_id!r}: this cluster has brokers {known}.")
        return self.directory / str(broker_id)

    def _call(self, op: str, *, wait_s: float = 0.0, **arguments: Any) -> Any:
        if wait_s:
            arguments["timeout_s"] = wait_s
        # Read anew each time: a supervisor that was started again has another port and token.
        state = read_state(self.directory)
        return control.call(
            state.control_port,
            state.token,
            self.name,
            op,
            timeout_s=wait_s + _ANSWER_TIMEOUT_S,
            arguments=arguments,
        )
