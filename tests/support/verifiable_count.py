"""A count of what VerifiableProducers and VerifiableConsumers printed, with plain sets.

Made to be compared with the harness, so it uses nothing of it, and says each rule as literally as
it can.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


def prefix_of(value: str) -> str | None:
    """`0` of `0.17`, the empty text of `17`; None for what no producer prints."""
    head, dot, number = value.rpartition(".")
    if not number.isdigit() or (dot and not head):
        return None
    return head


def count(files: Iterable[Path]) -> dict[str, int]:
    """Outcomes and anomalies by name; those that are 0 as well."""
    acked: dict[str, tuple[str, int, int]] = {}
    errored: set[str] = set()
    delivered: set[tuple[str, int, int, str]] = set()
    for path in files:
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["name"] == "producer_send_success":
                acked[event["value"]] = (event["topic"], event["partition"], event["offset"])
            elif event["name"] == "producer_send_error":
                errored.add(event["value"])
            elif event["name"] == "record_data":
                place = event["topic"], event["partition"], event["offset"]
                delivered.add((*place, event["value"]))
    highest: dict[tuple[str, int], int] = {}
    copies: defaultdict[str, set[tuple[str, int, int]]] = defaultdict(set)
    for topic, partition, offset, value in delivered:
        highest[topic, partition] = max(offset, highest.get((topic, partition), -1))
        copies[value].add((topic, partition, offset))
    prefixes = {prefix_of(value) for value in (*acked, *errored)}
    ours = {value for value in copies if prefix_of(value) in prefixes}
    absent = [place for value, place in acked.items() if value not in copies]
    beyond = [each for each in absent if each[2] > highest.get(each[:2], -1)]
    unprinted = ours - acked.keys() - errored
    return {
        "attempted": len(acked) + len(errored) + len(unprinted),
        "acked": len(acked),
        "unknown": len(errored) + len(unprinted),
        "unknown_present": len(unprinted) + len(errored & ours),
        "read": len({each[:3] for each in delivered}),
        "foreign": sum(len(places) for value, places in copies.items() if value not in ours),
        "lost": len(absent) - len(beyond),
        "unseen": len(beyond),
        "duplicate": sum(len(copies[value]) - 1 for value in ours),
    }
