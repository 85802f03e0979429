"""Thresholds: promises about a figure that a run measures, such as `p99_ack_ms<200`.

A profile states them in `require:`, a command in --require. This module says which figures there
are, reads an expression and says what is wrong with one; harness/judge/thresholds.py judges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Final

from harness.system.suggest import nearest

PERCENTILES: Final = ("p50", "p90", "p99", "p999", "p9999", "max")
LATENCIES: Final = ("ack", "service", "end_to_end")
PHASES: Final = ("before", "during", "after")
MS: Final = "ms"
SHARE: Final = "share"
PER_S: Final = "records/s"
RECORDS: Final = "records"


class Presumes(Flag):
    """What a run has to have before a figure can be measured in it."""

    ACKNOWLEDGEMENTS = auto()
    """Brokers acknowledge: not with acks=0."""
    FAULT = auto()
    CONSUMERS = auto()
    RUN = auto()
    """A run of the harness, not a history that was recorded elsewhere."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, or one number for each partition, that a verdict holds of a profile."""

    name: str
    unit: str
    what: str
    presumes: Presumes
    percentile: str = ""
    """Of a latency: a field of Percentiles."""
    metric: str = ""
    """Of a latency: ack, service or end_to_end."""
    phase: str = ""
    """Of a latency: before, during, after or all."""


def _latencies() -> list[Figure]:
    found = []
    for phase in ("", *PHASES):
        for metric in LATENCIES:
            presumes = Presumes.RUN
            if metric != "end_to_end":
                presumes |= Presumes.ACKNOWLEDGEMENTS
            if phase in ("during", "after"):
                presumes |= Presumes.FAULT
            for percentile in PERCENTILES:
                name = "_".join(word for word in (percentile, metric, phase, MS) if word)
                what = f"{percentile} of {metric} latency{f' {phase} the faults' if phase else ''}"
                found.append(Figure(name, MS, what, presumes, percentile, metric, phase or "all"))
    return found


_OF_ACKED: Final = Presumes.RUN | Presumes.ACKNOWLEDGEMENTS
FIGURES: Final = {
    each.name: each
    for each in (
        *_latencies(),
        Figure(
            "longest_gap_ms", MS,
            "the longest time in which a partition acknowledged nothing", _OF_ACKED,
        ),
        Figure(
            "recovered_ms", MS,
            "from the first injection until a partition acknowledged at the scheduled rate again",
            _OF_ACKED | Presumes.FAULT,
        ),
        Figure(
            "achieved_rate", SHARE,
            "the share of the records due by the schedule that were attempted", Presumes.RUN,
        ),
        Figure("achieved_per_s", PER_S, "attempts a second", Presumes.RUN),
        Figure(
            "failed_share", SHARE,
            "the share of the attempts that failed, without what was aborted on purpose",
            Presumes(0),
        ),
        Figure(
            "unknown_share", SHARE, "the share of the attempts whose outcome is unknown",
            Presumes(0),
        ),
        Figure(
            "consumer_lag_max", RECORDS, "the largest lag of the profile's consumers",
            Presumes.RUN | Presumes.CONSUMERS,
        ),
    )
}  # fmt: skip
"""Name → figure."""
_OTHERS: Final = tuple(name for name, each in FIGURES.items() if not each.metric)
ACCEPTED: Final = (
    "Accepted: FIGURE<NUMBER, also with <=, > or >=, where FIGURE is "
    f"{', '.join(_OTHERS)}, or a latency such as p99_ack_ms: one of {', '.join(PERCENTILES)}, then "
    f"one of {', '.join(LATENCIES)}, then nothing or one of {', '.join(PHASES)} (the faults), then "
    "ms."
)
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}
COMPARISONS: Final = tuple(_COMPARISONS)
EXPRESSION: Final = re.compile(r"\s*([A-Za-z0-9_.]*)\s*(<=|>=|<|>)\s*(\S.*?)?\s*")
CANONICAL: Final = r"^[a-z0-9_]+(<|<=|>|>=)[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$"
"""How a threshold is written in verdict.json, as a regular expression."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One expression."""

    figure: Figure
    comparison: str
    """<, <=, > or >="""
    limit: float

    @property
    def text(self) -> str:
        """The expression as tables and verdict.json show it."""
        return f"{self.figure.name}{self.comparison}{self.limit:.12g}"

    def holds(self, value: float) -> bool:
        """Whether a value keeps it."""
        return _COMPARISONS[self.comparison](value, self.limit)

    @property
    def required(self) -> str:
        """The limit in words, such as `less than 200 ms`."""
        words = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}
        return f"{words[self.comparison]} {amount(self.limit, self.figure.unit)}"


