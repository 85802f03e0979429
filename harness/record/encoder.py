"""Makes the values of one producer incarnation."""

from __future__ import annotations

import numpy as np

from harness.arrays import U64
from harness.record.binary import BinaryCodec
from harness.record.codec import Attempts, Codec, Ints


class Encoder:
    """A codec together with the payloads of one incarnation."""

    def __init__(
        self,
        run_id: str,
        incarnation: int,
        message_bytes: int,
        seed: int = 0,
        codec: Codec | None = None,
    ) -> None:
        """Raises ValueError for a size that holds no identity, HarnessError for an incarnation
        that the codec cannot carry. Without a codec: the binary one."""
        self.codec: Codec = BinaryCodec() if codec is None else codec
        self._filler = self.codec.filler(run_id, incarnation, message_bytes, seed)

    def encode(
        self, topic: int, partition: int, first_sequence: int, intended_us: Ints
    ) -> list[bytes]:
        """Values for the sequences from `first_sequence` on, one for each intended send time."""
        sequences = np.arange(first_sequence, first_sequence + len(intended_us), dtype=np.uint64)
        return self.encode_rows(topic, partition, sequences, intended_us)

    def encode_rows(
        self, topic: int | Ints, partition: int | Ints, sequences: U64, intended_us: Ints
    ) -> list[bytes]:
        """Values for (n,) sequences and intended send times, of one topic-partition or of many.

        topic, partition: one number for all rows, or (n,) numbers.
        """
        return self.codec.encode(Attempts(topic, partition, sequences, intended_us), self._filler)
