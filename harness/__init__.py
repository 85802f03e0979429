"""Load-testing and chaos harness that judges Kafka's delivery guarantees.

    import harness

    verdict = harness.run(harness.RunOptions(profiles=("idempotent",), rate_per_s=500))
    print(verdict.verdict, verdict.reasons)

Importing this package starts nothing and imports no client library. The functions raise the errors
of harness.errors, of which HarnessError is the base; they never print and never end the process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from harness.errors import (
    ClusterError,
    EnvironmentFailure,
    FaultError,
    HarnessError,
    Interrupted,
    RunDirError,
    UsageError,
)
from harness.runs.library import (
    definition,
    judge_history,
    judge_producer,
    junit,
    markdown,
    repeat,
    run,
    sarif,
    validate,
    verify,
)
from harness.runs.options import RunOptions
from harness.system.progress import ProgressEvent
from harness.version import __version__

if TYPE_CHECKING:
    from harness.judge.aggregate import Aggregate
    from harness.load.attempt import Attempt
    from harness.rundir.verdict import Verdict

__all__ = [
    "Aggregate",
    "Attempt",
    "ClusterError",
    "EnvironmentFailure",
    "FaultError",
    "HarnessError",
    "Interrupted",
    "ProgressEvent",
    "RunDirError",
    "RunOptions",
    "UsageError",
    "Verdict",
    "__version__",
    "definition",
    "judge_history",
    "judge_producer",
    "junit",
    "markdown",
    "repeat",
    "run",
    "sarif",
    "validate",
    "verify",
]

_ON_FIRST_USE: Final = {
    "Aggregate": "harness.judge.aggregate",
    "Attempt": "harness.load.attempt",
    "Verdict": "harness.rundir.verdict",
}
"""Types whose modules need numpy, which importing this package does not bring."""


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return getattr(import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def discover(discover_system: bool = True) -> dict[str, object]:
    """For `chaos discover --no-install delivery-harness`: all actions and probes."""
    from harness.faults import discovery

    return discovery.discover(discover_system)
