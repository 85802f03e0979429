"""What the verdict says of the offsets that a read_committed drain passed without a record."""

from __future__ import annotations

from harness.reconcile.blind_spots import some
from harness.rundir.holes import HoleAccount
from harness.rundir.run_record import RunRecord


def hole_notes(run: RunRecord) -> list[str]:
    """A sentence or two for each profile of a run whose topics were read at read_committed.

    What is unaccounted for is no note: it takes the proof from its topic-partition.
    """
    if run.drain is None:
        return []
    info, notes = run.info, []
    for profile in info.profiles:
        topics = info.topics_of(profile) if profile.in_verdict else range(0)
        found = [each for (topic, _), each in run.drain.holes.items() if topic in topics]
        notes += [
            f"{profile.profile}: {note}" for note in (_checked(found), _unchecked(found)) if note
        ]
    return notes


def _checked(accounts: list[HoleAccount]) -> str:
    """What the leaders' logs account for."""
    kinds = {
        "transaction markers": sum(each.markers for each in accounts),
        "records of aborted transactions": sum(each.aborted for each in accounts),
        "records of open transactions": sum(each.open for each in accounts),
    }
    total = sum(kinds.values())
    if not total:
        return ""
    of_those = ", ".join(f"{name} {count:,}" for name, count in kinds.items() if count)
    return (
        f"the log files of the leaders account for {_offsets(total)} passed without a record by "
        f"the read_committed drain ({of_those})"
    )


def _unchecked(accounts: list[HoleAccount]) -> str:
    """What could not be looked at."""
    left = [each for each in accounts if each.unchecked]
    if not left:
        return ""
    count = sum(each.unchecked for each in left)
    where = some([f"{each.topic}-{each.partition}" for each in left])
    return (
        f"not checked: {_offsets(count)} passed without a record by the read_committed drain of "
        f"{where}. Transaction markers and aborted records take offsets; it was not checked "
        f"whether these are such ({left[0].unchecked_why})"
    )


def _offsets(count: int) -> str:
    return "1 offset that was" if count == 1 else f"{count:,} offsets that were"
