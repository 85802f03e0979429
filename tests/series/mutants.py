"""Are the rules held by tests? Each rule is changed, one at a time, and the tests must notice.

    python -m tests.series.mutants [--only NUMBER …] [--jobs N]

Every mutant is a replacement in one source file. It is made in a copy of the project, and the
tests that need no broker run against the copy until the first one fails. A mutant that no test
notices has survived: then a rule could be wrong, and nobody would know. Ends with 1 if any has.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("harness", "tests", "experiments", "reports/schemas", "reports/templates",
                 "scenarios", "docs", "pyproject.toml", "README.md", "Makefile")  # fmt: skip
STAGES: Final = (
    ("tests/unit/test_golden.py",),
    (
        "tests/unit/test_reconcile.py",
        "tests/unit/test_judge.py",
        "tests/unit/test_stretches.py",
        "tests/unit/test_judge_load.py",
        "tests/unit/test_thresholds.py",
        "tests/unit/test_judge_windows.py",
        "tests/unit/test_statistics.py",
        "tests/unit/test_disturbances.py",
        "tests/unit/test_faults_evidence.py",
        "tests/unit/test_recorded_evidence.py",
        "tests/unit/test_replicas.py",
        "tests/unit/test_consumers.py",
        "tests/unit/test_judge_consumers.py",
        "tests/unit/test_keys.py",
        "tests/unit/test_keyed.py",
        "tests/unit/test_shares.py",
        "tests/unit/test_transaction_logs.py",
        "tests/unit/test_history_transactions.py",
        "tests/unit/test_isolation.py",
        "tests/unit/test_holes.py",
        "tests/unit/test_run_damage.py",
        "tests/unit/test_row_damage.py",
        "tests/unit/test_anywhere.py",
        "tests/unit/test_full_disk.py",
        "tests/unit/test_documents.py",
    ),
    (
        "tests/unit/test_judge_availability.py",
        "tests/unit/test_drain.py",
    ),
    (
        "tests/unit/test_saying_more.py",
        "tests/unit/test_histories.py",
        "tests/unit/test_history_input.py",
        "tests/unit/test_history_keys.py",
        "tests/unit/test_topic_ids.py",
        "tests/unit/test_judged_apart.py",
        "tests/unit/test_verifiable.py",
        "tests/unit/test_history_groups.py",
        "tests/unit/test_share_tool.py",
    ),
    (
        "tests/unit/test_generated_histories.py",
        "tests/unit/test_reconcile_property.py",
        "tests/unit/test_consumers_property.py",
    ),
)
"""The quickest first: most mutants fall to the golden histories."""
FIRST: Final = {
    "harness/judge/loading.py": "tests/unit/test_judge_load.py",
    "harness/judge/thresholds.py": "tests/unit/test_thresholds.py",
    "harness/profiles/threshold.py": "tests/unit/test_thresholds.py",
    "harness/rundir/load_events.py": "tests/unit/test_judge_load.py",
    "harness/judge/fault_windows.py": "tests/unit/test_judge_windows.py",
    "harness/judge/control_so_far.py": "tests/unit/test_statistics.py",
    "harness/reconcile/send_times.py": "tests/unit/test_judge_windows.py",
    "harness/reconcile/consumers/effect_times.py": "tests/unit/test_judge_windows.py",
    "harness/judge/disturbances.py": "tests/unit/test_disturbances.py",
    "harness/judge/explain/whereabouts.py": "tests/unit/test_replicas.py",
    "harness/judge/": "tests/unit/test_judge.py",
    "harness/reconcile/unconfirmed.py": "tests/unit/test_stretches.py",
    "harness/rundir/transaction_steps.py": "tests/unit/test_transaction_logs.py",
    "harness/reconcile/transaction_tally.py": "tests/unit/test_transaction_logs.py",
    "harness/reconcile/compaction.py": "tests/unit/test_history_keys.py",
    "harness/history/keys.py": "tests/unit/test_history_keys.py",
    "harness/history/deleted_topics.py": "tests/unit/test_topic_ids.py",
    "harness/reconcile/transaction_rules.py": "tests/unit/test_transaction_logs.py",
    "harness/reconcile/consumers/": "tests/unit/test_consumers.py",
    "harness/rundir/rows.py": "tests/unit/test_row_damage.py",
    "harness/rundir/events.py": "tests/unit/test_run_damage.py",
    "harness/rundir/documents.py": "tests/unit/test_old_runs.py",
    "harness/reconcile/hung.py": "tests/unit/test_history_transactions.py",
    "harness/reconcile/blind_spots.py": "tests/unit/test_history_transactions.py",
    "harness/history/torn_lines.py": "tests/unit/test_history_input.py",
    "harness/replicas/held_offsets.py": "tests/unit/test_holes.py",
    "harness/rundir/holes.py": "tests/unit/test_holes.py",
    "harness/read/read_positions.py": "tests/unit/test_holes.py",
    "harness/rundir/run_record.py": "tests/unit/test_run_damage.py",
    "harness/rundir/timeline.py": "tests/unit/test_run_damage.py",
    "harness/reconcile/anywhere.py": "tests/unit/test_anywhere.py",
    "harness/reconcile/partition_walk.py": "tests/unit/test_anywhere.py",
    "harness/rundir/drained.py": "tests/unit/test_anywhere.py",
    "harness/rundir/copies.py": "tests/unit/test_anywhere.py",
    "harness/rundir/observations.py": "tests/unit/test_anywhere.py",
    "harness/record/": "tests/unit/test_codecs.py",
    "harness/replicas/search.py": "tests/unit/test_codecs.py",
    "harness/rundir/run_info.py": "tests/unit/test_codecs.py",
    "harness/load/outcomes.py": "tests/unit/test_delivery_reports.py",
}
"""Where a mutant is most likely to fall, by where it is made."""
TIMEOUT_S: Final = 600.0
FAILED_TESTS: Final = 1
"""Exit code of pytest when tests failed; others mean that it could not run them."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one rule."""

    path: str
    old: str
    new: str


def _in(path: str, *changes: tuple[str, str]) -> list[Mutant]:
    return [Mutant(f"harness/{path}", old, new) for old, new in changes]


