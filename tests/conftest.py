"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.brokers import LocalCluster
from harness.brokers.local.cache import cache_folder
from tests.support.examples import REPEATABLE, choose_examples
from tests.support.whole_cluster import WholeCluster

choose_examples(os.environ.get("HYPOTHESIS_PROFILE") or REPEATABLE)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell's background job begins with SIGINT ignored, and hands that on to what it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """One real three-broker cluster for the whole session. Whoever breaks it heals it."""
    with LocalCluster.start() as started:
        yield started


@pytest.fixture(scope="session")
def whole_cluster(cluster: LocalCluster) -> WholeCluster:
    """Looks after the session's cluster from its first test on."""
    return WholeCluster(cluster)


@pytest.fixture(autouse=True)
def _nothing_left_broken(request: pytest.FixtureRequest) -> None:
    """A test on the session's cluster begins on a whole one; who left it otherwise is named."""
    shared = request.node.get_closest_marker("cluster") and "cluster" in request.fixturenames
    if shared:
        request.getfixturevalue("whole_cluster").require_before(request.node.nodeid)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with the real jars and no cluster but the test's own."""
    jars = cache_folder() / "kafka"
    folder = tmp_path / "delivery-harness"
    folder.mkdir()
    (folder / "kafka").symlink_to(jars)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return folder


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's cluster as brokers that somebody else runs: nothing here knows its state."""
    folder = tmp_path / "strangers" / "delivery-harness"
    folder.mkdir(parents=True)
    (folder / "kafka").symlink_to(cache_folder() / "kafka")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent))
