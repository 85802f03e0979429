"""The anomalies: one record for each, in the order in which every table shows them.

Tables, sentences, lint rules, schema enumerations and the documentation's table follow from these
records. A new anomaly needs a record here, its rule in harness/reconcile, a pair of golden
histories and its definition in docs/verification.md.

A promise is `no_` and an anomaly's name.
"""

from __future__ import annotations

from typing import Final

from harness.anomaly_record import Anomaly, AnomalyGroup, ExcludedBy, Line, Needs

RECORDS: Final[tuple[Anomaly, ...]] = (
    Anomaly(
        "lost",
        AnomalyGroup.RECORDS,
        "4.1",
        "an acknowledged record that a proven drain does not hold",
        one="1 acknowledged record is absent from a drain that is proven complete",
        many="{n} acknowledged records are absent from a drain that is proven complete",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.ACKS_ALL,
        in_general="an acknowledged record was lost",
        undone_by=Line.READING | Line.COMMIT_OF_OTHERS | Line.LATER_RECORD_OF_KEY,
        column=1,
    ),
    Anomaly(
        "unseen",
        AnomalyGroup.RECORDS,
        "4.2",
        "an acknowledged record that is absent from a drain that is not proven",
        one="1 acknowledged record is absent, and nothing proves whether it is lost",
        many="{n} acknowledged records are absent, and nothing proves whether they are lost",
        needs=Needs(0),
        excluded_by=ExcludedBy.NOTHING,
        undone_by=Line(0),
    ),
    Anomaly(
        "duplicate",
        AnomalyGroup.RECORDS,
        "4.3",
        "a further offset at which an attempt is read",
        one="1 further copy of an attempt was read at another offset",
        many="{n} further copies of attempts were read at other offsets",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.IDEMPOTENCE,
        in_general="a record was stored twice",
        undone_by=Line(0),
        column=2,
    ),
    Anomaly(
        "inversion",
        AnomalyGroup.RECORDS,
        "4.4",
        "a record stored before an acknowledged one that was sent earlier",
        one="1 record is, or was acknowledged, before an acknowledged one that was sent earlier",
        many="{n} records are, or were acknowledged, before an acknowledged one that was "
        "sent earlier",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.IDEMPOTENCE,
        in_general="records changed their order",
        undone_by=Line.READING | Line.OUTCOME | Line.TRANSACTION,
        column=3,
    ),
    Anomaly(
        "gap",
        AnomalyGroup.RECORDS,
        "4.5",
        "a failed or unknown attempt that is missing between acknowledged ones",
        one="1 attempt is missing between acknowledged ones",
        many="{n} attempts are missing between acknowledged ones",
        needs=Needs.DRAIN | Needs.WHOLE_LOG | Needs.TRANSACTION_LOG,
        excluded_by=ExcludedBy.TRANSACTIONS,
        undone_by=Line.READING | Line.OUTCOME | Line.TRANSACTION,
    ),
    Anomaly(
        "phantom",
        AnomalyGroup.RECORDS,
        "4.6",
        "an intact record of this run that was never attempted",
        one="1 intact record of this run was never attempted",
        many="{n} intact records of this run were never attempted",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.EVERY_SETTING,
        undone_by=Line.ATTEMPT,
        in_read_sum=True,
    ),
    Anomaly(
        "corrupt",
        AnomalyGroup.RECORDS,
        "4.7",
        "a record that fails its checksum",
        one="1 record fails its checksum",
        many="{n} records fail their checksum",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.EVERY_SETTING,
        undone_by=Line(0),
        in_read_sum=True,
    ),
    Anomaly(
        "misrouted",
        AnomalyGroup.RECORDS,
        "4.8",
        "a record on another topic or partition than it was sent to",
        one="1 record is on another topic or partition than it was sent to",
        many="{n} records are on another topic or partition than they were sent to",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.EVERY_SETTING,
        undone_by=Line(0),
        in_read_sum=True,
    ),
    Anomaly(
        "failed_visible",
        AnomalyGroup.RECORDS,
        "4.10",
        "a failed attempt that can be read",
        one="1 attempt that had certainly failed can be read",
        many="{n} attempts that had certainly failed can be read",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.EVERY_SETTING,
        undone_by=Line(0),
    ),
    Anomaly(
        "inconsistent_offset",
        AnomalyGroup.RECORDS,
        "4.11",
        "a record that is not at the offset at which it was acknowledged",
        one="1 record is not at the offset at which it was acknowledged, or that offset is "
        "another's",
        many="{n} records are not at the offsets at which they were acknowledged, or these "
        "are others'",
        needs=Needs.DRAIN,
        excluded_by=ExcludedBy.ACKS_ALL,
        undone_by=Line.READING | Line.LATER_RECORD_OF_KEY,
    ),
    Anomaly(
        "vanished",
        AnomalyGroup.RECORDS,
        "4.12",
        "a record that was read live and is gone, or whose offset holds another one",
        one="1 record was read and is gone, or another one was read at its offset",
        many="{n} records were read and are gone, or others were read at their offsets",
        needs=Needs.DRAIN | Needs.LIVE_READING,
        excluded_by=ExcludedBy.EVERY_SETTING,
        undone_by=Line.READING | Line.LATER_RECORD_OF_KEY,
    ),
    Anomaly(
        "torn_txn",
        AnomalyGroup.TRANSACTIONS,
        "4.13",
        "a committed transaction of which a part is absent",
        one="1 committed transaction is there only in part",
        many="{n} committed transactions are there only in part",
        needs=Needs.DRAIN | Needs.WHOLE_LOG | Needs.TRANSACTION_LOG,
        excluded_by=ExcludedBy.TRANSACTIONS,
        in_general="a committed transaction was there in part only",
        undone_by=Line.READING | Line.TRANSACTION | Line.COMMIT_OF_OTHERS,
    ),
    Anomaly(
        "lost_txn",
        AnomalyGroup.TRANSACTIONS,
        "4.13",
        "a committed transaction of which everything is absent",
        one="nothing of 1 committed transaction is there",
        many="nothing of {n} committed transactions is there",
        needs=Needs.DRAIN | Needs.WHOLE_LOG | Needs.TRANSACTION_LOG,
        excluded_by=ExcludedBy.TRANSACTIONS,
        in_general="a committed transaction was lost",
        undone_by=Line.READING | Line.COMMIT_OF_OTHERS,
    ),
    Anomaly(
        "precommitted_read",
        AnomalyGroup.TRANSACTIONS,
        "4.14",
        "a record that read_committed returned before its commit was called",
        one="1 record could be read at read_committed before its commit was called",
        many="{n} records could be read at read_committed before their commit was called",
        needs=Needs.LIVE_READING | Needs.TRANSACTION_LOG | Needs.CLOCK,
        excluded_by=ExcludedBy.TRANSACTIONS,
        in_general="a record was readable before its commit",
        undone_by=Line.TRANSACTION | Line.COMMIT_OF_OTHERS,
    ),
    Anomaly(
        "hung_txn",
        AnomalyGroup.TRANSACTIONS,
        "4.15",
        "a last stable offset that did not move for longer than a transaction may stay open",
        one="1 last stable offset did not move for longer than any transaction may stay open",
        many="{n} last stable offsets did not move for longer than any transaction may stay open",
        needs=Needs.CLOCK,
        excluded_by=ExcludedBy.TRANSACTIONS,
        undone_by=Line.READING | Line.TRANSACTION | Line.LAST_STABLE_OFFSET,
    ),
    Anomaly(
        "unprocessed",
        AnomalyGroup.CONSUMERS,
        "9.3",
        "a record below the group's committed offset that no member processed",
        one="the group's committed offset has passed 1 record that no member processed",
        many="the group's committed offsets have passed {n} records that no member processed",
        needs=Needs.EFFECTS | Needs.INPUT_OFFSETS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        in_general="a record was passed by without being processed",
        undone_by=Line.READING | Line.MEMBER,
        column=1,
    ),
    Anomaly(
        "reprocessed",
        AnomalyGroup.CONSUMERS,
        "9.5",
        "an effect of a record that was processed and committed before",
        one="1 record was processed again after it had been committed",
        many="{n} records were processed again after they had been committed",
        needs=Needs.EFFECTS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        in_general="a record was processed again after its commit",
        undone_by=Line.READING | Line.MEMBER,
        column=3,
    ),
    Anomaly(
        "repeated",
        AnomalyGroup.CONSUMERS,
        "9.4",
        "a further effect of a record",
        one="there is 1 further effect of a record that was processed already",
        many="there are {n} further effects of records that were processed already",
        needs=Needs.EFFECTS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
        column=2,
    ),
    Anomaly(
        "poll_skip",
        AnomalyGroup.CONSUMERS,
        "9.6",
        "a record that a member passed over while it was reading there",
        one="1 record was passed over by the member that was reading there",
        many="{n} records were passed over by the members that were reading there",
        needs=Needs.INPUT_OFFSETS | Needs.ASSIGNMENTS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
    ),
    Anomaly(
        "backward_poll",
        AnomalyGroup.CONSUMERS,
        "9.6",
        "a hand-over that goes back without a rebalance in between",
        one="reading went back 1 time without a rebalance in between",
        many="reading went back {n} times without a rebalance in between",
        needs=Needs.ASSIGNMENTS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
    ),
    Anomaly(
        "unassigned_read",
        AnomalyGroup.CONSUMERS,
        "9.6",
        "a record from a partition that was not assigned to the member",
        one="1 record was handed to a member to which its partition was not assigned",
        many="{n} records were handed to members to which their partitions were not assigned",
        needs=Needs.ASSIGNMENTS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
    ),
    Anomaly(
        "commit_beyond_position",
        AnomalyGroup.CONSUMERS,
        "9.7",
        "a commit of records that the member had not been handed",
        one="1 commit covers records that its member had not been handed",
        many="{n} commits cover records that their members had not been handed",
        needs=Needs.INPUT_OFFSETS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
    ),
    Anomaly(
        "start_beyond_committed",
        AnomalyGroup.CONSUMERS,
        "9.8.3",
        "a record passed over by a member that began beyond the committed offset",
        one="1 record was passed over by a member that began beyond the committed offset",
        many="{n} records were passed over by members that began beyond the committed offset",
        needs=Needs.INPUT_OFFSETS | Needs.ASSIGNMENTS | Needs.ORDER_OF_MEMBERS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
    ),
    Anomaly(
        "commit_lost",
        AnomalyGroup.CONSUMERS,
        "9.8.4",
        "a partition of which the coordinator no longer has a confirmed commit",
        one="the coordinator no longer has a confirmed commit of 1 partition",
        many="the coordinator no longer has confirmed commits of {n} partitions",
        needs=Needs.ORDER_OF_MEMBERS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
    ),
    Anomaly(
        "double_owner",
        AnomalyGroup.CONSUMERS,
        "9.8.5",
        "a partition that two members of a group owned, and committed, at the same time",
        one="two members of one group owned a partition at the same time, and both "
        "committed (1 time)",
        many="two members of one group owned a partition at the same time, and both "
        "committed ({n} times)",
        needs=Needs.ASSIGNMENTS | Needs.ORDER_OF_MEMBERS,
        excluded_by=ExcludedBy.CONSUME_MODE,
        undone_by=Line.READING | Line.MEMBER,
    ),
)
BY_NAME: Final = {each.name: each for each in RECORDS}
ANOMALIES: Final = tuple(BY_NAME)
PROMISES: Final = tuple(each.promise for each in RECORDS if each.promised)


