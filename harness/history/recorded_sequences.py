"""The numbers that a recorder gave to the attempts of one producer on one topic-partition."""

from __future__ import annotations

import numpy as np

from harness.arrays import I64


def union(numbers: I64, further: I64) -> I64:
    """Sorted, distinct numbers, and those others that are not among them."""
    if not len(further):
        return numbers
    if not len(numbers):
        return np.unique(further)
    indices = np.minimum(np.searchsorted(numbers, further), len(numbers) - 1)
    others = further[numbers[indices] != further]
    return np.sort(np.concatenate([numbers, np.unique(others)])) if len(others) else numbers


def is_range(numbers: I64) -> bool:
    """Whether numbers are 0, 1, 2 …"""
    count = len(numbers)
    if not count or int(numbers[0]) != 0 or int(numbers[-1]) != count - 1:
        return not count
    return bool((numbers[1:] - numbers[:-1] == 1).all())
