"""The topics that both sides work on, and the run directories of ours."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import NewTopic, OffsetSpec

from harness.bench.cases import Case
from harness.errors import HarnessError
from harness.kafka.admin import REQUEST_TIMEOUT_S, admin_client, awaited
from harness.kafka.topics import (
    CREATE_TIMEOUT_S,
    await_created,
    cluster_facts,
    delete_topics,
    wait_for_topics,
)
from harness.profiles.model import DeliveryProfile
from harness.rundir.clock import now
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import LoadPlan, ProfileRun, RunInfo, new_run_id

PARTITIONS: Final = 3
_ARRIVAL_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.05

SETTINGS_OF_BENCH: Final = {
    # Dozens of topics of a gigabyte each come and go: their files go at once, not a minute later.
    "file.delete.delay.ms": "100",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the bench."""

    name: str
    topic_id: str


class Topics:
    """Makes, checks and removes topics, around the proxies when the brokers have such a way."""

    def __init__(self, client_config: Mapping[str, str]) -> None:
        self.client_config = dict(client_config)
        self.cluster_id = cluster_facts(self.client_config).cluster_id
        self._admin = admin_client(self.client_config)

    @property
    def bootstrap(self) -> str:
        return self.client_config["bootstrap.servers"]

    def create(self, name: str, profile: DeliveryProfile) -> Topic:
        """A new topic with the profile's settings; the brokers spread its leaders."""
        settings = {**profile.topic_config(), **SETTINGS_OF_BENCH}
        new = NewTopic(name, PARTITIONS, profile.replication_factor or 3, config=settings)
        await_created(self._admin.create_topics([new], request_timeout=CREATE_TIMEOUT_S))
        ids = wait_for_topics(self._admin, [name], partitions=PARTITIONS)
        return Topic(name, ids[name])

    def delete(self, topic: Topic) -> None:
        """Remove a topic; what the brokers refuse is left to the end of the cluster."""
        delete_topics(self.client_config, [topic.name], lambda _: None)

    def records(self, topic: Topic) -> int:
        """How many offsets its partitions hold: records, and a marker a transaction."""
        wanted = {TopicPartition(topic.name, i): OffsetSpec.latest() for i in range(PARTITIONS)}
        futures = self._admin.list_offsets(
            wanted,
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=REQUEST_TIMEOUT_S,
        )
        return sum(
            int(awaited(future, f"Asking for the ends of {topic.name}").offset)
            for future in futures.values()
        )

    def check_arrived(self, topic: Topic, case: Case, who: str) -> None:
        """Await that every record is in the topic: with acks=0 the client is done before.

        Raises HarnessError when they do not arrive: then nothing was measured.
        """
        deadline = time.monotonic() + _ARRIVAL_TIMEOUT_S
        while (held := self.records(topic)) < case.records:
            if time.monotonic() > deadline:
                raise HarnessError(
                    f"{case.name}: {who} was to send {case.records} records, and {topic.name} "
                    f"holds {held} after {_ARRIVAL_TIMEOUT_S:g} s."
                )
            time.sleep(_POLL_S)
        if not profile_has_markers(case.profile) and held != case.records:
            raise HarnessError(
                f"{case.name}: {who} was to send {case.records} records, and {topic.name} "
                f"holds {held}."
            )


def profile_has_markers(profile: str) -> bool:
    """Whether offsets of its topics are also taken by the ends of transactions."""
    return profile == "transactional"


def prepare(
    folder: Path,
    case: Case,
    profile: DeliveryProfile,
    topic: Topic,
    *,
    bootstrap: str,
    cluster_id: str,
) -> RunDir:
    """A run directory as `harness run` makes it, for one profile and one topic.

    Of a transactional profile nothing is aborted, as Kafka's tool aborts nothing.
    """
    run_dir = RunDir.create(folder)
    profile_run = ProfileRun(
        profile=profile.name,
        role="subject",
        topics=[topic.name],
        topic_ids=[topic.topic_id],
        producer=dict(profile.producer),
        consumer=dict(profile.consumer),
        topic=dict(profile.topic),
        promises=list(profile.promises),
        summary=profile.summary,
        transaction_interval_ms=profile.transaction_interval_ms,
        abort_ratio=0.0,
    )
    run_dir.write_info(
        RunInfo(
            run_id=new_run_id(),
            seed=1,
            command=["harness", "bench"],
            bootstrap=bootstrap,
            cluster_id=cluster_id,
            versions={},
            profiles=[profile_run],
            load=LoadPlan(
                rate_per_s=0.0,
                schedule="constant",
                duration_s=None,
                message_bytes=case.message_bytes,
                keys=0,
                partitions=PARTITIONS,
                producers=1,
                warm_up_s=0.0,
                lag_limit_ms=0.0,
            ),
            experiments=[],
            aims={},
            control=False,
            started_at=now(),
        )
    )
    return run_dir


def direct_config(brokers: Any) -> dict[str, str]:
    """How to reach brokers without the proxy in front of them, where there is one.

    The proxy is part of the faults, not of what is measured, and it would take one of two cores.
    """
    config = dict(brokers.client_config)
    direct = getattr(brokers, "direct_bootstrap", None)
    if direct:
        config["bootstrap.servers"] = direct
    return config
