"""Options, marker and fixtures. Nothing of the harness is imported before a fixture is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from harness.brokers import Brokers
    from harness.pytest_plugin.delivery import KafkaDelivery

MARKER: Final = "kafka_delivery"
_FOLDER_NAME_MAX: Final = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kafka delivery")
    group.addoption(
        "--kafka-brokers",
        metavar="local:NAME|HOST:PORT,…",
        help="brokers that run already; without it each xdist worker starts three of its own when "
        "a test asks for them",
    )
    group.addoption("--kafka-version", metavar="V", help="of the brokers that are started")
    group.addoption(
        "--kafka-runs",
        metavar="DIR",
        type=Path,
        help="keep run directories here, one a run (default: pytest's temporary folder)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(profile=…, experiment=…, promises=…, **options): what the fixture {MARKER} runs "
        "in this test; options are the fields of harness.RunOptions",
    )


@pytest.fixture(scope="session")
def kafka_cluster(pytestconfig: pytest.Config) -> Iterator[Brokers]:
    """Three real brokers of this xdist worker, or those that --kafka-brokers names.

    `bootstrap` and `client_config` are for clients; `control` has the verbs that break brokers, and
    `control.heal()` mends them. Started by the first test that asks, ended with the session.
    """
    from harness.pytest_plugin.cluster import session_brokers

    with session_brokers(
        pytestconfig.getoption("--kafka-brokers"), pytestconfig.getoption("--kafka-version")
    ) as brokers:
        yield brokers


@pytest.fixture
def kafka_delivery(
    request: pytest.FixtureRequest,
    kafka_cluster: Brokers,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> KafkaDelivery:
    """Runs a profile, or a test's own producer code, under an experiment, and asserts promises.

    What it runs is in the marker `kafka_delivery` and in the arguments of its methods.
    """
    from harness.pytest_plugin.cluster import lock_beside
    from harness.pytest_plugin.delivery import KafkaDelivery

    marker = request.node.get_closest_marker(MARKER)
    if marker is not None and marker.args:
        raise pytest.UsageError(
            f"{request.node.nodeid}: the marker {MARKER} takes named arguments alone, such as "
            'profile="idempotent".'
        )
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name)[:_FOLDER_NAME_MAX]
    kept: Path | None = pytestconfig.getoption("--kafka-runs")
    shared = pytestconfig.getoption("--kafka-brokers") is not None
    return KafkaDelivery(
        kafka_cluster,
        folder=tmp_path_factory.mktemp(name) if kept is None else kept / name,
        test=request.node.nodeid,
        options={} if marker is None else dict(marker.kwargs),
        lock=lock_beside(tmp_path_factory.getbasetemp()) if shared else None,
    )
