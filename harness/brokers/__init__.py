"""Where Kafka is: three local broker processes, or any bootstrap servers."""

from harness.brokers.foreign import ForeignBrokers, capabilities_of, connect
from harness.brokers.kind import BrokerControl, Brokers, BrokerStatus
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
]