def amount(value: float, unit: str) -> str:
    """A value with its unit, with the digits that matter."""
    digits = 6 if unit == SHARE else 3
    text = f"{round(value, digits):,.{digits}f}".rstrip("0").rstrip(".")
    return text if unit == SHARE else f"{text} {unit}"


def parse(text: str) -> Threshold:
    """The threshold that a text states. Raises ValueError that says what is accepted."""
    found = EXPRESSION.fullmatch(text)
    if found is None:
        quote = ""
        if FIGURES.get(text.strip()) is not None:
            quote = (
                " A shell takes < and > for a redirection: put quotes around the expression, "
                f"'{text.strip()}<NUMBER'."
            )
        raise ValueError(f"no comparison.{quote} {ACCEPTED}")
    name, comparison, number = found.groups()
    figure = FIGURES.get(name)
    if figure is None:
        raise ValueError(f"{name or 'no name'}: no figure of a run{nearest(name, FIGURES)}. "
                         f"{ACCEPTED}")  # fmt: skip
    limit = _number(number or "", figure)
    if limit is None:
        raise ValueError(f"{number or 'nothing'}: {_wanted(figure)} is expected behind "
                         f"{name}{comparison}.")  # fmt: skip
    threshold = Threshold(figure, comparison, limit)
    ends = (0.0, 1.0 if figure.unit == SHARE else math.inf)
    if len({threshold.holds(end) for end in ends}) == 1 and threshold.holds(limit) == (
        threshold.holds(ends[0])
    ):
        always = "holds whatever is measured" if threshold.holds(ends[0]) else "can never hold"
        raise ValueError(f"{threshold.text} {always}, since {name} is {_range(figure)}.")
    return threshold


def _number(text: str, figure: Figure) -> float | None:
    """A limit of a figure; None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value) or value < 0 or "_" in text or not text.isascii():
        return None
    return None if figure.unit == SHARE and value > 1 else value


def _wanted(figure: Figure) -> str:
    if figure.unit == SHARE:
        return "a share from 0 to 1, such as 0.99 for 99 %,"
    if figure.unit == MS:
        return "a number of milliseconds, without a unit,"
    return f"a number of {figure.unit}, without a unit,"


def _range(figure: Figure) -> str:
    return "between 0 and 1" if figure.unit == SHARE else "0 or more"


def why_not(figure: Figure, *, acks: str, consumes: bool) -> str:
    """Why a profile with these settings has no such figure; empty where it has one."""
    if Presumes.ACKNOWLEDGEMENTS in figure.presumes and acks == "0":
        return "with acks=0 no broker acknowledges a record"
    if Presumes.CONSUMERS in figure.presumes and not consumes:
        return "the profile has no consumers"
    return ""


IN_HISTORIES: Final = tuple(
    name for name, each in FIGURES.items() if Presumes.RUN not in each.presumes
)
"""The figures that a history recorded elsewhere has."""
NOT_IN_A_HISTORY: Final = (
    "a history tells what became of each record, and not when records were due or acknowledged"
)


def thresholds_of(
    stated: Any, base: Sequence[str], note: Callable[[str, str], None]
) -> tuple[str, ...]:
    """`require:` of a profile, each expression as `Threshold.text`; `base` where it is None.

    note: gets what cannot be taken, and the id of its finding.
    """
    if stated is None:
        return tuple(base)
    if not isinstance(stated, list):
        note("a list of expressions such as p99_ack_ms<200 is expected here.", "malformed")
        return tuple(base)
    texts: dict[str, None] = {}
    for each in stated:
        try:
            texts[parse(str(each)).text] = None
        except ValueError as error:
            note(f"{each!r}: {error}", "refused-value")
    return tuple(texts)
