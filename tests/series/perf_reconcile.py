"""What reconciling costs: CPU time and anonymous memory a record, without any broker.

    python tests/series/perf_reconcile.py [MILLIONS] [plain|dirty|transactional]

Writes a run directory of so many million attempts as a real run leaves it (one producer, three
partitions) and reconciles it in a process of its own, so that the memory is that of reconciling.
`dirty` loses, duplicates and reorders one record in a thousand.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.reconcile.reconcile import reconcile
from harness.record.codec import run_hash
from harness.rundir.columns import ACKED, ColumnFile, pack_offsets
from harness.rundir.rows import BATCH, COPY, EXTRA
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from tests.support.histories import RUN_ID, profile, run_info, write_run

PARTITIONS = 3
BLOCK = 1 << 20
TXN_RECORDS = 100


def write(path: Path, records: int, kind: str) -> RunDir:
    """A run directory of `records` attempts, all acknowledged and read."""
    info = run_info([profile(transactional=kind == "transactional")], partitions=PARTITIONS)
    run_dir = write_run(path, [], info=info)
    each = records // PARTITIONS
    files = {
        "ledger": run_dir.ledger / "1.ledger",
        "live": run_dir.live / "1.obs",
        "drained": run_dir.drained(1) / "1.obs",
    }
    chance = np.random.default_rng(7)
    extras = []
    for name, file in files.items():
        with ColumnFile.create(
            file, run=run_hash(RUN_ID), incarnation=1, kind=name, profile="idempotent"
        ) as columns:
            for partition in range(PARTITIONS):
                for first in range(0, each, BLOCK):
                    count = min(BLOCK, each - first)
                    at = np.arange(first, first + count, dtype=np.int64)
                    if kind == "dirty" and name == "drained":
                        moved = chance.choice(count - 1, count // 1000, replace=False)
                        at[moved] -= 50
                        at = np.maximum(at, 0)
                    low, high = pack_offsets(at)
                    if kind == "dirty" and name == "drained":
                        high[chance.choice(count, count // 1000, replace=False)] = 0
                        rows = np.zeros(count // 1000, dtype=EXTRA)
                        rows["kind"], rows["partition"], rows["incarnation"] = COPY, partition, 1
                        rows["sequence"] = first + chance.choice(count, len(rows), replace=False)
                        rows["offset"] = each + first + np.arange(len(rows))
                        extras.append(rows)
                    for extent, cells, part in columns.spans(0, partition, first, count):
                        extent.low[cells] = low[part]
                        extent.high[cells] = high[part]
    if extras:
        (run_dir.drained(1) / "extras.bin").write_bytes(np.concatenate(extras).tobytes())
    if kind == "transactional":
        write_transactions(run_dir, each)
    proof = json.loads((run_dir.drained(1) / "drain.json").read_text())
    drained = load_run(run_dir, 1).drained
    read = dict.fromkeys(range(PARTITIONS), 0)
    for partition in range(PARTITIONS):
        for extent in drained.columns[1].extents(0, partition):
            read[partition] += int(np.count_nonzero(extent.high >= ACKED))
        read[partition] += int(np.count_nonzero(drained.extras["partition"] == partition))
    for entry in proof["partitions"]:
        entry["read"] = read[entry["partition"]]
        entry["end"] = entry["last_stable"] = 2 * each
    (run_dir.drained(1) / "drain.json").write_text(json.dumps(proof))
    return run_dir


def write_transactions(run_dir: RunDir, each: int) -> None:
    """Transactions of a hundred records in each partition, and batches read of a thousand."""
    with (run_dir.ledger / "1.txn.ndjson").open("w") as lines:
        for number, first in enumerate(range(0, each, TXN_RECORDS)):
            last = min(first + TXN_RECORDS, each) - 1
            ranges = {f"0:{partition}": [first, last] for partition in range(PARTITIONS)}
            called = {"txn": number, "step": "commit_called", "at_us": number, "ranges": ranges}
            lines.write(json.dumps(called) + "\n")
            done = {"txn": number, "step": "committed", "at_us": number}
            lines.write(json.dumps(done) + "\n")
    rows = np.zeros(-(-each // 1000) * PARTITIONS, dtype=BATCH)
    rows["partition"] = np.arange(len(rows)) % PARTITIONS
    rows["first_offset"] = np.arange(len(rows)) // PARTITIONS * 1000
    rows["last_offset"] = rows["first_offset"] + 999
    rows["read_us"] = 1 << 50
    (run_dir.live / "batches.bin").write_bytes(rows.tobytes())


def anonymous_bytes_max() -> int:
    """Peak of anonymous memory: peak resident set without file pages is not told, so what is."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(path: Path) -> None:
    """In a process of its own: reconcile, and say what it took."""
    import threading

    peak = anonymous_bytes_max()
    done = threading.Event()
    before = anonymous_bytes_max()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, anonymous_bytes_max())

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    found = reconcile(load_run(RunDir(path), 1))[0]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    done.set()
    watcher.join()
    attempted = found.counts["attempted"]
    print(
        f"{attempted:,} attempts: {cpu / attempted * 1e6:.3f} us CPU and "
        f"{wall / attempted * 1e6:.3f} us a record, {(peak - before) / 2**20:.1f} MiB of anonymous "
        f"memory ({(peak - before) / attempted:.2f} bytes a record)"
    )
    print({name: count for name, count in found.table().items() if count})


def main() -> None:
    """Write, then measure."""
    if len(sys.argv) > 1 and sys.argv[1] == "--measure":
        measure(Path(sys.argv[2]))
        return
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    kind = sys.argv[2] if len(sys.argv) > 2 else "plain"
    with tempfile.TemporaryDirectory() as folder:
        run_dir = write(Path(folder) / "run", round(millions * 1e6), kind)
        subprocess.run([sys.executable, __file__, "--measure", str(run_dir.path)], check=True)


if __name__ == "__main__":
    main()
