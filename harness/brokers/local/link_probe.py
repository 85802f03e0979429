"""A witness of a cut link: does a request through it get an answer, and does the broker live?

The proxy's own word that it cuts a link would be no evidence. So while the link is cut one
request goes through it and one past it, both to the same broker.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.kafka.address import Address
from harness.kafka.wire import ask_view


@dataclass(frozen=True, slots=True)
class LinkProbe:
    """What came back within the time asked for."""

    through_link: bool
    past_link: bool


def witness(
    through_link: Address, past_link: Address, hold_s: float, patience_s: float
) -> LinkProbe:
    """Ask a broker through a link and past it at once, while the link is cut.

    Takes `hold_s`, and longer while the broker does not answer past the link, `patience_s` at most:
    a broker that is slow to answer is not dead. Nothing must come through the link until then.
    """

    async def both() -> LinkProbe:
        async with asyncio.TaskGroup() as asking:
            held = asking.create_task(asyncio.sleep(hold_s))
            through = asking.create_task(ask_view(through_link, 2 * patience_s))
            past = await ask_view(past_link, patience_s)
            await held
            came = through.done() and through.result() is not None
            through.cancel()
        return LinkProbe(came, past is not None)

    return asyncio.run(both())
