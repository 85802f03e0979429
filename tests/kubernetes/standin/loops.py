"""Controllers' loops: reconcile after a change of what they watch, and at an interval."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException

from tests.kubernetes.standin.api_server import ApiError, ApiServer, Kind
from tests.kubernetes.standin.log import say_failure

RESYNC_S: Final = 20.0
"""A reconciliation without any change (Strimzi's own default is 120 s)."""
RETRY_S: Final = 1.0
Watched = tuple[Kind, Mapping[str, str] | None]


@dataclass(slots=True)
class Loop:
    """One controller: what it does, and the changes that call for it."""

    name: str
    reconcile: Callable[[], None]
    watched: tuple[Watched, ...]
    changed: threading.Event = field(default_factory=threading.Event)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. An error is written down, and the next reconciliation tries again."""
        while not stop.is_set():
            self.changed.clear()
            try:
                self.reconcile()
            except (ApiError, KafkaException, OSError, KeyError, ValueError) as error:
                say_failure(self.name, error)
                stop.wait(RETRY_S)
                continue
            self.changed.wait(RESYNC_S)


def run_loops(api: ApiServer, loops: list[Loop], stop: threading.Event) -> None:
    """Run all of them until `stop`, one watch for each kind that any of them watches."""
    wanted: dict[str, tuple[Watched, list[Loop]]] = {}
    for loop in loops:
        for kind, selector in loop.watched:
            key = f"{kind.plural} {selector}"
            wanted.setdefault(key, ((kind, selector), []))[1].append(loop)
    for watched, interested in wanted.values():
        threading.Thread(target=_watch, args=(api, watched, interested, stop), daemon=True).start()
    for loop in loops:
        threading.Thread(target=loop.run, args=(stop,), daemon=True, name=loop.name).start()
    stop.wait()


def _watch(api: ApiServer, watched: Watched, loops: list[Loop], stop: threading.Event) -> None:
    kind, selector = watched
    while not stop.is_set():
        try:
            for _ in api.watch(kind, selector):
                for loop in loops:
                    loop.changed.set()
        except (ApiError, OSError, ValueError) as error:
            say_failure(f"watch of {kind.plural}", error)
            stop.wait(RETRY_S)
