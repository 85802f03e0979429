"""The wheel of this source tree, installed into an environment apart, without any network.

The environment reaches the packages that this one has by a line in a .pth file: nothing is
downloaded. What it imports as `harness` is the wheel's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("harness", "experiments", "k8s", "reports", "scenarios")
FILES = ("pyproject.toml", "README.md", "LICENSE")


def checked(*command: str | Path, cwd: Path) -> str:
    """The output of a command that has to succeed."""
    ran = subprocess.run(
        [str(each) for each in command], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Compiled files, and the run directories that runs of this source tree have left."""
    runs = {"runs"} if Path(folder) == ROOT / "reports" else set()
    return {"__pycache__", *runs}.intersection(names)


def environment_with_wheel(folder: Path) -> Path:
    """Build the wheel and the environment below `folder`; the path of its python."""
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=_left_out)
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    apart = ("-q", "--no-deps", "--no-index")
    checked(*pip, "wheel", *apart, "--no-build-isolation", "-w", folder, tree, cwd=folder)
    (wheel,) = folder.glob("delivery_harness-*.whl")
    checked(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    checked(*pip, "--python", python, "install", *apart, wheel, cwd=folder)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(checked(python, "-c", asked, cwd=folder).strip())
    (site / "packages_of_the_tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python
