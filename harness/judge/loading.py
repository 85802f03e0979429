"""Was the load made that was asked for, and what became of the attempts that were not acknowledged?

Records that the schedule planned and that were not sent, and attempts that failed or whose outcome
is unknown, with their reasons. A load of which too much is missing is no test: see
docs/verification.md, 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.reconcile.findings import ProfileFindings
from harness.rundir.clock import from_us
from harness.rundir.load_events import ABORTED_ON_PURPOSE, FAILED, UNKNOWN, Failure
from harness.rundir.run_record import RunRecord
from harness.rundir.verdict import FailureVerdict, LoadVerdict

UNSENT_SHARE_MAX: Final = 0.1
"""More of the planned records than this unsent: the load is not the one that was asked for."""
FAILED_SHARE_MAX: Final = 0.5
"""More of the attempts than this failed or of unknown outcome: little of the load was judged."""
REPORTED_SHARE: Final = 0.01
"""From this share on the reasons of a verdict tell of it."""

NOT_RECORDED: Final = "not_recorded"
OF_MEMBERS: Final = "of_members"
_MEANT: Final = (ABORTED_ON_PURPOSE, OF_MEMBERS)
"""Attempts that ended so say nothing against the load."""

MEANINGS: Final[Mapping[str, str]] = {
    ABORTED_ON_PURPOSE: "its transaction was aborted on purpose",
    "aborted_after_error": "its transaction was aborted because one of its records failed",
    "left_open": "the client had not reported an outcome when its producer was closed",
    NOT_RECORDED: "the load left no reason on record",
    OF_MEMBERS: "written by the profile's consumers, in transactions that were not committed",
    "_QUEUE_FULL": "the client's own queue was full (queue.buffering.max.messages, "
    "queue.buffering.max.kbytes), so these records never left the client",
    "_MSG_TIMED_OUT": "not acknowledged within delivery.timeout.ms (message.timeout.ms)",
    "_TIMED_OUT": "no answer in time",
    "_TRANSPORT": "the connection to the broker broke",
    "_PURGE_QUEUE": "withdrawn from the client's queue before it was sent",
    "_PURGE_INFLIGHT": "given up while its request was under way",
    "_FENCED": "another producer with the same transactional.id had taken over",
    "NOT_ENOUGH_REPLICAS": "fewer replicas were in sync than min.insync.replicas asks for",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": "appended by the leader, but too few replicas were in sync",
    "OUT_OF_ORDER_SEQUENCE_NUMBER": "the broker did not have the records sent before",
    "MSG_SIZE_TOO_LARGE": "larger than the client or the topic accepts",
    "TOPIC_AUTHORIZATION_FAILED": "the client may not write to this topic",
}


def load_verdict(run: RunRecord, found: ProfileFindings) -> LoadVerdict | None:
    """What was asked of the load and what it did; None for a history, which has none of ours."""
    if run.elsewhere is not None:
        return None
    profile, timeline = found.profile, run.timeline
    series = [each for key, each in timeline.loads.items() if key[0] in profile.input_topics]
    attempted = sum(int(each.attempted.sum()) for each in series)
    busy = [(each.from_us[each.attempted > 0], each.to_us[each.attempted > 0]) for each in series]
    begins = [int(begin[0]) for begin, _ in busy if len(begin)]
    ends = [int(end[-1]) for _, end in busy if len(end)]
    took_us = max(ends) - min(begins) if begins else 0
    unsent = None if timeline.unsent is None else timeline.unsent.get(profile.profile, 0)
    return LoadVerdict(
        asked_per_s=run.info.load.rate_per_s,
        achieved_per_s=round(attempted / took_us * 1e6, 1) if took_us else None,
        planned=None if unsent is None else max(attempted, _known(found)) + unsent,
        unsent=unsent,
        failures=_failures(run, found),
    )


def _known(found: ProfileFindings) -> int:
    """The attempts that are on record, and the records that were read of those that are not."""
    return found.counts["attempted"] + found.counts["unaccounted"]


def _failures(run: RunRecord, found: ProfileFindings) -> list[FailureVerdict]:
    """Every way in which attempts ended without an acknowledgement, the most frequent first."""
    sums: dict[tuple[str, str], Failure] = {}
    for (topic, outcome, reason), each in run.timeline.failures.items():
        if topic in found.profile.topics:
            known = sums.get((outcome, reason))
            if known is None:
                sums[outcome, reason] = Failure(each.count, each.first_us, each.last_us)
            else:
                known.add(each.count, each.first_us, each.last_us)
    failures = [
        FailureVerdict(
            outcome, reason, meaning(reason), each.count, from_us(each.first_us),
            from_us(each.last_us),
        )
        for (outcome, reason), each in sums.items()
    ]  # fmt: skip
    consume = found.profile.consume
    rest = OF_MEMBERS if consume is not None and consume.mode == "transactional" else NOT_RECORDED
    for outcome in (FAILED, UNKNOWN):
        left = found.counts[outcome] - sum(e.count for e in failures if e.outcome == outcome)
        if left > 0:
            failures.append(FailureVerdict(outcome, rest, meaning(rest), left, None, None))
    return sorted(failures, key=lambda each: (-each.count, each.outcome, each.code))


def meaning(code: str) -> str:
    """What a reason says, in words; the client's error code where it has no others."""
    return MEANINGS.get(code, f"the client reported {code}")


