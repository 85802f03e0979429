"""The proven complete drain: read a run's topics to their ends and account for every offset.

What "the log holds no such record" may be concluded from:

1. the cluster and the topic ids are those of run.json, before the reading and after it;
2. every replica is in sync; only then are the ends asked, with ListOffsets: the high watermark
   and, for read_committed topics, the last stable offset, which must have reached it;
3. each partition is read from its log start, which must be 0, by a consumer that resets nothing,
   until the broker says at or past the end that there is nothing further;
4. every offset on the way was returned, except transaction markers and aborted or compacted
   records where the topic has them;
5. afterwards the ends, asked again, have not grown, and the log starts have not moved.

A partition where one of these fails is read as far as it goes, and its entry in drain.json says
why it proves nothing. An end below an acknowledged offset is no obstacle: that is a loss.

A high watermark may trail the log for a moment after replicas are in sync again. So the ends are
asked a second time, no sooner than `_SETTLE_S` after the first, and what has come up is read too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from harness.collector import rare_collections
from harness.errors import HarnessError
from harness.rundir import RunDir, RunInfo, now
from harness.verify.consumer import READ_MESSAGES_MAX, Unbatcher, client_config, new_consumer
from harness.verify.observations import ObservationSet
from harness.verify.positions import Positions
from harness.verify.proof import DrainProof, PartitionProof, blank_proof

Say = Callable[[str], None]

_REQUEST_S: Final = 5.0
_REACH_S: Final = 15.0
_POLL_S: Final = 0.1
_SETTLE_S: Final = 1.5
_GONE_S: Final = 5.0
_GONE: Final = "the topic does not exist"
_ROUNDS_MAX: Final = 20
_READ_SETTINGS: Final[Mapping[str, str | int | bool]] = {
    "enable.partition.eof": True,
    "check.crcs": True,
    "fetch.wait.max.ms": 100,
    "fetch.message.max.bytes": 4 * 1024 * 1024,
    "queued.min.messages": 1_000_000,
    "queued.max.messages.kbytes": 64 * 1024,
}

_UNREADABLE: Final = frozenset(
    (
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._LOG_TRUNCATION,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    )
)

Key = tuple[str, int]


def drain(
    run_dir: RunDir,
    info: RunInfo,
    client_config: Mapping[str, str],
    number: int,
    *,
    timeout_s: float,
    progress: Say | None = None,
) -> DrainProof:
    """Read all topics of the run into a fresh drained set and write its drain.json.

    timeout_s bounds every wait in which nothing moves: for replicas to be in sync, for the last
    stable offset to reach the end, and for the next record; reading that advances goes on.
    Brokers that are not reached, topics that are gone and proofs that fail are reasons in the
    result, not errors. Raises RunDirError when set `number` exists, EnvironmentFailure when the
    disk is full.
    """
    folder = run_dir.drained(number)
    proof = blank_proof(info, now())
    with ObservationSet(folder, info, kind="drained") as observations:
        try:
            with rare_collections():
                _Drain(info, client_config, proof, observations, timeout_s, progress).run()
        except KafkaException as error:
            proof.reasons.append(f"the client gave up: {error.args[0]}")
        finally:
            proof.counts = asdict(observations.counts)
            proof.ended_at = now()
            proof.conclude(info)
            proof.write(folder)
    return proof


class _Drain:
    """One drain as it goes; fills in the proof and judges nothing but what it waits for."""

    def __init__(
        self,
        info: RunInfo,
        client_config: Mapping[str, str],
        proof: DrainProof,
        observations: ObservationSet,
        timeout_s: float,
        progress: Say | None,
    ) -> None:
        self.info = info
        self.client_config = client_config
        self.proof = proof
        self.observations = observations
        self.timeout_s = timeout_s
        self.say = progress or (lambda _: None)
        self.entries: dict[Key, PartitionProof] = {
            (entry.topic, entry.partition): entry for entry in proof.partitions
        }
        self.topic_ids = dict(zip(info.topics, info.topic_ids, strict=True))
        self.committed = {
            topic for profile in info.profiles if profile.transactional for topic in profile.topics
        }
        self.last_error = ""
        self.admin = self._new_admin()

    def _new_admin(self) -> AdminClient:
        return AdminClient(
            {
                **self.client_config,
                "socket.timeout.ms": int(_REQUEST_S * 1000),
                "log_level": 2,
                "error_cb": self._note,
            }
        )

    def _renew_admin(self, error: BaseException) -> None:
        """A client that waits for a dead controller broker goes on waiting: ask with a new one."""
        if not isinstance(error, KafkaException) or error.args[0].code() < 0:
            self.admin = self._new_admin()

    def _note(self, error: KafkaError) -> None:
        self.last_error = error.str()

    def run(self) -> None:
        """All steps; returns early when nothing can be read."""
        if not self._same_cluster():
            return
        self._await_in_sync()
        asked_at = time.monotonic()
        keys = [key for key, entry in self.entries.items() if not entry.reason]
        positions = Positions(keys)
        self._ask_starts(keys)
        for _ in range(_ROUNDS_MAX):
            keys = [key for key in keys if not self.entries[key].reason]
            before = {key: self.entries[key].end for key in keys}
            self._await_ends(keys)
            grown = [key for key in keys if self.entries[key].end != before[key]]
            if not grown and time.monotonic() - asked_at >= _SETTLE_S:
                break
            if grown:
                self._read(grown, positions)
            time.sleep(max(0.0, min(_POLL_S, _SETTLE_S - (time.monotonic() - asked_at))))
        else:
            for key in keys:
                self.entries[key].reason = "the log keeps growing: something still writes to it"
        self._ask_starts(keys, after=True)
        self._describe_again()

    # -- what the brokers say ------------------------------------------------------------------

    def _same_cluster(self) -> bool:
        deadline = time.monotonic() + min(self.timeout_s, _REACH_S)
        self.say("asking the brokers for their cluster id")
        while True:
            try:
                described: Any = self.admin.describe_cluster(request_timeout=_REQUEST_S).result(
                    _REQUEST_S + 1
                )
                break
            except (KafkaException, TimeoutError) as error:
                said = _text(error)
                self._renew_admin(error)
            if time.monotonic() >= deadline:
                where = self.client_config.get("bootstrap.servers", "the brokers")
                self._give_up(f"{where} cannot be reached ({self.last_error or said})")
                return False
            time.sleep(_POLL_S)
        self.proof.cluster_id = str(described.cluster_id)
        if self.proof.cluster_id != self.info.cluster_id:
            self._give_up(
                f"this is cluster {self.proof.cluster_id}, and the run wrote to "
                f"{self.info.cluster_id}"
            )
            return False
        return True

    def _give_up(self, reason: str) -> None:
        self.proof.reasons.append(reason)
        for entry in self.entries.values():
            entry.reason = entry.reason or reason

    def _ask_topics(self) -> dict[Key, str]:
        """Note topic ids, replicas and ISR; what stands in the way of each partition not whole."""
        names = sorted(set(self.info.topics))
        futures = self.admin.describe_topics(TopicCollection(names), request_timeout=_REQUEST_S)
        obstacles: dict[Key, str] = {}
        failure: BaseException | None = None
        for name, future in futures.items():
            keys = [key for key in self.entries if key[0] == name]
            try:
                described: Any = future.result(_REQUEST_S + 1)
            except (KafkaException, TimeoutError) as error:
                gone = _code(error) == KafkaError.UNKNOWN_TOPIC_OR_PART
                text = _GONE if gone else f"the brokers do not describe it: {_text(error)}"
                obstacles.update(dict.fromkeys(keys, text))
                failure = error
                continue
            found = {partition.id: partition for partition in described.partitions}
            for key in keys:
                entry, partition = self.entries[key], found.get(key[1])
                entry.topic_id = str(described.topic_id)
                if entry.topic_id != self.topic_ids[name]:
                    entry.reason = (
                        f"the topic's id is {entry.topic_id}, and the run wrote to "
                        f"{self.topic_ids[name]}: it was deleted and made anew"
                    )
                    continue
                if partition is None:
                    obstacles[key] = "the topic has no such partition"
                    continue
                entry.isr = sorted(node.id for node in partition.isr)
                entry.replicas = sorted(node.id for node in partition.replicas)
                if partition.leader is None or partition.leader.id < 0:
                    obstacles[key] = f"it has no leader, in sync {entry.isr}"
                elif len(entry.isr) < len(entry.replicas):
                    obstacles[key] = f"in sync {entry.isr} of {entry.replicas}"
        if failure is not None:
            self._renew_admin(failure)
        return obstacles

    def _await_in_sync(self) -> None:
        """Wait for full ISR; what has no leader by then cannot be read, the rest is."""
        began = time.monotonic()
        while obstacles := self._ask_topics():
            unreadable = {
                key: text for key, text in obstacles.items() if not text.startswith("in sync")
            }
            # A broker that has just come back may not know every topic yet; it soon does.
            patience_s = _GONE_S if set(obstacles.values()) == {_GONE} else self.timeout_s
            if time.monotonic() - began >= min(patience_s, self.timeout_s):
                for key, text in unreadable.items():
                    self.entries[key].reason = text
                return
            (topic, partition), text = next(iter(obstacles.items()))
            self.say(
                f"waiting for {len(obstacles)} partitions to be in full ISR: "
                f"{topic}/{partition} {text}"
            )
            time.sleep(_POLL_S)

    def _describe_again(self) -> None:
        """After the reading: are these still the topics, and still in full ISR?"""
        deadline = time.monotonic() + min(self.timeout_s, _REACH_S)
        while True:
            unanswered = {
                key: text
                for key, text in self._ask_topics().items()
                if not text.startswith("in sync") and not self.entries[key].reason
            }
            if not unanswered:
                return
            if time.monotonic() >= deadline:
                for key, text in unanswered.items():
                    self.entries[key].reason = text
                return
            time.sleep(_POLL_S)

    def _list_offsets(self, keys: list[Key], spec: OffsetSpec, level: Any) -> dict[Key, int | str]:
        """Offsets, or what the brokers said instead."""
        if not keys:
            return {}
        wanted = {TopicPartition(*key): spec for key in keys}
        answers: dict[Key, int | str] = {}
        try:
            futures = self.admin.list_offsets(
                wanted, isolation_level=level, request_timeout=_REQUEST_S
            )
        except KafkaException as error:
            return dict.fromkeys(keys, _text(error))
        for partition, future in futures.items():
            key = (partition.topic, partition.partition)
            try:
                result: Any = future.result(_REQUEST_S + 1)
                # A leader that did not answer comes as the offset -1001, and as no error.
                answers[key] = int(result.offset) if result.offset >= 0 else "no leader answered"
            except (KafkaException, TimeoutError) as error:
                answers[key] = _text(error)
        return answers

    def _ask_starts(self, keys: list[Key], *, after: bool = False) -> None:
        deadline = time.monotonic() + min(self.timeout_s, _REACH_S)
        pending = keys
        while pending:
            answers = self._list_offsets(
                pending, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED
            )
            for key, answer in answers.items():
                if isinstance(answer, int):
                    if after:
                        self.entries[key].log_start_after = answer
                    else:
                        self.entries[key].start = answer
            pending = [key for key in pending if isinstance(answers[key], str)]
            if time.monotonic() >= deadline:
                break
            if pending:
                time.sleep(_POLL_S)
        for key in pending:
            self.entries[key].reason = f"the brokers named no log start offset ({answers[key]})"

    def _await_ends(self, keys: list[Key]) -> None:
        """Ask for the ends until each last stable offset has reached its end; bounded."""
        deadline = time.monotonic() + self.timeout_s
        pending = keys
        while pending:
            ends = self._list_offsets(pending, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)
            stable = self._list_offsets(
                [key for key in pending if key[0] in self.committed],
                OffsetSpec.latest(),
                IsolationLevel.READ_COMMITTED,
            )
            waiting: list[Key] = []
            for key in pending:
                end, last_stable = ends[key], stable.get(key, ends[key])
                entry = self.entries[key]
                if isinstance(end, int) and isinstance(last_stable, int):
                    entry.end, entry.last_stable = end, last_stable
                if not isinstance(end, int) or last_stable != end:
                    waiting.append(key)
            pending = waiting
            if not pending or time.monotonic() >= deadline:
                break
            shown = ", ".join(f"{topic}/{partition}" for topic, partition in pending[:3])
            self.say(f"waiting for open transactions to end: {shown}")
            time.sleep(_POLL_S)
        for key in pending:
            said = ends[key]
            if isinstance(said, str):
                self.entries[key].reason = f"the brokers named no end offset ({said})"

    # -- reading -------------------------------------------------------------------------------

    def _read(self, keys: list[Key], positions: Positions) -> None:
        for level, chosen in (
            ("read_uncommitted", [key for key in keys if key[0] not in self.committed]),
            ("read_committed", [key for key in keys if key[0] in self.committed]),
        ):
            if chosen:
                self._read_at(level, chosen, positions)
        for key in keys:
            entry, position = self.entries[key], positions[key]
            entry.position, entry.read, entry.holes = position.next, position.read, position.holes
            entry.eof = position.eof is not None and position.eof >= (entry.end or 0)
            entry.reason = entry.reason or position.failure

    def _read_at(self, level: str, keys: list[Key], positions: Positions) -> None:
        targets = {key: self._target(key) for key in keys}
        for key in keys:
            positions[key].begin(self.entries[key].start or 0)
        total = sum(targets[key] - positions[key].next for key in keys)
        unbatcher = Unbatcher(self.info.topics, {topic for topic, _ in keys})
        consumer = new_consumer(
            self.client_config,
            group=f"harness-{self.info.run_id}-drain",
            isolation_level=level,
            on_error=self._note,
            settings=_READ_SETTINGS,
        )
        try:
            consumer.assign([TopicPartition(*key, positions[key].next) for key in keys])
            done, said_at, moved_at = 0, 0.0, time.monotonic()
            while any(positions[key].behind(targets[key]) for key in keys):
                messages = consumer.consume(READ_MESSAGES_MAX, _POLL_S)
                instant = time.monotonic()
                batch, events = unbatcher.take(messages)
                if len(batch):
                    positions.advance(self.info.topics, batch)
                    self.observations.add(batch)
                    done += len(batch)
                    moved_at = instant
                # The end of a partition comes after its records.
                for event in events:
                    moved_at = instant if self._note_event(event, positions) else moved_at
                if instant - moved_at >= self.timeout_s:
                    self._stalled(keys, targets, positions)
                    return
                if instant - said_at >= 1.0:
                    said_at = instant
                    self.say(f"read {done:,} of {total:,} offsets ({level})")
        finally:
            consumer.close()

    def _note_event(self, event: Message, positions: Positions) -> bool:
        """Take in what is no record; whether it brings a partition forward."""
        error = event.error()
        topic, partition, offset = event.topic(), event.partition(), event.offset()
        if error is None or topic is None or partition is None:
            self.last_error = str(error)
            return False
        if error.code() == KafkaError._PARTITION_EOF and offset is not None:
            positions[topic, partition].ended(offset)
            return True
        self.last_error = error.str()
        if error.code() in _UNREADABLE:
            positions[topic, partition].failure = f"it cannot be read on: {error.str()}"
        return False

    def _target(self, key: Key) -> int:
        entry = self.entries[key]
        ends = [end for end in (entry.end, entry.last_stable) if end is not None]
        return min(ends, default=0)

    def _stalled(self, keys: list[Key], targets: Mapping[Key, int], positions: Positions) -> None:
        for key in keys:
            if positions[key].behind(targets[key]) and not positions[key].failure:
                positions[key].failure = (
                    f"no record for {self.timeout_s:g} s at offset {positions[key].next} of "
                    f"{targets[key]}" + (f" ({self.last_error})" if self.last_error else "")
                )


def _code(error: BaseException) -> int | None:
    if isinstance(error, KafkaException):
        return int(error.args[0].code())
    return None


def _text(error: BaseException) -> str:
    if isinstance(error, KafkaException):
        return str(error.args[0].str())
    return f"no answer within {_REQUEST_S:g} s"


def main(argv: list[str] | None = None) -> int:
    """`python -m harness.verify.drain RUN_DIR`: drain once more, print what the proof says."""
    parser = argparse.ArgumentParser(prog="python -m harness.verify.drain", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument("--number", type=int, help="the set's number (default: the next one)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S")
    args = parser.parse_args(argv)
    run_dir = RunDir(args.run_dir)

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    try:
        info = run_dir.read_info()
        number = args.number or run_dir.next_verification()
        settings = client_config(info)
        proof = drain(run_dir, info, settings, number, timeout_s=args.timeout, progress=say)
    except HarnessError as error:
        say(str(error))
        return error.exit_code
    for reason in proof.reasons:
        say(f"incomplete: {reason}")
    say(f"{proof.read} records read into {run_dir.drained(number)}")
    return 0 if proof.complete else 3


if __name__ == "__main__":
    raise SystemExit(main())
