"""The one node that runs while the image of Kafka is made: broker and controller in one.

It has the listeners (TLS, SCRAM) and the authorizer of a pod, so that their classes are in the
ahead-of-time cache.
"""

from __future__ import annotations

from typing import Final

from tests.kubernetes.standin.broker_config import (
    CERTIFICATES,
    KafkaNode,
    nodes_of,
    server_config,
)
from tests.kubernetes.standin.certificates import issue, make_authority
from tests.kubernetes.standin.custom_resources import Cluster, read_cluster

FOLDER: Final = "training"
LOGGING: Final = """\
rootLogger.level=INFO
rootLogger.appenderRefs=console
rootLogger.appenderRef.console.ref=Console
appender.console.type=Console
appender.console.name=Console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%p %m (%c)%n
"""


def training_files(cluster_id: str, directory_id: str) -> dict[str, str]:
    """What that node needs, by path in the root file system."""
    cluster, node = _cluster()
    authority = make_authority("/O=io.strimzi/CN=cluster-ca v0")
    pair = issue(authority, f"/O=io.strimzi/CN={cluster.names.component}", [node.host])
    data = server_config(cluster, node, [node], {})
    folder = f"/{FOLDER}/data"
    settings = [
        line
        if not line.startswith(("log.dirs=", "metadata.log.dir="))
        else f"{line.split('=')[0]}={folder}"
        for line in data.splitlines()
    ]
    certificates = CERTIFICATES.removeprefix("/")
    return {
        f"{FOLDER}/server.properties": "\n".join(settings) + "\n",
        f"{FOLDER}/log4j2.properties": LOGGING,
        f"{FOLDER}/data/meta.properties": f"version=1\nnode.id={node.node_id}\n"
        f"cluster.id={cluster_id}\ndirectory.id={directory_id}\n",
        f"{certificates}/node.pem": pair.key + pair.certificate,
        f"{certificates}/cluster-ca.crt": authority.certificate,
        f"{certificates}/clients-ca.crt": authority.certificate,
        "etc/hosts": f"127.0.0.1 localhost {node.host}\n",
    }


def _cluster() -> tuple[Cluster, KafkaNode]:
    ones = {
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
    }
    listeners = [
        {"name": "plain", "port": 9092, "type": "internal", "tls": False},
        {
            "name": "tls",
            "port": 9093,
            "type": "internal",
            "tls": True,
            "authentication": {"type": "scram-sha-512"},
        },
    ]
    kafka = {"config": ones, "listeners": listeners, "authorization": {"type": "simple"}}
    metadata = {"name": "training", "namespace": "training", "uid": "", "generation": 1}
    pool = {
        "metadata": {**metadata, "name": "all"},
        "spec": {
            "replicas": 1,
            "roles": ["controller", "broker"],
            "storage": {"type": "ephemeral"},
        },
    }
    cluster = read_cluster({"metadata": metadata, "spec": {"kafka": kafka}}, [pool])
    return cluster, nodes_of(cluster, {"all": (0,)})[0]
