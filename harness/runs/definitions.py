"""What a profile, an experiment or a fault is, for a person who wants to use it: `harness show`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.anomalies import BY_NAME, anomaly_of
from harness.brokers.kinds import capabilities_of
from harness.errors import UsageError
from harness.faults.experiments import Experiment, list_experiments, load_experiment
from harness.faults.registry import FAULTS, Fault, fault_named
from harness.profiles import DeliveryProfile, load_profiles
from harness.profiles.load import load_builtin
from harness.profiles.threshold import FIGURES, parse
from harness.system.suggest import nearest

KINDS: Final = ("fault", "profile", "experiment")
GIVEN_BY_CHAOS_TOOLKIT: Final = ("configuration", "secrets")


@dataclass(frozen=True, slots=True)
class Definition:
    """One of them, in words and as data."""

    kind: str
    """fault, profile or experiment"""
    name: str
    what: str
    """In a sentence, or some."""
    source: str
    """Where it is defined: `built in`, or a file."""
    documentation: str
    """The page and its section."""
    promises: dict[str, str] = field(default_factory=dict)
    """Of a profile: promise → what it promises."""
    facts: dict[str, str] = field(default_factory=dict)
    """What else is to be known of it, each under a few words."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of a profile: part → setting → value. Of a fault: `arguments` → name → default."""
    text: str = ""
    """Of an experiment: its file."""

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def definition(kind: str, name: str, profiles_file: Path | None = None) -> Definition:
    """See `harness.definition`."""
    if kind == "profile":
        known = load_profiles([] if profiles_file is None else [profiles_file])
        if name not in known:
            raise UsageError(
                f"profile {name}: there is no such profile{nearest(name, known)}. Known: "
                f"{', '.join(known)}."
            )
        return _profile(known[name])
    if profiles_file is not None:
        raise UsageError(f"--profiles {profiles_file}: goes with `profile`, and not with {kind}.")
    if kind == "experiment":
        return _experiment(load_experiment(name))
    if kind == "fault":
        return _fault(fault_named(name))
    raise UsageError(f"{kind}: accepted are {', '.join(KINDS)}.")


def _profile(profile: DeliveryProfile) -> Definition:
    promises = {each: f"never {BY_NAME[anomaly_of(each)].what}" for each in profile.promises}
    for text in profile.require:
        threshold = parse(text)
        promises[text] = f"{FIGURES[threshold.figure.name].what}: {threshold.required}"
    # What a file of a user's names as control is not known here.
    controls = [
        f"{anomaly} in {each.name}"
        for each in list_experiments()
        for anomaly, control in each.aims.items()
        if control == profile.name
    ]
    facts = {
        "promises": "" if promises else "nothing; what is found is counted",
        "critical": "yes" if profile.critical else "no: weak settings are warnings",
        "topics": str(profile.topics),
        "counts in a verdict": "" if profile.counted else "never",
        "taken by a bare run": "yes" if profile.bare and profile.source == "built in" else "",
        "transactions": _transactions(profile),
        "consumers": _consumers(profile),
        "control for": ", ".join(controls),
    }
    return Definition(
        "profile",
        profile.name,
        profile.summary,
        profile.source,
        "docs/profiles.md, " + ("The built-in profiles" if profile.name in load_builtin()
                                else "Profiles of your own"),
        promises,
        _stated(facts),
        {
            part: dict(getattr(profile, part))
            for part in ("producer", "consumer", "topic")
            if getattr(profile, part)
        },
    )  # fmt: skip


def _transactions(profile: DeliveryProfile) -> str:
    if profile.transaction_interval_ms is None:
        return ""
    return (
        f"open for {profile.transaction_interval_ms:g} ms; {profile.abort_ratio:.0%} of them are "
        "aborted on purpose"
    )


def _consumers(profile: DeliveryProfile) -> str:
    plan = profile.consume
    if plan is None:
        return ""
    protocol = "share group" if plan.mode == "share" else f"{plan.protocol} protocol"
    return (
        f"{plan.members} members, mode {plan.mode}, {protocol}, {plan.processing_ms:g} ms of work "
        "a record"
    )


def _experiment(experiment: Experiment) -> Definition:
    text = experiment.path.read_text(encoding="utf-8")
    faults = [
        f"{experiment.faults.count(name)} × {name}: {FAULTS[name].description}"
        for name in dict.fromkeys(experiment.faults)
    ]
    facts = {
        "title": experiment.title,
        "injects": "; ".join(faults) or "nothing",
        "expects": ", ".join(
            f"{anomaly} in {control}, its control" for anomaly, control in experiment.aims.items()
        )
        or "no control to break",
        "needs of the brokers": _needs(experiment.needs),
        "environment variables": ", ".join(experiment.variables),
    }
    shipped = experiment.name in {each.name for each in list_experiments()}
    return Definition(
        "experiment",
        experiment.name,
        _description(experiment),
        str(experiment.path),
        "docs/faults.md, " + (", ".join(dict.fromkeys(experiment.faults)) if shipped
                              else "An experiment of your own"),
        facts=_stated(facts),
        text=text,
    )  # fmt: skip


def _description(experiment: Experiment) -> str:
    import yaml

    document = yaml.safe_load(experiment.path.read_text(encoding="utf-8"))
    return " ".join(str(document.get("description") or experiment.title).split())


def _fault(fault: Fault) -> Definition:
    import harness.faults

    function = getattr(harness.faults, fault.name)
    arguments = {
        name: "required" if each.default is inspect.Parameter.empty else each.default
        for name, each in inspect.signature(function).parameters.items()
        if name not in GIVEN_BY_CHAOS_TOOLKIT
    }
    _, _, more = (inspect.getdoc(function) or "").partition("\n")
    using = [each.name for each in list_experiments() if fault.name in each.faults]
    facts = {
        "details": " ".join(more.split()),
        "strikes": fault.role or ("nothing" if fault.nominal else ""),
        "needs of the brokers": _needs(fault.needs),
        "moves leaders": "yes" if fault.moves_leader else "no",
        "planned operation": "yes: no control is expected to break under it" if fault.graceful
        else "",
        "experiments": ", ".join(using),
    }  # fmt: skip
    return Definition(
        "fault",
        fault.name,
        fault.description,
        "built in",
        f"docs/faults.md, {fault.name}",
        facts=_stated(facts),
        settings={"arguments": arguments} if arguments else {},
    )


def _needs(needs: frozenset[str]) -> str:
    """Capabilities in words, and whether the brokers that the harness starts have them."""
    if not needs:
        return "nothing: it works on any brokers"
    there = capabilities_of("local") | {"members"}
    local = "" if needs <= there else "; the local brokers do not have all of that"
    return f"{', '.join(sorted(needs))}{local}"


def _stated(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in facts.items() if text}
