"""What an experiment's document says of the harness, read without checking it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.faults.registry import FAULTS

EXTENSION: Final = "harness"
MODULE: Final = "harness.faults"


def called(activity: Mapping[str, Any]) -> str | None:
    """The function of harness.faults that an activity calls; None for any other activity."""
    provider = activity.get("provider") or {}
    module = str(provider.get("module", ""))
    if module == MODULE or module.startswith(f"{MODULE}."):
        return str(provider.get("func"))
    return None


def injected(document: Mapping[str, Any]) -> list[str]:
    """The faults that the method injects, in order; nominal ones, such as no_fault, too."""
    actions = [each for each in document.get("method") or [] if isinstance(each, Mapping)]
    names = [called(each) for each in actions if each.get("type") == "action"]
    return [name for name in names if name in FAULTS]


def aims(document: Mapping[str, Any]) -> dict[str, str]:
    """anomaly → the control profile that the faults should break."""
    for extension in document.get("extensions") or []:
        if isinstance(extension, Mapping) and extension.get("name") == EXTENSION:
            named = extension.get("aims")
            named = named if isinstance(named, Mapping) else {}
            return {str(anomaly): str(profile) for anomaly, profile in named.items()}
    return {}
