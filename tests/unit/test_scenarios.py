"""A Locust file that cannot drive a run is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.runs.scenarios import built_in_scenarios, scenario_file

USER = """
from locust import task
from harness.load.users import ProducerUser

class {name}(ProducerUser):
    {mark}
    def slot(self):
        self.send_what_is_due()
"""
ONE = USER.format(name="Shop", mark="@task")


def test_the_built_in_names_are_those_that_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "scenarios"]) == 0
    assert capsys.readouterr().out.split() == list(built_in_scenarios())
    assert scenario_file(None) == scenario_file("steady") == built_in_scenarios()["steady"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file, and no built-in scenario"),
        ("def broken(:\n", "mine.py, line 1: cannot be imported: SyntaxError"),
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(0)\n", "cannot be imported: SystemExit"),
        ("from locust import User\nclass Shop(User):\n    pass\n", "is expected, found: none"),
        ("from harness.load.users import ProducerUser\n", "is expected, found: none"),
        (ONE + USER.format(name="Other", mark="@task"), "is expected, found: Shop, Other"),
        (USER.format(name="Shop", mark=""), "Shop has no task"),
    ],
)
def test_a_file_that_defines_no_users_is_wrong_usage(
    content: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    out = tmp_path / "run"
    assert main(["run", "--scenario", str(file), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"--scenario {file}" in said
    assert says in said
    assert "Traceback" not in said
    assert not out.exists()


def test_a_file_that_is_no_python_file_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(ONE, encoding="utf-8")
    with pytest.raises(UsageError, match=r"whose name ends in \.py"):
        scenario_file(str(file))


def test_a_name_that_is_nearly_a_built_in_one_is_told() -> None:
    with pytest.raises(UsageError, match="steady"):
        scenario_file("staedy")


def test_a_file_may_import_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "waves.py").write_text("HEIGHT = 3\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text(f"from waves import HEIGHT\n{ONE}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert scenario_file("mine.py") == tmp_path / "mine.py"
