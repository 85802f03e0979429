"""What a node's programs write to places that no setting of theirs moves.

Each is told apart by what this node alone has: its network's name, its folder, its containers'
addresses. What somebody else still uses stays.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Final

_LOG_LINKS: Final = Path("/var/log/containers")
"""The kubelet links each container's log where collectors of logs look for it."""

_CNI_RESULTS: Final = Path("/var/lib/cni/results")
"""The library behind containerd keeps what it got from the plugins, by the network's name."""

_SHIM_SOCKETS: Final = Path("/run/containerd/s")
"""Where containerd's shims listen, one for each pod."""

_KUBELET_SOCKET: Final = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
"""Where the kubelet waits for plugins of devices; the last one that started listens there."""


def clear(folder: Path, state: Path, network: str) -> None:
    """Remove what an ended node left there: its instance's `folder`, containerd's `state`."""
    for link in _files_in(_LOG_LINKS):
        if link.is_symlink() and link.readlink().is_relative_to(folder):
            link.unlink()
    for result in _files_in(_CNI_RESULTS):
        if result.name.startswith(f"{network}-"):
            result.unlink()
    for address in state.glob("**/address"):
        path = Path(address.read_text().strip().removeprefix("unix://"))
        if path.parent == _SHIM_SOCKETS:
            path.unlink(missing_ok=True)
    if _is_dead(_KUBELET_SOCKET):
        _KUBELET_SOCKET.unlink()
    _remove_empty(_LOG_LINKS)
    _remove_empty(_CNI_RESULTS, _CNI_RESULTS.parent)
    _remove_empty(_SHIM_SOCKETS, _SHIM_SOCKETS.parent)
    _remove_empty(_KUBELET_SOCKET.parent, _KUBELET_SOCKET.parent.parent)


def _files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_dead(path: Path) -> bool:
    """Whether a socket's file is there and nobody listens on it."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # not there, or not empty: somebody uses it
            folder.rmdir()
