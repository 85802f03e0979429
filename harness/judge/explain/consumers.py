"""The stories of group members: who was handed a record, processed it, committed past it.

Told from the members' journals, whose entries share one clock. No client library is imported
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from harness.anomalies import CONSUMER_ANOMALIES
from harness.arrays import I64, U8
from harness.judge.explain.registry import explains
from harness.judge.explain.scene import Event, Scene
from harness.judge.explain.steps import fault_nearby, key_of
from harness.judge.explain.whereabouts import Whereabouts
from harness.reconcile.consumers.member_reading import known_us
from harness.reconcile.findings import Occurrence
from harness.rundir.consumption import HISTORY_GROUP
from harness.rundir.member_journal import ACCEPT, SYNCHRONOUS, Journal, Step

OUTPUTS_MAX: Final = 4
_OF_THE_RECORD: Final = {
    Step.POLLED: "is handed the record",
    Step.BEGIN: "begins to process it",
    Step.EFFECT: "has done its effect",
    Step.ACKNOWLEDGED: "has acknowledged it to the group",
}
_COMMITS: Final = {
    Step.COMMIT_CALLED: "calls commit up to offset {offset}, past it",
    Step.COMMITTED: "has committed up to offset {offset}, past it",
    Step.COMMIT_UNKNOWN: "does not know whether its commit up to offset {offset} holds",
    Step.STORED: "hands offset {offset}, past it, to the client to be committed",
}
_REBALANCES: Final = {
    Step.ASSIGNED: "is assigned the partition, to read from offset {offset}",
    Step.REVOKED: "gives the partition up",
    Step.LOST: "has the partition taken away",
}


@explains(*CONSUMER_ANOMALIES)
def consuming(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    """What the members did with one record, then the group's committed offset and the fault."""
    profile = scene.found.profile
    journals = scene.run.consumption.journals.get(profile.profile, [])
    by_member = [list(_of_journal(journal, each)) for journal in journals]
    events = _side_by_side([events for events in by_member if events])
    yield from events
    members = {int(event.fields["member"]) for event in events}
    for moment in scene.run.timeline.members:
        if (moment.profile, moment.phase) == (profile.profile, "ended") and (
            moment.member in members
        ):
            why = f": {moment.reason}" if moment.reason else ""
            text = f"the process of member {moment.member} is seen to have ended{why}"
            yield Event("ended", text, moment.at_us, {"member": moment.member})
    yield from _outputs(scene, each)
    yield from _committed(scene, each)
    moments = [event.at_us for event in events if event.at_us is not None]
    fault = scene.fault_near(key_of(each), each.at_us or max(moments, default=None))
    yield from fault_nearby(scene, each, fault)


def _side_by_side(by_member: list[list[Event]]) -> list[Event]:
    """The events of several members by time, each member's own in the order of its lines."""
    left = [list(reversed(events)) for events in by_member]
    merged: list[Event] = []
    while any(left):
        # A line without an instant goes on with what its member said before.
        heads = [(events[-1].at_us or 0, at) for at, events in enumerate(left) if events]
        _, at = min(heads)
        merged.append(left[at].pop())
    return merged


def _of_journal(journal: Journal, each: Occurrence) -> Iterator[Event]:
    """The entries of one member that concern a record: its own, commits past it, rebalances."""
    entries = journal.entries
    if each.offset is None or not len(entries):
        return
    mine = np.flatnonzero(
        (entries["topic"] == each.topic) & (entries["partition"] == each.partition)
    )
    steps = entries["step"][mine]
    offsets = entries["offset"][mine]
    instants = entries["at_us"][mine]
    own = np.flatnonzero(np.isin(steps, list(_OF_THE_RECORD)) & (offsets == each.offset))
    chosen = set(own.tolist())
    proving = _proving_work(steps, own)
    if each.member == journal.member:
        by_then = own if each.at_us is None else own[instants[own] <= each.at_us]
        proving |= _proving_work(steps, by_then[::-1])
        if each.anomaly == "poll_skip":
            jump = (steps == Step.POLLED) & (offsets > each.offset) & (instants == each.at_us)
            proving |= set(np.flatnonzero(jump)[:1].tolist())
        elif each.anomaly == "commit_beyond_position":
            commit = (steps == Step.COMMITTED) & (offsets == each.offset) & (instants == each.at_us)
            proving |= set(np.flatnonzero(commit)[:1].tolist())
        elif each.anomaly == "start_beyond_committed":
            proving |= _beginning(steps, offsets, instants, each)
        if each.anomaly in ("poll_skip", "backward_poll", "commit_beyond_position"):
            proving |= _polled_before(steps, proving)
    elif each.anomaly == "start_beyond_committed":
        # What the group had committed when the other member began.
        earlier = (steps == Step.COMMITTED) & (offsets <= each.offset)
        proving |= set(np.flatnonzero(earlier)[-1:].tolist())
    if each.anomaly == "double_owner":
        # Each owner's commit that lies nearest: that both had theirs accepted is the point.
        proving |= _nearest(steps, instants, each.at_us)
    covers = offsets > each.offset
    waited = (entries["flags"][mine] & SYNCHRONOUS) > 0
    for step in _COMMITS:
        # The first of a kind that covers the record says it; those after it only repeat it.
        covering = np.flatnonzero((steps == step) & covers)
        chosen |= set(covering[:1].tolist())
    # A commit that the member waited for is what a later effect contradicts.
    proving |= set(np.flatnonzero((steps == Step.COMMITTED) & covers & waited)[:1].tolist())
    chosen |= proving
    if not chosen:
        return
    moves = np.flatnonzero(np.isin(steps, list(_REBALANCES)))
    first, last = min(chosen), max(chosen)
    before = set(moves[moves < first][-1:].tolist())
    chosen |= before | set(moves[(moves > first) & (moves < last)].tolist())
    if each.anomaly == "double_owner":
        proving |= chosen & set(moves.tolist())
    if each.anomaly in ("unassigned_read", "commit_beyond_position"):
        proving |= {int(moves[moves < at][-1]) for at in proving if (moves < at).any()}
    for index in sorted(chosen):
        yield _event(journal, entries[mine[index]], each.offset, index in proving)
    if not (entries["step"] == Step.CLOSED).any():
        at_us = known_us(entries["at_us"][-1])
        yield Event(
            "died",
            f"the record of {_name(journal)} ends here, without a line that it closed",
            at_us,
            {"member": journal.member},
        )


