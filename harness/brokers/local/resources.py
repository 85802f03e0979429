"""Samples what each local broker uses of this machine: CPU, memory, disk.

Reading /proc costs a millisecond a broker. The files of a broker are added up as blocks that are
really taken: Kafka preallocates its index files, which are sparse.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from harness.rundir.events import ResourcesEvent

INTERVAL_S: Final = 1.0
BLOCK_BYTES: Final = 512
SOURCE: Final = "resources"


class ResourceWatch:
    """A thread that samples until it is ended.

    pids: what gives the process of each broker that runs now; directories: broker → its data.
    """

    def __init__(
        self,
        pids: Callable[[], Mapping[int, int]],
        directories: Mapping[int, Path],
        append: Callable[[ResourcesEvent], None],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._pids = pids
        self._directories = directories
        self._append = append
        self._interval_s = interval_s
        self._processes: dict[int, psutil.Process] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread; nothing is written afterwards."""
        self._stop.set()
        self._thread.join(self._interval_s + 5)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            for broker, pid in self._pids().items():
                event = self._sample(broker, pid)
                if event is not None and not self._stop.is_set():
                    self._append(event)

    def _sample(self, broker: int, pid: int) -> ResourcesEvent | None:
        """What a broker used since the sample before; None for the first one of a process."""
        try:
            process = self._processes.get(broker)
            if process is None or process.pid != pid:
                process = self._processes[broker] = psutil.Process(pid)
                process.cpu_percent()
                return None
            cpu = process.cpu_percent()
            memory = process.memory_info().rss
        except psutil.Error:
            self._processes.pop(broker, None)
            return None  # it ended at this moment
        return ResourcesEvent(
            source=SOURCE,
            broker=broker,
            cpu_percent=cpu,
            memory_bytes=memory,
            disk_bytes=taken_bytes(self._directories[broker]),
        )


def taken_bytes(directory: Path) -> int:
    """What the files below a directory take on disk; one that goes meanwhile counts nothing."""
    total = 0
    pending = [str(directory)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += _blocks(entry) * BLOCK_BYTES
        except OSError:
            continue
    return total


def _blocks(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks
    except OSError:
        return 0
