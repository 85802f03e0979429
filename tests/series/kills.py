"""`make kills`: SIGKILL of the load process, of the reader, and of the harness, in mid-run.

Each victim is killed ten times, at another moment of the run each time. Afterwards nothing of
the run may be left running, and `harness verify RUN_DIR` must give a judgement that claims no loss
and no duplicate that was not there: no fault strikes here, so any count is a false one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from harness.anomalies import ANOMALIES

VICTIMS = ("load", "reader", "harness")
_MODULES = {"load": "harness.load.process", "reader": "harness.read.live_reader"}
FALSE = [name for name in ANOMALIES if name not in ("unseen", "gap")]


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Every process below one, and itself."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def find(process: psutil.Process, victim: str) -> psutil.Process | None:
    """The victim among the processes of a run."""
    for each in descendants(process):
        try:
            if _MODULES[victim] in each.cmdline():
                return each
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return None


def await_load(out: Path, harness: subprocess.Popen[bytes]) -> None:
    """Wait until the load is warm."""
    deadline = time.monotonic() + 90
    timeline = out / "timeline.ndjson"
    while not (timeline.exists() and b'"warmed_up"' in timeline.read_bytes()):
        assert harness.poll() is None, f"the run ended early with {harness.returncode}"
        assert time.monotonic() < deadline, "the load did not warm up within 90 s"
        time.sleep(0.1)


def kill_once(victim: str, out: Path, delay_s: float) -> tuple[dict[str, Any], list[str]]:
    """One run with one kill: the verdict of `harness verify`, and what was wrong."""
    wrong: list[str] = []
    log = out.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        harness = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", "--experiment", "no_fault"]
            + ["--duration", "15", "--rate", "500", "--out", str(out), "--json"],
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    root = psutil.Process(harness.pid)
    await_load(out, harness)
    time.sleep(delay_s)  # the moment of the kill is what varies
    everyone = {each.pid: each.create_time() for each in descendants(root)}
    target = root if victim == "harness" else find(root, victim)
    assert target is not None, f"no {victim} process found"
    os.kill(target.pid, signal.SIGKILL)
    code = harness.wait(180)
    if victim != "harness" and code not in (0, 3):
        wrong.append(f"the run ended with exit code {code}")
    deadline = time.monotonic() + 60
    left = list(everyone)
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if alive(pid, everyone[pid])]
        time.sleep(0.2)
    wrong += [f"process {pid} is still running" for pid in left]
    done = subprocess.run(
        [sys.executable, "-m", "harness", "verify", str(out), "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if not done.stdout.strip():
        return {}, [*wrong, f"verify gave no verdict: {done.stderr}"]
    verdict = json.loads(done.stdout)
    for path in sorted(out.glob("verdict*.json")):
        for profile in json.loads(path.read_text())["profiles"]:
            wrong += [
                f"{path.name}: {profile['profile']}: {name} {profile['counts'][name]}"
                for name in FALSE
                if profile["counts"][name]
            ]
    if done.returncode != 3:
        wrong.append(f"verify of a cluster that is gone ended with {done.returncode}, not 3")
    return verdict, wrong


def alive(pid: int, created: float) -> bool:
    """Whether that very process still runs."""
    try:
        process = psutil.Process(pid)
        return process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main() -> int:
    """Kill and verify; 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--victim", action="append", choices=VICTIMS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("reports/runs/kills"))
    args = parser.parse_args()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    chance = random.Random(args.seed)
    everything: list[str] = []
    for victim in args.victim or VICTIMS:
        for number in range(1, args.times + 1):
            delay_s = chance.uniform(0.0, 12.0)
            out = args.out / f"{stamp}-{victim}-{number}"
            verdict, wrong = kill_once(victim, out, delay_s)
            attempted = sum(p["counts"]["attempted"] for p in verdict.get("profiles", []))
            print(
                f"{victim:8} {number:3} killed after {delay_s:4.1f} s: verify says "
                f"{verdict.get('verdict', 'nothing')}, {attempted} attempts on record"
                f"{'; WRONG: ' + '; '.join(wrong) if wrong else ''}",
                flush=True,
            )
            everything += wrong
    print("nothing was wrong" if not everything else f"{len(everything)} things were wrong")
    return 1 if everything else 0


if __name__ == "__main__":
    sys.exit(main())
