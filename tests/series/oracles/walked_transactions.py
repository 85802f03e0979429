"""Transactions, step by step: which are committed, torn or lost, what was read too early, and where
the last stable offset stood still.

Written from docs/verification.md (2.5, 4.13 to 4.15) alone.
"""

from __future__ import annotations

from itertools import pairwise

from tests.series.oracles.told import Attempt, Content, Lane
from tests.series.oracles.walked_logs import (
    Log,
    Walk,
    is_proven_absent,
    steps_of,
    transaction_of,
)

SLACK_US = 20_000_000  # the coordinator's scan and a failover, 4.15


def may_be_called(names: list[str]) -> bool:
    """May a commit have been called, as far as the steps say?"""
    uncalled = "unknown" in names and "abort_called" not in names
    return "commit_called" in names or "committed" in names or uncalled


def find_committed(walk: Walk) -> None:
    for attempt in walk.attempts:
        names = steps_of(walk, transaction_of(attempt))
        visible = walk.drained.get(id(attempt)) or walk.live.get(id(attempt))
        if id(attempt) in walk.own_failed:
            visible = None  # it is no record of the transaction
        in_doubt = may_be_called(names) and "aborted" not in names
        if "committed" in names or (in_doubt and visible):
            walk.committed.add(transaction_of(attempt))


def count_transactions(walk: Walk) -> None:
    for transaction in walk.committed:
        absent = [
            not walk.drained.get(id(each)) and is_proven_absent(walk, each)
            for each in walk.attempts
            if transaction_of(each) == transaction and id(each) not in walk.own_failed
        ]
        if absent and all(absent):
            walk.counts["lost_txn"] += 1
        elif any(absent):
            walk.counts["torn_txn"] += 1


def count_precommitted(walk: Walk) -> None:
    for attempt in walk.attempts:
        log = walk.log_of(attempt)
        steps = walk.told.steps.get(transaction_of(attempt), [])
        names = [name for name, _ in steps]
        if log is None or attempt.outcome == "failed" or attempt.transaction is None or not steps:
            continue
        if not may_be_called(names):
            if walk.drained.get(id(attempt)) or walk.live.get(id(attempt)):
                walk.counts["precommitted_read"] += 1
        elif "commit_called" in names and walk.steady:
            called = steps[names.index("commit_called")][1]
            for offset in walk.live.get(id(attempt), []):
                instant = log.instants.get((offset, content_of(attempt)))
                if instant is not None and instant < called:
                    walk.counts["precommitted_read"] += 1
                    break


def content_of(attempt: Attempt) -> Content:
    return attempt.producer, attempt.topic, attempt.partition, attempt.sequence


def count_hung(walk: Walk) -> None:
    """4.15: last stable offsets that stood still below the high watermark."""
    stated = walk.told.timeout_ms
    own = walk.profile.timeout_ms
    sure_us = (stated if stated is not None else max(own, 60_000)) * 1000 + SLACK_US
    doubt_us = (stated if stated is not None else own) * 1000 + SLACK_US
    instants = [at for steps in walk.told.steps.values() for _, at in steps]
    for lane, log in walk.logs.items():
        stood: dict[int, int] = {}
        since: tuple[int, int] | None = None
        latest = -1
        for at, stable, watermark in sorted(walk.told.looks.get(lane, [])):
            if stable < latest:
                walk.blind.add("hung_txn")
            latest = stable
            if stable >= watermark:
                since = None
            elif since is None or since[0] != stable:
                since = (stable, at)
            if since is not None:
                stood[stable] = max(stood.get(stable, 0), at - since[1])
        line = {} if log.refuted else walk.told.drains.get((lane, log.proof_level), {})
        stable = line.get("last_stable", 0)
        if (
            instants
            and "ended_us" in line
            and "last_stable" in line
            and stable < line.get("end", 0)
        ):
            stood[stable] = max(stood.get(stable, 0), line["ended_us"] - max(instants))
        for duration in stood.values():
            if duration > sure_us and walk.steady:
                walk.counts["hung_txn"] += 1
            elif duration > doubt_us:
                walk.blind.add("hung_txn")
        watch(walk, lane, instants, doubt_us)
        if not seen_at_the_end(walk, log, instants, sure_us):
            walk.blind.add("hung_txn")


def seen_at_the_end(walk: Walk, log: Log, instants: list[int], sure_us: int) -> bool:
    """Did anybody see that nothing was open when all was over?"""
    line = walk.told.drains.get((log.lane, log.proof_level), {})
    if log.ended and line.get("last_stable") == line.get("end", -1):
        return True
    if not instants:
        return False
    over = max(instants)
    named = {transaction_of(each) for each in walk.attempts if each.transaction is not None}
    for transaction in named | {key for key, steps in walk.told.steps.items() if steps}:
        if not {"committed", "aborted"} & set(steps_of(walk, transaction)):
            over = max(instants) + sure_us
    looks = walk.told.looks.get(log.lane, [])
    return any(at > over and stable >= watermark for at, stable, watermark in looks)


def watch(walk: Walk, lane: Lane, instants: list[int], bound_us: int) -> None:
    """Was the last stable offset looked at often enough?"""
    looks = [at for at, _, _ in walk.told.looks.get(lane, [])]
    if not looks or not walk.steady:
        walk.blind.add("hung_txn")
    if not instants:
        return
    within = [at for at in looks if min(instants) <= at <= max(instants)]
    chain = sorted([min(instants), *within, max(instants)])
    for before, after in pairwise(chain):
        if after - before > bound_us:
            walk.blind.add("hung_txn")
