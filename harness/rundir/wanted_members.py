"""How many members a profile is to have, when that is not what run.json says.

`members/wanted.json` holds {profile: number}. Whoever scales a group writes it, the pool reads it
in every round.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from harness.rundir.documents import write_json
from harness.rundir.run_dir import RunDir

WANTED: Final = "wanted.json"


def wanted_path(run_dir: RunDir) -> Path:
    """Where the numbers are."""
    return run_dir.members / WANTED


def wanted_members(run_dir: RunDir) -> dict[str, int]:
    """The profiles for which somebody asked for another number of members."""
    try:
        document = json.loads(wanted_path(run_dir).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {str(profile): int(number) for profile, number in document.items()}


def want(run_dir: RunDir, numbers: dict[str, int]) -> None:
    """Ask for so many members of these profiles; the others stay as they are."""
    write_json(wanted_path(run_dir), {**wanted_members(run_dir), **numbers})


def want_as_planned(run_dir: RunDir) -> None:
    """Let every profile have as many members as run.json says. Safe to call at any time."""
    wanted_path(run_dir).unlink(missing_ok=True)
