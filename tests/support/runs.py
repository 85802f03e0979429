"""Builders of what run.json holds, by keywords: a test names what it is about, and nothing else."""

from __future__ import annotations

from typing import Any

from harness.rundir.run_info import LoadPlan, ProfileRun, RunInfo


def load_plan(**changed: Any) -> LoadPlan:
    """A load of 100 records of 100 bytes a second to one partition, until it is stopped."""
    fields: dict[str, Any] = {
        "rate_per_s": 100,
        "schedule": "constant",
        "duration_s": None,
        "message_bytes": 100,
        "keys": 0,
        "partitions": 1,
        "producers": 1,
        "warm_up_s": 0,
        "lag_limit_ms": 500,
    }
    return LoadPlan(**{**fields, **changed})


def profile_run(profile: str, *topics: str, **changed: Any) -> ProfileRun:
    """A profile under test, with no settings and no promises; an id is empty unless it is given."""
    fields: dict[str, Any] = {
        "role": "subject",
        "topics": list(topics),
        "topic_ids": [""] * len(topics),
        "producer": {},
        "consumer": {},
        "topic": {},
        "promises": [],
    }
    return ProfileRun(profile=profile, **{**fields, **changed})


def run_info(*profiles: ProfileRun, **changed: Any) -> RunInfo:
    """A run of these profiles without experiments, on brokers that need not be there."""
    fields: dict[str, Any] = {
        "run_id": "r",
        "seed": 1,
        "command": [],
        "bootstrap": "127.0.0.1:1",
        "cluster_id": "c",
        "versions": {},
        "load": load_plan(),
        "experiments": [],
        "aims": {},
    }
    return RunInfo(profiles=list(profiles), **{**fields, **changed})
