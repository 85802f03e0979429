"""`make members`: consumers under kills, pauses and coordinator moves, with ten seeds.

Each run strikes the members of five profiles at once (tests/members.yaml). Prints what each
profile showed, and at the end what differs from what is expected in every run: at-most-once skips
and never repeats, at-least-once repeats and never skips, auto-commit skips, the exactly-once
pipeline shows nothing at all in its output, and the same pipeline without send_offsets does. A run
that differs is a finding; it is not repeated.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from harness.anomalies import ANOMALIES
from tests.series.default_experiments import anomalies, run

EXPERIMENT = Path(__file__).with_name("members.yaml")
PIPELINE = "exactly-once-pipeline"
EXPECTED: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # profile: (what it has to show in every run, what it may show)
    "consume-at-most-once": (frozenset({"unprocessed"}), frozenset({"unprocessed"})),
    "consume-at-least-once": (
        frozenset({"repeated"}),
        frozenset({"repeated", "reprocessed"}),
    ),
    "consume-auto-commit": (
        frozenset({"unprocessed"}),
        frozenset({"unprocessed", "repeated", "reprocessed"}),
    ),
    PIPELINE: (frozenset(), frozenset()),
    "pipeline-without-offsets": (
        frozenset({"reprocessed"}),
        frozenset({"unprocessed", "repeated", "reprocessed"}),
    ),
}


def unexpected(profile: dict[str, Any]) -> list[str]:
    """How a profile's counts differ from what is expected."""
    name, found = profile["profile"], anomalies(profile)
    must, may = EXPECTED[name]
    differs = [f"{name}: no {anomaly}" for anomaly in sorted(must) if not found.get(anomaly)]
    return differs + [
        f"{name}: {anomaly} {count}" for anomaly, count in found.items() if anomaly not in may
    ]


def struck(verdict: dict[str, Any]) -> Counter[str]:
    """How often the pipeline was struck, by action; only what shows that it took effect."""
    counts: Counter[str] = Counter()
    for fault in verdict["faults"]:
        if not fault["took_effect"]:
            continue
        evidence = fault["evidence"]
        actions = [each["action"] for each in evidence["members"] if each["profile"] == PIPELINE]
        counts.update(actions)
        coordinated = [each["profile"] for each in evidence["coordinates"]]
        if fault["fault"] == "move_group_coordinator" and PIPELINE in coordinated:
            counts["move"] += 1
    return counts


def main() -> int:
    """Run the series; 0 when nothing differs from what is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=Path("reports/runs/members"))
    args = parser.parse_args()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    extra = ["--experiment", str(EXPERIMENT), "--rate", str(args.rate)]
    for name in EXPECTED:
        extra += ["--profile", name]
    differs: list[str] = []
    total: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for seed in range(args.first_seed, args.first_seed + args.runs):
        code, verdict, seconds = run(seed, extra, args.out / f"{stamp}-{seed}")
        head = f"seed {seed:3} exit {code} {seconds:5.0f} s"
        if verdict is None:
            print(f"{head}  no verdict", flush=True)
            differs.append(f"seed {seed}: no verdict, exit {code}")
            continue
        total.update(struck(verdict))
        parts = []
        for profile in verdict["profiles"]:
            found = anomalies(profile)
            sums.update({f"{profile['profile']} {name}": count for name, count in found.items()})
            shown = ", ".join(f"{name} {count}" for name, count in found.items()) or "clean"
            parts.append(f"{profile['profile']} {shown}")
            differs += [f"seed {seed}: {text}" for text in unexpected(profile)]
        print(f"{head} {verdict['verdict']:12} {' · '.join(parts)}", flush=True)
        if code not in (0, 3):
            differs.append(f"seed {seed}: exit {code}: {'; '.join(verdict['reasons'])}")
        elif code == 3:
            print(f"          inconclusive: {verdict['reasons'][0]}", flush=True)
    print(
        f"\nthe pipeline's members: {total['SIGKILL']} killed, {total['SIGSTOP']} paused; its "
        f"coordinator moved away {total['move']} times and back as often"
    )
    for name in sorted(sums, key=lambda each: (list(EXPECTED).index(each.split()[0]), each)):
        print(f"{name}: {sums[name]} altogether")
    print("as expected in every run" if not differs else "differs from what is expected:")
    print("\n".join(differs))
    return 1 if differs else 0


assert {name for _, may in EXPECTED.values() for name in may} <= set(ANOMALIES)

if __name__ == "__main__":
    sys.exit(main())
