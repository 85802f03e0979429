"""verdict.json read back into the types that it was written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.anomalies import CONSUMER_ANOMALIES
from harness.errors import RunDirError
from harness.judge.verdict import (
    VERDICT_SCHEMA,
    Availability,
    ConsumerLag,
    ConsumeVerdict,
    ControlResult,
    DisturbanceRecord,
    FailureVerdict,
    FaultCount,
    FaultRecord,
    KeysVerdict,
    LoadVerdict,
    Phases,
    ProfileVerdict,
    PromiseVerdict,
    Sample,
    Verdict,
    Witness,
)
from harness.rundir.documents import read_json
from harness.rundir.percentiles import Percentiles


def read_verdict(path: Path) -> Verdict:
    """The verdict of a run. Raises RunDirError when the file is none."""
    document = read_json(path, "a verdict")
    if document.get("schema") != VERDICT_SCHEMA:
        raise RunDirError(
            f"{path}: schema is {document.get('schema')!r}; this harness reads {VERDICT_SCHEMA!r}."
        )
    try:
        return verdict_of(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunDirError(f"{path}: not a verdict of this harness ({error}).") from None


def verdict_of(document: dict[str, Any]) -> Verdict:
    """A verdict from its JSON document. Raises KeyError or TypeError when a field is missing."""
    fields = dict(document)
    fields["profiles"] = [_profile(profile) for profile in fields["profiles"]]
    fields["faults"] = [FaultRecord(**fault) for fault in fields["faults"]]
    fields["disturbances"] = [DisturbanceRecord(**each) for each in fields.get("disturbances", [])]
    return Verdict(**fields)


def _profile(document: dict[str, Any]) -> ProfileVerdict:
    fields = dict(document)
    # An earlier verdict does not name what was counted only later.
    fields["counts"] = {**dict.fromkeys(CONSUMER_ANOMALIES, 0), **fields["counts"]}
    fields["promises"] = [_promise(promise) for promise in fields["promises"]]
    fields["samples"] = [Sample(**sample) for sample in fields["samples"]]
    fields["witnesses"] = [Witness(**each) for each in fields.get("witnesses", [])]
    fields["availability"] = [Availability(**entry) for entry in fields["availability"]]
    fields["latency_ms"] = {
        metric: Phases(**{name: Percentiles(**values) for name, values in phases.items()})
        for metric, phases in fields["latency_ms"].items()
    }
    consume = fields.get("consume")
    if consume is not None:
        lag = [ConsumerLag(**entry) for entry in consume["lag"]]
        fields["consume"] = ConsumeVerdict(**{**consume, "lag": lag})
    keys = fields.get("keys")
    fields["keys"] = None if keys is None else KeysVerdict(**keys)
    load = fields.get("load")
    if load is not None:
        failures = [FailureVerdict(**each) for each in load["failures"]]
        fields["load"] = LoadVerdict(**{**load, "failures": failures})
    return ProfileVerdict(**fields)


def _promise(document: dict[str, Any]) -> PromiseVerdict:
    fields, control = dict(document), document["control"]
    if control is not None:
        by_fault = [FaultCount(**each) for each in control.get("by_fault", [])]
        fields["control"] = ControlResult(**{**control, "by_fault": by_fault})
    # In an earlier verdict every fault to which the profile was exposed counted.
    fields.setdefault("trials", fields["faults_exposed"])
    return PromiseVerdict(**fields)
