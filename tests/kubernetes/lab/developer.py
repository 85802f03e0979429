"""A node that stays, for a person: `make kubernetes`, `make kubernetes-down`.

python -m tests.kubernetes.lab.developer up            start one, and say how to use it
python -m tests.kubernetes.lab.developer up kafka      with the Kafka cluster of k8s/overlays/ci
python -m tests.kubernetes.lab.developer run COMMAND…  in its network, with the cluster's DNS
python -m tests.kubernetes.lab.developer down          remove it, and wait until it is gone
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from harness.brokers.local.cache import locked, write_json
from harness.errors import ClusterError, EnvironmentFailure, HarnessError, UsageError
from tests.kubernetes.lab import programs
from tests.kubernetes.lab.cache import lab_folder
from tests.kubernetes.lab.crds import crd_files
from tests.kubernetes.lab.inside import Inside
from tests.kubernetes.lab.leftovers import REPOSITORY, sweep
from tests.kubernetes.lab.needs import missing_for_node
from tests.kubernetes.lab.network import Network
from tests.kubernetes.lab.node import Node
from tests.kubernetes.strimzi.cluster import IMAGES, READY_TIMEOUT_S, strimzi_cluster_on

_KAFKA: Final = "kafka"
_START_TIMEOUT_S: Final = 180.0
_STOP_TIMEOUT_S: Final = 90.0
_POLL_S: Final = 0.1
_SHOWN: Final = 2000


@dataclass(frozen=True, slots=True)
class Kept:
    """The node that stays, as its file describes it; `pid` and `began` are its owner's."""

    pid: int
    began: float
    folder: str
    kubeconfig: str
    inside: str
    binaries: str
    kafka: bool
    network: str
    resolv_conf: str
    started_in_s: float

    @property
    def lives(self) -> bool:
        """Whether that very process still runs, and no other with its number."""
        try:
            return psutil.Process(self.pid).create_time() == self.began
        except psutil.NoSuchProcess:
            return False


def main(argv: list[str]) -> int:
    """Run one of the commands; the exit code."""
    parser = argparse.ArgumentParser(prog="tests.kubernetes.lab.developer")
    parser.add_argument("command", choices=["up", "down", "run", "serve"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    try:
        if options.command == "up":
            up(with_kafka=options.arguments == [_KAFKA])
        elif options.command == "down":
            down()
        elif options.command == "run":
            run(options.arguments)
        else:
            serve(with_kafka=options.arguments == [_KAFKA])
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def up(*, with_kafka: bool) -> None:
    """Start the node, unless it runs, and print how it is used.

    Raises UsageError when one runs that has no Kafka, and it is asked for.
    """
    missing = missing_for_node()
    if missing:
        raise EnvironmentFailure(f"Kubernetes cannot run here: {missing}")
    for program in programs.ALL:
        program.path(_say)
    crd_files(_say)
    if with_kafka:
        for _, image in IMAGES:
            image(_say)
    with locked(
        _file().with_name(".developer.lock"),
        timeout_s=_START_TIMEOUT_S + READY_TIMEOUT_S,
        waiting_for="it starts or stops the developer's node",
    ):
        kept = _kept() or _start(with_kafka=with_kafka)
    if with_kafka and not kept.kafka:
        raise UsageError("A node without Kafka runs; `make kubernetes-down` removes it.")
    print(f"export KUBECONFIG={kept.kubeconfig}")
    print(f"export PATH={kept.binaries}:$PATH")
    _say(f"node ready in {kept.started_in_s:.1f} s; logs in {kept.folder}/log")
    if kept.kafka:
        _say(
            "Kafka: namespace kafka, cluster delivery; `harness --brokers strimzi://kafka/delivery`"
        )
    _say("In its network, where services' names resolve:")
    _say(f"  {sys.executable} -m tests.kubernetes.lab.developer run COMMAND…")
    _say("`make kubernetes-down` removes it.")


def down() -> None:
    """Remove the node and wait until nothing of it is left. Fine when there is none."""
    kept = _kept()
    if kept is not None:
        os.kill(kept.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while kept.lives:
            if time.monotonic() > deadline:
                os.kill(kept.pid, signal.SIGKILL)
                break
            time.sleep(_POLL_S)
        # Its reaper may be at work, where it was killed; it holds what it clears.
        while Path(kept.folder).exists() and time.monotonic() < deadline + _STOP_TIMEOUT_S:
            sweep()
            time.sleep(_POLL_S)
        if Path(kept.folder).exists():
            raise ClusterError(f"{kept.folder}: the node could not be removed")
    sweep()
    _file().unlink(missing_ok=True)


def run(argv: list[str]) -> None:
    """Become the command, in the node's network. Raises UsageError when there is no node."""
    kept = _kept()
    if kept is None:
        raise UsageError("No node runs; `make kubernetes` starts one.")
    if not argv:
        raise UsageError("Say which command to run in the node's network.")
    inside = Inside(
        Network(Path(kept.network)),
        resolv_conf=Path(kept.resolv_conf),
        kubeconfig=Path(kept.inside),
        binaries=Path(kept.binaries),
    )
    command = inside.command(argv)
    os.execvpe(command[0], command, inside.environment())


def serve(*, with_kafka: bool) -> None:
    """Own the node until SIGTERM. This is the process behind `up`."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(Node.start())
        node.control.apply_crds(crd_files())
        if with_kafka:
            stack.enter_context(strimzi_cluster_on(node))
        kept = Kept(
            pid=os.getpid(),
            began=psutil.Process().create_time(),
            folder=str(node.folder),
            kubeconfig=str(node.control.admin.kubeconfig),
            inside=str(node.inside),
            binaries=str(node.control.binaries),
            kafka=with_kafka,
            network=str(node.network.path),
            resolv_conf=str(node.resolv_conf),
            started_in_s=node.started_in_s,
        )
        write_json(_file(), asdict(kept))
        ended.wait()
        _file().unlink(missing_ok=True)


def _start(*, with_kafka: bool) -> Kept:
    _file().unlink(missing_ok=True)
    log = lab_folder() / "developer.log"
    with log.open("w") as output:
        owner = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.kubernetes.lab.developer", "serve"),
                *([_KAFKA] if with_kafka else []),
            ],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    limit_s = _START_TIMEOUT_S + (READY_TIMEOUT_S if with_kafka else 0)
    deadline = time.monotonic() + limit_s
    while True:
        kept = _kept()
        if kept is not None:
            return kept
        if owner.poll() is not None:
            raise ClusterError(f"the node did not start:\n{log.read_text()[-_SHOWN:]}")
        if time.monotonic() > deadline:
            owner.terminate()
            raise ClusterError(f"the node was not up within {limit_s:.0f} s; see {log}")
        time.sleep(_POLL_S)


def _kept() -> Kept | None:
    """The node that runs; None when there is none."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        kept = Kept(**json.loads(_file().read_bytes()))
        return kept if kept.lives else None
    return None


def _file() -> Path:
    return lab_folder() / "developer.json"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
