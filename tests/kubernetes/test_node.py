"""What the tests with pods rest on: a real node that runs them, resolves names, and goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.lab.instance import instances_folder
from tests.kubernetes.lab.leftovers import REPOSITORY, sweep
from tests.kubernetes.lab.network import NODE_ADDRESS
from tests.kubernetes.lab.node import Node

pytestmark = pytest.mark.kubernetes


def pod(name: str, namespace: str, **metadata: Any) -> dict[str, Any]:
    """A pod of nothing but the pause image."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {"name": "pause", "image": Node.PAUSE_IMAGE, "imagePullPolicy": "Never"}
            ],
        },
    }


def until(condition: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.1)


def test_a_pod_becomes_ready_and_is_deleted(node: Node) -> None:
    admin, namespace = node.control.admin, node.control.new_namespace()
    admin.apply(pod("one", namespace))
    admin.kubectl("wait", "--for=condition=Ready", "pod/one", "-n", namespace, "--timeout=50s")
    found = admin.get("pod", "one", "-n", namespace)
    assert found["spec"]["nodeName"] == node.name
    assert found["status"]["podIP"].startswith("10.98.0.")
    admin.kubectl("delete", "pod", "one", "-n", namespace, "--wait", "--timeout=50s")
    assert not admin.get("pods", "-n", namespace)["items"]


def test_a_service_resolves_and_is_a_pods_address(node: Node) -> None:
    admin, namespace = node.control.admin, node.control.new_namespace()
    admin.apply(
        pod("one", namespace, labels={"app": "one"}),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "headless", "namespace": namespace},
            "spec": {
                "clusterIP": "None",
                "selector": {"app": "one"},
                "ports": [{"name": "any", "port": 80}],
            },
        },
    )
    admin.kubectl("wait", "--for=condition=Ready", "pod/one", "-n", namespace, "--timeout=50s")
    address = admin.get("pod", "one", "-n", namespace)["status"]["podIP"]
    await_name(node, f"headless.{namespace}.svc", address)
    await_name(node, f"headless.{namespace}.svc.cluster.local", address)


def await_name(node: Node, name: str, address: str) -> None:
    """The controller manager writes a service's endpoints a moment after its pods are ready."""

    def resolves() -> bool:
        printed, _ = node.run(["getent", "ahostsv4", name]).communicate(timeout=30)
        return address in printed

    until(resolves, f"{name} is {address}")


def test_the_api_server_is_reached_by_its_service(node: Node) -> None:
    """From inside, by name and through the rules of kube-proxy."""
    program = textwrap.dedent(
        """
        import ssl, sys, urllib.request
        context = ssl.create_default_context(cafile=sys.argv[1])
        url = "https://kubernetes.default.svc/version"
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        print(opener.open(url, timeout=20).read().decode())
        """
    )
    printed = node.check_output([sys.executable, "-c", program, node.control.ca_file])
    assert json.loads(printed)["gitVersion"].startswith("v1.")


def test_kubectl_works_inside_and_outside(node: Node) -> None:
    inside = node.check_output(["kubectl", "get", "nodes", "-o", "name"])
    outside = node.control.admin.kubectl("get", "nodes", "-o", "name").stdout
    assert inside == outside == f"node/{node.name}\n"


def test_a_port_leads_into_the_nodes_network(node: Node) -> None:
    """The API server's own port, a second time."""
    port = node.forward(NODE_ADDRESS, 6443)
    assert port != int(node.control.url.rpartition(":")[2])
    done = node.control.admin.kubectl(
        "--server", f"https://127.0.0.1:{port}", "get", "nodes", "-o", "name"
    )
    assert done.stdout == f"node/{node.name}\n"


def test_nothing_leads_out(node: Node) -> None:
    routes = node.check_output(["ip", "-o", "link"])
    assert {line.split(":")[1].strip().split("@")[0] for line in routes.splitlines()} >= {
        "lo",
        "eth0",
        "uplink",
    }
    host = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True)
    assert NODE_ADDRESS not in host.stdout


def test_an_end_by_sigkill_leaves_nothing(node: Node, tmp_path: Path) -> None:
    """A second node, side by side, whose owner is killed while a pod runs on it."""
    program = textwrap.dedent(
        """
        import sys, time
        from tests.kubernetes.lab.node import Node
        from tests.kubernetes.test_node import pod
        with Node.start() as node:
            node.control.admin.apply(pod("one", "default"))
            node.control.admin.kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=50s")
            print(node.folder, flush=True)
            time.sleep(600)
        """
    )
    with (tmp_path / "log").open("w") as log:
        owner = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert owner.stdout is not None
    line = owner.stdout.readline().strip()
    assert line, (tmp_path / "log").read_text()
    folder = Path(line)
    assert any(str(folder) in mount for mount in mounts())
    processes = group_processes(f"delivery-{folder.name}")
    assert len(processes) > 8  # the servers, a shim, a pause of the pod and one of its container
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    until(lambda: not folder.exists(), "what the dead owner left is removed", 60)
    assert folder.name not in "\n".join(mounts())
    assert not Path(f"/run/netns/delivery-{folder.name}").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/delivery-{folder.name}"))
    assert not list(Path("/sys/fs/cgroup").glob(f"delivery-{folder.name}"))
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists() and not zombie(pid)]
    assert traces(folder.name) == []
    assert node.control.admin.get("nodes")["items"], "the other node goes on"


def test_a_cluster_whose_owner_lives_is_left_alone(node: Node) -> None:
    sweep()
    assert node.folder in instances_folder().iterdir()
    assert node.control.admin.get("nodes")["items"]


def mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text().splitlines()


def group_processes(name: str) -> set[int]:
    files = [
        file
        for pattern in (name, f"*/{name}")
        for group in Path("/sys/fs/cgroup").glob(pattern)
        for file in group.rglob("cgroup.procs")
    ]
    return {int(pid) for file in files for pid in file.read_text().split()}


def traces(name: str) -> list[Path]:
    """Files outside the cache that bear the instance's name, or lead into its folder."""
    found = []
    for root in (Path("/run"), Path("/var/lib"), Path("/var/log")):
        for folder, folders, files in os.walk(root):
            paths = [Path(folder) / each for each in [*folders, *files]]
            found += [
                p for p in paths if name in str(p) or (p.is_symlink() and name in str(p.readlink()))
            ]
    return found


def zombie(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
