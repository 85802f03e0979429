"""report.html: everything a run found, in one file that needs nothing else.

No address outside the file is ever asked for: styles, drawings and the little script are inside.
What it shows comes from verdict.json, run.json, the timeline and the latency logs; the report
computes nothing that decides anything. It stays below PAGE_BYTES_MAX: where a run found more than
fits, the longest lists are cut, the page says so, and verdict.json has them whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.anomalies import CONSUMER_ANOMALIES
from harness.errors import EnvironmentFailure, RunDirError, redact_argv
from harness.judge.availability import Window, during
from harness.judge.phases import phase_counts
from harness.judge.promises import WHOLE_RUN
from harness.report import facts, wording
from harness.report.advice import changes, meaning
from harness.report.cluster_series import ClusterSeries, cluster_series, short_topics
from harness.report.page import PAGE_BYTES_MAX, render_page, write_page
from harness.report.place_charts import in_offsets, in_time
from harness.report.repeat import repeat_command
from harness.report.resource_lanes import resource_panel
from harness.report.room import Room
from harness.report.series import RunSeries, read_series
from harness.report.spectrum_chart import METRIC_NAMES, PHASE_NAMES, spectrum_chart
from harness.report.time_panels import time_panels
from harness.report.value_table import Panel
from harness.rundir.documents import read_json
from harness.rundir.events import ResourcesEvent, TimelineEvent
from harness.rundir.hlog import Counts, Interval
from harness.rundir.latency import METRICS, merge, read_log
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.rundir.run_record import RunRecord
from harness.rundir.timeline import read_timeline
from harness.rundir.timeline_file import TimelineDamage, documents
from harness.rundir.verdict import Verdict
from harness.rundir.verdict_file import read_verdict

PHASED_METRIC = "ack"
"""What is drawn before, during and after the faults."""


@dataclass(slots=True)
class Recorded:
    """What a page is made from besides the verdict; each part may be empty."""

    info: RunInfo
    series: RunSeries
    cluster: ClusterSeries
    resources: Panel
    proof: dict[str, Any] | None
    distributions: dict[tuple[str, str], Counts] = field(default_factory=dict)
    """(profile, metric) → counts over the whole run"""
    phased: dict[tuple[str, str], Counts] = field(default_factory=dict)
    """(profile, phase) → counts of PHASED_METRIC"""
    unreadable: list[str] = field(default_factory=list)


def write_report(
    run_dir: RunDir, verdict_path: Path, into: Path | None = None, asked_by: str = ""
) -> Path:
    """Write report.html of a run from one of its verdicts, or another file; its path.

    asked_by: who asked for the report; without it what run.json says.
    Raises RunDirError when verdict.json, run.json or a latency log cannot be read as one.
    """
    verdict = read_verdict(verdict_path)
    recorded = read_recorded(run_dir, verdict, verdict_path)
    text = render(verdict, recorded, verdict_path, asked_by)
    return write_page(into or run_dir.report_html, text)


def write_history_report(run: RunRecord, verdict: Verdict, into: Path, asked_by: str = "") -> Path:
    """Write the page of a history's verdict; its path. A history has no load of ours to draw.

    Raises EnvironmentFailure when the file cannot be written.
    """
    series = RunSeries(start_us=min((each.injected_us for each in run.timeline.faults), default=0))
    cluster = ClusterSeries(series.slot_s, np.zeros(0))
    recorded = Recorded(run.info, series, cluster, resource_panel(series, []), None)
    try:
        return write_page(into, render(verdict, recorded, Path("the history"), asked_by))
    except OSError as error:
        raise EnvironmentFailure(f"{into}: cannot be written ({error.strerror}).") from None


def read_recorded(run_dir: RunDir, verdict: Verdict, verdict_path: Path) -> Recorded:
    """Read what the run directory holds for a page. Raises RunDirError."""
    info = run_dir.read_info()
    names = [profile.profile for profile in verdict.profiles]
    series = read_series(run_dir.events(TimelineEvent), verdict.faults, names)
    timeline = read_timeline(documents(run_dir.timeline, TimelineDamage()))
    windows = {each.profile: during(each, timeline) for each in info.profiles}
    cluster = cluster_series(series, timeline, info)
    resources = resource_panel(series, run_dir.events(ResourcesEvent))
    recorded = Recorded(info, series, cluster, resources, _proof(run_dir, verdict_path))
    _read_latency(recorded, run_dir, names, windows)
    return recorded


def render(verdict: Verdict, recorded: Recorded, verdict_path: Path, asked_by: str = "") -> str:
    """The document as text, no longer than PAGE_BYTES_MAX."""
    room = Room()
    while True:
        text = _render(verdict, recorded, verdict_path, asked_by, room)
        if len(text.encode()) <= PAGE_BYTES_MAX or room.least:
            return text
        room = room.halved()


def _render(
    verdict: Verdict, recorded: Recorded, verdict_path: Path, asked_by: str, room: Room
) -> str:
    info, series = recorded.info, recorded.series
    names = [profile.profile for profile in verdict.profiles]
    rows = facts.settings(info)
    command, variables = repeat_command(redact_argv(info.command))
    topics = short_topics(info)
    consuming = facts.consumers(verdict)
    samples = facts.samples_of(verdict)
    witnessed = [each for each in verdict.profiles if each.witnesses]
    each_sampled = room.share(room.samples, len(samples))
    each_witnessed = room.share(room.witnesses, len(witnessed))
    return render_page(
        "report.html.j2",
        info=info,
        verdict=verdict,
        room=room,
        headline=wording.headline(verdict),
        meaning=meaning(verdict),
        changes=changes(verdict),
        assurance=wording.assurance(verdict),
        asked_by=asked_by or info.asked_by,
        tally=wording.tally,
        standing=wording.standing,
        consumer_anomalies=CONSUMER_ANOMALIES,
        whole_run=WHOLE_RUN,
        matrices=facts.matrices(verdict),
        alike=facts.alike,
        kinds=facts.kinds_of_faults,
        thresholds=facts.thresholds(verdict),
        balances=facts.balances(verdict),
        loads=facts.loads(verdict),
        achieved=wording.achieved(verdict),
        stories=facts.fault_stories(verdict, series.start_us),
        interruptions=facts.interruptions(verdict),
        consumers=consuming,
        keyed=[profile for profile in verdict.profiles if profile.keys is not None],
        samples=[(*each, chosen[:each_sampled]) for *each, chosen in samples],
        witnesses=[(each.profile, each.witnesses[:each_witnessed]) for each in witnessed],
        each_partitions=room.share(room.partitions, len(verdict.profiles)),
        settings_differ=[row for row in rows if not row.same],
        settings_same=[row for row in rows if row.same],
        series=series,
        panels=[
            *time_panels(series, recorded.cluster, topics, consumers=bool(consuming)),
            *([recorded.resources] if series.profiles else []),
        ],
        places=[in_time(series, verdict), in_offsets(verdict, topics)],
        spectrum=spectrum_chart(names, recorded.distributions),
        phased=spectrum_chart(
            names,
            recorded.phased,
            PHASE_NAMES,
            "phases",
            "Latency of acknowledgement before, during and after the faults, one panel a profile",
        ),
        metric_names=METRIC_NAMES,
        phase_names=PHASE_NAMES,
        proof=recorded.proof,
        unreadable=recorded.unreadable,
        command=command,
        variables=variables,
        verdict_file=verdict_path.name,
    )


def _read_latency(
    recorded: Recorded, run_dir: RunDir, profiles: list[str], windows: Mapping[str, list[Window]]
) -> None:
    """Read the latency logs; one that cannot be read is named."""
    for profile in profiles:
        for metric in METRICS:
            parts: list[Interval] = []
            for path in sorted(run_dir.latency.glob(f"{profile}.{metric}.*.hlog")):
                try:
                    parts += read_log(path)
                except RunDirError as error:
                    recorded.unreadable.append(str(error))
            if parts:
                recorded.distributions[(profile, metric)] = merge(parts)
            if parts and metric == PHASED_METRIC:
                for phase, counts in phase_counts(parts, windows.get(profile, [])).items():
                    recorded.phased[(profile, phase)] = counts


def _proof(run_dir: RunDir, verdict_path: Path) -> dict[str, Any] | None:
    """drain.json of the drain that this verdict rests on; None when there is none."""
    suffix = verdict_path.stem.rpartition("-")[2]
    path = run_dir.drained_of(int(suffix) if suffix.isdigit() else 1) / "drain.json"
    try:
        return read_json(path, "the proof of a drain")
    except RunDirError:
        return None
