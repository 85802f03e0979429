"""A local cluster that is started for one use, such as a run, and ends with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from harness.brokers.local.cluster import LocalCluster
from harness.brokers.local.jars import KAFKA_VERSION
from harness.system.progress import OnProgress, ProgressEvent


@contextlib.contextmanager
def started_cluster(
    client_config: Mapping[str, str],
    *,
    keep: bool = False,
    kafka_version: str = "",
    on_progress: OnProgress = lambda _: None,
) -> Iterator[LocalCluster]:
    """A new cluster for the length of a block; what it raises is what `LocalCluster.start` raises.

    client_config: settings of clients beside the address. keep: it lives on after a block that
    raised nothing, and a note says how to end it.
    """
    on_progress(ProgressEvent("stage", "starting three brokers"))
    cluster = LocalCluster.start(
        kept=keep,
        kafka_version=kafka_version or KAFKA_VERSION,
        progress=lambda text: on_progress(ProgressEvent("detail", text)),
    )
    cluster.add_client_settings(client_config)
    lives_on = False
    try:
        yield cluster
        lives_on = keep
        if lives_on:
            text = (
                f"cluster {cluster.name} is kept at {cluster.bootstrap}: `harness cluster down "
                f"{cluster.name}` ends it"
            )
            on_progress(ProgressEvent("note", text))
    finally:
        if not lives_on:
            on_progress(ProgressEvent("stage", "stopping the brokers"))
            cluster.down()