def of_group(group: AnomalyGroup) -> tuple[str, ...]:
    """The anomalies of a group."""
    return tuple(each.name for each in RECORDS if each.group is group)


PRODUCER_ANOMALIES: Final = of_group(AnomalyGroup.RECORDS)
TRANSACTION_ANOMALIES: Final = of_group(AnomalyGroup.TRANSACTIONS)
CONSUMER_ANOMALIES: Final = of_group(AnomalyGroup.CONSUMERS)
IN_READ_SUM: Final = tuple(each.name for each in RECORDS if each.in_read_sum)
"""read = distinct attempts seen + further copies + these + foreign records."""


def needing(needs: Needs) -> tuple[str, ...]:
    """The anomalies of which an absence proves nothing without this."""
    return tuple(each.name for each in RECORDS if needs in each.needs)


def undone_by(line: Line) -> frozenset[str]:
    """The anomalies that a line of this kind can undo."""
    return frozenset(each.name for each in RECORDS if line in each.undone_by)


def promises_excluded_by(setting: ExcludedBy) -> frozenset[str]:
    """The promises that a profile can make by this setting."""
    return frozenset(each.promise for each in RECORDS if each.excluded_by is setting)


def own_columns(*groups: AnomalyGroup) -> tuple[str, ...]:
    """The anomalies of these groups that have a column alone on the terminal, in order."""
    own = [each for each in RECORDS if each.column and each.group in groups]
    return tuple(each.name for each in sorted(own, key=lambda each: each.column))


def sentence(anomaly: str, count: int) -> str:
    """What was found, as a clause of a reason."""
    found = BY_NAME[anomaly]
    return found.one if count == 1 else found.many.format(n=count)


def anomaly_of(promise: str) -> str:
    """`no_lost` → `lost`. Raises ValueError for what is no promise."""
    if promise not in PROMISES:
        raise ValueError(f"{promise!r} is no promise; known: {', '.join(PROMISES)}")
    return promise.removeprefix("no_")
