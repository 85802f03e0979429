"""Documents of `harness bench` as one side, or both sides in turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.comparison.conditions import together
from harness.comparison.measured import (
    BENCH,
    HIGHER,
    LOWER,
    Conditions,
    FigureScale,
    FigureValues,
    InTurn,
    Side,
)
from harness.rundir.documents import typed

CPU: Final = FigureScale("µs a record", LOWER, floor=0.01, counts_from=0.05)
RATE: Final = FigureScale("records/s", HIGHER, floor=1.0, counts_from=0.05)
_CPU_RATIO: Final = FigureScale("ratio", LOWER, floor=0.001, counts_from=0.05)
_RATE_RATIO: Final = FigureScale("ratio", HIGHER, floor=0.001, counts_from=0.05)


def of_bench(name: str, documents: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> Side:
    """One side from documents of `harness bench --json`, each with its name: a list of entries.

    Raises UsageError when several were not made in one way, ValueError for what is no entry.
    """
    conditions = together(
        [_conditions(entries) for _, entries in documents], [name for name, _ in documents]
    )
    figures: dict[str, FigureValues] = {}
    notes: list[str] = []
    for document, entries in documents:
        for entry in entries:
            if entry.get("peer") is None:
                notes.append(f"{entry['name']} is measured once a bench and is not compared")
                continue
            for figure in _figures(entry):
                known = figures.get(figure.name)
                values = [*(known.values if known else []), *figure.values]
                doubt = figure.doubt or (known.doubt if known else "")
                figures[figure.name] = FigureValues(figure.name, figure.scale, values, doubt)
            if "runs" not in entry:
                notes.append(f"{document}: {entry['name']} holds no single runs, only medians")
    repeats = max((len(figure.values) for figure in figures.values()), default=0)
    return Side(
        BENCH, name, repeats, conditions, list(figures.values()), notes=list(dict.fromkeys(notes))
    )


def in_turn_of(document: Mapping[str, Any]) -> InTurn:
    """What `harness bench --against` wrote. Raises ValueError that names the field."""
    return typed(InTurn, document)


def _conditions(entries: Sequence[Mapping[str, Any]]) -> Conditions:
    load = {
        f"{entry['name']}: {what}": str(entry[what])
        for entry in entries
        for what in ("records", "message_bytes")
        if entry.get("peer") is not None and what in entry
    }
    first: Mapping[str, Any] = entries[0] if entries else {}
    return Conditions(dict(first.get("machine", {})), load, {}, dict(first.get("versions", {})))


def _figures(entry: Mapping[str, Any]) -> list[FigureValues]:
    name, pairs = str(entry["name"]), entry.get("runs") or [_medians(entry)]
    doubt = "; ".join(entry.get("too_short", []))

    def values(side: str, of: str) -> list[float]:
        return [float(pair[side][of]) for pair in pairs]

    def ratios(of: str) -> list[float]:
        return [
            ours / peer for ours, peer in zip(values("ours", of), values("peer", of), strict=True)
        ]

    return [
        FigureValues(f"{name}: CPU", CPU, values("ours", "cpu_us_per_record"), doubt),
        FigureValues(f"{name}: rate", RATE, values("ours", "records_per_s"), doubt),
        FigureValues(f"{name}: CPU beside Kafka's", _CPU_RATIO, ratios("cpu_us_per_record"), doubt),
        FigureValues(f"{name}: rate beside Kafka's", _RATE_RATIO, ratios("records_per_s"), doubt),
    ]


def _medians(entry: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Of a document without single runs: one pair."""
    names = ("cpu_us_per_record", "records_per_s")
    return {
        "ours": {each: entry[each] for each in names},
        "peer": {each: entry[f"peer_{each}"] for each in names},
    }
