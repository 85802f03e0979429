"""`harness doctor`: what this machine has, and what is missing for what.

Nothing is started, downloaded or changed. Each check is one row: what was found, and what it is
needed for. Only a `missing` of something that every local run needs makes the exit status 4.
"""

from __future__ import annotations

import argparse
import ctypes.util
import importlib.metadata
import json
import os
import resource
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

from harness.brokers.local.archive import archive_options
from harness.brokers.local.cache import cache_folder
from harness.brokers.local.config import BROKER_IDS, HEAP_MAX_MB, HOST, PORTS_PER_NODE
from harness.brokers.local.jars import KAFKA_VERSION, cached_jars, check_version, verify_jars
from harness.brokers.local.java import JAVA_MIN, candidates, find_java
from harness.brokers.local.ports import is_free, port_range
from harness.brokers.local.state import clusters_folder, directories, has_supervisor, read_state
from harness.errors import EXIT_HARNESS_FAILED, EXIT_KEPT, ClusterError, HarnessError

Status = Literal["ok", "note", "missing"]

MEMORY_TYPICAL_MB: Final = 600
"""Three idle brokers, resident."""
MEMORY_NEEDED_MB: Final = 3 * (HEAP_MAX_MB + 120)
DISK_NEEDED_MB: Final = 2_000
DESCRIPTORS_NEEDED: Final = 4_096
_REPOSITORY_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One row."""

    name: str
    status: Status
    """ok; note: something optional is not there or will be fetched; missing: a run cannot work"""
    found: str
    needed_for: str
    advice: str = ""


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `harness doctor`."""
    parser.add_argument(
        "--kafka-version", metavar="V", help=f"look for this version's jars ({KAFKA_VERSION})"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def run_doctor(args: argparse.Namespace) -> int:
    """Carry out `harness doctor`; 0, or 4 when something that a local run needs is missing."""
    version = args.kafka_version or KAFKA_VERSION
    check_version(version)
    checks = examine(version)
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            print(f"{check.status:8}{check.name:18}{check.found}")
            if check.status != "ok":
                print(f"{'':26}needed for: {check.needed_for}")
                if check.advice:
                    print(f"{'':26}{check.advice}")
    missing = any(check.status == "missing" for check in checks)
    return EXIT_HARNESS_FAILED if missing else EXIT_KEPT


def examine(version: str) -> list[Check]:
    """Every check, in the order in which a run would meet it."""
    questions: list[Callable[[], list[Check]]] = [
        check_clients,
        check_java,
        lambda: [check_jars(version)],
        lambda: [check_memory(), check_disk(), check_ports(), check_descriptors()],
        lambda: [check_clusters()],
        check_fault_tools,
    ]
    checks: list[Check] = []
    for question in questions:
        try:
            checks.extend(question())
        except HarnessError as error:
            checks.append(Check("environment", "missing", str(error), "every local run"))
    return checks


def check_clients() -> list[Check]:
    """The libraries that produce, consume, load and break."""
    checks = []
    for package, purpose in (
        ("confluent-kafka", "producing and reading"),
        ("locust", "load"),
        ("chaostoolkit", "faults"),
    ):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            advice = "Install this package with its dependencies: pip install ."
            checks.append(Check(package, "missing", "not installed", purpose, advice))
        else:
            checks.append(Check(package, "ok", version, purpose))
    return checks


def check_java() -> list[Check]:
    """Which Java brokers run on, and what was passed over."""
    purpose = "local brokers"
    try:
        chosen = find_java()
    except HarnessError as error:
        return [Check("java", "missing", str(error), purpose)]
    found = f"{chosen.version} from {chosen.source}, {chosen.executable}"
    others = [
        f"{c.source}: {c.java.version if c.java else ''}{' ' if c.java and c.problem else ''}"
        f"{c.problem}"
        for c in candidates()
        if c.source != chosen.source
    ]
    passed_over = f" (not used: {'; '.join(others)})" if others else ""
    return [Check("java", "ok", found + passed_over, f"{purpose}; Java {JAVA_MIN} or newer")]


def check_jars(version: str) -> Check:
    """Whether Kafka is in the cache, in full, byte for byte."""
    name, purpose = f"kafka {version}", "local brokers"
    jars = cached_jars(version)
    if jars is None:
        reachable, problem = _repository_reachable()
        advice = "They are downloaded once, at the first start."
        if not reachable:
            advice = (
                f"Maven Central cannot be reached ({problem}): connect once, or check HTTPS_PROXY."
            )
        return Check(
            name, "note" if reachable else "missing", "jars not in the cache", purpose, advice
        )
    damaged = verify_jars(jars)
    if damaged:
        return Check(
            name,
            "missing",
            f"damaged: {', '.join(damaged)}",
            purpose,
            f"Remove {jars.folder}; the next start downloads them again.",
        )
    archive = "class archive" if archive_options(jars, find_java()) else "no class archive yet"
    tools = "with kafka-tools" if jars.tools else "without kafka-tools (bench needs them)"
    return Check(name, "ok", f"{len(jars.broker)} jars {tools}, {archive}, {jars.folder}", purpose)


def _repository_reachable() -> tuple[bool, str]:
    import requests
    from jgo.maven import MavenContext

    problem = "no repository is configured"
    for address in MavenContext(repo_cache=cache_folder()).remote_repos.values():
        try:
            requests.head(address, timeout=_REPOSITORY_TIMEOUT_S)
            return True, ""
        except requests.RequestException as error:
            problem = type(error).__name__
    return False, problem


def check_memory() -> Check:
    """Whether three brokers fit."""
    available_mb = psutil.virtual_memory().available // 2**20
    limit_mb = _cgroup_limit_mb()
    if limit_mb is not None:
        available_mb = min(available_mb, limit_mb)
    found = (
        f"{available_mb} MB available; three brokers take {MEMORY_TYPICAL_MB} MB idle and up to "
    )
    found += f"{MEMORY_NEEDED_MB} MB under load"
    status: Status = "ok" if available_mb >= MEMORY_NEEDED_MB else "note"
    if available_mb < MEMORY_TYPICAL_MB:
        status = "missing"
    return Check("memory", status, found, "local brokers", "End other programs, or add memory.")


def _cgroup_limit_mb() -> int | None:
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return None
    return None if text == "max" else max(0, int(text) - used) // 2**20


def check_disk() -> Check:
    """Room for jars, logs and ledgers in the cache folder."""
    folder = cache_folder()
    free_mb = shutil.disk_usage(folder).free // 10**6
    status: Status = "ok" if free_mb >= DISK_NEEDED_MB else "missing"
    return Check(
        "disk",
        status,
        f"{free_mb} MB free in {folder}",
        "jars (50 MB a version), class archive (70 MB), the brokers' logs: three copies",
        f"Free {DISK_NEEDED_MB} MB, or set XDG_CACHE_HOME to a larger disk.",
    )


def check_ports() -> Check:
    """Whether a cluster finds its ports."""
    need = len(BROKER_IDS) * PORTS_PER_NODE
    span = port_range()
    free = 0
    for port in span:
        free += is_free(port)
        if free == need:
            break
    found = f"{HOST}:{span.start}–{span.stop - 1}, "
    if free == need:
        return Check("ports", "ok", found + f"the {need} that a cluster needs are free", "brokers")
    return Check(
        "ports", "missing", found + f"only {free} of {need} are free", "brokers", "End listeners."
    )


def check_descriptors() -> Check:
    """Open files per process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    status: Status = "ok" if unlimited or hard >= DESCRIPTORS_NEEDED else "note"
    shown = "unlimited" if unlimited else str(hard)
    return Check(
        "open files",
        status,
        f"soft {soft}, hard {shown}; the soft limit is raised for brokers",
        "many partitions",
        f"Raise the hard limit to {DESCRIPTORS_NEEDED}: ulimit -Hn",
    )


def check_clusters() -> Check:
    """Local clusters, dead ones included."""
    running: list[str] = []
    dead: list[str] = []
    clusters_folder()
    for directory in directories():
        try:
            state = read_state(directory)
        except ClusterError:
            continue
        (running if has_supervisor(directory) else dead).append(state.name)
    found = f"running: {', '.join(running) or 'none'}"
    if not dead:
        return Check("local clusters", "ok", found, "–")
    return Check(
        "local clusters",
        "note",
        f"{found}; supervisor gone: {', '.join(dead)}",
        "their data, kept",
        "`harness cluster start NAME` goes on with one, `harness cluster down NAME` removes it.",
    )


def check_fault_tools() -> list[Check]:
    """What single faults need beyond processes and proxies."""
    linux = sys.platform == "linux"
    checks = [
        Check(
            "signals, proxies",
            "ok",
            "every broker process and link is the harness's own",
            "kill, pause, restart, cut, blackhole",
        )
    ]
    faketime = _libfaketime()
    checks.append(
        _tool(
            "libfaketime",
            str(faketime) if faketime else None,
            "clock skew",
            "Debian: apt install libfaketime; macOS: brew install libfaketime",
        )
    )
    checks.append(
        _tool(
            "prlimit",
            "resource.prlimit" if hasattr(resource, "prlimit") else None,
            "disk full on a live broker",
            "Linux only; there is nothing to install elsewhere.",
        )
    )
    checks.append(
        _tool(
            "127.0.0.2 …",
            "addresses beside 127.0.0.1 can be bound" if _second_address() else None,
            "a partition of one ordered pair of brokers",
            "" if linux else "macOS: sudo ifconfig lo0 alias 127.0.0.2",
        )
    )
    checks.append(
        _tool(
            "parent death",
            "the kernel ends brokers with their supervisor" if linux else None,
            "ending brokers when their supervisor is killed",
            "Elsewhere than on Linux a reaper process does it.",
        )
    )
    kubectl = shutil.which("kubectl")
    checks.append(_tool("kubectl", kubectl, "faults on Kubernetes", "Install kubectl."))
    return checks


def _tool(name: str, found: str | None, purpose: str, advice: str) -> Check:
    if found is None:
        return Check(name, "note", "not there", purpose, advice)
    return Check(name, "ok", found, purpose)


def _libfaketime() -> Path | str | None:
    suffix = "dylib" if sys.platform == "darwin" else "so.1"
    folders = ["/usr/lib", "/usr/local/lib", "/opt/homebrew/lib", *_multiarch()]
    for folder in folders:
        path = Path(folder) / "faketime" / f"libfaketime.{suffix}"
        if path.is_file():
            return path
    return ctypes.util.find_library("faketime")


def _multiarch() -> list[str]:
    return [str(path) for path in Path("/usr/lib").glob(f"{os.uname().machine}-*")]


def _second_address() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.2", 0))
        except OSError:
            return False
    return True
