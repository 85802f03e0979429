"""How far each group is behind: committed offsets against the ends, once a second.

The figures go into the timeline, as `lag` for each partition and, once a group has committed all
that its input held when a fault was injected, as `recovered` with the time that took. Share groups
have no such offsets and are left out. While brokers do not answer nothing is known, and nothing is
written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from harness.kafka.admin import admin_client, awaited
from harness.kafka.consumer import new_consumer
from harness.rundir.clock import now_us
from harness.rundir.events import FaultEvent, LagEvent, RecoveredEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, RunInfo

INTERVAL_S: Final = 1.0
_ANSWER_S: Final = 2.0
_PREPARE_S: Final = 20.0
NEVER: Final = -1
Offsets = dict[tuple[str, int], int]


def share_reset(admin: AdminClient, group: str) -> None:
    """Let a share group that is new begin at the start. Raises ClusterError."""
    resource = ConfigResource(
        ResourceType.GROUP,
        group,
        incremental_configs=[
            ConfigEntry(
                "share.auto.offset.reset",
                "earliest",
                incremental_operation=AlterConfigOpType.SET,
            )
        ],
    )
    for future in admin.incremental_alter_configs([resource]).values():
        awaited(future, f"Setting share.auto.offset.reset of share group {group}", _PREPARE_S)


class GroupOffsets:
    """Asks for a group's committed offsets, without being a member of it.

    A consumer that never subscribes asks as well as an admin client does, and does not take the
    process down: confluent-kafka 2.16.1's list_consumer_group_offsets ended it with SIGSEGV while
    the coordinator moved.
    """

    def __init__(
        self, client_config: Mapping[str, str], group: str, *, settled: bool = False
    ) -> None:
        """settled: wait for the end of transactions that commit offsets, also for the moment
        between the answer to a commit and its marker; else what they commit is not returned."""
        self._consumer = new_consumer(
            client_config,
            group=group,
            isolation_level="read_committed" if settled else "read_uncommitted",
            on_error=lambda _: None,
            settings={},
        )

    def committed(self, keys: Sequence[tuple[str, int]], timeout_s: float) -> Offsets | None:
        """The offset of each (topic, partition) that has one; None when no broker answers."""
        try:
            answers = self._consumer.committed(
                [TopicPartition(*key) for key in keys], timeout=timeout_s
            )
        except KafkaException:
            return None
        if any(each.error is not None for each in answers):
            return None
        return {(each.topic, each.partition): each.offset for each in answers if each.offset >= 0}

    def close(self) -> None:
        """Let go of the client."""
        self._consumer.close()


@dataclass(slots=True)
class _Recovery:
    """A fault, and how far a group has to come to have recovered from it."""

    fault_id: str
    fault: str
    injected_us: int
    ends: Offsets
    """of its input when the fault was seen: all of that is to be committed"""


class LagWatch:
    """A thread that writes lag into the timeline until it is stopped."""

    def __init__(self, run_dir: RunDir, info: RunInfo, client_config: Mapping[str, str]) -> None:
        self._run_dir = run_dir
        self._info = info
        self._client_config = dict(client_config)
        self._admin = admin_client(client_config)
        self._profiles = [
            profile
            for profile in info.profiles
            if profile.consume is not None and profile.consume.mode != "share"
        ]
        self._groups = {
            profile.profile: GroupOffsets(client_config, profile.consume.group)
            for profile in self._profiles
            if profile.consume is not None
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self._lags: dict[str, Offsets] = {}
        self._committed: dict[str, Offsets] = {}
        self._waiting: dict[str, list[_Recovery]] = {}
        self._seen_faults: set[str] = set()
        self._new_faults: dict[str, list[FaultEvent]] = {
            profile.profile: [] for profile in self._profiles
        }
        """By profile: a group whose offsets were not reported hears of them the next time."""
        self._timeline = run_dir.follow()

    def prepare(self) -> None:
        """What the brokers have to be asked about a group before its members join."""
        for profile in self._info.profiles:
            if profile.consume is not None and profile.consume.mode == "share":
                share_reset(self._admin, profile.consume.group)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Safe to call again, and before `start`."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(4 * _ANSWER_S)
        for group in self._groups.values():
            group.close()
        self._groups = {}

    @property
    def behind(self) -> int | None:
        """How many offsets all groups together are behind; None before all of them are known."""
        if len(self._lags) < len(self._profiles):
            return None
        return sum(sum(lags.values()) for lags in self._lags.values())

    @property
    def committed(self) -> dict[str, Offsets]:
        """What each profile's group had committed when last asked."""
        return dict(self._committed)

    def at_the_ends(self) -> bool:
        """Whether nothing that could be read follows the committed offsets.

        After the last record of a partition may stand the marker of its transaction, or aborted
        ones: an offset that no member ever commits. So the partitions that seem behind are read.
        """
        behind = [
            TopicPartition(*key, max(0, self._committed[profile.profile].get(key, 0)))
            for profile in self._profiles
            for key, lag in self._lags.get(profile.profile, {}).items()
            if lag
        ]
        waiting = {(each.topic, each.partition) for each in behind}
        if not waiting:
            return True
        consumer = new_consumer(
            self._client_config,
            group=f"harness-{self._info.run_id}-lag",
            isolation_level="read_committed",
            on_error=lambda _: None,
            settings={"enable.partition.eof": True},
        )
        try:
            consumer.assign(behind)
            deadline = time.monotonic() + _ANSWER_S
            while waiting and time.monotonic() < deadline:
                message = consumer.poll(0.1)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    return False
                topic, partition = message.topic(), message.partition()
                if error.code() == KafkaError._PARTITION_EOF and topic and partition is not None:
                    waiting.discard((topic, partition))
        finally:
            consumer.close()
        return not waiting

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            ends = self._ends()
            if ends is not None:
                self._read_faults()
                for profile in self._profiles:
                    if not self._stop.is_set():
                        self._look(profile, ends)
            self._stop.wait(max(0.1, INTERVAL_S - (time.monotonic() - began)))

    def _ends(self) -> Offsets | None:
        """The last stable offset of each input partition."""
        wanted = {
            TopicPartition(profile.topics[0], partition): OffsetSpec.latest()
            for profile in self._profiles
            for partition in range(self._info.load.partitions)
        }
        if not wanted:
            return None
        ends: Offsets = {}
        try:
            futures = self._admin.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ANSWER_S
            )
            for at, future in futures.items():
                offset = future.result(_ANSWER_S + 1).offset
                if offset < 0:
                    return None
                ends[at.topic, at.partition] = offset
        except (KafkaException, TimeoutError):
            return None
        return ends

    def _look(self, profile: ProfileRun, ends: Offsets) -> None:
        assert profile.consume is not None
        keys = [(profile.topics[0], each) for each in range(self._info.load.partitions)]
        committed = self._groups[profile.profile].committed(keys, _ANSWER_S)
        if committed is None:
            return
        lags: Offsets = {}
        mine: Offsets = {}
        for partition in range(self._info.load.partitions):
            key = (profile.topics[0], partition)
            offset, end = committed.get(key, NEVER), ends[key]
            mine[key] = end
            lags[key] = max(0, end - max(offset, 0))
            self._run_dir.append(
                LagEvent(
                    source="members",
                    profile=profile.profile,
                    topic=key[0],
                    partition=partition,
                    committed=offset,
                    end=end,
                )
            )
        self._note_recovery(profile.profile, committed, mine)
        self._lags[profile.profile] = lags
        self._committed[profile.profile] = committed

    def _note_recovery(self, name: str, committed: Offsets, ends: Offsets) -> None:
        """Say which faults a group has recovered from; new ones wait from now on."""
        waiting = self._waiting.setdefault(name, [])
        waiting += [
            _Recovery(each.fault_id, each.fault, each.at_us, ends)
            for each in self._new_faults[name]
        ]
        self._new_faults[name].clear()
        for each in list(waiting):
            if any(committed.get(key, 0) < end for key, end in each.ends.items()):
                continue
            waiting.remove(each)
            self._run_dir.append(
                RecoveredEvent(
                    source="members",
                    profile=name,
                    fault_id=each.fault_id,
                    fault=each.fault,
                    after_ms=round((now_us() - each.injected_us) / 1000),
                )
            )

    def _read_faults(self) -> None:
        """Which faults the timeline names that it did not name before."""
        for event in self._timeline.events(FaultEvent):
            if event.fault_id not in self._seen_faults:
                self._seen_faults.add(event.fault_id)
                for waiting in self._new_faults.values():
                    waiting.append(event)
