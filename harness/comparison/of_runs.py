"""Run directories and aggregates as one side of a comparison: a repeat is a run. Pure.

Of each profile that counts in the verdict: what became of its promises, its rate, its latency
before and during the faults, how long partitions acknowledged nothing, and how often each anomaly
that it permits was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.anomalies import ANOMALIES
from harness.comparison.conditions import together
from harness.comparison.measured import (
    HIGHER,
    LOWER,
    RUNS,
    Conditions,
    FigureScale,
    FigureValues,
    PromiseTally,
    Side,
)
from harness.judge.aggregate import FAILED, Aggregate
from harness.rundir.run_info import RunInfo
from harness.rundir.verdict import BROKEN, ProfileVerdict, Verdict

_MILLION: Final = 1_000_000
_LATENCY: Final = FigureScale("ms", LOWER, floor=1.0, counts_from=0.2)
_GAP: Final = FigureScale("ms", LOWER, floor=100.0, counts_from=0.2)
_MACHINE: Final = {"cpu": "processor", "cores": "cores", "memory": "memory"}
"""Names in the versions of run.json, and what a reader calls them."""

_CONNECTION: Final = ("bootstrap.", "sasl.", "ssl.", "security.", "client.id")
"""How settings begin that say where Kafka is and who asks: no condition, and nothing to keep."""


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run directory, read."""

    name: str
    info: RunInfo
    verdict: Verdict


def of_runs(name: str, runs: Sequence[JudgedRun], notes: Sequence[str] = ()) -> Side:
    """One side from at least one run. Raises UsageError when they were not made in one way."""
    conditions = together([_conditions(run.info) for run in runs], [run.name for run in runs])
    profiles = list(dict.fromkeys(each.profile for run in runs for each in _counted(run.verdict)))
    figures: list[FigureValues] = []
    promises: list[PromiseTally] = []
    for profile in profiles:
        of_profile = [
            each for run in runs for each in _counted(run.verdict) if each.profile == profile
        ]
        figures += _figures(profile, of_profile)
        promises += _promises(profile, of_profile)
    return Side(RUNS, name, len(runs), conditions, figures, promises, list(notes))


def of_aggregate(name: str, found: Aggregate) -> Side:
    """One side from aggregate.json alone: its promises. Figures by run are in the runs."""
    promises = [
        PromiseTally(
            profile.profile,
            promise.promise,
            dict(promise.runs),
            next((run.reason for run in found.runs if run.verdict == BROKEN), ""),
        )
        for profile in found.profiles
        if profile.in_verdict
        for promise in profile.promises
    ]
    judged = sum(each.verdict != FAILED for each in found.runs)
    note = "the run directories of this aggregate are not beside it, so only promises are compared"
    return Side(RUNS, name, judged, Conditions(), [], promises, [note])


def _counted(verdict: Verdict) -> list[ProfileVerdict]:
    return [profile for profile in verdict.profiles if profile.in_verdict]


def _conditions(info: RunInfo) -> Conditions:
    load = info.load
    asked: dict[str, object] = {
        "rate": f"{load.rate_per_s:g} records/s",
        "schedule": load.schedule,
        "duration": "as long as the experiments" if load.duration_s is None
        else f"{load.duration_s:g} s",
        "message size": f"{load.message_bytes} B",
        "keys": load.keys,
        "partitions": load.partitions,
        "producers": load.producers,
        "codec": load.codec,
        "workers": load.workers,
        "experiments": ", ".join(info.experiments) or "none",
        "profiles": ", ".join(each.profile for each in info.profiles),
    }  # fmt: skip
    settings = {
        f"{profile.profile}: {part}.{key}": str(value)
        for profile in info.profiles
        for part in ("producer", "consumer", "topic")
        for key, value in getattr(profile, part).items()
        if not key.startswith(_CONNECTION)
    }
    machine = {word: info.versions[key] for key, word in _MACHINE.items() if key in info.versions}
    versions = {key: text for key, text in info.versions.items() if key not in _MACHINE}
    return Conditions(machine, {key: str(each) for key, each in asked.items()}, settings, versions)


def _promises(profile: str, runs: Sequence[ProfileVerdict]) -> list[PromiseTally]:
    names = dict.fromkeys(each.promise for run in runs for each in run.promises)
    found = []
    for name in names:
        own = [each for run in runs for each in run.promises if each.promise == name]
        reason = next((each.reason for each in own if each.verdict == BROKEN), "")
        found.append(
            PromiseTally(profile, name, dict(Counter(each.verdict for each in own)), reason)
        )
    return found


def _figures(profile: str, runs: Sequence[ProfileVerdict]) -> list[FigureValues]:
    found = [
        _figure(f"{profile}: {name}", scale, map(value, runs)) for name, scale, value in _FIGURES
    ]
    promised = {each.promise for run in runs for each in run.promises}
    for anomaly in ANOMALIES:
        counts = [run.counts.get(anomaly, 0) for run in runs]
        if f"no_{anomaly}" not in promised and any(counts):
            scale = FigureScale("per million attempts", LOWER, floor=1.0, counts_from=0.5)
            values = (
                count / run.counts["attempted"] * _MILLION if run.counts["attempted"] else None
                for count, run in zip(counts, runs, strict=True)
            )
            found.append(_figure(f"{profile}: {anomaly}", scale, values))
    return [each for each in found if each.values]


def _figure(name: str, scale: FigureScale, values: Iterable[float | None]) -> FigureValues:
    return FigureValues(name, scale, [float(each) for each in values if each is not None])


def _percentile(metric: str, phase: str, name: str) -> Callable[[ProfileVerdict], float | None]:
    def value(profile: ProfileVerdict) -> float | None:
        measured = profile.latency_ms.get(metric)
        found = getattr(getattr(measured, phase), name) if measured is not None else None
        return None if found is None else float(found)

    return value


def _worst(name: str) -> Callable[[ProfileVerdict], float | None]:
    """Of the profile's partitions; None where one of them has no value."""

    def value(profile: ProfileVerdict) -> float | None:
        found = [getattr(each, name) for each in profile.availability]
        return max(found) if found and None not in found else None

    return value


def _rate(profile: ProfileVerdict) -> float | None:
    return None if profile.load is None else profile.load.achieved_per_s


def _unacknowledged(profile: ProfileVerdict) -> float | None:
    counts = profile.counts
    lacking = counts["failed"] + counts["unknown"]
    return lacking / counts["attempted"] if counts["attempted"] else None


_FIGURES: Final[tuple[tuple[str, FigureScale, Callable[[ProfileVerdict], float | None]], ...]] = (
    ("rate", FigureScale("records/s", HIGHER, floor=1.0, counts_from=0.05), _rate),
    (
        "not acknowledged",
        FigureScale("share", LOWER, floor=0.001, counts_from=0.5),
        _unacknowledged,
    ),
    ("ack p50 before faults", _LATENCY, _percentile("ack", "before", "p50")),
    ("ack p99 before faults", _LATENCY, _percentile("ack", "before", "p99")),
    ("ack p99 during faults", _LATENCY, _percentile("ack", "during", "p99")),
    ("end-to-end p99", _LATENCY, _percentile("end_to_end", "all", "p99")),
    ("longest gap", _GAP, _worst("longest_gap_ms")),
    ("recovery", _GAP, _worst("recovered_ms")),
)
