"""One run from prepared to judged: its directory, topics, observer and reader, and its end.

    prepare → start_recording → (load and faults, by whoever runs them) → stop_recording → judge

`harness run` uses a session in its own process. A Locust file that a person starts by hand has
no such process, so it starts one: harness/runs/recorder.py.
"""

from __future__ import annotations

import contextlib
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import confluent_kafka

from harness.brokers import Brokers
from harness.errors import BrokersUnreached, HarnessError
from harness.faults.experiments import Experiment
from harness.faults.registry import FAULTS
from harness.kafka.environment import child_environment
from harness.kafka.topics import ClusterFacts, cluster_facts, create_topics, delete_topics, finite
from harness.profiles import DeliveryProfile, envelope_breaches, lint
from harness.rundir.clock import now
from harness.rundir.events import ReaderEvent, RunEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ConsumeRun, LoadPlan, ProfileRun, RunInfo
from harness.rundir.verdict import Verdict
from harness.runs.announced import Announced
from harness.runs.judging import judge_run
from harness.runs.observer import Observer
from harness.runs.scenarios import scenario_file
from harness.runs.workers import WorkersPlan
from harness.system.lifeline import Child
from harness.system.machine import hardware
from harness.version import __version__

MEMBERS_READY_S = 90.0
MEMBERS_STOP_S = 120.0

Say = Callable[[str], None]


@dataclass(slots=True)
class RunRequest:
    """What somebody asks of a run; all of it checked before anything is touched."""

    subjects: list[DeliveryProfile]
    controls: list[DeliveryProfile]
    load: LoadPlan
    experiments: list[Experiment]
    seed: int
    run_id: str
    out: Path
    command: list[str]
    control: bool = True
    aims: dict[str, str] = field(default_factory=dict)
    until_bound: float | None = None
    """Repeat the experiments until each promise that they aim at has this bound per fault."""
    asked_by: str = ""
    """Who asks for the run, for its report."""
    scenario: Path = field(default_factory=lambda: scenario_file(None))
    """The Locust file whose users make the load."""
    workers: WorkersPlan | None = None
    """Over which processes the load is spread; None: one makes it."""

    @property
    def profiles(self) -> list[DeliveryProfile]:
        """Subjects, then the controls that the harness added."""
        return [*self.subjects, *self.controls]


