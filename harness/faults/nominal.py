"""The fault that is none: the baseline of every other."""

import time

from harness.faults.fault import fault
from harness.faults.injection import Injection

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = ["no_fault"]


@fault(graceful=True, nominal=True)
def no_fault(injection: Injection, hold_s: float = 2.0) -> None:
    """Change nothing, and show that no leader moved.

    For `hold_s`. Nothing is injected, so the run's timeline gets no fault event.
    """
    injection.aim("nothing", injection.at.aimed_partitions())
    injection.strike()
    time.sleep(hold_s)
    injection.observe()
