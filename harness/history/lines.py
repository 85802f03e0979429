"""Lines of JSON from files, a block at a time, and what becomes of those that are none.

A block of lines is handed to the JSON parser as one document, which costs a third of a call for
each line; only a block that fails is taken apart. Lines are put together with a number between
them, so that two broken lines cannot make a whole one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from harness.history.stream import Stream
from harness.system.printable import printable

LINE_MAX: Final = 1 << 20
_NAMED: Final = 3
_SHOWN: Final = 60
_LOGGED: Final = re.compile(
    rb"(\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[\d.,]*Z?\]? \[?(TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b"
    rb"|SLF4J(\(.\))?: |WARNING: |(OpenJDK|Java HotSpot)\(?[\w() -]* warning: |\tat [\w.$/]+\()"
    rb"[^\x00-\x08\x0a-\x1f\x7f{}]*"
)
"""A line of a Java logger, whole: with its instant and level, without any part of an event. No
fragment of an event looks like it, so that such a line can have damaged none."""


@dataclass(frozen=True, slots=True)
class Where:
    """A line of a file, counted from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{printable(str(self.path))}:{self.line}"


@dataclass(frozen=True, slots=True)
class LineProblem:
    """Why a line is refused: the field, what is there, what was expected."""

    field: str
    found: str
    expected: str

    def __str__(self) -> str:
        what = f"{self.field}: " if self.field else ""
        return f"{what}{self.found}; expected {self.expected}"


@dataclass(slots=True)
class Refusals:
    """Refuses malformed lines: the first one ends it all, or, when lenient, all are counted."""

    lenient: bool = False
    noise: int = 0
    """Lines that a logger wrote: they can be no event, whole or torn."""
    damaged: int = 0
    """Lines that may have said something."""
    examples: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    """Last lines that break off, as a recorder that died leaves them: passed over, and reported."""
    beginnings: list[bytes] = field(default_factory=list)
    """What is there of them."""
    cut: list[str] = field(default_factory=list)
    """Files that say that they have an `end` line, and have none."""

    def refuse(self, where: Where, problem: LineProblem, *, noise: bool = False) -> None:
        """Raises UsageError unless lenient."""
        said = f"{where}: {problem}"
        if not self.lenient:
            raise UsageError(
                f"--history {said}. Mend the line, or give --lenient to leave out lines like it."
            )
        if noise:
            self.noise += 1
        else:
            self.damaged += 1
        if len(self.examples) < _NAMED:
            self.examples.append(said)

    @property
    def count(self) -> int:
        """How many lines were left out."""
        return self.noise + self.damaged


@dataclass(slots=True)
class Block:
    """Consecutive lines of a file; objects[i] is in line numbers[i]."""

    path: Path
    numbers: list[int]
    objects: list[dict[str, Any]]

    def where(self, index: int) -> Where:
        """Where the index-th object is."""
        return Where(self.path, self.numbers[index])


def shown(value: object) -> str:
    """A value as a message shows it: JSON, cut short, and nothing that acts on a terminal."""
    if isinstance(value, bytes):
        text = printable(value[: 4 * _SHOWN].decode(errors="replace"))
    else:
        try:
            text = json.dumps(value)
        except (RecursionError, ValueError):
            text = f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class Source:
    """One file of a history."""

    def __init__(self, path: Path, refusals: Refusals) -> None:
        self.path = path
        self.refusals = refusals
        self.stream = Stream(path)

    def blocks(self) -> Iterator[Block]:
        """Its objects, a block at a time. Raises UsageError for what cannot be read or is none."""
        number = 1
        for lines, last in self._lines():
            if last and _is_torn(lines[-1]):
                self.refusals.torn.append(str(Where(self.path, number)))
                self.refusals.beginnings.append(lines[-1])
                continue
            block = self._decoded(number, lines)
            number += len(lines)
            if block.objects:
                yield block
        if self.stream.broken:
            problem = LineProblem("", self.stream.broken, "the whole of a file that gzip wrote")
            self.refusals.refuse(Where(self.path, number), problem)

    def _lines(self) -> Iterator[tuple[list[bytes], bool]]:
        """Lines, and whether this is the last one and has no line break."""
        rest = b""
        skipping = False
        for data in self.stream.blocks():
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            if skipping and lines:
                lines[0] = _Overlong()
                skipping = False
            if skipping or len(rest) > LINE_MAX:
                skipping, rest = True, b""
            if lines:
                yield lines, False
        if skipping:
            yield [_Overlong()], False
        elif rest:
            yield [rest], True

    def _decoded(self, first: int, lines: list[bytes]) -> Block:
        numbers = list(range(first, first + len(lines)))
        objects = _together(lines)
        if objects is not None:
            return Block(self.path, numbers, objects)
        kept: list[int] = []
        objects = []
        for number, whole in zip(numbers, lines, strict=True):
            line = whole if isinstance(whole, _Overlong) else whole.strip()
            if not line and not isinstance(whole, _Overlong):
                continue
            value = _object(line)
            if isinstance(value, LineProblem):
                noise = _LOGGED.fullmatch(whole.rstrip()) is not None
                self.refusals.refuse(Where(self.path, number), value, noise=noise)
                continue
            kept.append(number)
            objects.append(value)
        return Block(self.path, kept, objects)


class _Twice(ValueError):
    """A key occurs twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which each key occurs once. Raises _Twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


def _no_number(word: str) -> Any:
    """NaN and Infinity, which Python would read and JSON does not have."""
    raise ValueError(f"{word} is no JSON")


_FAST: Final = json.JSONDecoder(parse_constant=_no_number)
_CAREFUL: Final = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_once)


class _Overlong(bytes):
    """Stands for a line that is too long to be one of a history."""


def _is_torn(line: bytes) -> bool:
    """Whether a last line is the beginning of an object, and no more than that."""
    begun = line.startswith(b"{") and b"\0" not in line and not line.rstrip().endswith(b"}")
    return begun and isinstance(_object(line), LineProblem)


def _together(lines: list[bytes]) -> list[dict[str, Any]] | None:
    """The objects of lines that are all one; None when any is not."""
    data = b"[" + b",0,".join(lines) + b"]"
    try:
        text = data.decode()
        values = _FAST.decode(text)
        objects, between = values[::2], values[1::2]
        alternating = len(values) == 2 * len(lines) - 1 and between.count(0) == len(between)
        if not alternating or set(map(type, objects)) != {dict}:
            return None
        # Each key comes before a colon: where there are no more colons than keys that were
        # found, no key occurred twice.
        if text.count(":") != sum(map(len, objects)):
            objects = _CAREFUL.decode(text)[::2]
    except (ValueError, RecursionError):
        return None
    return list(objects)


def _object(line: bytes) -> dict[str, Any] | LineProblem:
    expected = "one JSON object a line"
    if isinstance(line, _Overlong):
        return LineProblem("", f"a line of more than {LINE_MAX} bytes", expected)
    try:
        value = _CAREFUL.decode(line.decode())
    except _Twice as twice:
        name = printable(str(twice))[:_SHOWN]
        return LineProblem(name, "occurs twice in the line", "each field once")
    except UnicodeDecodeError:
        return LineProblem("", f"{shown(line)} is not UTF-8", expected)
    except RecursionError:
        return LineProblem("", f"{shown(line)} is nested too deeply", expected)
    except ValueError:
        return LineProblem("", f"{shown(line)} is no JSON", expected)
    return value if isinstance(value, dict) else LineProblem("", shown(value), expected)
