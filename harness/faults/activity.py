"""What every action and probe does around its own work."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, TypeVar

from harness.faults.interrupts import interruptible, watch_parent

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
BROKERS_KEY: Final = "harness_brokers"
"""The entry of an experiment's configuration that names the brokers."""
_CONFIGURATION: Final = "configuration"
CONFIGURED: Final[ContextVar[str | None]] = ContextVar("configured", default=None)
"""The brokers that the experiment's configuration names, while one of its activities runs."""


def configured_brokers(configuration: Mapping[str, Any] | None) -> str | None:
    """The brokers that an experiment's configuration names; None where it names none."""
    value = (configuration or {}).get(BROKERS_KEY)
    return str(value) if value else None


def activity(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function end well when Chaos Toolkit or the harness that started it is ended.

    Chaos Toolkit hands it the experiment's configuration, which may say where the brokers are.
    """
    own = inspect.signature(function)

    @functools.wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        given: Any = kwargs.pop(_CONFIGURATION, None)
        token = CONFIGURED.set(configured_brokers(given))
        watch_parent()
        try:
            with interruptible():
                return function(*args, **kwargs)
        finally:
            CONFIGURED.reset(token)

    configuration = inspect.Parameter(
        _CONFIGURATION, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=dict[str, Any]
    )
    guarded.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), configuration]
    )
    return guarded
