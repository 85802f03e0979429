"""Pods of Kafka nodes that end or start again, whoever made them: each becomes an event.

Whose doing it was is not decided here. The evidence of a fault names the uid of the pod that it
hit; judging compares the two (harness/judge/disturbances.py).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Final

from harness.brokers.strimzi.pods import PodState, PodWatch
from harness.errors import ClusterError
from harness.rundir.events import PodEvent

SOURCE: Final = "observer"
_WATCH_S: Final = 2.0
_AGAIN_S: Final = 2.0
logger = logging.getLogger(__name__)


class RestartWatch:
    """A thread that watches pods from its start to `end`."""

    def __init__(self, watch: Callable[[], PodWatch], append: Callable[[PodEvent], None]) -> None:
        """watch: makes a watch on the pods as they are. Raises ClusterError when it cannot."""
        self._make, self._append = watch, append
        self._watch = watch()
        self._known = dict(self._watch.present)
        self._complained = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pods", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop watching, after a last look: what a broken watch missed shows by uids and counts."""
        self._stop.set()
        self._thread.join(2 * _WATCH_S + 1)
        try:
            self._compare(self._make().present)
        except ClusterError as error:
            logger.warning("the pods were not looked at a last time: %s", error)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for _ in self._watch.changes(_WATCH_S):
                    self._compare(self._watch.present)
                    if self._stop.is_set():
                        return
            except ClusterError as error:
                if not self._complained:
                    logger.warning("pods cannot be watched, and are looked at now and then: %s",
                                   error)  # fmt: skip
                self._complained = True
                if self._stop.wait(_AGAIN_S):
                    return
                with contextlib.suppress(ClusterError):
                    self._watch = self._make()
                    self._compare(self._watch.present)

    def _compare(self, present: dict[str, PodState]) -> None:
        for event in changes_of(self._known, present):
            self._append(event)
        # A pod that is gone stays known by its last state until another one has its name.
        self._known |= present


def changes_of(known: dict[str, PodState], present: dict[str, PodState]) -> list[PodEvent]:
    """What became of the pods that were known, by what is there now. Pure, but for `known`.

    A pod that is gone, or of which only the name is left, has ended; it is reported once.
    """
    found: list[PodEvent] = []
    for name, before in list(known.items()):
        now = present.get(name)
        if now is None or now.uid != before.uid:
            del known[name]
            found.append(
                _event(before, "ended", before.exit_code, before.reason, None if now is None
                       else now.uid)
            )  # fmt: skip
        elif now.restarts > before.restarts:
            found.append(_event(now, "restarted", now.last_exit_code, now.reason, now.uid))
    return found


def _event(
    pod: PodState, phase: str, exit_code: int | None, reason: str | None, uid_after: str | None
) -> PodEvent:
    return PodEvent(
        source=SOURCE,
        phase="ended" if phase == "ended" else "restarted",
        node=pod.node_id,
        pod=pod.name,
        uid=pod.uid,
        uid_after=uid_after,
        exit_code=exit_code,
        reason=reason,
    )
