"""The documentation says what is so: every option, name, link and command in it is checked."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from harness.anomalies import ANOMALIES
from harness.cli.main import build_parser
from harness.faults.experiments import list_experiments
from harness.faults.registry import FAULTS
from harness.profiles import load_builtin
from tests.support import run_directory_docs
from tests.support.cli_reference import reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / "docs").glob("*.md"),
    ]
)
ANCHORED = re.compile(r"\]\((?!https?://)([^)#]*)#([^)]+)\)")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")


def commands(page: Path, word: str) -> list[list[str]]:
    """Commands in the indented blocks of a page that begin with `word`, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        if line.startswith("    ") and line.strip().startswith(f"{word} "):
            command = line.strip().split(" > ")[0]
            found.append(shlex.split(command, comments=True))
    return found


def test_the_command_line_page_is_what_the_parser_says() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), (
        "run: python -m tests.support.cli_reference > docs/cli.md"
    )


def test_the_page_about_run_directories_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "run-directory.md").read_text(
        encoding="utf-8"
    ) == run_directory_docs.reference(), (
        "run: python -m tests.support.run_directory_docs > docs/run-directory.md"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_accepted_by_the_parser(page: Path) -> None:
    for command in commands(page, "harness"):
        build_parser().parse_args(command[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_shows_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """What GitHub lets one link to in a page: its headings, in small letters with hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    for target, anchor in ANCHORED.findall(page.read_text(encoding="utf-8")):
        there = page.parent / target if target else page
        assert anchor in anchors(there), f"{page.name} links to {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_outside_the_project_is_a_whole_address(page: Path) -> None:
    for address in re.findall(r"\]\((https?:[^)]*)\)", page.read_text(encoding="utf-8")):
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]{2,}(/\S*)?", address), (
            f"{page.name}: {address}"
        )


def test_every_profile_fault_experiment_and_anomaly_is_documented() -> None:
    profiles = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    faults = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    verification = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    missing = [name for name in load_builtin() if f"`{name}`" not in profiles]
    missing += [name for name in FAULTS if name not in faults]
    missing += [each.name for each in list_experiments() if each.name not in faults]
    missing += [name for name in ANOMALIES if name not in verification]
    assert missing == []


def test_every_page_is_listed_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [
        page.name
        for page in PAGES
        if page.parent.name == "docs" and f"docs/{page.name}" not in readme
    ] == []


def test_judging_imports_no_client_library() -> None:
    client = re.compile(
        r"^\s*(?:import|from) (confluent_kafka|locust|chaoslib|gevent)", re.MULTILINE
    )
    pure = [
        *(ROOT / "harness" / "judge").glob("*.py"),
        ROOT / "harness" / "reconcile" / "reconcile.py",
        ROOT / "harness" / "record" / "binary.py",
        ROOT / "harness" / "rundir" / "columns.py",
        ROOT / "harness" / "load" / "schedule.py",
    ]
    assert [path.name for path in pure if client.search(path.read_text(encoding="utf-8"))] == []


def test_the_table_of_layers_is_the_one_that_import_linter_holds() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contract = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]
    layers = [{each.strip() for each in layer.split("|")} for layer in contract["layers"]]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index("| layer | what is in it |") :].partition("\n\n")[0].splitlines()[2:]
    told = [
        {
            f"harness.{name.strip('/').removesuffix('.py')}"
            for name in re.findall(r"`([a-z_./]+)`", row.split("|")[1])
        }
        for row in table
    ]
    assert told == layers[::-1]
    there = {
        f"harness.{path.stem}"
        for path in (ROOT / "harness").iterdir()
        if path.name not in ("__init__.py", "__pycache__", "py.typed")
    }
    assert there == set().union(*layers)
