"""Chaos Toolkit actions and probes that strike Kafka brokers, and the repair of what they do.

Use them as `provider: {type: python, module: harness.faults, func: <name>}`. What each fault
does, needs and provokes is in docs/faults.md; `harness list faults` names them, in the order of
these imports. A module's `__all__` holds what of it is public here.
"""

from harness.faults import (
    brokers,
    command,
    coordinators,
    healing,
    members,
    nominal,
    operated,
    probes,
)
from harness.faults.brokers import *  # noqa: F403
from harness.faults.command import *  # noqa: F403
from harness.faults.coordinators import *  # noqa: F403
from harness.faults.healing import *  # noqa: F403
from harness.faults.members import *  # noqa: F403
from harness.faults.nominal import *  # noqa: F403
from harness.faults.operated import *  # noqa: F403
from harness.faults.probes import *  # noqa: F403

__all__: list[str] = []
__all__ += brokers.__all__
__all__ += command.__all__
__all__ += coordinators.__all__
__all__ += healing.__all__
__all__ += members.__all__
__all__ += nominal.__all__
__all__ += operated.__all__
__all__ += probes.__all__
