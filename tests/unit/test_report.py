"""The report: everything a verdict says, in one file that asks for nothing else."""

from __future__ import annotations

import argparse
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.anomalies import PRODUCER_ANOMALIES, TRANSACTION_ANOMALIES
from harness.cli.report import add_report_arguments, run_report
from harness.errors import RunDirError, UsageError
from harness.report.facts import CELL_WORDS
from harness.report.html import write_report
from harness.rundir.documents import read_json, write_json
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT, NOT_APPLICABLE
from harness.rundir.verdict_file import read_verdict
from tests.support.made_up_run import (
    CONSUMERS,
    CONTROLS,
    FAULTS,
    PRODUCERS,
    RUN_ID,
    build,
    make_run,
)

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Text, tags and attributes of a page; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> in the wrong place, line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def ids(self) -> set[str]:
        return {str(attributes["id"]) for _, attributes in self.tags if "id" in attributes}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, str, Page]:
    run_dir, verdict = make_run(tmp_path_factory.mktemp("run") / "kept")
    path = write_report(run_dir, verdict)
    assert path == run_dir.report_html
    text = path.read_text(encoding="utf-8")
    return run_dir, text, Page(text)


def test_the_page_asks_for_nothing_outside_itself(made: tuple[RunDir, str, Page]) -> None:
    _, text, page = made
    assert not re.search(r"https?://|//[a-z]", text)
    assert not re.search(r"@import|url\((?!#)", text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert "src" not in attributes
        assert str(attributes.get("href", "#")).startswith("#")


def test_every_link_of_the_page_has_a_target(made: tuple[RunDir, str, Page]) -> None:
    page = made[2]
    targets = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
    assert len(targets) == 15
    assert targets <= page.ids()


def test_the_page_shows_the_load_that_was_asked_for_the_one_that_was_sent_and_why_not_more(
    made: tuple[RunDir, str, Page],
) -> None:
    text = made[2].text
    assert "1,000 records/s a profile asked for, 998 sent" in text
    load = text[text.index("Load: asked for and sent") :]
    assert "idempotent 1,000 998 44,070 70" in load
    assert "idempotent unknown _MSG_TIMED_OUT not acknowledged within" in load
    assert "12 10:15:12.00 and 10:15:13.50" in load
    assert "transactional failed aborted its transaction was aborted on purpose 4,400" in load


def test_what_does_not_apply_is_not_green(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run", names=("idempotent",))
    document = json.loads(path.read_text())
    document["verdict"] = INCONCLUSIVE
    (profile,) = document["profiles"]
    profile["verdict"] = NOT_APPLICABLE
    for promise in profile["promises"]:
        promise["verdict"] = NOT_APPLICABLE
    path.write_text(json.dumps(document))
    text = write_report(run_dir, path).read_text(encoding="utf-8")
    assert 'class="tally not_applicable">not applicable<' in text
    rows = text[text.index('<table class="matrix">') : text.index('<ul class="legend">')]
    assert "cell not_applicable" in rows
    assert not re.search(r'class="(?:tally|cell|mark) (?:kept|untried)', rows)


def test_the_verdict_and_how_sure_it_is_stand_first(made: tuple[RunDir, str, Page]) -> None:
    text = made[2].text
    headline = text.index("Kept: 40 promises of 5 profiles held under 2 faults.")
    sure = text.index("How sure")
    assert headline < sure < text.index("Verdict by profile and promise")
    assert "77.6 %" in text[sure : sure + 700]
    assert "leader-ack showed 1,503 lost" in text[sure : sure + 700]


def test_the_page_shows_everything_that_a_review_asks_for(made: tuple[RunDir, str, Page]) -> None:
    text = made[2].text
    for fault, _, _ in FAULTS:
        assert fault in text
    for control, count in CONTROLS.values():
        assert control in text
        assert f"{count:,}" in text
    for words in (
        RUN_ID,
        "harness run --seed 1848",
        "SIGKILL to broker 1 (process 4101), exit status -9",
        "6 partitions: leader moved from broker 1 (epoch 0) to broker 2 (epoch 1)",
        "acks-not-all",
        "max.in.flight.requests.per.connection",
        "unclean.leader.election.enable",
        "Connection reset by peer",
        "attempted = acked + failed + unknown + sent",
        "4.3.1",
        "open-loop",
        "in full ISR, past the end offset of each",
        "20 of 1,503",
    ):
        assert words in text, words


def test_secrets_stay_out_of_the_page(made: tuple[RunDir, str, Page]) -> None:
    assert "hunter2" not in made[1]
    assert "sasl.password=env:SASL_PASSWORD" in made[1]


def test_every_chart_has_a_name_axes_and_units(made: tuple[RunDir, str, Page]) -> None:
    _, text, page = made
    charts = re.findall(r'<svg viewBox[^>]*class="chart">.*?</svg>', text, re.DOTALL)
    assert len(charts) == 7
    for chart in charts:
        name = re.search(r'aria-labelledby="([^"]+)"', chart)
        assert name is not None
        assert name[1] in page.ids()
        units = re.findall(r'class="unit"[^>]*>([^<]+)<', chart)
        assert len(units) >= 2, units
        assert chart.count('class="tick"') >= 6
    assert "records per second" in text
    assert "seconds since the load started" in text
    assert "percentile" in text


def test_fault_windows_and_elections_are_drawn_through_every_chart_over_time(
    made: tuple[RunDir, str, Page],
) -> None:
    text = made[1]
    assert text.count("<title>fault 1, stop_followers_then_kill_leader: injected at 10.1 s") == 5
    assert text.count("<title>new leader at 14.2 s: 18 partitions, broker 1 to 2") == 5


def test_colour_is_never_the_only_sign_of_a_verdict(tmp_path: Path) -> None:
    run_dir, verdict = make_run(tmp_path / "run", verdict=BROKEN)
    text = write_report(run_dir, verdict).read_text(encoding="utf-8")
    cells = re.findall(r'<td class="cell (\w+)"[^>]*>(.*?)</td>', text, re.DOTALL)
    assert len(cells) == 5 * len(PRODUCER_ANOMALIES + TRANSACTION_ANOMALIES)
    for kind, content in cells:
        if kind in ("kept", "untried", "broken"):
            assert {"kept": "✓", "untried": "✓", "broken": "✗"}[kind] in content
        assert CELL_WORDS[kind] in content


def test_consumers_are_shown_where_a_profile_has_any(
    tmp_path: Path, made: tuple[RunDir, str, Page]
) -> None:
    run_dir, verdict = make_run(tmp_path / "run", names=(*PRODUCERS, *CONSUMERS))
    text = write_report(run_dir, verdict).read_text(encoding="utf-8")
    assert 'id="consumers"' not in made[1]
    assert 'id="consumers"' in text
    assert "commits before processing" in text
    assert "3,102" in text
    cells = re.findall(r'<td class="cell (\w+)" title="([^"]*)"', text)
    told = {title.split(":")[0]: (kind, title) for kind, title in cells}
    assert told["consume-at-most-once, unprocessed"][0] == "permitted"
    assert "idempotent, unprocessed" not in told
    assert "done after the fault" in text
    assert 'id="keys"' in text


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (KEPT, "Kept: 40 promises of 5 profiles held under 2 faults."),
        (BROKEN, "Broken: idempotent broke no_duplicate."),
        (
            INCONCLUSIVE,
            "Inconclusive: nothing was found broken, but 2 of 40 promises could not be shown to "
            "hold under 2 faults.",
        ),
    ],
)
def test_each_verdict_has_its_headline(tmp_path: Path, verdict: str, says: str) -> None:
    run_dir, path = make_run(tmp_path / "run", verdict=verdict)
    page = Page(write_report(run_dir, path).read_text(encoding="utf-8"))
    assert says in page.text
    assert ("header", {"class": verdict}) in page.tags