MUTANTS: Final[Sequence[Mutant]] = [
    *_in(
        "judge/thresholds.py",
        ("        if case.partial:\n", "        if False:\n"),
        ("            return not threshold.holds(self.known)\n", "            return False\n"),
        ("not threshold.holds(self.least) and not", "not"),
        ("    if case.obstacles:\n", "    if False:\n"),
        ("    if case.run_obstacles:\n", "    if False:\n"),
        ("    if unknown or not case.values:\n", "    if not case.values:\n"),
        ("    if case.not_applicable:\n", "    if False:\n"),
        ("    upper = threshold.comparison.startswith", "    upper = not threshold.comparison.startswith"),
        ("[*evidence.of_profile, *([] if about_load", "[*evidence.of_profile, *([] if not about_load"),
        ("(load.planned - load.unsent) / load.planned", "load.planned / load.planned"),
        ("if each.outcome == outcome)", ")"),
        ("        partial=evidence.partial,\n", ""),
        ("        run_obstacles=evidence.run_wide,\n", ""),
        ("lasted_us = int(series.to_us[-1]) - faults[0].injected_us", "lasted_us = 0"),
    ),
    *_in(
        "profiles/threshold.py",
        ('"<": lambda value, limit: value < limit', '"<": lambda value, limit: value <= limit'),
        ('">=": lambda value, limit: value >= limit', '">=": lambda value, limit: value > limit'),
        ("and value > 1 else value", "and value > 2 else value"),
    ),
    *_in(
        "judge/judge.py",
        ("for each in of_delivery or promises)", "for each in promises)"),
    ),
    *_in(
        "reconcile/lane.py",
        ("        self._lost(first, state, acked_at, present, live_at, more_live)\n", ""),
        ("        self._phantoms(first, attempted, drained_at)\n", ""),
        ("        self._vanished(first, *only_live)\n", ""),
        ("        self.gaps.add(first, state, present)\n", ""),
        ("        self._failed_visible(first, state, drained_at, live_at)\n", ""),
        ("        self._inconsistent(first, acked_at, drained_at, copies, live_at, more_live)\n", ""),
        ("absent = (state >= SENT) & ~present", "absent = (state > SENT) & ~present"),
        ("absent = (state >= SENT) & ~present", "absent = (state >= UNKNOWN) & ~present"),
        ("absent = (state >= SENT) & ~present", "absent = (state >= SENT) & present"),
        ("absent & ~reachable, acked_at", "absent & reachable, acked_at"),
        ('else:\n            self._found("unseen", first, absent, acked_at)', 'else:\n            self._found("lost", first, absent, acked_at)'),
        ("copies.sequences[~ours], copies.offsets[~ours]", "copies.sequences[ours], copies.offsets[ours]"),
        ('"duplicate", first + copies.sequences[ours], copies.offsets[ours]', '"duplicate", first + copies.sequences[~ours], copies.offsets[~ours]'),
        ("strays = ~attempted & (drained_at >= 0)", "strays = ~attempted & (drained_at > 0)"),
        ("if self._unaccounted(len(sequences)):", "if False:"),
        ("if not self._unaccounted(len(strays)):", "if True:"),
        ("self.found.phantoms_without_ledger += count", "pass"),
        ("(state == FAILED) & (at >= 0)", "(state == UNKNOWN) & (at >= 0)"),
        ("np.where(drained_at >= 0, drained_at, live_at)\n        self._found", "drained_at\n        self._found"),
        ("return (acked_at >= 0) & self.proof.reaches(acked_at)", "return np.zeros(len(acked_at), dtype=np.bool_)"),
        ("return (acked_at >= 0) & self.proof.reaches(acked_at)", "return np.ones(len(acked_at), dtype=np.bool_)"),
        ("(acked_at >= 0) & (acked_at != drained_at) & (acked_at != live_at)", "(acked_at >= 0) & (acked_at > drained_at) & (acked_at != live_at)"),
        ("(acked_at >= 0) & (acked_at != drained_at) & (acked_at != live_at)", "(acked_at >= 0) & (acked_at != drained_at)"),
        ("where = where[~further.holds(where, acked_at[where])]", "where = where[further.holds(where, acked_at[where])]"),
        ("for further in (copies, more_live, self.set_aside.within(first, len(acked_at))):", "for further in (copies, self.set_aside.within(first, len(acked_at))):"),
        ("for further in (copies, more_live, self.set_aside.within(first, len(acked_at))):", "for further in (copies, more_live):"),
        ("elif self.partition_walk.no_copies:", "elif True:"),
        ("elif self.partition_walk.no_copies:", "elif False:"),
        ("shown |= drained | (live_at[where] >= 0)", "shown |= drained"),
        ("self.partition_walk.claims.add(self.incarnation, first + where[~shown], at[~shown])", "pass"),
        ("present[where] | (at != live_at[where])", "present[where]"),
        ("present[where] | (at != live_at[where])", "(at != live_at[where])"),
        ("further = attempted[where] & (", "further = ("),
        ("where, at = where[~within], at[~within]\n", "return\n"),
        ("again = returned & (live_at == drained_at)", "again = returned & (live_at >= 0)"),
        ("self.partition_walk.coverage.again += int(np.count_nonzero(seen_live))", "pass"),
        ("(live_at >= 0) & (live_at != drained_at)", "(live_at >= 0) & (drained_at < 0)"),
        ("early = called_us == NEVER_US", "early = called_us < 0"),
        ("(read_us[visible] >= 0) & (read_us[visible] < called_us)", "(read_us[visible] >= 0) & (read_us[visible] <= called_us)"),
        ("(read_us[visible] >= 0) & (read_us[visible] < called_us)", "(read_us[visible] < called_us)"),
        ("member = attempted & (state != FAILED)", "member = attempted"),
        ("unknown = (state == UNKNOWN) | (state == OPEN)", "unknown = state == UNKNOWN"),
        ("by_state[ACKED:].sum() + by_state[ACKED_NO_OFFSET]", "by_state[ACKED:].sum()"),
        ('np.count_nonzero(attempted & present)', 'np.count_nonzero(present)'),
    ),
    *_in(
        "reconcile/compaction.py",
        ("keyed & (self.newest[key_indices] > at)", "(self.newest[key_indices] > at)"),
        ("keyed & (self.newest[key_indices] > at)", "keyed & (self.newest[key_indices] >= at)"),
        ("keyed & (self.newest[key_indices] > at)", "keyed & (self.acked[key_indices] > at)"),
        ("deleted = keyed & tombstones & ~followed & (self.present[key_indices] < 0)", "deleted = keyed & tombstones & ~followed"),
        ("deleted = keyed & tombstones & ~followed & (self.present[key_indices] < 0)", "deleted = np.zeros_like(keyed)"),
        ("doubtful = ~keyed | tombstones | (at < self.nameless_reach)", "doubtful = tombstones | (at < self.nameless_reach)"),
        ("doubtful = ~keyed | tombstones | (at < self.nameless_reach)", "doubtful = ~keyed | (at < self.nameless_reach)"),
        ("doubtful = ~keyed | tombstones | (at < self.nameless_reach)", "doubtful = ~keyed | tombstones"),
        ("| (self.aside[key_indices] > at)", ""),
        ("doubtful |= self.deleted[key_indices] | self.deleted[-1]", "doubtful |= self.deleted[-1]"),
        ("doubtful |= self.deleted[key_indices] | self.deleted[-1]", "doubtful |= self.deleted[key_indices]"),
        ("nowhere = (state != NEVER) & (state != FAILED) & (state < ACKED)", "nowhere = (state != NEVER) & (state < ACKED)"),
        ("counts = state[hidden.sequences] != FAILED", "counts = state[hidden.sequences] >= NEVER"),
        ("        values.deleted[numbered.deleted_anywhere] = True", "        pass"),
        ("lost = known & standing.last & reachable", "lost = known & standing.last"),
        ("unseen = known & (standing.open | (standing.last & ~reachable))", "unseen = known & standing.open"),
        ("at = np.maximum(acked_at, live_at)", "at = acked_at.copy()"),
        ("self._walk.found.perhaps_compacted += int(np.count_nonzero(standing.open))", "pass"),
        ("unseen |= known & standing.deleted & ~reachable", "pass"),
    ),
    *_in(
        "reconcile/key_order.py",
        ("return np.sort(order[(at >= 0) & (at < before)])", "return np.sort(order[(at >= 0) & (at > before)])"),
        ("order = order[of_key[order] >= 0]", ""),
        ("self._highest[mine[ends]] = highest[ends]", "pass"),
    ),
    *_in(
        "history/deleted_topics.py",
        ("if len(ids) > 1:", "if len(ids) > 0:"),
        ("if last == identity:", "if True:"),
        ("claim = DrainClaim(False, None, None, None, None, reason)", "claim = DrainClaim(True, None, None, None, None, reason)"),
        ("(home[of] != said[of]) | (said[of] == _NOT_KNOWN)", "home[of] != said[of]"),
        ("(home[of] != said[of]) | (said[of] == _NOT_KNOWN)", "said[of] == _NOT_KNOWN"),
        ("seen[(seen < 0) & final] = self.last", "seen[seen < 0] = self.last"),
        ("kept = (seen == where) & (where != _NOT_KNOWN)", "kept = np.ones(len(where), dtype=np.bool_)"),
        ("home[of_read[first_live]] = seen[first_live]", "pass"),
        ("            (of_outcomes, outcomes.column(\"topic_id\")[self.decided]),\n", ""),
        ("home[of_read[final]] = seen[final]", "pass"),
        ("said = self.history.ids_of_drains.get(self.topic)", "said = None"),
        ("return int(of_reading[0]) if len(of_reading) == 1 else _LAST", "return _LAST"),
        ("table.keep(table.column(\"topic\") != topic)", "pass"),
        ("history.blind.update(dict.fromkeys(CONSUMER_ANOMALIES, reason))", "pass"),
    ),
    *_in(
        "history/keys.py",
        ("((self._read, observed), (self._attempt[\"key\"], attempted))", "((self._attempt[\"key\"], attempted), (self._read, observed))"),
        ("deletes = (attempts.column(\"tombstone\") > 0) & (attempts.column(\"state\") != FAILED)", "deletes = attempts.column(\"tombstone\") > 0"),
        ("np.append(pairs, unknown)", "pairs"),
    ),
    *_in(
        "history/proofs.py",
        ("compacted = history.compacted.get(key[0], profile.compacted)", "compacted = profile.compacted"),
    ),
    *_in(
        "reconcile/order.py",
        ("acknowledged = state >= SENT", "acknowledged = state >= UNKNOWN"),
        ("(places >= 0) & (places < before)", "(places >= 0) & (places > before)"),
        ("(places >= 0) & (places < before)", "acknowledged & (places < before)"),
        ("before[0] = self._highest", "before[0] = -1"),
        ("| (state == FAILED)] = _NONE", "] = _NONE"),
        ("places = np.where(read_at >= 0, read_at, acked_at)", "places = read_at"),
        ("np.where(drained_at >= 0, drained_at, live_at)", "drained_at"),
        ("if walk.proof.proven and not walk.proof.floor:", "if True:"),
        ("acknowledged & walk.proof.reaches(places - 1)", "acknowledged"),
        ("if walk.proof.proven and not walk.proof.floor:", "if False:"),
        ("np.minimum(places, acked_at), _NONE)", "places, _NONE)"),
        ("self._keys.rising(first, at)", "pass"),
        ("int(at[0]) <= self._highest or", "False or"),
    ),
    *_in(
        "reconcile/unconfirmed.py",
        ("steps = (np.diff(at) != 1) | (np.diff(numbers) != 1)", "steps = np.diff(at) != 1"),
        ("again[firsts] = False", "again[firsts] = True"),
        ("free = ~np.isin(at, taken)", "free = np.ones(len(at), dtype=np.bool_)"),
        ("apart[1:] = begins[1:] > np.maximum.accumulate(ends)[:-1]", "apart[1:] = begins[1:] > ends[:-1]"),
        ("found.append(at[at <= highs[", "found.append(at[at < highs["),
    ),
    *_in(
        "rundir/drained.py",
        ("return self.proven and self.floor == 0 and", "return self.proven and"),
        ("self.floor == 0 and self.ceiling is None", "self.floor == 0"),
        ("(at >= self.floor) & below", "(at > self.floor) & below"),
        ("at < self.ceiling", "at <= self.ceiling"),
        ('if transactional and from_somewhere and last_stable != end:', 'if transactional and last_stable is None:'),
    ),
    *_in(
        "rundir/rows.py",
        ("if whole and size % dtype.itemsize:", "if size % dtype.itemsize:"),
        ("if whole and size % dtype.itemsize:", "if False:"),
        ("if said != there:", "if said < there:"),
        ("if said != there:", "if said > there:"),
        ("if written.counts is not None and not path.exists():", "if False:"),
        ("(ours & (rows[\"run\"] != run))", "(ours & False)"),
        ("((kind == FOREIGN) & (rows[\"run\"] == run))", "False"),
        ("(at_home & ~home) |", ""),
        ("| ((kind == MISROUTED) & home)", ""),
        ("| (last < first)", ""),
        ("(offsets < 0) | (offsets > OFFSET_MAX)", "offsets < 0"),
        ('rows["partition"] >= info.load.partitions', 'rows["partition"] > info.load.partitions'),
    ),
    *_in(
        "rundir/event_lines.py",
        ("    if kind is None:\n        raise ValueError(", "    if kind is None:\n        return RunEvent(phase='ended')\n    if kind is None:\n        raise ValueError("),
        ("    event = typed(kind, document)\n    to_us(event.at)", "    event = typed(kind, document)"),
    ),
    *_in(
        "rundir/events.py",
        ("lag_ms_max: LagMs", "lag_ms_max: float"),
        ("gt=-(1 << 62), lt=1 << 62", "gt=-(1 << 99), lt=1 << 99"),
    ),
    *_in(
        "rundir/documents.py",
        ("if (said, number.partition(\".\")[0]) != (name, version):", "if said != name:"),
        ("if (said, number.partition(\".\")[0]) != (name, version):", "if schema != known:"),
        ("if len(found) < len(pairs):", "if False:"),
        ("and _LOOSE_COLON.search(data) is None:", "and True:"),
        ("if _keys(document) == data.count(b'\":') and", "if"),
    ),
    *_in(
        "rundir/drained.py",
        ("if drained.proven and holes[key].obstacle:", "if holes[key].obstacle and not drained.proven:"),
        ("unchecked=count, unchecked_why=why", "unchecked_why=why"),
    ),
    *_in(
        "rundir/holes.py",
        ("hole & looked_at & ~marker & ~aborted & ~is_open", "hole & looked_at & ~marker & ~aborted & ~is_open & ~absent"),
        ("hole & looked_at & ~marker & ~aborted & ~is_open", "hole & looked_at & ~marker & ~aborted"),
        ("hole & looked_at & ~marker & ~aborted & ~is_open", "hole & looked_at & ~marker & ~is_open"),
        ("hole & looked_at & ~marker & ~aborted & ~is_open", "hole & ~marker & ~aborted & ~is_open"),
        ("is_open &= pieces.begins >= (last_stable or 0)", "is_open &= pieces.begins > (last_stable or 0)"),
        ("is_open &= pieces.begins >= (last_stable or 0)", "pass"),
        ("if (passed & (marker | absent)).any():", "if (passed & marker).any():"),
        ("if (passed & (marker | absent)).any():", "if (passed & absent).any():"),
        ("if (passed & (marker | absent)).any():", "if (passed & (marker | absent | aborted)).any():"),
        ("(self.begins <= ranges[index, 1])", "(self.begins < ranges[index, 1])"),
        ("cuts += [each[:, 0] for each in ranges] + [each[:, 1] + 1 for each in ranges]", "cuts += [each[:, 0] for each in ranges]"),
        ("(pairs[1:, 0] <= pairs[:-1, 1]).any()", "False"),
    ),
    *_in(
        "read/read_positions.py",
        ("np.concatenate([[self.next - 1], offsets[:-1]])", "np.concatenate([[offsets[0] - 1], offsets[:-1]])"),
        ("before[ends] + 1, offsets[ends] - 1]", "before[ends] + 1, offsets[ends]]"),
        ("            if self.noting:\n                self._note(np.array([[self.next, offset - 1]]))\n", ""),
    ),
    *_in(
        "replicas/held_offsets.py",
        ("if batch.base_offset >= end:", "if batch.base_offset > end:"),
        ("if each[0] <= batch.producer_epoch]", "if each[0] == batch.producer_epoch]"),
        ("if each[0] <= batch.producer_epoch]", "]"),
        ("if kind not in (ABORT, COMMIT):", "if False:"),
        ("if kind == ABORT:", "if kind == COMMIT:"),
        ("if not crc_holds(data, batch):", "if False:"),
        ("first = max(batch.base_offset, self._start)", "first = batch.base_offset"),
        ("batches[-1][0] == batch.producer_epoch and", ""),
        ("if first > self.next:", "if False:"),
        ("if after <= batch.last_offset:", "if False:"),
        ("if batch.transactional:", "if True:"),
        ("end = max(min(self.next, self._end), self._start)", "end = self._end"),
    ),
    *_in(
        "reconcile/gaps.py",
        ("missing = (state >= OPEN) & (state <= UNKNOWN) & ~present", "missing = (state > OPEN) & (state <= UNKNOWN) & ~present"),
        ("missing = (state >= OPEN) & (state <= UNKNOWN) & ~present", "missing = (state >= OPEN) & (state < UNKNOWN) & ~present"),
        ("begin = 0 if self._acknowledged else int(acknowledged[0])", "begin = 0"),
        ("(states == COMMITTED) | (states == UNDECIDED)", "(states == COMMITTED)"),
        ("elif self._acknowledged:", "else:"),
    ),
    *_in(
        "rundir/copies.py",
        ("distinct[1:] |= offsets[1:] != offsets[:-1]", "distinct[1:] = True"),
        ("further = distinct & ~first", "further = distinct"),
    ),
    *_in(
        "reconcile/partition.py",
        ("{_record(row) for row in seen} - here", "{_record(row) for row in seen}"),
        ('identity = ("incarnation", "sequence", "identity_topic", "identity_partition")', "identity = ()"),
        ('counts["corrupt"] += len(corrupt)', 'counts["corrupt"] += len(misrouted)'),
        ("gone = gone[reached]", "gone = gone[:0]"),
        ("self.walk.suspects.add(None, None, gone[~reached])", "pass"),
        ("yield extras.offsets_but_corrupt", "yield extras.offsets"),
        ("for live, extras in ((False, self.drained), (True, self.live)):", "for live, extras in ((False, self.drained),):"),
    ),
    *_in(
        "reconcile/transaction_rules.py",
        ("visible = (tally.drained > 0) | (tally.live > 0)", "visible = (tally.drained > 0)"),
        ("((log.states == UNDECIDED) & visible)", "(log.states == UNDECIDED)"),
        ("lost = committed & (tally.members > 0) & (tally.absent == tally.members)", "lost = committed & (tally.members > 0) & (tally.absent > 0)"),
        ("torn = committed & (tally.absent > 0) & ~lost", "torn = committed & (tally.absent > 1) & ~lost"),
        ("torn = committed & (tally.absent > 0) & ~lost", "torn = committed & (tally.absent > 0)"),
        ("if unnamed:\n        tally.cut = True", "if False:\n        tally.cut = True"),
        ("tally.log.open_at_end and not closed", "tally.log.open_at_end"),
        ("tally.log.open_at_end and not closed", "not closed"),
        ("max(tally.uncommitted.total(), 0 if", "max(0, 0 if"),
    ),
    *_in(
        "reconcile/hung.py",
        ("> bound_us:\n            stuck.append", ">= bound_us:\n            stuck.append"),
        ("below = last_stable < high", "below = last_stable <= high"),
        ("changed[1:] |= below[1:] != below[:-1]", "pass"),
        ("if run.elsewhere is None else proof.ended_us", "if True else proof.ended_us"),
        ("ended_us - begun_us > bound_us", "ended_us - begun_us >= bound_us"),
        ("total += healed_us - start_us", "total += 0"),
        ("further_ms = ABORT_SCAN_MS + FAILOVER_MS", "further_ms = ABORT_SCAN_MS"),
        ("max(own_ms, USUAL_TIMEOUT_MS) if stated_ms is None", "own_ms if stated_ms is None"),
        ("own_ms = own_ms if stated_ms is None else stated_ms", "own_ms = own_ms"),
        ("if length_us > bound_us:", "if False:"),
        ("bool((np.diff(last_stable) < 0).any())", "False"),
        ("run.elsewhere.unsteady:\n        return", "False:\n        return"),
        ("if whole else None", "if True else None"),
    ),
    *_in(
        "rundir/transaction_steps.py",
        ("state in (COMMITTED, ABORTED, UNRECORDED) or (", "state == UNRECORDED or ("),
        ("if at_us < (self.last_step_us or 0):", "if False:"),
        ("if (firsts[1:] <= lasts[:-1]).any():", "if False:"),
        ("unknown |= called_us == NEVER_US", "pass"),
        ("unknown[-1] |= called_us[-1] == NEVER_US", "pass"),
        ("if not self.steady:\n            unknown[:] = True", "if False:\n            unknown[:] = True"),
        ("open_at_end=self._open and not torn and not self.damage", "open_at_end=self._open"),
        ("            if not torn:\n                bad.append(number)", "            bad.append(number)"),
    ),
    *_in(
        "reconcile/transaction_tally.py",
        ("committed[inside] = self.log.states[transactions[inside]] == COMMITTED", "pass"),
    ),
    *_in(
        "system/disk.py",
        ("torn = written % entry_bytes if entry_bytes else written", "torn = 0"),
        ("torn = written % entry_bytes if entry_bytes else written", "torn = written"),
        ("            self._failed = True", "            pass"),
    ),
    *_in(
        "history/proofs.py",
        ("if claim.last_stable is None or claim.end is None:", "if claim.end is None:"),
        ("if claim.last_stable != claim.end:", "if False:"),
        ("if self.held >= claim.end > self.live:", "if False:"),
        ("claim = replace(claim, end=None, last_stable=None, ended_us=None)", "pass"),
        ("if reached.committed and stable is not None and reading.highest >= stable:", "if False:"),
        ("if self.held >= claim.end > self.live:", "if self.held >= claim.end:"),
        ("acked.get(key, -1),", "-1,"),
        ("watched.get(key, -1),", "-1,"),
        ("others.get(key, -1),", "-1,"),
        ("-1 if other is None or other.end is None else other.end - 1,", "-1,"),
        ("ceiling = max(self.highest + 1, stable)", "ceiling = self.highest + 1"),
    ),
    *_in(
        "history/torn_lines.py",
        ("_UNDOES.get(name, _EVERY)", "_UNDOES.get(name, frozenset())"),
        ('if name == "outcome" and within:', "if False:"),
        ('if name in ("attempt", "outcome") and history.homes_found:', "if False:"),
    ),
    *_in(
        "history/build.py",
        ("self.elsewhere.undone = undone - self.elsewhere.firm", "self.elsewhere.undone = undone"),
    ),
    *_in(
        "judge/promises.py",
        ("if case.observed and case.undone:", "if False:"),
    ),
    *_in(
        "reconcile/partition.py",
        ("if sum(len(at) for *_, at in beside) > sum(len(at) for *_, at in gone):", "if False:"),
        ("if sum(len(at) for *_, at in beside) > sum(len(at) for *_, at in gone):", "if True:"),
    ),
    *_in(
        "reconcile/hung.py",
        ("believed = proof.proven and proof.ceiling is None and", "believed ="),
        ("over_us += bound_us", "pass"),
        ("(at_us > over_us) & (last_stable >= high)", "(at_us > over_us)"),
        ("(at_us > over_us) & (last_stable >= high)", "(at_us >= over_us) & (last_stable >= high)"),
    ),
    *_in(
        "reconcile/blind_spots.py",
        ('if found.counts["failed_visible"]:', "if False:"),
    ),
    *_in(
        "history/unknown_partitions.py",
        ("np.where(sent_topic == read_topic, read_from, -1)", "read_from"),
        ("np.where(sent_partition >= 0, sent_partition, says)", "says"),
        ("mine &= (sent_partition < 0) | (sent_partition == read_from)", "mine &= sent_partition < 0"),
    ),
    *_in(
        "history/isolation_levels.py",
        ("chosen[rows[refused]] = False", "pass"),
        ("chosen[rows[~uncommitted]] = False", "pass"),
        ("chosen[shown] = False", "pass"),
    ),
    *_in(
        "history/build.py",
        ("if history.unsteady:", "if False:"),
        ("& timed_of(reads)[rows]", "& (reads.read_us[rows] >= 0)"),
    ),
    *_in(
        "history/torn_lines.py",
        ("if history.homes_found:", "if False:"),
    ),
    *_in(
        "history/judging.py",
        ("if empty and len(refusals.torn) == torn:", "if empty:"),
        ("if not readers.any:", "if False:"),
    ),
    *_in(
        "history/set_aside.py",
        ("alone &= first", "pass"),
        ("markers = min(bare, ended)", "markers = bare"),
        ("return (end, end) if len(missed) else (low, high)", "return low, high"),
    ),
    *_in(
        "reconcile/partition.py",
        ("        yield self.aside.offsets_but_corrupt\n", ""),
        ("self.walk.suspects.add(incarnation, sequences, copies.offsets)", "pass"),
        ('np.sort(rows["offset"].astype(np.int64))', 'np.unique(rows["offset"].astype(np.int64))'),
    ),
    *_in(
        "history/steps.py",
        ("bad = ended | ((step == BEGIN) & ~first)", "bad = ended"),
        ("bad = ended | ((step == BEGIN) & ~first)", "bad = (step == BEGIN) & ~first"),
        (" | ((step == COMMITTED) & aborting)", ""),
        ("(at_us[1:] < at_us[:-1])", "(at_us[1:] <= at_us[:-1])"),
        ("if backward.any():", "if False:"),
        ("history.unsteady = True", "pass"),
    ),
    *_in(
        "history/transactions.py",
        ("states[indices] = UNCALLED", "states[:] = UNCALLED"),
        ("silent &= ~end_called", "pass"),
        ("states[silent & (states == UNCALLED)] = UNDECIDED", "pass"),
        ("called_us[silent | (states == UNRECORDED)] = NOT_KNOWN_US", "pass"),
        ("history.blind |= dict.fromkeys(needing(Needs.TRANSACTION_LOG), reason)", "pass"),
        ("if uncalled:", "if False:"),
    ),
    *_in(
        "reconcile/blind_spots.py",
        ("if not proof.proven:", "if False:"),
        ("elif proof.floor and", "elif False and"),
        ("elif proof.floor and not proof.floor_contradicted:", "elif proof.floor:"),
        ("if proof.reason:\n                    short", "if False:\n                    short"),
        ("LEAST_COVERAGE: Final = 0.95", "LEAST_COVERAGE: Final = 0.96"),
        ("run.elsewhere and not run.live.there", "False"),
        ("LEAST_COVERAGE: Final = 0.95", "LEAST_COVERAGE: Final = 0.9"),
        ("if late:", "if False:"),
    ),
    *_in(
        "reconcile/reconcile.py",
        ('if counts["attempted"] != sum(outcomes.values()):', "if False:"),
        ('if read != counts["read"]:', "if False:"),
    ),
    *_in(
        "rundir/proof.py",
        ("len(self.isr) < len(self.replicas)", "not self.isr"),
        ("if self.holes and not holes_allowed:", "if self.holes and holes_allowed:"),
        ("if self.log_start_after != self.start:", "if False:"),
        ("if self.log_end != self.end:", "if self.log_end is None:"),
        ("self.position < self.end or not self.eof", "self.position < self.end"),
    ),
    *_in(
        "rundir/read_times.py",
        ("(found >= 0) & (offsets <= self.lasts[found])", "(found >= 0) & (offsets < self.lasts[found])"),
        ("        if self.contested:", "        if False:"),
        ("timed[where[known[at[known] == drained_at[where[known]]]]] = True", "timed[where[known]] = True"),
    ),
    *_in(
        "judge/promises.py",
        ("    if case.breaches:\n", "    if False:\n"),
        ("    if case.obstacles:\n", "    if False:\n"),
        ("    if case.run_obstacles:\n", "    if False:\n"),
        ("    if not case.challenging:\n", "    if False:\n"),
        ("    if not case.trials:\n", "    if False:\n"),
        ("    if case.control_unlike:\n", "    if False:\n"),
        ("challenged=case.aimed and bool(trials)", "challenged=bool(trials)"),
        ("[exposure for exposure, count in hits if count]", "[exposure for exposure, count in hits]"),
        (
            "if case.observed and case.skipped_lines and not case.firm:",
            "if case.observed and case.skipped_lines > 1 and not case.firm:",
        ),
        ("bound_95_per_fault(len(trials)) if zero else None", "bound_95_per_fault(len(trials))"),
    ),
    *_in(
        "rundir/verdict.py",
        ("KEPT: 1, INCONCLUSIVE: 2, BROKEN: 3}", "KEPT: 1, INCONCLUSIVE: 3, BROKEN: 2}"),
        ("{NOT_APPLICABLE: 0, KEPT: 1,", "{NOT_APPLICABLE: 1, KEPT: 0,"),
        ("default=NOT_APPLICABLE", "default=KEPT"),
    ),
    *_in(
        "judge/judge.py",
        ("for each in profiles if each.in_verdict)\n    proven", "for each in profiles)\n    proven"),
        ("proven = not obstacles and", "proven ="),
        ("and not _nothing_judged(profiles)", ""),
        ("unseen=found.counts[\"unseen\"] if anomaly == \"lost\" else 0", "unseen=0"),
        ("trials(info, anomaly, met) if named is not None else met", "met"),
    ),
    *_in(
        "judge/fault_windows.py",
        ("min([fault.injected_us - BEFORE_US, *begins])", "min([fault.injected_us, *begins])"),
        ("min([fault.injected_us - BEFORE_US, *begins])", "fault.injected_us - BEFORE_US"),
        ("NO_END if fault.healed_us is None else fault.healed_us", "NO_END"),
        ("end_us = min(end_us, max(next_us, fault.injected_us))", "pass"),
        ('control.acks != "0" or profile.acks == "0"', 'control.acks != "0"'),
        ('anomaly != "lost" or control.acks', "control.acks"),
        ("unplaced=count - sum(inside) - outside", "unplaced=0"),
        ("                break\n", "                pass\n"),
    ),
    *_in(
        "judge/control_so_far.py",
        ("absent[absent < begin + int(there[-1])]", "absent"),
        ('(rows["incarnation"] == producer)', '(rows["incarnation"] != producer)'),
    ),
    *_in(
        "reconcile/send_times.py",
        ("slots is None or slots.total != self._attempted(incarnation)", "slots is None"),
        ("return timeline.sent.get((*topic_partition, incarnation))", "return None"),
    ),
    *_in(
        "reconcile/consumers/effect_times.py",
        ("return done_us[order][further - 1], done_us", "return done_us[order][further], done_us"),
    ),
    *_in(
        "judge/loading.py",
        ("load.unsent > UNSENT_SHARE_MAX * load.planned", "load.unsent >= UNSENT_SHARE_MAX * load.planned"),
        ("if missing > FAILED_SHARE_MAX * attempted:", "if missing >= FAILED_SHARE_MAX * attempted:"),
        ("if each.code not in _MEANT", "if True"),
        ("        if topic in found.profile.topics:\n", "        if topic:\n"),
        ("    if run.elsewhere is not None:\n", "    if False:\n"),
        ("min(begins) if begins else 0", "max(begins) if begins else 0"),
    ),
    *_in(
        "rundir/load_events.py",
        ("self.first_us = min(self.first_us, from_us)", "self.first_us = from_us"),
        ('np.searchsorted(upto, sequences, side="right")', 'np.searchsorted(upto, sequences, side="left")'),
    ),
    *_in(
        "judge/bounds.py",
        ("(1.0 - CONFIDENCE) ** (1.0 / faults_exposed)", "CONFIDENCE ** (1.0 / faults_exposed)"),
    ),
    *_in(
        "judge/exposure.py",
        ("if not bool((series.in_flight[later] > 0).any()):", "if False:"),
        ("before[-1].leader in fault.brokers", "before[0].leader in fault.brokers"),
        ("return int(after) > int(before)", "return int(after) >= int(before)"),
    ),
    *_in(
        "judge/disturbances.py",
        ("fault.healed_us + AFTER_US", "fault.healed_us"),
        ("if not any(begin <= sign.at_us <= end", "if True or not any(begin <= sign.at_us <= end"),
        ("if not fault.seen.members_alone]", "]"),
        ("change.leader_epoch > newest", "change.leader_epoch >= newest"),
        ("if before.brokers - after.brokers:", "if before.brokers != after.brokers:"),
        ("found[-1][-1].at_us <= APART_US", "found[-1][0].at_us < APART_US"),
    ),
    *_in(
        "rundir/fault_evidence.py",
        ('["nothing shows that anything was done"]', "[]"),
        ("if self.answered_past_link is not True:", "if self.answered_past_link is False:"),
        ("and self.epoch_after > self.epoch_before", "and self.epoch_after >= self.epoch_before"),
        ("*(f\"was done: {each.sentence()}\" for each in hit)", ""),
    ),
    *_in(
        "rundir/recorded_evidence.py",
        ('return self.document["nominal"] is True', 'return bool(self.document["nominal"])'),
        ("return self._fault == _NOMINAL", 'return not self._all("brokers")'),
    ),
    *_in(
        "brokers/local/evidence.py",
        ("if self.restarted_pid in (None, self.pid):", "if self.restarted_pid is None:"),
        ("if self.exit_status == _KILLED:", "if self.exit_status is not None:"),
    ),
    *_in(
        "judge/explain/whereabouts.py",
        ("gaps += _not_looked_at(replicas, key, led, acked_at)", "pass"),
        ("each.leader_epoch < now)", "each.leader_epoch <= now)"),
        ("log.successor_epoch <= followed)", "True)"),
        ("+ list(unexplained)", ""),
        ("== key and log.complete]", "== key]"),
    ),
    *_in(
        "judge/obstacles.py",
        ('if not counts["acked"] + counts["sent"]:', 'if not counts["acked"]:'),
        ('if not counts["attempted"]:', "if False:"),
        ("if worst_ms <= limit_ms:", "if True:"),
        ("if recorded < planned:", "if False:"),
    ),
    *_in(
        "reconcile/consumers/input_partition.py",
        ("missing = self.real[self.passed & ~self.done]", "missing = self.real[~self.done]"),
        ("missing = self.real[self.passed & ~self.done]", "missing = self.real[self.passed]"),
        ("distinct[times > 1]", "distinct[times > 2]"),
        ("return self.effects - self.distinct", "return self.effects"),
        ("self.passed[below] | self.done[below] | self.ended[below]", "self.passed[below] | self.done[below]"),
        ("if not self.proof.proven or self.proof.ceiling is not None or self.proof.end is None:", "if not self.proof.proven:"),
    ),
    *_in(
        "reconcile/consumers/entry_times.py",
        ("known = np.where(at_us >= 0, at_us, NEVER)", "known = at_us"),
        ("return Span(np.minimum(upto, since), np.maximum(upto, since))", "return Span(upto, upto)"),
        ("return Span(np.minimum(upto, since), np.maximum(upto, since))", "return Span(upto, since)"),
    ),
    *_in(
        "reconcile/consumers/commit_attempts.py",
        ('made["confirmed"] = steps[answers] == Step.COMMITTED', 'made["confirmed"] = True'),
        ('made["called"] = known | waited', 'made["called"] = True'),
        ('np.where(made["confirmed"], span.latest[indices[answers]], NEVER)', "span.latest[indices[answers]]"),
        ("offsets + (steps == Step.POLLED)", "offsets"),
        ("same = offsets[np.maximum(call, 0)] == offsets[answers]", "same = call >= 0"),
    ),
    *_in(
        "reconcile/consumers/ownership.py",
        ("if lost and at < 0 and not self.records.proof.proven:", "if False:"),
        ("skipped[~known | (reach < self._floor()) |", "skipped[~known |"),
        ("skipped[~known | (reach < self._floor()) |", "skipped[(reach < self._floor()) |"),
        ('known |= confirmed < stints["begun_earliest_us"]', 'known |= confirmed <= stints["begun_earliest_us"]'),
        ("if self.unsure and skipped.any():", "if False:"),
        ('begun = np.where(own["called"], own["begun"], BEFORE_ALL)', 'begun = own["begun"]'),
        ('may_be = reset.at_us <= stints["until_latest_us"]', "may_be = np.zeros(len(stints), dtype=np.bool_)"),
        ('sure = above["begun"] > last', 'sure = above["begun"] >= 0'),
        ('(above["earliest_us"] > last_us)', '(above["earliest_us"] > -2)'),
        ("if lost and not self.unsure:", "if lost:"),
        ("if not doubt and not bool(settled.all()):", "if False:"),
        ("if any(reset.offset == self.coordinator for reset in self.resets):", "if False:"),
        ('(commits["earliest_us"] > stint["begun_latest_us"])', '(commits["earliest_us"] > 0)'),
        ('& (commits["latest_us"] < stint["ended_earliest_us"])', ""),
        ("there = first <= ended", "there = first < ended"),
    ),
    *_in(
        "reconcile/consumers/member_reading.py",
        ("back = (expected != _UNKNOWN) & (offsets < expected)", "back = (expected != _UNKNOWN) & (offsets <= expected - 2)"),
        ("first[1:] = turns[1:] != turns[:-1]", "first[1:] = False"),
        ("unassigned = indices[~self._assigned[indices]]", "unassigned = indices[self._assigned[indices]]"),
        ("np.where(self.polled, self.offsets + 1,", "np.where(self.polled, self.offsets,"),
        ("beyond = (next_offset > at) & (records.records_between(at, next_offset) > 0)", "beyond = np.zeros(len(at), dtype=np.bool_)"),
        ("if stints_known:", "if True:"),
        ("if records.end is not None:", "if False:"),
    ),
    *_in(
        "reconcile/consumers/reprocessed.py",
        ('synchronous = (entries["flags"] & SYNCHRONOUS) != 0', 'synchronous = entries["flags"] >= 0'),
        ("sure = known & surely_c & surely_e", "sure = known & surely_e"),
        ("sure = known & surely_c & surely_e", "sure = known & surely_c"),
        ("(earliest != NEVER) & (earliest <= latest)", "(earliest != NEVER) & (earliest < latest)"),
    ),
    *_in(
        "reconcile/consumers/blind_spots.py",
        ("if not group.stints_known:", "if False:"),
        ("if each.proof.floor_contradicted]", "if False]"),
        ("if not each.proof.floor_contradicted]", "if True]"),
        ("if not waited:", "if False:"),
        ("        if doubtful:\n", "        if False:\n"),
    ),
    *_in(
        "history/committed_offsets.py",
        ("for each in candidates if not _surpassed(each, candidates)]", "for each in candidates]"),
        ("return any(other[3] and other[1] > each[2] for", "return any(other[3] and other[1] >= each[2] for"),
        ("*unknown[unknown > last].tolist(),", ""),
        ("*open_.tolist()]", "]"),
    ),
    *_in(
        "history/consumption.py",
        ("if len(of_topic.get(topic, ())) > 1:", "if False:"),
        ("np.where(unsaid, assumed, partition)", "assumed"),
    ),
    *_in(
        "history/verifiable_share.py",
        ("if last > ordered.get(key, -1):", "if False:"),
    ),
    *_in(
        "history/proofs.py",
        ("ceiling = max(self.highest + 1, stable)", "ceiling = max(self.highest + 2, stable)"),
        ("for each in (self.began, self.lowest)", "for each in (self.began, 0)"),
        ("for each in (self.began, self.lowest)", "for each in (self.lowest,)"),
        ("return min(known, default=0)", "return max(known, default=0)"),
        ("if reading.contradicts(claim.start):", "if False:"),
        ("if start is not None:\n            return start", "if start is not None:\n            return 0"),
        ("(unseen < 0) | (unseen >= ceiling)", "(unseen >= ceiling)"),
        ("if missing > 0:", "if False:"),
        ("if claim.end is not None and reading.highest >= claim.end:", "if False:"),
    ),
    *_in(
        "history/instants.py",
        ("np.lexsort((high[rows], stable[rows], at_us[rows]))", "np.argsort(at_us[rows], kind=\"stable\")"),
    ),
    *_in(
        "history/reads.py",
        ("if content != last or seen_live or not kept:", "if False:"),
        ("(committed[row], read_us[row], row)", "(read_us[row], row)"),
        ('(columns["read_us"], committed, ~live, offset, where)', '(columns["read_us"], ~live, offset, where)'),
        ("return 0 if untimed else read_us[row], not live[row], own, row", "return 0, not live[row], own, row"),
        ("kept = ~settled & (~same | final_first)", "kept = ~settled & ~same"),
        ("return rows, live[rows] | again[rows], again[rows]", "return rows, live[rows], again[rows]"),
    ),
    *_in(
        "history/transactions.py",
        ("_ENDS[ABORTED] = FAILED", "_ENDS[ABORTED] = UNKNOWN"),
        ("_ENDS[[UNCALLED, UNDECIDED, UNRECORDED]] = UNKNOWN", "_ENDS[[UNCALLED, UNDECIDED, UNRECORDED]] = ACKED_NO_OFFSET"),
        ("if len(np.unique(order)) < len(order):", "if False:"),
    ),
    *_in(
        "record/json_codec.py",
        ("event.keys() != MEMBERS", "False"),
        ("if len(found) < len(pairs):", "if False:"),
        ("parse_float=_refuse, ", ""),
        ("return event if said == checksum(canonical(event)) else None", "return event"),
        ("if not (isinstance(text, str) and UUID.fullmatch(text)):", "if not isinstance(text, str):"),
        ("        self.limits.check(attempts)\n", ""),
        ("return run_hash(run_id) >> 32", "return run_hash(run_id)"),
    ),
    *_in(
        "record/uuid8.py",
        ("(incarnation & 0b11) << 10", "(incarnation & 0b01) << 10"),
        ("partition == ANY_PARTITION, np.uint64(_ANY)", "partition == ANY_PARTITION, np.uint64(0)"),
        ("partition == _ANY, np.uint64(ANY_PARTITION)", "partition == _ANY, np.uint64(_ANY)"),
        ("partition_max=2**16 - 2", "partition_max=2**16 - 1"),
    ),
    *_in(
        "record/codec.py",
        ("if not 0 <= incarnation <= self.incarnation_max:", "if False:"),
        ("if least < 0 or most > largest:", "if least < 0:"),
    ),
    *_in(
        "replicas/search.py",
        ('_NAMES: Final = ("run", "incarnation", "sequence", "topic", "partition")', '_NAMES: Final = ("run", "incarnation", "sequence", "topic")'),
        ("if len(known) == len(patterns) else None", "if known else None"),
    ),
    *_in(
        "rundir/run_info.py",
        ("if pipelines and codec.name != \"binary\":", "if False:"),
        ("info.load.partitions - 1 > limits.partition_max", "info.load.partitions > limits.partition_max"),
    ),
    *_in(
        "reconcile/anywhere.py",
        ("def _inversions(self, *_: object)", "def _no_inversions(self, *_: object)"),
        ("            sequences.append(again)\n            places.append(here[again])\n", ""),
        ("here = positions(number, unpack_offsets(low, high))", "here = unpack_offsets(low, high)"),
        ("yield positions(number, at[at >= 0])", "yield at[at >= 0]"),
        ("if found.profile.transactional:", "if False:"),
        ("if all(partition == ANY_PARTITION for _, partition in self._found.attempted_by):", "if True:"),
        ("            self._found.not_shown |= NOT_APPLICABLE\n", "            pass\n"),
        ('self._accuse("inconsistent_offset", walk.claims.contradicted(others))', "pass"),
    ),
    *_in(
        "rundir/drained.py",
        ("return bool(self.parts) and all(part.proven for part in self.parts.values())", "return any(part.proven for part in self.parts.values())"),
        ("return bool(self.parts) and all(part.whole for part in self.parts.values())", "return any(part.whole for part in self.parts.values())"),
    ),
    *_in(
        "rundir/copies.py",
        ('rows["offset"] |= rows["partition"].astype(np.int64) << PARTITION_SHIFT', "pass"),
        ('_of_attempts(rows) & (rows["identity_partition"] != ANY_PARTITION)', "_of_attempts(rows)"),
    ),
    *_in(
        "rundir/observations.py",
        ("            good |= anywhere\n", ""),
        ("partitions = np.where(anywhere, partitions | READ_ANYWHERE, partitions)", "pass"),
    ),
    *_in(
        "rundir/rows.py",
        (' | (identity == ANY_PARTITION)', ""),
    ),
    *_in(
        "reconcile/partition_walk.py",
        ("partition, offset = of_position(offset)", "pass"),
    ),
    *_in(
        "rundir/run_record.py",
        ("        if incarnation in self.ledgers:\n            return False\n        return incarnation in self.timeline.started or any(", "        return incarnation in self.timeline.started or any("),
        ("return incarnation in self.timeline.started or any(", "return any("),
    ),
    *_in(
        "rundir/timeline.py",
        (" if (each.first, each.last) not in self.arrived]", "]"),
        ("self.first <= incarnation <= self.last", "self.first < incarnation <= self.last"),
        ("self.first <= incarnation <= self.last", "self.first <= incarnation < self.last"),
        ("if event.last < event.first:", "if False:"),
    ),
    *_in(
        "judge/judge.py",
        ('if anomaly == "phantom" and found.counts["phantom"] > found.phantoms_without_ledger:', 'if anomaly == "phantom":'),
        ('if anomaly == "phantom" and found.counts["phantom"] > found.phantoms_without_ledger:', "if False:"),
        ('idempotent and "_MSG_TIMED_OUT" in _failure_codes(run, found)', "idempotent"),
        ('idempotent and "_MSG_TIMED_OUT" in _failure_codes(run, found)', '"_MSG_TIMED_OUT" in _failure_codes(run, found)'),
        ("in run.timeline.failures if topic in topics}", "in run.timeline.failures}"),
    ),
    *_in(
        "judge/obstacles.py",
        ("        *_awaited(run.timeline),\n", ""),
    ),
    *_in(
        "load/outcomes.py",
        ("enumerate(intended_us.tolist(), first)", "enumerate(intended_us.tolist())"),
    ),
]  # fmt: skip
"""Each must be found exactly once in its file, unless its `old` is used by several mutants."""


