"""report.html of several runs together: the aggregate of `harness run --repeat`.

Pure but for reading the template and the clock; what it shows is all in aggregate.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup

from harness.anomalies import ANOMALIES
from harness.errors import RunDirError
from harness.judge.aggregate import (
    AGGREGATE_SCHEMA,
    FAILED,
    Aggregate,
    ProfileSum,
    PromiseSum,
)
from harness.report.aggregate import counted_runs, worst_bound
from harness.report.page import PAGE_BYTES_MAX, render_page, write_page
from harness.report.room import Room
from harness.report.svg import Scale, element, figure, group, label, line, nice_ticks, number
from harness.report.value_table import Panel, ValueTable
from harness.report.wording import listed, many, percent
from harness.rundir.documents import read_json, typed
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT

WIDTH: Final = 1000.0
LEFT: Final = 250.0
RIGHT: Final = 960.0
LANE: Final = 22.0
HEAD: Final = 14.0
FOOT: Final = 44.0
LANES_MAX: Final = 60
AGGREGATE: Final = "aggregate.json"


@dataclass(frozen=True, slots=True)
class SumCell:
    """One promise of one profile over all runs."""

    kind: str
    words: str
    detail: str


def write_aggregate_report(folder: Path, found: Aggregate, asked_by: str = "") -> Path:
    """Write report.html of a series beside its aggregate.json; its path."""
    return write_page(folder / "report.html", render_aggregate(found, asked_by))


def render_aggregate(found: Aggregate, asked_by: str = "") -> str:
    """The document as text, no longer than PAGE_BYTES_MAX."""
    room = Room()
    while True:
        text = render_page(
            "aggregate.html.j2",
            found=found,
            room=room,
            asked_by=asked_by,
            headline=headline(found),
            meaning=meaning(found),
            changes=changes(found),
            promises=promise_names(found),
            cell=cell,
            counted_runs=counted_runs,
            spreads=spreads(found),
            bounds=bounds(found),
            file=AGGREGATE,
        )
        if len(text.encode()) <= PAGE_BYTES_MAX or room.least:
            return text
        room = room.halved()


def read_aggregate(path: Path) -> Aggregate:
    """The aggregate of a series. Raises RunDirError when the file holds none."""
    document = read_json(path, "the aggregate of a series", schema=AGGREGATE_SCHEMA)
    try:
        return typed(Aggregate, document)
    except ValueError as error:
        raise RunDirError(f"{path}: not an aggregate of this harness: {error}.") from None


def headline(found: Aggregate) -> str:
    """The verdict of all runs in one sentence."""
    judged = [each for each in found.runs if each.verdict != FAILED]
    made = f"{many(len(judged), 'run')} of {found.asked:,} asked for"
    under = f"under {many(found.faults, 'fault')} in all"
    if found.verdict == BROKEN:
        broken = [each.profile for each in _counted(found) if each.verdict == BROKEN]
        by = f" by {listed(broken)}" if broken else ""
        count = sum(each.verdict == BROKEN for each in found.runs)
        return f"Broken: a promise was broken{by} in {count:,} of {made}, {under}."
    if found.verdict == INCONCLUSIVE:
        return f"Inconclusive: {made} give no proof of every promise, {under}."
    return f"Kept: every promise held in {made}, {under}."


def _counted(found: Aggregate) -> list[ProfileSum]:
    return [each for each in found.profiles if each.in_verdict]


def meaning(found: Aggregate) -> list[str]:
    """What the runs say together."""
    sentences = []
    for profile in _counted(found):
        faults, bound = worst_bound(profile)
        if profile.verdict == KEPT and bound is not None:
            sentences.append(
                f"{profile.profile} kept every promise in {_runs(profile)}; one more such "
                f"fault breaks a challenged one with a chance of at most {percent(bound)} "
                f"(95 % confidence, {many(faults, 'fault')})."
            )
        elif profile.verdict == BROKEN:
            broken = [each.promise for each in profile.promises if each.verdict == BROKEN]
            sentences.append(
                f"{profile.profile} does not keep {listed(broken)}: of {_runs(profile)} "
                f"{counted_runs(profile.runs)}."
            )
    return sentences or ["No promise of these runs was put to the test."]


def _runs(profile: ProfileSum) -> str:
    return many(sum(profile.runs.values()), "run")


def changes(found: Aggregate) -> list[str]:
    """What to do, of what these runs show."""
    asked = [
        f"Do not rely on {promise.promise} with {profile.profile}: broken in "
        f"{promise.runs.get(BROKEN, 0):,} of {many(sum(promise.runs.values()), 'run')}."
        for profile in _counted(found)
        for promise in profile.promises
        if promise.verdict == BROKEN
    ]
    missing = found.asked - sum(each.verdict != FAILED for each in found.runs)
    if missing:
        asked.append(
            f"Make the {many(missing, 'run')} that ended without a verdict again, or find out why: "
            "the table of runs has each reason."
        )
    open_ = [each for each in found.runs if each.verdict == INCONCLUSIVE]
    if open_:
        asked.append(
            f"Look at the {many(len(open_), 'inconclusive run')}: the first says {open_[0].reason}"
        )
    return asked


def promise_names(found: Aggregate) -> list[str]:
    """Every promise that a profile makes, anomalies in the order of every table."""
    names = dict.fromkeys(each.promise for profile in found.profiles for each in profile.promises)
    order = {f"no_{anomaly}": index for index, anomaly in enumerate(ANOMALIES)}
    return sorted(names, key=lambda name: order.get(name, len(order)))


def cell(profile: ProfileSum, promise: str) -> SumCell:
    """What the runs say of one promise of one profile."""
    found = next((each for each in profile.promises if each.promise == promise), None)
    if found is None:
        return SumCell("permitted", "not promised", "")
    detail = counted_runs(found.runs) if len(found.runs) > 1 else ""
    if found.bound_95_per_fault is not None and found.challenged_runs:
        detail = f"{detail + '; ' if detail else ''}at most {percent(found.bound_95_per_fault)}"
    words = found.verdict.replace("_", " ")
    untried = found.verdict == KEPT and not found.challenged_runs
    return SumCell(
        "untried" if untried else found.verdict,
        f"{words}, not challenged" if untried else words,
        detail,
    )


def spreads(found: Aggregate) -> Panel:
    """How often each anomaly was found: least to most in a run."""
    lanes = [
        (f"{profile.profile}, {anomaly.replace('_', ' ')}", spread)
        for profile in found.profiles
        for anomaly, spread in profile.anomalies.items()
    ]
    rows = [
        (name, [f"{each.min:,}", f"{each.max:,}", f"{each.total:,}", f"{each.runs:,}"])
        for name, each in lanes
    ]
    chart = _lanes(
        "spreads",
        "Least and most of each anomaly in a run",
        "found in a run",
        [(name, float(each.min), float(each.max)) for name, each in lanes[:LANES_MAX]],
    )
    return Panel(
        "spreads",
        "What was found, least to most in a run",
        chart,
        "Of profiles that promise its absence and of controls, which are expected to break.",
        (),
        ValueTable("profile and anomaly", ["least", "most", "in all", "runs with any"], rows),
        "No anomaly was found in any run.",
    )


def bounds(found: Aggregate) -> Panel:
    """The bound per fault of each challenged promise."""
    lanes: list[tuple[str, PromiseSum, float]] = [
        (f"{profile.profile}, {each.promise}", each, each.bound_95_per_fault)
        for profile in _counted(found)
        for each in profile.promises
        if each.challenged_runs and each.bound_95_per_fault is not None
    ]
    rows = [
        (name, [f"{each.trials:,}", f"{each.challenged_runs:,}", percent(bound)])
        for name, each, bound in lanes
    ]
    chart = _lanes(
        "bounds",
        "Bound per fault of each challenged promise, in percent",
        "percent",
        [(name, 0.0, bound * 100) for name, _, bound in lanes[:LANES_MAX]],
    )
    return Panel(
        "bounds",
        "Bounds of challenged promises",
        chart,
        "With no breach in so many faults of all runs, one more such fault breaks the promise with "
        "at most this chance, at 95 % confidence.",
        (),
        ValueTable("profile and promise", ["faults", "runs with a challenge", "bound"], rows),
        "No promise was challenged and kept in every run.",
    )


def _lanes(
    identity: str, title: str, unit: str, lanes: list[tuple[str, float, float]]
) -> Markup | None:
    """A bar from least to most in each lane; a single value is a dot's width."""
    if not lanes:
        return None
    ticks = nice_ticks(max(most for _, _, most in lanes), 6)
    x = Scale(0.0, ticks[-1], LEFT, RIGHT)
    height = HEAD + len(lanes) * LANE
    parts: list[Markup] = []
    for tick in ticks:
        parts.append(line(x(tick), HEAD, x(tick), height, "grid"))
        parts.append(label(x(tick), height + 16, number(tick), "tick", "middle"))
    for index, (name, least, most) in enumerate(lanes):
        top = HEAD + index * LANE
        short = name if len(name) <= 38 else f"{name[:37]}…"
        parts.append(label(LEFT - 8, top + 15, short, "tick", "end"))
        box = element(
            "rect",
            x=x(least),
            y=top + 5,
            width=max(x(most) - x(least), 3.0),
            height=LANE - 10,
            class_="bar",
        )
        said = f"{name}: {number(least)} to {number(most)}"
        parts.append(group([element("title", said), box]))
    parts.append(line(LEFT, height, RIGHT, height, "axis"))
    parts.append(label((LEFT + RIGHT) / 2, height + 36, unit, "unit", "middle"))
    return figure(f"{identity}-chart", WIDTH, height + FOOT, title, parts)
