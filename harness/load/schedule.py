"""Intended send times: when each record of one producer is due, whatever Kafka is doing.

The load is open loop: record i has an intended send time that depends on the schedule alone, and
latency runs from that instant. A producer that was held up sends what is due as soon as it can,
with the intended times unchanged, so that the wait shows up in the latency of every record that
waited (Tene, "How NOT to Measure Latency"; the same idea as wrk2).

    constant        record i at i / rate, exactly: no accumulated rounding
    ramp[:S]        the rate rises linearly from 0 to `rate` over S seconds (10), then holds
    burst[:ON,OFF]  ON seconds of load, OFF seconds of none (1,1), `rate` on the average of a cycle
    poisson         independent exponential gaps with mean 1 / rate, from a seed

A schedule is arithmetic over a cursor. It knows no clock: the caller asks which records are due up
to an elapsed time and gets their intended times as one array. Times are µs from the start,
int64, and never decrease.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Final

import numpy as np

from harness.arrays import I64
from harness.errors import UsageError
from harness.rundir.run_info import RunInfo

RAMP_S: Final = 10.0
BURST_ON_S: Final = 1.0
BURST_OFF_S: Final = 1.0
_SECOND_US: Final = 1_000_000
_POISSON_CHUNK: Final = 4096


class Schedule(ABC):
    """The intended send times of one producer, taken in order.

    offset_us shifts every time, which is how several producers of one profile interleave.
    """

    def __init__(self, rate_per_s: float, *, offset_us: int = 0) -> None:
        if not (math.isfinite(rate_per_s) and rate_per_s > 0):
            raise UsageError(f"--rate {rate_per_s}: a rate is a number of records/s above 0.")
        if offset_us < 0:
            raise ValueError(f"offset_us {offset_us}: no record is due before the start")
        self.rate_per_s = rate_per_s
        self.offset_us = offset_us
        self.taken = 0
        """How many records were handed out: the index of the next one."""

    def due(self, elapsed_us: int, limit: int | None = None) -> I64:
        """Take the records that are due: their intended times, all ≤ `elapsed_us`, in order.

        At most `limit` are taken; the rest stays due.
        """
        count = self.waiting(elapsed_us)
        if limit is not None:
            count = min(count, limit)
        if count <= 0:
            return np.zeros(0, dtype=np.int64)
        times = self._times(self.taken, count) + self.offset_us
        self.taken += count
        return times

    def waiting(self, elapsed_us: int) -> int:
        """How many records are due up to `elapsed_us` and not taken yet."""
        local_us = elapsed_us - self.offset_us
        return max(0, self._count_until(local_us) - self.taken) if local_us >= 0 else 0

    @abstractmethod
    def _times(self, first: int, count: int) -> I64:
        """Intended times of records first…first+count-1, before `offset_us`."""

    @abstractmethod
    def _count_until(self, elapsed_us: int) -> int:
        """How many records have an intended time ≤ `elapsed_us` (≥ 0)."""


class Constant(Schedule):
    """Record i is due at floor(i / rate): exact integers, so it never drifts."""

    def __init__(self, rate_per_s: float, *, offset_us: int = 0) -> None:
        super().__init__(rate_per_s, offset_us=offset_us)
        exact = _fraction(rate_per_s)
        self._gap_numerator = _SECOND_US * exact.denominator
        self._gap_denominator = exact.numerator

    def _times(self, first: int, count: int) -> I64:
        return _multiples(first, count, self._gap_numerator, self._gap_denominator)

    def _count_until(self, elapsed_us: int) -> int:
        # floor(i * a / b) <= t  <=>  i * a < (t + 1) * b
        return -(-(elapsed_us + 1) * self._gap_denominator // self._gap_numerator)


class Ramp(Schedule):
    """The rate rises linearly from 0 over `ramp_s`, then holds: N(t) = rate·t²/(2·ramp)."""

    def __init__(self, rate_per_s: float, *, ramp_s: float = RAMP_S, offset_us: int = 0) -> None:
        super().__init__(rate_per_s, offset_us=offset_us)
        if not (math.isfinite(ramp_s) and ramp_s > 0):
            raise UsageError(f"--schedule ramp:{ramp_s}: a ramp lasts a number of seconds above 0.")
        self.ramp_s = ramp_s
        self._ramped = rate_per_s * ramp_s / 2

    def _times(self, first: int, count: int) -> I64:
        index = np.arange(first, first + count, dtype=np.float64)
        rising = np.sqrt(2 * self.ramp_s * index / self.rate_per_s)
        steady = self.ramp_s + (index - self._ramped) / self.rate_per_s
        return np.asarray(
            np.floor(np.where(index < self._ramped, rising, steady) * _SECOND_US), dtype=np.int64
        )

    def _count_until(self, elapsed_us: int) -> int:
        elapsed_s = elapsed_us / _SECOND_US
        if elapsed_s < self.ramp_s:
            estimate = self.rate_per_s * elapsed_s**2 / (2 * self.ramp_s)
        else:
            estimate = self._ramped + (elapsed_s - self.ramp_s) * self.rate_per_s
        # Rounding leaves the estimate off by a record or two: the times decide.
        count = max(0, int(estimate) - 1)
        while int(self._times(count, 1)[0]) <= elapsed_us:
            count += 1
        while count and int(self._times(count - 1, 1)[0]) > elapsed_us:
            count -= 1
        return count


class Burst(Schedule):
    """Load for `on_s`, none for `off_s`, in turn; the mean over whole cycles is `rate_per_s`."""

    def __init__(
        self,
        rate_per_s: float,
        *,
        on_s: float = BURST_ON_S,
        off_s: float = BURST_OFF_S,
        offset_us: int = 0,
    ) -> None:
        super().__init__(rate_per_s, offset_us=offset_us)
        self._on_us = round(on_s * _SECOND_US) if math.isfinite(on_s) else 0
        self._off_us = round(off_s * _SECOND_US) if math.isfinite(off_s) else -1
        if self._on_us <= 0 or self._off_us < 0:
            raise UsageError(
                f"--schedule burst:{on_s},{off_s}: a cycle is a number of seconds with load above "
                "0 and a number of seconds without, 0 or more."
            )
        cycle_us = self._on_us + self._off_us
        exact = _fraction(rate_per_s) * Fraction(cycle_us, self._on_us)
        exact = exact.limit_denominator(1_000_000)
        self._gap_numerator = _SECOND_US * exact.denominator
        self._gap_denominator = exact.numerator

    def _times(self, first: int, count: int) -> I64:
        loaded = _multiples(first, count, self._gap_numerator, self._gap_denominator)
        return loaded + loaded // self._on_us * self._off_us

    def _count_until(self, elapsed_us: int) -> int:
        cycles, rest_us = divmod(elapsed_us, self._on_us + self._off_us)
        loaded_us = cycles * self._on_us + min(rest_us, self._on_us - 1)
        return -(-(loaded_us + 1) * self._gap_denominator // self._gap_numerator)


class Poisson(Schedule):
    """Arrivals of a Poisson process: independent exponential gaps, the same for the same seed."""

    def __init__(self, rate_per_s: float, *, seed: int, offset_us: int = 0) -> None:
        super().__init__(rate_per_s, offset_us=offset_us)
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._first = 0
        self._known = np.zeros(0, dtype=np.int64)
        self._end_us = 0.0

    def _extend(self) -> None:
        gaps = self._generator.exponential(_SECOND_US / self.rate_per_s, size=_POISSON_CHUNK)
        times = self._end_us + np.cumsum(gaps)
        self._end_us = float(times[-1])
        passed = self.taken - self._first
        self._first += passed
        self._known = np.concatenate([self._known[passed:], np.floor(times).astype(np.int64)])

    def _times(self, first: int, count: int) -> I64:
        while self._first + len(self._known) < first + count:
            self._extend()
        begin = first - self._first
        return self._known[begin : begin + count].copy()

    def _count_until(self, elapsed_us: int) -> int:
        while self._end_us <= elapsed_us:
            self._extend()
        return self._first + int(np.searchsorted(self._known, elapsed_us, side="right"))


def parse(
    text: str, rate_per_s: float, *, seed: int = 0, producer: int = 0, producers: int = 1
) -> Schedule:
    """The schedule that `text` names, for one of `producers` instances that share `rate_per_s`.

    Their records interleave: instance k begins k mean gaps later, and each has its own gaps where
    they are random. Raises UsageError for a name or number that is none.
    """
    if not (math.isfinite(rate_per_s) and rate_per_s > 0):
        raise UsageError(f"--rate {rate_per_s}: a rate is a number of records/s above 0.")
    share = rate_per_s / producers
    offset_us = int(producer * _SECOND_US / rate_per_s)
    name, separator, rest = text.partition(":")
    try:
        numbers = [float(number) for number in rest.split(",")] if separator else []
    except ValueError:
        raise _unknown(text) from None
    match name, numbers:
        case "constant", []:
            return Constant(share, offset_us=offset_us)
        case "ramp", []:
            return Ramp(share, offset_us=offset_us)
        case "ramp", [ramp_s]:
            return Ramp(share, ramp_s=ramp_s, offset_us=offset_us)
        case "burst", []:
            return Burst(share, offset_us=offset_us)
        case "burst", [on_s, off_s]:
            return Burst(share, on_s=on_s, off_s=off_s, offset_us=offset_us)
        case "poisson", []:
            return Poisson(share, seed=seed)
    raise _unknown(text)


def schedule_of(info: RunInfo, instance: int) -> Schedule:
    """The schedule of each profile's client with that number, the same on whichever worker it is.

    Profiles share their instances' seeds: the same arrivals under the same fault.
    """
    return parse(
        info.load.schedule,
        info.load.rate_per_s,
        seed=info.seed * 1_000 + instance,
        producer=instance,
        producers=info.load.producers,
    )


def _unknown(text: str) -> UsageError:
    return UsageError(
        f"--schedule {text!r} is none. Accepted: constant, ramp or ramp:SECONDS, burst or "
        "burst:ON_SECONDS,OFF_SECONDS, poisson."
    )


def _fraction(rate_per_s: float) -> Fraction:
    """The rate as its decimal text reads, so that 0.1 records/s is one in exactly ten seconds."""
    exact = Fraction(repr(float(rate_per_s))).limit_denominator(1_000_000)
    return exact if exact else Fraction(rate_per_s)


def _multiples(first: int, count: int, numerator: int, denominator: int) -> I64:
    """floor(i · numerator / denominator) for count indexes from `first`, without overflow."""
    # i = whole · denominator + rest keeps every product below denominator · numerator.
    base, skipped = divmod(first * numerator, denominator)
    if count * numerator + skipped < 2**62:
        steps = np.arange(count, dtype=np.int64)
        return base + (steps * numerator + skipped) // denominator
    return np.array(
        [(first + step) * numerator // denominator for step in range(count)], dtype=np.int64
    )
