"""Which worker runs which users: each always the same ones, whoever joins or leaves.

Locust's own dispatcher spreads users evenly, and moves them when the number of workers changes. A
producer that moved would begin its schedule anew, or be there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from harness.load.shares import Pair

Counts: TypeAlias = dict[str, int]
"""user class → how many"""


def user_counts(profiles: Sequence[str], pairs: Sequence[Pair]) -> Counts:
    """How many users of each class a worker with these pairs runs."""
    return {name: sum(profile == name for profile, _ in pairs) for name in profiles}


class FixedDispatcher(Iterator[dict[str, Counts]]):
    """What `environment.dispatcher_class` makes for a master; see locust.dispatch."""

    dispatch_in_progress = True
    """While it is true, Locust does not dispatch again for a worker that joins or leaves."""

    def __init__(self, users: Callable[[], Mapping[str, Counts]]) -> None:
        """users: gives worker's id → its users, once Locust has fired its test_start."""
        self._users = users
        self._due = False

    def new_dispatch(self, *_: Any, **__: Any) -> None:
        """The whole table is due once more; for a worker that runs it nothing changes."""
        self._due = True

    def add_worker(self, worker_node: Any) -> None:
        """One that joins late has no part in this run."""

    def remove_worker(self, worker_node: Any) -> None:
        """What one that leaves ran belongs to no worker."""

    def __next__(self) -> dict[str, Counts]:
        if not self._due:
            raise StopIteration
        self._due = False
        users = {worker: dict(counts) for worker, counts in self._users().items()}
        # Where a run could not be prepared there is no user; Locust expects one.
        return users or {"": {}}
