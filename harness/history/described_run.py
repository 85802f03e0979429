"""What run.json would say of a history."""

from __future__ import annotations

from harness.history.consumption import consume_run
from harness.history.event_tables import History
from harness.profiles import DeliveryProfile
from harness.rundir.run_info import LoadPlan, ProfileRun, RunInfo


def info_of(history: History, profile: DeliveryProfile, run_id: str, inputs: int) -> RunInfo:
    """What run.json would say; of the brokers nothing is known."""
    partitions = [
        table.column("partition")
        for table in (history.attempts, history.reads, history.watched, history.members)
    ]
    known = [int(column.max()) for column in partitions if len(column)]
    named = (*history.drains, *history.reached, *history.began, *history.partitions_of_groups,
             *history.drains_aside, *history.began_aside)  # fmt: skip
    known += [partition for _, partition in named]
    return RunInfo(
        run_id=run_id,
        seed=0,
        command=[],
        bootstrap="",
        cluster_id="",
        versions={},
        profiles=[
            ProfileRun(
                profile=profile.name,
                role="subject",
                topics=list(history.topics),
                topic_ids=[],
                producer=dict(profile.producer),
                consumer=dict(profile.consumer),
                topic=dict(profile.topic),
                promises=list(profile.promises),
                requires=list(profile.require),
                summary=profile.summary,
                consume=consume_run(profile, inputs),
            )
        ],
        load=LoadPlan(
            rate_per_s=0.0,
            schedule="",
            duration_s=None,
            message_bytes=0,
            keys=0,
            partitions=max(known, default=0) + 1,
            producers=0,
            warm_up_s=0.0,
            lag_limit_ms=0.0,
        ),
        experiments=[],
        aims={},
    )
