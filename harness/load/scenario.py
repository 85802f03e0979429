"""A Locust file that drives the load of a run: `python -m harness.load.scenario FILE` checks one.

The check runs in its own process, since importing Locust patches the one that does it. What
is wrong is said on stderr; the exit status is then 2.
"""

from __future__ import annotations

import locust  # noqa: F401 - patches the process: before everything that opens sockets or starts threads

# ruff: noqa: I001
import hashlib
import importlib.util
import sys
from pathlib import Path

from harness.errors import EXIT_KEPT, HarnessError, UsageError
from harness.load.users import ProducerUser
from harness.system.assets import folder


def scenario(path: Path) -> type[ProducerUser]:
    """The user class that a Locust file defines.

    Modules beside the file can be imported by it, as under `locust -f`. Raises UsageError for a
    file that cannot be imported, and when it has not exactly one class of producer users.
    """
    name = f"scenario_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--scenario {path}: a Python file is expected, whose name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        why = error.msg if isinstance(error, SyntaxError) else error
        raise UsageError(
            f"--scenario {path}{line}: cannot be imported: {type(error).__name__}: {why}."
        ) from error
    users: list[type[ProducerUser]] = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ProducerUser)
        and value.__module__ == name
        and not value.abstract
    ]
    if len(users) != 1:
        found = ", ".join(each.__name__ for each in users) or "none"
        raise UsageError(
            f"--scenario {path}: one class that extends harness.load.users.ProducerUser is "
            f"expected, found: {found}."
        )
    if not users[0].tasks:
        raise UsageError(
            f"--scenario {path}: {users[0].__name__} has no task; mark one with @task."
        )
    return users[0]


def scenario_name(path: Path) -> str:
    """What a master calls a Locust file: the name that it has, and what is in it."""
    return f"{path.stem}:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def scenario_named(name: str, given: Path | None) -> type[ProducerUser]:
    """What a worker takes for a master's scenario: its own --scenario, or the built-in one.

    Raises UsageError where it has none, or where another text is in it.
    """
    stem = name.partition(":")[0]
    path = given or folder("scenarios") / f"{stem}.py"
    if not path.is_file():
        raise UsageError(
            f"it has no scenario {stem}. Start it with the file of the run: --scenario FILE."
        )
    if scenario_name(path) != name:
        raise UsageError(
            f"its scenario {path.name} is not the one of the run, {stem}.py. Start it with the "
            "file of the run: --scenario FILE."
        )
    return scenario(path)


def main(arguments: list[str]) -> int:
    """Check one file."""
    try:
        scenario(Path(arguments[0]))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return EXIT_KEPT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
