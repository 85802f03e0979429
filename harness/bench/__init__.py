"""`harness bench`: what load and verification cost, beside Kafka's own performance tools.

    cases     what is measured, and how many records of it
    runs      the topics and run directories that ours works on
    worker    our side: the engine of `harness run`, as fast as it goes, with its full accounting
    peer      Kafka's side: ProducerPerformance and ConsumerPerformance, settings translated
    measured  one process at a time: its CPU time, its memory, its output
    series    pairs in turn, and their medians
    over_workers  what a record of load costs over one, two and four workers
    length    was a run long enough to say anything, and its rate steady
    against   another checkout and this one in turn: base, now, base again
    footprint how time, disk and memory grow with the number of records

How the figures are to be read is in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import UsageError

__all__ = ["add_bench_arguments", "run_bench"]


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness bench`."""
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    parser.add_argument(
        "--pairs", type=int, default=5, metavar="N", help="pairs of runs a case (default 5)"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="TEXT",
        help='cases whose name holds this text, such as "load idempotent" (repeatable)',
    )
    parser.add_argument(
        "--records",
        type=int,
        metavar="N",
        help="records a run (default: as many as take several seconds, by case)",
    )
    parser.add_argument(
        "--growth",
        type=int,
        metavar="N",
        help="the largest run of the growth table (default 10000000)",
    )
    parser.add_argument(
        "--against",
        metavar="CHECKOUT",
        help="measure another checkout and this one in turn, base, now, base again, and compare "
        "them (docs/comparison.md); ends with 0 not worse, 1 worse, 3 not shown",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="rounds of --against a case (default: as many as can show a difference)",
    )


def run_bench(args: argparse.Namespace) -> int:
    """Carry out `harness bench`; 0, or with --against what the comparison ends with."""
    path = Path(args.json) if args.json else None
    if args.against:
        from harness.bench.against import AgainstRequest, bench_against

        if args.growth is not None:
            raise UsageError("--growth: is not measured with --against; leave it out.")
        asked = AgainstRequest.of(
            Path(args.against), only=args.only or [], records=args.records, rounds=args.rounds
        )
        return bench_against(asked, path)
    if args.rounds is not None:
        raise UsageError("--rounds: goes with --against; pairs are counted by --pairs.")
    from harness.bench.series import Request, bench

    request = Request.of(
        pairs=args.pairs, only=args.only or [], records=args.records, growth=args.growth
    )
    return bench(request, path)
