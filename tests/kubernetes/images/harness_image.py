"""The image of the harness, as the Containerfile makes it: same entrypoint, user and folders.

It is made from the project's wheel. A change of the harness makes its topmost layer anew, and no
other.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import Progress
from harness.version import __version__
from tests.kubernetes.images.layers import ACCOUNTS, OWNERS, folder_layer, write_tree
from tests.kubernetes.images.python_layers import (
    REPOSITORY,
    install,
    packages_layer,
    python_layer,
    python_version,
    requirements,
    run_pip,
)
from tests.kubernetes.lab.cache import built
from tests.kubernetes.lab.image import write_image

NAME: Final = f"docker.io/library/delivery-harness:{__version__}"
"""What k8s/ calls `delivery-harness:<version>`."""
WHEEL_SOURCES: Final = (
    *("pyproject.toml", "README.md", "LICENSE", "harness", "experiments", "k8s", "scenarios"),
    *("reports/schemas", "reports/templates"),
)
"""What the Containerfile copies into its build."""
_IGNORED: Final = ("__pycache__", "*.pyc", "*.egg-info")


def harness_image(progress: Progress | None = None) -> Path:
    """The archive of `NAME`, built when something that it is made of changed."""
    layers = [python_layer(progress), packages_layer("harness", requirements(), progress)]
    sources = b"\0".join(
        [str(each).encode() for each in layers]
        + [Path(__file__).read_bytes()]
        + [f"{path.relative_to(REPOSITORY)}".encode() + path.read_bytes() for path in _sources()]
    )

    def make(folder: Path, progress: Progress) -> None:
        progress(f"image {NAME}: the wheel")
        root = folder / "root"
        _lay_out(root, python_version(layers[0]))
        home = folder_layer(
            root,
            folder / "harness.tar",
            owners=dict.fromkeys(("home/harness", "results"), OWNERS["harness"]),
            modes={"tmp": 0o1777},
        )
        write_image(
            folder / "image.tar",
            NAME,
            ["harness"],
            [*layers, home],
            environment={
                "HOME": "/home/harness",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
            },
            user="10001:10001",
            working_folder="/results",
        )
        shutil.rmtree(root)
        home.unlink()

    return built("image-harness", __version__, sources, make, progress=progress) / "image.tar"


def _sources() -> Iterator[Path]:
    for name in WHEEL_SOURCES:
        root = REPOSITORY / name
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _lay_out(root: Path, version: str) -> None:
    with tempfile.TemporaryDirectory(prefix="delivery-wheel-") as name:
        source = Path(name) / "source"
        source.mkdir()
        for each in WHEEL_SOURCES:
            origin, target = REPOSITORY / each, source / each
            target.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, target, ignore=shutil.ignore_patterns(*_IGNORED))
            else:
                shutil.copy(origin, target)
        wheels = Path(name) / "wheels"
        run_pip("wheel", "--no-deps", f"--wheel-dir={wheels}", str(source))
        install(root, version, ["--no-deps", *map(str, wheels.glob("*.whl"))])
    write_tree(root, ACCOUNTS)
    for folder in ("home/harness", "results", "scenarios", "tmp"):
        (root / folder).mkdir(parents=True)
