"""verdict.json: written from the types of verdict.py, and read back into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.anomalies import CONSUMER_ANOMALIES
from harness.errors import RunDirError
from harness.rundir.documents import read_json, typed, write_json
from harness.rundir.verdict import VERDICT_SCHEMA, Verdict


def write_verdict(path: Path, verdict: Verdict) -> None:
    """Write a verdict, whole or not at all."""
    write_json(path, verdict.to_json())


def read_verdict(path: Path) -> Verdict:
    """The verdict of a run. Raises RunDirError when the file is none."""
    document = read_json(path, "a verdict", schema=VERDICT_SCHEMA)
    try:
        return verdict_of(document)
    except ValueError as error:
        raise RunDirError(f"{path}: not a verdict of this harness ({error}).") from None


def verdict_of(document: dict[str, Any]) -> Verdict:
    """A verdict from its JSON document, which may be of an earlier version of the harness.

    Raises ValueError that names a field that is missing or cannot be.
    """
    verdict = typed(Verdict, _with_what_came_later(document))
    for profile in verdict.profiles:
        # An earlier verdict does not name what was counted only later.
        profile.counts = {**dict.fromkeys(CONSUMER_ANOMALIES, 0), **profile.counts}
    return verdict


def _with_what_came_later(document: dict[str, Any]) -> dict[str, Any]:
    """In an earlier verdict every fault to which the profile was exposed counted as a trial."""
    profiles = document.get("profiles")
    if not isinstance(profiles, list):
        return document
    return {**document, "profiles": [_with_trials(profile) for profile in profiles]}


def _with_trials(profile: Any) -> Any:
    promises = profile.get("promises") if isinstance(profile, dict) else None
    if not isinstance(promises, list):
        return profile
    completed = [
        {"trials": promise["faults_exposed"], **promise}
        if isinstance(promise, dict) and "faults_exposed" in promise
        else promise
        for promise in promises
    ]
    return {**profile, "promises": completed}
