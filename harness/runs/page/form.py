"""The form of the page: what can be chosen, and what each choice means in words.

Plain data from the profiles, the experiments and the anomalies as the rest of the harness knows
them; what is chosen is checked as on the command line (runs/locust_options.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from harness.anomalies import BY_NAME, anomaly_of
from harness.brokers.kinds import LOCAL, capabilities_of
from harness.errors import HarnessError
from harness.faults.experiments import Experiment, list_experiments
from harness.faults.registry import FAULTS, MEMBERS
from harness.kafka.environment import HarnessEnvironment
from harness.profiles import DeliveryProfile, load_profiles

SCHEDULES_IN_WORDS: Final = {
    "constant": "the same distance from each record to the next",
    "ramp": "the rate rises from 0 over 10 s, then holds",
    "burst": "1 s of load and 1 s of none in turn, the rate on the average",
    "poisson": "random distances, as of independent senders, by the seed",
}


def form_lists(options: Any) -> dict[str, Any]:
    """What the page offers: `profiles`, `experiments`, `schedules`. Takes about a second."""
    file = str(getattr(options, "profiles_file", "") or "")
    try:
        profiles = load_profiles([Path(file)] if file else [])
    except HarnessError:
        profiles = load_profiles([])  # START says what is wrong with the file
    return {
        "profiles": [_profile(each) for each in profiles.values()],
        "experiments": [
            _experiment(each) for each in list_experiments() if _possible(each, options)
        ],
        "schedules": [{"name": name, "words": words} for name, words in SCHEDULES_IN_WORDS.items()],
    }


def _profile(profile: DeliveryProfile) -> dict[str, Any]:
    promised = [BY_NAME[anomaly_of(promise)] for promise in profile.promises]
    return {
        "name": profile.name,
        "words": profile.summary,
        "promises": [{"promise": each.promise, "words": f"never {each.what}"} for each in promised],
        "chosen": profile.bare,
    }


def _experiment(experiment: Experiment) -> dict[str, Any]:
    controls = sorted(set(experiment.aims.values()))
    faults = list(dict.fromkeys(experiment.faults))
    words = [FAULTS[name].description for name in faults]
    if controls:
        words.append(f"adds {' and '.join(controls)}, which it should break")
    return {"name": experiment.name, "title": experiment.title, "words": "; ".join(words)}


def _possible(experiment: Experiment, options: Any) -> bool:
    """Whether the brokers in force can suffer an experiment, as far as it can be said here."""
    return not experiment.variables and experiment.needs <= _capabilities(options) | {MEMBERS}


def _capabilities(options: Any) -> frozenset[str]:
    environment = HarnessEnvironment.read()
    where = str(options.brokers or "") or ("" if environment.cluster else environment.brokers or "")
    try:
        return capabilities_of(where or LOCAL)
    except HarnessError:
        return capabilities_of(LOCAL)


def form_values(options: Any) -> dict[str, Any]:
    """The values in force: of the command line, then of the test before."""

    def joined(given: str | Iterable[str]) -> str:
        return given if isinstance(given, str) else ",".join(filter(None, given))

    return {
        "delivery_profile": joined(options.delivery_profile),
        "experiment": joined(options.experiment),
        "schedule": options.schedule,
        "rate": options.rate,
        "duration": options.duration,
        "message_size": options.message_size,
        "producers": options.producers,
        "seed": str(options.seed),
        "brokers": str(options.brokers),
    }
