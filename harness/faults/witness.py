"""A witness of a cut link: does a request through it get an answer, and does the broker live?

The proxy's own word that it cuts a link would be no evidence. So while the link is cut one
request goes through it and one past it, both to the same broker.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.brokers import LocalCluster
from harness.brokers.state import read_state
from harness.brokers.wire import ask


@dataclass(frozen=True, slots=True)
class Testimony:
    """What came back within the time asked for."""

    through_link: bool
    past_link: bool


def witness(cluster: LocalCluster, broker: int, listener: str, hold_s: float) -> Testimony:
    """Ask a broker through a link and past it, and wait `hold_s` for both answers.

    Takes `hold_s` when one of the two gets none, less otherwise.
    """
    ports = read_state(cluster.directory).ports[broker]

    async def both() -> Testimony:
        through, past = await asyncio.gather(
            ask(ports.advertised(listener), hold_s), ask(ports.direct, hold_s)
        )
        return Testimony(through is not None, past is not None)

    return asyncio.run(both())
