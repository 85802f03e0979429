"""Fixtures that several test modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.brokers import LocalCluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """One real three-broker cluster for the whole session. Whoever breaks it heals it."""
    with LocalCluster.start() as started:
        yield started
