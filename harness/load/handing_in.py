"""A worker hands in its partial run directory, chunk by chunk, a few of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import gevent
from gevent.event import Event

from harness.load import messages as m
from harness.rundir.partial import Outgoing

UNDER_WAY_MAX: Final = 4
"""Chunks that the master has not confirmed: with their size this bounds the memory of both."""
PATIENCE_S: Final = 60.0
"""A master that confirms nothing for so long is taken to be gone."""


class _Delivery:
    """One partial directory on its way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.moved = Event()
        """Something arrived there, or all of it."""
        self.error: str | None = None
        self.over = False


class HandingIn:
    """Sends partial directories by `send`, and takes the master's answers."""

    def __init__(self, send: Callable[[m.LoadMessage], None]) -> None:
        self._send = send
        self._deliveries: dict[tuple[str, int], _Delivery] = {}

    def begin(self, folder: Path, run_id: str, first: int, done: Callable[[str], None]) -> None:
        """Send the files of `folder`. done: gets why it failed, or an empty text."""
        delivery = self._deliveries[run_id, first] = _Delivery()

        def work() -> None:
            try:
                self._deliver(delivery, folder, run_id, first)
            except Exception as error:  # whatever it is, `done` has to be called
                delivery.error = f"{type(error).__name__}: {error}"
            del self._deliveries[run_id, first]
            done(delivery.error or "")

        gevent.spawn(work)

    def _deliver(self, delivery: _Delivery, folder: Path, run_id: str, first: int) -> None:
        outgoing = Outgoing(folder, {})
        for part in outgoing.parts():
            while delivery.under_way >= UNDER_WAY_MAX and delivery.error is None:
                self._await(delivery)
            if delivery.error is not None:
                return
            delivery.under_way += 1
            self._send(
                m.Chunk(run_id, first, part.path, part.offset, part.size, part.crc, part.data)
            )
            gevent.sleep(0)
        self._send(m.Complete(run_id, first, outgoing.sent))
        while not delivery.over and delivery.error is None:
            self._await(delivery)

    def _await(self, delivery: _Delivery) -> None:
        delivery.moved.clear()
        if not delivery.moved.wait(PATIENCE_S):
            delivery.error = f"the master has confirmed nothing for {PATIENCE_S:g} s"

    def on_received(self, received: m.Received) -> None:
        """The master has a chunk, or wants no more."""
        delivery = self._deliveries.get((received.run_id, received.first))
        if delivery is not None:
            delivery.under_way -= 1
            delivery.error = received.error or delivery.error
            delivery.moved.set()

    def on_merged(self, merged: m.Merged) -> None:
        """The master has everything, or cannot use it."""
        delivery = self._deliveries.get((merged.run_id, merged.first))
        if delivery is not None:
            delivery.over = True
            delivery.error = merged.error or delivery.error
            delivery.moved.set()
