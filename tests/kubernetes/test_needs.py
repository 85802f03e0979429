"""A machine that lacks something is told so: by a skip with its reason, or by a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kubernetes.lab.leftovers import REPOSITORY

pytestmark = pytest.mark.kubernetes

ONE_TEST = "tests/kubernetes/test_control_plane.py::test_the_api_server_is_the_pinned_version"
ONE_TEST_WITH_PODS = "tests/kubernetes/test_node.py::test_kubectl_works_inside_and_outside"


def path_without(folder: Path, *absent: str) -> str:
    """A PATH with every program of this one but those."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        if Path(place).is_dir():
            for program in Path(place).iterdir():
                link = folder / program.name
                if program.name not in absent and not link.is_symlink():
                    link.symlink_to(program)
    return str(folder)


def path_with_go(folder: Path, script: str) -> str:
    """A PATH whose `go` is this shell script."""
    path = path_without(folder, "go")
    (folder / "go").write_text(f"#!/bin/sh\n{script}")
    (folder / "go").chmod(0o755)
    return path


def run_pytest(test: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DELIVERY_KUBERNETES")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        cwd=REPOSITORY,
        env={**kept, **environment},
        capture_output=True,
        text=True,
    )


def test_without_go_a_test_is_skipped_and_says_so(tmp_path: Path) -> None:
    done = run_pytest(ONE_TEST, PATH=path_without(tmp_path / "bin", "go"))
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert "Kubernetes cannot run here: no `go` on PATH" in done.stdout


def test_without_go_a_required_test_fails(tmp_path: Path) -> None:
    path = path_without(tmp_path / "bin", "go")
    done = run_pytest(ONE_TEST, PATH=path, DELIVERY_KUBERNETES="required")
    assert done.returncode == 1
    assert "DELIVERY_KUBERNETES=required" in done.stdout
    assert "no `go` on PATH" in done.stdout


def test_a_go_that_is_too_old_says_itself_what_is_needed(tmp_path: Path) -> None:
    """As Debian 12's: it answers `go env`, and refuses the module."""
    path = path_with_go(
        tmp_path / "bin",
        '[ "$1" = env ] && echo go1.19 && exit 0\n'
        "echo \"go: errors parsing go.mod: invalid go version '1.26.0'\" >&2; exit 1\n",
    )
    done = run_pytest(ONE_TEST, PATH=path)
    assert "1 skipped" in done.stdout
    assert "invalid go version '1.26.0'" in done.stdout


def test_what_cannot_be_built_is_said_with_the_reason(tmp_path: Path) -> None:
    """As without a network: Go is there, and nothing is in the cache."""
    path = path_with_go(
        tmp_path / "bin",
        '[ "$1" != build ] && echo example.test/hyperkube && exit 0\n'
        "echo 'dial tcp: lookup of the module failed'; exit 1\n",
    )
    done = run_pytest(ONE_TEST, PATH=path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert "1 skipped" in done.stdout
    assert "dial tcp: lookup of the module failed" in done.stdout


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    path = path_without(tmp_path / "bin", "conntrack")
    done = run_pytest(ONE_TEST_WITH_PODS, PATH=path)
    assert "1 skipped" in done.stdout
    reason = "needs root" if os.geteuid() else "missing packages: conntrack"
    assert reason in done.stdout


def test_an_unknown_wish_is_refused(tmp_path: Path) -> None:
    path = path_without(tmp_path / "bin", "go")
    done = run_pytest(ONE_TEST, PATH=path, DELIVERY_KUBERNETES="yes")
    assert done.returncode == 1
    assert "DELIVERY_KUBERNETES=yes: accepted is `required`" in done.stdout
