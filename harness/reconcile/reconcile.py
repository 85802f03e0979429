"""Sets what was read against what was sent: one pass over the packed columns.

The account of every anomaly, numbered, is docs/verification.md. In short: an incarnation's ledger
column, its live column and its drained column of the same topic-partition are walked in step, 64 Ki
cells at a time (`lane`), and every rule is an array expression over those cells. What carries over
from chunk to chunk is a handful of numbers (the highest first offset so far, attempts that wait for
a later acknowledgement), so memory does not grow with the number of records. Only what is rare is
held: further copies of an attempt, transactions, and samples. `partition` adds what concerns all
incarnations of a topic-partition, `commits` what only whole transactions show.

Pure: plain data in, findings out. No client library is imported here.
"""

from __future__ import annotations

from harness.anomalies import IN_READ_SUM
from harness.errors import HarnessError, RunDirError
from harness.reconcile.anywhere import Anywhere, topics_anywhere
from harness.reconcile.blind_spots import blind_spots
from harness.reconcile.consumers.reconcile import judge_consumers
from harness.reconcile.findings import ProfileFindings
from harness.reconcile.hung import hung_transactions
from harness.reconcile.partition import Partition
from harness.reconcile.transaction_rules import judge_transactions
from harness.reconcile.transaction_tally import Tally
from harness.rundir.anywhere import READ_ANYWHERE
from harness.rundir.copies import NO_EXTRAS, Extras
from harness.rundir.run_record import RunRecord
from harness.rundir.verdict_fields import UNACCOUNTED


def reconcile(run: RunRecord) -> list[ProfileFindings]:
    """Everything that was attempted against everything that was read, by profile.

    Raises HarnessError when the sums do not close: then the harness itself is wrong, and no
    verdict may rest on it.
    """
    tallies = {incarnation: Tally(log) for incarnation, log in run.transactions.items()}
    findings = [ProfileFindings(profile) for profile in run.info.profiles]
    of_topic = [found for found in findings for _ in found.profile.topics]
    drained = Extras(run.drained.extras)
    live = Extras(run.live.extras)
    aside = Extras(run.elsewhere.aside) if run.elsewhere else NO_EXTRAS
    for topic, partition in _partitions(run, drained, live, len(of_topic)):
        where = Partition(run, topic, partition, of_topic[topic], drained, live, aside)
        where.reconcile(tallies)
    for topic in topics_anywhere(run, drained, live):
        Anywhere(run, topic, of_topic[topic], drained, live).reconcile()
    for found in findings:
        found.unclosed = _unclosed(run, found)
        if found.profile.transactional:
            judge_transactions(run, found, tallies)
            hung_transactions(run, found, tallies)
        blind_spots(run, found)
        judge_consumers(run, found, drained)
        assert_accounted(run, found)
    return findings


def _unclosed(run: RunRecord, found: ProfileFindings) -> list[int]:
    """Incarnations of a profile's load that never closed their ledger: their process died.

    Members that write a pipeline's output are there to be killed; what their ledgers hold is right
    at every instant, and what they had open is unknown.
    """
    topics = run.info.input_topics_of(found.profile)
    return sorted(
        incarnation
        for incarnation, ledger in run.ledgers.items()
        if not ledger.closed_cleanly and any(key[0] in topics for key in ledger.partitions)
    )


def _partitions(
    run: RunRecord, drained: Extras, live: Extras, topics: int
) -> list[tuple[int, int]]:
    """Every topic-partition of which there is any trace, sorted."""
    keys = set(drained.partitions) | set(live.partitions)
    for columns in (run.ledgers, run.live.columns, run.drained.columns):
        for file in columns.values():
            keys.update(file.partitions)
    if run.drain is not None:
        keys.update(run.drain.partitions)
    unknown = sorted(topic for topic, _ in keys if topic >= topics)
    if unknown:
        raise HarnessError(
            f"the run directory holds records of topic number {unknown[-1]}, but run.json names "
            f"only {topics} topics (numbers 0…{topics - 1}): its files do not belong together."
        )
    # Attempts without a partition are not of any one (reconcile/anywhere.py).
    return sorted(key for key in keys if key[1] < READ_ANYWHERE)


def assert_accounted(run: RunRecord, found: ProfileFindings) -> None:
    """Both sums of a profile, and the drain's own count of what it read.

    attempted = acked + failed + unknown + sent; read = distinct attempts seen + further copies +
    phantom + corrupt + misrouted + foreign + unaccounted. Raises HarnessError with the numbers,
    RunDirError where a file of the drain is missing.
    """
    counts = found.counts
    outcomes = {name: counts[name] for name in ("acked", "failed", "unknown", "sent")}
    if counts["attempted"] != sum(outcomes.values()):
        raise HarnessError(
            f"{found.profile.profile}: the ledger does not add up: {counts['attempted']} attempts, "
            f"but {_sum(outcomes)}. This is a defect of the harness, not of Kafka; the run "
            "directory is left as it is."
        )
    names = ("seen", "copies", *IN_READ_SUM, "foreign", UNACCOUNTED)
    parts = {name: counts[name] for name in names}
    counts["read"] = sum(parts.values())
    if run.drain is None:
        return
    topics = run.info.topics_of(found.profile)
    read = sum(each.read for key, each in run.drain.partitions.items() if key[0] in topics)
    if read != counts["read"]:
        absent = sorted(set(run.ledgers) - set(run.drained.columns))
        if absent and counts["read"] < read:
            raise RunDirError(
                f"{found.profile.profile}: the drain returned {read} records, but its observations "
                f"hold {_sum(parts)}: the file {absent[0]}.obs of the drain is missing"
                + (f", and {len(absent) - 1} more" if absent[1:] else "")
                + ". Restore it, or read again: harness verify RUN_DIR --drain."
            )
        raise HarnessError(
            f"{found.profile.profile}: the drain returned {read} records, but its observations "
            f"hold {_sum(parts)}. This is a defect of the harness, not of Kafka; the run "
            "directory is left as it is."
        )


def _sum(parts: dict[str, int]) -> str:
    terms = " + ".join(f"{number} {name}" for name, number in parts.items())
    return f"{terms} = {sum(parts.values())}"
