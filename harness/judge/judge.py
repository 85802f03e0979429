"""The judgement: from evidence to a verdict. A pure function.

Reconciling counts; this decides what the counts mean. How controls, exposure and bounds work, and
what they cannot show, is described in docs/verification.md.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from harness.anomalies import CONSUMER_ANOMALIES, anomaly_of
from harness.errors import EXIT_BROKEN, EXIT_INCONCLUSIVE, EXIT_KEPT
from harness.judge.availability import availability, during
from harness.judge.consuming import consume_verdict, consumer_exposures
from harness.judge.disturbances import disturbances
from harness.judge.disturbances import notes as disturbance_notes
from harness.judge.explain import witnesses
from harness.judge.exposure import Exposure, disturbed, exposures, trials
from harness.judge.fault_windows import control_result, unlike
from harness.judge.holes import hole_notes
from harness.judge.loading import load_notes, load_obstacles, load_verdict
from harness.judge.obstacles import (
    clock_notes,
    fault_record,
    measuring_obstacles,
    profile_obstacles,
    run_obstacles,
)
from harness.judge.phases import latency_phases
from harness.judge.placing import places
from harness.judge.promises import WHOLE_RUN, PromiseCase, judge_promise
from harness.judge.samples import samples
from harness.judge.thresholds import Evidence, judge_thresholds
from harness.reconcile.findings import ProfileFindings
from harness.reconcile.reconcile import reconcile
from harness.rundir.run_record import RunRecord
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    KeysVerdict,
    ProfileVerdict,
    Verdict,
    worst,
)

_EXIT_CODES: Final = {KEPT: EXIT_KEPT, BROKEN: EXIT_BROKEN, INCONCLUSIVE: EXIT_INCONCLUSIVE}

LIBRDKAFKA_4953: Final = (
    "A known client defect shows itself like this: librdkafka issue 4953, duplicates in spite of "
    "idempotence when brokers restart one after the other"
)
TIMED_OUT_IN_CLIENT: Final = (
    "librdkafka shows itself like this once records end by delivery.timeout.ms: it takes a new "
    "producer epoch, and what the log may hold already of its other records is sent again "
    "(librdkafka issue 4953); only transactions exclude it"
)
KAFKA_17754: Final = (
    "A known defect shows itself like this: KAFKA-17754, a delayed EndTxn that ends the next "
    "transaction"
)


def judge(run: RunRecord) -> Verdict:
    """Reconcile a run and judge every promise of every profile.

    Raises HarnessError when the harness's own sums do not close.
    """
    return judge_findings(run, reconcile(run))


def judge_findings(run: RunRecord, findings: list[ProfileFindings]) -> Verdict:
    """Judge every promise of every profile by what reconciling `run` found."""
    info = run.info
    obstacles = run_obstacles(run)
    found_by = {found.profile.profile: found for found in findings}
    profiles = [_profile(run, found, found_by, obstacles) for found in findings]
    counted = worst(each.verdict for each in profiles if each.in_verdict)
    proven = not obstacles and not _nothing_judged(profiles)
    verdict = counted if proven else worst([counted, INCONCLUSIVE])
    return Verdict(
        run_id=info.run_id,
        seed=info.seed,
        verdict=verdict,
        reasons=[
            *_reasons(run, profiles, findings, obstacles),
            *_rounds(run),
            *clock_notes(run.timeline),
        ],
        profiles=profiles,
        faults=[fault_record(fault) for fault in run.timeline.faults],
        findings=list(info.findings),
        disturbances=[each.record() for each in disturbances(run.timeline)],
    )


def exit_code(verdict: Verdict) -> int:
    """What the command line ends with: 0 kept, 1 broken, 3 inconclusive."""
    return _EXIT_CODES[verdict.verdict]


def _profile(
    run: RunRecord,
    found: ProfileFindings,
    found_by: dict[str, ProfileFindings],
    run_wide: list[str],
) -> ProfileVerdict:
    profile = found.profile
    timeline = run.timeline
    met = exposures(profile, timeline)
    consumers = consumer_exposures(profile, run) if profile.consume is not None else met
    load = load_verdict(run, found)
    of_profile, of_load = profile_obstacles(found), load_obstacles(load, found.counts["attempted"])
    obstacles = [*of_profile, *of_load]
    promises = [
        judge_promise(
            _case(
                run,
                found,
                found_by,
                promise,
                obstacles,
                run_wide,
                consumers if anomaly_of(promise) in CONSUMER_ANOMALIES else met,
            )
        )
        for promise in profile.promises
    ]
    latency = latency_phases(profile.profile, run.latency, during(profile, timeline))
    gaps, consume = availability(profile, timeline), consume_verdict(run, found)
    promises += judge_thresholds(
        Evidence(
            run, found, load, latency, gaps, consume, met,
            partial=measuring_obstacles(run) if profile.requires else [],
            of_profile=of_profile, of_load=of_load, run_wide=run_wide,
        )
    )  # fmt: skip
    return ProfileVerdict(
        profile=profile.profile,
        role=profile.role,
        verdict=worst(promise.verdict for promise in promises),
        counts=found.table(),
        promises=promises,
        samples=samples(run, found),
        latency_ms=latency,
        availability=gaps,
        in_verdict=profile.in_verdict,
        consume=consume,
        keys=KeysVerdict(**asdict(found.keyed)) if found.keyed.keys else None,
        witnesses=witnesses(run, found),
        disturbances_exposed=disturbed(profile, timeline, disturbances(timeline)),
        places=places(found, run.info.topics),
        load=load,
    )


def _case(
    run: RunRecord,
    found: ProfileFindings,
    found_by: dict[str, ProfileFindings],
    promise: str,
    obstacles: list[str],
    run_wide: list[str],
    met: list[Exposure],
) -> PromiseCase:
    info = run.info
    anomaly = anomaly_of(promise)
    named = info.aims.get(anomaly)
    control = found_by.get(named) if named is not None else None
    chosen = trials(info, anomaly, met) if named is not None else met
    result, hits = None, [0] * len(chosen)
    if control is not None:
        faults, aimed = [each.fault for each in met], [each.fault for each in chosen]
        result, hits = control_result(control, anomaly, run.timeline, faults, aimed)
    return PromiseCase(
        promise=promise,
        observed=found.counts[anomaly],
        breaches=found.profile.envelope_breaches,
        not_shown=found.not_shown.get(anomaly, ""),
        obstacles=[*found.blind.get(anomaly, ()), *obstacles],
        run_obstacles=run_wide,
        aimed_control=named,
        control=result,
        control_unlike="" if control is None else unlike(control.profile, found.profile, anomaly),
        control_left_out=not info.control,
        exposures=chosen,
        broke_in=hits,
        unseen=found.counts["unseen"] if anomaly == "lost" else 0,
        recorded_elsewhere=run.elsewhere is not None,
        skipped_lines=_skipped(run),
        firm=_firm(run, found, anomaly),
        undone=run.elsewhere is not None and anomaly in run.elsewhere.undone,
        known_defect=_known_defect(run, found, anomaly, met),
    )


def _skipped(run: RunRecord) -> int:
    """How much could not be read: lines of a history or of a run's timeline."""
    if run.elsewhere is not None:
        return run.elsewhere.skipped
    return run.timeline.unreadable


