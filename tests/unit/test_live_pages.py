"""The addresses of the page on Locust's web server: what they serve, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import msgspec
import pytest

from harness.anomalies import PROMISES
from harness.errors import UsageError
from harness.judge.live import LiveRun
from harness.runs.options import SCHEDULES
from harness.runs.page.faults import FaultStatus, OfferedFault
from harness.runs.page.form import SCHEDULES_IN_WORDS, form_lists
from harness.runs.page.pages import install, table_rows
from harness.runs.page.shown import ShownRun, ShownRuns
from tests.support.histories import profile, run_info
from tests.support.made_up_run import make_run


class Asked:
    """What a recorder is asked for."""

    def __init__(self) -> None:
        self.faults_asked: list[str] = []
        self.healed = 0

    def faults(self) -> FaultStatus:
        return FaultStatus([OfferedFault("kill_leader", "kills the leader")])

    def inject(self, fault: str) -> None:
        if fault != "kill_leader":
            raise UsageError(f"fault {fault}: is none")
        self.faults_asked.append(fault)

    def heal(self) -> None:
        self.healed += 1


OPTIONS = SimpleNamespace(
    delivery_profile=["", "idempotent"], experiment=[""], schedule="constant", rate=1000.0,
    duration=0.0, message_size=200, producers=1, seed="", brokers="", profiles_file="",
    web_base_path="",
)  # fmt: skip


@pytest.fixture
def shown(tmp_path: Path) -> ShownRuns:
    run_dir, _ = make_run(tmp_path / "run")
    shown = ShownRuns()
    shown.runs.append(ShownRun(1, run_dir))
    return shown


@pytest.fixture
def client(shown: ShownRuns) -> Any:
    app = flask.Flask(__name__)
    web_ui = SimpleNamespace(app=app, auth_required_if_enabled=lambda view: view, template_args={})
    runner = SimpleNamespace(state="ready")
    install(SimpleNamespace(web_ui=web_ui, parsed_options=OPTIONS, runner=runner), shown)
    return app.test_client()


def test_the_page_and_what_it_is_made_of_come_from_this_server_alone(client: Any) -> None:
    texts = {name: client.get(f"/harness{name}") for name in ("", "/live.js", "/live.css")}
    assert {each.status_code for each in texts.values()} == {200}
    for answer in texts.values():
        found = answer.get_data(as_text=True)
        assert "://" not in found.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("name", ["report.html", "verdict.json"])
def test_finished_files_of_a_run_are_served(client: Any, shown: ShownRuns, name: str) -> None:
    path = shown.runs[0].run_dir.path / name
    if not path.exists():
        path.write_text("{}")
    assert client.get(f"/harness/runs/1/{name}").data == path.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "runs/1/run.json", "runs/1/timeline.ndjson", "runs/2/verdict.json", "runs/0/verdict.json",
        "runs/-1/verdict.json", "runs/1/../verdict.json", "runs/1/..%2f..%2fetc%2fpasswd",
        "runs/1/%2e%2e/run.json", "runs/1//etc/passwd", "runs/1/logs/recorder.log", "live.html",
        "../run.json",
    ],
)  # fmt: skip
def test_nothing_else_of_the_disk_is_served(client: Any, path: str) -> None:
    assert client.get(f"/harness/{path}").status_code in (308, 404)
    assert client.get(f"/harness/{path}", follow_redirects=True).status_code == 404


def test_the_state_says_what_there_is_before_any_run(client: Any, shown: ShownRuns) -> None:
    shown.runs.clear()
    state = client.get("/harness/state.json").get_json()
    assert (state["view"], state["runs"], state["under_way"]) == (None, [], False)
    assert state["faults"]["offered"] == []


def test_a_test_is_under_way_from_its_start_until_it_cannot_begin(
    client: Any, shown: ShownRuns
) -> None:
    shown.runs.clear()
    shown.begin()
    assert client.get("/harness/state.json").get_json()["under_way"]
    shown.failed("no broker is reached")
    state = client.get("/harness/state.json").get_json()
    assert (state["under_way"], state["problem"]) == (False, "no broker is reached")


def test_buttons_ask_the_recorder_and_show_its_refusal(client: Any, shown: ShownRuns) -> None:
    assert "no run is under way" in client.post("/harness/heal").get_json()["message"]
    shown._recorder = asked = Asked()  # type: ignore[assignment]
    assert client.post("/harness/inject", data={"fault": "kill_leader"}).get_json()["success"]
    refused = client.post("/harness/inject", data={"fault": "burn"}).get_json()
    assert (refused["success"], "burn" in refused["message"]) == (False, True)
    assert client.post("/harness/heal").get_json()["success"]
    assert (asked.faults_asked, asked.healed) == (["kill_leader"], 1)


def test_a_button_cannot_be_pressed_by_a_page_from_elsewhere(client: Any, shown: ShownRuns) -> None:
    shown._recorder = asked = Asked()  # type: ignore[assignment]
    elsewhere = {"Origin": "http://elsewhere.example"}
    answer = client.post("/harness/inject", data={"fault": "kill_leader"}, headers=elsewhere)
    assert answer.status_code == 403
    assert client.get("/harness/inject").status_code == 405
    assert asked.faults_asked == []


def test_every_choice_of_the_form_has_words() -> None:
    lists = form_lists(OPTIONS)
    assert (
        {each["name"] for each in lists["schedules"]} == set(SCHEDULES) == set(SCHEDULES_IN_WORDS)
    )
    assert all(each["words"] for kind in lists.values() for each in kind)
    promised = {each["promise"] for one in lists["profiles"] for each in one["promises"]}
    assert promised <= set(PROMISES)
    named = {each["name"] for each in lists["experiments"]}
    assert "kill_leader" in named
    assert "kill_zone" not in named  # local brokers are in no zones


def test_the_values_of_the_form_are_those_in_force(client: Any) -> None:
    values = client.get("/harness/form.json").get_json()["values"]
    assert (values["delivery_profile"], values["rate"]) == ("idempotent", 1000.0)


def test_the_tab_on_the_page_of_locust_counts_records() -> None:
    assert table_rows(b"") == []
    view = LiveRun(run_info([profile("idempotent")])).view(0)
    view.profiles[0].acked = 7
    view.verdict = {"profiles": [{"profile": "idempotent", "verdict": "kept"}]}
    (row,) = table_rows(msgspec.json.encode(view))
    assert (row["profile"], row["acked"], row["verdict"]) == ("idempotent", 7, "kept")


def test_parsers_of_the_form_know_the_same_experiments() -> None:
    from harness.runs.locust_options import experiment_names

    assert {each["name"] for each in form_lists(OPTIONS)["experiments"]} <= set(experiment_names())
