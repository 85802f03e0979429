"""What the brokers say of a run's topics: cluster, topic ids, replicas in sync, log starts, ends.

Answers go into the entries of a DrainProof. Every wait is bounded and says what it waits for; what
cannot be learnt becomes the reason of the partitions concerned, never an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as At
from confluent_kafka.admin import AdminClient, OffsetSpec

from harness.kafka.admin import admin_client, reason
from harness.read.log_end import ending_logs
from harness.rundir.proof import DrainProof, PartitionProof
from harness.rundir.run_info import RunInfo

Key = tuple[str, int]
Say = Callable[[str], None]

_REQUEST_S: Final = 5.0
_REACH_S: Final = 15.0
_TAIL_S: Final = 2.0
_PAUSE_S: Final = 0.1
_GONE_S: Final = 5.0
_GONE: Final = "the topic does not exist"
_BEHIND: Final = "in sync"


class Survey:
    """Asks about the topic-partitions of one drain."""

    def __init__(
        self,
        info: RunInfo,
        client_config: Mapping[str, str],
        proof: DrainProof,
        timeout_s: float,
        say: Say,
    ) -> None:
        self.last_error = ""
        """What the client said last of its connections."""
        self._info = info
        self._client_config = client_config
        self._proof = proof
        self._timeout_s = timeout_s
        self._say = say
        self._entries: dict[Key, PartitionProof] = {
            (entry.topic, entry.partition): entry for entry in proof.partitions
        }
        self._topic_ids = dict(zip(info.topics, info.topic_ids, strict=True))
        self._read_committed = {
            topic for profile in info.profiles if profile.transactional for topic in profile.topics
        }
        self._admin = self._new_admin()

    def note(self, error: KafkaError) -> None:
        """Keep the client's latest complaint, for a reason that would else say only `no answer`."""
        self.last_error = error.str()

    def _new_admin(self) -> AdminClient:
        return admin_client(
            self._client_config, socket_timeout_s=_REQUEST_S, settings={"error_cb": self.note}
        )

    def _renew_admin(self, error: BaseException) -> None:
        """A client that waits for a dead controller broker goes on waiting: ask with a new one."""
        if not isinstance(error, KafkaException) or error.args[0].code() < 0:
            self._admin = self._new_admin()

    # -- the cluster ---------------------------------------------------------------------------

    def is_the_cluster_of_the_run(self) -> bool:
        """Whether the brokers are there and name the cluster id of run.json; notes why not."""
        deadline = time.monotonic() + min(self._timeout_s, _REACH_S)
        self._say("asking the brokers for their cluster id")
        while True:
            try:
                future = self._admin.describe_cluster(request_timeout=_REQUEST_S)
                described: Any = future.result(_REQUEST_S + 1)
                break
            except (KafkaException, TimeoutError) as error:
                said = _text(error)
                self._renew_admin(error)
            if time.monotonic() >= deadline:
                where = self._client_config.get("bootstrap.servers", "the brokers")
                self._give_up(f"{where} cannot be reached ({self.last_error or said})")
                return False
            time.sleep(_PAUSE_S)
        self._proof.cluster_id = str(described.cluster_id)
        if self._proof.cluster_id == self._info.cluster_id:
            return True
        self._give_up(
            f"this is cluster {self._proof.cluster_id}, and the run wrote to "
            f"{self._info.cluster_id}"
        )
        return False

    def _give_up(self, reason: str) -> None:
        self._proof.reasons.append(reason)
        for entry in self._entries.values():
            entry.reason = entry.reason or reason

    # -- topics and replicas -------------------------------------------------------------------

    def await_in_sync(self) -> None:
        """Wait for full ISR; what has no leader by then cannot be read, the rest is."""
        began = time.monotonic()
        while obstacles := self._ask_topics():
            # A broker that has just come back may not know every topic yet; it soon does.
            patience_s = _GONE_S if set(obstacles.values()) == {_GONE} else self._timeout_s
            if time.monotonic() - began >= min(patience_s, self._timeout_s):
                self._note_unreadable(obstacles)
                return
            (topic, partition), text = next(iter(obstacles.items()))
            self._say(
                f"waiting for {len(obstacles)} partitions to be in full ISR: "
                f"{topic}/{partition} {text}"
            )
            time.sleep(_PAUSE_S)

    def describe_again(self) -> None:
        """After the reading: are these still the topics, and still in full ISR?"""
        deadline = time.monotonic() + min(self._timeout_s, _REACH_S)
        while True:
            obstacles = self._ask_topics()
            if all(
                text.startswith(_BEHIND) or self._entries[key].reason
                for key, text in obstacles.items()
            ):
                return
            if time.monotonic() >= deadline:
                self._note_unreadable(obstacles)
                return
            time.sleep(_PAUSE_S)

    def _note_unreadable(self, obstacles: Mapping[Key, str]) -> None:
        for key, text in obstacles.items():
            if not text.startswith(_BEHIND):
                self._entries[key].reason = self._entries[key].reason or text

    def _ask_topics(self) -> dict[Key, str]:
        """Note topic ids, replicas and ISR; the obstacle of each partition that is not whole."""
        names = sorted(set(self._info.topics))
        futures = self._admin.describe_topics(TopicCollection(names), request_timeout=_REQUEST_S)
        obstacles: dict[Key, str] = {}
        failure: BaseException | None = None
        for name, future in futures.items():
            keys = [key for key in self._entries if key[0] == name]
            try:
                described: Any = future.result(_REQUEST_S + 1)
            except (KafkaException, TimeoutError) as error:
                obstacles.update(dict.fromkeys(keys, _undescribed(error)))
                failure = error
                continue
            for key in keys:
                obstacle = self._note_partition(key, described)
                if obstacle:
                    obstacles[key] = obstacle
        if failure is not None:
            self._renew_admin(failure)
        return obstacles

    def _note_partition(self, key: Key, described: Any) -> str:
        entry = self._entries[key]
        entry.topic_id = str(described.topic_id)
        if entry.topic_id != self._topic_ids[key[0]]:
            entry.reason = (
                f"the topic's id is {entry.topic_id}, and the run wrote to "
                f"{self._topic_ids[key[0]]}: it was deleted and made anew"
            )
            return ""
        partition = next((each for each in described.partitions if each.id == key[1]), None)
        if partition is None:
            return "the topic has no such partition"
        entry.isr = sorted(node.id for node in partition.isr)
        entry.replicas = sorted(node.id for node in partition.replicas)
        if partition.leader is None or partition.leader.id < 0:
            return f"it has no leader, {_BEHIND} {entry.isr}"
        entry.leader = partition.leader.id
        if len(entry.isr) < len(entry.replicas):
            return f"{_BEHIND} {entry.isr} of {entry.replicas}"
        return ""

    # -- offsets -------------------------------------------------------------------------------

    def ask_starts(self, keys: list[Key]) -> None:
        """Note the log start offsets before the reading."""
        for key, offset in self._log_starts(keys).items():
            self._entries[key].start = offset

    def ask_starts_again(self, keys: list[Key]) -> None:
        """Note the log start offsets after the reading."""
        for key, offset in self._log_starts(keys).items():
            self._entries[key].log_start_after = offset

    def _log_starts(self, keys: list[Key]) -> dict[Key, int]:
        deadline = time.monotonic() + min(self._timeout_s, _REACH_S)
        found: dict[Key, int] = {}
        pending = keys
        while pending:
            answers = self._list_offsets(
                pending, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED
            )
            found |= {key: said for key, said in answers.items() if isinstance(said, int)}
            pending = [key for key in pending if key not in found]
            if time.monotonic() >= deadline:
                break
            if pending:
                time.sleep(_PAUSE_S)
        for key in pending:
            self._entries[key].reason = f"the brokers named no log start offset ({answers[key]})"
        return found

    def await_ends(self, keys: list[Key], *, patience_s: float) -> None:
        """Note the ends once each last stable offset has reached its end.

        patience_s bounds the wait for open transactions; where one stays open, both offsets are
        noted as they are.
        """
        began = time.monotonic()
        pending = keys
        while pending:
            ends, stable = self._ends(pending)
            unanswered, unended = [], []
            for key in pending:
                end, last_stable = ends[key], stable[key]
                if isinstance(end, int) and isinstance(last_stable, int):
                    self._entries[key].end = end
                    self._entries[key].last_stable = last_stable
                    if last_stable != end:
                        unended.append(key)
                else:
                    unanswered.append(key)
            waited_s = time.monotonic() - began
            if waited_s >= min(self._timeout_s, _REACH_S):
                for key in unanswered:
                    said = ends[key] if isinstance(ends[key], str) else stable[key]
                    self._entries[key].reason = f"the brokers named no end offset ({said})"
                unanswered = []
            if waited_s >= patience_s:
                unended = []
            pending = unanswered + unended
            if pending:
                shown = ", ".join(f"{topic}/{partition}" for topic, partition in pending[:3])
                waits_for = "end offsets" if unanswered else "open transactions to end"
                self._say(f"waiting for {waits_for}: {shown}")
                time.sleep(_PAUSE_S)

    def ask_log_ends(self, keys: list[Key]) -> list[Key]:
        """Note where a log ends at its high watermark; the partitions where that is not known."""
        pending = [key for key in keys if self._entries[key].log_end != self._entries[key].end]
        ends = {key: end for key in pending if (end := self._entries[key].end) is not None}
        ended = ending_logs(
            self._client_config,
            ends,
            group=f"harness-{self._info.run_id}-ends",
            timeout_s=min(self._timeout_s, _TAIL_S),
            on_error=self.note,
        )
        for key in ended:
            self._entries[key].log_end = ends[key]
        return [key for key in pending if key not in ended]

    def _ends(self, keys: list[Key]) -> tuple[dict[Key, int | str], dict[Key, int | str]]:
        """(ends, last stable offsets); the same where no profile reads at read_committed."""
        # The last stable offset is asked first: asked last, it could lie beyond an older end.
        committed = [key for key in keys if key[0] in self._read_committed]
        stable = self._list_offsets(committed, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)
        ends = self._list_offsets(keys, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)
        return ends, {key: stable.get(key, ends[key]) for key in keys}

    def _list_offsets(
        self, keys: list[Key], spec: OffsetSpec, level: IsolationLevel
    ) -> dict[Key, int | str]:
        """Offsets, or what the brokers said instead."""
        if not keys:
            return {}
        answers: dict[Key, int | str] = {}
        try:
            futures = self._admin.list_offsets(
                {At(*key): spec for key in keys}, isolation_level=level, request_timeout=_REQUEST_S
            )
        except KafkaException as error:
            return dict.fromkeys(keys, _text(error))
        for at, future in futures.items():
            try:
                result: Any = future.result(_REQUEST_S + 1)
                # A leader that did not answer comes as the offset -1001, and as no error.
                said = int(result.offset) if result.offset >= 0 else "no leader answered"
                answers[at.topic, at.partition] = said
            except (KafkaException, TimeoutError) as error:
                answers[at.topic, at.partition] = _text(error)
        if any(isinstance(said, str) for said in answers.values()):
            # The client asks whom it holds to be the leader, for minutes, also one that is dead.
            self._admin = self._new_admin()
        return answers


def _undescribed(error: BaseException) -> str:
    if (
        isinstance(error, KafkaException)
        and error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    ):
        return _GONE
    return f"the brokers do not describe it: {_text(error)}"


def _text(error: BaseException) -> str:
    if isinstance(error, KafkaException):
        return reason(error)
    return f"no answer within {_REQUEST_S:g} s"
