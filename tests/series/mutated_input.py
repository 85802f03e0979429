"""Input with bytes changed, cut, exchanged, dropped or doubled: `make mutated`.

    python -m tests.series.mutated_input [--histories N] [--run-dirs N] [--seed N]

Two classes of changes, told apart by whether a reader can see them:

visible     a line or a document that is no JSON any more (cut, NUL bytes, no UTF-8), a file that is
            gone or shorter than its writer left it, lines that were dropped or doubled where an end
            line counts them. Wanted: exit 2, 3 or 4, or the verdict of the input as it was: never
            kept where it was not, and no promise broken that was not.
silent      a byte of a line that still is JSON, and lines that change places. Such a change makes
            another history, which may well be broken. Wanted: a verdict, or a refusal in one
            sentence; never an exception that is not the harness's own.

Everything is judged in this process by the code that the command calls.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import HarnessError
from harness.history.judging import judge_files
from harness.judge.judge import judge
from harness.rundir.hlog import CELLS, Interval, LineEncoder, header
from harness.rundir.holes import Holes, PartitionHoles
from harness.rundir.replicas import LogHeld
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from harness.rundir.verdict import BROKEN, KEPT, Verdict
from tests.support import histories as runs
from tests.support.generated import generate
from tests.support.histories import (
    committed,
    consuming,
    event,
    polled,
    profile,
    records,
    run_info,
    worked,
)

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.ndjson"))
REFUSED = 2
FAILED = 4


@dataclass
class Outcome:
    """What came of judging: a verdict, or the exit code of a refusal."""

    code: int
    verdict: str = ""
    broken: frozenset[str] = frozenset()
    message: str = ""

    @classmethod
    def of(cls, call: Callable[[], Verdict]) -> Outcome:
        """Judge. Any exception that is not the harness's own goes through: it is a defect."""
        try:
            verdict = call()
        except HarnessError as error:
            return cls(error.exit_code, message=str(error))
        broken = frozenset(
            f"{each.profile} {promise.promise}"
            for each in verdict.profiles
            for promise in each.promises
            if promise.verdict == BROKEN
        )
        json.dumps(verdict.to_json())
        return cls({KEPT: 0, BROKEN: 1}.get(verdict.verdict, 3), verdict.verdict, broken)


class Defect(AssertionError):
    """An outcome that the change must not have."""


def check(before: Outcome, after: Outcome, change: str, *, visible: bool) -> None:
    """Raises Defect where the outcome says more than the input."""
    if after.code == FAILED:
        raise Defect(f"{change}: taken for a failure of the harness: {after.message!r}")
    if after.code == REFUSED:
        if not after.message or "\n" in after.message or not after.message.isprintable():
            raise Defect(f"{change}: refused with {after.message!r}")
        return
    if not visible:
        return
    if after.verdict == KEPT and before.verdict != KEPT:
        raise Defect(f"{change}: kept, and was {before.verdict}")
    if not after.broken <= before.broken:
        raise Defect(f"{change}: {sorted(after.broken - before.broken)} broken, and was not")


# -- changes of bytes and lines


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))] if data else data


def _nul(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data)) if data else 0
    length = min(chance.choice([1, 8, 64, 600]), len(data) - start)
    return data[:start] + b"\0" * length + data[start + length :]


def _no_utf_8(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data)) if data else 0
    return data[:place] + bytes([chance.choice([0xFF, 0xC0, 0x80])]) + data[place + 1 :]


def _byte(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data)) if data else 0
    return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]


def _lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def _torn_line(data: bytes, chance: random.Random) -> bytes:
    lines = _lines(data)
    place = chance.randrange(len(lines))
    lines[place] = lines[place][: chance.randrange(1, max(2, len(lines[place]) - 2))] + b"\n"
    return b"".join(lines)


def _drop_line(data: bytes, chance: random.Random) -> bytes:
    lines = _lines(data)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def _double_line(data: bytes, chance: random.Random) -> bytes:
    lines = _lines(data)
    place = chance.randrange(len(lines))
    lines.insert(chance.randrange(len(lines) + 1), lines[place])
    return b"".join(lines)


def _exchange_lines(data: bytes, chance: random.Random) -> bytes:
    lines = _lines(data)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


