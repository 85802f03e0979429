"""A command ends with an exit code of the harness, whatever happens to it and to its output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.cli import ending
from harness.cli.main import build_parser, main
from harness.errors import remember_secret
from harness.system import output

SOURCE = Path(__file__).parents[2] / "harness"
GOLDEN = Path(__file__).parents[1] / "golden"
FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def _temporary_files(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracebacks that these commands keep are left where pytest clears up."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tracebacks")))
    monkeypatch.setattr("tempfile.tempdir", None)


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command line of a shell; the status of a pipe is that of its first command."""
    return subprocess.run(
        ["bash", "-c", f"{line}"],
        capture_output=True,
        env={**os.environ, "HARNESS": f"{sys.executable} -m harness", **environment},
        check=False,
        timeout=60,
    )


COMMANDS = [
    "list experiments --json",
    "validate {profiles}",
    "verify --json --history {kept}",
    "verify --history {broken}",
    "run --help",
]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Small inputs, of which some end with 0 and some with 1 where the output arrives."""
    profiles = tmp_path / "mine.yaml"
    profiles.write_text("profiles:\n  mine:\n    extends: idempotent\n    summary: x\n")
    broken_profiles = tmp_path / "bad.yaml"
    broken_profiles.write_text(
        "topics:\n  - {name: orders, replication.factor: 1, min.insync.replicas: 2}\n"
    )
    return {
        "profiles": profiles,
        "broken_profiles": broken_profiles,
        "kept": GOLDEN / "lost.near-miss.ndjson",
        "broken": GOLDEN / "lost.ndjson",
    }


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")
def test_a_full_disk_behind_stdout_ends_with_4_and_one_sentence(
    command: str, files: dict[str, Path]
) -> None:
    ended = shell(f"$HARNESS {command.format(**files)} >/dev/full")
    assert ended.returncode == 4
    said = ended.stderr.decode().splitlines()
    assert [line for line in said if "stdout" in line and "No space left" in line]
    assert not any("Traceback" in line or "Exception ignored" in line for line in said)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_goes_away_never_makes_exit_1(command: str, files: dict[str, Path]) -> None:
    line = f"$HARNESS {command.format(**files)}"
    ended = shell(f"{line} | head -c1 >/dev/null; exit ${{PIPESTATUS[0]}}")
    # A short output can have been taken in before its reader went; then the result counts.
    assert ended.returncode in {4, shell(line).returncode}
    assert b"Traceback" not in ended.stderr
    assert b"Exception ignored" not in ended.stderr


def test_the_status_is_4_where_the_pipe_was_closed_before_the_output(
    files: dict[str, Path],
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "harness", "validate", str(files["broken_profiles"])],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert ended.returncode == 4
    assert ended.stderr.decode().count("\n") == 1
    assert b"its reader has closed the pipe" in ended.stderr


def test_a_broken_promise_wins_over_output_that_is_lost_where_the_verdict_is_in_a_file() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = (
        "import sys\n"
        "from harness.cli import ending\nfrom harness.system import output\n"
        "def work():\n"
        "    with output.delivering(int(sys.argv[1]), sys.argv[2]):\n"
        "        print('x' * 100)\n"
        "    return int(sys.argv[1])\n"
        "sys.exit(ending.guarded(work))\n"
    )
    found = {
        (code, place): subprocess.run(
            [sys.executable, "-c", program, code, place],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
        for code, place in [("1", "verdict.json"), ("1", ""), ("0", "verdict.json"), ("3", "")]
    }
    os.close(writing)
    assert {key: ended.returncode for key, ended in found.items()} == {
        ("1", "verdict.json"): 1,
        ("1", ""): 4,
        ("0", "verdict.json"): 4,
        ("3", ""): 4,
    }
    assert b"verdict.json" in found["1", "verdict.json"].stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["ascii", "C"],
)
def test_an_ascii_locale_changes_no_exit_code(
    command: str, locale: dict[str, str], files: dict[str, Path]
) -> None:
    line = f"$HARNESS {command.format(**files)}"
    plain, ascii_only = shell(line), shell(line, **locale)
    assert ascii_only.returncode == plain.returncode
    assert b"Traceback" not in ascii_only.stderr
    if "PYTHONIOENCODING" in locale:
        ascii_only.stdout.decode("ascii")


def test_a_stderr_that_is_closed_or_full_ends_nothing(files: dict[str, Path]) -> None:
    for target in ("2>&-", "2>/dev/full"):
        ended = shell(f"$HARNESS verify --json --history {files['broken']} {target}")
        assert json.loads(ended.stdout)["schema"] == "delivery-verdict/1"
        assert ended.returncode == 1, target
    assert shell("$HARNESS list profiles >&- 2>&- <&-").returncode == 0


def test_an_exception_that_is_no_error_of_the_harness_ends_with_4_and_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    remember_secret("hunter2-and-more")

    def work() -> int:
        raise KeyError("sasl.password is hunter2-and-more")

    assert ending.guarded(work) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "KeyError" in said
    path = Path(re.search(r"The traceback is in (\S+\.txt)", said)[1])  # type: ignore[index]
    text = path.read_text()
    assert "Traceback (most recent call last)" in text
    assert "in work" in text
    assert "hunter2" not in text + said
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("result", "code"), [(0, 4), (3, 4), (1, 1)])
def test_a_thread_that_fails_is_named_and_its_command_is_no_success(
    result: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise RuntimeError("lost its way")

    def work() -> int:
        thread = threading.Thread(target=fails, name="scout")
        thread.start()
        thread.join()
        return result

    assert ending.guarded(work) == code
    said = capsys.readouterr().err
    assert "thread scout" in said
    assert "lost its way" in said
    assert "Traceback" not in said


def test_every_console_is_one_that_does_not_end_the_process_by_itself() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.name == "output.py":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"\bConsole\(", line):
                assert "io.StringIO()" in line, f"{path}: {line.strip()}"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["rnu"], "run"),
        (["lst", "faults"], "list"),
        (["list", "experiment"], "experiments"),
        (["cluster", "stauts"], "status"),
        (["run", "--profil", "idempotent"], "--profile"),
        (["run", "--experiments=kill_leader"], "--experiment"),
        (["run", "--schedule", "brust"], "burst"),
        (["verify", "--histroy", "x"], "--history"),
    ],
)
def test_an_unknown_command_option_or_choice_is_refused_with_the_nearest_one(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert f"(did you mean {meant}?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["run", "--profile", "idempotnt"], "idempotent"),
        (["run", "--experiment", "kill_leadr"], "kill_leader"),
        (["run", "--compression", "zst"], "zstd"),
        (["run", "--compression", "GZIPP"], "gzip"),
        (["run", "--config", "lingr.ms=1"], "linger.ms"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert f"(did you mean {meant}?)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["profiles", "experiments", "scenarios", "faults"])
def test_list_json_holds_the_names_that_the_plain_list_has(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", kind]) == 0
    names = capsys.readouterr().out.splitlines()
    assert main(["list", kind, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry[kind.removesuffix("s")] for entry in listed] == names


def test_similar_characters_are_ascii() -> None:
    assert all(len(each) == 1 and shown.isascii() for each, shown in output.SIMILAR.items())


def test_the_parser_has_no_abbreviations() -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["run", "--prof", "idempotent"])
