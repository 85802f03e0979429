"""`make series`: the default experiments with ten seeds, then no_fault with ten seeds.

Prints a line a run with what each profile lost, what came twice and every other anomaly, and at
the end what differs from what is expected: fire-and-forget and leader-ack lose in every run,
at-least-once loses nothing and duplicates in every run, idempotent and transactional show no
anomaly, and without a fault nobody shows any. A run that differs is a finding; it is not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness.anomalies import ANOMALIES

COUNTED = ("lost", "duplicate")


def run(seed: int, extra: list[str], out: Path) -> tuple[int, dict[str, Any] | None, float]:
    """One `harness run`: exit code, verdict, seconds."""
    began = time.monotonic()
    log = out.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "run", "--seed", str(seed), "--json"]
            + ["--out", str(out), *extra],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
    verdict = json.loads(done.stdout) if done.stdout.strip() else None
    return done.returncode, verdict, time.monotonic() - began


def anomalies(profile: dict[str, Any]) -> dict[str, int]:
    """The anomalies of a profile that are not zero."""
    return {name: profile["counts"][name] for name in ANOMALIES if profile["counts"][name]}


def unexpected(profile: dict[str, Any], *, faults: bool) -> list[str]:
    """How a profile's counts differ from what is expected."""
    name, found = profile["profile"], anomalies(profile)
    if not faults or name in ("idempotent", "transactional"):
        return [f"{name}: {anomaly} {count}" for anomaly, count in found.items()]
    differs = []
    if name in ("fire-and-forget", "leader-ack") and not found.get("lost"):
        differs.append(f"{name}: lost nothing")
    if name == "at-least-once":
        if found.get("lost"):
            differs.append(f"{name}: lost {found['lost']}")
        if not found.get("duplicate"):
            differs.append(f"{name}: no duplicate")
    return differs


def main() -> int:
    """Run the series; 0 when nothing differs from what is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--only", choices=("faults", "no_fault"))
    parser.add_argument("--out", type=Path, default=Path("reports/runs/series"))
    args = parser.parse_args()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    differs: list[str] = []
    for kind in ("faults", "no_fault"):
        if args.only not in (None, kind):
            continue
        extra = [] if kind == "faults" else ["--experiment", "no_fault"]
        for seed in range(args.first_seed, args.first_seed + args.runs):
            code, verdict, seconds = run(seed, extra, args.out / f"{stamp}-{kind}-{seed}")
            head = f"{kind:8} seed {seed:3} exit {code} {seconds:5.0f} s"
            if verdict is None:
                print(f"{head}  no verdict", flush=True)
                differs.append(f"{kind} seed {seed}: no verdict, exit {code}")
                continue
            parts = [
                f"{p['profile']} "
                + (", ".join(f"{name} {count}" for name, count in anomalies(p).items()) or "clean")
                for p in verdict["profiles"]
            ]
            print(f"{head} {verdict['verdict']:12} {' · '.join(parts)}", flush=True)
            for profile in verdict["profiles"]:
                differs += [
                    f"{kind} seed {seed}: {text}"
                    for text in unexpected(profile, faults=kind == "faults")
                ]
            if code != 0:
                differs.append(f"{kind} seed {seed}: exit {code}: {'; '.join(verdict['reasons'])}")
    print("\nas expected in every run" if not differs else "\ndiffers from what is expected:")
    print("\n".join(differs))
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
