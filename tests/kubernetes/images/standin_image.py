"""The image of the stand-in for the Strimzi operators: the Python of the harness, and its files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import Progress
from tests.kubernetes.images.layers import ACCOUNTS, folder_layer, write_tree
from tests.kubernetes.images.python_layers import REPOSITORY, packages_layer, python_layer
from tests.kubernetes.lab.cache import built
from tests.kubernetes.lab.image import write_image

NAME: Final = "localhost/delivery-standin:1"
PACKAGES: Final = ("confluent-kafka", "urllib3")
FILES: Final = REPOSITORY / "tests" / "kubernetes" / "standin"


def standin_image(progress: Progress | None = None) -> Path:
    """The archive of `NAME`, built when something that it is made of changed."""
    layers = [python_layer(progress), packages_layer("standin", PACKAGES, progress)]
    code = sorted(FILES.glob("*.py"))
    sources = b"\0".join(
        [str(each).encode() for each in layers]
        + [path.name.encode() + path.read_bytes() for path in (Path(__file__), *code)]
    )

    def make(folder: Path, progress: Progress) -> None:
        progress(f"image {NAME}")
        root = folder / "root"
        package = root / "opt" / "standin" / "tests" / "kubernetes" / "standin"
        package.mkdir(parents=True)
        for path in code:
            shutil.copy(path, package / path.name)
        (root / "tmp").mkdir()
        write_tree(root, ACCOUNTS)
        top = folder_layer(root, folder / "standin.tar", modes={"tmp": 0o1777})
        write_image(
            folder / "image.tar",
            NAME,
            ["/usr/bin/tini", "--", "/usr/bin/python3", "-m", "tests.kubernetes.standin"],
            [*layers, top],
            environment={"PYTHONPATH": "/opt/standin", "HOME": "/tmp"},
            user="10001:10001",
        )
        shutil.rmtree(root)
        top.unlink()

    return built("image-standin", "1", sources, make, progress=progress) / "image.tar"
