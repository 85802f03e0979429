"""JSON Schemas of verdict.json and aggregate.json from their dataclasses.

    python -m tests.support.schemas verdict > reports/schemas/verdict.schema.json
    python -m tests.support.schemas aggregate > reports/schemas/aggregate.schema.json

msgspec makes them of the fields' types (harness/rundir/verdict_fields.py). The string below a field
becomes its description. An object has no other fields. Those without a default are required: a
field that came later has one, so that earlier verdicts are still valid.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from harness.judge import aggregate
from harness.judge.aggregate import Aggregate
from harness.rundir import percentiles, places, threshold_verdict, verdict
from harness.rundir.verdict import Verdict
from tests.support.run_directory_docs import strings_below

DOCUMENTS: Final = {
    "verdict": (
        Verdict,
        "The judgement on one run: verdict.json in its run directory. broken > inconclusive > "
        "kept; a promise can also be not_applicable, outside the envelope in which its profile "
        "promises anything.",
    ),
    "aggregate": (
        Aggregate,
        "What several runs show together: aggregate.json of harness run --repeat.",
    ),
}
_ALWAYS: Final = {
    "Verdict": ("schema", "findings"),
    "ProfileVerdict": ("in_verdict",),
    "Aggregate": ("schema", "profiles"),
}
"""Fields with a default that every version has written."""
_LATER: Final = {"PromiseVerdict": ("trials",), "PromiseSum": ("trials",)}
"""Fields without a default that earlier versions have not written."""


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a document of `DOCUMENTS`."""
    kind, description = DOCUMENTS[name]
    _, definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    said: dict[str, Any] = {}
    for module in (verdict, threshold_verdict, aggregate, percentiles, places):
        said |= strings_below(module)
    for title, definition in definitions.items():
        _complete(title, definition, said.get(title, {}))
    top = definitions.pop(kind.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "title": f"delivery-{name}/1",
        "description": description,
        "$defs": definitions,
    }


def _complete(title: str, definition: dict[str, Any], said: dict[str, str]) -> None:
    definition["description"] = " ".join(definition.get("description", "").split())
    definition["additionalProperties"] = False
    for field, property_ in definition["properties"].items():
        if field in said:
            property_["description"] = said[field]
        property_.pop("default", None)
        if "properties" in property_:
            property_["additionalProperties"] = False
    required = [*definition.get("required", []), *_ALWAYS.get(title, ())]
    definition["required"] = [
        field
        for field in definition["properties"]
        if field in required and field not in _LATER.get(title, ())
    ]


def text_of(name: str) -> str:
    """The file of a schema."""
    return json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n"


def lines() -> Iterator[str]:
    """What the command prints."""
    yield from (text_of(name) for name in sys.argv[1:])


if __name__ == "__main__":
    sys.stdout.writelines(lines())
