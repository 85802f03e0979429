"""The order of a story's events: by time, and each event without a time where it belongs."""

from __future__ import annotations

from collections.abc import Iterable

from harness.judge.explain.scene import Event

EVENTS_MAX = 14


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events by time; one without a time follows the one that it was given after.

    What is so at the end, and has no time, comes last.
    """
    groups: list[list[Event]] = [[]]
    closing: list[Event] = []
    for event in events:
        if event.at_us is not None:
            groups.append([event])
        elif event.closing:
            closing.append(event)
        else:
            groups[-1].append(event)
    timed = sorted(groups[1:], key=lambda group: group[0].at_us or 0)
    return [*groups[0], *(event for group in timed for event in group), *closing]


def shortened(events: list[Event]) -> list[Event]:
    """At most so many events, and each that proves the anomaly: what is left out is counted."""
    if len(events) <= EVENTS_MAX:
        return events
    kept = [index for index, event in enumerate(events) if event.proves]
    half = max(EVENTS_MAX - len(kept), 0) // 2
    others = [index for index, event in enumerate(events) if not event.proves]
    chosen = {*kept, *others[:half], *others[len(others) - half :]}
    shown: list[Event] = []
    left_out = 0
    for index, event in enumerate(events):
        if index not in chosen:
            left_out += 1
            continue
        if left_out:
            shown.append(_left_out(left_out))
            left_out = 0
        shown.append(event)
    return [*shown, _left_out(left_out)] if left_out else shown


def _left_out(count: int) -> Event:
    return Event("left_out", f"({count} further event{'' if count == 1 else 's'} between)")
