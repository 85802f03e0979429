"""Where the folders are that ship beside the code: experiments, scenarios, report templates.

In a checkout they are at the top level; an installed wheel carries them inside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parents[1]
IMPORTED_FROM: Final = _PACKAGE.parent
"""The folder that has to be on the path for this very package to be found."""


def folder(name: str) -> Path:
    """The folder `experiments`, `scenarios` or `reports`."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
