"""Load-testing and chaos harness that judges Kafka's delivery guarantees."""

import os

# numpy's linear algebra starts a thread for each core, which nothing here uses; their start and
# their idling are a tenth of a second of CPU time in each of a run's processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"


def discover(discover_system: bool = True) -> dict[str, object]:
    """For `chaos discover --no-install delivery-harness`: all actions and probes."""
    from harness.faults import discovery

    return discovery.discover(discover_system)
