"""The storage class `local-folder`: a claim that waits gets a folder of the node as its volume.

A stand-in for the provisioner that every real cluster has. Volumes are of the type `local`, so
that Kubernetes makes them writable for a pod's fsGroup, and a pod that is made again finds its
data.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from tests.kubernetes.standin.api_server import CLAIM, VOLUME, ApiServer
from tests.kubernetes.standin.log import say

STORAGE_CLASS: Final = "local-folder"
PROVISIONER: Final = "stand-in/local-folder"


class VolumeProvisioner:
    """Makes and removes the volumes of the class, in folders below one."""

    def __init__(self, api: ApiServer, folder: Path, node: str) -> None:
        self._api = api
        self._folder = folder
        self._node = node

    def reconcile(self) -> None:
        for claim in self._api.list(CLAIM):
            wanted = claim["spec"].get("storageClassName") == STORAGE_CLASS
            if wanted and not claim["spec"].get("volumeName"):
                self._provide(claim)
        for volume in self._api.list(VOLUME):
            mine = volume["spec"].get("storageClassName") == STORAGE_CLASS
            if mine and volume.get("status", {}).get("phase") == "Released":
                self._remove(volume)

    def _provide(self, claim: dict[str, Any]) -> None:
        metadata = claim["metadata"]
        name = f"pvc-{metadata['uid']}"
        folder = self._folder / f"{metadata['namespace']}-{metadata['name']}-{metadata['uid'][:8]}"
        folder.mkdir(mode=0o755, exist_ok=True)
        node = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [self._node]}]
        made = self._api.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
                    "accessModes": claim["spec"]["accessModes"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": STORAGE_CLASS,
                    "local": {"path": str(folder)},
                    "nodeAffinity": {
                        "required": {"nodeSelectorTerms": [{"matchExpressions": node}]}
                    },
                    "claimRef": {
                        "apiVersion": "v1",
                        "kind": "PersistentVolumeClaim",
                        "namespace": metadata["namespace"],
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                    },
                },
            }
        )
        if made is not None:
            say(f"volume {name}: made for {metadata['namespace']}/{metadata['name']}")

    def _remove(self, volume: dict[str, Any]) -> None:
        """The claim is gone, so its data goes too, as with the class of a cloud."""
        name = volume["metadata"]["name"]
        shutil.rmtree(volume["spec"]["local"]["path"], ignore_errors=True)
        self._api.delete(VOLUME, name)
        say(f"volume {name}: removed with its claim")
