"""Who makes which part of a load: clients over workers, and the numbers of their incarnations.

A client is a pair of profile and instance. Each pair has exactly one worker for the whole run,
whatever Locust rebalances: a pair that two workers had would be two producers with the same
intended send times. When a worker is lost its pairs send no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from harness.errors import UsageError
from harness.record.uuid8 import LIMITS

Pair: TypeAlias = tuple[str, int]
"""(profile, instance)"""

NUMBERS: Final = LIMITS.incarnation_max + 1
"""Incarnation numbers below this fit into every codec: 18 bits."""
BLOCK_MAX: Final = 4096
"""Numbers for one worker at most: a client takes a further one each time a producer of it meets a
fatal error."""


@dataclass(frozen=True, slots=True)
class LoadShare:
    """What one worker does: its pairs, and the numbers first…last of its incarnations."""

    worker: int
    """From 1 on."""
    pairs: tuple[Pair, ...]
    first: int
    last: int


def shares(profiles: Sequence[str], producers: int, workers: int) -> list[LoadShare]:
    """The pairs of a load over `workers`, in turn, and a block of numbers for each.

    The first block is for those that take their numbers by themselves: members of pipelines.
    Workers get shares that differ by one pair at most. Raises UsageError for more workers than
    there are pairs: one without a client would make no load.
    """
    pairs = [(profile, instance) for instance in range(producers) for profile in profiles]
    if workers > len(pairs):
        raise UsageError(too_many_workers(workers, len(profiles), producers))
    block = min(BLOCK_MAX, NUMBERS // (workers + 1))
    return [
        LoadShare(
            worker=number,
            pairs=tuple(pairs[number - 1 :: workers]),
            first=number * block,
            last=(number + 1) * block - 1,
        )
        for number in range(1, workers + 1)
    ]


def too_many_workers(workers: int, profiles: int, producers: int) -> str:
    """Why so many workers cannot share a load."""
    of_each = f"{profiles} profile{'s' * (profiles != 1)} × {producers} --producers"
    clients = profiles * producers
    return (
        f"{workers} workers: the load has {clients} client{'s' * (clients != 1)} ({of_each}), and "
        f"each worker needs one. Give --producers {-(-workers // profiles)} or more, or fewer "
        "workers."
    )
