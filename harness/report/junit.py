"""JUnit's XML for CI: a test case for each promise of each profile, and one for the whole verdict.

    kept            a test case that passed
    broken          <failure>, with the reason, the witness and samples
    inconclusive    <error>: nothing was shown, and that must not look green
    not_applicable  <skipped>
    no verdict      <error>

What does not count in the verdict is <skipped> where it is not kept. The document keeps to what
Ant's JUnit task writes, the strictest form that is in use: attributes that no run has a value for,
such as the time of a single promise, are 0.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

from harness.judge.aggregate import FAILED, Aggregate
from harness.report.ci_outcomes import (
    CaseOutcome,
    OutcomeGroup,
    Outcomes,
    outcomes_of,
)
from harness.report.origin import Origin
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT, Verdict
from harness.system.printable import printable

HOST: Final = "localhost"
NO_TIME: Final = "1970-01-01T00:00:00"
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(found: Verdict | Aggregate, origin: Origin | None = None) -> str:
    """The document of a run, a history or a series of runs."""
    return junit_of(outcomes_of(found), origin or Origin())


def junit_of(outcomes: Outcomes, origin: Origin) -> str:
    """The document of outcomes."""
    root = ElementTree.Element("testsuites")
    for number, group in enumerate(outcomes.groups):
        _suite(root, number, group, outcomes, origin)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(
    root: ElementTree.Element,
    number: int,
    group: OutcomeGroup,
    outcomes: Outcomes,
    origin: Origin,
) -> None:
    kinds = [_kind(each) for each in group.cases]
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "id": str(number),
            "package": "harness",
            "name": _line(group.name),
            "timestamp": origin.started_at[:19] or NO_TIME,
            "hostname": HOST,
            "tests": str(len(kinds)),
            "failures": str(kinds.count("failure")),
            "errors": str(kinds.count("error")),
            "skipped": str(kinds.count("skipped")),
            "time": "0",
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (
        ("run", outcomes.name),
        ("seed", "" if outcomes.seed is None else str(outcomes.seed)),
        ("verdict", outcomes.verdict),
        ("kafka", origin.kafka),
        ("directory", origin.directory),
        ("repeat", origin.command),
    ):
        if value:
            ElementTree.SubElement(properties, "property", name=name, value=_line(value))
    for each, kind in zip(group.cases, kinds, strict=True):
        _case(suite, group.name, each, kind)
    ElementTree.SubElement(suite, "system-out").text = _text(outcomes.headline)
    ElementTree.SubElement(suite, "system-err").text = ""


def _kind(case: CaseOutcome) -> str:
    """The element inside a test case; empty for one that passed."""
    if case.verdict == KEPT:
        return ""
    if not case.counts:
        return "skipped"
    return {BROKEN: "failure", INCONCLUSIVE: "error", FAILED: "error"}.get(case.verdict, "skipped")


def _case(suite: ElementTree.Element, group: str, case: CaseOutcome, kind: str) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", name=_line(case.name), classname=_line(group), time="0"
    )
    if not kind:
        return
    inner = ElementTree.SubElement(element, kind, message=_line(case.reason))
    if kind != "skipped":
        inner.set("type", case.verdict)
        inner.text = _text("\n".join([case.reason, *case.details]))


def _text(text: str) -> str:
    """What XML 1.0 can hold; other characters as escapes."""
    return _NOT_XML.sub("?", printable(text, keep="\n"))


def _line(text: str) -> str:
    return " ".join(_text(text).split())
