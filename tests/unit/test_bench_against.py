"""A bench beside another checkout: what is asked, what is made of it, and real short runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.bench.against import (
    CASES,
    WITHOUT_BROKERS,
    AgainstRequest,
    Checkout,
    measure_against,
    needs_brokers,
    write_in_turn,
)
from harness.bench.cases import all_cases
from harness.bench.length import by_time, too_short
from harness.bench.series import Pair, entry_of
from harness.bench.sides import Run, StartUp
from harness.bench.table import print_table
from harness.bench.worker import thirds
from harness.cli.main import main
from harness.comparison.read import read_in_turn
from harness.errors import UsageError
from tests.series.compare_power import planted

ROOT = Path(__file__).resolve().parents[2]


def asked(*only: str, **more: Any) -> AgainstRequest:
    return AgainstRequest.of(
        ROOT, only=only, records=more.get("records"), rounds=more.get("rounds")
    )


def test_without_a_choice_three_cases_are_measured_in_as_many_rounds_as_they_need() -> None:
    found = asked()
    assert tuple(case.name for case in found.cases) == CASES
    assert found.rounds == 5 + 3, "2 / 3^5 of six figures is the first below 5 %"
    assert asked("load idempotent 100 B").rounds == 4 + 3
    assert needs_brokers(found)
    assert not needs_brokers(asked(WITHOUT_BROKERS))


def test_too_few_rounds_to_show_anything_are_refused() -> None:
    with pytest.raises(UsageError, match="need 5 rounds to show a difference"):
        asked(rounds=4)


def test_a_folder_without_the_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no harness/bench/worker\.py"):
        Checkout.of(tmp_path)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--against", "nowhere"], "holds no harness/bench/worker.py"),
        (["--against", str(ROOT), "--growth", "2000000"], "--growth: is not measured"),
        (["--against", str(ROOT), "--only", "nothing"], "fits no case"),
        (["--rounds", "9"], "goes with --against"),
    ],
)
def test_wrong_options_end_with_2(argv: list[str], said: str, capsys) -> None:
    assert main(["bench", *argv]) == 2
    assert said in capsys.readouterr().err


def test_both_checkouts_are_measured_in_turn_and_a_planted_loop_costs_cpu(
    tmp_path: Path, capsys
) -> None:
    # 30 µs a record is ten times what a record costs: found in one round, whatever else runs.
    slower = planted(tmp_path / "slower", 30_000)
    request = replace(asked(WITHOUT_BROKERS, records=5_000), rounds=2)
    said: list[str] = []
    found = measure_against(request, None, tmp_path, said.append, now=slower)
    assert said == [f"{WITHOUT_BROKERS}: round {number} of 2" for number in (1, 2)]
    for base, now, again in found.rounds(f"{WITHOUT_BROKERS}: CPU"):
        assert now > 25 + min(base, again)
    path = tmp_path / "in-turn.json"
    write_in_turn(path, found)
    assert read_in_turn(path) == found
    assert main(["compare", "--a-b-a", str(path), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert [each["reason"] for each in document["figures"]] == [
        "2 rounds are too few for 2 figures; give 4, or choose figures"
    ] * 2
    assert not [each for each in tmp_path.iterdir() if each.is_dir() and each.name != "slower"]


# -- long enough, and steady ---------------------------------------------------------------------


def run(elapsed_s: float, cpu_us: float, thirds: tuple[float, float] | None = None) -> Run:
    return Run(1.0, cpu_us, elapsed_s, thirds)


@pytest.mark.parametrize(
    ("elapsed_s", "start_up_s", "said"),
    [
        (2.0, 0.5, []),
        (1.0, 2.0, []),
        (0.25, 0.5, ["a run took 0.25 s, at least 1 s are needed: give --records 4000000 or more"]),
        (2.0, 3.0, ["start-up is 75% of its CPU, at most 50% may be: give --records 3000000 or"]),
    ],
)
def test_a_run_is_too_short_by_its_time_or_by_its_start_up(
    elapsed_s: float, start_up_s: float, said: list[str]
) -> None:
    found = too_short([run(elapsed_s, 4.0)] * 3, start_up_s, 1_000_000)
    assert len(found) == len(said)
    assert all(each.startswith(text) for each, text in zip(found, said, strict=True))


def test_the_rate_by_time_is_that_of_the_first_and_the_last_third() -> None:
    steady = [(second * 1_000_000, second * 100) for second in range(1, 91)]
    assert thirds(steady) == pytest.approx((100.0, 100.0))
    slowing = [*steady[:60], *((s * 1_000_000, 6000 + (s - 60) * 50) for s in range(61, 91))]
    first, last = thirds(slowing) or (0.0, 0.0)
    assert first == pytest.approx(100)
    assert last == pytest.approx(50, rel=0.02)
    assert thirds([(0, 0)] * 50 + steady[:29]) is None, "too few instants with anything acked"
    late = [(second * 1_000_000, 0) for second in range(-99, 1)]
    assert thirds([*late, *steady]) == pytest.approx((100.0, 100.0)), "connecting is left out"


def test_thirds_that_differ_are_a_rate_that_has_not_settled(capsys) -> None:
    case = replace(all_cases()[3], records=1_000_000)
    pair = Pair(Run(2e5, 4.0, 0.3, (1e5, 2e5)), Run(2e5, 8.0))
    entry = entry_of(case, [pair], StartUp(0.5, 2.0))
    assert entry["rate_by_time"] == {
        "first_third_per_s": 100_000,
        "last_third_per_s": 200_000,
        "last_over_first": 2.0,
        "steady": False,
    }
    assert by_time([Run(1.0, 1.0)]) is None
    assert entry["runs"] == [
        {
            "ours": {"records_per_s": 2e5, "cpu_us_per_record": 4.0},
            "peer": {"records_per_s": 2e5, "cpu_us_per_record": 8.0},
        }
    ]
    print_table([entry], Console(width=100))
    shown = " ".join(capsys.readouterr().out.split())
    assert "the rate has not settled: 100,000 records/s in the first third of a run" in shown
    assert "too short to say anything: a run took 0.3 s" in shown
