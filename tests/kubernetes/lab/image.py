"""Container images without docker: an archive as `docker save` writes it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write_image(
    out: Path,
    name: str,
    entrypoint: Sequence[str],
    layers: Sequence[Path],
    *,
    environment: Mapping[str, str] | None = None,
    user: str = "",
    working_folder: str = "/",
) -> Path:
    """Write the image `name` to `out`, which containerd can import; `out`.

    A layer is a tar file, a folder whose content goes to /, or a file put at /. Later layers lie
    over earlier ones. Everything from folders and files belongs to root.
    """
    partial = out.with_name(f".{out.name}.partial")
    with (
        tarfile.open(partial, "w") as archive,
        tempfile.TemporaryDirectory(dir=out.parent, prefix=".layers-") as work,
    ):
        digests = [_add_layer(archive, layer, Path(work)) for layer in layers]
        settings = {
            "Entrypoint": list(entrypoint),
            "Env": [f"{k}={v}" for k, v in {"PATH": _PATH, **(environment or {})}.items()],
            "WorkingDir": working_folder,
            "User": user,
        }
        described = {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in digests]},
            "history": [{} for _ in digests],
        }
        config = json.dumps(described).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        listing: list[dict[str, Any]] = [
            {
                "Config": config_name,
                "RepoTags": [name],
                "Layers": [_layer_name(each) for each in digests],
            }
        ]
        _add_bytes(archive, config_name, config)
        _add_bytes(archive, "manifest.json", json.dumps(listing).encode())
    partial.replace(out)
    return out


def _add_layer(archive: tarfile.TarFile, layer: Path, work: Path) -> str:
    """Put one layer into the archive; its digest."""
    source = layer
    if layer.suffix != ".tar":
        source = work / f"{layer.name}.tar"
        with tarfile.open(source, "w") as packed:
            for path in sorted(layer.iterdir()) if layer.is_dir() else [layer]:
                packed.add(path, arcname=path.name, filter=_owned_by_root)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    archive.add(source, arcname=_layer_name(digest), filter=_owned_by_root)
    if source != layer:
        source.unlink()
    return digest


def _layer_name(digest: str) -> str:
    return f"{digest}/layer.tar"


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0  # the same content gives the same digest
    return entry


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
