"""Layers of images: tar files made from folders and from Debian's packages."""

from __future__ import annotations

import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from harness.brokers.local.cache import Progress
from harness.errors import EnvironmentFailure
from tests.kubernetes.lab.cache import built

Value = TypeVar("Value")

OWNERS: Final = {"kafka": (1001, 0), "harness": (10001, 10001)}
"""Users of the images: name → user and group id. Strimzi's Kafka runs as 1001, group 0."""
ACCOUNTS: Final = {
    "etc/passwd": "root:x:0:0::/root:/bin/bash\n"
    "kafka:x:1001:0::/opt/kafka:/bin/bash\n"
    "harness:x:10001:10001::/home/harness:/bin/bash\n",
    "etc/group": "root:x:0:\nharness:x:10001:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

_DEBIAN_TIMEOUT_S: Final = 900.0
_LEFT_OUT: Final = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "var/cache",
    "var/lib/apt",
    "var/log",
    "dev",
)
_SHOWN: Final = 2000


def debian_release() -> str:
    """The code name of this machine's Debian or Ubuntu. Raises EnvironmentFailure elsewhere."""
    name = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if not name or not apt_sources():
        raise EnvironmentFailure(
            "Images are made from packages of Debian or Ubuntu, and this machine is neither: "
            "/etc/os-release names no VERSION_CODENAME, or there is no source in /etc/apt."
        )
    return name


def apt_sources() -> list[str]:
    """Where this machine's own packages come from: files for apt."""
    folder = Path("/etc/apt")
    patterns = ("sources.list", "sources.list.d/*.list", "sources.list.d/*.sources")
    return sorted(str(path) for each in patterns for path in folder.glob(each))


def debian_layer(name: str, packages: Sequence[str], progress: Progress | None = None) -> Path:
    """A layer with `packages` and what they need, not configured; kept in the cache.

    Raises EnvironmentFailure when mmdebstrap fails.
    """
    release = debian_release()
    sources = "\n".join([*packages, *_LEFT_OUT]).encode()

    def make(folder: Path, progress: Progress) -> None:
        progress(f"image layer {name}: packages of {release}")
        _mmdebstrap(release, packages, folder / "all.tar")
        with (
            tarfile.open(folder / "all.tar") as whole,
            tarfile.open(folder / "layer.tar", "w") as kept,
        ):
            for entry in whole:
                path = entry.name.removeprefix("./")
                if not any(path == each or path.startswith(f"{each}/") for each in _LEFT_OUT):
                    kept.addfile(entry, whole.extractfile(entry) if entry.isreg() else None)
        (folder / "all.tar").unlink()

    return built(f"layer-{name}", release, sources, make, progress=progress) / "layer.tar"


def folder_layer(
    folder: Path,
    out: Path,
    *,
    owners: Mapping[str, tuple[int, int]] | None = None,
    modes: Mapping[str, int] | None = None,
) -> Path:
    """A tar file of what is in `folder`, with its modification times; `out`.

    `owners` and `modes` are by path: that of the folder's content to which they apply, and below
    it; everything else is root's.
    """

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid = _of(entry.name, owners or {}, (0, 0))
        entry.uname = entry.gname = ""
        entry.mode = _of(entry.name, modes or {}, entry.mode)
        return entry

    with tarfile.open(out, "w") as packed:
        for path in sorted(folder.iterdir()):
            packed.add(path, arcname=path.name, filter=owned)
    return out


def write_tree(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files below `folder`, by path."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _of(name: str, table: Mapping[str, Value], otherwise: Value) -> Value:
    found = [each for each in table if name == each or name.startswith(f"{each}/")]
    return table[max(found, key=len)] if found else otherwise


def _mmdebstrap(release: str, packages: Sequence[str], out: Path) -> None:
    command = ["mmdebstrap", "--mode=root", "--variant=extract", f"--include={','.join(packages)}"]
    try:
        ended = subprocess.run(
            [*command, release, str(out), *apt_sources()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DEBIAN_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"mmdebstrap did not run: {error}") from error
    if ended.returncode:
        raise EnvironmentFailure(f"mmdebstrap failed: {ended.stderr[-_SHOWN:]}")
