"""The stories of group members: who was handed a record, processed it, committed past it.

Told from the members' journals, whose entries share one clock. No client library is imported
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.judge.witness.scene import Event, Scene
from harness.judge.witness.steps import key_of, struck
from harness.judge.witness.whereabouts import Whereabouts
from harness.members.journal import SYNCHRONOUS, Journal, Step
from harness.verify.consumers.reading import known_us
from harness.verify.findings import Occurrence

EVENTS_MAX: Final = 14
GROUP: Final = "history"
"""The group of a history's lines that name none."""
_OF_THE_RECORD: Final = {
    Step.POLLED: "is handed the record",
    Step.BEGIN: "begins to process it",
    Step.EFFECT: "has done its effect",
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


def consuming(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    """What the members did with one record, then the group's committed offset and the fault."""
    profile = scene.found.profile
    journals = scene.evidence.consumption.journals.get(profile.profile, [])
    events = [event for journal in journals for event in _of_journal(journal, each)]
    events.sort(key=lambda event: event.at_us or 0)
    if len(events) > EVENTS_MAX:
        half = EVENTS_MAX // 2
        left_out = Event("left_out", f"({len(events) - 2 * half} further events between)")
        events = [*events[:half], left_out, *events[-half:]]
    yield from events
    yield from _outputs(scene, each)
    yield from _committed(scene, each)
    moments = [event.at_us for event in events if event.at_us is not None]
    fault = scene.fault_near(key_of(each), each.at_us or max(moments, default=None))
    yield from struck(scene, each, fault)


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
    own = np.isin(steps, list(_OF_THE_RECORD)) & (offsets == each.offset)
    chosen = set(np.flatnonzero(own).tolist())
    if each.member == journal.member:
        instants = entries["at_us"][mine]
        if each.anomaly == "poll_skip":
            jump = (steps == Step.POLLED) & (offsets > each.offset) & (instants == each.at_us)
            chosen |= set(np.flatnonzero(jump)[:1].tolist())
        elif each.anomaly == "commit_beyond_position":
            commit = (steps == Step.COMMITTED) & (offsets == each.offset) & (instants == each.at_us)
            chosen |= set(np.flatnonzero(commit)[:1].tolist())
        elif each.anomaly == "start_beyond_committed":
            chosen |= _beginning(steps, offsets, instants, each)
        if each.anomaly in ("poll_skip", "backward_poll", "commit_beyond_position"):
            chosen |= _polled_before(steps, chosen)
    elif each.anomaly == "start_beyond_committed":
        # What the group had committed when the other member began.
        earlier = (steps == Step.COMMITTED) & (offsets <= each.offset)
        chosen |= set(np.flatnonzero(earlier)[-1:].tolist())
    if each.anomaly == "double_owner":
        # Each owner's commit that lies nearest: that both had theirs accepted is the point.
        chosen |= _nearest(steps, entries["at_us"][mine], each.at_us)
    for step in _COMMITS:
        # The first of a kind that covers the record tells; those after it only repeat it.
        covering = np.flatnonzero((steps == step) & (offsets > each.offset))
        chosen |= set(covering[:1].tolist())
    if not chosen:
        return
    first, last = min(chosen), max(chosen)
    moves = np.flatnonzero(np.isin(steps, list(_REBALANCES)))
    before = moves[moves < first]
    chosen |= set(before[-1:].tolist()) | set(moves[(moves > first) & (moves < last)].tolist())
    for index in sorted(chosen):
        yield _event(journal, entries[mine[index]], each.offset)
    if not (entries["step"] == Step.CLOSED).any():
        at_us = known_us(entries["at_us"][-1])
        yield Event(
            "died", f"member {journal.member} writes its last entry: it was killed", at_us, {
                "member": journal.member}
        )  # fmt: skip


def _beginning(
    steps: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    instants: npt.NDArray[np.int64],
    each: Occurrence,
) -> set[int]:
    """The assignment with which a member began beyond a record, and its first record then."""
    began = np.flatnonzero((steps == Step.ASSIGNED) & (instants == each.at_us))[:1]
    if not len(began):
        return set()
    polled = np.flatnonzero((steps == Step.POLLED) & (offsets > (each.offset or 0)))
    return {*began.tolist(), *polled[polled > began[0]][:1].tolist()}


def _nearest(
    steps: npt.NDArray[np.uint8], instants: npt.NDArray[np.int64], at_us: int | None
) -> set[int]:
    """The assignment and the confirmed commit that come last up to an instant, or first after."""
    found = set()
    for step in (Step.ASSIGNED, Step.COMMITTED):
        places = np.flatnonzero(steps == step)
        if len(places):
            upto = np.flatnonzero(instants[places] <= (at_us or 0))
            found.add(int(places[upto[-1] if len(upto) else 0]))
    return found


def _polled_before(steps: npt.NDArray[np.uint8], chosen: set[int]) -> set[int]:
    """The hand-over before each chosen one, or before a commit beyond it: what was skipped, gone
    back behind, or committed past."""
    polled = np.flatnonzero(steps == Step.POLLED)
    found = set()
    for index in chosen:
        place = int(np.searchsorted(polled, index))
        if place > 0 and steps[index] in (Step.POLLED, Step.COMMITTED):
            found.add(int(polled[place - 1]))
    return found


def _name(journal: Journal) -> str:
    """A member as a story names it: with its group, where a history names several."""
    named = journal.group and journal.group != GROUP
    return f"member {journal.member}{f' of group {journal.group}' if named else ''}"


def _event(journal: Journal, entry: np.void, record: int) -> Event:
    step, offset = Step(int(entry["step"])), int(entry["offset"])
    words = {**_OF_THE_RECORD, **_COMMITS, **_REBALANCES}[step].format(offset=offset)
    if offset <= record:
        words = words.replace(", past it", "")
    if step is Step.ASSIGNED and offset < 0:
        words = "is assigned the partition, to read on where its group is"
    if step is Step.COMMITTED:
        words += " (it waited)" if int(entry["flags"]) & SYNCHRONOUS else " (in the background)"
    if step in _OF_THE_RECORD:
        words += f" at offset {offset}"
    return Event(
        step.name.lower(),
        f"{_name(journal)} {words}",
        known_us(entry["at_us"]),
        {"member": journal.member, "offset": offset},
    )


def _outputs(scene: Scene, each: Occurrence) -> Iterator[Event]:
    """The output records that a pipeline made of an input record."""
    rows = scene.evidence.consumption.inputs
    consume = scene.found.profile.consume
    if rows is None or consume is None or consume.mode != "transactional":
        return
    here = rows[
        (rows["input_topic"] == each.topic)
        & (rows["partition"] == each.partition)
        & (rows["input_offset"] == each.offset)
    ]
    for row in here[:EVENTS_MAX]:
        topic, offset = scene.topic(int(row["topic"])), int(row["output_offset"])
        yield Event("output", f"{topic} holds an output record of it at offset {offset}", None, {
            "topic": topic, "offset": offset})  # fmt: skip
    if not len(here):
        yield Event("output", "the output read at read_committed holds no record of it")


def _committed(scene: Scene, each: Occurrence) -> Iterator[Event]:
    """Where the group stood at the end."""
    committed, consume = scene.evidence.consumption.committed, scene.found.profile.consume
    if committed is None or consume is None:
        return
    offset = committed.get(consume.group, {}).get((each.topic, each.partition))
    if offset is not None:
        yield Event("group_at", f"at the end the group had committed offset {offset}", None, {
            "offset": offset})  # fmt: skip
