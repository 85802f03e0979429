"""The built-in scenario, as a load process is given it."""

from __future__ import annotations

from typing import Final

from harness.system.assets import folder

STEADY: Final = str(folder("scenarios") / "steady.py")