def test_what_a_run_wrote_is_shown_as_text_and_never_as_markup(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run")
    document = read_json(path, "verdict")
    document["reasons"] = ["<script>alert(1)</script>"]
    document["faults"][0]["fault"] = '"><img src=x onerror=alert(1)>'
    document["findings"][0]["message"] = "</table><b>bold</b>"
    write_json(path, document)
    text = write_report(run_dir, path).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "<b>bold" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    Page(text)


def test_a_run_that_was_cut_short_still_has_a_report(tmp_path: Path) -> None:
    """No drain, no latency, a torn last line, a timeline without load, nothing judged kept."""
    run_dir, path = make_run(tmp_path / "run", verdict=INCONCLUSIVE)
    run_dir.timeline.write_text('{"at": "2026-03-01T10:15:00Z", "event": "run", "pha')
    for log in run_dir.latency.iterdir():
        log.unlink()
    (run_dir.drained(1) / "drain.json").unlink()
    document = read_json(path, "verdict")
    document["faults"] = []
    for profile in document["profiles"]:
        profile |= {"latency_ms": {}, "availability": [], "samples": []}
    write_json(path, document)
    page = Page(write_report(run_dir, path).read_text(encoding="utf-8"))
    for words in ("holds no load", "No latency was recorded", "no drain on record", "No fault was"):
        assert words in page.text


def test_a_torn_latency_log_is_named_and_the_others_are_drawn(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run")
    (run_dir.latency / "idempotent.ack.1.hlog").write_text("nonsense,1,2,3\n")
    page = Page(write_report(run_dir, path).read_text(encoding="utf-8"))
    assert "idempotent.ack.1.hlog, line 1: not a line of an HdrHistogram V2 log" in page.text
    assert sum(tag == "path" and "curve" in str(a.get("class")) for tag, a in page.tags) > 10


def test_a_later_verdict_rests_on_its_own_drain(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run")
    second = run_dir.verdict(2)
    second.write_bytes(path.read_bytes())
    run_dir.drained(2).mkdir(parents=True)
    write_json(
        run_dir.drained(2) / "drain.json",
        {"complete": False, "reasons": ["broker 2 does not answer"], "partitions": []},
    )
    page = Page(write_report(run_dir, second).read_text(encoding="utf-8"))
    assert "not proven complete: broker 2 does not answer" in page.text
    assert "verdict-2.json" in page.text


def test_the_page_stays_small_after_an_hour_of_load(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run", names=("idempotent",))
    start = 1_772_360_100_000_000
    with run_dir.timeline.open("a") as timeline:
        for slot in range(4 * 3600):
            event = {"at": "2026-03-01T10:15:00Z", "event": "load", "profile": "idempotent",
                     "topic": "t", "partition": 0, "from_us": start + slot * 250_000,
                     "to_us": start + (slot + 1) * 250_000, "attempted": 250, "acked": 250,
                     "failed": 0, "unknown": 0, "ack_ms_max": 5.0}  # fmt: skip
            timeline.write(json.dumps(event) + "\n")
    report = write_report(run_dir, path)
    assert report.stat().st_size < 260_000
    assert "in slots of 7.5 s" in report.read_text(encoding="utf-8")


def test_a_verdict_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    _, path = make_run(tmp_path / "run", verdict=BROKEN)
    assert read_verdict(path).to_json() == read_json(path, "verdict")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"schema": "delivery-verdict/9"},
            "of the harness reads 'delivery-verdict/1'",
        ),
        ({"profiles": [{}]}, "not a verdict of this harness"),
        ({"seed": "7"}, "not a verdict of this harness (seed: '7'; expected a whole number)"),
    ],
)
def test_a_file_that_is_no_verdict_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    run_dir, path = make_run(tmp_path / "run")
    write_json(path, read_json(path, "verdict") | change)
    with pytest.raises(RunDirError, match=re.escape(says)) as refused:
        write_report(run_dir, path)
    assert str(path) in str(refused.value)


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_report_arguments(parser)
    return run_report(parser.parse_args(arguments))


def test_the_command_writes_the_report_again_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, _ = make_run(tmp_path / "run")
    assert run(str(run_dir.path)) == 0
    assert capsys.readouterr().out == f"{run_dir.report_html}\n"
    assert run_dir.report_html.exists()


def test_the_command_refuses_what_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no directory"):
        run(str(tmp_path / "none"))
    with pytest.raises(RunDirError, match=r"holds no run\.json"):
        run(str(tmp_path))


def test_made_up_numbers_are_the_same_every_time(tmp_path: Path) -> None:
    first = build(tmp_path / "a", ("idempotent",), KEPT)
    second = build(tmp_path / "b", ("idempotent",), KEPT)
    for name in ("timeline.ndjson", "verdict.json", "latency/idempotent.ack.1.hlog"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
