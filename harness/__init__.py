"""Load-testing and chaos harness that judges Kafka's delivery guarantees."""

__version__ = "0.1.0"
