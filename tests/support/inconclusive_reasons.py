"""Every reason for which a verdict can be inconclusive, taken from the source: its sentences with
`…` for what is filled in. docs/troubleshooting.md has to have an entry for each.

`python -m tests.support.inconclusive_reasons` prints them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
WORDS_MIN: Final = 3
"""A shorter text is a part of a sentence."""
SAYING: Final = {
    "harness/judge/obstacles.py": (
        "run_obstacles", "profile_obstacles", "_unreadable", "_ledgers", "_awaited",
        "_lost_workers", "_phases", "_generator", "_faults", "_no_effect",
    ),
    "harness/judge/loading.py": ("load_obstacles", "_unsent"),
    "harness/judge/promises.py": ("_control_held",),
    "harness/judge/judge.py": ("_nothing_judged",),
    "harness/judge/thresholds.py": ("_not_known", "_values", "_recovered", "_of_load"),
    "harness/reconcile/blind_spots.py": ("_missed",),
    "harness/rundir/experiment_journal.py": ("troubles",),
    "harness/rundir/proof.py": ("obstacle", "_obstacle"),
}  # fmt: skip
"""Functions whose sentences become reasons."""
ASSIGNED: Final = (
    "harness/read/drain.py", "harness/read/survey.py", "harness/history/transactions.py",
    "harness/history/steps.py", "harness/history/verifiable_assembly.py",
    "harness/history/deleted_topics.py",
)  # fmt: skip
"""Modules in which `reason = …` is a reason."""
NO_REASON: Final = (
    "numbers ",
    "the topic is compacted, which",
    "there are more than",
    "the log files",
)
"""Texts of these places that are none: parts of sentences, and why holes are not checked."""


def template(node: ast.expr | None) -> str:
    """A text with `…` for what is filled in; empty for what is no text."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(
                template(part) if isinstance(part, ast.Constant) else "…" for part in parts
            )
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{template(left) or '…'}{template(right) or '…'}"
        case ast.BoolOp(values=values):
            return template(values[-1])
        case ast.IfExp(body=body):
            return template(body)
    return ""


def outermost(node: ast.AST) -> Iterator[str]:
    """The texts below a node, those that are a part of another text left out."""
    if isinstance(node, ast.expr) and not isinstance(node, ast.BoolOp | ast.IfExp):
        text = template(node)
        if text:
            yield text
            return
    for child in ast.iter_child_nodes(node):
        yield from outermost(child)


def _in_function(function: ast.FunctionDef) -> Iterator[str]:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    for statement in body:
        yield from outermost(statement)


def _in_module(tree: ast.Module, where: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) if name in SAYING.get(where, ()):
                yield from _in_function(node)
            case ast.Call(func=ast.Attribute(attr="cannot_see" | "_give_up"), args=[first, *_]):
                yield from outermost(first)
            case ast.Call(
                func=ast.Attribute(attr="append", value=ast.Attribute(attr="obstacles")),
                args=[first],
            ):
                yield from outermost(first)
            case ast.Return(value=ast.Tuple(elts=[ast.Name(id="INCONCLUSIVE"), second])):
                yield from outermost(second)
            case ast.Assign(targets=[target], value=value) if where in ASSIGNED:
                if getattr(target, "id", getattr(target, "attr", "")) == "reason":
                    yield from outermost(value)


def reasons() -> list[str]:
    """Every reason, once, in the order of the source."""
    found: dict[str, None] = {}
    for path in sorted((ROOT / "harness").rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for text in _in_module(tree, where):
            sentence = " ".join(text.split())
            words = [word for word in sentence.replace("…", " ").split() if word.isalpha()]
            if len(words) >= WORDS_MIN and not sentence.startswith(NO_REASON):
                found[sentence] = None
    return list(found)


if __name__ == "__main__":
    for each in reasons():
        print(each)
