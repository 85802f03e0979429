"""An interrupt at each line of a cluster's start: nothing is left, wherever it comes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from harness.brokers import LocalCluster
from harness.brokers.local import cluster as local
from harness.brokers.local import launch
from harness.brokers.local.state import directories
from harness.errors import Interrupted

pytestmark = pytest.mark.cluster

FILES = {launch.__file__, local.__file__}
NAME = f"interrupted-{os.getpid()}"
"""Clusters of other tests of this process bear its number too, after `run-`."""


def own_directories() -> list[Path]:
    return [each for each in directories() if each.name == NAME]


class InterruptAt:
    """Raises SIGINT at the `wanted`-th line that runs from the first one with a directory on."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.lines = 0
        self.place = ""

    def __call__(self, frame: FrameType, *_: object) -> Any:
        return self.line if frame.f_code.co_filename in FILES else None

    def line(self, frame: FrameType, event: str, _: object) -> Any:
        if event in ("line", "return") and (self.lines or own_directories()):
            self.lines += 1
            if self.lines == self.wanted:
                sys.settrace(None)
                self.place = f"{frame.f_code.co_name}, line {frame.f_lineno}"
                signal.raise_signal(signal.SIGINT)
        return self.line


def interrupted_at(number: int) -> str:
    """Where the interrupt came."""

    def handle(*_: object) -> None:
        raise Interrupted("interrupted")

    before = signal.signal(signal.SIGINT, handle)
    interrupt = InterruptAt(number)
    sys.settrace(interrupt)
    try:
        LocalCluster.start(NAME)
    except Interrupted:
        return interrupt.place
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGINT, before)
    raise AssertionError("the cluster started before the interrupt came")


def test_an_interrupt_at_any_line_of_a_start_leaves_no_directory_and_no_lock() -> None:
    places: list[str] = []
    while not any(place.startswith("_wait_started") for place in places):
        begun = time.monotonic()
        places.append(interrupted_at(len(places) + 1))
        assert own_directories() == [], places[-1]
        assert time.monotonic() - begun < 10, places[-1]
        open_files = [each.resolve() for each in Path("/dev/fd").iterdir()]
        assert not [each for each in open_files if NAME in str(each)], places[-1]
    assert len(places) > 30
