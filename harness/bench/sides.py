"""One run of either side: a fresh topic, one process, a check that the records are there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from harness.bench.cases import LOAD, Case
from harness.bench.measured import Measured, Process
from harness.bench.peer import (
    consumer_command,
    consumer_result,
    java_settings,
    producer_command,
    producer_result,
    write_payloads,
)
from harness.bench.runs import Topic, Topics, direct_config, prepare
from harness.bench.worker import WorkerResult, result_of
from harness.brokers.local.jars import KAFKA_VERSION, fetch_jars
from harness.brokers.local.java import find_java
from harness.errors import HarnessError
from harness.kafka.environment import child_environment
from harness.profiles import DeliveryProfile, load_builtin
from harness.profiles.model import Settings
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import new_run_id

TIMEOUT_S: Final = 300.0
START_UP_RECORDS: Final = 1_000
START_UP_RUNS: Final = 3


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one side."""

    records_per_s: float
    cpu_us_per_record: float
    """User and system time of the whole process, start-up included, over all its records."""
    elapsed_s: float | None = None
    """As the rate counts it; None for Kafka's tools."""
    third_per_s: tuple[float, float] | None = None
    """Of our load: records a second in the first and in the last third."""


@dataclass(frozen=True, slots=True)
class StartUp:
    """CPU seconds that a run of few records takes, on each side: what every run begins with."""

    ours_s: float
    peer_s: float


@dataclass(frozen=True, slots=True)
class OurRun:
    """A topic and the run directory of the run that writes to it."""

    topic: Topic
    run_dir: RunDir


