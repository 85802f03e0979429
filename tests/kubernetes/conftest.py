"""Fixtures of the tests on a real Kubernetes, which is built from source and started here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from harness.errors import HarnessError
from harness.kubernetes import run_job
from tests.kubernetes.lab import programs
from tests.kubernetes.lab.control_plane import ControlPlane
from tests.kubernetes.lab.crds import crd_files
from tests.kubernetes.lab.inside import RunningNode
from tests.kubernetes.lab.kind import KindNode, chosen_cluster, missing_for_kind
from tests.kubernetes.lab.needs import (
    REQUIRED,
    is_required,
    missing_for_control_plane,
    missing_for_node,
)
from tests.kubernetes.lab.node import Node
from tests.kubernetes.strimzi.cluster import IMAGES, StrimziCluster, strimzi_cluster_on

_REPORTED: Final[list[str]] = []
"""How long what the fixtures started took, for the end of the report."""

_NOT_BUILT: Final[list[str]] = []
"""Why something could not be built, where no network is for example."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a cluster of kind only what asks for a Kafka that Strimzi runs."""
    if chosen_cluster():
        for item in items:
            if "strimzi_cluster" not in getattr(item, "fixturenames", ()):
                config.hook.pytest_deselected(items=[item])
        items[:] = [i for i in items if "strimzi_cluster" in getattr(i, "fixturenames", ())]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test begins: a cold build takes longer than a test may."""
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    wanted = not used.isdisjoint({"control_plane", "node", "strimzi_cluster"})
    if not wanted or session.config.option.collectonly or missing_for_control_plane():
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")

    def progress(line: str) -> None:
        if reporter is not None:
            reporter.write_line(line)

    try:
        for program in programs.ALL:
            program.path(progress)
        crd_files(progress)
        if "strimzi_cluster" in used and not missing_for_node():
            for _, image in IMAGES:
                image(progress)
    except HarnessError as error:
        _NOT_BUILT.append(str(error))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long Kubernetes took to start."""
    for line in _REPORTED:
        terminalreporter.write_line(line)


def _need(missing: str) -> None:
    """Skip, or fail where the tests are required, when something is missing."""
    missing = missing or "\n".join(_NOT_BUILT)
    if missing and is_required():
        pytest.fail(f"{REQUIRED}=required, and Kubernetes cannot run here: {missing}")
    if missing:
        pytest.skip(f"Kubernetes cannot run here: {missing}")


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real API server with the real CustomResourceDefinitions, for the whole session."""
    _need(missing_for_control_plane())
    with ControlPlane.start() as plane:
        plane.apply_crds(crd_files())
        _REPORTED.append(f"Kubernetes' control plane was ready in {plane.started_in_s:.1f} s")
        yield plane


@pytest.fixture(scope="session")
def node() -> Iterator[RunningNode]:
    """A real node that runs pods, with the real CustomResourceDefinitions, for the session."""
    if chosen_cluster():
        _need(missing_for_kind())
        with KindNode.attach(chosen_cluster()) as attached:
            yield attached
        return
    _need(missing_for_node())
    with Node.start() as started:
        started.control.apply_crds(crd_files())
        _REPORTED.append(f"Kubernetes' node was ready in {started.started_in_s:.1f} s")
        yield started


@pytest.fixture(scope="session")
def strimzi_cluster(node: RunningNode) -> Iterator[StrimziCluster]:
    """The cluster of k8s/overlays/ci, Ready, as the stand-in for Strimzi's operators runs it."""
    with strimzi_cluster_on(node) as cluster:
        _REPORTED.append(f"Kafka was Ready {cluster.ready_in_s:.1f} s after the node")
        yield cluster


@pytest.fixture
def run_namespace(
    strimzi_cluster: StrimziCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Where the overlay `ci` is, and no run; this process has the administrator's kubectl."""
    admin = strimzi_cluster.access
    for name in ("KUBECONFIG", "PATH"):
        monkeypatch.setenv(name, admin.environment()[name])
    yield strimzi_cluster.namespace
    where = ("-n", strimzi_cluster.namespace)
    admin.kubectl(*where, "delete", "job", "--selector", run_job.RUN_LABEL, "--cascade=foreground")
    admin.kubectl(*where, "scale", "deployment/locust-worker", "--replicas=0")
