"""JSON documents: read whole or not at all, and as dataclasses whose fields have their types."""

from __future__ import annotations

import json
import os
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from harness.errors import RunDirError

T = TypeVar("T")

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_NAMES |= {types.NoneType: "null", list: "a list", dict: "an object"}


def typed(kind: type[T], document: object, where: str = "") -> T:
    """A dataclass from a document.

    Raises ValueError that names the field, what stands there and what was expected.
    """
    if not isinstance(document, Mapping):
        raise _wrong(where, document, "an object")
    hints = _hints(cast(Any, kind))
    prefix = f"{where}." if where else ""
    unknown = [name for name in document if name not in hints]
    if unknown:
        raise ValueError(f"{prefix}{unknown[0]}: unknown field; known are {', '.join(hints)}")
    given: dict[str, Any] = {}
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name in document:
            place = f"{prefix}{each.name}"
            given[each.name] = _value(hints[each.name], document[each.name], place)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{prefix}{each.name}: is missing")
    return kind(**given)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, value: object, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in arguments:
            return None
        return _value(next(each for each in arguments if each is not types.NoneType), value, where)
    if origin is list:
        if not isinstance(value, list):
            raise _wrong(where, value, "a list")
        return [_value(arguments[0], each, f"{where}[{n}]") for n, each in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, value, "an object")
        return {key: _value(arguments[1], each, f"{where}.{key}") for key, each in value.items()}
    if is_dataclass(hint):
        return typed(hint, value, where)  # type: ignore[arg-type]
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise _wrong(where, value, _NAMES.get(hint, str(hint)))
    return value


def _wrong(where: str, value: object, expected: str) -> ValueError:
    found = _NAMES.get(type(value), type(value).__name__)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        found = repr(value)[:60]
    return ValueError(f"{where or 'the document'}: {found}; expected {expected}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def parse_json(data: bytes) -> Any:
    """JSON as the standard has it: no NaN, each key once, UTF-8.

    Raises ValueError or RecursionError for anything else.
    """
    return _DECODER.decode(data.decode())


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document so that a reader sees the old one or the new one, never a part."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """As `write_json`, for text that is laid out already."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object. Raises RunDirError naming file and line."""
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
    return document


def whole(value: object) -> int:
    """A whole number that a column can hold. Raises ValueError for anything else."""
    if type(value) is not int or abs(value) >= 1 << 62:
        raise ValueError(f"{value!r} stands where a whole number is expected")
    return value
