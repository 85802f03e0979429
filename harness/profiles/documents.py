"""Files that a user wrote, read so that every later complaint can name the line.

YAML through PyYAML's own node tree (which knows lines), Java properties through `javaproperties`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError
from harness.profiles.refusal import Refusal, raise_all

BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Located:
    """The content of a YAML document, and the line of each of its keys."""

    path: Path
    content: Any
    lines: dict[tuple[Hashable, ...], int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    """Keys that are stated twice; the content holds the last."""

    def where(self, *keys: Hashable) -> str:
        """`file:line` of the deepest of these nested keys that the file holds."""
        for depth in range(len(keys), -1, -1):
            line = self.lines.get(keys[:depth])
            if line is not None:
                return f"{self.path}:{line}"
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Property:
    """One `key=value` of a Java properties file."""

    key: str
    value: str
    where: str


def read_text(path: Path) -> str:
    """The text of a file. Raises UsageError when it cannot be read or is no UTF-8 text."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise UsageError(f"{path}: larger than {BYTES_MAX // 1024**2} MiB; no settings file.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: no UTF-8 text.") from None


def read_yaml_documents(path: Path) -> list[Located]:
    """Every document of a YAML file that is not empty. Raises UsageError naming the line.

    A key that is stated twice is in the `refusals` of its document.
    """
    text = read_text(path)
    documents: list[Located] = []
    try:
        loader = yaml.SafeLoader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                lines, twice = _lines(node, path)
                content = loader.construct_document(node)
                if content is not None:
                    documents.append(Located(path, content, lines, twice))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{line}: cannot be read as YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read as YAML: {error}.") from None
    return documents


def read_yaml(path: Path) -> Located:
    """The one document of a YAML file. Raises UsageError."""
    documents = read_yaml_documents(path)
    if len(documents) != 1:
        raise UsageError(f"{path}: one YAML document is expected here, found {len(documents)}.")
    raise_all(documents[0].refusals)
    return documents[0]


def read_properties(path: Path) -> tuple[list[Property], list[Refusal]]:
    """A Java properties file in file order, and the keys that it states twice.

    Of those the last value counts, as for Java. Raises UsageError for what is no such file.
    """
    # Every process of a run loads this module, and hardly any reads such a file.
    import javaproperties

    found: dict[str, Property] = {}
    twice: list[Refusal] = []
    line = 1
    text = read_text(path)
    try:
        elements = list(javaproperties.parse(text))
    except ValueError as error:
        raise UsageError(f"{path}: no Java properties: {error}.") from None
    for element in elements:
        if isinstance(element, javaproperties.KeyValue):
            if element.key in found:
                first = found[element.key].where.rpartition(":")[2]
                twice.append(_twice(f"{path}:{line}", element.key, int(first)))
            found[element.key] = Property(element.key, element.value.strip(), f"{path}:{line}")
        line += element.source.count("\n")
    return list(found.values()), twice


def _twice(where: str, key: str, first: int) -> Refusal:
    """A key that a file states twice: whoever reads it would drop the first without a word."""
    return Refusal(
        "stated-twice",
        f"{where}: {key}",
        f"is stated here for the second time, first in line {first}; only the last counts.",
        "Take one of them out.",
    )


def _lines(
    root: yaml.Node | None, file: Path
) -> tuple[dict[tuple[Hashable, ...], int], list[Refusal]]:
    """The line of each key and list item by its path, and the keys that are stated twice.

    A node that an alias repeats is walked once, where its anchor is.
    """
    lines: dict[tuple[Hashable, ...], int] = {}
    twice: list[Refusal] = []
    walked: set[int] = set()
    waiting: list[tuple[yaml.Node | None, tuple[Hashable, ...]]] = [(root, ())]
    while waiting:
        node, path = waiting.pop()
        if node is None or id(node) in walked:
            continue
        walked.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                    continue
                inner = (*path, key.value)
                if inner in lines:
                    origin = f"{file}:{key.start_mark.line + 1}"
                    twice.append(_twice(origin, key.value, lines[inner]))
                lines[inner] = key.start_mark.line + 1
                waiting.append((value, inner))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*path, index)] = item.start_mark.line + 1
                waiting.append((item, (*path, index)))
    return lines, twice
