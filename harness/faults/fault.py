"""What makes a function a fault: a deed on a role, under its name, with its evidence.

    @fault(PROCESS, role="leader", moves_leader=True)
    def kill_leader(injection: Injection, evidence_timeout_s: float = 20.0) -> None:
        "SIGKILL the broker that leads most partitions."
        kill(injection, leader(injection), evidence_timeout_s)

The docstring's first line is the fault's description. Chaos Toolkit sees the function without its
first argument; it returns the evidence as plain data. Import the module in harness/faults, add an
experiment of the fault's name, and describe it in docs/faults.md.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from harness.faults.activity import activity
from harness.faults.backend import attach
from harness.faults.injection import Injection
from harness.faults.registry import FAULTS, Fault

Arguments = ParamSpec("Arguments")


def _described(function: Callable[..., object]) -> str:
    """The first line of a docstring as an entry of a list: no capital unless the word is one."""
    line = (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")
    first = line.partition(" ")[0]
    return line if first.isupper() else line[:1].lower() + line[1:]


def fault(
    *needs: str,
    role: str = "",
    moves_leader: bool = False,
    graceful: bool = False,
    nominal: bool = False,
) -> Callable[
    [Callable[Concatenate[Injection, Arguments], None]], Callable[Arguments, dict[str, Any]]
]:
    """Register a function as a fault; see `Fault` for the arguments."""

    def decorate(
        strike: Callable[Concatenate[Injection, Arguments], None],
    ) -> Callable[Arguments, dict[str, Any]]:
        declared = Fault(
            name=strike.__name__,
            description=_described(strike),
            needs=frozenset(needs),
            role=role,
            moves_leader=moves_leader,
            graceful=graceful,
            nominal=nominal,
        )
        FAULTS[declared.name] = declared
        full = inspect.signature(strike)
        public = full.replace(
            parameters=list(full.parameters.values())[1:], return_annotation=dict[str, Any]
        )

        @functools.wraps(strike)
        def inject(*args: Arguments.args, **kwargs: Arguments.kwargs) -> dict[str, Any]:
            given = public.bind(*args, **kwargs)
            given.apply_defaults()
            with Injection(declared, attach(), hold_s=given.arguments.get("hold_s")) as injection:
                strike(injection, *args, **kwargs)
            return injection.output()

        inject.__signature__ = public  # type: ignore[attr-defined]
        return activity(inject)

    return decorate
