"""One replica's directory: its segments, its leader epochs, where its log begins and ends.

    <log directory>/<topic>-<partition>/
        00000000000000000000.log     a segment, named by its first offset
        leader-epoch-checkpoint      `epoch start-offset` a line, after version and count

The files of a running broker may grow while they are read; a batch counts once all of it is there.
"""

from __future__ import annotations

import contextlib
import mmap
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.replicas.batches import Batch, Bytes, batches

_CHECKPOINT: Final = "leader-epoch-checkpoint"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment file; `first` is the offset in its name."""

    path: Path
    first: int

    @contextlib.contextmanager
    def opened(self) -> Iterator[Bytes]:
        """Its bytes, mapped."""
        with self.path.open("rb") as file:
            if self.path.stat().st_size == 0:
                yield b""
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield mapped


class Replica:
    """A replica's directory in a broker's log directory."""

    def __init__(self, log_directory: Path, topic: str, partition: int) -> None:
        self.path = log_directory / f"{topic}-{partition}"

    @property
    def there(self) -> bool:
        """Whether the broker has it at all."""
        return self.path.is_dir()

    def segments(self) -> list[Segment]:
        """Its segments in the order of their offsets."""
        found = [Segment(path, int(path.stem)) for path in self.path.glob("*.log")]
        return sorted(found, key=lambda segment: segment.first)

    def epochs(self) -> list[tuple[int, int]]:
        """(leader epoch, its first offset), ascending; empty when nothing is known."""
        try:
            lines = (self.path / _CHECKPOINT).read_text(encoding="ascii").splitlines()[2:]
            return sorted((int(line.split()[0]), int(line.split()[1])) for line in lines if line)
        except (OSError, ValueError, IndexError):
            return []

    def start(self) -> int | None:
        """The first offset of its first segment."""
        segments = self.segments()
        return segments[0].first if segments else None

    def end(self) -> int | None:
        """The offset after its last whole batch: what Kafka calls the log end offset."""
        segments = self.segments()
        if not segments:
            return None
        end = segments[-1].first
        with segments[-1].opened() as data:
            for batch in batches(data):
                end = batch.last_offset + 1
        return end

    def batches_from(self, offset: int) -> Iterator[tuple[Bytes, Batch]]:
        """The batches that reach `offset` or lie beyond it, each with its segment's bytes."""
        segments = self.segments()
        begin = max(0, bisect_right([segment.first for segment in segments], offset) - 1)
        for segment in segments[begin:]:
            with segment.opened() as data:
                for batch in batches(data):
                    if batch.last_offset >= offset:
                        yield data, batch
