"""What keeps a whole run, or all of one profile, from proving that a promise was kept.

Each function returns sentences. They explain `inconclusive`; a promise that was seen to break
is broken all the same. Sentences say who is to blame when it is not Kafka.
"""

from __future__ import annotations

from typing import Final

from harness.reconcile.findings import ProfileFindings
from harness.rundir.clock import from_us
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_info import RunInfo
from harness.rundir.run_record import RunRecord
from harness.rundir.timeline import Timeline
from harness.rundir.verdict import FaultRecord

_NAMED: Final = 3
_REASON_MAX: Final = 160


def run_obstacles(run: RunRecord) -> list[str]:
    """What concerns every profile of a run."""
    if run.elsewhere is not None:
        # No load of ours and no faults of ours: there is nothing that could have gone wrong there.
        return list(run.elsewhere.obstacles)
    return [
        *_unreadable(run.timeline),
        *_ledgers(run),
        *_awaited(run.timeline),
        *_lost_workers(run.timeline),
        *_phases(run.timeline),
        *_generator(run.info, run.timeline),
        *[trouble for journal in run.journals for trouble in journal.troubles()],
        *_faults(run),
    ]


def measuring_obstacles(run: RunRecord) -> list[str]:
    """Those of `run_obstacles` for which a figure may not be Kafka's, or not the whole of it."""
    if run.elsewhere is not None:
        return list(run.elsewhere.obstacles)
    timeline = run.timeline
    died = timeline.phase("load_died")
    return [
        *_unreadable(timeline),
        *_ledgers(run),
        *_awaited(timeline),
        *_lost_workers(timeline),
        *([] if died is None else [f"the load process died{_in_brackets(died.reason)}"]),
        *_generator(run.info, timeline),
    ]


def profile_obstacles(found: ProfileFindings) -> list[str]:
    """What concerns one profile."""
    counts = found.counts
    if not counts["attempted"] and counts["unaccounted"]:
        return [
            f"none of its attempts is on record; {counts['unaccounted']:,} of its records were "
            "read all the same"
        ]
    if not counts["attempted"]:
        return ["nothing was attempted"]
    obstacles = []
    if not counts["acked"] + counts["sent"]:
        obstacles.append("not one record was acknowledged")
    if found.unclosed:
        names = ", ".join(str(each) for each in found.unclosed[:_NAMED])
        more = len(found.unclosed) - _NAMED
        obstacles.append(
            f"the process of producer {names}{f' and {more} more' if more > 0 else ''} died "
            "before it had closed its ledger"
        )
    return obstacles


def _unreadable(timeline: Timeline) -> list[str]:
    """Lines of the timeline that may have said anything."""
    if not timeline.unreadable:
        return []
    lines = "1 line" if timeline.unreadable == 1 else f"{timeline.unreadable} lines"
    return [
        f"{lines} of timeline.ndjson cannot be read (first: {timeline.first_unreadable}), and "
        "what they recorded is not judged"
    ]


def _ledgers(run: RunRecord) -> list[str]:
    """Producers of which it is not known what they attempted."""
    missing = run.without_ledger
    if not missing:
        return []
    names = ", ".join(map(str, missing[:_NAMED]))
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return [
        f"the ledger of producer {names}{more} is missing, so what was attempted is not known, and "
        "a record of it is no phantom"
    ]


def _awaited(timeline: Timeline) -> list[str]:
    """Load processes elsewhere of which not everything arrived."""
    sentences = []
    for each in timeline.awaited[:_NAMED]:
        whom = f" to {each.to}" if each.to else ""
        numbers = f"numbers {each.first} to {each.last} were"
        if each.first == each.last:
            numbers = f"number {each.first} was"
        sentences.append(
            f"producer {numbers} handed out{whom}, and what was recorded there did "
            "not arrive, so what was attempted is not known, and a record of it is no phantom"
        )
    more = len(timeline.awaited) - _NAMED
    if more > 0:
        sentences.append(f"of {more} more load processes what they recorded did not arrive")
    return sentences


