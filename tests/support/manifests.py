"""What is in k8s/: the files as they are, and the overlays as kubectl renders them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
K8S: Final = ROOT / "k8s"
OVERLAYS: Final = tuple(sorted(path.name for path in (K8S / "overlays").iterdir()))
COMPONENTS: Final = tuple(sorted(path.name for path in (K8S / "components").iterdir()))
FILES: Final = tuple(sorted(K8S.rglob("*.yaml")))


def documents(text: str) -> list[Any]:
    """The documents of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def resources(path: Path) -> list[dict[str, Any]]:
    """The documents of a file that are no input of kustomize and no values of Helm."""
    found = [each for each in documents(path.read_text(encoding="utf-8")) if "kind" in each]
    return [each for each in found if not each["apiVersion"].startswith("kustomize.")]


@functools.cache
def rendered(overlay: str) -> str:
    """An overlay as `kubectl kustomize` renders it; skips where there is no kubectl."""
    return kustomized(K8S / "overlays" / overlay)


def kustomized(folder: Path) -> str:
    """A folder as `kubectl kustomize` renders it; skips where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on the PATH, so no overlay can be rendered")
    return subprocess.run(
        [kubectl, "kustomize", str(folder)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def with_component(overlay: str, component: str, folder: Path) -> list[dict[str, Any]]:
    """The objects of an overlay with a component above it, as a user's own overlay adds one.

    folder: an empty one to write that overlay into.
    """
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(K8S / "overlays" / overlay, folder.resolve())],
        "components": [os.path.relpath(K8S / "components" / component, folder.resolve())],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return documents(kustomized(folder))


def objects(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay."""
    return documents(rendered(overlay))


def pod_specs(found: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(kind/name, pod's spec) of everything that the harness itself starts."""
    for each in found:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Deployment":
            yield name, each["spec"]["template"]["spec"]
        elif each["kind"] == "CronJob":
            yield name, each["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif each["kind"] in ("Job", "Pod", "StatefulSet", "DaemonSet"):
            yield name, each["spec"].get("template", each)["spec"]
