"""`harness compare`: is now better or worse than a base, or is neither shown?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import EXIT_KEPT, UsageError

if TYPE_CHECKING:
    from harness.comparison.compare import Options

_EPILOG = """\
exit codes:
  0  not worse: a change for the worse that counts is excluded everywhere
  1  worse: a promise or a figure          3  not shown
  2  wrong usage, or sides that cannot be compared"""


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness compare`."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "BASE",
        nargs="?",
        metavar="BASE",
        help="what was: a run directory, a directory of --repeat, a file of harness bench --json, "
        "or a baseline",
    )
    parser.add_argument("NOW", nargs="?", metavar="NOW", help="what is, of the same kind")
    parser.add_argument(
        "--base", nargs="+", default=[], metavar="PATH", help="several as BASE: run directories"
    )
    parser.add_argument("--now", nargs="+", default=[], metavar="PATH", help="several as NOW")
    parser.add_argument(
        "--again",
        nargs="+",
        default=[],
        metavar="PATH",
        help="the base, measured once more after NOW: what differs between the two is noise",
    )
    parser.add_argument(
        "--a-b-a",
        metavar="FILE",
        help="base, now and base again in turn, as harness bench --against wrote them",
    )
    parser.add_argument(
        "--figure",
        action="append",
        default=[],
        metavar="TEXT",
        help="only figures whose name holds this text; fewer figures need fewer repeats "
        "(repeatable)",
    )
    parser.add_argument(
        "--min-effect",
        type=float,
        metavar="SHARE",
        help="the smallest change that counts, such as 0.05 (default: by figure)",
    )
    parser.add_argument(
        "--allow-different",
        action="store_true",
        help="compare although machine, load or settings differ; all that differs is named",
    )
    parser.add_argument(
        "--keep", metavar="NAME", help="keep NOW as reports/baselines/NAME.json, unless it is worse"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--markdown", metavar="FILE", help="also write a summary to this file")


def run_compare(args: argparse.Namespace) -> int:
    """Carry out `harness compare`."""
    from harness.comparison.baseline import check_name, keep
    from harness.comparison.compare import compare, compare_in_turn
    from harness.comparison.figures import WORSE
    from harness.comparison.read import read_in_turn, read_side
    from harness.report.comparison import markdown, print_comparison
    from harness.system.output import console, delivering, print_json

    base, now = _sides(args)
    options = _options(args)
    if args.keep:
        check_name(args.keep)
    if args.a_b_a:
        measured = read_in_turn(Path(args.a_b_a))
        kept, found = measured.now, compare_in_turn(measured, options)
    else:
        kept = read_side(now)
        if not base:
            console(stderr=True).print(f"baseline  {keep(args.keep, kept)}", soft_wrap=True)
            return EXIT_KEPT
        again = read_side([Path(each) for each in args.again]) if args.again else None
        found = compare(read_side(base), kept, again, options)
    with delivering(found.exit_code):
        if args.markdown:
            Path(args.markdown).write_text(markdown(found), encoding="utf-8")
        if args.json:
            print_json(found.to_json())
        else:
            print_comparison(found, console())
    if args.keep and found.verdict != WORSE:
        console(stderr=True).print(f"baseline  {keep(args.keep, kept)}", soft_wrap=True)
    return found.exit_code


def _sides(args: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The paths of base and now. Raises UsageError when they do not go together."""
    base = [*([args.BASE] if args.BASE else []), *args.base]
    now = [*([args.NOW] if args.NOW else []), *args.now]
    if args.a_b_a:
        if base or now or args.again:
            raise UsageError("compare: --a-b-a holds all sides; leave the others out.")
    elif not now or not (base or args.keep):
        raise UsageError(
            "compare: name two sides, harness compare BASE NOW, or keep one as a baseline, "
            "harness compare --now DIR --keep NAME."
        )
    elif args.again and not base:
        raise UsageError("compare: --again: name the base as well.")
    return [Path(each) for each in base], [Path(each) for each in now]


def _options(args: argparse.Namespace) -> Options:
    from harness.comparison.compare import Options

    least = args.min_effect
    if least is not None and not 0 < least <= 10:
        raise UsageError(f"--min-effect {least:g}: accepted is a share above 0, such as 0.05.")
    return Options(tuple(args.figure), least, args.allow_different)