def _lost_workers(timeline: Timeline) -> list[str]:
    """Load processes of which nothing more was heard, and whose record is here all the same."""
    return [
        f"worker {number}, {each.name}, was lost at {from_us(each.lost_us)[11:19]} UTC: its part "
        "of the load ended there, and what it had open is of unknown outcome"
        for number, each in sorted(timeline.workers.items())
        if each.lost_us is not None and each.same_machine
    ]


def clock_notes(timeline: Timeline) -> list[str]:
    """How exact end-to-end latencies are of records that were sent on other machines."""
    return [
        f"worker {number}, {each.name}, has a clock of its own, {each.clock_offset_us / 1000:+.3f} "
        f"ms from the master's, known to {each.clock_error_us / 1000:.3f} ms: its instants are "
        "corrected by that, and the end-to-end latencies of its records are as exact as that"
        for number, each in sorted(timeline.workers.items())
        if not each.same_machine
    ]


def _phases(timeline: Timeline) -> list[str]:
    """Ends of the run that were none."""
    sentences = {
        "interrupted": "the run was interrupted before its end",
        "load_died": "the load process died",
        "members_died": "the pool that keeps consumers running died",
        "not_healed": "the cluster could not be healed after the faults",
    }
    found = []
    for phase, sentence in sentences.items():
        moment = timeline.phase(phase)
        if moment is not None:
            found.append(f"{sentence}{_in_brackets(moment.reason)}")
    begun, ended = timeline.phase("load_started"), timeline.phase("load_stopped")
    if begun and not ended and not timeline.phase("load_died"):
        found.append("the load process ended without saying that it did")
    return found


def _in_brackets(reason: str) -> str:
    """The beginning of a reason, which may be the end of a log."""
    first = reason.strip().partition("\n")[0]
    if not first:
        return ""
    return f" ({first[:_REASON_MAX]}{'…' if len(first) > _REASON_MAX else ''})"


def _generator(info: RunInfo, timeline: Timeline) -> list[str]:
    """A load generator that fell behind its own schedule, warm-up left out."""
    warmed_up = timeline.phase("warmed_up")
    lag_ms = timeline.generator_lag_ms
    if warmed_up is not None:
        lag_ms = lag_ms[timeline.generator_at_us >= warmed_up.at_us]
    if not len(lag_ms):
        return ["the load generator left no record of how late it was, so its load is not proven"]
    worst_ms, limit_ms = float(lag_ms.max()), info.load.lag_limit_ms
    if worst_ms <= limit_ms:
        return []
    return [
        f"the load generator itself fell behind its schedule by {worst_ms:.0f} ms (at most "
        f"{limit_ms:g} ms are accepted): this says nothing about Kafka. Lower --rate, or give "
        "the machine more room"
    ]


def _faults(run: RunRecord) -> list[str]:
    """Faults without evidence, and experiments that left no trace of any fault."""
    found = [_no_effect(fault) for fault in run.timeline.faults if not fault.took_effect]
    planned, recorded = run.info.faults_planned, len(run.timeline.faults)
    if recorded < planned:
        found.append(f"of the {planned} faults of the run's experiments {recorded} are on record")
    return found


def _no_effect(fault: RecordedFault) -> str:
    name = f"fault {fault.fault}{f' on {fault.target}' if fault.target else ''}"
    if fault.failure:
        return f"{name} failed: {fault.failure}"
    if not fault.injected:
        return f"{name} was begun, and nothing says that it was injected"
    missing = fault.seen.shortcomings
    why = f" ({missing[0]})" if missing else ""
    return f"{name} shows no evidence that it took effect{why}"


def fault_record(fault: RecordedFault) -> FaultRecord:
    """A fault as verdict.json holds it."""
    return FaultRecord(
        fault=fault.fault,
        target=fault.target,
        injected_at=from_us(fault.injected_us),
        healed_at=None if fault.healed_us is None else from_us(fault.healed_us),
        evidence=fault.evidence,
        took_effect=fault.took_effect,
    )