def make_copy(folder: Path) -> Path:
    """The project without what tests do not need."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """The copy as the package, whatever is installed."""
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def run_tests(folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    """The tests against the copy, stage by stage, until the first one fails."""
    first = [(test,) for folder_name, test in FIRST.items() if path.startswith(folder_name)]
    for stage in (*first, *STAGES):
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
                   "-m", "not cluster and not long", *stage]  # fmt: skip
        ended = subprocess.run(
            command, cwd=folder, env=environment(folder), capture_output=True, text=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        if ended.returncode:
            break
    return ended


def mutate(folder: Path, mutant: Mutant) -> str:
    """Make the change. Returns what stood there. Raises ValueError when its place is not clear."""
    path = folder / mutant.path
    before = path.read_text(encoding="utf-8")
    found = before.count(mutant.old)
    if found != 1:
        raise ValueError(f"{mutant.path}: {mutant.old!r} is there {found} times, not once")
    path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
    return before


def judge_mutant(folder: Path, mutant: Mutant) -> tuple[bool, str]:
    """(caught, which test caught it, or how it survived)."""
    before = mutate(folder, mutant)
    try:
        ended = run_tests(folder, mutant.path)
    except subprocess.TimeoutExpired:
        return True, f"no end within {TIMEOUT_S:g} s"
    finally:
        (folder / mutant.path).write_text(before, encoding="utf-8")
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if ended.returncode == FAILED_TESTS:
        return True, failed[0].split(" - ")[0] if failed else "?"
    if ended.returncode != 0:
        raise ValueError(
            f"{mutant.path}: pytest ended with {ended.returncode}:\n{ended.stdout[-2000:]}"
        )
    return False, "SURVIVED"


def main() -> int:
    """Judge all mutants, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only",
        type=int,
        nargs="*",
        help="numbers of mutants, from 1; the tests are then taken to pass without any",
    )
    parser.add_argument("--jobs", type=int, default=2, help="copies that are tested at a time")
    args = parser.parse_args()
    chosen = [(n, m) for n, m in enumerate(MUTANTS, 1) if not args.only or n in args.only]
    started = time.monotonic()
    survivors: list[int] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        folders = [make_copy(Path(temporary) / str(job)) for job in range(args.jobs)]
        for _, mutant in chosen:
            (folders[0] / mutant.path).write_text(mutate(folders[0], mutant), encoding="utf-8")
        if not args.only:
            check = run_tests(folders[0])
            if check.returncode:
                print(f"The tests fail without any mutant:\n{check.stdout[-3000:]}")
                return 2
            print("without a mutant: every test passes", flush=True)
        free = list(folders)

        def one(each: tuple[int, Mutant]) -> None:
            number, mutant = each
            folder = free.pop()
            try:
                caught, how = judge_mutant(folder, mutant)
            finally:
                free.append(folder)
            if not caught:
                survivors.append(number)
            print(
                f"{number:3} {mutant.path}: {mutant.old!r} → {mutant.new!r}\n    {how}", flush=True
            )

        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(one, chosen))
    minutes = (time.monotonic() - started) / 60
    print(f"{len(chosen)} mutants, {len(chosen) - len(survivors)} caught, {len(survivors)} survived"
          f" {sorted(survivors) or ''} in {minutes:.1f} min")  # fmt: skip
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
