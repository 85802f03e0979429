"""`harness compare` on files: run directories, aggregates, benches, baselines; exit codes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.judge.aggregate import Outcome, aggregate
from harness.rundir.documents import write_json
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import BROKEN, KEPT, Verdict
from harness.rundir.verdict_file import read_verdict, write_verdict
from tests.support.made_up_run import make_run

NAMES = ("idempotent",)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Makes run directories under a name; ack latency and recovery times `factor`."""
    monkeypatch.chdir(tmp_path)
    first, _ = make_run(tmp_path / "first", NAMES, KEPT)

    def make(
        name: str, count: int, *, factor: float = 1.0, broken: int = 0, rate: float | None = None
    ) -> list[str]:
        paths = []
        for number in range(1, count + 1):
            path = tmp_path / name / f"run-{number}"
            shutil.copytree(first.path, path)
            run_dir = RunDir(path)
            verdict = read_verdict(run_dir.latest_verdict())
            verdict = slowed(verdict, factor * (1 + 0.002 * number), number <= broken)
            write_verdict(run_dir.verdict(1), verdict)
            if rate is not None:
                info = run_dir.read_info()
                run_dir.write_info(replace(info, load=replace(info.load, rate_per_s=rate)))
            paths.append(str(path))
        return paths

    return make


def slowed(verdict: Verdict, factor: float, broken: bool) -> Verdict:
    """The same verdict with other latencies, of one promise broken or kept."""
    for profile in verdict.profiles:
        for metric, phases in profile.latency_ms.items():
            for phase in ("before", "during", "after", "all"):
                found = getattr(phases, phase)
                if found.p99 is not None:
                    found = replace(found, p50=found.p50 * factor, p99=found.p99 * factor)
                phases = replace(phases, **{phase: found})
            profile.latency_ms[metric] = phases
        if broken:
            first, *others = profile.promises
            profile.promises = [replace(first, verdict=BROKEN, reason="lost 1"), *others]
    return verdict


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {each["figure"]: each["verdict"] for each in found["figures"]}


def test_one_run_against_one_shows_no_figure_and_judges_the_promises(runs, capsys) -> None:
    (base,), (now,) = runs("base", 1), runs("now", 1, factor=3.0)
    assert main(["compare", base, now, "--json"]) == 3
    found = document(capsys)
    assert set(verdicts(found).values()) == {"not_shown"}
    assert {each["reason"] for each in found["figures"]} == {"one run each; give repeats"}
    assert all(each["not_worse"] for each in found["promises"])
    (broken,) = runs("broken", 1, broken=1)
    assert main(["compare", base, broken, "--json"]) == 1
    assert [each["verdict"] for each in document(capsys)["promises"]].count("worse") == 1


def test_slower_runs_are_found_with_repeats(runs, capsys) -> None:
    base, now = runs("base", 8), runs("now", 8, factor=1.5)
    assert main(["compare", "--base", *base, "--now", *now, "--json"]) == 1
    found = document(capsys)
    assert found["repeats"] == [8, 8]
    worse = {name for name, verdict in verdicts(found).items() if verdict == "worse"}
    assert "idempotent: ack p99 before faults" in worse
    assert all("ack" in name or "end-to-end" in name for name in worse)
    (p99,) = [each for each in found["figures"] if each["figure"].endswith("p99 before faults")]
    assert p99["ratio"] == pytest.approx(1.5, abs=0.01)
    assert p99["interval"][0] <= 1.5 <= p99["interval"][1]
    assert main(["compare", "--base", *now, "--now", *base]) == 0


def test_an_aggregate_stands_for_its_runs_and_alone_for_its_promises(runs, capsys) -> None:
    for name, broken in (("base", 0), ("now", 2)):
        made = [
            Outcome(number, number, Path(path).name, read_verdict(Path(path) / "verdict.json"))
            for number, path in enumerate(runs(name, 3, broken=broken), 1)
        ]
        write_json(Path(name) / "aggregate.json", aggregate(1, 3, made).to_json())
    assert main(["compare", "base", "now", "--json"]) == 1
    found = document(capsys)
    assert found["repeats"] == [3, 3]
    assert found["figures"]
    for number in (1, 2, 3):
        shutil.rmtree(f"base/run-{number}")
    assert main(["compare", "base/aggregate.json", "now", "--json", "--figure", "recovery"]) == 1
    found = document(capsys)
    assert any("only promises are compared" in note for note in found["notes"])
    assert [each["reason"] for each in found["figures"]] == ["measured only now"]


def test_a_baseline_is_kept_names_no_host_and_takes_the_place_of_its_runs(runs, capsys) -> None:
    base = runs("base", 8)
    assert main(["compare", "--now", *base, "--keep", "nightly"]) == 0
    kept = Path("reports/baselines/nightly.json")
    text = kept.read_text()
    assert json.loads(text)["schema"] == "delivery-baseline/1"
    assert "base/run-1" not in text
    assert "127.0.0.1" not in text
    shutil.rmtree("base")
    now, slower = runs("now", 8), runs("slower", 8, factor=1.5)
    capsys.readouterr()
    assert main(["compare", str(kept), "--now", *now, "--json"]) == 0
    assert document(capsys)["repeats"] == [8, 8]
    before = kept.read_bytes()
    assert main(["compare", str(kept), "--now", *slower, "--keep", "nightly"]) == 1
    assert kept.read_bytes() == before, "what is worse does not become the baseline"


