"""JSON documents: read whole or not at all, versioned, and as dataclasses.

A versioned document has a field `schema` such as `delivery-run/1`: a name and a major version. A
reader passes over fields that it does not know, and refuses a major version that it does not know.
A document without the field was written before there were versions: it is of version 1.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from harness.errors import RunDirError

T = TypeVar("T")

_FIRST: Final = "1"
_MESSAGE: Final = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.S)
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_EXPECTED: Final = re.compile(r"Expected `([a-z |]+)`(.*)", re.S)
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_NAMES: Final = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "null": "null", "array": "a list", "object": "an object",
}  # fmt: skip
"""msgspec's words for types, and ours."""
_JSON: Final = {str: "str", bool: "bool", type(None): "null", list: "array", dict: "object"}


def typed(kind: type[T], document: object, where: str = "") -> T:
    """A dataclass from a document; fields that it has not are passed over.

    Raises ValueError that names the field, what is there and what was expected.
    """
    try:
        return msgspec.convert(document, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise ValueError(_in_words(str(error), document, where)) from None


def _in_words(message: str, document: object, where: str) -> str:
    """A message of msgspec in our words: `load.partitions: 'x'; expected a whole number`."""
    said = _MESSAGE.fullmatch(message)
    assert said is not None
    what, path = said["what"], said["path"] or ""
    field = f"{where}{path}" if where else path.removeprefix(".")
    missing = _MISSING.fullmatch(what)
    if missing is not None:
        return f"{field}.{missing[1]}: is missing".removeprefix(".")
    field = field or "the document"
    if said["key"]:
        field = f"a key of {field}"
    expected = _EXPECTED.fullmatch(what)
    if expected is None:
        return f"{field}: {what[:1].lower()}{what[1:]}"
    names = [_NAMES.get(each, each) for each in expected[1].split(" | ")]
    bound = expected[2] if expected[2].startswith((" <", " >", " of")) else ""
    found = _found(document, path, what)
    return f"{field}: {found}; expected {' or '.join(names)}{bound}"


def _found(document: object, path: str, what: str) -> str:
    """What is at a path: a value that is short, otherwise its type."""
    for step in _STEP.finditer(path):
        name, index = step.groups()
        if isinstance(document, Mapping) and name in document:
            document = document[name]
        elif isinstance(document, list) and index not in (None, "..."):
            document = document[int(index)]
        else:  # below a key that msgspec does not name
            got = what.rpartition("got `")[2].removesuffix("`")
            return _NAMES.get(got, "another value")
    if isinstance(document, (str, int, float)) and not isinstance(document, bool):
        return repr(document)[:60]
    return _NAMES.get(_JSON.get(type(document), ""), type(document).__name__)


def check_schema(path: Path, schema: object, known: str) -> None:
    """Accept what `known`, such as `delivery-run/1`, can read; None is of version 1.

    Raises RunDirError for another schema, or another major version of it.
    """
    name, _, version = known.partition("/")
    if schema is None and version == _FIRST:
        return
    said, _, number = schema.partition("/") if isinstance(schema, str) else ("", "", "")
    if (said, number.partition(".")[0]) != (name, version):
        found = repr(schema) if isinstance(schema, str) else json.dumps(schema)
        raise RunDirError(
            f"{path}: schema: {found[:60]}; this version of the harness reads {known!r}. Read the "
            "run with the version of the harness that made it."
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
_FAST: Final = msgspec.json.Decoder()
_LOOSE_COLON: Final = re.compile(rb"\s:")


def parse_json(data: bytes) -> Any:
    """JSON as the standard has it: no NaN, each key once, UTF-8.

    A document that says two things under one key is damaged, and msgspec's parser, which is many
    times as fast, lets the last of them win. So what it returns counts only where it has as many
    keys as the text has quotes followed by a colon: where no white space comes before a colon,
    each key ends so, and text inside a value can only add to them. Otherwise the standard
    library's parser decides.
    Raises ValueError or RecursionError for anything else.
    """
    try:
        document = _FAST.decode(data)
        if _keys(document) == data.count(b'":') and _LOOSE_COLON.search(data) is None:
            return document
    except (msgspec.DecodeError, RecursionError):
        pass
    return _DECODER.decode(data.decode())


def _keys(document: object) -> int:
    """How many keys the objects of a document have together."""
    if type(document) is dict:
        inside = [each for each in document.values() if type(each) is dict or type(each) is list]
        return len(document) + sum(map(_keys, inside)) if inside else len(document)
    return sum(map(_keys, document)) if type(document) is list else 0


def write_json(path: Path, document: Any, *, schema: str | None = None) -> None:
    """Write a JSON document so that a reader sees the old one or the new one, never a part.

    schema: its first field, where it is versioned.
    """
    if schema is not None:
        document = {"schema": schema, **document}
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """As `write_json`, for text that is laid out already."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_json(path: Path, what: str, *, schema: str | None = None) -> dict[str, Any]:
    """Read a JSON object, of a version that can be read where it is versioned.

    Raises RunDirError naming file and line.
    """
    try:
        document = parse_json(path.read_bytes())
    except OSError as error:
        raise RunDirError(f"{path}: {what} is expected here ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise RunDirError(
            f"{path}: {what} is expected here, but it is no JSON ({error})."
        ) from None
    if not isinstance(document, dict):
        raise RunDirError(f"{path}: {what} is expected here: a JSON object.")
    if schema is not None:
        check_schema(path, document.pop("schema", None), schema)
    return document


def whole(value: object) -> int:
    """A whole number that a column can hold. Raises ValueError for anything else."""
    if type(value) is not int or abs(value) >= 1 << 62:
        raise ValueError(f"{value!r}: a whole number is expected")
    return value