class Sides:
    """Runs ours and Kafka's on the same brokers; `folder` holds all that they write."""

    def __init__(self, brokers: Any, folder: Path) -> None:
        self.folder = folder
        self.topics = Topics(direct_config(brokers))
        self.environment = child_environment(self.topics.client_config)
        self._profiles = load_builtin()
        self._java = find_java()
        self.kafka_version = getattr(brokers, "kafka_version", KAFKA_VERSION)
        self._jars = fetch_jars(self.kafka_version)
        self._payloads: dict[int, Path] = {}
        self._run_id = new_run_id()
        self._number = 0

    def _name(self) -> str:
        self._number += 1
        return f"harness-{self._run_id}-bench-{self._number}"

    @contextmanager
    def _topic(self, profile: DeliveryProfile) -> Iterator[Topic]:
        topic = self.topics.create(self._name(), profile)
        try:
            yield topic
        finally:
            self.topics.delete(topic)

    @contextmanager
    def run(
        self, case: Case, *, producer: Settings | None = None, topic: Settings | None = None
    ) -> Iterator[OurRun]:
        """A topic, still empty, and a run directory for it; both are gone afterwards."""
        profile = self._profiles[case.profile].override(producer=producer, topic=topic)
        with self._topic(profile) as made:
            folder = self.folder / made.name
            try:
                run_dir = prepare(
                    folder,
                    case,
                    profile,
                    made,
                    bootstrap=self.topics.bootstrap,
                    cluster_id=self.topics.cluster_id,
                )
                yield OurRun(made, run_dir)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    # -- load ------------------------------------------------------------------------------

    def load_ours(self, case: Case) -> Run:
        """Our producer, with all that it records."""
        with self.run(case) as run:
            measured, result = self.worker("load", run.run_dir, case.records, case.name)
            self.topics.check_arrived(run.topic, case, "our producer")
        return _ours(measured, result)

    def load_peer(self, case: Case) -> Run:
        """ProducerPerformance with the same settings and payload."""
        profile = self._profiles[case.profile]
        with self._topic(profile) as topic:
            command = producer_command(
                self._java,
                self._jars,
                case,
                topic.name,
                self.topics.bootstrap,
                java_settings(profile.producer),
                self._payload(case.message_bytes),
                profile.transaction_interval_ms if profile.transactional else None,
            )
            measured = self._measure(command, case.peer)
            result = producer_result(measured.output)
            if result.records != case.records:
                raise HarnessError(
                    f"{case.name}: {case.peer} sent {result.records} of {case.records} records."
                )
            self.topics.check_arrived(topic, case, case.peer)
        return _run(measured, result.records_per_s, case.records)

    def _payload(self, message_bytes: int) -> Path:
        path = self._payloads.get(message_bytes)
        if path is None:
            path = self._payloads[message_bytes] = self.folder / f"payload-{message_bytes}"
            write_payloads(path, message_bytes)
        return path

    # -- verification ----------------------------------------------------------------------

    @contextmanager
    def filled(self, case: Case) -> Iterator[OurRun]:
        """A topic with the case's records, and the run directory of the run that sent them."""
        with self.run(case) as run:
            self.worker("load", run.run_dir, case.records, case.name)
            self.topics.check_arrived(run.topic, case, "our producer")
            yield run

    def verify_ours(self, case: Case, run: OurRun) -> Run:
        """Drain, reconcile, judge."""
        number = run.run_dir.next_verification()
        measured, result = self.worker("verify", run.run_dir, number, case.name)
        if result.records != case.records:
            raise HarnessError(f"{case.name}: read {result.records} of {case.records} records.")
        return _ours(measured, result)

    def verify_peer(self, case: Case, run: OurRun) -> Run:
        """ConsumerPerformance on the same topic; it reads, and checks nothing but CRCs."""
        command = consumer_command(
            self._java, self._jars, case, run.topic.name, self.topics.bootstrap
        )
        measured = self._measure(command, case.peer)
        result = consumer_result(measured.output)
        if result.records < case.records:
            raise HarnessError(
                f"{case.name}: {case.peer} read {result.records} of {case.records} records."
            )
        return _run(measured, result.records_per_s, result.records)

    # -- start-up --------------------------------------------------------------------------

    def start_up(self, case: Case) -> StartUp:
        """An interpreter with its imports here, a JVM with its classes there; medians of three."""
        few = replace(case, records=START_UP_RECORDS)
        if case.kind == LOAD:
            runs = [(self.load_ours(few), self.load_peer(few)) for _ in range(START_UP_RUNS)]
        else:
            with self.filled(few) as run:
                runs = [
                    (self.verify_ours(few, run), self.verify_peer(few, run))
                    for _ in range(START_UP_RUNS)
                ]
        return StartUp(
            median(ours.cpu_us_per_record for ours, _ in runs) * START_UP_RECORDS / 1e6,
            median(peer.cpu_us_per_record for _, peer in runs) * START_UP_RECORDS / 1e6,
        )

    # -- processes -------------------------------------------------------------------------

    def worker(
        self,
        what: str,
        run_dir: RunDir,
        number: int,
        name: str,
        *,
        memory: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[Measured, WorkerResult]:
        """Run our worker as its own process."""
        command = ["harness.bench.worker", what, str(run_dir.path), str(number)]
        measured = self.start(command, f"our {name}", memory=memory).finish(timeout_s)
        return measured, result_of(measured.output)

    def start(self, module: list[str], what: str, *, memory: bool = False) -> Process:
        """Start a module of ours with its arguments."""
        return Process(
            [sys.executable, "-m", *module],
            what=what,
            folder=self.folder,
            environment=self.environment,
            memory=memory,
        )

    def _measure(self, command: list[str], what: str) -> Measured:
        return Process(command, what=what, folder=self.folder).finish(TIMEOUT_S)


def _ours(measured: Measured, result: WorkerResult) -> Run:
    cpu_us = measured.cpu_s / result.records * 1e6
    return Run(result.records_per_s, cpu_us, result.elapsed_s, result.third_per_s)


def _run(measured: Measured, records_per_s: float, records: int) -> Run:
    return Run(records_per_s, measured.cpu_s / records * 1e6)
