"""`make strimzi`: every producer profile on Kafka pods that end, three seeds of each fault.

Starts the Kubernetes of tests/kubernetes, brings up k8s/overlays/ci with the stand-in for Strimzi's
operators, and runs `harness run --brokers strimzi://kafka/delivery` in its network, over TLS with
SCRAM. Prints a line a run with the faults' evidence and what each profile lost, and at the end
what differs from what is expected:

kill_leader                      no acknowledged record of acks=all lost, twice or out of order by
                                 a promise; fire-and-forget loses in at least one of the runs
rolling_restart                  nothing lost by acks=all; acks=1 may lose what the next leader had
                                 not fetched
stop_followers_then_kill_leader  fire-and-forget and leader-ack lose in every run, acks=all nothing

A run that differs is a finding; it is not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.kubernetes.lab import programs
from tests.kubernetes.lab.crds import crd_files
from tests.kubernetes.lab.needs import missing_for_node
from tests.kubernetes.lab.node import Node
from tests.kubernetes.strimzi.cluster import IMAGES, StrimziCluster, strimzi_cluster_on
from tests.series.default_experiments import anomalies

FAULTS: Final = ("kill_leader", "rolling_restart", "stop_followers_then_kill_leader")
BROKERS: Final = "strimzi://kafka/delivery?user=harness"
RUN_TIMEOUT_S: Final = 900.0
REPOSITORY: Final = Path(__file__).resolve().parents[2]
ALL_REPLICAS: Final = ("at-least-once", "idempotent", "transactional")
LEADER_ALONE: Final = ("fire-and-forget", "leader-ack")

Verdict = dict[str, Any]


def run(
    cluster: StrimziCluster, fault: str, seed: int, out: Path, extra: list[str]
) -> tuple[int, Verdict | None]:
    """One run in the node's network: exit code and verdict."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_suffix(".log").open("w") as errors:
        process = cluster.node.run(
            [sys.executable, "-m", "harness", "run", "--brokers", BROKERS]
            + ["--experiment", fault, "--seed", str(seed), "--json", "--out", str(out), *extra],
            cwd=REPOSITORY,
            stderr=errors.fileno(),
        )
        try:
            printed, _ = process.communicate(timeout=RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate()
            return 4, None
    return process.returncode, json.loads(printed) if printed.strip() else None


def differences(fault: str, code: int, verdict: Verdict | None) -> list[str]:
    """How a run differs from what is expected of its fault."""
    if verdict is None:
        return [f"exit {code} without a verdict"]
    found = [] if code in (0, 3) else [f"exit {code}"]
    found += [f"{each['fault']} had no effect" for each in verdict["faults"] if not _effect(each)]
    if not verdict["faults"]:
        found.append("no fault recorded")
    for profile in verdict["profiles"]:
        name, lost = profile["profile"], profile["counts"]["lost"]
        if name in ALL_REPLICAS and lost:
            found.append(f"{name}: lost {lost}")
        if name in LEADER_ALONE and fault == FAULTS[-1] and not lost:
            found.append(f"{name}: lost nothing")
        if profile["verdict"] == "broken":
            found.append(f"{name}: broken")
    return found


def _effect(fault: dict[str, Any]) -> bool:
    return bool(fault["took_effect"])


def line(verdict: Verdict | None) -> str:
    """What happened, in one line."""
    if verdict is None:
        return "no verdict"
    effects = sum(map(_effect, verdict["faults"]))
    parts = [f"{verdict['verdict']:12} {effects} of {len(verdict['faults'])} faults took effect"]
    for profile in verdict["profiles"]:
        found = anomalies(profile)
        parts.append(
            f"{profile['profile']} "
            + (", ".join(f"{name} {count}" for name, count in found.items()) or "clean")
        )
    return " · ".join(parts)


def main() -> int:
    """Run the series; 0 when nothing differs from what is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=11)
    parser.add_argument("--only", choices=FAULTS)
    # Nine JVMs, a Kubernetes and the load share the machine: on two cores the harness's default
    # rate overloads it, and then records end by delivery.timeout.ms.
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("reports/runs/strimzi"))
    args, extra = parser.parse_known_args()
    extra = ["--rate", str(args.rate), *extra]
    missing = missing_for_node()
    if missing:
        print(f"Kubernetes cannot run here: {missing}", file=sys.stderr)
        return 4
    for program in programs.ALL:
        program.path(print)
    for _, image in IMAGES:
        image(print)
    differs: list[str] = []
    losses: dict[str, list[int]] = {}
    stamp = time.strftime("%Y%m%d-%H%M%S")
    with Node.start() as node:
        node.control.apply_crds(crd_files())
        with strimzi_cluster_on(node) as cluster:
            print(f"node ready in {node.started_in_s:.1f} s, Kafka in {cluster.ready_in_s:.1f} s")
            for fault in FAULTS if args.only is None else (args.only,):
                for seed in range(args.first_seed, args.first_seed + args.runs):
                    out = (args.out / f"{stamp}-{fault}-{seed}").resolve()
                    began = time.monotonic()
                    code, verdict = run(cluster, fault, seed, out, extra)
                    head = f"{fault} seed {seed} exit {code} {time.monotonic() - began:5.0f} s"
                    print(head, line(verdict), flush=True)
                    differs += [f"{head}: {each}" for each in differences(fault, code, verdict)]
                    losses.setdefault(fault, []).append(_lost(verdict, "fire-and-forget"))
    if not any(losses.get("kill_leader", [1])):
        differs.append("kill_leader: fire-and-forget lost nothing in any run")
    print("", *(differs or ["as expected in every run"]), sep="\n")
    return 1 if differs else 0


def _lost(verdict: Verdict | None, name: str) -> int:
    profiles = verdict["profiles"] if verdict else []
    return sum(each["counts"]["lost"] for each in profiles if each["profile"] == name)


if __name__ == "__main__":
    sys.exit(main())
