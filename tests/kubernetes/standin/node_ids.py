"""Which node ids a pool's nodes have.

An id belongs to the whole cluster and stays with its node. A new node takes the first free id that
the pool's annotation `strimzi.io/next-node-ids` names, and the lowest free one where it names none
(Strimzi's documentation, "Managing node pool IDs"; its class `NodeIdAssignor`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.kubernetes.standin.custom_resources import InvalidResource, NodePool
from tests.kubernetes.standin.names import NEXT_NODE_IDS, REMOVE_NODE_IDS


def assign(pools: Sequence[NodePool]) -> dict[str, tuple[int, ...]]:
    """Pool → its ids, ascending.

    Raises InvalidResource for an annotation that is no list of ids and ranges.
    """
    kept = {pool.name: _kept(pool) for pool in pools}
    used = {each for ids in kept.values() for each in ids}
    assigned = {}
    for pool in pools:
        ids = list(kept[pool.name])
        wanted = parse_ranges(pool.annotations.get(NEXT_NODE_IDS, "[]"))
        while len(ids) < pool.replicas:
            free = next((each for each in wanted if each not in used), None)
            if free is None:
                free = next(each for each in range(len(used) + 1) if each not in used)
            used.add(free)
            ids.append(free)
        assigned[pool.name] = tuple(sorted(ids))
    return assigned


def _kept(pool: NodePool) -> list[int]:
    """The ids that stay when a pool has fewer replicas than before: the highest go first."""
    ids = sorted(pool.node_ids)
    for each in parse_ranges(pool.annotations.get(REMOVE_NODE_IDS, "[]")):
        if len(ids) > pool.replicas and each in ids:
            ids.remove(each)
    return ids[: pool.replicas]


def parse_ranges(text: str) -> list[int]:
    """`[0, 10-12]` → [0, 10, 11, 12]; a range may run downwards."""
    ids: list[int] = []
    inner = text.strip().removeprefix("[").removesuffix("]")
    try:
        for part in filter(None, (each.strip() for each in inner.split(","))):
            first, _, last = part.partition("-")
            start, end = int(first), int(last or first)
            step = 1 if end >= start else -1
            ids += range(start, end + step, step)
    except ValueError as error:
        raise InvalidResource(f"{text}: node ids are written as [0, 1, 10-19]") from error
    return ids
