"""Transactions taken step by step, so that a fault can strike between any two steps.

A `Stage` is a prepared run with its observer and live reader; a `Stepped` client is the load's own
transactional client with the schedule taken out of it. Everything that is written down, drained
and judged is what a real run writes, drains and judges.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from harness import faults
from harness.brokers import LocalCluster
from harness.brokers.local.config import bootstrap
from harness.brokers.local.state import read_state
from harness.faults.backend import attach
from harness.faults.roles import TRANSACTION_STATE, coordinating_partition
from harness.load.context import LoadContext
from harness.load.transactions import State, TransactionalClient
from harness.profiles import load_builtin
from harness.rundir import cells
from harness.rundir.clock import now_us
from harness.rundir.columns import unpack_offsets
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import new_run_id
from harness.rundir.run_record import load_run
from harness.rundir.transaction_steps import SentRanges
from harness.rundir.verdict import Verdict
from harness.runs.session import RunRequest, Session
from tests.support.runs import load_plan
from tests.support.timelines import add_line

PROFILE = "transactional"
PARTITIONS = 2
RECORDS = 40
TIMEOUT_MS = 10_000
PRESENT, ABSENT, WHOLE = "present", "absent", "all or nothing"


class Stepped(TransactionalClient):
    """The load's transactional client; somebody else says when to go on."""

    end_timeout_s: float | None = None
    """How long a commit or abort may take, where not as long as in a run."""

    def pump_until(self, reached: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
        """Let the client work until something is so."""
        deadline = time.monotonic() + timeout_s
        while not reached():
            self.poll()
            self.settle()
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
            time.sleep(0.005)

    def _start(self, state: State) -> None:
        timeout_s = self.end_timeout_s
        if timeout_s is None or state is State.REGISTERING:
            super()._start(state)
            return
        producer = self.incarnation.producer
        committing = state is State.COMMITTING
        end = producer.commit_transaction if committing else producer.abort_transaction
        self._state = state
        self._call = self.context.start_call(lambda: end(timeout_s))

    def begin(self) -> None:
        """A transaction is begun; the brokers know nothing of it yet."""
        self.pump_until(
            lambda: self._state is State.OPEN,
            "a transaction to write to",
        )

    def write(self, count: int = RECORDS) -> None:
        """Hand records to the client."""
        self.send(np.full(count, now_us(), dtype=np.int64))

    def deliver(self) -> None:
        """Await that every record of the transaction was reported as delivered."""
        transaction = self._transaction
        assert transaction is not None
        self.pump_until(lambda: transaction.reported >= transaction.records, "the delivery reports")

    def call(self, name: str) -> None:
        """Call commit or abort; it goes on while others do something."""
        assert self._transaction is not None
        state = {"commit": State.COMMITTING, "abort": State.ABORTING}[name]
        self._call_end(state, self._transaction, now_us())

    def end(self) -> None:
        """Await what became of the call; the next transaction begins, with whom it may."""
        transaction = self._transaction
        self.pump_until(
            lambda: self.closed or self._transaction is not transaction, "the transaction's end"
        )

    @property
    def written(self) -> tuple[int, SentRanges]:
        """The incarnation, and the sequences of its transaction by topic-partition."""
        assert self._transaction is not None
        return self.incarnation.number, dict(self._transaction.ranges)


@dataclass(frozen=True)
class Expected:
    """What the drain must hold of one transaction."""

    scene: str
    incarnation: int
    ranges: SentRanges
    fate: str


class Stage:
    """One run, in which transactions are taken step by step."""

    def __init__(self, cluster: LocalCluster, path: Path, seed: int) -> None:
        built_in = load_builtin()[PROFILE]
        producer = {
            **built_in.producer,
            # A coordinator may be moved while it is open.
            "transaction.timeout.ms": 3 * TIMEOUT_MS,
            "delivery.timeout.ms": TIMEOUT_MS,
            "socket.timeout.ms": TIMEOUT_MS // 2,
            "request.timeout.ms": TIMEOUT_MS // 2,
            "log_level": 2,
        }
        profile = replace(built_in, producer=producer, transaction_interval_ms=1e9, abort_ratio=0.0)
        self.cluster = cluster
        self.run_dir = RunDir.create(path)
        self.expected: list[Expected] = []
        self.random = random.Random(seed)
        plan = load_plan(partitions=PARTITIONS, lag_limit_ms=1000)
        request = RunRequest(
            [profile], [], plan, [], seed, new_run_id(), path, ["transactions"], aims={}
        )
        self.session = Session.prepare(request, self.run_dir, cluster)
        self._environment = self.session.environment()
        os.environ.update(self._environment)
        self.pool = ThreadPoolExecutor(4)
        self.context = LoadContext.of(self.run_dir, start_call=self.pool.submit)
        # Faults ask past the links, since a link may be cut when they strike.
        past = {"bootstrap.servers": bootstrap(read_state(cluster.directory).ports, direct=True)}
        os.environ["HARNESS_CLIENT_CONFIG"] = json.dumps(past)
        self.target = attach()
        self.profile = self.session.info.profiles[0]
        self._clients: list[Stepped] = []
        self._past_links = AdminClient({**past, "log_level": 2})

    @classmethod
    @contextlib.contextmanager
    def opened(cls, cluster: LocalCluster, path: Path, seed: int = 1) -> Iterator[Stage]:
        """A stage with its recorders, which end with it."""
        before = dict(os.environ)
        stage = cls(cluster, path, seed)
        try:
            stage.session.start_recording()
            add_line(stage.run_dir, "run", "load", phase="load_started")
            yield stage
        finally:
            stage.session.stop_recording()
            stage.pool.shutdown(wait=True)
            faults.heal()
            os.environ.clear()
            os.environ.update(before)

    # -- clients and brokers -----------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The transactional.id of every client of this stage."""
        return f"harness-{self.session.info.run_id}-{PROFILE}-0"

    def client(self) -> Stepped:
        """A client with the stage's transactional.id; it fences every earlier one."""
        client = Stepped(self.context, self.profile, 0)
        client.prepare()
        self._clients.append(client)
        return client

    def coordinator(self) -> int:
        """The broker that coordinates the stage's transactional.id."""
        states = self.target.view.partitions([TRANSACTION_STATE])
        where = coordinating_partition(self.identity, len(states))
        return next(state.leader for state in states if state.partition == where)

    def strike(self, kind: str) -> None:
        """Kill or move the coordinator, by the faults of the harness."""
        strike = {
            "kill": faults.kill_transaction_coordinator,
            "move": faults.move_transaction_coordinator,
        }[kind]
        output = strike()
        assert output["took_effect"], output["evidence"]["shortcomings"]
        assert [each["client"] for each in output["evidence"]["coordinates"]] == [self.identity]

    def answers_lost(self) -> contextlib.AbstractContextManager[None]:
        """The coordinator hears its clients, and they do not hear it."""
        return self._cut("cut_responses")

    def unheard(self) -> contextlib.AbstractContextManager[None]:
        """The coordinator and its clients hear nothing of each other."""
        return self._cut("blackhole")

    @contextlib.contextmanager
    def _cut(self, mode: str) -> Iterator[None]:
        broker = self.coordinator()
        self.cluster.set_link(broker, "client", mode)
        try:
            yield
        finally:
            self.cluster.close_connections(broker, "client")
            self.cluster.set_link(broker, "client", "pass")

    def await_ended(self, ranges: SentRanges) -> None:
        """Await that the brokers have ended a transaction, whatever its client has heard.

        Asked past the links: the last stable offset of each partition it wrote to is the end.
        """
        topics = self.session.info.topics
        wanted = {TopicPartition(topics[t], p): OffsetSpec.latest() for t, p in ranges}
        deadline = time.monotonic() + 30

        def offsets(level: IsolationLevel) -> list[int]:
            futures = self._past_links.list_offsets(
                wanted, isolation_level=level, request_timeout=5.0
            )
            return [future.result(10).offset for future in futures.values()]

        seen = "no answer"
        while True:
            # While leaders move, an answer may be a refusal. The client asks with the leader epoch
            # that it knows and looks for no newer one by itself, so metadata is asked for first.
            with contextlib.suppress(KafkaException):
                self._past_links.list_topics(timeout=5.0)
                stable, high = (
                    offsets(level)
                    for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
                )
                if stable == high and all(offset > 0 for offset in stable):
                    return
                seen = f"last stable {stable}, high watermark {high}"
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)

    def expect(self, scene: str, written: tuple[int, SentRanges], fate: str) -> None:
        """Note what the drain must hold of a transaction."""
        self.expected.append(Expected(scene, *written, fate))

    # -- the end -----------------------------------------------------------------------------

    def judged(self) -> Verdict:
        """Close every client, heal, drain and judge."""
        for client in self._clients:
            client.begin_stop()
            client.close()
        self.context.close()
        add_line(self.run_dir, "run", "load", phase="load_stopped")
        faults.heal()
        self.session.stop_recording()
        return self.session.judge(drain_timeout_s=120, say=lambda _: None)

    def fates(self) -> list[tuple[str, str, str]]:
        """(scene, what was expected, what is there) of each transaction that differs."""
        run = load_run(self.run_dir, 1)
        differs: list[tuple[str, str, str]] = []
        for each in self.expected:
            there = members = 0
            for (topic, partition), (first, last) in each.ranges.items():
                column = run.drained.columns.get(each.incarnation)
                low, high = cells.cells(column, topic, partition, first, last - first + 1)
                there += int(np.count_nonzero(unpack_offsets(low, high) >= 0))
                members += last - first + 1
            found = ABSENT if not there else PRESENT if there == members else f"{there}/{members}"
            allowed = (PRESENT, ABSENT) if each.fate == WHOLE else (each.fate,)
            if found not in allowed:
                differs.append((each.scene, each.fate, found))
        run.close()
        return differs

    # -- producers that die ------------------------------------------------------------------

    def doomed(self, state: str) -> subprocess.Popen[str]:
        """A process of its own that brings a transaction into a state and waits there."""
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.transaction_child",
                str(self.run_dir.path),
                state,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._environment},
            cwd=Path(__file__).resolve().parents[2],
        )

    @staticmethod
    def told(child: subprocess.Popen[str]) -> dict[str, Any]:
        """The next line of a doomed process."""
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, f"the producer's process ended with {child.wait(10)}"
        told: dict[str, Any] = json.loads(line)
        return told

    @staticmethod
    def kill(child: subprocess.Popen[str]) -> None:
        """SIGKILL it."""
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
