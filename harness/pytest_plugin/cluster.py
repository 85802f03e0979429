"""The brokers of a pytest session, and whose turn it is where several workers share them.

Each xdist worker starts brokers of its own: a fault strikes a whole cluster, and would be on record
in every run that is live on it. Brokers that --kafka-brokers names are shared by all workers, so
there one run waits for the other by a lock on a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.brokers import KAFKA_VERSION, Brokers, LocalCluster
from harness.brokers.kinds import LOCAL, connect
from harness.errors import UsageError

LOCK_NAME: Final = "kafka-delivery.lock"
_WORKER: Final = "PYTEST_XDIST_WORKER"


@contextlib.contextmanager
def session_brokers(address: str | None, kafka_version: str | None) -> Iterator[Brokers]:
    """Brokers that run already, or three new ones that end with the context.

    Raises UsageError for an address that names none or a version beside one, EnvironmentFailure or
    ClusterError where brokers cannot be started or found.
    """
    if address is not None:
        if kafka_version is not None:
            raise UsageError(
                "--kafka-version: is for brokers that the plugin starts, and --kafka-brokers "
                f"{address} names others. Leave one of them out."
            )
        yield connect(address)
        return
    with LocalCluster.start(kafka_version=kafka_version or KAFKA_VERSION) as started:
        yield started


def address_of(brokers: Brokers) -> str:
    """The value of --brokers that means these brokers."""
    return f"{LOCAL}:{brokers.name}" if isinstance(brokers, LocalCluster) else brokers.bootstrap


def lock_beside(base_temp: Path) -> Path:
    """The one lock of a session, whichever worker asks. base_temp: pytest's, of this worker."""
    folder = base_temp.parent if os.environ.get(_WORKER) else base_temp
    return folder / LOCK_NAME


@contextlib.contextmanager
def turn(lock: Path | None) -> Iterator[None]:
    """Hold the lock, if there is one."""
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
