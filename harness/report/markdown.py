"""A verdict in Markdown, for a pull request or the page of a CI job (GITHUB_STEP_SUMMARY).

Everything that comes from a run is escaped: a name, an error of a client or a line of a history can
open no tag, no table cell, no link and no mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from harness.anomalies import ANOMALIES
from harness.judge.aggregate import Aggregate
from harness.report import facts, wording
from harness.report.aggregate import assurance as series_assurance
from harness.report.ci_outcomes import CaseOutcome, Outcomes, outcomes_of
from harness.report.origin import Origin
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, ProfileVerdict, Verdict
from harness.system.printable import printable

MARKS: Final = {
    "kept": "✅", "broken": "❌", "inconclusive": "❔", "not_applicable": "➖", "failed": "❌",
}  # fmt: skip
BROKEN_MAX: Final = 12
DETAILS_MAX: Final = 40
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~$]|^[#+=>-])")
_NUMBERED: Final = re.compile(r"^(\d+)([.)])(?=\s|$)")
_WORD_JOINER: Final = "\N{WORD JOINER}"


def markdown(found: Verdict | Aggregate, origin: Origin | None = None) -> str:
    """The summary of a run, a history or a series of runs."""
    origin = origin or Origin()
    outcomes = outcomes_of(found)
    lines = _head(outcomes, origin, found)
    if isinstance(found, Aggregate):
        lines += _series_table(found)
    else:
        lines += _profile_table(found)
        lines += _threshold_table(found)
    lines += _section("What broke", outcomes, BROKEN)
    lines += _section("What was not shown", outcomes, INCONCLUSIVE)
    if isinstance(found, Aggregate):
        sure = series_assurance(found)
    else:
        sure = wording.assurance(found)
        lines += _bullets("Besides", _besides(found))
    lines += _bullets("How sure", sure)
    return "\n".join([*lines, *_repeat(origin)]) + "\n"


def markdown_of_failure(outcomes: Outcomes, origin: Origin) -> str:
    """The summary of a run that came to no verdict."""
    message = outcomes.groups[0].cases[0].reason
    lines = [f"## {MARKS['failed']} No verdict", "", *fenced(message.splitlines())]
    return "\n".join([*lines, *_repeat(origin)]) + "\n"


# -- parts


def _head(outcomes: Outcomes, origin: Origin, found: Verdict | Aggregate) -> list[str]:
    facts_ = [code(outcomes.name)]
    if outcomes.seed is not None:
        facts_.append(f"seed {outcomes.seed}")
    faults = found.faults if isinstance(found, Aggregate) else wording.injected_faults(found)
    facts_.append(wording.many(faults, "fault"))
    if origin.kafka:
        facts_.append(f"Kafka {escaped(origin.kafka)}")
    if origin.started_at:
        facts_.append(escaped(origin.started_at[:19].replace("T", " ") + " UTC"))
    mark = MARKS.get(outcomes.verdict, "")
    return [f"## {mark} {escaped(outcomes.headline)}", "", " · ".join(facts_), ""]


def _profile_table(verdict: Verdict) -> list[str]:
    head = ["profile", "attempted", "acked", "failed", "unknown", "found", "p99 ack", "verdict"]
    rows = []
    for profile in verdict.profiles:
        counts = profile.counts
        p99 = profile.latency_ms["ack"].all.p99 if "ack" in profile.latency_ms else None
        sent = counts["sent"]
        rows.append(
            [
                code(profile.profile),
                f"{counts['attempted']:,}",
                f"{sent:,} sent" if sent else f"{counts['acked']:,}",
                f"{counts['failed']:,}",
                f"{counts['unknown']:,}",
                _anomalies(profile),
                "–" if p99 is None else f"{facts.milliseconds(p99)} ms",
                _tally(profile),
            ]
        )
    return _table(head, rows, numbers=(1, 2, 3, 4, 6))


def _tally(profile: ProfileVerdict) -> str:
    mark = MARKS[profile.verdict] if profile.promises else MARKS["not_applicable"]
    why = wording.standing(profile)
    return f"{mark} {wording.tally(profile)}{f' ({why})' if why else ''}"


def _anomalies(profile: ProfileVerdict) -> str:
    promised = {each.promise: each for each in profile.promises}
    found = []
    for anomaly in ANOMALIES:
        count = profile.counts[anomaly]
        if count:
            broken = promised.get(f"no_{anomaly}")
            said = f"{count:,} {code(anomaly)}"
            found.append(f"**{said}**" if broken and broken.verdict == BROKEN else said)
    return ", ".join(found) or "nothing"


def _threshold_table(verdict: Verdict) -> list[str]:
    rows = [
        [
            code(each.profile.profile),
            code(each.promise.promise),
            each.measured,
            f"{MARKS[each.promise.verdict]} {each.promise.verdict.replace('_', ' ')}",
        ]
        for each in facts.thresholds(verdict)
    ]
    if not rows:
        return []
    return _table(["profile", "threshold", "measured", "verdict"], rows, numbers=(2,))


def _series_table(found: Aggregate) -> list[str]:
    head = ["profile", "attempted", "runs", "found in all runs", "verdict"]
    rows = [
        [
            code(each.profile),
            f"{each.attempted:,}",
            ", ".join(f"{n:,} {word.replace('_', ' ')}" for word, n in each.runs.items()),
            ", ".join(f"{spread.total:,} {code(name)}" for name, spread in each.anomalies.items())
            or "nothing",
            f"{MARKS[each.verdict]} {each.verdict.replace('_', ' ')}"
            f"{'' if each.in_verdict else ' (does not count)'}",
        ]
        for each in found.profiles
    ]
    return _table(head, rows, numbers=(1,))


def _section(title: str, outcomes: Outcomes, verdict: str) -> list[str]:
    """The outcomes with a verdict, those with one reason together, each with its evidence."""
    chosen: dict[tuple[str, str], list[CaseOutcome]] = {}
    for group in outcomes.groups[1:]:
        for case in group.cases:
            if case.verdict == verdict and case.counts:
                chosen.setdefault((group.name, case.reason), []).append(case)
    if not chosen:
        return []
    lines = [f"### {title}", ""]
    for (profile, reason), cases in list(chosen.items())[:BROKEN_MAX]:
        names = ", ".join(code(each.name) for each in cases)
        lines += [f"- **{code(profile)}: {names}**: {escaped(reason)}", ""]
        details = [line for each in cases for line in each.details]
        if details and verdict == BROKEN:
            lines += [f"  {line}" for line in fenced(details[:DETAILS_MAX])]
            lines.append("")
    if len(chosen) > BROKEN_MAX:
        lines += [f"- and {len(chosen) - BROKEN_MAX} more in the report", ""]
    return lines


def _besides(verdict: Verdict) -> list[str]:
    """The run's own obstacles and disturbances, which no promise names."""
    said = [each for each in verdict.reasons if each.startswith("the run: ")]
    return [*said, *(each.text for each in verdict.disturbances)]


