"""What master and workers of one run say to each other, by Locust's own message channel.

    master                      worker
    who               →
                      ←  identity        machine, process, what an earlier process left
    clock   (several) →
                      ←  time            its clock, for the offset
    assignment        →
                      ←  assigned        or why it cannot be
    (Locust: spawn)   →
                      ←  ready           every client has connected
    start             →                  the instant at which records are due
                      ←  failed          a user could not do its work
    (Locust: stop)    →
                      ←  ended           its ledgers are closed
                      ←  chunk           of a worker that does not write into the run directory
    received          →
                      ←  complete        what the files have to be
    merged            →

Each is a dataclass; its name on the channel is `harness.` and the name above. Nothing here is a
secret: a worker resolves its brokers and their client settings by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

import msgspec

PROTOCOL: Final = 1
"""Master and worker have to have the same."""


@dataclass(frozen=True, slots=True)
class LoadMessage:
    """What every message has."""

    NAME: ClassVar[str] = ""


M = TypeVar("M", bound=LoadMessage)


@dataclass(frozen=True, slots=True)
class Who(LoadMessage):
    """The master asks who is there. On its machine a worker takes the master's clock: the monotonic
    clock is the machine's, and epoch_ns is where the master's begins."""

    NAME = "harness.who"
    machine: str
    epoch_ns: int


@dataclass(frozen=True, slots=True)
class Leftover:
    """A partial directory of a process that died: which run's, and its block of numbers."""

    run_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Identity(LoadMessage):
    """Who a worker is. machine: equal on one machine, and different elsewhere; number: the one that
    it was started with, 0 for none."""

    NAME = "harness.identity"
    host: str
    pid: int
    machine: str
    version: str
    protocol: int
    number: int = 0
    leftovers: list[Leftover] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.host} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class ClockAsked(LoadMessage):
    """sent_us: by the master's clock."""

    NAME = "harness.clock"
    sent_us: int


@dataclass(frozen=True, slots=True)
class ClockAnswer(LoadMessage):
    """sent_us: as it was asked; clock_us: the worker's clock meanwhile."""

    NAME = "harness.time"
    sent_us: int
    clock_us: int


@dataclass(frozen=True, slots=True)
class Assignment(LoadMessage):
    """A worker's part of a run.

    run_json: the run's run.json, which holds no secret; run_dir: where it is on the master's
    machine; clock_offset_us: how far the worker's clock is ahead.
    """

    NAME = "harness.assignment"
    run_id: str
    run_json: str
    run_dir: str
    scenario: str
    worker: int
    pairs: list[tuple[str, int]]
    first: int
    last: int
    clock_offset_us: int


@dataclass(frozen=True, slots=True)
class Assigned(LoadMessage):
    """shared: the worker writes into the run directory itself; error: why it cannot take part."""

    NAME = "harness.assigned"
    run_id: str
    worker: int
    shared: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Ready(LoadMessage):
    """All clients of a worker have connected, or will not within their time."""

    NAME = "harness.ready"
    run_id: str
    worker: int


@dataclass(frozen=True, slots=True)
class LoadStart(LoadMessage):
    """start_us: when the first records are due, by the master's clock."""

    NAME = "harness.start"
    run_id: str
    start_us: int


@dataclass(frozen=True, slots=True)
class Failed(LoadMessage):
    """A user of a worker could not do its work, for a reason that is not Kafka's."""

    NAME = "harness.failed"
    run_id: str
    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class LoadEnded(LoadMessage):
    """A worker's load is over and its ledgers are closed. unsent: records due and not attempted, by
    profile, up to `at_us`."""

    NAME = "harness.ended"
    run_id: str
    worker: int
    at_us: int
    unsent: dict[str, int]


@dataclass(frozen=True, slots=True)
class Chunk(LoadMessage):
    """A part of a file; data: compressed by zlib, `crc` is of what it holds."""

    NAME = "harness.chunk"
    run_id: str
    first: int
    path: str
    offset: int
    size: int
    crc: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Received(LoadMessage):
    """How much of a file the master has; error: why it takes no more of this directory."""

    NAME = "harness.received"
    run_id: str
    first: int
    path: str
    upto: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Complete(LoadMessage):
    """Everything was sent. files: path → (bytes, SHA-256)."""

    NAME = "harness.complete"
    run_id: str
    first: int
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Merged(LoadMessage):
    """A partial directory is part of the run directory now; error: why it is not."""

    NAME = "harness.merged"
    run_id: str
    first: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class LeftoverWanted(LoadMessage):
    """Send what an earlier process left of this run."""

    NAME = "harness.leftover"
    run_id: str
    first: int


def pack(message: LoadMessage) -> dict[str, Any]:
    """A message as Locust's channel carries it."""
    packed: dict[str, Any] = msgspec.to_builtins(message, builtin_types=(bytes,), str_keys=True)
    return packed


def unpack(kind: type[M], data: object) -> M:
    """The message that arrived. Raises ValueError for what is none."""
    try:
        return msgspec.convert(data, kind, str_keys=True, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind.NAME}: {error}") from None
