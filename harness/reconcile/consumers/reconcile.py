"""All rules about a profile's consumers, in one pass over journals and one over suspects.

Members are walked one after the other, each partition of a member at once; what is kept between
them grows with the records of the input and with the commits of members.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.arrays import I64
from harness.reconcile.consumers.blind_spots import blind_spots, missing_journals
from harness.reconcile.consumers.consumed import Consumed
from harness.reconcile.consumers.effect_times import effects_again, further_effects, handled
from harness.reconcile.consumers.entry_times import Span, span_of
from harness.reconcile.consumers.group import SHARE, Group, Key, groups_of
from harness.reconcile.consumers.input_partition import InputPartition
from harness.reconcile.consumers.member_reading import (
    MemberReading,
    by_partition,
    known_us,
    of_step,
)
from harness.reconcile.consumers.ownership import Ownership
from harness.reconcile.consumers.reprocessed import Work, reprocessed
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.rundir.copies import Extras
from harness.rundir.member_journal import Journal, Step
from harness.rundir.run_info import ConsumeRun
from harness.rundir.run_record import RunRecord

TRANSACTIONAL: Final = "transactional"
_IN_THE_BACKGROUND: Final = ("auto", "stored")


def judge_consumers(run: RunRecord, found: ProfileFindings, drained: Extras) -> None:
    """Count what the consumers of a profile did wrong; nothing for a profile without any."""
    consume = found.profile.consume
    if consume is None:
        return
    found.consumed = Consumed()
    groups = groups_of(run, found, consume, drained)
    for group in groups:
        _Members(run, found, found.consumed, consume, group).judge()
    blind_spots(run, found, groups)


class _Members:
    """The members of one group and the partitions that they read."""

    def __init__(
        self,
        run: RunRecord,
        found: ProfileFindings,
        consumed: Consumed,
        consume: ConsumeRun,
        group: Group,
    ) -> None:
        self.run = run
        self.found = found
        self.consumed = consumed
        self.consume = consume
        self.group = group
        self.journals = group.journals
        self.partitions = group.partitions
        self.topics = run.info.topics_of(found.profile)[: consume.inputs]
        self.pipeline = consume.mode == TRANSACTIONAL
        self.shared = consume.mode == SHARE
        self.missing = missing_journals(run, found.profile.profile)
        consumption = run.consumption
        self.owned = {
            key: Ownership(
                records,
                consumption.coordinator_of(group.name, key),
                consumption.resets.get(group.name, {}).get(key, []),
            )
            for key, records in self.partitions.items()
        }

    def judge(self) -> None:
        """Count everything."""
        for journal in self.journals:
            self._journal(journal)
        if self.pipeline:
            self._outputs()
        for key, records in self.partitions.items():
            records.settle()
            self._sums(records)
            self._unprocessed(records)
            if not self.shared and not self.missing:
                self.owned[key].judge(self.found)
        for key, works in self._work().items():
            self._repeated(self.partitions[key], works)

    def _journal(self, journal: Journal) -> None:
        """What one member was handed and did."""
        consumed = self.consumed
        steps = np.bincount(journal.entries["step"], minlength=256)
        consumed.members += 1
        consumed.died += not steps[Step.CLOSED]
        consumed.polled += int(steps[Step.POLLED])
        consumed.commits += int(steps[Step.COMMITTED] + steps[Step.ACKNOWLEDGED])
        consumed.commits_failed += int(steps[Step.COMMIT_FAILED])
        consumed.assignments += int(steps[Step.ASSIGNED])
        consumed.lost += int(steps[Step.LOST])
        consumed.fenced += int(steps[Step.FENCED])
        answered = np.flatnonzero(
            of_step(np.asarray(journal.entries["step"]), Step.POLLED, Step.CLOSED)
        )
        last = int(answered[-1]) if len(answered) else -1
        span = span_of(journal.entries)
        for key, indices in self._of_partitions(journal):
            records, entries = self.partitions[key], journal.entries[indices]
            if self.shared:
                # A share group hands records to whichever member asks, in no order.
                records.take_acknowledged(entries)
            else:
                reading = MemberReading(journal.member, entries, indices, last)
                reading.judge(self.found, records, stints_known=self.group.stints_known)
                self._owner(key, journal, indices, span)
            if not self.pipeline:
                effects = entries["step"] == Step.EFFECT
                records.take_effects(entries["offset"][effects])

    def _owner(self, key: Key, journal: Journal, indices: I64, span: Span) -> None:
        mode = self.consume.mode
        self.owned[key].add(
            journal.member,
            journal.entries,
            indices,
            span,
            background=True if mode in _IN_THE_BACKGROUND else None,
            stored=mode == "stored",
        )

    def _of_partitions(self, journal: Journal) -> list[tuple[Key, I64]]:
        """Where the entries of each input partition stand that the run has."""
        return [
            ((topic, partition), indices)
            for topic in self.topics
            for partition, indices in by_partition(journal.entries, topic)
            if (topic, partition) in self.partitions
        ]

    def _outputs(self) -> None:
        """The effects of a pipeline: what the read_committed drain of its output holds."""
        inputs = self.run.consumption.inputs
        if inputs is None:
            return
        outputs = self._output_topics()
        ours = np.isin(inputs["topic"], list(outputs))
        for (topic, partition), records in self.partitions.items():
            of_it = (inputs["input_topic"] == topic) & (inputs["partition"] == partition)
            records.take_effects(inputs["input_offset"][ours & of_it])

    def _output_topics(self) -> range:
        return self.run.info.topics_of(self.found.profile)[self.consume.inputs :]

    def _sums(self, records: InputPartition) -> None:
        consumed = self.consumed
        done = int(np.count_nonzero(records.done))
        consumed.records += len(records.real)
        consumed.processed += done
        consumed.effects += records.effects
        passed = int(np.count_nonzero(records.passed & ~records.done))
        consumed.pending += len(records.real) - done - passed

    def _unprocessed(self, records: InputPartition) -> None:
        if not self._effects_are_known(records.partition):
            return
        missing = records.unprocessed(self._uncertain(records.topic, records.partition))
        self.found.counts["unprocessed"] += len(missing)
        self._samples_of_offsets(records, "unprocessed", missing, Step.POLLED)
        self._note_times(records, "unprocessed", missing, Step.POLLED)

    def _effects_are_known(self, partition: int) -> bool:
        """Whether an effect that is not on record is known not to have happened."""
        if not self.pipeline:
            return bool(self.journals) and not self.missing
        # A pipeline of a run writes to the partition that it reads from; others may write anywhere.
        return self.run.consumption.inputs is not None and all(
            self.run.drained_partition(topic, each).whole
            for topic in self._output_topics()
            for each in self.run.partitions_of(topic)
            if each == partition or self.run.elsewhere is not None
        )

    def _uncertain(self, topic: int, partition: int) -> I64:
        """Records whose effect may be what a journal that breaks off within an entry was to say."""
        uncertain: list[int] = []
        for journal in self.journals:
            if not journal.torn_bytes or self.pipeline:
                continue
            worked = of_step(np.asarray(journal.entries["step"]), Step.BEGIN, Step.EFFECT)
            if not worked.any():
                continue
            last = journal.entries[np.flatnonzero(worked)[-1]]
            here = last["topic"] == topic and last["partition"] == partition
            if last["step"] == Step.BEGIN and here:
                uncertain.append(int(last["offset"]))
        return np.array(uncertain, dtype=np.int64)

    def _work(self) -> dict[Key, list[Work]]:
        """By partition, what each member did about records that have several effects."""
        repeated = {
            key: records.repeated_offsets
            for key, records in self.partitions.items()
            if records.repeated
        }
        works: dict[Key, list[Work]] = {key: [] for key in repeated}
        for journal in self.journals if repeated and not self.pipeline else ():
            span = span_of(journal.entries)
            for key, indices in self._of_partitions(journal):
                if key in repeated:
                    work = Work(
                        journal.member,
                        journal.entries[indices],
                        span.at(indices),
                        repeated[key],
                        shared=self.shared,
                    )
                    works[key].append(work)
        return works

    def _repeated(self, records: InputPartition, works: list[Work]) -> None:
        """Further effects, and those of them that came after the record had been committed."""
        count = records.repeated
        self.found.counts["repeated"] += count
        offsets = records.repeated_offsets
        if self.pipeline:
            self.found.counts["reprocessed"] += count
            for anomaly in ("repeated", "reprocessed"):
                self._samples_of_offsets(records, anomaly, offsets, Step.EFFECT)
                self._note_times(records, anomaly, offsets, Step.EFFECT)
            return
        self._sample_further(records, works)
        came_again, in_doubt = reprocessed(works)
        if in_doubt:
            self.found.cannot_see(
                f"{in_doubt} further {'effect' if in_doubt == 1 else 'effects'} may have begun "
                "before or after the commit: their order is not known",
                "reprocessed",
            )
        self.found.note_times("repeated", *further_effects(works))
        self.found.note_times("reprocessed", *effects_again(works, came_again))
        for work, again in zip(works, came_again, strict=True):
            indices = np.flatnonzero(again)
            self.found.counts["reprocessed"] += len(indices)
            for at in indices[: self.found.room("reprocessed")].tolist():
                self._sample(records, "reprocessed", work, at)

    def _note_times(self, records: InputPartition, anomaly: str, offsets: I64, step: Step) -> None:
        """Place records in time by what members did about them."""
        self.found.note_times(
            anomaly, *handled(self.journals, records.topic, records.partition, offsets, step)
        )

    def _samples_of_offsets(
        self, records: InputPartition, anomaly: str, offsets: I64, step: Step
    ) -> None:
        """Samples of records, each with the member that came to this step with it last, and when.

        Of a member that had its last record in hand when it died, the time is that of its death.
        """
        chosen = offsets[: self.found.room(anomaly)]
        latest: dict[int, tuple[int, int]] = {}
        for journal in self.journals if len(chosen) else ():
            entries = journal.entries
            there = (entries["step"] == step) & (entries["topic"] == records.topic)
            there &= (entries["partition"] == records.partition) & np.isin(
                entries["offset"], chosen
            )
            died = not bool((entries["step"] == Step.CLOSED).any())
            for entry in entries[there]:
                at_us = int(entries["at_us"].max() if died else entry["at_us"])
                offset = int(entry["offset"])
                latest[offset] = max(latest.get(offset, (-1, 0)), (at_us, journal.member))
        for offset in chosen.tolist():
            last = latest.get(offset)
            self.found.sample(
                Occurrence(
                    anomaly,
                    records.topic,
                    records.partition,
                    offset=offset,
                    member=None if last is None else last[1],
                    at_us=None if last is None else known_us(last[0]),
                )
            )

    def _sample_further(self, records: InputPartition, works: list[Work]) -> None:
        """Samples of effects beyond the first of each record, by the clock."""
        offsets = np.concatenate([work.offsets for work in works])
        done_us = np.concatenate([work.done_us for work in works])
        member = np.repeat(np.arange(len(works)), [len(work) for work in works])
        at = np.concatenate([np.arange(len(work)) for work in works])
        order = np.lexsort((done_us, offsets))
        further = np.flatnonzero(np.diff(offsets[order], prepend=-1) == 0)
        for index in order[further[: self.found.room("repeated")]].tolist():
            self._sample(records, "repeated", works[int(member[index])], int(at[index]))

    def _sample(self, records: InputPartition, anomaly: str, work: Work, at: int) -> None:
        self.found.sample(
            Occurrence(
                anomaly,
                records.topic,
                records.partition,
                offset=int(work.offsets[at]),
                member=work.member,
                at_us=known_us(work.done_us[at]),
            )
        )
