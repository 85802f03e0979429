"""Controllers' loops: reconcile after a change of what they watch, and at an interval."""

from __future__ import annotations

import threading
import traceback
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
    settle_s: float = 0.0
    """How long to wait after a change for others that come with it."""
    changed: threading.Event = field(default_factory=threading.Event)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. What the API server or Kafka refuses is said, and tried again."""
        while not stop.is_set():
            self.changed.clear()
            try:
                self.reconcile()
            except (ApiError, KafkaException, OSError) as error:
                say_failure(self.name, error)
                stop.wait(RETRY_S)
                continue
            if self.changed.wait(RESYNC_S):
                stop.wait(self.settle_s)


def run_loops(api: ApiServer, loops: list[Loop], stop: threading.Event) -> bool:
    """Run all of them until `stop`, one watch for each kind that any of them watches.

    Whether they ended as they should: any other error than those of `Loop.run` ends all of them.
    """
    failed = threading.Event()

    def run(loop: Loop) -> None:
        try:
            loop.run(stop)
        except Exception:
            traceback.print_exc()
            failed.set()
            stop.set()

    wanted: dict[str, tuple[Watched, list[Loop]]] = {}
    for loop in loops:
        for kind, selector in loop.watched:
            key = f"{kind.plural} {selector}"
            wanted.setdefault(key, ((kind, selector), []))[1].append(loop)
    for watched, interested in wanted.values():
        threading.Thread(target=_watch, args=(api, watched, interested, stop), daemon=True).start()
    for loop in loops:
        threading.Thread(target=run, args=(loop,), daemon=True, name=loop.name).start()
    stop.wait()
    return not failed.is_set()


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
