"""How often does a comparison call the same code worse, and how often a slower one?

    python -m tests.series.compare_power [--same N] [--slower N] [--rounds N] [--records N]

Measures load without brokers in turn, base, now, base again, and compares it as `harness bench
--against` does. Twenty comparisons are of this code with itself: at most one may say worse. Ten are
with a copy in which every record idles for 20 % of the CPU time that a record takes: nine must say
worse. The figure is CPU a record, the one that the planted loop raises by exactly that. Ends with 1
where either is missed. Needs no brokers and no Java; give it an idle machine.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness.bench.against import (
    WITHOUT_BROKERS,
    AgainstRequest,
    Checkout,
    measure_against,
)
from harness.comparison.compare import Options, compare_in_turn
from harness.comparison.figures import WORSE, FigureChange

ROOT: Final = Path(__file__).resolve().parents[2]
SLOWDOWN: Final = 0.2
FALSE_MAX: Final = 1 / 20
FOUND_MIN: Final = 9 / 10
_SENT: Final = "            client.send(np.full(count, now_us, dtype=np.int64))\n"
_IDLES: Final = """\
            idle_until_ns = time.thread_time_ns() + int(count * {nanoseconds})
            while time.thread_time_ns() < idle_until_ns:
                pass
"""


@dataclass(frozen=True)
class Asked:
    """What is measured how often."""

    same: int
    slower: int
    rounds: int
    records: int


def planted(folder: Path, nanoseconds: float) -> Checkout:
    """A copy of the code in which the bench's load idles so long for every record."""
    shutil.copytree(
        ROOT / "harness", folder / "harness", ignore=shutil.ignore_patterns("__pycache__")
    )
    worker = folder / "harness" / "bench" / "worker.py"
    text = worker.read_text(encoding="utf-8")
    assert text.count(_SENT) == 1, "the place where the load sends records has changed"
    slower = text.replace(_SENT, _SENT + _IDLES.format(nanoseconds=round(nanoseconds)))
    worker.write_text(slower, encoding="utf-8")
    return replace(Checkout.of(folder), python=sys.executable)


def cpu_ns_a_record(asked: Asked, folder: Path) -> float:
    """CPU time of a record of this code, start-up left out: the median of a few runs."""
    request = replace(request_of(asked), rounds=2)
    found = measure_against(request, None, folder)
    values = [
        value for side in (found.base, found.now, found.again) for value in side.figures[0].values
    ]
    return statistics.median(values) * 1e3


def request_of(asked: Asked) -> AgainstRequest:
    """A comparison of this code with another one."""
    request = AgainstRequest.of(ROOT, only=[WITHOUT_BROKERS], records=asked.records, rounds=None)
    return replace(request, base=Checkout.this(), rounds=asked.rounds)


def compared(asked: Asked, now: Checkout, folder: Path) -> FigureChange:
    """One comparison of the figure CPU."""
    measured = measure_against(request_of(asked), None, folder, now=now)
    (found,) = compare_in_turn(measured, Options(only=("CPU",))).figures
    return found


def series(asked: Asked, now: Checkout, what: str, times: int, folder: Path) -> int:
    """How many of so many comparisons say worse."""
    worse = 0
    for number in range(1, times + 1):
        found = compared(asked, now, folder)
        worse += found.verdict == WORSE
        interval = "" if found.interval is None else f" {found.interval}"
        print(
            f"{what} {number}: {found.verdict}, ratio {found.ratio}{interval}, noise "
            f"{found.noise:.1%}, base {found.base_median:.3f} µs a record",
            file=sys.stderr,
            flush=True,
        )
    return worse


def main() -> int:
    """Measure both series, and print what they came to."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.series.compare_power",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--same", type=int, default=20, metavar="N")
    parser.add_argument("--slower", type=int, default=10, metavar="N")
    parser.add_argument("--rounds", type=int, default=6, metavar="N", help="6 at least")
    parser.add_argument("--records", type=int, default=60_000, metavar="N")
    args = parser.parse_args()
    asked = Asked(args.same, args.slower, max(6, args.rounds), args.records)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="compare-power-") as name:
        folder = Path(name)
        cpu_ns = cpu_ns_a_record(asked, folder)
        false = series(asked, Checkout.this(), "same code", asked.same, folder)
        slower = planted(folder / "slower", SLOWDOWN * cpu_ns)
        found = series(asked, slower, f"{SLOWDOWN:.0%} slower", asked.slower, folder)
    took_s = time.monotonic() - began
    print(
        f"{asked.same} comparisons of the same code: {false} say worse; {asked.slower} with "
        f"{SLOWDOWN:.0%} planted ({SLOWDOWN * cpu_ns:.0f} ns a record): {found} say worse; "
        f"{asked.rounds} rounds of three runs each, {took_s:.0f} s, "
        f"{took_s / max(1, asked.same + asked.slower):.1f} s a comparison"
    )
    return int(false > FALSE_MAX * asked.same or found < FOUND_MIN * asked.slower)


if __name__ == "__main__":
    sys.exit(main())