def unacknowledged(load: LoadVerdict) -> list[FailureVerdict]:
    """The failures that speak against the load: not what was aborted on purpose."""
    return [each for each in load.failures if each.code not in _MEANT]


def load_obstacles(load: LoadVerdict | None, attempted: int) -> list[str]:
    """Why a load is no test of a profile, if it is none."""
    found: list[str] = []
    if load is None:
        return found
    if load.unsent and load.planned and load.unsent > UNSENT_SHARE_MAX * load.planned:
        found.append(
            f"{_unsent(load)}; at most {_share(UNSENT_SHARE_MAX, 1)} may be missing. Lower "
            "--rate, or give the machine more room"
        )
    missing = sum(each.count for each in unacknowledged(load))
    if missing > FAILED_SHARE_MAX * attempted:
        found.append(f"most of the load came to nothing: {_failed(load, attempted)}")
    return found


def load_notes(load: LoadVerdict | None, attempted: int) -> list[str]:
    """What the reasons of a verdict tell about a load that was not all sent and acknowledged."""
    notes: list[str] = []
    if load is None:
        return notes
    if load.unsent and load.planned and load.unsent >= REPORTED_SHARE * load.planned:
        notes.append(_unsent(load))
    missing = sum(each.count for each in unacknowledged(load))
    if missing and missing >= REPORTED_SHARE * attempted:
        notes.append(_failed(load, attempted))
    return notes


def _unsent(load: LoadVerdict) -> str:
    assert load.unsent is not None
    assert load.planned
    return (
        f"{load.unsent:,} ({_share(load.unsent, load.planned)}) of the {load.planned:,} records "
        f"that the schedule planned were never sent; {_achieved(load)}, "
        f"{load.asked_per_s:,.0f} were asked for"
    )


def _achieved(load: LoadVerdict) -> str:
    if load.achieved_per_s is not None:
        return f"{load.achieved_per_s:,.0f} records/s were sent"
    if load.planned != load.unsent:
        return "how fast the others were sent is not on record"
    return "none were sent"


def _failed(load: LoadVerdict, attempted: int) -> str:
    chosen = unacknowledged(load)
    missing = sum(each.count for each in chosen)
    ways = "; ".join(
        f"{each.count:,} {each.outcome}, {each.code}: {each.meaning}{_when(each)}"
        for each in chosen
    )
    return f"{missing:,} of {attempted:,} attempts ({_share(missing, attempted)}) failed or ended "\
        f"unknown ({ways})"  # fmt: skip


def _share(part: float, whole: float) -> str:
    return f"{part / whole * 100:.3g} %"


def _when(failure: FailureVerdict) -> str:
    if failure.first_at is None or failure.last_at is None:
        return ""
    return f", between {failure.first_at[11:22]} and {failure.last_at[11:22]} UTC"