Change = Callable[[bytes, random.Random], bytes]
TORN: dict[str, Change] = {
    "cut": _cut, "nul": _nul, "no_utf_8": _no_utf_8, "torn_line": _torn_line,
}  # fmt: skip
COUNTED: dict[str, Change] = {"drop_line": _drop_line, "double_line": _double_line}
SILENT: dict[str, Change] = {"byte": _byte, "exchange_lines": _exchange_lines}


# -- histories


def counted(text: str) -> bytes:
    """A history with a header that announces its end line, and that line."""
    lines = text.splitlines()
    if '"type": "history"' in lines[0]:
        lines = lines[1:]
    head = {"type": "history", "schema": "delivery-history/1", "ends": True}
    end = {"type": "end", "lines": len(lines) + 1}
    return ("\n".join([json.dumps(head), *lines, json.dumps(end)]) + "\n").encode()


def a_history(chance: random.Random) -> tuple[bytes, str]:
    """A history and the profile that it is judged by."""
    if chance.random() < 0.3:
        path = chance.choice(GOLDEN)
        text = path.read_text()
        return counted(text), str(json.loads(text.splitlines()[0])["note"]["profile"])
    case = generate(chance.getrandbits(60), chance.randint(4, 30),
                    transactional=chance.random() < 0.5)  # fmt: skip
    return counted(case.text), case.profile


def check_history(seed: int, folder: Path, seen: Counter[str]) -> None:
    """One history, whole and changed, with --lenient and without."""
    chance = random.Random(seed)
    data, profile_name = a_history(chance)
    name, change = chance.choice([*(TORN | COUNTED | SILENT).items()])
    changed = change(data, chance)
    lenient = chance.random() < 0.5
    path = folder / "h.ndjson"

    def outcome(content: bytes) -> Outcome:
        path.write_bytes(content)
        return Outcome.of(lambda: judge_files([path], profile_name, lenient=lenient))

    before, after = outcome(data), outcome(changed)
    if changed == data:
        return
    # The header is what counts on an end: where it goes, the cut cannot be seen.
    visible = name not in SILENT and changed.startswith(data[: data.index(b"\n") + 1])
    check(before, after, f"history {seed}, {name}, lenient {lenient}", visible=visible)
    seen[f"{name}: {after.verdict or f'exit {after.code}'}"] += 1


# -- run directories


def _healthy(name: str = "idempotent") -> list[object]:
    return [event("incarnation", profile=name, incarnation=1, phase="started", first_record=0)]


def run_dirs(folder: Path) -> dict[str, RunDir]:
    """Run directories of several kinds, as their writers leave them."""
    pipeline = [records(12), runs.assigned(0), polled(*range(12)), worked(*range(12)),
                committed(12), runs.group_at(12)]  # fmt: skip
    transactional = run_info([profile("transactional", transactional=True)])
    fault = [
        runs.fault("inject", 2), runs.fault("heal", 8), runs.fault("healed", 9),
        runs.fault("injected", 3, took_effect=True,
                   evidence={"brokers": [{"broker": 1}], "partitions": []}),
        *[runs.slot(f"harness-{runs.RUN_ID}-idempotent", n, attempted=9, acked=9)
          for n in range(40)],
    ]  # fmt: skip
    kinds: dict[str, tuple[list[object], dict[str, object]]] = {
        "kept": ([*_healthy(), records(40)], {}),
        "faults": ([*_healthy(), records(20), fault], {}),
        "broken": ([*_healthy(), records(9), runs.acked(9, 9), runs.acked(10, 10),
                    runs.observed(10, 10)], {}),
        "journal": ([*_healthy(), records(9)],
                    {"info": run_info([profile()], experiments=["no_fault"]),
                     "journals": [{"status": "completed", "run": [], "rollbacks": []}]}),
        "transactional": ([*_healthy("transactional"), records(6),
                           runs.txn(1, "committed", 0, 2), runs.txn(2, "committed", 3, 5)],
                          {"info": transactional}),
        "consuming": ([*_healthy("consume-commit-after"), pipeline],
                      {"info": run_info([consuming()])}),
        "rows": ([*_healthy(), records(9), runs.foreign(9), runs.foreign(9, live=True),
                  runs.drained(0, 10), runs.live(0, 10), runs.corrupt(11),
                  runs.corrupt(11, live=True), runs.Batch(0, 5, runs.START_US + 7),
                  runs.Batch(6, 11, runs.START_US + 9)], {}),
        "pipeline": ([*_healthy("consume-transactional"), records(12),
                      event("incarnation", profile="consume-transactional", incarnation=9,
                            phase="started", first_record=0),
                      records(12, topic=1, producer=9), runs.group_at(12),
                      [runs.output(n, n) for n in range(12)]],
                     {"info": run_info([consuming("transactional")])}),
    }  # fmt: skip
    made = {
        name: runs.write_run(folder / name, history, **options)  # type: ignore[arg-type]
        for name, (history, options) in kinds.items()
    }
    topic = transactional.topics[0]
    log = LogHeld(1, 0, 6, markers=[2, 2], aborted=[4, 5])
    Holes(partitions=[PartitionHoles(topic, 0, 6, [], log)]).write(made["transactional"].drained(1))
    counts = np.zeros(CELLS, dtype=np.int64)
    counts[[7, 70]] = 3
    line = LineEncoder().line(Interval(runs.START_US, runs.START_US + 1_000_000, counts))
    for name in ("kept", "broken", "rows"):
        made[name].latency.mkdir(exist_ok=True)
        path = made[name].latency / "idempotent.ack.1.hlog"
        path.write_text(header(runs.START_US) + 3 * line)
    return made


