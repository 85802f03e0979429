"""How what workers recorded comes into the run directory.

A worker on the master's machine has written it there. What another one hands in is put together in
workers/<number>/, and merged once each of its files is what its sender had.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from harness.errors import HarnessError
from harness.load import messages as m
from harness.load.introductions import Channel
from harness.load.run_worker import RunWorker
from harness.rundir.partial import FilePart, PartialReceiver, merge
from harness.rundir.run_dir import RunDir

log = logging.getLogger(__name__)


class Arrivals:
    """Takes what the workers of one run at a time hand in."""

    def __init__(self, channel: Channel, workers: Callable[[], list[RunWorker]]) -> None:
        self._channel = channel
        self._workers = workers
        self._run_dir: RunDir | None = None
        self._run_id = ""
        self._moved_s: dict[int, float] = {}
        """worker → when something of it last arrived, by time.monotonic"""
        self._sources: dict[int, str] = {}
        """worker → the client that hands in what a process that died has left"""

    def begin(self, run_dir: RunDir, run_id: str) -> None:
        """From here on it is about this run."""
        self._run_dir, self._run_id = run_dir, run_id
        self._moved_s, self._sources = {}, {}

    def idle_s(self, worker: RunWorker) -> float:
        """For how long nothing of a worker has arrived; counted from the first time it is asked."""
        now = time.monotonic()
        return now - self._moved_s.setdefault(worker.share.worker, now)

    def has_source(self, worker: RunWorker) -> bool:
        """Whether another process hands in what it left."""
        return worker.share.worker in self._sources

    def _of(self, run_id: str, first: int) -> RunWorker | None:
        if run_id != self._run_id:
            return None
        return next((each for each in self._workers() if each.share.first == first), None)

    def on_ended(self, client_id: str, ended: m.LoadEnded) -> None:
        """The load of a worker is over."""
        for worker in self._workers():
            if ended.run_id == self._run_id and worker.client_id == client_id:
                worker.ended = ended
                self._moved_s[worker.share.worker] = time.monotonic()
                if worker.shared:
                    self._arrived(worker)

    def ask_for_leftovers(self, identities: Mapping[str, m.Identity]) -> None:
        """Ask for what a process that died has left on a disk where another one runs now."""
        for client_id, identity in identities.items():
            if client_id not in self._channel.runner.clients:
                continue
            for left in identity.leftovers:
                worker = self._of(left.run_id, left.first)
                if worker is None or worker.ended or worker.over or self.has_source(worker):
                    continue
                if client_id == worker.client_id:
                    continue
                self._sources[worker.share.worker] = client_id
                self._moved_s[worker.share.worker] = time.monotonic()
                self._channel.send(client_id, m.LeftoverWanted(left.run_id, left.first))

    def on_chunk(self, client_id: str, chunk: m.Chunk) -> None:
        """A part of a file."""
        worker = self._of(chunk.run_id, chunk.first)
        if worker is None or worker.shared or worker.over or self._run_dir is None:
            error = "this master has no such run, or has all of it"
            self._channel.send(
                client_id, m.Received(chunk.run_id, chunk.first, chunk.path, 0, error)
            )
            return
        if worker.receiver is None:
            folder = self._run_dir.path / "workers" / str(worker.share.worker)
            worker.receiver = PartialReceiver(folder, worker.share.first, worker.share.last)
        self._moved_s[worker.share.worker] = time.monotonic()
        part = FilePart(chunk.path, chunk.offset, chunk.size, chunk.crc, chunk.data)
        upto, error = 0, ""
        try:
            upto = worker.receiver.take(part)
        except (ValueError, HarnessError, OSError) as failed:
            error = worker.rejected = str(failed)
            log.error("what worker %s hands in is not used: %s", worker.identity.name, error)
        self._channel.send(
            client_id, m.Received(chunk.run_id, chunk.first, chunk.path, upto, error)
        )

    def on_complete(self, client_id: str, complete: m.Complete) -> None:
        """All parts of all files were sent."""
        worker = self._of(complete.run_id, complete.first)
        error = "this master has no such run, or has all of it"
        if worker is not None and not worker.over and self._run_dir is not None:
            error = self._merge(worker, complete, self._run_dir)
        self._channel.send(client_id, m.Merged(complete.run_id, complete.first, error))

    def _merge(self, worker: RunWorker, complete: m.Complete, run_dir: RunDir) -> str:
        """Make a directory part of the run's; why it cannot be, or an empty text."""
        number = worker.share.worker
        try:
            if worker.receiver is not None:
                worker.receiver.check_complete(complete.files)
                merge(worker.receiver.folder, run_dir, f"worker-{number}.log")
            elif complete.files:
                raise ValueError("none of its files are here")
        except (ValueError, HarnessError, OSError) as failed:
            worker.rejected = str(failed)
            log.error("what worker %s handed in is not used: %s", worker.identity.name, failed)
            return worker.rejected
        self._arrived(worker)
        return ""

    def _arrived(self, worker: RunWorker) -> None:
        assert self._run_dir is not None
        worker.arrived = True
        self._run_dir.append(*worker.has_arrived())
