"""The figures on a terminal, ratios first, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from harness.bench.cases import FOOTPRINT, LOAD
from harness.rundir import write_json

Entry = dict[str, Any]

CPU_GOAL: Final = {LOAD: 0.5, "verify": 0.9}
"""CPU a record, as a share of Kafka's tool: no more than this."""
DISK_GOAL_BYTES: Final = 16.0
ANONYMOUS_GOAL_BYTES: Final = 4.0


def rate_goal(name: str, message_bytes: int) -> float:
    """Records a second, as a share of Kafka's tool: no less than this."""
    return 0.8 if name.startswith("verify") and message_bytes < 1024 else 1.0


def write_entries(path: Path | None, entries: Sequence[Entry]) -> None:
    """Write the list that `--json FILE` asked for, whole or not at all."""
    if path is not None:
        write_json(path, list(entries))


def print_table(entries: Sequence[Entry], console: Console) -> None:
    """Ratios first: they hold on other machines, the figures behind them do not."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("case", no_wrap=True)
    for heading in (
        "CPU ratio",
        "start-up out",
        "goal",
        "rate ratio",
        "goal",
        "µs a record",
        "theirs",
        "records/s",
        "theirs",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        if entry["name"] != FOOTPRINT:
            table.add_row(*_cells(entry))
    if table.row_count:
        console.print(table)
        console.print(
            "[dim]CPU: user and system time of the client process, from its start to its exit; "
            "“start-up out”: less what a run of 1,000 records takes. Ratio: ours over theirs, "
            "median of the pairs \\[lowest … highest].[/dim]",
            highlight=False,
        )
    for entry in entries:
        if entry["name"] == FOOTPRINT:
            console.print(_footprint_line(entry), highlight=False)


def _cells(entry: Entry) -> list[str]:
    cpu_goal = CPU_GOAL[entry["name"].split()[0]]
    goal = rate_goal(entry["name"], entry["message_bytes"])
    beyond = entry["cpu_ratio_beyond_start_up"]
    return [
        entry["name"],
        _ratio(entry["cpu_ratio"], entry["cpu_ratio_range"], entry["cpu_ratio"] <= cpu_goal),
        "–" if beyond is None else _coloured(beyond, beyond <= cpu_goal),
        f"≤ {cpu_goal}",
        _ratio(entry["rate_ratio"], entry["rate_ratio_range"], entry["rate_ratio"] >= goal),
        f"≥ {goal}",
        f"{entry['cpu_us_per_record']:.2f}",
        f"{entry['peer_cpu_us_per_record']:.2f}",
        f"{entry['records_per_s']:,.0f}",
        f"{entry['peer_records_per_s']:,.0f}",
    ]


def _coloured(value: float, reached: bool) -> str:
    colour = "green" if reached else "red"
    return f"[{colour}]{value:.2f}[/{colour}]"


def _ratio(value: float, around: Sequence[float], reached: bool) -> str:
    return f"{_coloured(value, reached)} [dim]\\[{around[0]:.2f} … {around[1]:.2f}][/dim]"


def _footprint_line(entry: Entry) -> str:
    disk, anonymous = entry["disk_bytes_per_record"], entry["anonymous_bytes_per_record"]
    memory = (
        "not measured (needs Linux)"
        if anonymous is None
        else f"{anonymous:.2f} B (goal ≤ {ANONYMOUS_GOAL_BYTES:g})"
    )
    return (
        f"footprint  disk a record {disk:.2f} B (goal ≤ {DISK_GOAL_BYTES:g}), anonymous memory a "
        f"record {memory}, slope between {entry['records'][0]:,} and {entry['records'][1]:,}"
    )
