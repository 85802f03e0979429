"""Every --help has examples that work, and a shell completes what the parser knows."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.completion import SHELLS, script
from harness.cli.examples import EXAMPLES, commands_of
from harness.cli.main import build_parser, main
from harness.profiles import load_builtin

COMMANDS = dict(commands_of(build_parser()))
LEAVES = [name for name in COMMANDS if not any(each.startswith(f"{name} ") for each in COMMANDS)]


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_shows_examples_of_itself(name: str) -> None:
    shown = COMMANDS[name].format_help()
    assert EXAMPLES[name]
    for example in EXAMPLES[name]:
        assert f"  {example}\n" in shown
        assert f"harness {name}" in example


@pytest.mark.parametrize("example", [each for lines in EXAMPLES.values() for each in lines])
def test_the_parser_takes_every_example(example: str) -> None:
    line = example.removeprefix('eval "$(').removesuffix(')"').partition(" > ")[0]
    build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_commands_options_choices_and_where_names_come_from(shell: str) -> None:
    text = script(shell, build_parser())
    for word in ("validate", "until-bound", "poisson", "harness list profiles"):
        assert word in text


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "bsh"])
    assert ended.value.code == 2
    assert "did you mean bash" in capsys.readouterr().err


def completed(folder: Path, *words: str) -> set[str]:
    """What bash offers for the last word, by the script itself."""
    path = folder / "completion.bash"
    if not path.exists():
        path.write_text(script("bash", build_parser()))
        harness = folder / "harness"
        harness.write_text(f'#!/bin/sh\nexec {sys.executable} -m harness "$@"\n')
        harness.chmod(0o755)
    asked = (
        f"source {path}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        f"$(complete -p harness | sed 's/.*-F \\([^ ]*\\).*/\\1/') harness; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "--norc", "-c", asked], capture_output=True, text=True, env=environment, check=True
    )
    return set(ended.stdout.split())


def test_bash_completes_commands_options_choices_and_names(tmp_path: Path) -> None:
    assert {"validate", "verify"} <= completed(tmp_path, "harness", "v")
    assert completed(tmp_path, "harness", "run", "--sch") == {"--schedule"}
    assert completed(tmp_path, "harness", "run", "--schedule", "po") == {"poisson"}
    assert completed(tmp_path, "harness", "run", "--profile", "") == set(load_builtin())
    assert completed(tmp_path, "harness", "run", "--profile", "ide") == {"idempotent"}
