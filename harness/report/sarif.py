"""SARIF 2.1.0 of what `harness validate` found, for code scanning of a repository.

A finding is a result with its rule's id, its level, and the file and line where it is known. A file
that cannot be read as settings is a notification of a run that did not succeed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.profiles.rule import Finding
from harness.profiles.validate import FileReport
from harness.version import __version__

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
VERSION: Final = "2.1.0"
HELP: Final = "docs/profiles.md, Guardrails, says what the rule means and why it is one."


def sarif(reports: Sequence[FileReport]) -> dict[str, Any]:
    """The document: one run, with the rules that found something."""
    findings = [(report, each) for report in reports for each in report.findings]
    rules = list(dict.fromkeys(each.rule for _, each in findings))
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "harness validate",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": [_rule(each) for each in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(reports)],
                "artifacts": [{"location": {"uri": _uri(each.file)}} for each in reports],
                "results": [
                    _result(report, each, rules.index(each.rule)) for report, each in findings
                ],
            }
        ],
    }


def _rule(identity: str) -> dict[str, Any]:
    return {
        "id": identity,
        "shortDescription": {"text": identity.replace("-", " ")},
        "help": {"text": HELP},
    }


def _invocation(reports: Sequence[FileReport]) -> dict[str, Any]:
    unread = [each for each in reports if each.error is not None]
    found: dict[str, Any] = {"executionSuccessful": not unread}
    if unread:
        found["toolExecutionNotifications"] = [
            {
                "level": "error",
                "message": {"text": str(each.error)},
                "locations": [_location(each.file, _line(each.file, str(each.error)), "")],
            }
            for each in unread
        ]
    return found


def _result(report: FileReport, finding: Finding, rule: int) -> dict[str, Any]:
    line = _line(report.file, finding.where)
    logical = _logical(report.file, finding.where)
    # Lines move when a file is edited; a finding stays the same one.
    identity = "\n".join((finding.rule, _uri(report.file), logical or str(line)))
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": f"{finding.message} {finding.fix}".strip()},
        "locations": [_location(report.file, line, logical)],
        "partialFingerprints": {"finding/v1": hashlib.sha256(identity.encode()).hexdigest()},
    }


def _location(file: str, line: int | None, logical: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
    if line is not None:
        physical["region"] = {"startLine": line}
    found: dict[str, Any] = {"physicalLocation": physical}
    if logical:
        found["logicalLocations"] = [{"fullyQualifiedName": logical, "kind": "member"}]
    return found


def _line(file: str, where: str) -> int | None:
    """The line of an origin `file:line: …`; None where it names no line."""
    found = re.match(r":(\d+)", where.removeprefix(file)) if where.startswith(file) else None
    return int(found[1]) if found and int(found[1]) > 0 else None


def _logical(file: str, where: str) -> str:
    """What an origin names inside its file, such as `orders.config.min.insync.replicas`."""
    rest = where.removeprefix(file) if where.startswith(file) else where
    return re.sub(r"^(:\d+)?(: )?", "", rest).strip()


def _uri(file: str) -> str:
    """A relative path as it is, from where the command ran; an absolute one as file URI."""
    from urllib.parse import quote

    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix(), safe="/")
