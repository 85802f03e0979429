"""reports/schemas/history.schema.json from the table that reads lines:

python -m tests.support.history_schema > reports/schemas/history.schema.json
"""

from __future__ import annotations

import json
from typing import Any

from harness.history.events import (
    HISTORY_SCHEMA,
    MILLISECONDS,
    NAME_MAX,
    TYPES,
    UNPRINTABLE,
    Field,
)

SAYS = {
    "history": "May stand first: which format this is.",
    "attempt": "A record handed to the client. Its outcome may stand here or in a line of its own.",
    "outcome": "What became of an attempt.",
    "observation": "A record that was read back, by the drain (default) or while the load ran.",
    "transaction": "One step of a transaction: a call before it is made, a result after it.",
    "drain": "How far a topic-partition was read. Without it: up to the highest offset read.",
    "topic": "What is so of a topic: its id, and whether it is compacted (cleanup.policy=compact).",
    "reading": "Where a reader began: from there on it was handed everything that the log held.",
    "offsets": "Last stable offset and high watermark of a topic-partition at an instant.",
    "member": "A consumer group's member started, or closed in order.",
    "assignment": "A topic-partition was assigned to a member, revoked from it, or lost by it.",
    "processing": "A record was handed to a member, its processing began, its effect was done.",
    "commit": "A member's commit: offset is the next to read.",
    "acknowledgement": "How a member of a share group acknowledged a record, and the answer.",
    "archived": "A share group gave a record up, at its delivery limit.",
    "group_reset": "A group's offset was set by somebody who is no member, or its offsets expired.",
    "group_offset": "What the group had committed in the end, as its coordinator says.",
    "end": "The last line of a file: how many lines of a history come before it.",
}


def field_schema(accepted: Field) -> dict[str, Any]:
    """What one field accepts."""
    if accepted.words is not None:
        words = list(accepted.words)
        if not accepted.required:
            return {"enum": [*words, None]}
        return {"const": words[0]} if len(words) == 1 else {"enum": words}
    schema: dict[str, Any]
    if accepted.kind in ("number", "instant"):
        schema = {"type": "integer", "minimum": 0, "maximum": accepted.most}
        if accepted.kind == "instant":
            least, most = MILLISECONDS
            schema["not"] = {"type": "integer", "minimum": least, "maximum": most}
    elif accepted.kind == "key":
        schema = {"type": "string"}
    elif accepted.kind == "flag":
        schema = {"type": "boolean"}
    else:
        schema = {"type": "string", "minLength": 1, "maxLength": NAME_MAX}
        if accepted.kind == "text":
            schema["not"] = {"type": "string", "pattern": UNPRINTABLE}
    if not accepted.required:
        schema["type"] = [schema["type"], "null"]
    return schema


def said(*keys: str) -> dict[str, Any]:
    """Fields that are there and not null, all of them."""
    return {"required": list(keys), "properties": {key: {"not": {"type": "null"}} for key in keys}}


def type_schema(name: str) -> dict[str, Any]:
    """One type of line."""
    fields = TYPES[name]
    schema: dict[str, Any] = {
        "description": SAYS[name],
        "type": "object",
        "additionalProperties": False,
        "required": ["type", *(key for key, accepted in fields.items() if accepted.required)],
        "properties": {
            "type": {"const": name},
            **{key: field_schema(accepted) for key, accepted in fields.items()},
            "note": {"description": "For people; not read."},
        },
    }
    if name in ("attempt", "outcome"):
        acked = {
            "properties": {"outcome": {"const": "acked"}, "partition": {"type": "integer"}},
            "required": ["outcome", "partition"],
        }
        schema["if"] = said("offset")
        schema["then"] = acked
    if name == "observation":
        odd = {"properties": {"content": {"enum": ["corrupt", "foreign"]}}, "required": ["content"]}
        schema["if"] = odd
        schema["then"] = {
            "not": {
                "anyOf": [
                    said(key) for key in ("producer", "sequence", "sent_topic", "sent_partition")
                ]
            }
        }
        schema["else"] = said("producer", "sequence")
        schema["oneOf"] = [
            said("input_topic", "input_offset"),
            {
                "not": {
                    "anyOf": [said("input_topic"), said("input_offset"), said("input_partition")]
                }
            },
        ]
    return schema


def schema() -> dict[str, Any]:
    """The whole schema: what one line of a history may be."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": HISTORY_SCHEMA,
        "description": "One line of a history that `harness verify --history` judges.",
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(TYPES)}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in TYPES
        ],
        "$defs": {name: type_schema(name) for name in TYPES},
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
