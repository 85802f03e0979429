"""Clients of a cluster in tests: settings of its users, and traffic in the node's network."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.kubernetes.strimzi.cluster import StrimziCluster

REPOSITORY: Final = Path(__file__).resolve().parents[3]
_ENDED_S: Final = 300.0


def settings_of(cluster: StrimziCluster, user: str) -> dict[str, str]:
    """librdkafka's settings of a SCRAM user over TLS, from the resources and secrets."""
    tls = _listener(cluster, "tls")
    data = cluster.get("secret", user)["data"]
    return {
        "bootstrap.servers": tls["bootstrapServers"],
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": base64.b64decode(data["password"]).decode(),
        "ssl.ca.pem": tls["certificates"][0],
    }


def settings_by_certificate(cluster: StrimziCluster, user: str) -> dict[str, str]:
    """librdkafka's settings of a user that shows a certificate."""
    mtls = _listener(cluster, "mtls")
    data = cluster.get("secret", user)["data"]
    return {
        "bootstrap.servers": mtls["bootstrapServers"],
        "security.protocol": "SSL",
        "ssl.certificate.pem": base64.b64decode(data["user.crt"]).decode(),
        "ssl.key.pem": base64.b64decode(data["user.key"]).decode(),
        "ssl.ca.pem": mtls["certificates"][0],
    }


def _listener(cluster: StrimziCluster, name: str) -> dict[str, Any]:
    status = cluster.get("kafka", cluster.cluster)["status"]
    return next(each for each in status["listeners"] if each["name"] == name)


def program(
    cluster: StrimziCluster, name: str, *arguments: str, settings: Any
) -> subprocess.Popen[str]:
    """`python -m tests.kubernetes.strimzi.NAME` with KAFKA_CLIENT, in the node's network."""
    command = [sys.executable, "-m", f"tests.kubernetes.strimzi.{name}", *arguments]
    environment = {"KAFKA_CLIENT": json.dumps(settings), "PYTHONPATH": str(REPOSITORY)}
    return cluster.node.run(command, environment=environment, cwd=REPOSITORY)


def traffic(
    cluster: StrimziCluster, topic: str, seconds: float, settings: dict[str, str]
) -> subprocess.Popen[str]:
    """A producer and a reader; `count_of` says what came of it."""
    return program(cluster, "traffic", topic, str(seconds), settings=settings)


def count_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line of a program that ends well, which is JSON."""
    printed, _ = process.communicate(timeout=_ENDED_S)
    assert process.returncode == 0, printed
    counted: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return counted
