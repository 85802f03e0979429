"""Formatting a node without a JVM.

Kafka's own `format` runs once per version; what it writes beside the node's names is the bootstrap
checkpoint, a snapshot with one feature level record each for metadata.version,
transaction.version, eligible.leader.replicas.version, group.version, share.version and
streams.version. It is the same for every node, so every later node gets a copy and a
meta.properties of its own. Levels therefore always are what that Kafka release turns on.
"""

from __future__ import annotations

import base64
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Final

from harness.brokers.cache import Progress, locked, write_atomically
from harness.brokers.config import (
    PORTS_PER_NODE,
    NodePorts,
    properties_text,
    server_settings,
)
from harness.brokers.jars import KafkaJars
from harness.brokers.java import Java
from harness.errors import ClusterError

CHECKPOINT: Final = "bootstrap.checkpoint"
_FORMAT_TIMEOUT_S: Final = 120.0


def new_kafka_uuid() -> str:
    """A random id in Kafka's form: 22 characters of URL-safe base64, not starting with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
        if not text.startswith("-"):
            return text


def format_node(data_directory: Path, node_id: int, cluster_id: str, checkpoint: bytes) -> None:
    """Make a node's log directory, ready for its first start."""
    data_directory.mkdir(parents=True)
    (data_directory / CHECKPOINT).write_bytes(checkpoint)
    settings = {
        "version": "1",
        "node.id": str(node_id),
        "cluster.id": cluster_id,
        "directory.id": new_kafka_uuid(),
    }
    (data_directory / "meta.properties").write_text(properties_text(settings))


def cached_checkpoint(jars: KafkaJars) -> bytes | None:
    """The bootstrap checkpoint of this version, when it was made before."""
    try:
        return (jars.folder / CHECKPOINT).read_bytes()
    except OSError:
        return None


def bootstrap_checkpoint(jars: KafkaJars, java: Java, progress: Progress) -> bytes:
    """The bootstrap checkpoint of this Kafka version; one JVM the first time, a file afterwards.

    Raises ClusterError with Kafka's own words when its format command fails.
    """
    have = cached_checkpoint(jars)
    if have is not None:
        return have
    with locked(
        jars.folder / ".format.lock", timeout_s=180, waiting_for="it asks Kafka for its features"
    ):
        have = cached_checkpoint(jars)
        if have is not None:
            return have
        progress(f"Kafka {jars.version}: asking for its feature levels (once per version)")
        with tempfile.TemporaryDirectory(dir=jars.folder, prefix=".format-") as folder:
            made = _run_format(jars, java, Path(folder))
        write_atomically(jars.folder / CHECKPOINT, made)
        return made


def _run_format(jars: KafkaJars, java: Java, folder: Path) -> bytes:
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
            command, capture_output=True, text=True, errors="replace", timeout=_FORMAT_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"Kafka {jars.version}: its format command did not end within "
            f"{_FORMAT_TIMEOUT_S:.0f} s under {java.executable}."
        ) from error
    output = (ended.stdout + ended.stderr).strip()
    if ended.returncode != 0:
        raise ClusterError(
            f"Kafka {jars.version}: its format command failed (exit {ended.returncode}) under "
            f"{java.executable}, Java {java.version}:\n{_tail(output)}"
        )
    return (data / CHECKPOINT).read_bytes()


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.splitlines()[-lines:])
