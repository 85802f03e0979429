"""`harness cluster`: local clusters that live until they are taken down.

up [NAME]       start one and keep it; a kept one whose supervisor is gone starts again
down [NAME]     end it and remove its data; without a name the one kept
stop, start     its brokers, in an orderly way; data and ports are kept
status [NAME]   what runs, also of clusters that died
env [NAME]      shell lines that point clients at it:  eval "$(harness cluster env)"
heal [NAME]     continue what is paused, mend links, start what is dead
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from harness.brokers.kind import BrokerStatus
from harness.brokers.local.cluster import LocalCluster
from harness.brokers.local.jars import KAFKA_VERSION
from harness.brokers.local.launch import remove
from harness.brokers.local.state import (
    DEFAULT_NAME,
    STATE_FILE,
    check_name,
    clusters_folder,
    directories,
    find_directory,
    has_supervisor,
    read_state,
)
from harness.cli.doctor import add_doctor_arguments, run_doctor
from harness.errors import ClusterError, UsageError
from harness.system.printable import printable

__all__ = ["add_cluster_arguments", "add_doctor_arguments", "run_cluster", "run_doctor"]

ACTIONS: Final = ("up", "down", "stop", "start", "status", "env", "heal")


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `harness cluster`."""
    parser.add_argument(
        "action",
        choices=ACTIONS,
        help="up: start and keep one; down: end it and remove its data; stop and start: its "
        "brokers, with data and ports kept; status: what runs; env: shell lines that point "
        "clients at it; heal: continue, mend and start whatever a fault left",
    )
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help=f"which one; default: the one kept, for up: {DEFAULT_NAME}",
    )
    parser.add_argument(
        "--kafka-version",
        metavar="V",
        help=f"for up: the brokers' version (default {KAFKA_VERSION})",
    )
    parser.add_argument(
        "--json", action="store_true", help="for up and status: one JSON document on stdout"
    )


def run_cluster(args: argparse.Namespace) -> int:
    """Carry out `harness cluster`; the exit status. Raises HarnessError."""
    if args.kafka_version and args.action != "up":
        raise UsageError(f"--kafka-version: goes with `up`, not with `{args.action}`.")
    if args.json and args.action not in ("up", "status"):
        raise UsageError(f"--json: goes with `up` and `status`, not with `{args.action}`.")
    if args.name is not None:
        check_name(args.name)
    actions: dict[str, Callable[[argparse.Namespace], None]] = {
        "up": _up,
        "down": _down,
        "stop": _stop,
        "start": _start,
        "status": _status,
        "env": _env,
        "heal": _heal,
    }
    actions[args.action](args)
    return 0


def _say(text: str) -> None:
    print(printable(text, keep="\n"), file=sys.stderr, flush=True)


def _up(args: argparse.Namespace) -> None:
    name = args.name or DEFAULT_NAME
    directory = clusters_folder() / name
    state = read_state(directory) if (directory / STATE_FILE).is_file() else None
    if state is None or not (state.kept or has_supervisor(directory)):
        version = args.kafka_version or KAFKA_VERSION
        cluster = LocalCluster.start(name, kept=True, kafka_version=version, progress=_say)
    else:
        if args.kafka_version and args.kafka_version != state.kafka_version:
            raise UsageError(
                f"--kafka-version {args.kafka_version}: cluster {name} has data of Kafka "
                f"{state.kafka_version}. Leave the option out, or `harness cluster down {name}` "
                "first."
            )
        if has_supervisor(directory):
            _say(f"cluster {name} is there already")
        else:
            _say(f"cluster {name} was not running; starting it again on its data and ports")
        cluster = _started(directory)
    _show_up(cluster, args.json)


def _show_up(cluster: LocalCluster, as_json: bool) -> None:
    if as_json:
        print(json.dumps(describe(cluster.directory), indent=2))
        return
    _say(f"cluster {cluster.name} runs Kafka {cluster.kafka_version}")
    print(f"bootstrap  {cluster.bootstrap}")
    print(f"directory  {cluster.directory}")
    _say(f'end it with `harness cluster down {cluster.name}`; eval "$(harness cluster env)" points')
    _say("clients at it")


def _down(args: argparse.Namespace) -> None:
    directory = find_directory(args.name)
    if has_supervisor(directory):
        LocalCluster.attach(str(directory)).down()
    else:
        remove(directory)
    _say(f"cluster {directory.name} is down, its data removed")


def _stop(args: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(str(find_directory(args.name)))
    cluster.stop()
    _say(f"cluster {cluster.name} is stopped; `harness cluster start {cluster.name}` goes on")


def _start(args: argparse.Namespace) -> None:
    cluster = _started(find_directory(args.name))
    _say(f"cluster {cluster.name} runs at {cluster.bootstrap}")


def _started(directory: Path) -> LocalCluster:
    """A cluster with all its brokers running, whatever state it was found in."""
    if not has_supervisor(directory):
        return LocalCluster.revive(directory.name, progress=_say)
    cluster = LocalCluster.attach(str(directory))
    cluster.start_all()
    return cluster


def _heal(args: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(str(find_directory(args.name)))
    cluster.heal()
    _say(f"cluster {cluster.name} is healed: three brokers registered and unfenced")


def _env(args: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(str(find_directory(args.name)))
    print(f"export HARNESS_BROKERS={shlex.quote(cluster.bootstrap)}")
    print(f"export HARNESS_CLUSTER={shlex.quote(str(cluster.directory))}")


def _status(args: argparse.Namespace) -> None:
    if args.name:
        described = [describe(find_directory(args.name))]
    else:
        described = []
        for directory in directories():
            with contextlib.suppress(ClusterError):  # one that ends while it is looked at
                described.append(describe(directory))
    if args.json:
        print(json.dumps(described, indent=2))
        return
    if not described:
        _say("no local cluster; `harness cluster up` starts one")
    for document in described:
        kept = "kept" if document["kept"] else "ends with its run"
        print(
            f"{document['name']}  {document['phase']}  Kafka {document['kafka_version']}  {kept}  "
            f"{document['bootstrap']}"
        )
        for broker in document["brokers"]:
            print("  " + _broker_line(BrokerStatus(**broker)))


def _broker_line(broker: BrokerStatus) -> str:
    if broker.pid is None:
        how = "down"
        if broker.exit_status is not None:
            how += f", its last process ended with {broker.exit_status}"
    else:
        how = "paused" if broker.paused else "ready" if broker.ready else "not ready"
        how += f", pid {broker.pid}"
    cut = [f"{link} link {mode}" for link, mode in broker.links.items() if mode != "pass"]
    return f"broker {broker.broker_id}  {broker.client}  " + ", ".join([how, *cut])


def describe(directory: Path) -> dict[str, Any]:
    """A cluster as `status --json` shows it.

    `phase`: starting, running, stopped, or dead when its supervisor is gone.
    """
    state = read_state(directory)
    document: dict[str, Any] = {
        "name": state.name,
        "directory": str(directory),
        "phase": "dead",
        "kept": state.kept,
        "kafka_version": state.kafka_version,
        "cluster_id": state.cluster_id,
        "bootstrap": state.bootstrap,
        "brokers": [],
    }
    if has_supervisor(directory):
        document["phase"] = state.phase
        if state.phase != "starting":
            cluster = LocalCluster.attach(str(directory))
            document["brokers"] = [asdict(broker) for broker in cluster.status()]
            document["phase"] = cluster.phase()
    return document
