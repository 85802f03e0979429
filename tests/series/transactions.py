"""`make transactions`: every scene of transactions in trouble, several times on one cluster.

In each round the coordinator is moved and killed at each step of a transaction (begun, sent, commit
or abort called and its answer lost, commit or abort called and never heard), producers die in
each state, a transactional.id is taken over, and ends of transactions time out. Prints a line a
round with what was expected and is not so; 0 when there is nothing of the kind.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from harness.anomalies import ANOMALIES
from harness.brokers import LocalCluster
from tests.support import transaction_scenes as scenes
from tests.support.transaction_stage import Stage


def main() -> int:
    """Play the rounds; 0 when every transaction ended as it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=scenes.STRIKES)
    parser.add_argument("--out", type=Path, default=Path("reports/runs/transactions"))
    args = parser.parse_args()
    strikes = (args.only,) if args.only else scenes.STRIKES
    stamp = time.strftime("%Y%m%d-%H%M%S")
    differs: list[str] = []
    struck: Counter[str] = Counter()
    with LocalCluster.start() as cluster:
        for number in range(1, args.rounds + 1):
            began = time.monotonic()
            found = one_round(cluster, args.out / f"{stamp}-{number}", number, strikes, struck)
            differs += [f"round {number}: {each}" for each in found]
            took = time.monotonic() - began
            told = "; ".join(found) or "as expected"
            print(f"round {number}  {took:4.0f} s  {told}", flush=True)
    print(f"coordinators {', '.join(f'{kind} {n}' for kind, n in sorted(struck.items()))}")
    print("as expected in every round" if not differs else "differs from what is expected:")
    print("\n".join(differs))
    return 1 if differs else 0


def one_round(
    cluster: LocalCluster, path: Path, seed: int, strikes: tuple[str, ...], struck: Counter[str]
) -> list[str]:
    """One run with every scene; what is not as expected."""
    with Stage.opened(cluster, path, seed) as stage:
        scenes.play(stage, strikes, lambda scene: print(f"  {scene}", file=sys.stderr, flush=True))
        verdict = stage.judged()
        struck.update(fault.fault for fault in verdict.faults if fault.took_effect)
    differs = [f"{scene}: {fate} expected, {found}" for scene, fate, found in stage.fates()]
    for profile in verdict.profiles:
        differs += [f"{name} {profile.counts[name]}" for name in ANOMALIES if profile.counts[name]]
        for witness in profile.witnesses:
            print("\n".join(witness.text), file=sys.stderr, flush=True)
    return differs


if __name__ == "__main__":
    sys.exit(main())
