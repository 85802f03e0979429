"""Experiment files: found by name or path, checked whole before anything is touched.

An experiment is a Chaos Toolkit experiment. What the harness adds is in an extension of it:

    extensions:
      - name: harness
        aims: {lost: leader-ack}      # anomaly: the control profile that the faults should break
        faults: [kill_leader]         # optional; must then be what the method injects

Everything else is Chaos Toolkit's own format, checked by its own validation.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from harness.anomalies import ANOMALIES
from harness.errors import UsageError
from harness.faults.backend import memberless, refusal
from harness.faults.command_arguments import commands_in, experiment_document
from harness.faults.document import EXTENSION, MODULE, called
from harness.faults.registry import FAULTS, MEMBERS, fault_named
from harness.system.assets import folder
from harness.system.suggest import nearest

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_FIELDS: Final = frozenset({"name", "aims", "faults"})


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as far as the harness needs to know it."""

    name: str
    """The file's name without its suffix."""
    title: str
    path: Path
    aims: Mapping[str, str]
    """anomaly → the control profile that the experiment's faults should break"""
    faults: tuple[str, ...]
    """Names of the injected faults, each as often as it is injected, in order."""
    needs: frozenset[str]
    """Capabilities that the brokers must offer."""
    variables: tuple[str, ...] = ()
    """Environment variables that its configuration is read from, and that have no default."""
    commands_s: float = 0.0
    """The most that commands of the user's take in it, beyond what faults take otherwise."""
    healing_s: float = 0.0
    """The same for healing it once somebody asks for its end."""
    document: Mapping[str, Any] | None = None
    """Of an experiment that the harness has made: it is in no file before the run."""


def list_experiments() -> list[Experiment]:
    """The experiments that ship with the harness, by name."""
    return [load_experiment(str(path)) for path in sorted(folder("experiments").glob("*.yaml"))]


def load_experiment(name_or_path: str) -> Experiment:
    """Read and check an experiment: one that ships with the harness, or a file of your own.

    Raises UsageError that names the file, the field and what is accepted.
    """
    path = find(name_or_path)
    return _checked(path, _document(path))


def command_experiment(texts: Sequence[str], number: int) -> Experiment:
    """The experiment of the n-th --fault-command. Raises UsageError for texts that are wrong."""
    return made_experiment(f"fault-command-{number}", experiment_document(texts))


def made_experiment(name: str, document: dict[str, Any]) -> Experiment:
    """An experiment that the harness has made: no file holds it before the run. Raises UsageError
    for one that is wrong."""
    return replace(_checked(Path(name), document), document=document)


def _checked(path: Path, document: dict[str, Any]) -> Experiment:
    _check_with_chaos_toolkit(path, document)
    commands = commands_in(document, str(path))
    extension = _extension(path, document)
    faults = tuple(_injected(path, document))
    _check_rollback(path, document, faults)
    declared = extension.get("faults")
    if declared is not None and (
        not isinstance(declared, list) or set(map(str, declared)) != set(faults)
    ):
        raise UsageError(
            f"{path}: extensions, {EXTENSION}, faults: {declared!r} is not what the method injects "
            f"({', '.join(dict.fromkeys(faults)) or 'nothing'}). Correct the list or leave it out."
        )
    return Experiment(
        name=path.stem,
        title=str(document["title"]),
        path=path,
        aims=_aims(path, extension),
        faults=faults,
        needs=frozenset().union(*(FAULTS[name].needs for name in faults)),
        variables=tuple(_variables(document)),
        commands_s=sum(each.longest_s for each in commands),
        healing_s=max((each.healing_s for each in commands), default=0.0),
    )


def validate_for(
    experiment: Experiment,
    capabilities: frozenset[str],
    kind: str = "foreign",
    *,
    members: bool = True,
) -> None:
    """Refuse an experiment whose faults these brokers, or a run without group members, cannot
    suffer. Raises UsageError."""
    for name in experiment.variables:
        if name not in os.environ:
            raise UsageError(
                f"experiment {experiment.name}: its configuration is read from the environment "
                f"variable {name}, which is not set."
            )
    capabilities |= {MEMBERS}
    for name in experiment.faults:
        if MEMBERS in FAULTS[name].needs and not members:
            raise UsageError(f"experiment {experiment.name}: {memberless(name)}")
        missing = FAULTS[name].needs - capabilities
        if missing:
            raise UsageError(
                f"experiment {experiment.name}: {refusal(FAULTS[name], missing, kind)} "
                "An experiment without such needs is no_fault; a fault of your own is "
                "--fault-command inject='…' heal='…'."
            )


