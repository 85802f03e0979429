"""report.html with more of everything than any run has: small, honest about it, all escaped."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.report.html import write_report
from harness.report.page import PAGE_BYTES_MAX
from harness.report.room import Room
from harness.rundir.documents import read_json, write_json
from tests.support.made_up_run import CONSUMERS, PRODUCERS, RUN_ID, make_run

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&lt;b&gt;{{7*7}}</style>"


class Elements(HTMLParser):
    """The elements of a page, and how many of them run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def _many(document: dict[str, Any]) -> None:
    """2,000 partitions a profile, 60 samples and 30 stories of each anomaly, long sentences."""
    for profile in document["profiles"]:
        topic = f"harness-{RUN_ID}-{'t' * 180}"
        profile["availability"] = [
            {"topic": topic, "partition": n, "longest_gap_ms": float(n), "recovered_ms": 1.0}
            for n in range(2_000)
        ]
        profile["samples"] = [
            {**sample, "topic": topic} for sample in profile["samples"] for _ in range(60)
        ]
        story = {"anomaly": "lost", "topic": topic, "partition": 1, "producer": 1, "sequence": 2,
                 "offset": 3, "text": ["lost: " + "x" * 2_000] * 25, "events": [],
                 "replicas": None}  # fmt: skip
        profile["witnesses"] = [story] * 30
    document["reasons"] = [f"reason {n}: {'y' * 3_000}" for n in range(900)]
    document["faults"] = document["faults"] * 700
    document["findings"] = document["findings"] * 200


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> str:
    run_dir, path = make_run(
        tmp_path_factory.mktemp("crowded") / "run", names=(*PRODUCERS, *CONSUMERS), verdict="broken"
    )
    document = read_json(path, "verdict")
    _many(document)
    write_json(path, document)
    assert path.stat().st_size > 4 * PAGE_BYTES_MAX
    report = write_report(run_dir, path)
    assert report.stat().st_size <= PAGE_BYTES_MAX
    return report.read_text(encoding="utf-8")


def test_a_page_of_a_crowded_run_stays_within_two_megabytes_and_says_what_it_left_out(
    crowded: str,
) -> None:
    assert "2,000 partitions of idempotent; the page shows" in crowded
    assert "900 reasons; the page shows" in crowded
    assert "1,400 faults; the page shows" in crowded
    assert crowded.rstrip().endswith("</html>")


def test_of_many_partitions_the_worst_are_shown(crowded: str) -> None:
    assert '<td class="n">1999</td><td class="n">1,999</td>' in crowded


def test_room_halves_until_it_is_least() -> None:
    room, rounds = Room(), 0
    while not room.least:
        room, rounds = room.halved(), rounds + 1
    assert rounds < 12
    assert room.partitions == 1
    assert room.text("z" * 1_000) == "z" * 199 + "…"


def test_names_and_texts_of_a_hostile_run_stay_text(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run", verdict="broken")
    clean = Elements(write_report(run_dir, path).read_text(encoding="utf-8"))
    for file in (path, run_dir.run_json):
        document = json.loads(file.read_text(encoding="utf-8"))
        write_json(file, _poisoned(document))
    lines = run_dir.timeline.read_text(encoding="utf-8")
    poisoned = json.dumps(HOSTILE)[1:-1]
    run_dir.timeline.write_text(
        lines.replace("Connection reset by peer", poisoned).replace(f"harness-{RUN_ID}", poisoned),
        encoding="utf-8",
    )
    text = write_report(run_dir, path, asked_by=HOSTILE).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in text
    assert "{{7*7}}" in text, "no text is a template"
    found = Elements(text)
    assert found.handlers == []
    for tag in ("script", "style", "img", "title"):
        assert found.tags.count(tag) <= clean.tags.count(tag), tag
    assert found.tags.count("script") == 1
    assert "img" not in found.tags


def _poisoned(value: Any) -> Any:
    """The same document with every text that a user can choose replaced."""
    chosen = {"topic", "message", "fix", "text", "target", "reason", "fault", "topics", "meaning",
              "code", "reasons", "asked_by", "command", "bootstrap", "notes", "told"}  # fmt: skip
    if isinstance(value, dict):
        return {key: _hostile(each) if key in chosen else _poisoned(each)
                for key, each in value.items()}  # fmt: skip
    return [_poisoned(each) for each in value] if isinstance(value, list) else value


def _hostile(value: Any) -> Any:
    if isinstance(value, str):
        return f"{HOSTILE}{value}"
    return [_hostile(each) for each in value] if isinstance(value, list) else _poisoned(value)
