"""What every action and probe does around its own work."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from harness.faults.interrupts import interruptible, watch_parent

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def activity(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function end well when Chaos Toolkit or the harness that started it is ended."""

    @functools.wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        watch_parent()
        with interruptible():
            return function(*args, **kwargs)

    return guarded
