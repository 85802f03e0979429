"""The figures on a terminal, ratios first, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from harness.bench.cases import FOOTPRINT, LOAD, OVER_WORKERS, TABLES, VERIFY
from harness.rundir.documents import write_json

Entry = dict[str, Any]

CPU_GOAL: Final = {LOAD: 0.5, VERIFY: 0.9}
"""CPU a record, as a share of Kafka's tool: no more than this."""
DISK_GOAL_BYTES: Final = 16.0
ANONYMOUS_GOAL_BYTES: Final = 4.0
MARGINAL_TIME_GOAL: Final = 1.2
DIFFERENCE_GOAL: Final = 0.1
"""CPU a record over one, two and four workers: no more apart than this."""


def rate_goal(name: str, message_bytes: int) -> float:
    """Records a second, as a share of Kafka's tool: no less than this."""
    return 0.8 if name.startswith(VERIFY) and message_bytes < 1024 else 1.0


def write_entries(path: Path | None, entries: Sequence[Entry]) -> None:
    """Write the list that `--json FILE` asked for, whole or not at all."""
    if path is not None:
        write_json(path, list(entries))


def print_table(entries: Sequence[Entry], console: Console) -> None:
    """Ratios first: they hold on other machines, the figures behind them do not."""
    cases = [entry for entry in entries if entry["name"] not in TABLES]
    if cases:
        console.print(_ratios(cases))
        console.print()
        console.print(_figures(cases))
        console.print(
            "[dim]CPU: user and system time of the client process, from its start to its exit; "
            "“start-up out”: less what a run of 1,000 records takes. Ratio: ours over theirs, "
            "median of the pairs (lowest–highest); green where it reaches its goal: CPU at most "
            f"{CPU_GOAL[LOAD]} for load and {CPU_GOAL[VERIFY]} for verification, rate at least "
            "1.0, 0.8 for verification at 100 B.[/dim]",
            highlight=False,
        )
    for entry in cases:
        for line in _doubts(entry):
            console.print(f"[yellow]{line}[/yellow]", highlight=False)
    for entry in entries:
        if entry["name"] == OVER_WORKERS:
            console.print()
            console.print(_over_workers(entry))
            console.print(_difference_line(entry), highlight=False)
        if entry["name"] == FOOTPRINT:
            console.print()
            console.print(_growth(entry))
            console.print(_footprint_line(entry), highlight=False)


def _columns(table: Table, first: str, *headings: str) -> Table:
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold")


def _ratios(cases: Sequence[Entry]) -> Table:
    table = _columns(_table(), "case", "CPU ratio", "start-up out", "rate ratio")
    for entry in cases:
        cpu_goal = CPU_GOAL[entry["name"].split()[0]]
        goal = rate_goal(entry["name"], entry["message_bytes"])
        beyond = entry["cpu_ratio_beyond_start_up"]
        table.add_row(
            entry["name"],
            _ratio(entry["cpu_ratio"], entry["cpu_ratio_range"], entry["cpu_ratio"] <= cpu_goal),
            "–" if beyond is None else _coloured(beyond, beyond <= cpu_goal),
            _ratio(entry["rate_ratio"], entry["rate_ratio_range"], entry["rate_ratio"] >= goal),
        )
    return table


def _figures(cases: Sequence[Entry]) -> Table:
    table = _columns(
        _table(), "case", "µs a record", "theirs", "records/s", "theirs", "last third/first"
    )
    for entry in cases:
        by_time = entry["rate_by_time"]
        table.add_row(
            entry["name"],
            f"{entry['cpu_us_per_record']:.2f}",
            f"{entry['peer_cpu_us_per_record']:.2f}",
            f"{entry['records_per_s']:,.0f}",
            f"{entry['peer_records_per_s']:,.0f}",
            "–" if by_time is None else f"{by_time['last_over_first']:.2f}",
        )
    return table


def _doubts(entry: Entry) -> list[str]:
    """What of a case's figures says nothing, or not what it seems to."""
    found = [f"{entry['name']}: too short to say anything: {each}" for each in entry["too_short"]]
    by_time = entry["rate_by_time"]
    if by_time is not None and not by_time["steady"]:
        first, last = by_time["first_third_per_s"], by_time["last_third_per_s"]
        found.append(
            f"{entry['name']}: the rate has not settled: {first:,} records/s in the first third "
            f"of a run, {last:,} in the last"
        )
    return found


def _growth(entry: Entry) -> Table:
    table = _columns(
        _table(), "records", "load/s", "CPU µs", "verify s", "verify/s", "CPU µs", "disk B", "MB"
    )
    for size in entry["growth"]:
        peaks = [peak for peak in size["anonymous_bytes_peak"].values() if peak is not None]
        table.add_row(
            f"{size['records']:,}",
            f"{size['load_records_per_s']:,}",
            f"{size['load_cpu_us_per_record']:.2f}",
            f"{size['verify_s']:.1f}",
            f"{size['verify_records_per_s']:,}",
            f"{size['verify_cpu_us_per_record']:.2f}",
            f"{size['disk_bytes_per_record']:.2f}",
            f"{max(peaks) / 1e6:.0f}" if peaks else "–",
        )
    return table


def _over_workers(entry: Entry) -> Table:
    table = _columns(
        _table(),
        "load over workers",
        "CPU µs a record",
        "a further record",
        "at rest",
        "records/s",
        "master's CPU",
    )
    for each in entry["workers"]:
        lowest, highest = each["cpu_us_per_record_range"]
        table.add_row(
            str(each["workers"]),
            f"{each['cpu_us_per_record']:.2f} ({lowest:.2f}–{highest:.2f})",
            f"{each['cpu_us_per_further_record']:.2f}",
            f"{each['cpu_share_at_rest']:.1%}",
            f"{each['records_per_s']:,}",
            f"{each['master_cpu_share']:.1%}",
        )
    return table


def _difference_line(entry: Entry) -> str:
    shares = [entry["difference"], entry["difference_of_a_further_record"]]
    whole, further = (_coloured_share(share, share <= DIFFERENCE_GOAL) for share in shares)
    return (
        f"CPU a record differs by {whole} between numbers of workers, that of a further record by "
        f"{further} (goal: at most {DIFFERENCE_GOAL:.0%})"
    )


def _coloured_share(value: float, reached: bool) -> str:
    return f"[{'green' if reached else 'yellow'}]{value:.1%}[/]"


def _coloured(value: float, reached: bool) -> str:
    colour = "green" if reached else "red"
    return f"[{colour}]{value:.2f}[/{colour}]"


def _ratio(value: float, around: Sequence[float], reached: bool) -> str:
    return f"{_coloured(value, reached)} [dim]({around[0]:.2f}–{around[1]:.2f})[/dim]"


def _footprint_line(entry: Entry) -> str:
    disk, anonymous = entry["disk_bytes_per_record"], entry["anonymous_bytes_per_record"]
    memory = (
        "not measured (needs Linux)"
        if anonymous is None
        else f"{anonymous:.2f} B (goal ≤ {ANONYMOUS_GOAL_BYTES:g})"
    )
    return (
        f"[dim]CPU, disk and time for each record; MB: anonymous memory of the largest stage.[/dim]"
        f"\nfrom {entry['records'][0]:,} to {entry['records'][-1]:,} records: disk a record "
        f"{disk:.2f} B (goal ≤ {DISK_GOAL_BYTES:g}), anonymous memory a record {memory}, time a "
        f"further record takes to verify over that at {entry['records'][0]:,}: "
        f"{entry['marginal_time']:.2f} (goal ≤ {MARGINAL_TIME_GOAL:g})"
    )
