"""Which function explains which anomaly: each registers itself where it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from harness.judge.explain.scene import Event, Scene
from harness.judge.explain.whereabouts import Whereabouts
from harness.reconcile.findings import Occurrence

Explain: TypeAlias = Callable[[Scene, Occurrence, Whereabouts | None], Iterator[Event]]

EXPLANATIONS: Final[dict[str, Explain]] = {}
"""Anomaly → what explains one occurrence; one without an entry gets the general explanation."""


def explains(*anomalies: str) -> Callable[[Explain], Explain]:
    """Register the function as the explanation of these anomalies."""

    def register(function: Explain) -> Explain:
        EXPLANATIONS.update(dict.fromkeys(anomalies, function))
        return function

    return register
