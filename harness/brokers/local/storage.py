"""Formatting a node without a JVM.

Kafka's own `format` runs once per version. What it writes beside the node's names is a checkpoint,
a snapshot with one feature level record each for metadata.version, transaction.version,
eligible.leader.replicas.version, group.version, share.version and streams.version (a file
bootstrap.checkpoint up to 4.3, in the metadata log's directory from 4.4). It is the same for every
node, so every later node gets a copy and a meta.properties of its own. Levels therefore always are
what that Kafka release turns on.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import Progress, locked
from harness.brokers.local.config import (
    PORTS_PER_NODE,
    NodePorts,
    properties_text,
    server_settings,
)
from harness.brokers.local.jars import KafkaJars
from harness.brokers.local.java import Java, java_environment
from harness.errors import ClusterError

_NAMES: Final = "meta.properties"
_FORMAT_TIMEOUT_S: Final = 120.0


def new_kafka_uuid() -> str:
    """A random id in Kafka's form: 22 characters of URL-safe base64, not starting with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
        if not text.startswith("-"):
            return text


def format_node(data_directory: Path, node_id: int, cluster_id: str, template: Path) -> None:
    """Make a node's log directory, ready for its first start."""
    shutil.copytree(template, data_directory)
    settings = {
        "version": "1",
        "node.id": str(node_id),
        "cluster.id": cluster_id,
        "directory.id": new_kafka_uuid(),
    }
    (data_directory / _NAMES).write_text(properties_text(settings))


def format_template(jars: KafkaJars, java: Java, progress: Progress) -> Path:
    """The folder that every node's log directory starts as; one JVM the first time.

    Raises ClusterError with Kafka's own words when its format command fails.
    """
    template = jars.folder / "format"
    if template.is_dir():
        return template
    with locked(
        jars.folder / ".format.lock", timeout_s=180, waiting_for="it asks Kafka for its features"
    ):
        if template.is_dir():
            return template
        for left in jars.folder.glob(".format-*"):
            shutil.rmtree(left)  # of a harness that was killed
        progress(f"Kafka {jars.version}: asking for its feature levels (once per version)")
        with tempfile.TemporaryDirectory(dir=jars.folder, prefix=".format-") as folder:
            _run_format(jars, java, Path(folder)).rename(template)
        return template


def _run_format(jars: KafkaJars, java: Java, folder: Path) -> Path:
    ports = {1: NodePorts(*range(1, PORTS_PER_NODE + 1))}  # never bound: format opens no port
    data = folder / "data"
    properties = folder / "server.properties"
    properties.write_text(properties_text(server_settings(1, ports, data)))
    command = [
        str(java.executable),
        "-XX:TieredStopAtLevel=1",
        "-cp",
        jars.class_path,
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        new_kafka_uuid(),
        "--config",
        str(properties),
        # On by default since 4.1 only.
        "--feature",
        "eligible.leader.replicas.version=1",
    ]
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FORMAT_TIMEOUT_S,
            env=java_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"Kafka {jars.version}: its format command did not end within "
            f"{_FORMAT_TIMEOUT_S:.0f} s under {java.executable}."
        ) from error
    names = data / _NAMES
    checkpoints = list(data.rglob("*.checkpoint"))
    if ended.returncode != 0 or not names.is_file() or not checkpoints:
        output = (ended.stdout + ended.stderr).strip()
        raise ClusterError(
            f"Kafka {jars.version}: its format command (exit {ended.returncode}, Java "
            f"{java.version}, {java.executable}) did not make a log directory with feature "
            f"levels:\n{_tail(output)}"
        )
    names.unlink()
    return data


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.splitlines()[-lines:])