def _bullets(title: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    return [f"### {title}", "", *(f"- {escaped(each)}" for each in sentences), ""]


def _repeat(origin: Origin) -> list[str]:
    if not origin.command:
        return []
    lines = ["### How to repeat it", ""]
    if origin.variables:
        names = ", ".join(code(each) for each in origin.variables)
        lines += [f"Set {names} first: secrets are in no record.", ""]
    lines += [*fenced([origin.command], "sh"), ""]
    if origin.directory:
        files = ", ".join(code(each) for each in origin.files)
        lines += [f"In {code(origin.directory)}: {files}." if files else
                  f"In {code(origin.directory)}.", ""]  # fmt: skip
    return lines


# -- Markdown


def escaped(text: str) -> str:
    """Text that is shown as it is, in one line."""
    line = " ".join(printable(text).split())
    line = _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", line))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A word joiner behind it: no user is notified, and no address becomes a link.
    return line.replace("@", f"@{_WORD_JOINER}").replace("://", f":{_WORD_JOINER}//")


def code(text: str) -> str:
    """A name as code, in a table cell too."""
    line = " ".join(printable(text).split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")


def fenced(lines: Iterable[str], language: str = "") -> list[str]:
    """Lines as a block of code that none of them can close."""
    shown = [printable(line).rstrip() for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *shown, fence]


def _table(head: list[str], rows: list[list[str]], numbers: Sequence[int] = ()) -> list[str]:
    rule = ["---:" if column in numbers else "---" for column in range(len(head))]
    return [*(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)), ""]
