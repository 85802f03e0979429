"""Text of others, made fit for a terminal.

What a history, a log or a file's name holds may be anything, also the bytes that move a cursor or
set a window's title. Whoever shows such text passes it through `printable` first.
"""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    """`text` with each character that is not shown replaced by its escape, as Python writes it.

    keep: characters that stay although they are not shown, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )
