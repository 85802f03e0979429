"""A drain's reading, split over processes by topic-partition.

One Python process takes a record from the client in about half a microsecond of its one thread;
more processes read more partitions at the same time. This process reads a share itself, and each
further share is a child with a set of observations of its own: `part-<n>/` in the set's folder,
files as in the set itself. No topic-partition is in two shares, so the parts together are exactly
what one process would have written.

    parent → child   {"read": [stretches]}  |  {"close": true}            one line of JSON each
    child → parent   {"positions": […], "last_error": text}  |  {"counts": {…}}  |  {"error": text}
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from harness.errors import EnvironmentFailure, HarnessError
from harness.kafka.environment import HarnessEnvironment, child_environment
from harness.read.drain_reading import DrainReading, ReadRange, Say
from harness.read.read_positions import Key, Position
from harness.rundir.observations import ObservationSet
from harness.rundir.rows import Counts
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.system.garbage_collector import rare_collections
from harness.system.lifeline import Child, watch

SHARE_OFFSETS_MIN: Final = 1_000_000
"""Below this a further process costs more to start than it saves."""
_CLOSE_GRACE_S: Final = 10.0


def processes_for(stretches: Sequence[ReadRange], cores: int | None = None) -> int:
    """How many processes are worth it: by cores, partitions, and offsets to read."""
    offsets = sum(stretch.target - stretch.start for stretch in stretches)
    cores = cores or os.cpu_count() or 1
    return max(1, min(cores, len(stretches), offsets // SHARE_OFFSETS_MIN))


def shared_out(stretches: Sequence[ReadRange], shares: int) -> list[list[ReadRange]]:
    """The stretches in `shares` lists of about as many offsets each: longest first."""
    lists: list[list[ReadRange]] = [[] for _ in range(shares)]
    loads = [0] * shares
    for stretch in sorted(stretches, key=lambda each: each.start - each.target):
        least = loads.index(min(loads))
        lists[least].append(stretch)
        loads[least] += stretch.target - stretch.start
    return lists


class DrainWorkers:
    """The reading of one drain, by this process and as many others as it is worth."""

    def __init__(
        self,
        run_dir: RunDir,
        info: RunInfo,
        client_config: Mapping[str, str],
        observations: ObservationSet,
        timeout_s: float,
        say: Say,
        processes: int | None = None,
    ) -> None:
        """processes: how many at most; by default as many as are worth it."""
        self._run_dir = run_dir
        self._client_config = client_config
        self._timeout_s = timeout_s
        self._processes = processes
        self._folder = observations.folder
        self._own = DrainReading(info, client_config, observations, timeout_s, say)
        self._helpers: list[_Helper] = []
        self._share_of: dict[Key, int] = {}

    @property
    def last_error(self) -> str:
        """What a client said last of its connections."""
        said = [self._own.last_error, *(helper.last_error for helper in self._helpers)]
        return next(filter(None, said), "")

    def read(self, stretches: Sequence[ReadRange]) -> dict[Key, Position]:
        """As `DrainReading.read`. Raises HarnessError too, when another process ended by itself."""
        lists = self._lists(stretches)
        for helper, share in zip(self._helpers, lists[1:], strict=True):
            helper.ask(share)
        positions = self._own.read(lists[0])
        for helper in self._helpers:
            positions |= helper.answer()
        return positions

    def _lists(self, stretches: Sequence[ReadRange]) -> list[list[ReadRange]]:
        if not self._share_of:
            wanted = self._processes or processes_for(stretches)
            lists = shared_out(stretches, max(1, min(wanted, len(stretches))))
            for number, share in enumerate(lists):
                self._share_of.update({stretch.key: number for stretch in share})
            self._helpers = [self._start(number) for number in range(1, len(lists))]
            return lists
        # A partition stays with the process that has read it so far.
        lists = [[] for _ in range(1 + len(self._helpers))]
        for stretch in stretches:
            lists[self._share_of.setdefault(stretch.key, 0)].append(stretch)
        return lists

    def _start(self, number: int) -> _Helper:
        folder = self._folder / f"part-{number}"
        log = self._run_dir.logs / f"{self._folder.name}-{number}.log"
        return _Helper(self._run_dir.path, folder, log, self._client_config, self._timeout_s)

    def close(self) -> Counts:
        """End the other processes; what they counted, together.

        Raises HarnessError when one did not end in order: its set is not whole.
        """
        total = Counts()
        helpers, self._helpers = self._helpers, []
        try:
            for helper in helpers:
                total = total.plus(helper.close())
        finally:
            for helper in helpers:
                helper.kill()
        return total

    def kill(self) -> None:
        """End the other processes at once, after a failure."""
        for helper in self._helpers:
            helper.kill()


class _Helper:
    """Another process that reads a share."""

    def __init__(
        self,
        run_dir: Path,
        folder: Path,
        log: Path,
        client_config: Mapping[str, str],
        timeout_s: float,
    ) -> None:
        self.last_error = ""
        self._child = Child(
            [sys.executable, "-m", __name__, str(run_dir), str(folder), repr(timeout_s)],
            log=log,
            environment=child_environment(client_config),
            piped=True,
        )

    def ask(self, stretches: Sequence[ReadRange]) -> None:
        self._tell({"read": [asdict(stretch) for stretch in stretches]})

    def answer(self) -> dict[Key, Position]:
        said = self._hear()
        self.last_error = said["last_error"]
        return {(topic, partition): Position(**at) for topic, partition, at in said["positions"]}

    def close(self) -> Counts:
        self._tell({"close": True})
        counts = Counts(**self._hear()["counts"])
        self._child.stop(grace_s=_CLOSE_GRACE_S)
        return counts

    def kill(self) -> None:
        self._child.stop(grace_s=0.0)

    def _tell(self, message: dict[str, Any]) -> None:
        pipe = self._child.process.stdin
        assert pipe is not None
        try:
            pipe.write(json.dumps(message).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError:
            self._ended()

    def _hear(self) -> dict[str, Any]:
        pipe = self._child.process.stdout
        assert pipe is not None
        # The other side bounds its own waits, and its end closes the pipe.
        line = pipe.readline()
        if not line:
            self._ended()
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise EnvironmentFailure(said["error"])
        return said

    def _ended(self) -> None:
        status = self._child.stop(grace_s=1.0)
        raise HarnessError(
            f"a process that read a share of the drain ended with status {status}. The end of "
            f"{self._child.log}:\n{self._child.tail()}"
        )


def serve(run_dir: RunDir, folder: Path, timeout_s: float) -> None:
    """Answer the requests of the process that has started this one, until it says close."""

    def answer(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    info = run_dir.read_info()
    settings = HarnessEnvironment.read().connection(info.bootstrap)
    with ObservationSet(folder, info, kind="drained") as observations, rare_collections():
        reading = DrainReading(info, settings, observations, timeout_s, lambda _: None)
        for line in sys.stdin:
            request = json.loads(line)
            if "read" not in request:
                break
            positions = reading.read([ReadRange(**each) for each in request["read"]])
            said = [[*key, asdict(position)] for key, position in positions.items()]
            answer({"positions": said, "last_error": reading.last_error})
    answer({"counts": asdict(observations.counts)})


def main(arguments: list[str]) -> int:
    """`python -m harness.read.drain_workers RUN_DIR FOLDER TIMEOUT_S`; `DrainWorkers` starts it."""
    run_dir, folder, timeout_s = arguments
    watch(lambda: os._exit(1))
    try:
        serve(RunDir(Path(run_dir)), Path(folder), float(timeout_s))
    except (HarnessError, KafkaException) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return error.exit_code if isinstance(error, HarnessError) else 4
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
