"""`make kubernetes` and `make kubernetes-down`: a node that stays for a person, and goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kubernetes.lab.cache import lab_folder
from tests.kubernetes.lab.leftovers import REPOSITORY
from tests.kubernetes.lab.node import Node

pytestmark = pytest.mark.kubernetes


class Developer:
    """Somebody with a cache of their own, in which everything is built."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / "delivery-harness" / "kubernetes"
        self.folder.mkdir(parents=True)
        for built in lab_folder().iterdir():
            if built.is_dir() and built.name != "instances" and not built.name.startswith("."):
                (self.folder / built.name).symlink_to(built)
        self._environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}

    def __call__(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.kubernetes.lab.developer", *argv],
            cwd=REPOSITORY,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def nodes(self) -> list[Path]:
        return list((self.folder / "instances").glob("node-*"))


@pytest.fixture
def developer(tmp_path: Path) -> Developer:
    return Developer(tmp_path)


def test_it_comes_up_beside_another_node_and_goes(node: Node, developer: Developer) -> None:
    up = developer("up")
    try:
        assert up.returncode == 0, up.stderr
        shell = f"{up.stdout}\nkubectl get nodes -o name && kubectl get crd -o name"
        printed = subprocess.run(
            ["bash", "-ec", shell], capture_output=True, text=True, check=True
        ).stdout.split()
        assert f"node/{node.name}" in printed
        assert "customresourcedefinition.apiextensions.k8s.io/kafkas.kafka.strimzi.io" in printed
        inside = developer("run", "getent", "hosts", "kubernetes.default.svc")
        assert inside.stdout.startswith("10.96.0.1 "), inside.stderr
        again = developer("up")
        assert again.stdout == up.stdout, "a second one is not started"
        assert len(developer.nodes()) == 1
    finally:
        down = developer("down")
    assert down.returncode == 0, down.stderr
    assert developer.nodes() == []
    assert developer("down").returncode == 0, "nothing is there to remove"
    assert node.control.admin.get("nodes")["items"]


def test_what_its_killed_owner_left_is_removed(node: Node, developer: Developer) -> None:
    assert node.name
    up = developer("up")
    assert up.returncode == 0, up.stderr
    owner = json.loads((developer.folder / "developer.json").read_bytes())["pid"]
    os.kill(owner, signal.SIGKILL)
    down = developer("down")
    assert down.returncode == 0, down.stderr
    assert developer.nodes() == []


def test_without_a_node_nothing_is_run_in_one(node: Node, developer: Developer) -> None:
    assert node.name
    done = developer("run", "true")
    assert done.returncode == 2
    assert "`make kubernetes` starts one" in done.stderr
