"""After a drain: looks for sampled lost records in the log files of brokers of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from harness.brokers import BrokerControl
from harness.brokers.kind import FILES
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.record.codecs import codec_named
from harness.replicas.search import Wanted, search_replicas
from harness.rundir.replicas import ReplicaEvidence
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo

WANTED_MAX: Final = 100
"""So many lost records are looked for in a run; a profile has at most 20 samples."""


def look_for_lost(
    run_dir: RunDir,
    number: int,
    info: RunInfo,
    findings: Iterable[ProfileFindings],
    control: BrokerControl | None,
) -> None:
    """Write the `number`-th verification's replicas.json, when anything was lost.

    Without brokers whose files can be read there is nothing to look at, and nothing is written.
    """
    lost = [sample for found in findings for sample in found.samples.get("lost", [])][:WANTED_MAX]
    if not lost or control is None or FILES not in control.capabilities:
        return
    logs, sought = search_replicas(
        [wanted for each in lost if (wanted := _wanted(info, each)) is not None],
        control.broker_ids,
        control.log_directory,
        info.run_id,
        codec_named(info.load.codec),
    )
    ReplicaEvidence(logs, sought).write(run_dir.replicas(number))


def _wanted(info: RunInfo, each: Occurrence) -> Wanted | None:
    if each.producer is None or each.sequence is None or each.anywhere:
        return None
    topic = info.topics[each.topic]
    return Wanted(topic, each.topic, each.partition, each.producer, each.sequence)
