"""`make workers`: SIGKILL of a load worker at random instants, and no false word about it.

Three kinds of victims take turns:

    here        a worker that the run started itself: its ledger is in the run directory
    elsewhere   a worker with a partial directory, and what started it: nothing of it ever arrives
    process     the same, but what started it lives: its next process hands in what was left

No fault strikes, so any anomaly is a false one. The run has to go on, to end with exit code 3 where
the loss says so or 0 where the kill came too late to matter, and its reasons have to name the
worker. A clean end of the other worker's ledgers is checked by the sums that each run closes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness.anomalies import ANOMALIES
from harness.brokers import LocalCluster
from harness.rundir.events import WorkerEvent
from harness.rundir.run_dir import RunDir
from tests.support.mocked_load import free_port, process_of, read_live, workers
from tests.support.shortened import shortened

KINDS = ("here", "elsewhere", "process")
FALSE = [name for name in ANOMALIES if name not in ("unseen", "gap")]
BEGIN_S = 240.0


@contextlib.contextmanager
def serving(folder: Path, port: str, bootstrap: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two `harness worker`, each with a folder of its own as another machine would have."""
    started = []
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        with (folder / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [*(sys.executable, "-m", "harness", "worker", "--master-host", "127.0.0.1")]
                    + ["--master-port", port, "--brokers", bootstrap]
                    + ["--work-dir", str(folder / name)],
                    stdout=log,
                    stderr=log,
                )
            )
    try:
        yield started
    finally:
        for each in started:
            if each.poll() is None:
                each.terminate()
        for each in started:
            each.wait(200)


def parent_of(pid: int) -> int:
    """The process that started another."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def kill_once(
    kind: str, delay_s: float, out: Path, experiment: Path, bootstrap: str
) -> tuple[str, list[str]]:
    """One run with one kill: what the verdict says, and what was wrong.

    delay_s: from the victim's first record that was read to the kill.
    """
    port = str(free_port())
    how = ["--workers", "2"] if kind == "here" else ["--expect-workers", "2"]
    if kind != "here":
        how += ["--master-bind-port", port, "--expect-workers-max-wait", "120"]
    run_dir = RunDir(out / "run")
    with contextlib.ExitStack() as stack:
        if kind != "here":
            stack.enter_context(serving(out, port, bootstrap))
        log = stack.enter_context((out / "run.log").open("wb"))
        run = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", "--brokers", bootstrap, *how, "--no-control"]
            + ["--profile", "idempotent", "--profile", "transactional", "--rate", "300"]
            + ["--experiment", str(experiment), "--out", str(run_dir.path), "--json"],
            stdout=log,
            stderr=log,
        )
        deadline = time.monotonic() + BEGIN_S
        victim: WorkerEvent | None = None
        while victim is None or not read_live(run_dir, victim):
            if run.poll() is not None or time.monotonic() > deadline:
                run.kill()
                what = "the workers did not join" if victim is None else "no record was read"
                return "nothing", [f"{what}: {(out / 'run.log').read_text()}"]
            joined = workers(run_dir, "joined") if run_dir.timeline.exists() else []
            if victim is None and len(joined) == 2:
                victim = random.choice(joined)
            time.sleep(0.05)
        time.sleep(delay_s)  # the moment of the kill is what varies
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            pid = process_of(victim)
            if kind == "elsewhere":
                os.kill(parent_of(pid), signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
        code = run.wait(400)
    return judged(run_dir, code, victim.name)


def judged(run_dir: RunDir, code: int, victim: str) -> tuple[str, list[str]]:
    """What the verdict says, and what in it is wrong."""
    wrong = [] if code in (0, 3) else [f"the run ended with exit code {code}"]
    if not run_dir.verdict(1).exists():
        return "nothing", [*wrong, "it has no verdict"]
    verdict = json.loads(run_dir.verdict(1).read_text())
    wrong += [
        f"{profile['profile']}: {name} {profile['counts'][name]}"
        for profile in verdict["profiles"]
        for name in FALSE
        if profile["counts"][name]
    ]
    lost = [event.name for event in workers(run_dir, "lost")]
    arrived = {event.worker for event in workers(run_dir, "arrived")}
    if victim in lost and len(arrived) < 2 and not any(victim in r for r in verdict["reasons"]):
        wrong.append(f"no reason names {victim}")
    counts = [profile["counts"] for profile in verdict["profiles"]]
    return (
        f"{verdict['verdict']}, {sum(each['attempted'] for each in counts):,} attempts on record, "
        f"{sum(each.get('unaccounted', 0) for each in counts):,} records unaccounted for"
    ), wrong


def main() -> int:
    """Kill and judge; 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="go on with this run of the series")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("reports/runs/workers"))
    args = parser.parse_args()
    folder = args.out / time.strftime("%Y%m%d-%H%M%S")
    everything: list[str] = []
    kinds = args.kind or KINDS
    with tempfile.TemporaryDirectory() as scratch, LocalCluster.start() as cluster:
        experiment = shortened("no_fault", Path(scratch) / "none.yaml", pause_s=1, hold_s=4.0)
        for number in range(args.first - 1 + args.times):
            random.seed(f"{args.seed} {number}")
            kind, delay_s = kinds[number % len(kinds)], random.uniform(0.0, 14.0)
            if number + 1 < args.first:
                continue
            out = folder / f"{number + 1}-{kind}"
            out.mkdir(parents=True)
            told, wrong = kill_once(kind, delay_s, out, experiment, cluster.bootstrap)
            print(
                f"{number + 1:3} {kind:10} killed {delay_s:4.1f} s after its first record: {told}"
                f"{'; WRONG: ' + '; '.join(wrong) if wrong else ''}",
                flush=True,
            )
            everything += wrong
    print("nothing was wrong" if not everything else f"{len(everything)} things were wrong")
    return 1 if everything else 0


if __name__ == "__main__":
    sys.exit(main())