def _proving_work(steps: U8, own: I64) -> set[int]:
    """The first of each step of a record, in the order given."""
    return {
        int(own[steps[own] == step][0]) for step in _OF_THE_RECORD if (steps[own] == step).any()
    }


def _beginning(
    steps: U8,
    offsets: I64,
    instants: I64,
    each: Occurrence,
) -> set[int]:
    """The assignment with which a member began beyond a record, and its first record then."""
    began = np.flatnonzero((steps == Step.ASSIGNED) & (instants == each.at_us))[:1]
    if not len(began):
        return set()
    polled = np.flatnonzero((steps == Step.POLLED) & (offsets > (each.offset or 0)))
    return {*began.tolist(), *polled[polled > began[0]][:1].tolist()}


def _nearest(steps: U8, instants: I64, at_us: int | None) -> set[int]:
    """The assignment and the confirmed commit that come last up to an instant, or first after."""
    found = set()
    for step in (Step.ASSIGNED, Step.COMMITTED):
        indices = np.flatnonzero(steps == step)
        if len(indices):
            upto = np.flatnonzero(instants[indices] <= (at_us or 0))
            found.add(int(indices[upto[-1] if len(upto) else 0]))
    return found


def _polled_before(steps: U8, chosen: set[int]) -> set[int]:
    """The hand-over before each chosen one, or before a commit beyond it: what was skipped, gone
    back behind, or committed past."""
    polled = np.flatnonzero(steps == Step.POLLED)
    found = set()
    for index in chosen:
        at = int(np.searchsorted(polled, index))
        if at > 0 and steps[index] in (Step.POLLED, Step.COMMITTED):
            found.add(int(polled[at - 1]))
    return found


def _name(journal: Journal) -> str:
    """A member as a story names it: with its group, where a history names several."""
    named = journal.group and journal.group != HISTORY_GROUP
    return f"member {journal.member}{f' of group {journal.group}' if named else ''}"


def _event(journal: Journal, entry: np.void, record: int, proves: bool) -> Event:
    step, offset = Step(int(entry["step"])), int(entry["offset"])
    words = {**_OF_THE_RECORD, **_COMMITS, **_REBALANCES}[step].format(offset=offset)
    if offset <= record:
        words = words.replace(", past it", "")
    if step is Step.ASSIGNED and offset < 0:
        words = "is assigned the partition; from which offset it reads is not on record"
    if step is Step.COMMITTED and int(entry["flags"]) & SYNCHRONOUS:
        words += " (it waited)"
    if step in _OF_THE_RECORD:
        words += f" at offset {offset}"
    if step is Step.ACKNOWLEDGED:
        words += _ACKNOWLEDGED.get(int(entry["detail"]), "")
    return Event(
        step.name.lower(),
        f"{_name(journal)} {words}",
        known_us(entry["at_us"]),
        {"member": journal.member, "offset": offset},
        proves=proves,
    )


_ACKNOWLEDGED: Final = {ACCEPT: ": accepted", 2: ": released", 3: ": rejected"}


def _outputs(scene: Scene, each: Occurrence) -> Iterator[Event]:
    """The output records that a pipeline made of an input record."""
    rows = scene.run.consumption.inputs
    consume = scene.found.profile.consume
    if rows is None or consume is None or consume.mode != "transactional":
        return
    here = rows[
        (rows["input_topic"] == each.topic)
        & (rows["partition"] == each.partition)
        & (rows["input_offset"] == each.offset)
    ]
    for row in here[:OUTPUTS_MAX]:
        topic, offset = scene.topic(int(row["topic"])), int(row["output_offset"])
        yield Event("output", f"{topic} holds an output record of it at offset {offset}", None, {
            "topic": topic, "offset": offset}, closing=True, proves=True)  # fmt: skip
    if len(here) > OUTPUTS_MAX:
        yield Event("output", f"and {len(here) - OUTPUTS_MAX} more", closing=True)
    if not len(here):
        yield Event("output", "the reading of the output holds no record of it", None, {},
                    closing=True, proves=True)  # fmt: skip


def _committed(scene: Scene, each: Occurrence) -> Iterator[Event]:
    """What the group had committed at the end."""
    committed, consume = scene.run.consumption.committed, scene.found.profile.consume
    if committed is None or consume is None:
        return
    groups = dict.fromkeys([consume.group, *committed])
    for group in groups:
        offset = committed.get(group, {}).get((each.topic, each.partition))
        if offset is not None:
            whose = "" if group == consume.group else f" of group {group}"
            text = f"the last committed offset{whose} on record is {offset}"
            yield Event("group_at", text, None, {"offset": offset}, closing=True, proves=True)
