"""Run directories that were made before files had versions: they are still read, and judged alike.

Both are runs of the harness against Kafka 4.3.1, at 40 records a second, without logs and report:

    kill_leader  idempotent, transactional and the control leader-ack; a leader killed twice
    consumers    consume-at-least-once, without a fault
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import RunDirError
from harness.judge.judge import judge
from harness.rundir.proof import DrainProof
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from tests.support.histories import records, write_run

RUNS = Path(__file__).parents[1] / "golden" / "runs"


@pytest.fixture(params=["kill_leader", "consumers"])
def old_run(request: pytest.FixtureRequest, tmp_path: Path) -> RunDir:
    """An old run directory, without a field `schema` anywhere but in verdict.json."""
    with tarfile.open(RUNS / f"{request.param}.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    run_dir = RunDir(tmp_path / request.param)
    assert "schema" not in json.loads(run_dir.run_json.read_text())
    assert b'"schema"' not in run_dir.timeline.read_bytes()
    return run_dir


def facts(verdict: dict[str, Any], as_in: dict[str, Any]) -> dict[str, Any]:
    """What was found, promise by promise and count by count, as far as an old verdict has it."""
    found = {each["profile"]: each for each in verdict["profiles"]}
    return {
        old["profile"]: (
            found[old["profile"]]["verdict"],
            {name: found[old["profile"]]["counts"][name] for name in old["counts"]},
            [
                (promise["promise"], promise["verdict"], promise["challenged"], promise["observed"])
                for promise in found[old["profile"]]["promises"]
            ],
        )
        for old in as_in["profiles"]
    }


def test_an_old_run_is_verified_again_with_the_same_verdict(
    old_run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads(old_run.verdict(1).read_text())
    # Nobody listens there: the run is judged again from its observations.
    nobody = "bootstrap.servers=127.0.0.1:1"
    assert main(["verify", str(old_run.path), "--config", nobody, "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after == json.loads(old_run.verdict(2).read_text())
    assert after["verdict"] == before["verdict"] == "kept"
    assert facts(after, before) == facts(before, before)
    assert after["faults"] == before["faults"]


def test_a_report_is_made_of_an_old_run(old_run: RunDir) -> None:
    assert main(["report", str(old_run.path)]) == 0
    assert json.loads(old_run.verdict(1).read_text())["run_id"] in old_run.report_html.read_text()


# -- versions


def first_line(run_dir: RunDir, **fields: Any) -> None:
    """Change fields of the timeline's first line."""
    first, rest = run_dir.timeline.read_text().split("\n", 1)
    run_dir.timeline.write_text(json.dumps({**json.loads(first), **fields}) + "\n" + rest)


def document(path: Path, **fields: Any) -> None:
    """Change fields of a document."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("schema", ["2", "1.4", "10", "x", ""])
@pytest.mark.parametrize("file", ["run", "drain", "timeline"])
def test_a_major_version_that_is_not_known_is_refused(
    file: str, schema: str, tmp_path: Path
) -> None:
    run_dir = write_run(tmp_path / "run", [records(5)])
    said = f"delivery-{file}/{schema}"
    match file:
        case "run":
            document(run_dir.run_json, schema=said)
        case "drain":
            document(run_dir.drained(1) / "drain.json", schema=said)
        case "timeline":
            first_line(run_dir, schema=said)
    if schema == "1.4":
        assert judge(load_run(run_dir, 1)).verdict == "kept"
        return
    with pytest.raises(RunDirError, match=f"schema: '{said}'; .* reads 'delivery-{file}/1'") as no:
        load_run(run_dir, 1)
    assert no.value.exit_code == 2
    if file == "drain":
        with pytest.raises(RunDirError, match="schema"):
            DrainProof.read_from(run_dir.drained(1))


@pytest.mark.parametrize("schema", ["delivery-verdict/1", 1, ["delivery-run/1"], True])
def test_another_schema_is_refused(schema: object, tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [records(5)])
    document(run_dir.run_json, schema=schema)
    with pytest.raises(RunDirError, match="schema: "):
        run_dir.read_info()


def test_every_file_says_its_version(tmp_path: Path) -> None:
    from harness.rundir.events import RunEvent

    run_dir = write_run(tmp_path / "run", [records(5)])
    assert json.loads(run_dir.run_json.read_text())["schema"] == "delivery-run/1"
    proof = run_dir.drained(1) / "drain.json"
    DrainProof.read_from(run_dir.drained(1)).write(run_dir.drained(1))
    assert json.loads(proof.read_text())["schema"] == "delivery-drain/1"
    run_dir.timeline.unlink()
    run_dir.append(RunEvent(source="harness", phase="started"))
    run_dir.append(RunEvent(source="load", phase="load_started"))
    first, second = map(json.loads, run_dir.timeline.read_text().splitlines())
    assert first["schema"] == "delivery-timeline/1"
    assert "schema" not in second


def test_fields_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [records(5)])
    info = json.loads(run_dir.run_json.read_text())
    info["profiles"][0]["colour"] = info["load"]["colour"] = "blue"
    run_dir.run_json.write_text(json.dumps({**info, "colour": ["blue"]}))
    document(run_dir.drained(1) / "drain.json", colour="blue")
    first_line(run_dir, colour="blue")
    assert judge(load_run(run_dir, 1)).verdict == "kept"
    assert DrainProof.read_from(run_dir.drained(1)).complete
