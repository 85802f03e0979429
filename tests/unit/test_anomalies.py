"""One record says everything about an anomaly: tables, sentences and schemas follow from it."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

from harness.anomalies import ANOMALIES, BY_NAME, RECORDS, anomaly_of, sentence
from harness.anomaly_record import Anomaly, AnomalyGroup, ExcludedBy
from tests.support import anomaly_table

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
BY_HAND_MAX: Final = 6
"""How many anomalies a module names that decides something about single ones of them."""
RULES: Final = ("harness/reconcile/", "harness/judge/explain/")
"""Where each anomaly is found, and where each is explained."""


def named_in(path: Path) -> set[str]:
    """The anomalies that a module names, in strings of their own."""
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    texts = {each.value for each in found if isinstance(each, ast.Constant)}
    return {name for name in ANOMALIES if name in texts or f"no_{name}" in texts}


def test_no_module_but_the_records_lists_the_anomalies() -> None:
    lists = {}
    for path in sorted((ROOT / "harness").rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        if where != "harness/anomalies.py" and not where.startswith(RULES):
            names = named_in(path)
            if len(names) > BY_HAND_MAX:
                lists[where] = sorted(names)
    assert lists == {}
    assert named_in(ROOT / "harness" / "anomalies.py") == set(ANOMALIES)


@pytest.mark.parametrize("each", RECORDS, ids=lambda each: each.name)
def test_every_anomaly_is_defined_where_its_record_says(each: Anomaly) -> None:
    begin = PAGE.index(f"\n{each.section} ")
    after = PAGE.find("\n## ", begin)
    assert f"**{each.name}**" in PAGE[begin : after if after > 0 else None]
    rules = [ROOT / "harness" / "reconcile", ROOT / "harness" / "judge" / "explain"]
    assert any(each.name in named_in(path) for path in rules[0].rglob("*.py"))
    golden = list((ROOT / "tests" / "golden").glob(f"{each.name}.*"))
    assert f"{each.name}.near-miss.ndjson" in {path.name for path in golden}


def test_the_table_of_the_specification_is_what_the_records_say() -> None:
    assert anomaly_table.replaced(PAGE) == PAGE, "run: python -m tests.support.anomaly_table"


def test_sentences_are_of_one_and_of_many() -> None:
    for each in RECORDS:
        assert "1 " in sentence(each.name, 1), each.name
        assert "1,234 " not in sentence(each.name, 1234), each.name
        assert "1234 " in sentence(each.name, 1234), each.name


def test_what_is_no_promise_cannot_be_promised() -> None:
    assert [each.name for each in RECORDS if not each.promised] == ["unseen"]
    for name in ("no_unseen", "lost", "no_loss"):
        with pytest.raises(ValueError, match="is no promise"):
            anomaly_of(name)


def test_every_profile_that_promises_transactions_excludes_what_only_they_exclude() -> None:
    of_transactions = [each for each in RECORDS if each.group is AnomalyGroup.TRANSACTIONS]
    assert {each.excluded_by for each in of_transactions} == {ExcludedBy.TRANSACTIONS}
    assert BY_NAME["gap"].excluded_by is ExcludedBy.TRANSACTIONS


NEW_RECORD = """
    Anomaly(
        "made_up",
        AnomalyGroup.RECORDS,
        "4.99",
        "a made-up thing",
        one="1 made-up thing was found",
        many="{n} made-up things were found",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.EVERY_SETTING,
        undone_by=Line(0),
    ),
)
BY_NAME: Final"""
WITH_IT = """
import io, sys, types
from pathlib import Path

import harness

path = Path(harness.__file__).with_name("anomalies.py")
source = path.read_text(encoding="utf-8")
assert source.count("\\n)\\nBY_NAME: Final") == 1
module = types.ModuleType("harness.anomalies")
sys.modules["harness.anomalies"] = harness.anomalies = module
exec(compile(source.replace("\\n)\\nBY_NAME: Final", NEW_RECORD), str(path), "exec"), vars(module))

from rich.console import Console
from harness.judge.judge import judge_findings
from harness.reconcile.findings import Occurrence
from harness.reconcile.reconcile import reconcile
from harness.report.facts import matrices
from harness.report.terminal import print_verdict
from tests.support.anomaly_table import table
from tests.support.histories import acked, observed, run_record_of

run = run_record_of(Path(sys.argv[1]), [acked(0, 0), observed(0, 0)])
findings = reconcile(run)
findings[0].counts["made_up"] = 2
findings[0].sample(Occurrence("made_up", 0, 0, 1, 0, 0))
verdict = judge_findings(run, findings)
profile = verdict.profiles[0]
promise = next(each for each in profile.promises if each.promise == "no_made_up")
assert (promise.verdict, promise.observed) == ("broken", 2), promise
assert promise.reason.startswith("2 made-up things were found"), promise.reason
assert [each.anomaly for each in profile.witnesses] == ["made_up"]
assert profile.witnesses[0].text[0].startswith("made_up: record 0 of producer 1")
shown = io.StringIO()
print_verdict(verdict, Console(file=shown))
assert "idempotent 2 made_up" in shown.getvalue(), shown.getvalue()
assert "no_made_up" in [name for name, _ in matrices(verdict)[0].rows]
assert "| 4.99 | `made_up` | a made-up thing | every setting | a proven drain |" in table()
"""


def test_a_new_anomaly_is_judged_and_shown_everywhere_by_its_record_alone(tmp_path: Path) -> None:
    script = f"NEW_RECORD = {NEW_RECORD!r}\n{textwrap.dedent(WITH_IT)}"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
