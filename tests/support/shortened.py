"""Experiments that ship with the harness, with shorter pauses, where a test needs no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.system.assets import folder


def shortened(name: str, path: Path, *, pause_s: float, **arguments: Any) -> Path:
    """Write a copy of a shipped experiment: its pauses, and these arguments of its actions."""
    document = yaml.safe_load((folder("experiments") / f"{name}.yaml").read_text())
    for activity in document["method"]:
        activity["pauses"] = {"before": pause_s}
        activity["provider"].setdefault("arguments", {}).update(arguments)
    path.write_text(yaml.safe_dump(document))
    return path
