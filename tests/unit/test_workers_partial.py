"""What a worker records elsewhere comes into the run directory whole, or not at all."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import RunDirError
from harness.load.left_over import LockedFolder, WorkFolder, left_over
from harness.rundir.columns import ColumnFile
from harness.rundir.events import GeneratorEvent
from harness.rundir.latency import IntervalRecorder, read_log
from harness.rundir.latency import merge as merge_counts
from harness.rundir.ledger import Ledger
from harness.rundir.partial import CHUNK_BYTES, FilePart, Outgoing, PartialReceiver, merge
from harness.rundir.run_dir import RunDir

FIRST, LAST = 4096, 8191


def a_partial(path: Path, attempts: int = 200_000) -> RunDir:
    partial = RunDir.create(path)
    ledger = Ledger.create(partial.ledger, run=5, profile="p", numbers=range(FIRST, LAST + 1))
    assert ledger.incarnation == FIRST
    first = ledger.open(0, 1, attempts)
    sequences = np.arange(first, first + attempts, dtype=np.uint64)
    ledger.acked(0, 1, sequences, np.arange(attempts, dtype=np.int64) * 2)
    ledger.close()
    with IntervalRecorder(partial.latency / f"p.ack.{FIRST}.hlog", 0) as recorder:
        recorder.record(np.arange(50), np.full(50, 700))
    partial.append(*[GeneratorEvent(source="load", lag_ms_max=float(at)) for at in range(30)])
    return partial


def handed_in(partial: RunDir, folder: Path) -> tuple[PartialReceiver, Outgoing]:
    receiver = PartialReceiver(folder, FIRST, LAST)
    outgoing = Outgoing(partial.path, {})
    for part in outgoing.parts():
        assert part.size <= CHUNK_BYTES
        receiver.take(part)
    return receiver, outgoing


def test_a_partial_directory_arrives_as_it_was_and_becomes_part_of_the_run(tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path / "run")
    run_dir.append(GeneratorEvent(source="load", lag_ms_max=99.0))
    with IntervalRecorder(run_dir.latency / "p.ack.1.hlog", 0) as recorder:
        recorder.record(np.arange(25), np.full(25, 700))
    partial = a_partial(tmp_path / "part")
    sent = (partial.ledger / f"{FIRST}.ledger").read_bytes()
    receiver, outgoing = handed_in(partial, run_dir.path / "workers" / "1")
    receiver.check_complete(outgoing.sent)
    merge(receiver.folder, run_dir, "worker-1.log")
    assert (run_dir.ledger / f"{FIRST}.ledger").read_bytes() == sent
    assert ColumnFile.open(run_dir.ledger / f"{FIRST}.ledger").closed_cleanly
    lags = [event.lag_ms_max for event in run_dir.events(GeneratorEvent)]
    assert lags == [99.0, *range(30)]
    logs = sorted(run_dir.latency.glob("p.ack.*.hlog"))
    total = merge_counts(each for log in logs for each in read_log(log))
    assert int(total.sum()) == int(total.max()) == 75, "histograms add up exactly"
    assert not (run_dir.path / "workers").exists()


def test_what_a_dead_worker_left_of_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path / "run")
    partial = a_partial(tmp_path / "part")
    with partial.timeline.open("ab") as timeline:
        timeline.write(b'{"at": "2026')
    receiver, outgoing = handed_in(partial, run_dir.path / "workers" / "1")
    receiver.check_complete(outgoing.sent)
    merge(receiver.folder, run_dir, "worker-1.log")
    run_dir.append(GeneratorEvent(source="load", lag_ms_max=1.0))
    assert len(list(run_dir.events(GeneratorEvent))) == 31
    assert run_dir.timeline.read_bytes().endswith(b"}\n")


def parts(partial: RunDir) -> list[FilePart]:
    return list(Outgoing(partial.path, {}).parts())


def test_damage_on_the_way_is_seen(tmp_path: Path) -> None:
    one = parts(a_partial(tmp_path / "part"))[0]
    block = bytearray(zlib.decompress(one.data))
    block[100] ^= 1
    wrong = {
        "a bit": replace(one, data=zlib.compress(bytes(block))),
        "no zlib": replace(one, data=b"xyz"),
        "too long": replace(one, data=zlib.compress(bytes(block) + b"x")),
        "too short": replace(one, data=zlib.compress(bytes(block[:-1]))),
        "not the next": replace(one, offset=CHUNK_BYTES),
        "nothing": replace(one, size=0, data=zlib.compress(b""), crc=zlib.crc32(b"")),
    }
    for name, part in wrong.items():
        receiver = PartialReceiver(tmp_path / "in", FIRST, LAST)
        with pytest.raises(ValueError, match=r"ledger/4096"):
            receiver.take(part)
        assert receiver.received_bytes == 0, name


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "run.json",
        "verdict.json",
        "ledger/../run.json",
        "ledger/4095.ledger",
        "ledger/8192.ledger",
        "latency/p.ack.1.hlog",
        "/tmp/4096.ledger",
    ],
)
def test_no_file_but_one_of_its_own_is_taken_from_a_worker(tmp_path: Path, path: str) -> None:
    one = parts(a_partial(tmp_path / "part", 10))[0]
    receiver = PartialReceiver(tmp_path / "in", FIRST, LAST)
    with pytest.raises(ValueError, match=r"no file of a partial|is none of 4096 to 8191"):
        receiver.take(replace(one, path=path))
    assert not (tmp_path / "in").exists()


def take_all(receiver: PartialReceiver, taken: list[FilePart], outgoing: Outgoing) -> None:
    for part in taken:
        receiver.take(part)
    receiver.check_complete(outgoing.sent)


def test_a_directory_that_lacks_a_part_or_a_file_is_not_complete(tmp_path: Path) -> None:
    partial = a_partial(tmp_path / "part")
    outgoing = Outgoing(partial.path, {})
    every = list(outgoing.parts())
    for missing in (every[-1].path, f"ledger/{FIRST}.ledger"):
        receiver = PartialReceiver(tmp_path / f"in-{missing.replace('/', '-')}", FIRST, LAST)
        taken = [part for part in every if part.path != missing or part.offset]
        with pytest.raises(ValueError, match=missing):
            take_all(receiver, taken, outgoing)
    receiver = PartialReceiver(tmp_path / "more", FIRST, LAST)
    del outgoing.sent["timeline.ndjson"]
    with pytest.raises(ValueError, match=r"timeline\.ndjson: was sent and is not named"):
        take_all(receiver, every, outgoing)


def test_a_ledger_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path / "run")
    (run_dir.ledger / f"{FIRST}.ledger").write_bytes(b"the run's own")
    receiver, _ = handed_in(a_partial(tmp_path / "part", 10), run_dir.path / "workers" / "1")
    with pytest.raises(RunDirError, match="is there already"):
        merge(receiver.folder, run_dir, "worker-1.log")
    assert (run_dir.ledger / f"{FIRST}.ledger").read_bytes() == b"the run's own"


def test_only_a_partial_directory_that_no_process_uses_is_left_over(tmp_path: Path) -> None:
    folder = LockedFolder(tmp_path / f"20261129-run-a1b2-{FIRST}-{LAST}")
    partial = a_partial(folder.path, 10)
    partial.run_json.write_text("{}")
    (tmp_path / "something else").mkdir()
    (found,) = left_over(WorkFolder(tmp_path))
    assert (found.run_id, found.first, found.last) == ("20261129-run-a1b2", FIRST, LAST)
    assert folder.lock()
    assert left_over(WorkFolder(tmp_path)) == []
    folder.release()
    assert len(left_over(WorkFolder(tmp_path))) == 1


def test_a_temporary_folder_is_there_from_the_first_partial_directory_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    work = WorkFolder()
    assert left_over(work) == []
    assert work.remove()
    assert list(tmp_path.iterdir()) == []
    (work.made() / "partial").mkdir()
    assert [each.name for each in tmp_path.iterdir()] == [work.made().name]
    (work.made() / "worker.log").touch()
    assert not work.remove(work.made() / "worker.log")
    assert (work.made() / "worker.log").exists(), "who has to look for the rest needs it"
    (work.made() / "partial").rmdir()
    assert work.remove(work.made() / "worker.log")
    assert list(tmp_path.iterdir()) == []
