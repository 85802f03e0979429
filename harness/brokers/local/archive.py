"""The class archive that saves each broker's JVM half of its start.

An ahead-of-time cache (JEP 483) on Java 25, application class data sharing (JEP 350) before. It is
made once, from one broker that starts and stops in an orderly way, and is tied to the exact class
path and Java. Without one, brokers start all the same.

`python -m harness.brokers.local.archive` is the process in which that one broker runs: like a
supervisor it ends its broker when the harness that started it is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import Progress, locked
from harness.brokers.local.children import module_path
from harness.brokers.local.config import (
    HOST,
    LOGGING,
    PORTS_PER_NODE,
    NodePorts,
    broker_command,
    properties_text,
    server_settings,
)
from harness.brokers.local.jars import KafkaJars
from harness.brokers.local.java import Java, java_environment
from harness.brokers.local.storage import format_node, new_kafka_uuid
from harness.system.lifeline import Child, watch

_AOT_SINCE: Final = 25
_START_TIMEOUT_S: Final = 120.0
_EXIT_TIMEOUT_S: Final = 180.0
_STARTED: Final = b"Kafka Server started"


def archive_path(jars: KafkaJars, java: Java) -> Path:
    """Where the class archive of this pair is kept."""
    suffix = "aot" if java.feature >= _AOT_SINCE else "jsa"
    return jars.folder / f"classes-{java.identity}.{suffix}"


def archive_options(jars: KafkaJars, java: Java) -> tuple[str, ...]:
    """JVM options that use the class archive; none where there is no archive.

    A JVM that finds an archive unfit (another build of Java) starts without it.
    """
    path = archive_path(jars, java)
    if not path.is_file() or path.stat().st_size == 0:
        return ()
    if java.feature >= _AOT_SINCE:
        # Each class that could not be archived is a warning in every broker's log.
        return (f"-XX:AOTCache={path}", "-Xlog:aot*=off")
    return (f"-XX:SharedArchiveFile={path}", "-Xlog:cds*=off")


def make_archive(jars: KafkaJars, java: Java, template: Path, progress: Progress) -> None:
    """Make the class archive, unless there is one.

    A Java that ran to its end and made none leaves an empty file, so that it is not tried at every
    start; one that did not start or end in time is tried again at the next.
    """
    path = archive_path(jars, java)
    if path.exists():
        return
    with locked(
        jars.folder / ".archive.lock",
        timeout_s=_START_TIMEOUT_S + _EXIT_TIMEOUT_S + 60,
        waiting_for="it makes a class archive",
    ):
        if path.exists():
            return
        for left in jars.folder.glob(".archive-*"):
            shutil.rmtree(left)  # of a harness that was killed
        progress(f"Kafka {jars.version}: making a class archive for faster starts (once)")
        with tempfile.TemporaryDirectory(dir=jars.folder, prefix=".archive-") as name:
            folder = Path(name)
            made = folder / path.name
            command = _lay_out(jars, java, template, folder, made)
            child = Child(
                [sys.executable, "-m", "harness.brokers.local.archive", str(folder), *command],
                log=folder / "training.log",
                environment=module_path(),
            )
            try:
                finished = child.process.wait(_START_TIMEOUT_S + _EXIT_TIMEOUT_S + 30) == 0
            except subprocess.TimeoutExpired:
                finished = False
            finally:
                child.stop(grace_s=10)
            if finished and not made.is_file():
                made.touch()
            if not finished or made.stat().st_size == 0:
                progress(f"Java {java.version} made no class archive; brokers start without one")
            if finished:
                made.replace(path)


def _lay_out(jars: KafkaJars, java: Java, template: Path, folder: Path, made: Path) -> list[str]:
    """Make its own node in `folder`; the command that starts it."""
    data, properties = folder / "data", folder / "server.properties"
    logging = folder / "log4j2.properties"
    format_node(data, 1, new_kafka_uuid(), template)
    logging.write_text(LOGGING)
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(PORTS_PER_NODE)]
        for probe in probes:
            probe.bind((HOST, 0))
        ports = {1: NodePorts(*(probe.getsockname()[1] for probe in probes))}
    properties.write_text(properties_text(server_settings(1, ports, data)))
    option = "AOTCacheOutput" if java.feature >= _AOT_SINCE else "ArchiveClassesAtExit"
    return broker_command(
        java.executable, jars.class_path, properties, logging, (f"-XX:{option}={made}",)
    )


def train(folder: Path, command: list[str]) -> bool:
    """Run one broker from its start to an orderly end; whether it came to it."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=java_environment(),
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while _STARTED not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        # An archive that is cut short in the writing must not be trusted.
        return process.wait(_EXIT_TIMEOUT_S) in (0, 128 + signal.SIGTERM)
    return False


def main() -> int:
    """The training process: it leads its session, so one signal ends all that it started."""

    def end(*_: object) -> None:
        os.killpg(os.getpgid(0), signal.SIGKILL)

    watch(end)
    signal.signal(signal.SIGTERM, end)
    finished = train(Path(sys.argv[1]), sys.argv[2:])
    if not finished:
        end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