def _unseen(name: str, change: str) -> bool:
    """Whether nothing in a run directory shows a change of this kind to this file."""
    if change in SILENT:
        return True
    if name.endswith((".ndjson", ".journal")):
        return change in ("cut", "drop_line", "double_line")
    if name.endswith((".json",)):
        return change in ("drop_line", "double_line")
    if name.endswith(".hlog"):
        return change in ("cut", "gone", "drop_line", "double_line")
    # Cells have no checksum: a ledger's and an observation file's length is all that is known.
    return change not in ("gone", "cut")


def check_run_dir(seed: int, made: dict[str, RunDir], folder: Path, seen: Counter[str]) -> None:
    """One run directory, whole and with one file changed."""
    chance = random.Random(seed)
    kind = chance.choice(sorted(made))
    copy = folder / f"{seed}"
    shutil.copytree(made[kind].path, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    path = chance.choice(files)
    name = path.relative_to(copy).as_posix()
    before = Outcome.of(lambda: judge(load_run(RunDir(copy), 1)))
    data = path.read_bytes()
    label, change = chance.choice([*(TORN | COUNTED | SILENT).items(), ("gone", None)])
    if change is None:
        path.unlink()
    elif data:
        path.write_bytes(change(data, chance))
    after = Outcome.of(lambda: judge(load_run(RunDir(copy), 1)))
    if not path.exists() or path.read_bytes() != data:
        visible = not _unseen(name, label)
        check(before, after, f"run directory {seed} ({kind}), {name}, {label}", visible=visible)
        seen[f"{Path(name).suffix} {label}: {after.verdict or f'exit {after.code}'}"] += 1
    shutil.rmtree(copy)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="mutated-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def main() -> int:
    """Try all, say what came of them, and end with 1 when there was a defect."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--run-dirs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    seen: Counter[str] = Counter()
    defects: list[str] = []
    began = time.monotonic()
    with scratch() as folder:
        made = run_dirs(folder)
        tries: list[tuple[Callable[[int], None], int]] = [
            (lambda seed: check_history(seed, folder, seen), args.histories),
            (lambda seed: check_run_dir(seed, made, folder, seen), args.run_dirs),
        ]
        for attempt, count in tries:
            for seed in range(args.seed, args.seed + count):
                try:
                    attempt(seed)
                except Exception as error:  # a traceback is the defect that is looked for
                    defects.append(f"{seed}: {type(error).__name__}: {error}")
    for label, count in sorted(seen.items()):
        print(f"{count:7} {label}")
    for defect in defects:
        print(f"DEFECT {defect}")
    tried = f"{args.histories} histories and {args.run_dirs} run directories"
    print(f"{tried}, {len(defects)} defects, {time.monotonic() - began:.0f} s")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
