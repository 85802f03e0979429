"""k8s/ as the user applies it: which overlays there are, and what one of them renders to."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from harness.errors import UsageError
from harness.kubernetes.kubectl import NAMESPACE, Kubectl
from harness.system.assets import folder
from harness.system.suggest import nearest

KUSTOMIZATION: Final = "kustomization.yaml"


def overlays() -> dict[str, Path]:
    """name → folder, in alphabetic order."""
    found = sorted((folder("k8s") / "overlays").iterdir())
    return {path.name: path for path in found if (path / KUSTOMIZATION).is_file()}


def overlay_folder(name: str) -> Path:
    """The overlay that is meant: one of ours by name, or a folder. Raises UsageError."""
    known = overlays()
    if name in known:
        return known[name]
    path = Path(name)
    if (path / KUSTOMIZATION).is_file():
        return path.resolve()
    raise UsageError(
        f"--overlay {name}: no folder with a {KUSTOMIZATION}, and no overlay of that name"
        f"{nearest(name, known)}. Accepted: {', '.join(known)}, or such a folder."
    )


@contextlib.contextmanager
def in_namespace(overlay: Path, namespace: str) -> Iterator[Path]:
    """The overlay, or for another namespace than its own a folder that puts it there.

    Kustomize's own way: a kustomization above the overlay. Its `namespace` changes the subjects of
    role bindings no more once they have one; a transformer does when it is asked to.
    """
    if namespace == NAMESPACE:
        yield overlay
        return
    with tempfile.TemporaryDirectory(prefix="harness-k8s-") as made:
        above = Path(made).resolve()
        document = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": namespace,
            "resources": [os.path.relpath(overlay.resolve(), above)],
            "transformers": ["namespace.yaml"],
        }
        transformer = {
            "apiVersion": "builtin",
            "kind": "NamespaceTransformer",
            "metadata": {"name": "namespace", "namespace": namespace},
            "setRoleBindingSubjects": "allServiceAccounts",
        }
        (above / KUSTOMIZATION).write_text(yaml.safe_dump(document), encoding="utf-8")
        (above / "namespace.yaml").write_text(yaml.safe_dump(transformer), encoding="utf-8")
        yield above


def rendered(kubectl: Kubectl, overlay: Path, *, shown: bool = True) -> str:
    """What kubectl makes of an overlay, as YAML. No cluster is asked."""
    with in_namespace(overlay, kubectl.target.namespace) as path:
        if shown:
            kubectl.say(f"+ kubectl kustomize {overlay}" + elsewhere(kubectl))
        return kubectl.call("kustomize", str(path))


def elsewhere(kubectl: Kubectl) -> str:
    """What a command that names the overlay leaves out where it goes into another namespace."""
    namespace = kubectl.target.namespace
    return "" if namespace == NAMESPACE else f"   # with namespace: {namespace} above it"


def parsed(text: str) -> list[dict[str, Any]]:
    """The objects of a rendered overlay."""
    return [each for each in yaml.safe_load_all(text) if each is not None]


def written(objects: list[dict[str, Any]]) -> str:
    """Objects as one YAML text."""
    return yaml.safe_dump_all(objects, sort_keys=False)