def test_how_to_connect_is_no_condition_and_is_not_kept(runs) -> None:
    (base,), (now,) = runs("base", 1), runs("now", 1)
    info = RunDir(Path(now)).read_info()
    info.profiles[0].producer |= {
        "bootstrap.servers": "kafka.example:9093",
        "sasl.username": "somebody",
        "ssl.ca.location": "/home/somebody/ca.pem",
    }
    RunDir(Path(now)).write_info(info)
    assert main(["compare", base, now, "--keep", "tonight"]) == 3
    kept = Path("reports/baselines/tonight.json").read_text()
    assert "somebody" not in kept
    assert "kafka.example" not in kept


def test_another_rate_is_refused_and_named(runs, capsys) -> None:
    (base,), (now,) = runs("base", 1), runs("now", 1, rate=5000.0)
    assert main(["compare", base, now]) == 2
    assert "rate: 1000 records/s in the base, 5000 records/s now" in capsys.readouterr().err
    assert main(["compare", base, now, "--allow-different"]) == 3
    assert main(["compare", "--base", base, now, "--now", now]) == 2
    assert "are of one side and were not measured in the same way" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "name two sides"),
        (["run"], "name two sides"),
        (["missing", "missing"], "there is no such file"),
        (["empty", "empty"], "holds no run.json"),
        (["text", "text"], "no JSON"),
        (["other.json", "other.json"], "is none of a run directory"),
        (["bench.json", "run"], "is of|holds no run.json"),
        (["--a-b-a", "bench.json"], "schema|object"),
        (["--a-b-a", "bench.json", "x", "y"], "leave the others out"),
        (["x", "y", "--keep", "../y"], "accepted are letters"),
        (["x", "y", "--min-effect", "-1"], "accepted is a share"),
        (["--again", "x", "--now", "y", "--keep", "z"], "name the base"),
    ],
)
def test_what_cannot_be_compared_ends_with_2_and_says_what_is_accepted(
    argv: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("run").mkdir()
    Path("text").write_text("not json")
    Path("other.json").write_text('{"schema": "something/1"}')
    Path("bench.json").write_text('[{"name": "load"}]')
    assert main(["compare", *argv]) == 2
    assert re.search(said, capsys.readouterr().err)


def entry(factor: float, pairs: int = 6, **more: Any) -> dict[str, Any]:
    """An entry of `harness bench --json`, CPU times `factor`."""
    runs = [
        {
            "ours": {"cpu_us_per_record": (4 + number / 100) * factor, "records_per_s": 3e5},
            "peer": {"cpu_us_per_record": 8 + number / 100, "records_per_s": 3e5},
        }
        for number in range(pairs)
    ]
    return {
        "name": "load idempotent 100 B",
        "peer": "ProducerPerformance",
        "cpu_us_per_record": 4.0 * factor,
        "records_per_s": 3e5,
        "peer_cpu_us_per_record": 8.0,
        "peer_records_per_s": 3e5,
        "records": 1000,
        "message_bytes": 100,
        "runs": runs,
        **more,
    }


def test_benches_are_compared_beside_kafkas_tool_and_with_a_second_base_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    footprint = {"name": "footprint", "peer": None}
    for name, factor in (("base", 1.0), ("now", 1.3), ("again", 1.01)):
        Path(f"{name}.json").write_text(json.dumps([entry(factor), footprint]))
    assert main(["compare", "base.json", "now.json", "--json"]) == 1
    found = document(capsys)
    name = "load idempotent 100 B: "
    assert verdicts(found)[name + "CPU beside Kafka's"] == "worse"
    assert verdicts(found)[name + "CPU"] == "not_shown"
    assert any("footprint" in note for note in found["notes"])
    assert main(["compare", "base.json", "now.json", "--again", "again.json", "--json"]) == 1
    assert verdicts(document(capsys))[name + "CPU"] == "worse"


def test_a_bench_of_an_earlier_version_is_one_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    old = entry(1.0)
    del old["runs"]
    Path("base.json").write_text(json.dumps([old]))
    Path("now.json").write_text(json.dumps([entry(2.0)]))
    assert main(["compare", "base.json", "now.json", "--json"]) == 3
    found = document(capsys)
    assert any("only medians" in note for note in found["notes"])
    assert {each["reason"] for each in found["figures"]} == {"one run of the base; give repeats"}


def test_a_bench_that_was_too_short_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.json").write_text(json.dumps([entry(1.0)]))
    Path("now.json").write_text(json.dumps([entry(2.0, too_short=["runs of 0.2 s"])]))
    assert main(["compare", "base.json", "now.json", "--json"]) == 3
    assert {each["reason"] for each in document(capsys)["figures"]} == {"runs of 0.2 s"}


def test_a_summary_in_markdown_has_what_became_worse_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.json").write_text(json.dumps([entry(1.0)]))
    Path("now.json").write_text(json.dumps([entry(1.3)]))
    assert main(["compare", "base.json", "now.json", "--markdown", "out.md"]) == 1
    lines = Path("out.md").read_text().splitlines()
    assert lines[0] == "### Worse: 1 of 4 promises and figures"
    rows = [line for line in lines if line.startswith("| load")]
    assert rows[0].startswith("| load idempotent 100 B: CPU beside Kafka's, ratio | 0.5")
    assert "**worse**" in rows[0]
    assert len(rows) == 4
    assert not [line for line in lines if line.startswith("| promise")], "there is no promise"
    assert "Mann and Whitney 1947" in lines[-1]
    shown = capsys.readouterr().out
    assert "Worse: 1 of 4" in shown
    assert all(len(line) <= 80 and line == line.rstrip() for line in shown.splitlines())
