"""--require: which thresholds are asked of which profile, refused before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.faults.experiments import Experiment
from harness.faults.registry import FAULTS
from harness.profiles import DeliveryProfile
from harness.profiles.threshold import (
    IN_HISTORIES,
    NOT_IN_A_HISTORY,
    Presumes,
    Threshold,
    parse,
    why_not,
)
from harness.rundir.run_info import RunInfo
from harness.system.suggest import nearest


@dataclass(frozen=True, slots=True)
class Bearer:
    """A profile that can be asked for thresholds, with what decides which figures it has."""

    name: str
    acks: str
    consumes: bool


def required_of(texts: Iterable[str], bearers: Sequence[Bearer]) -> dict[str, list[str]]:
    """profile → thresholds, as --require asks for them.

    A threshold without a profile is asked of all of them; it is not applicable in one that cannot
    have the figure. Raises UsageError for what is no threshold, and for one that no profile can
    have.
    """
    found: dict[str, list[str]] = {each.name: [] for each in bearers}
    for text in texts:
        scope, threshold = _read(text)
        chosen = [each for each in bearers if scope is None or each.name == scope]
        if not chosen:
            names = [each.name for each in bearers]
            raise UsageError(
                f"--require {text}: {scope} is no profile of this run"
                f"{nearest(scope or '', names)}. Accepted: {', '.join(names)}; without PROFILE: "
                "all of them."
            )
        reasons = {
            each.name: why_not(threshold.figure, acks=each.acks, consumes=each.consumes)
            for each in chosen
        }
        if all(reasons.values()):
            raise UsageError(
                f"--require {text}: no profile of this run has such a figure: "
                f"{next(iter(reasons.values()))}."
            )
        for each in chosen:
            if threshold.text not in found[each.name]:
                found[each.name].append(threshold.text)
    return found


def _read(text: str) -> tuple[str | None, Threshold]:
    scope, separator, expression = text.rpartition(":")
    try:
        return (scope.strip() if separator else None), parse(expression)
    except ValueError as error:
        raise UsageError(f"--require {text}: {error}") from None


def with_required(
    texts: Sequence[str], subjects: list[DeliveryProfile], experiments: Sequence[Experiment]
) -> list[DeliveryProfile]:
    """The subjects with the thresholds of --require behind their own.

    Raises UsageError as `required_of`, and for a figure of faults where none is injected.
    """
    bearers = [Bearer(each.name, each.acks, each.consume is not None) for each in subjects]
    asked = required_of(texts, bearers)
    faults = [name for each in experiments for name in each.faults if not FAULTS[name].nominal]
    for text in texts:
        if not faults and Presumes.FAULT in _read(text)[1].figure.presumes:
            raise UsageError(
                f"--require {text}: the experiments of this run inject no fault, so there is no "
                "such figure. Name one that does, such as --experiment kill_leader."
            )
    return [
        replace(each, require=tuple(dict.fromkeys([*each.require, *asked[each.name]])))
        for each in subjects
    ]


def also_required(texts: Sequence[str], info: RunInfo) -> dict[str, list[str]]:
    """profile → the thresholds that a verification asks for, and that its run.json does not state.

    Raises UsageError as `required_of`.
    """
    subjects = [each for each in info.profiles if each.role == "subject"]
    bearers = [Bearer(each.profile, each.acks, each.consume is not None) for each in subjects]
    asked = required_of(texts, bearers)
    return {
        each.profile: [text for text in asked[each.profile] if text not in each.requires]
        for each in subjects
    }


def of_history(texts: Sequence[str], profile: DeliveryProfile) -> DeliveryProfile:
    """The profile of a history with the thresholds of --require behind its own.

    Raises UsageError as `required_of`, and for a figure that a history does not have.
    """
    asked = required_of(texts, [Bearer(profile.name, profile.acks, profile.consume is not None)])
    for text in texts:
        name = _read(text)[1].figure.name
        if name not in IN_HISTORIES:
            raise UsageError(
                f"--require {text}: {NOT_IN_A_HISTORY}. Accepted with --history: "
                f"{', '.join(IN_HISTORIES)}."
            )
    return replace(profile, require=tuple(dict.fromkeys([*profile.require, *asked[profile.name]])))
