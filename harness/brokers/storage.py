"""What depends on a Kafka version and a Java only: the format template and the class archive.

Formatting a node needs no JVM. Kafka's own `format` runs once per version; what it writes beside
the node's names is the bootstrap checkpoint, a snapshot with one feature level record each for
metadata.version, transaction.version, eligible.leader.replicas.version, group.version,
share.version and streams.version. It is the same for every node, so every later node gets a copy
and a meta.properties of its own. Levels therefore always are what that Kafka release turns on.

The class archive (application class data sharing, JEP 350; an ahead-of-time cache, JEP 483, on
Java 25) saves each broker a third of its start. It is made once, from one broker that starts and
stops, and is tied to the exact class path and Java. Without one, brokers start all the same.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Final

from harness.brokers.cache import Progress, locked, write_atomically
from harness.brokers.config import (
    HOST,
    LOGGING,
    PORTS_PER_NODE,
    NodePorts,
    broker_command,
    properties_text,
    server_settings,
)
from harness.brokers.jars import KafkaJars
from harness.brokers.java import Java
from harness.errors import ClusterError

CHECKPOINT: Final = "bootstrap.checkpoint"
_FORMAT_TIMEOUT_S: Final = 60.0
_TRAINING_START_TIMEOUT_S: Final = 60.0
_TRAINING_EXIT_TIMEOUT_S: Final = 60.0
_AOT_SINCE: Final = 25


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
        jars.folder / ".format.lock", timeout_s=120, waiting_for="it asks Kafka for its features"
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


# -- class archive -----------------------------------------------------------------------------


def archive_path(jars: KafkaJars, java: Java) -> Path:
    """Where the class archive of this pair is kept."""
    suffix = "aot" if java.feature >= _AOT_SINCE else "jsa"
    return jars.folder / f"classes-{java.identity}.{suffix}"


def archive_options(jars: KafkaJars, java: Java) -> tuple[str, ...]:
    """JVM options that use the class archive; none where there is no archive.

    A JVM that finds an archive unfit (another build of Java) says so in its log and starts
    without it.
    """
    path = archive_path(jars, java)
    if not path.is_file() or path.stat().st_size == 0:
        return ()
    if java.feature >= _AOT_SINCE:
        return (f"-XX:AOTCache={path}",)
    return (f"-XX:SharedArchiveFile={path}",)


def make_archive(jars: KafkaJars, java: Java, checkpoint: bytes, progress: Progress) -> None:
    """Make the class archive, once: one broker starts, stops and leaves it behind.

    A Java that cannot make one leaves an empty file, so that it is not tried at every start.
    """
    path = archive_path(jars, java)
    if path.exists():
        return
    with locked(
        jars.folder / ".archive.lock", timeout_s=240, waiting_for="it makes a class archive"
    ):
        if path.exists():
            return
        progress(f"Kafka {jars.version}: making a class archive for faster starts (once)")
        with tempfile.TemporaryDirectory(dir=jars.folder, prefix=".archive-") as folder:
            made = Path(folder) / path.name
            _train(jars, java, checkpoint, Path(folder), made)
            if not made.is_file():
                progress(f"Java {java.version} made no class archive; brokers start without one")
                made.touch()
            made.replace(path)


def _train(jars: KafkaJars, java: Java, checkpoint: bytes, folder: Path, made: Path) -> None:
    data, properties, logging = (
        folder / "data",
        folder / "server.properties",
        folder / "log4j2.properties",
    )
    format_node(data, 1, new_kafka_uuid(), checkpoint)
    logging.write_text(LOGGING)
    log = folder / "server.log"
    with contextlib.ExitStack() as stack:
        holds = [stack.enter_context(_free_port()) for _ in range(PORTS_PER_NODE)]
        numbers = [hold.getsockname()[1] for hold in holds]
    ports = {1: NodePorts(*numbers)}
    properties.write_text(properties_text(server_settings(1, ports, data)))
    option = "AOTCacheOutput" if java.feature >= _AOT_SINCE else "ArchiveClassesAtExit"
    command = broker_command(
        java.executable, jars.class_path, properties, logging, (f"-XX:{option}={made}",)
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + _TRAINING_START_TIMEOUT_S
        while b"Kafka Server started" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                return
            time.sleep(0.05)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TRAINING_EXIT_TIMEOUT_S)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _free_port() -> socket.socket:
    held = socket.socket()
    held.bind((HOST, 0))
    return held


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.splitlines()[-lines:])
