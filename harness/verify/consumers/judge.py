"""All rules about a profile's consumers, in one pass over journals and one over what stands out.

Members are walked one after the other, each partition of a member at once; what is kept between
them is four bytes for each offset of the input topic.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.members.journal import Journal, Step
from harness.rundir import ConsumeRun
from harness.verify.consumers.again import Work, reprocessed
from harness.verify.consumers.blind import blind_spots, missing_journals
from harness.verify.consumers.consumed import Consumed
from harness.verify.consumers.inputs import InputPartition
from harness.verify.consumers.placing import effects_again, further_effects, handled
from harness.verify.consumers.reading import Reading, by_partition, of_step
from harness.verify.copies import Extras
from harness.verify.evidence import Evidence
from harness.verify.findings import Occurrence, ProfileFindings

I64: TypeAlias = npt.NDArray[np.int64]

TRANSACTIONAL: Final = "transactional"
SHARE: Final = "share"


def judge_consumers(evidence: Evidence, found: ProfileFindings, drained: Extras) -> None:
    """Count what the consumers of a profile did wrong; nothing for a profile without any."""
    consume = found.profile.consume
    if consume is None:
        return
    found.consumed = Consumed()
    _Consumers(evidence, found, found.consumed, consume, drained).judge()


class _Consumers:
    """The members of one profile and the partitions that they read."""

    def __init__(
        self,
        evidence: Evidence,
        found: ProfileFindings,
        consumed: Consumed,
        consume: ConsumeRun,
        drained: Extras,
    ) -> None:
        self.evidence = evidence
        self.found = found
        self.consumed = consumed
        self.consume = consume
        self.topic = evidence.info.topics_of(found.profile).start
        self.journals = evidence.consumption.journals.get(found.profile.profile, [])
        self.pipeline = consume.mode == TRANSACTIONAL
        committed = (evidence.consumption.committed or {}).get(consume.group, {})
        self.partitions = {
            partition: InputPartition(
                evidence, self.topic, partition, drained.of(self.topic, partition)
            )
            for partition in evidence.partitions_of(self.topic)
        }
        for partition, records in self.partitions.items():
            offset = committed.get((self.topic, partition), 0)
            if consume.mode == SHARE:
                # Where a share group starts: below it records were accepted, rejected or archived.
                records.committed = offset
            else:
                records.take_committed(offset)

    def judge(self) -> None:
        """Count everything."""
        for journal in self.journals:
            self._journal(journal)
        if self.pipeline:
            self._outputs()
        for records in self.partitions.values():
            self._sums(records)
            self._unprocessed(records)
        for partition, works in self._work().items():
            self._repeated(self.partitions[partition], works)
        blind_spots(self.evidence, self.found, list(self.partitions.values()))

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
        for partition, places in self._of_partitions(journal):
            records, entries = self.partitions[partition], journal.entries[places]
            if self.consume.mode != SHARE:
                # A share group hands records to whichever member asks, in no order.
                Reading(journal.member, entries, places, last).judge(self.found, records)
            if self.consume.mode == SHARE:
                records.take_accepted(entries)
            if not self.pipeline:
                effects = entries["step"] == Step.EFFECT
                records.take_effects(entries["offset"][effects].astype(np.int64))

    def _of_partitions(self, journal: Journal) -> list[tuple[int, I64]]:
        """Where the entries of each input partition stand that the run has."""
        return [
            (partition, places)
            for partition, places in by_partition(journal.entries, self.topic)
            if partition in self.partitions
        ]

    def _outputs(self) -> None:
        """The effects of a pipeline: what the read_committed drain of its output holds."""
        inputs = self.evidence.consumption.inputs
        outputs = self.evidence.info.topics_of(self.found.profile)[1:]
        if inputs is None:
            return
        ours = (inputs["input_topic"] == self.topic) & np.isin(inputs["topic"], list(outputs))
        for partition, records in self.partitions.items():
            rows = inputs[ours & (inputs["partition"] == partition)]
            records.take_effects(rows["input_offset"].astype(np.int64))

    def _sums(self, records: InputPartition) -> None:
        consumed = self.consumed
        done = int(np.count_nonzero(records.real & records.done))
        consumed.records += int(np.count_nonzero(records.real))
        consumed.processed += done
        consumed.effects += records.effects
        passed = int(np.count_nonzero(records.real & records.passed & ~records.done))
        consumed.pending += int(np.count_nonzero(records.real)) - done - passed

    def _unprocessed(self, records: InputPartition) -> None:
        if not self._effects_are_known(records.partition):
            return
        missing = records.unprocessed(self._uncertain(records.partition))
        self.found.counts["unprocessed"] += len(missing)
        self._samples_of_offsets(records, "unprocessed", missing, Step.POLLED)
        self._place(records, "unprocessed", missing, Step.POLLED)

    def _effects_are_known(self, partition: int) -> bool:
        """Whether an effect that is not on record is known not to have happened."""
        if not self.pipeline:
            missing = missing_journals(self.evidence, self.found.profile.profile)
            return bool(self.journals) and not missing
        outputs = self.evidence.info.topics_of(self.found.profile)[1:]
        return self.evidence.consumption.inputs is not None and all(
            self.evidence.drained_partition(topic, partition).whole for topic in outputs
        )

    def _uncertain(self, partition: int) -> I64:
        """Records whose effect may be what a journal that breaks off within an entry was to say."""
        uncertain: list[int] = []
        for journal in self.journals:
            if not journal.torn_bytes or self.pipeline:
                continue
            worked = of_step(np.asarray(journal.entries["step"]), Step.BEGIN, Step.EFFECT)
            if not worked.any():
                continue
            last = journal.entries[np.flatnonzero(worked)[-1]]
            if last["step"] == Step.BEGIN and last["partition"] == partition:
                uncertain.append(int(last["offset"]))
        return np.array(uncertain, dtype=np.int64)

    def _work(self) -> dict[int, list[Work]]:
        """By partition, what each member did about records that have several effects."""
        repeated = {
            partition: records.repeated_offsets
            for partition, records in self.partitions.items()
            if records.repeated
        }
        works: dict[int, list[Work]] = {partition: [] for partition in repeated}
        for journal in self.journals if repeated and not self.pipeline else ():
            for partition, places in self._of_partitions(journal):
                if partition in repeated:
                    work = Work(
                        journal.member,
                        journal.entries[places],
                        repeated[partition],
                        shared=self.consume.mode == SHARE,
                    )
                    works[partition].append(work)
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
                self._place(records, anomaly, offsets, Step.EFFECT)
            return
        self._sample_further(records, works)
        came_again = reprocessed(works)
        self.found.place("repeated", *further_effects(works))
        self.found.place("reprocessed", *effects_again(works, came_again))
        for work, again in zip(works, came_again, strict=True):
            places = np.flatnonzero(again)
            self.found.counts["reprocessed"] += len(places)
            for place in places[: self.found.room("reprocessed")].tolist():
                self._sample(records, "reprocessed", work, place)

    def _place(self, records: InputPartition, anomaly: str, offsets: I64, step: Step) -> None:
        """Place records in time by what members did about them."""
        self.found.place(
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
                at_us = int(entries["at_us"][-1] if died else entry["at_us"])
                offset = int(entry["offset"])
                latest[offset] = max(latest.get(offset, (0, 0)), (at_us, journal.member))
        for offset in chosen.tolist():
            last = latest.get(offset)
            self.found.sample(
                Occurrence(
                    anomaly,
                    records.topic,
                    records.partition,
                    offset=offset,
                    member=None if last is None else last[1],
                    at_us=None if last is None else last[0],
                )
            )

    def _sample_further(self, records: InputPartition, works: list[Work]) -> None:
        """Samples of effects beyond the first of each record, by the clock."""
        offsets = np.concatenate([work.offsets for work in works])
        done_us = np.concatenate([work.done_us for work in works])
        member = np.repeat(np.arange(len(works)), [len(work) for work in works])
        place = np.concatenate([np.arange(len(work)) for work in works])
        order = np.lexsort((done_us, offsets))
        further = np.flatnonzero(np.diff(offsets[order], prepend=-1) == 0)
        for index in order[further[: self.found.room("repeated")]].tolist():
            self._sample(records, "repeated", works[int(member[index])], int(place[index]))

    def _sample(self, records: InputPartition, anomaly: str, work: Work, place: int) -> None:
        self.found.sample(
            Occurrence(
                anomaly,
                records.topic,
                records.partition,
                offset=int(work.offsets[place]),
                member=work.member,
                at_us=int(work.done_us[place]),
            )
        )
