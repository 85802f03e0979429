"""The aggregate of several runs on a terminal: one row a profile, and the bounds per fault."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.judge.aggregate import FAILED, Aggregate, ProfileSum
from harness.report.terminal import plain_columns
from harness.report.wording import many, percent
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT

WHAT_BOUNDS_MEAN: Final = (
    "Bound per fault: with no breach in that many faults, one more such fault breaks a promise "
    "with at most this chance (95 % confidence); the highest of a profile's challenged promises."
)
_STYLES = {KEPT: "bold green", BROKEN: "bold red", INCONCLUSIVE: "bold yellow", FAILED: "bold red"}


def print_aggregate(found: Aggregate, console: Console) -> None:
    """Print what the runs show together; without a terminal no blanks at line ends."""
    if console.is_terminal:
        _print(found, console)
        return
    plain = Console(width=plain_columns(), file=io.StringIO(), highlight=False)
    _print(found, plain)
    text = plain.file.getvalue()  # type: ignore[attr-defined]
    lines = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    console.file.write(lines.encode(console.encoding, "replace").decode(console.encoding))


def _print(found: Aggregate, console: Console) -> None:
    shape = box.SIMPLE_HEAD if console.encoding.lower().startswith("utf") else box.ASCII
    table = Table(box=shape, header_style="bold", padding=(0, 1), collapse_padding=True)
    table.add_column("profile", no_wrap=True)
    table.add_column("attempted", justify="right")
    table.add_column("runs")
    table.add_column("found, least to most in a run")
    table.add_column("faults", justify="right")
    table.add_column("bound per fault", justify="right")
    for profile in found.profiles:
        faults, bound = worst_bound(profile)
        table.add_row(
            profile.profile + ("" if profile.in_verdict else " (control)"),
            f"{profile.attempted:,}",
            Text(counted_runs(profile.runs), style=_STYLES.get(profile.verdict, "")),
            anomalies(profile) or "nothing",
            f"{faults:,}" if faults else "–",
            "–" if bound is None else percent(bound),
        )
    console.print(table)
    console.print(Text(f" {headline(found)}", style=_STYLES[found.verdict]))
    for each in found.runs:
        if each.verdict != KEPT:
            console.print(
                Text(f"   - run {each.run} (seed {each.seed}) {each.verdict}: {each.reason}")
            )
    console.print(Text(f" {WHAT_BOUNDS_MEAN}"))


def headline(found: Aggregate) -> str:
    """The verdict of all runs in one line."""
    runs = [each for each in found.runs if each.verdict != FAILED]
    return (
        f"{found.verdict.capitalize()}: {many(len(runs), 'run')} of {found.asked} asked for, "
        f"{many(found.faults, 'fault')} in all"
    )


def assurance(found: Aggregate) -> list[str]:
    """The bound of each profile that faults put to the test."""
    said = []
    for profile in found.profiles:
        faults, bound = worst_bound(profile)
        if bound is not None:
            said.append(f"{profile.profile}: {many(faults, 'fault')}, bound {percent(bound)}")
    return [*said, WHAT_BOUNDS_MEAN] if said else []


def counted_runs(runs: Mapping[str, int]) -> str:
    """`9 kept, 1 broken`"""
    return ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in runs.items())


def anomalies(profile: ProfileSum) -> str:
    """`lost 12–40, duplicate 0–3`"""
    return ", ".join(
        f"{name} {spread.min:,}" + ("" if spread.min == spread.max else f"–{spread.max:,}")
        for name, spread in profile.anomalies.items()
    )


def worst_bound(profile: ProfileSum) -> tuple[int, float | None]:
    """(faults, bound) of the challenged promise that is bounded least; (0, None) without any."""
    bounded = [
        (each.bound_95_per_fault, each.trials)
        for each in profile.promises
        if each.challenged_runs and each.bound_95_per_fault is not None
    ]
    if not bounded:
        return 0, None
    bound, faults = max(bounded)
    return faults, bound
