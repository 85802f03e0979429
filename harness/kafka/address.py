"""Where one broker is reached."""

from __future__ import annotations

Address = tuple[str, int]
"""(host, port)"""
