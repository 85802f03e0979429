"""Our own format: one event a line, read into columns.

A block's lines are sorted by type and read column by column; a block in which anything is amiss is
looked at line by line to say what.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from operator import itemgetter
from types import NoneType
from typing import Any, Final, TypeAlias

import numpy as np

from harness.arrays import I64
from harness.history.event_tables import INTACT, DrainClaim, History
from harness.history.events import (
    ANSWERS,
    MILLISECONDS,
    NAME_MAX,
    TYPES,
    Field,
    is_name,
    problem_of,
)
from harness.history.lines import Block, LineProblem, Refusals, shown
from harness.rundir.columns import ACKED, ACKED_NO_OFFSET
from harness.rundir.member_journal import Step
from harness.system.printable import printable

Columns: TypeAlias = dict[str, I64]
_NOT_READ: Final = frozenset(("type", "note"))


class NdjsonReader:
    """Takes the blocks of all files of our own format into a History."""

    def __init__(self, history: History, refusals: Refusals) -> None:
        self.history = history
        self.refusals = refusals
        self._topics: dict[str, int] = {name: i for i, name in enumerate(history.topics)}
        self._add: Mapping[str, Callable[[Columns, Block, list[int]], None]] = {
            "history": self._history,
            "attempt": self._attempts,
            "outcome": self._outcomes,
            "observation": self._reads,
            "transaction": self._steps,
            "drain": self._drains,
            "topic": self._topic_lines,
            "reading": self._readings,
            "offsets": self._watched,
            "member": self._members,
            "assignment": self._members,
            "processing": self._members,
            "commit": self._members,
            "acknowledgement": self._acknowledgements,
            "archived": self._archived,
            "group_offset": self._group_offsets,
            "group_reset": self._group_resets,
        }
        self._lines: defaultdict[int, int] = defaultdict(int)
        """file → how many events of it were read"""
        self._ends: dict[int, int] = {}
        """file → how many of its events stand up to its end line"""
        self._promised: set[int] = set()
        """Files that say that they have an end line"""

    def take(self, block: Block, file: int) -> None:
        """Add a block. Raises UsageError for a malformed line unless those are left out."""
        self._before = self.history.lines
        self.history.lines += len(block.objects)
        parsed = self._parsed(block)
        if parsed is None:
            good = [i for i in range(len(block.objects)) if self._is_good(block, i)]
            block = Block(
                block.path, [block.numbers[i] for i in good], [block.objects[i] for i in good]
            )
            parsed = self._parsed(block)
            assert parsed is not None, "a line passed by itself, and not with others"
        self._file = file
        self._count(parsed, block)
        for name, (columns, indices) in parsed.items():
            if name in self._add:
                self._add[name](columns, block, indices)

    def _count(self, parsed: Mapping[str, tuple[Columns, list[int]]], block: Block) -> None:
        """Compare the lines with what an end line says of them."""
        file, before = self._file, self._lines[self._file]
        self._lines[file] += len(block.objects)
        if "history" in parsed and parsed["history"][0]["ends"].any():
            self._promised.add(file)
        columns, indices = parsed.get("end", ({}, []))
        for row, index in enumerate(indices):
            said, there = int(columns["lines"][row]), before + index
            if file in self._ends:
                problem = LineProblem("type", "a second end line", "one end line, the last line")
                self.refusals.refuse(block.where(index), problem)
            elif said != there:
                found = f"{said}, and {there} lines stand before it"
                problem = LineProblem("lines", found, "as many lines as were written")
                self.refusals.refuse(block.where(index), problem)
            self._ends.setdefault(file, there + 1)
        if file in self._ends and self._lines[file] > self._ends[file]:
            problem = LineProblem("", "comes after the end line", "an end line as the last one")
            self.refusals.refuse(block.where(len(block.objects) - 1), problem)

    def finish(self) -> None:
        """Everything was read."""
        for file in sorted(self._promised - self._ends.keys()):
            self.refusals.cut.append(printable(str(self.history.files[file])))

    def _is_good(self, block: Block, index: int) -> bool:
        problem = problem_of(block.objects[index])
        if problem is not None:
            self.refusals.refuse(block.where(index), problem)
        return problem is None

    # -- columns -------------------------------------------------------------------------

    def _parsed(self, block: Block) -> dict[str, tuple[Columns, list[int]]] | None:
        """type → columns, and its lines in the block; None when any line is malformed."""
        by_type: defaultdict[Any, list[int]] = defaultdict(list)
        try:
            for index, line in enumerate(block.objects):
                by_type[line["type"]].append(index)
        except (KeyError, TypeError):
            return None
        parsed: dict[str, tuple[Columns, list[int]]] = {}
        for name, indices in by_type.items():
            fields = TYPES.get(name) if isinstance(name, str) else None
            if fields is None:
                return None
            lines = block.objects
            if len(by_type) > 1:
                lines = [block.objects[index] for index in indices]
            columns = self._columns(fields, lines)
            if columns is None or not _consistent(name, columns):
                return None
            parsed[name] = columns, indices
        return parsed

    def _columns(self, fields: Mapping[str, Field], lines: list[dict[str, Any]]) -> Columns | None:
        keys: set[str] = set()
        keys.update(*lines)
        if not keys.issubset(fields.keys() | _NOT_READ):
            return None
        columns: Columns = {}
        for name, accepted in fields.items():
            column: I64 | None
            if name not in keys:
                if accepted.required:
                    return None
                column = np.broadcast_to(np.int64(accepted.default), (len(lines),))
            else:
                column = self._column(name, accepted, lines)
            if column is None:
                return None
            columns[name] = column
        return columns

    def _column(self, name: str, accepted: Field, lines: list[dict[str, Any]]) -> I64 | None:
        """One field of many lines as numbers; None when any of them does not fit."""
        values: list[Any]
        try:
            values = list(map(itemgetter(name), lines))
        except KeyError:
            values = [line.get(name) for line in lines]
        kinds = set(map(type, values))
        # null says nothing, as a field that is not there.
        partly = NoneType in kinds
        if not partly:
            return self._whole(name, accepted, values, kinds)
        if accepted.required:
            return None
        column = np.full(len(values), accepted.default, dtype=np.int64)
        given = [value for value in values if value is not None]
        if given:
            said = self._whole(name, accepted, given, kinds - {NoneType})
            if said is None:
                return None
            column[[value is not None for value in values]] = said
        return column

    def _whole(self, name: str, accepted: Field, values: list[Any], kinds: set[type]) -> I64 | None:
        """One field of lines that all have it."""
        if kinds != {_TYPE_OF[accepted.kind]}:
            return None
        if accepted.words is not None:
            numbers = [accepted.words.get(value) for value in values]
            return None if None in numbers else np.array(numbers, dtype=np.int64)
        if accepted.kind == "key":
            keys = self.history.keys
            return np.array([keys.setdefault(text, len(keys)) for text in values], dtype=np.int64)
        if accepted.kind in ("text", "remark"):
            return self._texts(name, accepted, values)
        try:
            column = np.array(values, dtype=np.int64)
        except OverflowError:
            return None
        if accepted.kind != "flag" and (int(column.max()) > accepted.most or int(column.min()) < 0):
            return None
        if accepted.kind == "instant" and bool(
            ((column >= MILLISECONDS[0]) & (column <= MILLISECONDS[1])).any()
        ):
            return None
        return column

    def _texts(self, name: str, accepted: Field, values: list[str]) -> I64 | None:
        """Topics and groups as their indexes; other text is not kept, only checked."""
        distinct = set(values)
        if not all(1 <= len(text) <= NAME_MAX for text in distinct):
            return None
        if accepted.kind == "text" and not all(map(is_name, distinct)):
            return None
        if name == "topic_id":
            ids = self.history.topic_ids
            return np.array([ids.setdefault(text, len(ids)) for text in values], dtype=np.int64)
        if name == "group":
            return np.array([self.history.group(value) for value in values], dtype=np.int64)
        if not name.endswith("topic"):
            return np.zeros(len(values), dtype=np.int64)
        for text in distinct - self._topics.keys():
            self._topics[text] = self.history.topic(text)
        return np.array([self._topics[value] for value in values], dtype=np.int64)

    # -- tables ----------------------------------------------------------------------------

    def _source(self, block: Block, indices: list[int]) -> dict[str, Any]:
        numbers = block.numbers
        if len(indices) == len(numbers):
            return {"file": self._file, "line": numbers}
        return {"file": self._file, "line": [numbers[index] for index in indices]}

    def _history(self, columns: Columns, block: Block, indices: list[int]) -> None:  # noqa: ARG002
        stated = int(columns["transaction_timeout_ms"].max())
        if stated >= 0:
            before = self.history.transaction_timeout_ms
            self.history.transaction_timeout_ms = max(stated, before or 0)

    def _attempts(self, columns: Columns, block: Block, indices: list[int]) -> None:
        state = np.where(columns["offset"] >= 0, ACKED, columns["outcome"])
        rows = {**columns, "state": state, **self._source(block, indices)}
        self.history.attempts.add(len(indices), rows)

    def _outcomes(self, columns: Columns, block: Block, indices: list[int]) -> None:
        state = np.where(columns["offset"] >= 0, ACKED, columns["outcome"])
        rows = {**columns, "state": state, **self._source(block, indices)}
        self.history.outcomes.add(len(indices), rows)

    def _reads(self, columns: Columns, block: Block, indices: list[int]) -> None:  # noqa: ARG002
        self.history.reads.add(len(indices), {**columns, "live": columns["set"], "run": 0})

    def _steps(self, columns: Columns, block: Block, indices: list[int]) -> None:
        self.history.steps.add(len(indices), {**columns, **self._source(block, indices)})

    def _drains(self, columns: Columns, block: Block, indices: list[int]) -> None:
        for row, index in enumerate(indices):
            line = block.objects[index]
            key = int(columns["topic"][row]), int(columns["partition"][row])
            claim = DrainClaim(
                complete=line["complete"],
                start=line.get("start"),
                end=line.get("end"),
                last_stable=line.get("last_stable"),
                ended_us=line.get("ended_us"),
                reason=printable(line.get("reason") or ""),
            )
            level = int(columns["isolation"][row])
            of_level = self.history.drains_at.setdefault(level, {})
            problem = self._drain_problem(claim, key, of_level.get(key))
            problem = problem or self._id_problem(
                self.history.ids_of_drains, key[0], int(columns["topic_id"][row]), "drain"
            )
            if problem is None:
                of_level[key] = claim
            else:
                self.refusals.refuse(block.where(index), problem)

    def _drain_problem(
        self, claim: DrainClaim, key: tuple[int, int], before: DrainClaim | None
    ) -> LineProblem | None:
        """Why a drain line contradicts itself or `before`, an earlier one of its level."""
        if claim.end is not None and (claim.start or 0) > claim.end:
            return LineProblem(
                "start",
                f"{claim.start} is above the end {claim.end}",
                "a log that starts at or below its end",
            )
        if before is not None and before != claim:
            where = f"{self.history.topics[key[0]]}-{key[1]}"
            return LineProblem(
                "partition",
                f"another drain line says something else about {where}",
                "one drain line a topic-partition",
            )
        return None

    def _topic_lines(self, columns: Columns, block: Block, indices: list[int]) -> None:
        rows = (columns[name].tolist() for name in ("topic", "compacted", "topic_id"))
        for topic, compacted, identity, index in zip(*rows, indices, strict=True):
            problem = self._id_problem(self.history.ids_of_topics, topic, identity, "topic")
            if problem is not None:
                self.refusals.refuse(block.where(index), problem)
            if compacted < 0:
                continue
            before = self.history.compacted.setdefault(topic, bool(compacted))
            if before != bool(compacted):
                name = self.history.topics[topic]
                found = f"{shown(bool(compacted))}, and another line says {shown(before)} of {name}"
                problem = LineProblem("compacted", found, "one answer for each topic")
                self.refusals.refuse(block.where(index), problem)

    def _id_problem(
        self, said: dict[int, int], topic: int, identity: int, kind: str
    ) -> LineProblem | None:
        """Notes the id that a line says of a topic; why it contradicts an earlier line."""
        if identity < 0 or said.setdefault(topic, identity) == identity:
            return None
        own, before = (shown(list(self.history.topic_ids)[at]) for at in (identity, said[topic]))
        found = f"{own}, and another {kind} line says {before} of {self.history.topics[topic]}"
        return LineProblem("topic_id", found, f"one topic id in the {kind} lines of a topic")

    def _readings(self, columns: Columns, block: Block, indices: list[int]) -> None:  # noqa: ARG002
        names = ("topic", "partition", "start", "isolation", "topic_id")
        rows = (columns[name].tolist() for name in names)
        for topic, partition, start, level, identity in zip(*rows, strict=True):
            if identity >= 0:
                self.history.began_of.append((topic, partition, start, level, identity))
                continue
            began = self.history.began_at.setdefault(level, {})
            began[topic, partition] = min(start, began.get((topic, partition), start))

    def _watched(self, columns: Columns, block: Block, indices: list[int]) -> None:  # noqa: ARG002
        self.history.watched.add(len(indices), columns)

    def _members(self, columns: Columns, block: Block, indices: list[int]) -> None:  # noqa: ARG002
        blank = {"topic": 0, "partition": 0, "offset": -1, "synchronous": 0, "detail": 0}
        order = np.asarray(indices, dtype=np.int64) + self._before
        self.history.members.add(len(indices), {**blank, **columns, "order": order})

    def _acknowledgements(self, columns: Columns, block: Block, indices: list[int]) -> None:
        confirmed = columns["outcome"] == ANSWERS["confirmed"]
        kinds = {"detail": columns["step"], "step": Step.ACKNOWLEDGED, "synchronous": confirmed}
        self._members({**columns, **kinds}, block, indices)

    def _archived(self, columns: Columns, block: Block, indices: list[int]) -> None:  # noqa: ARG002
        names = ("group", "topic", "partition", "offset")
        rows = (columns[name].tolist() for name in names)
        self.history.archived += zip(*rows, strict=True)

    def _group_resets(self, columns: Columns, block: Block, indices: list[int]) -> None:  # noqa: ARG002
        names = ("group", "topic", "partition", "offset", "at_us")
        rows = (columns[name].tolist() for name in names)
        self.history.resets += zip(*rows, strict=True)

    def _group_offsets(self, columns: Columns, block: Block, indices: list[int]) -> None:
        rows = (columns[name].tolist() for name in ("group", "topic", "partition", "offset"))
        for *key, offset, index in zip(*rows, indices, strict=True):
            before = self.history.group_offsets.setdefault(tuple(key), offset)
            if before != offset:
                found = f"{offset}, and another line says {before}"
                self.refusals.refuse(
                    block.where(index),
                    LineProblem(
                        "offset", found, "one group_offset line a group and topic-partition"
                    ),
                )


_TYPE_OF: Final[Mapping[str, type]] = {
    "number": int,
    "instant": int,
    "flag": bool,
    "text": str,
    "remark": str,
    "key": str,
    "word": str,
}


def _consistent(name: str, columns: Columns) -> bool:
    """Whether fields go together: what `problem_of` says of one line, for many."""
    if name in ("attempt", "outcome"):
        placed = (columns["outcome"] == ACKED_NO_OFFSET) & (columns["partition"] >= 0)
        return bool(((columns["offset"] < 0) | placed).all())
    if name == "observation":
        intact = columns["content"] == INTACT
        known = (columns["producer"] >= 0) & (columns["sequence"] >= 0)
        unknown = (columns["producer"] < 0) & (columns["sequence"] < 0)
        unknown &= (columns["sent_topic"] < 0) & (columns["sent_partition"] < 0)
        inputs = (columns["input_topic"] < 0) == (columns["input_offset"] < 0)
        inputs &= (columns["input_partition"] < 0) | (columns["input_topic"] >= 0)
        return bool((np.where(intact, known, unknown) & inputs).all())
    return True
