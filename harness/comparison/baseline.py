"""A side that is kept as one file, to compare later measurements with.

reports/baselines/NAME.json holds the figures by repeat, the promises by run and the conditions: a
few kilobytes that can be committed, without the run directories that they are from. It names the
processor, cores, memory and versions; no host name, no address, no user, no setting that is secret.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from harness.comparison.measured import Side
from harness.errors import RunDirError, UsageError
from harness.rundir.clock import now
from harness.rundir.documents import read_json, typed, write_json

BASELINE_SCHEMA: Final = "delivery-baseline/1"
FOLDER: Final = Path("reports/baselines")
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


def check_name(name: str) -> None:
    """Raises UsageError for what is no name of a file."""
    if not _NAME.match(name):
        raise UsageError(
            f"--keep {name!r}: accepted are letters, digits, '.', '_' and '-', 100 at most."
        )


def keep(name: str, side: Side, folder: Path = FOLDER) -> Path:
    """Write a side as a baseline, over one of the same name; its path. Raises UsageError."""
    check_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.removesuffix('.json')}.json"
    document = asdict(replace(side, name=name.removesuffix(".json")))
    write_json(path, {"kept_at": now(), **document}, schema=BASELINE_SCHEMA)
    return path


def read_baseline(path: Path) -> Side:
    """A side that `keep` wrote. Raises RunDirError for anything else."""
    document = read_json(path, "a baseline", schema=BASELINE_SCHEMA)
    try:
        return typed(Side, document)
    except ValueError as error:
        raise RunDirError(f"{path}: not a baseline of this harness: {error}.") from None
