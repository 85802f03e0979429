"""A part of a run directory, written by a worker that cannot write into the run's own.

It has the same layout: run.json, ledger/, latency/, timeline.ndjson and logs/worker.log. Its files
travel in parts (`Outgoing`), each with a CRC, each file with a SHA-256. The other side puts them
together (`PartialReceiver`), and `merge` makes them part of the run directory. So memory stays at a
part for each side, whatever the size of a ledger. The incarnations of a partial directory are the
numbers that were handed out for it, and no file of another number is taken.

No client library is imported here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import RunDirError
from harness.rundir.run_dir import RunDir
from harness.system.disk import needs_space, write_whole

CHUNK_BYTES: Final = 256 * 1024
"""Of a file, before it is compressed."""
WORKER_LOG: Final = "logs/worker.log"
TIMELINE: Final = "timeline.ndjson"
_APPEND_BYTES: Final = 1024 * 1024
_LEDGER: Final = re.compile(r"ledger/(?P<number>[0-9]{1,10})\.(ledger|txn\.ndjson)")
_LATENCY: Final = re.compile(r"latency/[A-Za-z0-9_.-]+\.(?P<number>[0-9]{1,10})\.hlog")


@dataclass(frozen=True, slots=True)
class FilePart:
    """`size` bytes of a file from `offset` on, compressed; crc: of what they were before."""

    path: str
    offset: int
    size: int
    crc: int
    data: bytes


@dataclass(slots=True)
class Outgoing:
    """The files of a partial directory, part by part; `sent` says what each of them has to be."""

    folder: Path
    sent: dict[str, tuple[int, str]]

    def parts(self) -> Iterator[FilePart]:
        """Every part of every file, in order."""
        for path in files_of(self.folder):
            digest = hashlib.sha256()
            offset = 0
            with (self.folder / path).open("rb") as file:
                # The log of the process that sends it may still grow: what is there now is sent.
                end = os.fstat(file.fileno()).st_size
                while offset < end:
                    block = file.read(min(CHUNK_BYTES, end - offset))
                    if not block:
                        break
                    digest.update(block)
                    data = zlib.compress(block, 1)
                    yield FilePart(path, offset, len(block), zlib.crc32(block), data)
                    offset += len(block)
            self.sent[path] = (offset, digest.hexdigest())


def files_of(folder: Path) -> list[str]:
    """The files of a partial directory that belong into the run's; an empty one tells nothing."""
    found = [
        path.relative_to(folder).as_posix()
        for pattern in ("ledger/*", "latency/*.hlog", TIMELINE, WORKER_LOG)
        for path in sorted(folder.glob(pattern))
    ]
    return [path for path in found if _known(path) and (folder / path).stat().st_size]


def _known(path: str) -> bool:
    named = _LEDGER.fullmatch(path) or _LATENCY.fullmatch(path)
    return named is not None or path in (TIMELINE, WORKER_LOG)


class PartialReceiver:
    """Puts the parts of one partial directory together in `folder`."""

    def __init__(self, folder: Path, first: int, last: int) -> None:
        """first, last: the incarnations that were handed out for it."""
        self.folder = folder
        self.first, self.last = first, last
        self.received_bytes = 0
        self._sizes: dict[str, int] = {}
        self._digests: dict[str, hashlib._Hash] = {}

    def take(self, part: FilePart) -> int:
        """Write a part; how much of its file is there now.

        Raises ValueError for what is not the next part of a file that may be here,
        EnvironmentFailure when the disk is full.
        """
        self._check(part.path)
        have = self._sizes.get(part.path, 0)
        if part.offset != have:
            raise ValueError(f"{part.path}: a part from byte {part.offset} on, and {have} are here")
        if not 0 < part.size <= CHUNK_BYTES:
            raise ValueError(f"{part.path}: a part of {part.size} bytes")
        decompressor = zlib.decompressobj()
        try:
            block = decompressor.decompress(part.data, part.size + 1)
        except zlib.error as error:
            raise ValueError(f"{part.path}: a part that cannot be decompressed: {error}") from None
        if len(block) != part.size or zlib.crc32(block) != part.crc:
            raise ValueError(f"{part.path}: the part at byte {part.offset} was damaged on its way")
        target = self.folder / part.path
        with needs_space(f"{target}: no space left for what a worker recorded; free disk space."):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb" if not have else "r+b") as file:
                file.seek(have)
                file.write(block)
        self._sizes[part.path] = have + len(block)
        self._digests.setdefault(part.path, hashlib.sha256()).update(block)
        self.received_bytes += len(block)
        return have + len(block)

    def _check(self, path: str) -> None:
        named = _LEDGER.fullmatch(path) or _LATENCY.fullmatch(path)
        if not _known(path):
            raise ValueError(f"{path!r}: no file of a partial run directory")
        if named is not None and not self.first <= int(named["number"]) <= self.last:
            raise ValueError(f"{path}: its number is none of {self.first} to {self.last}")

    def check_complete(self, files: Mapping[str, tuple[int, str]]) -> None:
        """Raises ValueError unless exactly these files are here, as their sender had them."""
        here = {path: (size, self._digests[path].hexdigest()) for path, size in self._sizes.items()}
        for path, (size, digest) in files.items():
            if here.get(path) != (size, digest):
                found = here.get(path, (0, ""))[0]
                raise ValueError(f"{path}: {found} bytes are here that differ from the {size} sent")
        if further := sorted(here.keys() - files.keys()):
            raise ValueError(f"{further[0]}: was sent and is not named")


def merge(partial: Path, run_dir: RunDir, worker_log: str) -> None:
    """Make a complete partial directory part of the run's, and remove it.

    worker_log: what its log is called in `logs/`. Raises RunDirError when a ledger of the same
    number is there already.
    """
    for folder in ("ledger", "latency"):
        for path in sorted((partial / folder).glob("*")):
            target = run_dir.path / folder / path.name
            if target.exists():
                raise RunDirError(f"{target}: is there already; {path} is not merged into the run.")
            path.replace(target)
    timeline = partial / TIMELINE
    if timeline.exists():
        _append(timeline, run_dir.timeline)
    log = partial / WORKER_LOG
    if log.exists():
        run_dir.logs.mkdir(exist_ok=True)
        log.replace(run_dir.logs / worker_log)
    shutil.rmtree(partial, ignore_errors=True)
    with contextlib.suppress(OSError):
        partial.parent.rmdir()  # once it is empty


def _append(source: Path, target: Path) -> None:
    """Add the whole lines of a timeline to another, many of them with each write."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        with source.open("rb") as lines:
            while block := lines.readlines(_APPEND_BYTES):
                if not block[-1].endswith(b"\n"):
                    block.pop()  # its writer died there
                write_whole(
                    descriptor, b"".join(block), f"{target}: no space left; free disk space."
                )
    finally:
        os.close(descriptor)
