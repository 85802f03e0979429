"""A page from a template: one file with its styles and its script inside, all else escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.report import facts, wording
from harness.rundir.clock import now
from harness.system.assets import folder

PAGE_BYTES_MAX: Final = 2_000_000
"""No page is larger: it is sent by mail and kept beside every run."""


def render_page(template: str, **context: Any) -> str:
    """The page as text; pure but for the time at which it was made."""
    templates = folder("reports") / "templates"
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ms": facts.milliseconds,
        "count": lambda value: f"{value:,}",
        "percent": wording.percent,
        "seconds": lambda value: "–" if value is None else f"{value:,.1f}",
        "many": wording.many,
    }
    return environment.get_template(template).render(
        glyphs=facts.GLYPHS,
        written_at=now(),
        css=Markup((templates / "report.css").read_text(encoding="utf-8")),
        js=Markup((templates / "report.js").read_text(encoding="utf-8")),
        **context,
    )


def write_page(path: Path, text: str) -> Path:
    """Write a page, whole or not at all; its path."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path
