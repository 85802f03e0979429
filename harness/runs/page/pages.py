"""The addresses of the page, on the web server that Locust has anyway.

    /harness                       the page
    /harness/live.js, live.css     what it is made of
    /harness/form.json             what can be chosen, with words (form.py)
    /harness/state.json            the run under way: Locust's state, the last look at it, faults
    /harness/inject, /harness/heal POST: one fault, and its end
    /harness/runs/N/report.html    of the N-th run of this Locust; verdict.json too, nothing else

Every answer comes from memory, from one small file, or is a finished file of a run. A test begins
and ends by Locust's own /swarm and /stop.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import flask
import msgspec

from harness.errors import HarnessError
from harness.runs.page.form import form_lists, form_values
from harness.runs.page.shown import ShownRuns
from harness.system.assets import folder

ASSETS: Final = {"live.js": "text/javascript", "live.css": "text/css"}
TAB: Final = "delivery"
INDEX_ENDPOINT: Final = "locust.index"
STATS_ENDPOINT: Final = "locust.request_stats"
_COLUMNS: Final = {
    "profile": "Profile",
    "asked_per_s": "Asked (records/s)",
    "achieved_per_s": "Sent (records/s)",
    "attempted": "Records",
    "acked": "Acknowledged",
    "failed": "Failed",
    "unknown": "Unknown",
    "lost": "Lost (provisional)",
    "duplicate": "Duplicates (provisional)",
    "inversion": "Inversions (provisional)",
    "verdict": "Verdict",
}
_LINK: Final = (
    '<p style="margin:0;padding:6px 16px;font:14px system-ui,sans-serif;background:#12324a">'
    '<a style="color:#fff" href="./harness">Delivery page: profiles with their promises, records, '
    "faults, verdict</a></p>"
)


def install(environment: Any, shown: ShownRuns) -> None:
    """Add the page to Locust's web server, and a tab and a link to Locust's own page."""
    web_ui = environment.web_ui
    prefix = getattr(environment.parsed_options, "web_base_path", "") or ""
    web_ui.app.register_blueprint(_blueprint(environment, shown, prefix))
    web_ui.template_args["extended_tabs"] = [{"title": "Delivery", "key": TAB}]
    web_ui.template_args["extended_tables"] = [
        {
            "key": TAB,
            "structure": [{"key": key, "title": title} for key, title in _COLUMNS.items()],
        }
    ]
    web_ui.template_args["extended_csv_files"] = [
        {"href": "./harness", "title": "Delivery page: records, faults, verdict"}
    ]

    def extend(response: flask.Response) -> flask.Response:
        if flask.request.endpoint == STATS_ENDPOINT and response.is_json:
            document = response.get_json()
            document["extended_stats"] = [{"key": TAB, "data": table_rows(shown.view)}]
            response.set_data(json.dumps(document))
        elif flask.request.endpoint == INDEX_ENDPOINT and response.mimetype == "text/html":
            text = response.get_data(as_text=True)
            response.set_data(text.replace('<div id="root">', f'{_LINK}<div id="root">', 1))
        return response

    web_ui.app.after_request(extend)


def table_rows(view: bytes) -> list[dict[str, Any]]:
    """The rows of the tab on Locust's own page: one a profile."""
    if not view:
        return []
    document = msgspec.json.decode(view)
    verdict = document.get("verdict") or {}
    found = {each["profile"]: each["verdict"] for each in verdict.get("profiles", ())}
    rows = []
    for profile in document["profiles"]:
        row = {key: profile.get(key, "") for key in _COLUMNS}
        for key in ("asked_per_s", "achieved_per_s"):
            row[key] = round(profile[key])
        row["verdict"] = found.get(profile["profile"], "")
        rows.append(row)
    return rows


def state_of(environment: Any, shown: ShownRuns) -> bytes:
    """Everything that the page asks for, once a second."""
    runner = environment.runner
    document = {
        "locust": str(runner.state) if runner is not None else "missing",
        "problem": shown.problem,
        "under_way": shown.under_way,
        "faults": msgspec.to_builtins(shown.faults()),
        "runs": [
            {
                "number": each.number,
                "run_id": each.run_dir.path.name,
                "path": str(each.run_dir.path),
                "files": _served(shown, each.number),
            }
            for each in shown.runs
        ],
        "view": msgspec.Raw(shown.view or b"null"),
    }
    return msgspec.json.encode(document)


def _served(shown: ShownRuns, number: int) -> list[str]:
    names = ("report.html", "verdict.json")
    return [name for name in names if shown.file(number, name) is not None]


def _blueprint(environment: Any, shown: ShownRuns, prefix: str) -> flask.Blueprint:
    pages = flask.Blueprint("harness", __name__, url_prefix=f"{prefix}/harness")
    guarded: Callable[[Any], Any] = environment.web_ui.auth_required_if_enabled
    lists = form_lists(environment.parsed_options)  # before there is any load to disturb

    @pages.get("")
    @guarded
    def page() -> flask.Response:
        return _asset("live.html", "text/html; charset=utf-8")

    @pages.get("/<any('live.js', 'live.css'):name>")
    @guarded
    def asset(name: str) -> flask.Response:
        return _asset(name, f"{ASSETS[name]}; charset=utf-8")

    @pages.get("/form.json")
    @guarded
    def form() -> flask.Response:
        values = form_values(environment.parsed_options)
        return _json(msgspec.json.encode({**lists, "values": values}))

    @pages.get("/state.json")
    @guarded
    def state() -> flask.Response:
        return _json(state_of(environment, shown))

    @pages.get("/runs/<int:number>/<name>")
    @guarded
    def file(number: int, name: str) -> flask.Response:
        path = shown.file(number, name)
        if path is None:
            flask.abort(404)
        return flask.send_file(path.resolve(), max_age=0)

    @pages.post("/inject")
    @guarded
    def inject() -> flask.Response:
        return _asked(shown, lambda recorder: recorder.inject(flask.request.form.get("fault", "")))

    @pages.post("/heal")
    @guarded
    def heal() -> flask.Response:
        return _asked(shown, lambda recorder: recorder.heal())

    return pages


def _asked(shown: ShownRuns, ask: Callable[[Any], None]) -> flask.Response:
    """Pass a person's wish on to the recorder; what cannot be is said, and nothing else happens."""
    origin = flask.request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != flask.request.host:
        flask.abort(403)  # some other page in the same browser
    recorder = shown.recorder
    message = "" if recorder is not None else "no run is under way: press START first."
    if recorder is not None:
        try:
            ask(recorder)
        except HarnessError as error:
            message = str(error)
    return _json(msgspec.json.encode({"success": not message, "message": message}))


def _asset(name: str, kind: str) -> flask.Response:
    text = (folder("reports") / "templates" / name).read_text(encoding="utf-8")
    return flask.Response(text, content_type=kind, headers={"Cache-Control": "no-cache"})


def _json(data: bytes) -> flask.Response:
    return flask.Response(
        data, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
