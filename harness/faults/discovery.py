"""What `chaos discover` lists: every action and probe of this package, with its arguments."""

from __future__ import annotations

from typing import Any, Final

from harness.version import __version__

_ACTIONS: Final = (
    "brokers", "command", "coordinators", "members", "nominal", "operated", "healing",
)  # fmt: skip
_PROBES: Final = ("probes",)


def discover(discover_system: bool = True) -> dict[str, Any]:  # noqa: ARG001
    """Chaos Toolkit's entry point for discovery; nothing of the system is looked at."""
    from chaoslib.discovery import discover_actions, discover_probes, initialize_discovery_result

    found: dict[str, Any] = initialize_discovery_result("delivery-harness", __version__, "kafka")
    for module in _ACTIONS:
        found["activities"] += discover_actions(f"harness.faults.{module}")
    for module in _PROBES:
        found["activities"] += discover_probes(f"harness.faults.{module}")
    for each in found["activities"]:
        # The public path, not the module that happens to hold the function.
        each["mod"] = "harness.faults"
    return found
