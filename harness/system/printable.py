"""Text of others, made fit for a terminal.

What a history, a log or a file's name holds may be anything, also the bytes that move a cursor or
set a window's title. Whoever shows such text passes it through `printable` first.
"""

from __future__ import annotations

import unicodedata


def printable(text: str, *, keep: str = "") -> str:
    """`text` with each control character replaced by its escape, as Python writes it.

    keep: control characters that stay, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        each if _is_shown(each) or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"
