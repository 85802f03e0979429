"""--junit and --markdown: what CI shows of a verdict, read by the parsers that others use."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt

import harness
from harness.cli.main import main
from harness.cli.summaries import Summaries
from harness.errors import EnvironmentFailure
from harness.judge.aggregate import Outcome, aggregate
from harness.report.junit import junit
from harness.report.markdown import markdown
from harness.report.origin import Origin, origin_of_run
from harness.rundir.verdict import KEPT, Verdict, Witness
from harness.rundir.verdict_file import read_verdict
from tests.support.made_up_run import make_run

TESTS = Path(__file__).parents[1]
SCHEMA = xmlschema.XMLSchema(str(TESTS / "support" / "junit.xsd"))
KINDS = {Failure: "failure", Error: "error", Skipped: "skipped"}
HOSTILE = (
    "<script>alert(1)</script> | ``` **x** [a](http://b) @everyone \x1b[31m\x00 \ud800 &lt; $x$"
)


def made(tmp_path: Path, verdict: str) -> tuple[Verdict, Origin]:
    run_dir, path = make_run(tmp_path / "run", verdict=verdict)
    return read_verdict(path), origin_of_run(run_dir.path)


def history(name: str, *require: str) -> Verdict:
    return harness.judge_history([TESTS / "golden" / f"{name}.ndjson"], "idempotent",
                                 require=require)  # fmt: skip


def cases(text: str) -> dict[str, tuple[str, str]]:
    """`profile promise` → (what it is, its message), by a real parser; held to the schema."""
    SCHEMA.validate(text)
    found = {}
    for suite in JUnitXml.fromstring(text.encode()):
        kinds = []
        for each in suite:
            result = each.result[0] if each.result else None
            kind = KINDS[type(result)] if result is not None else "passed"
            kinds.append(kind)
            found[f"{each.classname} {each.name}"] = kind, "" if result is None else result.message
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
            len(kinds), kinds.count("failure"), kinds.count("error"), kinds.count("skipped"),
        )  # fmt: skip
    return found


# -- JUnit


def test_a_run_that_kept_every_promise_is_green(tmp_path: Path) -> None:
    found = cases(junit(*made(tmp_path, "kept")))
    assert {kind for kind, _ in found.values()} == {"passed"}
    assert {"run verdict", "idempotent no_lost", "transactional no_torn_txn"} <= set(found)


def test_a_broken_promise_is_a_failure_with_its_reason_and_samples(tmp_path: Path) -> None:
    verdict, origin = made(tmp_path, "broken")
    text = junit(verdict, origin)
    found = cases(text)
    assert found["idempotent no_duplicate"] == (
        "failure", "2 further copies of attempts stand at other offsets"
    )  # fmt: skip
    assert found["run verdict"][0] == "failure"
    assert found["idempotent no_lost"][0] == "passed"
    assert text.count("sample: ") == 2
    assert "--seed 1848" in text


def test_a_witness_is_in_the_failure() -> None:
    text = junit(history("duplicate"))
    assert "the reading returned copy 2 at offset 2" in text
    assert cases(text)["idempotent no_vanished"][0] == "error"


def test_an_inconclusive_promise_is_an_error_since_it_must_not_look_green(tmp_path: Path) -> None:
    found = cases(junit(*made(tmp_path, "inconclusive")))
    assert found["idempotent no_duplicate"][0] == "error"
    assert found["run verdict"][0] == "error"


def test_what_does_not_apply_is_skipped_and_a_run_without_anything_else_is_an_error() -> None:
    verdict = history("outcome-acked")
    promises = [
        replace(each, verdict="not_applicable", reason="outside the envelope")
        for each in verdict.profiles[0].promises
    ]
    verdict.profiles[0].promises = promises
    verdict.verdict = "inconclusive"
    found = cases(junit(verdict))
    assert found["run verdict"][0] == "error"
    assert {kind for name, (kind, _) in found.items() if name != "run verdict"} == {"skipped"}


def test_what_does_not_count_in_the_verdict_fails_nothing(tmp_path: Path) -> None:
    verdict, origin = made(tmp_path, "broken")
    profile = next(each for each in verdict.profiles if each.profile == "idempotent")
    profile.in_verdict = False
    profile.role = "control"
    verdict.verdict = KEPT
    found = cases(junit(verdict, origin))
    assert found["idempotent no_duplicate"][0] == "skipped"
    assert "does not count in the verdict" in found["idempotent no_duplicate"][1]
    assert found["idempotent no_lost"][0] == "passed"
    assert "failure" not in {kind for kind, _ in found.values()}


def test_a_broken_threshold_is_a_case_like_any_other() -> None:
    found = cases(junit(history("threshold.unknown_share", "unknown_share<0.25")))
    kind, message = found["idempotent unknown_share<0.25"]
    assert kind == "failure"
    assert message == "0.25, where less than 0.25 is required"


def hostile() -> Verdict:
    """A verdict that holds what would be markup, in every text that comes from outside."""
    verdict = history("duplicate")
    profile = verdict.profiles[0]
    profile.profile = "a`b|c<i>"
    profile.promises = [replace(each, reason=HOSTILE) for each in profile.promises]
    profile.witnesses = [
        Witness("duplicate", HOSTILE, 0, 1, 0, 0, [HOSTILE, "```", "# no heading"], [], None)
    ]
    profile.samples = [replace(each, topic=HOSTILE) for each in profile.samples]
    verdict.reasons = [HOSTILE]
    return verdict


def test_no_text_of_others_breaks_the_document() -> None:
    text = junit(hostile(), Origin(command=HOSTILE, directory=HOSTILE))
    text.encode()
    kind, message = cases(text)["a`b|c<i> no_duplicate"]
    assert kind == "failure"
    assert message.startswith("<script>alert(1)</script> |")
    assert "\x1b" not in text


# -- Markdown


def rendered(text: str) -> str:
    return str(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text))


def test_a_summary_says_the_verdict_the_table_what_broke_and_how_to_repeat_it(
    tmp_path: Path,
) -> None:
    verdict, origin = made(tmp_path, "broken")
    page = rendered(markdown(verdict, origin))
    assert "<h2>❌ Broken: idempotent broke no_duplicate.</h2>" in page
    assert page.count("<tr>") == 1 + len(verdict.profiles)
    assert "<strong>2 <code>duplicate</code></strong>" in page
    assert "1,503 <code>lost</code>" in page
    assert "<h3>What broke</h3>" in page
    assert "sample: " in page
    assert "--seed 1848" in page


def test_a_summary_of_a_kept_run_says_how_sure_it_is_and_that_nothing_broke(
    tmp_path: Path,
) -> None:
    text = markdown(*made(tmp_path, "kept"))
    assert text.startswith("## ✅ Kept: ")
    assert "What broke" not in text
    assert "### How sure" in text


def test_a_summary_has_what_was_not_shown(tmp_path: Path) -> None:
    text = markdown(*made(tmp_path, "inconclusive"))
    assert text.startswith("## ❔ Inconclusive: ")
    assert "### What was not shown" in text
    assert "showed no duplicate either" in text


def test_a_summary_has_thresholds_with_what_was_measured() -> None:
    page = rendered(markdown(history("threshold.unknown_share", "unknown_share<0.25")))
    assert "<code>unknown_share&lt;0.25</code>" in page
    assert "❌ broken" in page


def test_no_text_of_others_is_markup_in_a_summary() -> None:
    text = markdown(hostile(), Origin(command=HOSTILE, directory=HOSTILE))
    text.encode()
    page = rendered(text)
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {"h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "strong",
                    "ul", "li", "pre"}  # fmt: skip
    assert len(re.findall("<td", page)) == 8
    assert "no heading</h1>" not in page
    assert "@everyone" not in re.sub(r"<code.*?</code>", "", page, flags=re.DOTALL)
    assert "\x1b" not in text


def test_a_summary_fits_a_comment_on_a_pull_request(tmp_path: Path) -> None:
    """GitHub takes 65,536 characters in a comment."""
    verdict, origin = made(tmp_path, "broken")
    for profile in verdict.profiles:
        profile.promises = [
            replace(each, verdict="broken", reason=f"{number} {'x' * 400}")
            for number, each in enumerate(profile.promises)
        ]
    assert len(markdown(verdict, origin)) < 65_536


# -- a series of runs


def test_a_series_tells_each_run_and_each_promise(tmp_path: Path) -> None:
    kept, broken = made(tmp_path / "a", "kept")[0], made(tmp_path / "b", "broken")[0]
    found = aggregate(7, 3, [
        Outcome(1, 7, "run-1", kept), Outcome(2, 8, "run-2", broken),
        Outcome(3, 9, "run-3", None, "no brokers"),
    ])  # fmt: skip
    shown = cases(junit(found))
    assert shown["run run-1 (seed 7)"][0] == "passed"
    assert shown["run run-2 (seed 8)"][0] == "failure"
    assert shown["run run-3 (seed 9)"] == ("error", "no brokers")
    assert shown["run verdict"][0] == "failure"
    assert shown["idempotent no_duplicate"] == ("failure", "kept in 1 run, broken in 1 run")
    assert shown["idempotent no_lost"][0] == "passed"
    page = rendered(markdown(found))
    assert "<h2>❌ Broken: 2 runs of 3 asked for" in page
    assert "bound" in page


# -- the command line


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


GOLDEN = ["verify", "--history", str(TESTS / "golden" / "duplicate.ndjson"),
          "--profile", "idempotent"]  # fmt: skip


def test_the_command_writes_both_files_and_says_how_to_repeat_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("summary.md").write_text("of an earlier run")
    status = main([*GOLDEN, "--junit", "new/junit.xml", "--markdown", "summary.md", "--json"])
    assert status == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "broken"
    assert cases(Path("new/junit.xml").read_text())["run verdict"][0] == "failure"
    text = Path("summary.md").read_text()
    assert text.startswith("## ❌ Broken")
    assert "of an earlier run" not in text
    assert "harness verify --history" in text


def test_a_summary_on_stdout_is_alone_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GOLDEN, "--markdown", "-"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("## ❌ Broken")
    assert "broken 1" in shown.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--markdown", "-", "--json"], "both print to stdout"),
        (["--junit", "-"], "goes to a file"),
        (["--junit", "."], "is a folder"),
        (["--junit", "x", "--markdown", "./x"], "Name two files"),
        (["--markdown", "/dev/null/x"], "is no folder"),
    ],
)
@pytest.mark.parametrize("command", [GOLDEN, ["run", "--profile", "idempotent"], ["verify", "x"]])
def test_a_place_where_no_file_can_be_is_refused_before_anything_is_started(
    command: list[str], words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *words]) == 2
    assert says in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_a_file_that_cannot_be_written_ends_with_4_but_a_broken_promise_wins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*GOLDEN, "--junit", "/proc/junit.xml"]) == 1
    assert "--junit /proc/junit.xml: cannot be written" in capsys.readouterr().err
    kept = ["verify", "--history", str(TESTS / "golden" / "outcome-acked.ndjson")]
    assert main([*kept, "--junit", "/proc/junit.xml"]) == 4


def test_a_command_that_fails_leaves_no_earlier_result_in_its_files() -> None:
    Path("junit.xml").write_text(junit(history("outcome-acked")))
    summaries = Summaries(Path("junit.xml"), Path("summary.md"))
    with pytest.raises(EnvironmentFailure), summaries.reporting_failure("run"):
        raise EnvironmentFailure("no Java <here>")
    assert cases(Path("junit.xml").read_text()) == {"run verdict": ("error", "no Java <here>")}
    assert Path("summary.md").read_text().startswith("## ❌ No verdict")


def test_wrong_usage_leaves_the_files_alone() -> None:
    Path("junit.xml").write_text("earlier")
    with pytest.raises(harness.UsageError), Summaries(Path("junit.xml")).reporting_failure("run"):
        raise harness.UsageError("no")
    assert Path("junit.xml").read_text() == "earlier"


def test_a_program_gets_the_same_texts(tmp_path: Path) -> None:
    verdict: Any = made(tmp_path, "kept")[0]
    assert cases(harness.junit(verdict, tmp_path / "run"))["run verdict"][0] == "passed"
    assert "--seed 1848" in harness.markdown(verdict, tmp_path / "run")
    with pytest.raises(harness.RunDirError):
        harness.junit(verdict, tmp_path)
