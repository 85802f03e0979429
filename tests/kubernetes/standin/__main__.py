"""The stand-in for the Strimzi operators, as a pod runs it. It is no Strimzi.

python -m tests.kubernetes.standin operator    all controllers of the namespace STRIMZI_NAMESPACE
python -m tests.kubernetes.standin volumes     the storage class local-folder, of all namespaces
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.kubernetes.standin.api_server import (
    CLAIM,
    KAFKA,
    NODE_POOL,
    POD,
    POD_SET,
    SECRET,
    TOPIC,
    USER,
    VOLUME,
    ApiServer,
)
from tests.kubernetes.standin.cluster_operator import ClusterOperator
from tests.kubernetes.standin.kafka_admin import KafkaAdmin
from tests.kubernetes.standin.log import say
from tests.kubernetes.standin.loops import Loop, run_loops
from tests.kubernetes.standin.pod_sets import SELECTOR, PodSetController
from tests.kubernetes.standin.topics import reconcile_topics
from tests.kubernetes.standin.users import UserOperator
from tests.kubernetes.standin.volumes import VolumeProvisioner


def operator_loops(api: ApiServer) -> list[Loop]:
    """The four controllers of one namespace."""
    operator = ClusterOperator(api)
    users: dict[str, tuple[KafkaAdmin, UserOperator]] = {}

    def topics() -> None:
        for cluster, admin in list(operator.clusters.values()):
            if cluster.topics_managed:
                reconcile_topics(api, admin, cluster.names.cluster)

    def reconcile_users() -> None:
        for name, (cluster, admin) in list(operator.clusters.items()):
            if not cluster.users_managed:
                continue
            if name not in users or users[name][0] is not admin:
                known = UserOperator(api, admin, cluster.names, cluster.simple_authorization)
                users[name] = (admin, known)
            users[name][1].reconcile()

    strimzi = {"strimzi.io/kind": "Kafka"}
    return [
        Loop("pod sets", PodSetController(api).reconcile, ((POD_SET, None), (POD, SELECTOR))),
        Loop(
            "clusters",
            operator.reconcile,
            ((KAFKA, None), (NODE_POOL, None), (POD, SELECTOR), (POD_SET, None), (SECRET, strimzi)),
            settle_s=0.3,
        ),
        Loop("topics", topics, ((TOPIC, None), (KAFKA, None))),
        Loop("users", reconcile_users, ((USER, None), (KAFKA, None))),
    ]


def volume_loops(api: ApiServer) -> list[Loop]:
    provisioner = VolumeProvisioner(
        api, Path(os.environ["VOLUMES_FOLDER"]), os.environ["VOLUMES_NODE"]
    )
    return [Loop("volumes", provisioner.reconcile, ((CLAIM, None), (VOLUME, None)))]


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    roles: dict[str, tuple[str, Callable[[ApiServer], list[Loop]]]] = {
        "operator": (os.environ.get("STRIMZI_NAMESPACE", ""), operator_loops),
        "volumes": ("", volume_loops),
    }
    namespace, loops = roles[sys.argv[1]]
    say(f"stand-in for the Strimzi operators ({sys.argv[1]}); it is no Strimzi")
    api = ApiServer.in_cluster(namespace)
    return 0 if run_loops(api, loops(api), stop) else 1


if __name__ == "__main__":
    sys.exit(main())
