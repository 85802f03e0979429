"""The proven complete drain: read a run's topics to their ends and account for every offset.

What "the log holds no such record" may be concluded from:

1. the cluster and the topic ids are those of run.json, before the reading and after it;
2. every replica is in sync; only then are the ends asked, with ListOffsets: the high watermark
   and, for read_committed topics, the last stable offset, which must have reached it;
3. each partition is read from its log start, which must be 0, by a consumer that resets nothing,
   until the broker says at or past the end that there is nothing further;
4. every offset on the way was returned, except transaction markers and aborted or compacted
   records where the topic has them;
5. after the reading each leader says that its log goes no further than the end that was read to
   (harness.read.log_end): no record is above the high watermark, nothing was written since;
6. the log starts have not moved;
7. what a read_committed reader passed without a record is a transaction marker or a record of an
   aborted transaction, by the log files of the leader, where these can be read (brokers of ours on
   this machine); elsewhere that is not checked, which the verdict says (harness.rundir.holes).

A partition where one of these fails is read as far as it goes, and its entry in drain.json says
why it proves nothing. An end below an acknowledged offset is no obstacle: that is a loss.

Where a high watermark trails its log, also in full ISR, it is waited for; what comes up is read.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException

from harness.brokers.kind import log_directories
from harness.brokers.running import control_of
from harness.errors import HarnessError
from harness.kafka.environment import HarnessEnvironment
from harness.read.committed_offsets import capture_groups
from harness.read.drain_reading import ReadRange
from harness.read.drain_workers import DrainWorkers
from harness.read.read_positions import STRETCHES_MAX, Position
from harness.read.survey import Key, Say, Survey
from harness.replicas.files import Replica
from harness.replicas.held_offsets import log_held
from harness.rundir.clock import now
from harness.rundir.holes import Holes, PartitionHoles
from harness.rundir.observations import ObservationSet
from harness.rundir.proof import DrainProof, PartitionProof, blank_proof
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.system.garbage_collector import rare_collections

LogDirectory = Callable[[int], Path]

_ROUNDS_MAX: Final = 20


def drain(
    run_dir: RunDir,
    info: RunInfo,
    client_config: Mapping[str, str],
    number: int,
    *,
    timeout_s: float,
    progress: Say | None = None,
    processes: int | None = None,
    log_directory: LogDirectory | None = None,
) -> DrainProof:
    """Read all topics of the run into a fresh drained set and write its drain.json.

    timeout_s bounds every wait in which nothing moves: for replicas to be in sync, for the last
    stable offset to reach the end, and for the next record; reading that advances goes on.
    processes: how many read side by side; by default as many as cores and records are worth.
    log_directory: where a broker keeps its logs, if they can be read here.
    Brokers that are not reached, topics that are gone and proofs that fail are reasons in the
    result, not errors. Raises RunDirError when set `number` exists, EnvironmentFailure when the
    disk is full.
    """
    folder = run_dir.drained(number)
    proof = blank_proof(info, now())
    say = progress or (lambda _: None)
    with ObservationSet(folder, info, kind="drained") as observations:
        shares = DrainWorkers(run_dir, info, client_config, observations, timeout_s, say, processes)
        counts = observations.counts
        holes = Holes()
        try:
            with rare_collections():
                it = _Drain(info, client_config, proof, shares, timeout_s, say)
                it.run()
                holes = it.holes(log_directory)
            if proof.cluster_id == info.cluster_id:
                capture_groups(folder, info, client_config, timeout_s)
            counts = counts.plus(shares.close())
            proof.counts = asdict(counts)
        except KafkaException as error:
            proof.reasons.append(f"the client gave up: {error.args[0]}")
        finally:
            shares.kill()
            proof.ended_at = now()
            if holes.partitions:
                holes.write(folder)
            proof.conclude(info, holes)
            proof.write(folder)
    return proof


class _Drain:
    """One drain as it goes: the order of its steps, and the reading."""

    def __init__(
        self,
        info: RunInfo,
        client_config: Mapping[str, str],
        proof: DrainProof,
        shares: DrainWorkers,
        timeout_s: float,
        say: Say,
    ) -> None:
        self.shares = shares
        self.timeout_s = timeout_s
        self.say = say
        self.entries: dict[Key, PartitionProof] = {
            (entry.topic, entry.partition): entry for entry in proof.partitions
        }
        self.read_committed = {
            topic for profile in info.profiles if profile.transactional for topic in profile.topics
        }
        self.compacted = {
            topic for profile in info.profiles if profile.compacted for topic in profile.topics
        }
        self.positions: dict[Key, Position] = {}
        self.survey = Survey(info, client_config, proof, timeout_s, say)

    def run(self) -> None:
        """All steps; returns early when nothing can be read."""
        if not self.survey.is_the_cluster_of_the_run():
            return
        self.survey.await_in_sync()
        self.survey.ask_starts(self._readable())
        self._read_to_the_ends()
        self.survey.ask_starts_again(self._readable())
        self.survey.describe_again()

    def _read_to_the_ends(self) -> None:
        """Until every log ends where it was read to, or nothing has moved for too long."""
        patience_s = self.timeout_s
        rounds, moved_at = 0, time.monotonic()
        while True:
            before = {key: self._target(key) for key in self._readable()}
            self.survey.await_ends(self._readable(), patience_s=patience_s)
            patience_s = 0.0  # what stayed open for so long is not waited for again
            moved = [key for key in self._readable() if self._target(key) != before[key]]
            if moved:
                rounds += 1
                if rounds > _ROUNDS_MAX:
                    for entry in map(self.entries.__getitem__, moved):
                        entry.reason = "the log keeps growing: something still writes to it"
                    continue
                self._read(moved)
                moved_at = time.monotonic()
            trailing = self.survey.ask_log_ends(self._readable())
            if not trailing or time.monotonic() - moved_at >= self.timeout_s:
                return
            (topic, partition), *_ = trailing
            self.say(
                f"waiting for the high watermark of {len(trailing)} partitions to reach the end "
                f"of the log: {topic}/{partition}"
            )

    def _readable(self) -> list[Key]:
        return [key for key, entry in self.entries.items() if not entry.reason]

    def _target(self, key: Key) -> int | None:
        """Up to where a partition can be read; None before its end was asked."""
        entry = self.entries[key]
        if entry.end is None or entry.last_stable is None:
            return None
        return min(entry.end, entry.last_stable)

    def _read(self, keys: list[Key]) -> None:
        stretches = [
            ReadRange(
                *key,
                start=self.entries[key].start or 0,
                target=self._target(key) or 0,
                isolation_level=(
                    "read_committed" if key[0] in self.read_committed else "read_uncommitted"
                ),
                noting=key[0] in self.read_committed - self.compacted,
            )
            for key in keys
        ]
        for key, position in self.shares.read(stretches).items():
            entry = self.entries[key]
            self.positions[key] = position
            entry.position, entry.read = position.next, position.read
            entry.holes = position.holes
            entry.eof = position.eof is not None and position.eof >= (entry.end or 0)
            entry.reason = entry.reason or position.failure
        self.survey.last_error = self.shares.last_error or self.survey.last_error

    def holes(self, log_directory: LogDirectory | None) -> Holes:
        """The holes of what was read at read_committed, and what the leaders' logs held."""
        found = Holes()
        committed = [key for key in self.positions if key[0] in self.read_committed]
        if committed and log_directory is not None:
            self.say("looking into the leaders' logs at the offsets without a record")
        for key in committed:
            entry, position = self.entries[key], self.positions[key]
            noted = PartitionHoles(*key, position.next, position.stretches)
            found.partitions.append(noted)
            if key[0] in self.compacted:
                noted.reason = "the topic is compacted, which takes offsets too"
            elif not position.noting:
                noted.reason = f"there are more than {STRETCHES_MAX:,} stretches of them"
            elif log_directory is None or entry.leader is None:
                noted.reason = "the log files of these brokers cannot be read from here"
            else:
                noted.log = log_held(
                    Replica(log_directory(entry.leader), *key),
                    entry.leader,
                    entry.start or 0,
                    min(position.next, self._target(key) or 0),
                )
        return found


def main(argv: list[str] | None = None) -> int:
    """`python -m harness.read.drain RUN_DIR`: drain once more, print what the proof says."""
    parser = argparse.ArgumentParser(prog="python -m harness.read.drain", description=__doc__)
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
        settings = HarnessEnvironment.read().connection(info.bootstrap)
        proof = drain(
            run_dir,
            info,
            settings,
            number,
            timeout_s=args.timeout,
            progress=say,
            log_directory=log_directories(control_of(info.cluster_id)),
        )
    except HarnessError as error:
        say(str(error))
        return error.exit_code
    for reason in proof.reasons:
        say(f"incomplete: {reason}")
    say(f"{proof.read} records read into {run_dir.drained(number)}")
    return 0 if proof.complete else 3


if __name__ == "__main__":
    raise SystemExit(main())
