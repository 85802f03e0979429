"""Row files, committed offsets and latency logs that were damaged: refused by their name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import RunDirError
from harness.judge.judge import judge
from harness.record.codec import run_hash
from harness.rundir.consumption import INPUT_ROW
from harness.rundir.hlog import CELLS, Interval, LineEncoder, header
from harness.rundir.rows import BATCH, EXTRA
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from harness.rundir.verdict import Verdict
from tests.support import histories as runs
from tests.support.histories import (
    RUN_ID,
    START_US,
    Batch,
    consuming,
    corrupt,
    drained,
    foreign,
    live,
    misrouted,
    output,
    records,
    run_info,
    write_run,
)


def a_run(path: Path) -> RunDir:
    """Both sets have rows of several kinds, and stretches of read_committed are noted."""
    more = [
        drained(0, 9), live(0, 9), corrupt(5), corrupt(5, live=True), foreign(6),
        foreign(6, live=True), misrouted(0, 7), misrouted(0, 7, live=True),
        Batch(0, 4, START_US + 5), Batch(5, 9, START_US + 9),
    ]  # fmt: skip
    return write_run(path, [records(5), *more])


def a_pipeline(path: Path) -> RunDir:
    info = run_info([consuming("transactional")])
    history = [records(3), records(3, topic=1, producer=9), [output(n, n) for n in range(3)]]
    run_dir = write_run(path, [*history, runs.group_at(3)], info=info)
    run_dir.latency.mkdir(exist_ok=True)
    counts = np.zeros(CELLS, dtype=np.int64)
    counts[[5, 90]] = 2
    lines = [LineEncoder().line(Interval(START_US + n, START_US + n + 1, counts)) for n in (0, 1)]
    name = f"{info.profiles[0].profile}.ack.1.hlog"
    (run_dir.latency / name).write_text(header(START_US) + "".join(lines))
    return run_dir


def judged(run_dir: RunDir) -> Verdict:
    return judge(load_run(run_dir, 1))


def refused(run_dir: RunDir, path: Path) -> str:
    with pytest.raises(RunDirError) as found:
        judged(run_dir)
    said = str(found.value)
    assert str(path) in said
    assert "\n" not in said
    return said


def test_what_the_others_damage_is_read(tmp_path: Path) -> None:
    assert judged(a_run(tmp_path / "a")).profiles[0].counts["foreign"] == 1
    assert judged(a_pipeline(tmp_path / "b")).profiles[0].latency_ms["ack"].all.count == 8


@pytest.mark.parametrize("which", ["drained", "live"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "end within a row of 48"),
        (lambda data: data + b"\0", "end within a row of 48"),
        (lambda data: data[:-48], "rows of kind"),
        (lambda data: data + data[:48], "rows of kind"),
        (lambda data: data[:0], "rows of kind"),
        (lambda data: data[48:] + data[-48:], "rows of kind"),
    ],
)
def test_extras_that_are_not_as_their_writer_left_them_are_refused(
    which: str, change: Callable[[bytes], bytes], said: str, tmp_path: Path
) -> None:
    run_dir = a_run(tmp_path / "run")
    path = getattr(run_dir, which)(1) if which == "drained" else run_dir.live
    path /= "extras.bin"
    path.write_bytes(change(path.read_bytes()))
    assert said in refused(run_dir, path)
    path.unlink()
    assert "is missing" in refused(run_dir, path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("kind", 0, "kind 0"),
        ("kind", 6, "kind 6"),
        ("topic", 1, "topic 1"),
        ("partition", 1, "partition 1"),
        ("offset", -1, "offset -1"),
        ("offset", 1 << 40, "offset 1099511627776"),
        ("leader_epoch", -2, "leader_epoch -2"),
        ("run", 5, "run hash"),
        ("pad", 1, "pad"),
        ("pad2", 1, "pad"),
        ("identity_partition", 1, "identity"),
        ("identity_topic", 3, "identity"),
    ],
)
def test_a_row_that_cannot_be_one_is_refused_by_its_number(
    field: str, value: int, said: str, tmp_path: Path
) -> None:
    run_dir = a_run(tmp_path / "run")
    path = run_dir.drained(1) / "extras.bin"
    rows = np.fromfile(path, dtype=EXTRA)
    at = int(np.flatnonzero(rows["kind"] == 1)[0])  # the copy
    rows[field][at] = value
    path.write_bytes(rows.tobytes())
    found = refused(run_dir, path)
    assert f"row {at + 1}: its {said}" in found


def test_a_foreign_row_of_this_run_and_a_misrouted_one_at_home_are_refused(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run")
    path = run_dir.drained(1) / "extras.bin"
    rows = np.fromfile(path, dtype=EXTRA)
    changed = rows.copy()
    changed["run"][changed["kind"] == 4] = run_hash(RUN_ID)
    path.write_bytes(changed.tobytes())
    assert "its run hash" in refused(run_dir, path)
    rows["identity_partition"] = rows["partition"]
    path.write_bytes(rows.tobytes())
    assert "its identity" in refused(run_dir, path)


def test_rows_of_a_writer_that_died_may_break_off(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run")
    lines = run_dir.timeline.read_text().splitlines(keepends=True)
    run_dir.timeline.write_text("".join(line for line in lines if '"stopped"' not in line))
    for name in ("extras.bin", "batches.bin"):
        path = run_dir.live / name
        path.write_bytes(path.read_bytes()[:-1])
    assert judged(run_dir).verdict == "broken", "the drain's own duplicate is still there"
    proof = run_dir.drained(1) / "drain.json"
    proof.unlink()
    extras = run_dir.drained(1) / "extras.bin"
    extras.write_bytes(extras.read_bytes()[:-1])
    judged(run_dir)


@pytest.mark.parametrize(
    ("field", "value"),
    [("topic", 1), ("partition", 9), ("first_offset", -1), ("last_offset", 3), ("pad", 1),
     ("read_us", 1 << 62), ("last_offset", 1 << 41)],
)  # fmt: skip
def test_a_stretch_that_cannot_be_one_is_refused(field: str, value: int, tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run")
    path = run_dir.live / "batches.bin"
    rows = np.fromfile(path, dtype=BATCH)
    rows[field][1] = value
    path.write_bytes(rows.tobytes())
    assert f"row 2: its {field} {value}".replace("pad 1", "pad") in refused(run_dir, path)
    path.write_bytes(rows.tobytes()[:-3])
    assert "end within a row" in refused(run_dir, path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("topic", 2), ("partition", 1), ("input_topic", 2), ("output_offset", -1),
     ("input_offset", 1 << 40)],
)  # fmt: skip
def test_an_input_that_cannot_be_one_is_refused(field: str, value: int, tmp_path: Path) -> None:
    run_dir = a_pipeline(tmp_path / "run")
    path = run_dir.drained(1) / "inputs.bin"
    rows = np.fromfile(path, dtype=INPUT_ROW)
    rows[field][2] = value
    path.write_bytes(rows.tobytes())
    assert f"row 3: its {field} {value}" in refused(run_dir, path)
    path.write_bytes(rows.tobytes()[:-3])
    assert "end within a row" in refused(run_dir, path)


GROUP = consuming("transactional").consume.group  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "document",
    [
        [], {"another group": {"0:0": 3}}, {GROUP: {"0:0": True}}, {GROUP: {"0:0": "3"}},
        {GROUP: {"0:0": 3.0}}, {GROUP: {"0:0": None}}, {GROUP: {"0:0": -2}}, {GROUP: [3]},
        {GROUP: {"0:0": 1 << 40}}, {GROUP: {"2:0": 3}}, {GROUP: {"0:1": 3}}, {GROUP: {"0": 3}},
        {GROUP: {"0:-1": 3}}, {GROUP: {"a:0": 3}}, {GROUP: {" 0:0": 3}}, {GROUP: {"0:0\n": 3}},
    ],
)  # fmt: skip
def test_committed_offsets_that_cannot_be_are_refused(document: Any, tmp_path: Path) -> None:
    run_dir = a_pipeline(tmp_path / "run")
    path = run_dir.drained(1) / "groups.json"
    assert json.loads(path.read_text()) == {GROUP: {"0:0": 3}}
    path.write_text(json.dumps(document))
    refused(run_dir, path)


@pytest.mark.parametrize(
    "line",
    ["nan,1.0,1.0,", "inf,1.0,1.0,", "1e400,1.0,1.0,", "1.0,inf,1.0,", "x", ",,,",
     "1.0,1.0,1.0,AAAA", "1.0,1.0,1.0,HISTFAAAABl42g==", "1.0,1.0,1.0,\0\0\0\0", "\ufffd"],
)  # fmt: skip
def test_a_line_of_a_latency_log_that_is_none_is_refused(line: str, tmp_path: Path) -> None:
    run_dir = a_pipeline(tmp_path / "run")
    (path,) = run_dir.latency.iterdir()
    lines = path.read_text().splitlines()
    payload = lines[-1].rpartition(",")[2]
    changed = line + payload if line.endswith(",") and line != ",,," else line
    path.write_text("\n".join([*lines[:-1], changed, lines[-1], ""]))
    assert f"line {len(lines)}: not a line of an HdrHistogram" in refused(run_dir, path)


def test_a_last_line_of_a_latency_log_that_breaks_off_is_left_out(tmp_path: Path) -> None:
    run_dir = a_pipeline(tmp_path / "run")
    (path,) = run_dir.latency.iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert judged(run_dir).profiles[0].latency_ms["ack"].all.count == 4


def test_counts_that_no_set_has_are_refused(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "run")
    path = run_dir.drained(1) / "drain.json"
    whole = json.loads(path.read_text())
    for counts in ({"copies": "1"}, {"seen": 1}, [1], 5, {"copies": 1.0}):
        path.write_text(json.dumps(whole | {"counts": counts}))
        refused(run_dir, path)