def _firm(run: RunRecord, found: ProfileFindings, anomaly: str) -> bool:
    """Whether what could not be read cannot undo it. A run's timeline tells of faults, and only
    hung_txn leaves their windows out; and it tells which ledgers there have to be, and a phantom of
    a producer without one may have an attempt in such a ledger."""
    if run.elsewhere is not None:
        return anomaly in run.elsewhere.firm
    if anomaly == "phantom" and found.counts["phantom"] > found.phantoms_without_ledger:
        return True
    return anomaly not in ("hung_txn", "phantom") or not run.timeline.unreadable


def _known_defect(run: RunRecord, found: ProfileFindings, anomaly: str, met: list[Exposure]) -> str:
    """The name of a known defect whose conditions and effect match what was found."""
    profile = found.profile
    idempotent = str(profile.producer.get("enable.idempotence", "")).lower() in ("true", "1", "t")
    graceful = any(each.fault.seen.graceful for each in met)
    if anomaly == "duplicate" and idempotent and "_MSG_TIMED_OUT" in _failure_codes(run, found):
        return TIMED_OUT_IN_CLIENT
    if anomaly == "duplicate" and (idempotent or profile.transactional) and graceful:
        return LIBRDKAFKA_4953
    if anomaly == "torn_txn" and met:
        return KAFKA_17754
    return ""


def _failure_codes(run: RunRecord, found: ProfileFindings) -> set[str]:
    """The client's reasons for attempts of a profile that ended without an acknowledgement."""
    topics = found.profile.topics
    return {reason for topic, _, reason in run.timeline.failures if topic in topics}


