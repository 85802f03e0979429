"""Which Locust file drives the load of a run: a built-in scenario, or a file of the user's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from harness.errors import UsageError
from harness.system.assets import folder
from harness.system.suggest import nearest

DEFAULT_SCENARIO: Final = "steady"
CHECK_TIMEOUT_S: Final = 60.0


def built_in_scenarios() -> dict[str, Path]:
    """name → file, in alphabetic order."""
    files = sorted(folder("scenarios").glob("*.py"))
    return {path.stem: path for path in files if not path.name.startswith("_")}


def scenario_file(name: str | None) -> Path:
    """The file that is meant. Raises UsageError where it defines no users of ours.

    A file of the user's own is imported once by a process apart, so that it is refused before
    anything of a run is started.
    """
    known = built_in_scenarios()
    given = name or DEFAULT_SCENARIO
    if given in known:
        return known[given]
    path = Path(given)
    if not path.is_file():
        raise UsageError(
            f"--scenario {given}: no such file, and no built-in scenario{nearest(given, known)}. "
            f"Accepted: a Locust file, or {', '.join(known)}."
        )
    try:
        checked = subprocess.run(
            [sys.executable, "-m", "harness.load.scenario", str(path)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CHECK_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"--scenario {given}: its import was not over after {CHECK_TIMEOUT_S:g} s. What a "
            "scenario does belongs into its tasks."
        ) from None
    if checked.returncode != 0:
        lines = checked.stderr.strip().splitlines()
        raise UsageError(lines[-1] if lines else f"--scenario {given}: cannot be imported.")
    return path.resolve()
