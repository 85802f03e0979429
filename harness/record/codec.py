"""How a record's identity gets into its value, and back out of it: what every codec has to do.

A codec is chosen for a run (`load.codec` in run.json) and used wherever values are made or read:
by the load, the live reader, the drain, and the search through brokers' log files. There are two,
`harness.record.binary` and `harness.record.json_codec`; `harness.record.codecs` names them.

No client library is imported here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.arrays import U64, Bools, Rows
from harness.errors import HarnessError

IDENTITY: Final = np.dtype(
    [
        ("incarnation", "<u4"),
        ("run", "<u8"),
        ("sequence", "<u8"),
        ("intended_us", "<u8"),
        ("topic", "<u2"),
        ("partition", "<u4"),
    ]
)
"""What the heads of every codec hold; those of one may hold more.

run: the codec's number for the run; sequence: dense per incarnation × topic-partition, from 0;
intended_us: intended send time, µs since the epoch; topic: index into the run's topics."""

ANY_PARTITION: Final = 2**32 - 1
"""The partition of an attempt that was made before anybody knew its partition."""

Ints: TypeAlias = npt.NDArray[np.integer[Any]]


def run_hash(run_id: str) -> int:
    """The 64-bit number of a run."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "little")


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest number of each kind that a codec can carry."""

    incarnation_max: int
    topic_max: int
    partition_max: int
    """Of a partition that is known; ANY_PARTITION is apart from these."""
    sequence_max: int

    def check_incarnation(self, incarnation: int) -> None:
        """Raises HarnessError for a number that the codec cannot carry."""
        if not 0 <= incarnation <= self.incarnation_max:
            raise _beyond("incarnation", incarnation, self.incarnation_max)

    def check(self, attempts: Attempts) -> None:
        """Raises HarnessError when one of the attempts has a number that does not fit."""
        if not len(attempts.sequences):
            return
        for name, numbers, largest in (
            ("topic", attempts.topic, self.topic_max),
            ("sequence", attempts.sequences, self.sequence_max),
        ):
            least, most = (
                (numbers, numbers)
                if isinstance(numbers, int)
                else (int(numbers.min()), int(numbers.max()))
            )
            if least < 0 or most > largest:
                raise _beyond(name, least if least < 0 else most, largest)
        partitions = np.atleast_1d(np.asarray(attempts.partition, dtype=np.int64))
        wrong = (partitions != ANY_PARTITION) & (
            (partitions < 0) | (partitions > self.partition_max)
        )
        if wrong.any():
            raise _beyond("partition", int(partitions[wrong][0]), self.partition_max)


def _beyond(name: str, number: int, largest: int) -> HarnessError:
    return HarnessError(
        f"{name} {number} does not fit into a record's identity; accepted is 0 to {largest}. "
        "Choose the binary codec, or a smaller run."
    )


@dataclass(frozen=True, slots=True)
class Attempts:
    """What distinguishes the records of one producer incarnation that are encoded together.

    sequences, intended_us: (n,). topic, partition: one number for all of them, or (n,) numbers.
    """

    topic: int | Ints
    partition: int | Ints
    sequences: U64
    intended_us: Ints


@dataclass(frozen=True, slots=True)
class Decoded:
    """Identities of a batch of values, in the order given.

    heads: (n,) structured array with at least the fields of IDENTITY; meaningless where `intact`
    is false. intact: (n,) bool: the value has an identity, and its checksum covers all of it.
    """

    heads: Rows
    intact: Bools


class Filler(Protocol):
    """What the values of one incarnation have in common, prepared once: who it is, and payloads."""

    @property
    def incarnation(self) -> int: ...


class Codec(Protocol):
    """Puts identities into values and reads them back. Without state: one serves all threads."""

    @property
    def name(self) -> str:
        """As run.json names it."""
        ...

    @property
    def limits(self) -> Limits: ...

    @property
    def message_bytes_min(self) -> int:
        """The smallest size of a value that holds an identity."""
        ...

    @property
    def own_heads(self) -> Callable[[Sequence[bytes]], Rows] | None:
        """Reads the heads of values that this process made itself, without checking them again.
        None where that costs more than to remember of each record which attempt it is."""
        ...

    def run_number(self, run_id: str) -> int:
        """The number of a run in the heads: `run_hash` or a part of it."""
        ...

    def filler(self, run_id: str, incarnation: int, message_bytes: int, seed: int) -> Any:
        """Payloads for values of `message_bytes`, on average where the codec varies the length.

        Raises ValueError for a size below `message_bytes_min`, HarnessError for an incarnation
        beyond the limits.
        """
        ...

    def encode(self, attempts: Attempts, filler: Any) -> list[bytes]:
        """A value for each attempt; `filler` was made by this codec.

        Raises HarnessError for numbers beyond the limits.
        """
        ...

    def decode(self, messages: Sequence[bytes | None]) -> Decoded:
        """Read the values of messages. One that is null, cut or changed is not intact, and never
        an error."""
        ...

    def pattern(self, head: np.void) -> bytes | None:
        """Bytes that are in every value with this identity, and in no other; None where a codec
        has none, so that each record has to be decoded to find it."""
        ...