class Session:
    """A prepared run and the processes that record it."""

    def __init__(
        self, run_dir: RunDir, info: RunInfo, brokers: Brokers, facts: ClusterFacts
    ) -> None:
        self.run_dir = run_dir
        self.info = info
        self.brokers = brokers
        self.facts = facts
        self._announced: Announced | None = None
        self._observer: Observer | None = None
        self._reader: Child | None = None
        self._members: Child | None = None
        self._end_of_restarts: Callable[[], None] = lambda: None
        self._end_of_resources: Callable[[], None] = lambda: None

    @classmethod
    def prepare(cls, request: RunRequest, run_dir: RunDir, brokers: Brokers) -> Session:
        """Create the run's topics and write run.json.

        Raises UsageError when the cluster cannot hold the topics, ClusterError when it refuses.
        """
        facts = _facts_of(brokers)
        profiles = [_profile_run(profile, request, brokers, facts) for profile in request.profiles]
        leader = random.Random(request.seed).choice(facts.broker_ids)
        ids = create_topics(
            brokers.client_config,
            {topic: profile.topic for profile in profiles for topic in profile.topics},
            partitions=request.load.partitions,
            leader=leader,
            facts=facts,
        )
        for profile in profiles:
            profile.topic_ids = [ids[topic] for topic in profile.topics]
        info = RunInfo(
            run_id=request.run_id,
            seed=request.seed,
            command=request.command,
            bootstrap=brokers.bootstrap,
            cluster_id=facts.cluster_id,
            versions=versions(brokers),
            profiles=profiles,
            load=request.load,
            experiments=[experiment.name for experiment in request.experiments],
            aims=request.aims,
            control=request.control,
            fault_aims=fault_aims(request.experiments),
            faults_planned=sum(
                1
                for experiment in request.experiments
                for fault in experiment.faults
                if not FAULTS[fault].nominal
            ),
            findings=[
                {"profile": profile.name, **finding.to_json()}
                for profile in request.profiles
                for finding in lint(profile, brokers=len(facts.broker_ids))
            ],
            started_at=now(),
            asked_by=request.asked_by,
            until_bound=request.until_bound,
        )
        run_dir.write_info(info)
        run_dir.append(RunEvent(source="harness", phase="started"))
        return cls(run_dir, info, brokers, facts)

    def environment(self) -> dict[str, str]:
        """What the run's processes need to find it: never written to a file."""
        return {
            **child_environment(self.brokers.client_config, run_dir=self.run_dir.path),
            **self.brokers.environment,
        }

    def start_recording(self) -> None:
        """Start the observer and the live reader, and await that the reader reads.

        From here on, faults that somebody injects into a local cluster are written into this run.
        """
        self._announced = Announced.on(self.brokers, self.facts.cluster_id, self.run_dir, self.info)
        self._observer = Observer(self.run_dir, self.info, self.brokers.client_config)
        self._observer.start()
        if self.brokers.control is not None:
            self._end_of_restarts = self.brokers.control.watch_restarts(self.run_dir.append)
            self._end_of_resources = self.brokers.control.watch_resources(self.run_dir.append)
        self._reader = Child(
            [sys.executable, "-m", "harness.read.live_reader", str(self.run_dir.path)],
            log=self.run_dir.logs / "reader.log",
            environment=self.environment(),
        )
        wait_for_event(self.run_dir, self._reader, ReaderEvent, "started", what="the live reader")
        if any(profile.consume is not None for profile in self.info.profiles):
            self._start_members()

    def await_experiments(self, say: Say, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Let experiments that somebody runs beside this run come to their end."""
        if self._announced is not None:
            self._announced.await_experiments(say, stop)

    def _start_members(self) -> None:
        """Start the consumers under test, and await that each partition has one."""
        self._members = Child(
            [sys.executable, "-m", "harness.members.pool", str(self.run_dir.path)],
            log=self.run_dir.logs / "members.log",
            environment=self.environment(),
        )
        wait_for_event(
            self.run_dir,
            self._members,
            RunEvent,
            "members_ready",
            what="the consumers",
            timeout_s=MEMBERS_READY_S,
        )

    def check_recording(self) -> None:
        """Say in the timeline when the reader ended by itself; judging goes on without it."""
        if self._reader is not None and self._reader.process.poll() is not None:
            status = self._reader.process.returncode
            self.run_dir.append(
                ReaderEvent(
                    source="harness", phase="failed", reason=f"ended by itself, status {status}"
                )
            )
            self._reader.release()
            self._reader = None
        if self._members is not None and self._members.process.poll() is not None:
            status = self._members.process.returncode
            self.run_dir.append(
                RunEvent(
                    source="harness",
                    phase="members_died",
                    reason=f"their pool ended by itself with status {status}: "
                    f"{self._members.tail(3)}",
                )
            )
            self._members.release()
            self._members = None

    def stop_recording(self) -> None:
        """Let the consumers catch up and end them, the reader and the observer; what they wrote
        is complete afterwards."""
        if self._announced is not None:
            self._announced.end()
            self._announced = None
        self.check_recording()
        if self._members is not None:
            self._members.stop(grace_s=MEMBERS_STOP_S)
            self._members = None
        if self._reader is not None:
            self._reader.stop(grace_s=15)
            self._reader = None
        self._end_of_restarts()
        self._end_of_resources()
        if self._observer is not None:
            observer, self._observer = self._observer, None
            observer.stop()

    def abandon_recording(self) -> None:
        """End what was started of a recording that did not begin; what it wrote is not wanted."""
        for child in (self._members, self._reader):
            if child is not None:
                child.stop(grace_s=1)
        self._members = self._reader = None
        self._end_of_restarts()
        self._end_of_resources()
        if self._observer is not None:
            observer, self._observer = self._observer, None
            with contextlib.suppress(Exception):  # the start has failed for another reason
                observer.stop()

    def judge(self, *, drain_timeout_s: float, say: Say) -> Verdict:
        """Drain, reconcile, judge; writes the verdict and the report."""
        return judge_run(
            self.run_dir,
            self.info,
            self.brokers.client_config,
            number=1,
            drain_timeout_s=drain_timeout_s,
            say=say,
            control=self.brokers.control,
        )

    def delete_topics(self, say: Say) -> dict[str, str]:
        """Remove what `prepare` created; what could not be removed, which the timeline names."""
        left = delete_topics(self.brokers.client_config, self.info.topics, say)
        if left:
            self.run_dir.append(RunEvent(source="harness", phase="topics_left", topics=left))
        return left


def wait_for_event(
    run_dir: RunDir,
    child: Child,
    kind: type[RunEvent | ReaderEvent],
    phase: str,
    *,
    what: str,
    timeout_s: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Await that a child has written an event; False when `stop` said so first.

    Raises HarnessError with the end of its log when it ended or kept silent.
    """
    deadline = time.monotonic() + timeout_s
    timeline = run_dir.follow()
    while True:
        if any(event.phase == phase for event in timeline.events(kind)):
            return True
        if stop():
            return False
        status = child.process.poll()
        if status is not None:
            raise HarnessError(
                f"{what} ended with status {status} before it was ready. The end of "
                f"{child.log}:\n{child.tail()}"
            )
        if time.monotonic() > deadline:
            raise HarnessError(
                f"{what} was not ready within {timeout_s:g} s. The end of {child.log}:\n"
                f"{child.tail()}"
            )
        time.sleep(0.05)


def _facts_of(brokers: Brokers) -> ClusterFacts:
    """What the cluster says of itself. Raises ClusterError when it does not answer."""
    try:
        return cluster_facts(brokers.client_config)
    except BrokersUnreached as error:
        raise BrokersUnreached(f"{error} {brokers.if_unreached}".rstrip()) from None


def _profile_run(
    profile: DeliveryProfile, request: RunRequest, brokers: Brokers, facts: ClusterFacts
) -> ProfileRun:
    names = [f"harness-{request.run_id}-{profile.name}"]
    if profile.topics > 1:
        names = [f"{names[0]}-{chr(ord('a') + i)}" for i in range(profile.topics)]
    local = brokers.kind == "local"
    return ProfileRun(
        profile=profile.name,
        role="control" if profile in request.controls else "subject",
        topics=names,
        topic_ids=[],
        producer={
            key: value.replace("{run_id}", request.run_id).replace("{profile}", profile.name)
            if isinstance(value, str)
            else value
            for key, value in profile.producer.items()
        },
        consumer=dict(profile.consumer),
        topic=dict(profile.topic) if local else finite(profile.topic, request.load.duration_s),
        promises=list(profile.promises),
        requires=list(profile.require),
        summary=profile.summary,
        envelope_breaches=envelope_breaches(profile, {} if local else facts.settings),
        in_verdict=profile.counted and profile not in request.controls,
        transaction_interval_ms=profile.transaction_interval_ms,
        abort_ratio=profile.abort_ratio,
        consume=_consume_run(profile, request.run_id),
    )


def _consume_run(profile: DeliveryProfile, run_id: str) -> ConsumeRun | None:
    """The profile's plan as the run carries it out; `group.protocol` can be set by --config."""
    plan = profile.consume
    if plan is None:
        return None
    return ConsumeRun(
        mode=plan.mode,
        protocol=str(profile.consumer.get("group.protocol", plan.protocol)),
        members=plan.members,
        processing_ms=plan.processing_ms,
        group=f"harness-{run_id}-{profile.name}",
        send_offsets=plan.send_offsets,
    )


def fault_aims(experiments: list[Experiment]) -> dict[str, list[str]]:
    """fault → the anomalies that the experiments which inject it aim at."""
    aims: dict[str, set[str]] = {}
    for experiment in experiments:
        for fault in experiment.faults:
            aims.setdefault(fault, set()).update(experiment.aims)
    return {fault: sorted(anomalies) for fault, anomalies in aims.items()}


def versions(brokers: Brokers) -> dict[str, str]:
    """The versions that a result depends on."""
    return {
        "harness": __version__,
        "kafka": brokers.kafka_version,
        "python": platform.python_version(),
        "librdkafka": confluent_kafka.libversion()[0],
        **{
            name: version(name)
            for name in ("confluent-kafka", "locust", "chaostoolkit", "chaostoolkit-lib", "numpy")
        },
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        **hardware(),
    }
