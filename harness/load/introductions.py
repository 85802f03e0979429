"""Who is there: the workers that have connected to a master, their machines and their clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import gevent
import locust.runners
from locust.runners import MasterRunner

from harness.errors import EnvironmentFailure
from harness.load import messages as m
from harness.load.clock_offset import ROUND_TRIPS, ClockOffset, RoundTrip, clock_offset
from harness.rundir.clock import Clock
from harness.system.machine import machine_id
from harness.version import __version__

ANSWER_S: Final = 10.0
SETTLE_S: Final = 1.0
"""Workers that connect within this time after the last expected one take part too."""
POLL_S: Final = 0.05
HEARTBEATS_MISSED_MAX: Final = 10
"""Locust takes a worker for missing after three heartbeats, of one a second, and ends the test with
the last of them. A busy machine is silent for longer; a process of this machine that ended is seen
at once."""


class Channel:
    """Locust's message channel of a master, with messages of ours."""

    def __init__(self, runner: MasterRunner) -> None:
        self.runner = runner
        locust.runners.HEARTBEAT_LIVENESS = HEARTBEATS_MISSED_MAX

    def listen(self, kind: type[m.LoadMessage], handler: Any) -> None:
        """handler: gets the client's id and the message."""

        def listener(msg: Any, **_: Any) -> None:
            handler(msg.node_id, m.unpack(kind, msg.data))

        self.runner.register_message(kind.NAME, listener)

    def send(self, client_id: str, message: m.LoadMessage) -> None:
        """To one worker; nothing happens where it is gone."""
        self.runner.send_message(message.NAME, m.pack(message), client_id)


class Introductions:
    """What is known of the workers that have connected."""

    def __init__(self, channel: Channel, clock: Clock, stopped: Callable[[], bool]) -> None:
        self.identities: dict[str, m.Identity] = {}
        """client's id → who it is"""
        self._channel = channel
        self._runner = channel.runner
        self._clock = clock
        self._stopped = stopped
        self.who = m.Who(machine_id(), clock.epoch_ns)
        self._trips: dict[str, list[RoundTrip]] = {}
        channel.listen(m.Identity, self._on_identity)
        channel.listen(m.ClockAnswer, self._on_time)

    def gather(self, expected: int, wait_s: float | None, *, at_least: bool = False) -> bool:
        """Await workers; false when the end was asked for meanwhile.

        at_least: take those that come within a second of the last expected one as well.
        Raises EnvironmentFailure when fewer come within `wait_s` (None: no limit).
        """
        begun_us = self._clock.now_us()
        while len(self._runner.clients.ready) < expected:
            if self._stopped():
                return False
            if wait_s is not None and self._clock.now_us() - begun_us > wait_s * 1e6:
                raise EnvironmentFailure(self._too_few(expected, wait_s))
            gevent.sleep(POLL_S)
        if at_least:
            gevent.sleep(SETTLE_S)
        return True

    def _too_few(self, expected: int, wait_s: float) -> str:
        came = sorted(each.id.rpartition("_")[0] for each in self._runner.clients.ready)
        names = f" ({', '.join(came)})" if came else ""
        return (
            f"{len(came)} of the {expected} workers that this run needs came within {wait_s:g} s"
            f"{names}: start the others, ask for fewer, or wait longer with "
            "--expect-workers-max-wait."
        )

    def ask_who(self) -> list[str]:
        """The clients that answered, those with a number of their own in its order."""
        clients = [each.id for each in self._runner.clients.ready]
        self.identities.clear()  # what an earlier process has left is another matter by now
        deadline_us = self._clock.now_us() + int(ANSWER_S * 1e6)
        asked_us = 0
        while missing := [each for each in clients if each not in self.identities]:
            now_us = self._clock.now_us()
            if now_us > deadline_us:
                raise EnvironmentFailure(
                    f"worker {missing[0]} does not answer: is it a worker of this harness? Start "
                    "it with `harness worker`, or with the Locust file of the master."
                )
            if now_us - asked_us > 1_000_000:  # one that has just connected may not listen yet
                asked_us = now_us
                for each in missing:
                    self._channel.send(each, self.who)
            gevent.sleep(POLL_S)
        for each in clients:
            identity = self.identities[each]
            if identity.protocol != m.PROTOCOL or identity.version != __version__:
                raise EnvironmentFailure(
                    f"worker {identity.name} is of harness {identity.version}, and this is "
                    f"{__version__}: use one version."
                )
        return sorted(clients, key=lambda each: (self.identities[each].number, each))

    def _on_identity(self, client_id: str, identity: m.Identity) -> None:
        self.identities[client_id] = identity

    def measure(self, client_id: str) -> ClockOffset | None:
        """How far a worker's clock is ahead; None when it does not answer."""
        trips = self._trips[client_id] = []
        for count in range(1, ROUND_TRIPS + 1):
            asked_us = self._clock.now_us()
            self._channel.send(client_id, m.ClockAsked(asked_us))
            while len(trips) < count and self._clock.now_us() - asked_us < 1_000_000:
                gevent.sleep(0.001)
        return clock_offset(trips) if trips else None

    def _on_time(self, client_id: str, answer: m.ClockAnswer) -> None:
        now_us = self._clock.now_us()
        if client_id in self._trips:
            self._trips[client_id].append(RoundTrip(answer.sent_us, answer.clock_us, now_us))
