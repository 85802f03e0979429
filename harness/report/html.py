"""report.html: everything a run found, in one file that needs nothing else.

No address outside the file is ever asked for: styles, drawings and the little script are inside.
What it shows comes from verdict.json, run.json, the timeline and the latency logs; the report
computes nothing that decides anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.anomalies import CONSUMER_ANOMALIES
from harness.errors import RunDirError, redact_argv
from harness.judge.promises import WHOLE_RUN
from harness.report import facts, wording
from harness.report.repeat import repeat_command
from harness.report.series import RunSeries, read_series
from harness.report.spectrum_chart import METRIC_NAMES, spectrum_chart
from harness.report.timeline_chart import latency_chart, throughput_chart
from harness.rundir.clock import now
from harness.rundir.documents import read_json
from harness.rundir.events import TimelineEvent
from harness.rundir.hlog import Counts
from harness.rundir.latency import METRICS, merge, read_log
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.rundir.verdict import Verdict
from harness.rundir.verdict_file import read_verdict
from harness.system.assets import folder

TEMPLATE: Final = "report.html.j2"


def write_report(run_dir: RunDir, verdict_path: Path, into: Path | None = None) -> Path:
    """Write report.html of a run from one of its verdicts, or another file; its path.

    Raises RunDirError when verdict.json, run.json or a latency log cannot be read as one.
    """
    info = run_dir.read_info()
    verdict = read_verdict(verdict_path)
    names = [profile.profile for profile in verdict.profiles]
    series = read_series(run_dir.events(TimelineEvent), verdict.faults, names)
    distributions, unreadable = _distributions(run_dir, names)
    text = render(
        info,
        verdict,
        series,
        distributions,
        _proof(run_dir, verdict_path),
        verdict_path,
        unreadable,
    )
    path = into or run_dir.report_html
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def render(
    info: RunInfo,
    verdict: Verdict,
    series: RunSeries,
    distributions: dict[tuple[str, str], Counts],
    proof: dict[str, Any] | None,
    verdict_path: Path,
    unreadable: list[str],
) -> str:
    """The document as text; pure but for the time at which it was made."""
    templates = folder("reports") / "templates"
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ms": facts.milliseconds,
        "count": lambda value: f"{value:,}",
        "percent": wording.percent,
        "seconds": lambda value: "–" if value is None else f"{value:,.1f}",
        "many": wording.many,
    }
    rows = facts.settings(info)
    command, variables = repeat_command(redact_argv(info.command))
    return environment.get_template(TEMPLATE).render(
        info=info,
        verdict=verdict,
        headline=wording.headline(verdict),
        assurance=wording.assurance(verdict),
        tally=wording.tally,
        standing=wording.standing,
        glyphs=facts.GLYPHS,
        consumer_anomalies=CONSUMER_ANOMALIES,
        whole_run=WHOLE_RUN,
        matrices=facts.matrices(verdict),
        alike=facts.alike,
        kinds=facts.kinds_of_faults,
        balances=facts.balances(verdict),
        loads=facts.loads(verdict),
        achieved=wording.achieved(verdict),
        stories=facts.fault_stories(verdict, series.start_us),
        interruptions=facts.interruptions(verdict),
        consumers=facts.consumers(verdict),
        keyed=[profile for profile in verdict.profiles if profile.keys is not None],
        samples=facts.samples_of(verdict),
        witnesses=[(each.profile, each.witnesses) for each in verdict.profiles if each.witnesses],
        settings_differ=[row for row in rows if not row.same],
        settings_same=[row for row in rows if row.same],
        series=series,
        throughput=throughput_chart(series) if series.profiles else None,
        latency=latency_chart(series) if series.profiles else None,
        spectrum=spectrum_chart([profile.profile for profile in verdict.profiles], distributions),
        metrics=METRICS,
        metric_names=METRIC_NAMES,
        proof=proof,
        unreadable=unreadable,
        command=command,
        variables=variables,
        verdict_file=verdict_path.name,
        written_at=now(),
        css=Markup((templates / "report.css").read_text(encoding="utf-8")),
        js=Markup((templates / "report.js").read_text(encoding="utf-8")),
    )


def _distributions(
    run_dir: RunDir, profiles: list[str]
) -> tuple[dict[tuple[str, str], Counts], list[str]]:
    """(profile, metric) → counts over the whole run, and what could not be read."""
    found: dict[tuple[str, str], Counts] = {}
    unreadable: list[str] = []
    for profile in profiles:
        for metric in METRICS:
            parts = []
            for path in sorted(run_dir.latency.glob(f"{profile}.{metric}.*.hlog")):
                try:
                    parts += read_log(path)
                except RunDirError as error:
                    unreadable.append(str(error))
            if parts:
                found[(profile, metric)] = merge(parts)
    return found, unreadable


def _proof(run_dir: RunDir, verdict_path: Path) -> dict[str, Any] | None:
    """drain.json of the drain that this verdict rests on; None when there is none."""
    suffix = verdict_path.stem.rpartition("-")[2]
    path = run_dir.drained_of(int(suffix) if suffix.isdigit() else 1) / "drain.json"
    try:
        return read_json(path, "the proof of a drain")
    except RunDirError:
        return None