def find(name_or_path: str) -> Path:
    """The file of an experiment. Raises UsageError listing the names there are."""
    given = Path(name_or_path)
    if given.suffix in _SUFFIXES or len(given.parts) > 1:
        if given.is_file():
            return given.resolve()
        raise UsageError(f"experiment {name_or_path}: there is no such file.")
    shipped = folder("experiments") / f"{name_or_path}.yaml"
    if shipped.is_file():
        return shipped
    names = sorted(path.stem for path in folder("experiments").glob("*.yaml"))
    raise UsageError(
        f"experiment {name_or_path!r}: unknown{nearest(name_or_path, names)}. There are "
        f"{', '.join(names)}; or give the path of a file of your own, ending in "
        f"{', '.join(_SUFFIXES)}."
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UsageError(
            f"{path}{where}: {problem}; a YAML or JSON mapping is expected."
        ) from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: a Chaos Toolkit experiment is expected: a YAML or JSON mapping.")
    return document


def _check_with_chaos_toolkit(path: Path, document: dict[str, Any]) -> None:
    # Imported here: it takes a third of a second, which `harness --help` need not wait for.
    from chaoslib.exceptions import ChaosException
    from chaoslib.experiment import ensure_experiment_is_valid

    for field, kind in (("method", list), ("rollbacks", list), ("extensions", list)):
        if field in document and not isinstance(document[field], kind):
            raise UsageError(f"{path}: {field}: a list is expected.")
    for activity in _activities(document):
        if not isinstance(activity, dict):
            raise UsageError(f"{path}: {activity!r} is no activity: a mapping is expected.")
    logger = logging.getLogger("chaostoolkit")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        ensure_experiment_is_valid(_with_variables(document))
    except ChaosException as error:
        raise UsageError(f"{path}: Chaos Toolkit refuses it: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        # Its validation trusts the types of what it finds.
        raise UsageError(
            f"{path}: Chaos Toolkit cannot read it ({type(error).__name__}: {error}); see "
            "https://chaostoolkit.org/reference/api/experiment/"
        ) from error
    finally:
        logger.setLevel(level)


def _extension(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    for extension in document.get("extensions", []):
        if extension.get("name") == EXTENSION:
            unknown = set(extension) - _FIELDS
            if unknown:
                raise UsageError(
                    f"{path}: extensions, {EXTENSION}: unknown field {sorted(unknown)[0]!r}; "
                    f"accepted are {', '.join(sorted(_FIELDS))}."
                )
            return dict(extension)
    return {}


def _aims(path: Path, extension: dict[str, Any]) -> dict[str, str]:
    aims = extension.get("aims") or {}
    where = f"{path}: extensions, {EXTENSION}, aims"
    if not isinstance(aims, dict):
        raise UsageError(f"{where}: a mapping of anomaly to control profile is expected.")
    for anomaly, profile in aims.items():
        if anomaly not in ANOMALIES:
            raise UsageError(
                f"{where}: {anomaly!r} is no anomaly; accepted are {', '.join(ANOMALIES)}."
            )
        if not isinstance(profile, str) or not profile:
            raise UsageError(f"{where}, {anomaly}: the name of a delivery profile is expected.")
    return dict(aims)


def _activities(document: dict[str, Any]) -> Iterator[Any]:
    yield from document.get("method") or []
    yield from document.get("rollbacks") or []


def _with_variables(document: dict[str, Any]) -> dict[str, Any]:
    """As if each environment variable of its configuration were set: only a run needs them."""
    configuration = document.get("configuration")
    if not isinstance(configuration, dict):
        return document
    missing = [name for name in _variables(document) if name not in os.environ]
    filled = {
        key: {**entry, "default": "0"}  # can be read as each type that Chaos Toolkit knows
        if isinstance(entry, dict) and entry.get("key") in missing
        else entry
        for key, entry in configuration.items()
    }
    return {**document, "configuration": filled}


def _variables(document: dict[str, Any]) -> Iterator[str]:
    configuration = document.get("configuration") or {}
    for entry in configuration.values() if isinstance(configuration, dict) else ():
        if isinstance(entry, dict) and entry.get("type") == "env" and "default" not in entry:
            yield str(entry.get("key"))


def _injected(path: Path, document: dict[str, Any]) -> Iterator[str]:
    for activity in document.get("method") or []:
        name = called(activity)
        if activity.get("type") != "action" or name is None or name == "heal":
            continue
        fault = fault_named(name)
        hold_s = (activity["provider"].get("arguments") or {}).get("hold_s")
        if isinstance(hold_s, int | float) and hold_s <= 0:
            raise UsageError(f"{path}: {fault.name}, hold_s: {hold_s} s; more than 0 is expected.")
        yield fault.name


def _check_rollback(path: Path, document: dict[str, Any], faults: tuple[str, ...]) -> None:
    rollbacks = [called(activity) for activity in document.get("rollbacks") or []]
    if any(not FAULTS[name].nominal for name in faults) and "heal" not in rollbacks:
        raise UsageError(
            f"{path}: rollbacks: an experiment with faults must end with the action heal of "
            f"{MODULE}, so that it leaves no broker stopped."
        )
