"""What MkDocs needs beside docs/: the README as first page, and the reference of the library.

A link to a file of the repository that is no page becomes plain text: the site holds no sources.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[2]
REFERENCE: Final = {
    "Runs and judgements": (
        "harness.runs.library", "harness.runs.options", "harness.system.progress",
    ),
    "Verdicts": ("harness.rundir.verdict", "harness.judge.aggregate"),
    "Errors": ("harness.errors",),
    "For extensions": (
        "harness.load.users", "harness.record.codec", "harness.brokers.kind",
        "harness.anomaly_record",
    ),
}  # fmt: skip
"""The modules of the reference: what `import harness` offers, and what extensions build on."""
_OUTSIDE: Final = re.compile(r"\[([^\]]+)\]\((?:\.\./)(?!docs/)[^)]*\)")
_OF_README: Final = re.compile(r"\[([^\]]+)\]\((?!https?://|#|docs/)[^)]*\)")


def reference() -> str:
    """The page that mkdocstrings fills from the docstrings."""
    parts = [
        "# Reference of the library",
        "This page is made from the docstrings. `import harness` offers the functions, options, "
        "verdicts and errors; the last part is for extensions.",
    ]
    for title, modules in REFERENCE.items():
        parts += [
            f"## {title}",
            *(f"::: {each}\n    options:\n      heading_level: 3" for each in modules),
        ]
    return "\n\n".join(parts) + "\n"


def on_config(config: Any) -> Any:
    """Add the pages that mkdocs.yml does not place."""
    placed = str(config["nav"])
    pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    others = [name for name in pages if f"'{name}'" not in placed]
    if others:
        config["nav"].append({"More": others})
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """Add the README and the reference."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = _OF_README.sub(r"\1", readme).replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=first))
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name files of the repository instead of linking to them."""
    return _OUTSIDE.sub(r"\1", markdown)