def _reasons(
    run: RunRecord,
    profiles: list[ProfileVerdict],
    findings: list[ProfileFindings],
    run_wide: list[str],
) -> list[str]:
    """Why the run's verdict is what it is, the gravest first."""
    info = run.info
    counted = [each for each in profiles if each.in_verdict]
    reasons = [
        f"{each.profile}: {promise.promise} is broken: {promise.reason}"
        for each in counted
        for promise in each.promises
        if promise.verdict == BROKEN
    ]
    reasons += [f"the run: {obstacle}" for obstacle in run_wide]
    reasons += _nothing_judged(profiles)
    for each in counted:
        reasons += _inconclusive(each)
        outside: dict[str, list[str]] = {}
        for promise in each.promises:
            if promise.verdict == NOT_APPLICABLE:
                outside.setdefault(promise.reason, []).append(promise.promise)
        for reason, names in outside.items():
            which = "its promises do" if len(names) == len(each.promises) else (
                f"{', '.join(names)} {'does' if len(names) == 1 else 'do'}"
            )  # fmt: skip
            reasons.append(f"{each.profile}: {which} not apply: {reason}")
    if not reasons:
        reasons.append(
            _all_kept(counted) if run.elsewhere is None else _all_kept_elsewhere(counted)
        )
    if info.aims and not info.control:
        reasons.append(
            "controls were left out (--no-control): what an experiment aims at is proven only "
            "where the profile that it names as control took part anyway"
        )
    reasons += disturbance_notes(disturbances(run.timeline))
    for each in counted:
        notes = load_notes(each.load, each.counts["attempted"])
        reasons += [f"{each.profile}: {note}" for note in notes if not _said(note, reasons)]
    reasons += hole_notes(run)
    for found in findings:
        total = sum(found.foreign_runs.values())
        if total and run.elsewhere is not None:
            records = "1 record was" if total == 1 else f"{total} records were"
            reasons.append(
                f"{records} read that no producer of this history sent: foreign, and no anomaly"
            )
        elif total:
            runs = ", ".join(f"{each:016x}" for each in sorted(found.foreign_runs)[:3])
            reasons.append(
                f"{found.profile.profile}: its topics hold {total} records of another run "
                f"(run hash {runs}); they are counted as foreign and are no anomaly"
            )
        reasons += _superseded(found)
    if run.elsewhere is not None:
        reasons += run.elsewhere.notes
    if run.timeline.torn:
        reasons.append(
            "the last line of timeline.ndjson breaks off, as that of a process that died while it "
            "wrote, and was passed over"
        )
    return reasons


def _superseded(found: ProfileFindings) -> list[str]:
    """What compaction may have removed, and is no loss."""
    count = found.keyed.superseded
    if not count:
        return []
    records = "1 acknowledged record is" if count == 1 else f"{count} acknowledged records are"
    return [
        f"{found.profile.profile}: {records} gone from a compacted topic as compaction "
        "removes them (a later record has the key, or it was a tombstone): superseded, and not lost"
    ]


def _said(note: str, reasons: list[str]) -> bool:
    """Whether a reason says it already, as what keeps promises from being judged."""
    return any(note in reason for reason in reasons)


def _nothing_judged(profiles: list[ProfileVerdict]) -> list[str]:
    """Why a run that has no applicable promise shows nothing, and what would change that."""
    promises = [promise for each in profiles if each.in_verdict for promise in each.promises]
    of_delivery = [each for each in promises if each.threshold is None]
    # A threshold that holds does not stand for promises about delivery of which none was judged.
    if any(each.verdict != NOT_APPLICABLE for each in of_delivery or promises):
        return []
    why = []
    for each in profiles:
        if each.role == "control":
            continue
        if not each.in_verdict:
            why.append(f"{each.profile} does not count in a verdict")
        elif not each.promises:
            why.append(f"{each.profile} promises nothing")
        else:
            why.append(f"the promises of {each.profile} do not apply")
    what = "nothing was judged, so nothing was shown to be kept"
    if any(each.verdict != NOT_APPLICABLE for each in promises):
        what = "nothing but thresholds was judged, so nothing was shown to be delivered"
    return [
        f"{what}: {'; '.join(why) or 'no profile'}. "
        "Promises apply to a profile that makes some, on a topic with replication.factor 3 or "
        "more, min.insync.replicas 2 or more and unclean.leader.election.enable=false"
    ]


def _all_kept_elsewhere(profiles: list[ProfileVerdict]) -> str:
    """What a history without any complaint has shown."""
    promises = sum(len(each.promises) for each in profiles)
    return (
        f"all {promises} promises were kept in this history; none was challenged, since a history "
        "has no control under the same faults"
    )


def _rounds(run: RunRecord) -> list[str]:
    """Why the rounds of a run that was to reach a bound ended."""
    bound = run.info.until_bound
    if bound is None:
        return []
    ended = run.timeline.phase("bound")
    reason = "the run ended before its first round did" if ended is None else ended.reason
    return [f"--until-bound {bound:g}: {reason}"]


def _all_kept(profiles: list[ProfileVerdict]) -> str:
    """What a run without any complaint has shown."""
    promises = [promise for each in profiles for promise in each.promises]
    challenged = sum(promise.challenged for promise in promises)
    who = "1 profile" if len(profiles) == 1 else f"{len(profiles)} profiles"
    return (
        f"all {len(promises)} promises of {who} were kept, {challenged} of them challenged by "
        "faults that broke a control"
    )


def _inconclusive(profile: ProfileVerdict) -> list[str]:
    """Inconclusive promises of a profile, those with the same reason in one sentence.

    What concerns the whole run is said once, and not again for each profile.
    """
    by_reason: dict[str, list[str]] = {}
    for promise in profile.promises:
        if promise.verdict == INCONCLUSIVE and not promise.reason.startswith(WHOLE_RUN):
            by_reason.setdefault(promise.reason, []).append(promise.promise)
    return [
        f"{profile.profile}: {', '.join(promises)} inconclusive: {reason}"
        for reason, promises in by_reason.items()
    ]
