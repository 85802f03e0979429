"""Where Kafka is: local broker processes, a cluster of Strimzi, or any bootstrap servers."""

from harness.brokers.foreign import ForeignBrokers
from harness.brokers.kind import BrokerControl, Brokers, BrokerStatus
from harness.brokers.kinds import capabilities_of, connect, started, starts
from harness.brokers.local.cluster import LocalCluster
from harness.brokers.local.jars import KAFKA_VERSION

__all__ = [
    "KAFKA_VERSION",
    "BrokerControl",
    "BrokerStatus",
    "Brokers",
    "ForeignBrokers",
    "LocalCluster",
    "capabilities_of",
    "connect",
    "started",
    "starts",
]
