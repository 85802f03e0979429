"""Under what a bench was made: what two benches must have in common to be compared."""

from __future__ import annotations

import platform
from typing import Final

import confluent_kafka

from harness.system.machine import hardware
from harness.version import __version__

_WORDS: Final = {"cpu": "processor"}


def machine() -> dict[str, str]:
    """Processor, cores and memory."""
    return {_WORDS.get(key, key): text for key, text in hardware().items()}


def versions(kafka: str | None) -> dict[str, str]:
    """The versions that a figure depends on. kafka: None where no broker took part."""
    return {
        "harness": __version__,
        **({} if kafka is None else {"kafka": kafka}),
        "python": platform.python_version(),
        "librdkafka": confluent_kafka.libversion()[0],
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
