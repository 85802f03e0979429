"""Lines of JSON from files, a block at a time, and what becomes of those that are none.

A block of lines is handed to the JSON parser as one document, which costs a third of a call for
each line; only a block that fails is taken apart. Lines are put together with a number between
them, so that two broken lines cannot make a whole one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError

BLOCK_BYTES: Final = 1 << 22
_NAMED: Final = 3
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Where:
    """A line of a file, counted from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line is refused: the field, what stands there, what was expected."""

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
    """Lines that can be no event, whole or torn: another program's output."""
    damaged: int = 0
    """Lines that may have told of something."""
    examples: list[str] = field(default_factory=list)

    def refuse(self, where: Where, problem: Problem, *, noise: bool = False) -> None:
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
    """Consecutive lines of a file; objects[i] stands in line numbers[i]."""

    path: Path
    numbers: list[int]
    objects: list[dict[str, Any]]

    def where(self, index: int) -> Where:
        """Where the index-th object stands."""
        return Where(self.path, self.numbers[index])


def shown(value: object) -> str:
    """A value as a message shows it: JSON, cut short."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class Source:
    """One file of a history."""

    def __init__(self, path: Path, refusals: Refusals) -> None:
        self.path = path
        self.refusals = refusals
        self.digest = hashlib.blake2s(digest_size=4)
        self.bytes_read = 0

    def blocks(self) -> Iterator[Block]:
        """Its objects, a block at a time. Raises UsageError for what cannot be read or is none."""
        number = 1
        for lines in self._lines():
            block = self._decoded(number, lines)
            number += len(lines)
            if block.objects:
                yield block

    def _lines(self) -> Iterator[list[bytes]]:
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from None
        with file:
            rest = b""
            while True:
                try:
                    data = file.read(BLOCK_BYTES)
                except OSError as error:
                    raise self._unreadable(error) from None
                if not data:
                    break
                self.digest.update(data)
                self.bytes_read += len(data)
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                if lines:
                    yield lines
            if rest:
                yield [rest]

    def _unreadable(self, error: OSError) -> UsageError:
        return UsageError(
            f"--history {self.path}: cannot be read ({error.strerror}). A file with one JSON "
            "object a line is expected."
        )

    def _decoded(self, first: int, lines: list[bytes]) -> Block:
        numbers = list(range(first, first + len(lines)))
        objects = _together(lines)
        if objects is not None:
            return Block(self.path, numbers, objects)
        kept: list[int] = []
        objects = []
        for number, line in zip(numbers, lines, strict=True):
            line = line.strip()
            if not line:
                continue
            value = _object(line)
            if isinstance(value, Problem):
                # An event that was torn still begins or ends as one.
                noise = not (line.startswith(b"{") or line.endswith(b"}"))
                self.refusals.refuse(Where(self.path, number), value, noise=noise)
                continue
            kept.append(number)
            objects.append(value)
        return Block(self.path, kept, objects)


def _together(lines: list[bytes]) -> list[dict[str, Any]] | None:
    """The objects of lines that are all one; None when any is not."""
    try:
        values = json.loads(b"[" + b",0,".join(lines) + b"]")
    except (ValueError, RecursionError):
        return None
    objects, between = values[::2], values[1::2]
    alternating = len(values) == 2 * len(lines) - 1 and between.count(0) == len(between)
    return objects if alternating and set(map(type, objects)) == {dict} else None


def _object(line: bytes) -> dict[str, Any] | Problem:
    expected = "one JSON object a line"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return Problem("", f"{shown(line)} is no JSON", expected)
    return value if isinstance(value, dict) else Problem("", shown(value), expected)
