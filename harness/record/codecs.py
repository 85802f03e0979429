"""The codecs by their names in run.json. A new one is a module beside these and a line here."""

from __future__ import annotations

from typing import Final

from harness.record.binary import BinaryCodec
from harness.record.codec import Codec
from harness.record.json_codec import JsonCodec

BINARY: Final[Codec] = BinaryCodec()
CODECS: Final[dict[str, Codec]] = {codec.name: codec for codec in (BINARY, JsonCodec())}


def codec_named(name: str) -> Codec:
    """The codec of a run's `load.codec`. Raises ValueError for a name that is none."""
    try:
        return CODECS[name]
    except KeyError:
        raise ValueError(f"{name!r} is no codec; known are {', '.join(CODECS)}") from None
