"""The arguments of `run_command`, checked before anything is touched; `--fault-command` as an
experiment."""

from __future__ import annotations

import copy
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from harness.anomalies import ANOMALIES
from harness.errors import UsageError, scrub
from harness.faults.document import EXTENSION, called
from harness.rundir.command_evidence import EXPECTED
from harness.system.assets import folder
from harness.system.suggest import nearest

NAME: Final = "run_command"
"""The fault's, and that of the shipped experiment which every --fault-command is made from."""
OPTION: Final = "--fault-command"
HOLD_S: Final = 10.0
TIMEOUT_S: Final = 60.0
ISR_TIMEOUT_S: Final = 120.0
SECONDS_MAX: Final = 3600.0
_FILLED_IN: Final = re.compile(r"\$\{\w+\}")
_EXAMPLE: Final = "inject='./break.sh' heal='./repair.sh'"
_SECONDS: Final = {"hold_s": HOLD_S, "timeout_s": TIMEOUT_S, "isr_timeout_s": ISR_TIMEOUT_S}
_KEYS: Final = ("inject", "heal", *_SECONDS, "expect", "aims")


@dataclass(frozen=True, slots=True)
class CommandArguments:
    """What `run_command` takes."""

    inject: str
    heal: str
    hold_s: float = HOLD_S
    timeout_s: float = TIMEOUT_S
    isr_timeout_s: float = ISR_TIMEOUT_S
    expect: str = "any"

    @property
    def longest_s(self) -> float:
        """The most that injecting and healing take."""
        return 2 * self.timeout_s + self.hold_s + 2 * self.isr_timeout_s

    @property
    def healing_s(self) -> float:
        """The most that ending and healing it take, once somebody asks for its end."""
        return self.timeout_s + self.isr_timeout_s


def words_of(command: object, where: str) -> list[str]:
    """A command's words, as a POSIX shell splits them. Raises UsageError that names `where`."""
    if not isinstance(command, str) or not command.strip():
        raise UsageError(f"{where}: a command is expected, such as {_EXAMPLE.partition(' ')[0]}.")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(
            f"{where}: {command!r} cannot be split into words ({str(error).lower()}). Close each "
            "quote; a shell is used only where the command says so: sh -c '…'."
        ) from None
    if not words or not words[0]:
        raise UsageError(f"{where}: {command!r} names no program.")
    return words


def checked(arguments: Mapping[str, object], where: str) -> CommandArguments:
    """The arguments of an activity that calls `run_command`.

    Raises UsageError that names `where`, the argument and what is accepted.
    """
    unknown = [key for key in arguments if key not in _KEYS or key == "aims"]
    if unknown:
        accepted = [key for key in _KEYS if key != "aims"]
        raise UsageError(
            f"{where}, {unknown[0]}: unknown{nearest(str(unknown[0]), accepted)}; accepted are "
            f"{', '.join(accepted)}."
        )
    for key in ("inject", "heal"):
        if key not in arguments:
            also = " A fault that ends by itself takes heal=true." if key == "heal" else ""
            raise UsageError(f"{where}: {key} is missing: {_EXAMPLE} are needed.{also}")
        words_of(arguments[key], f"{where}, {key}")
    seconds = {
        key: _number(arguments[key], f"{where}, {key}") for key in _SECONDS if key in arguments
    }
    expect = arguments.get("expect", "any")
    if expect not in EXPECTED:
        raise UsageError(
            f"{where}, expect: {expect!r} is unknown{nearest(str(expect), EXPECTED)}; accepted are "
            f"{', '.join(EXPECTED)}."
        )
    return CommandArguments(
        str(arguments["inject"]), str(arguments["heal"]), expect=str(expect), **seconds
    )


def _number(value: object, where: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 < number <= SECONDS_MAX:
        raise UsageError(
            f"{where}: {value!r}; a number of seconds is expected, above 0 and at most "
            f"{SECONDS_MAX:g}."
        )
    return number


def commands_in(document: Mapping[str, Any], where: str) -> list[CommandArguments]:
    """Every call of `run_command` in an experiment's method. Raises UsageError as `checked`.

    What Chaos Toolkit fills in later (`${name}`) is checked when the fault is injected.
    """
    found = []
    for each in document.get("method") or []:
        if called(each) == NAME:
            arguments = dict((each.get("provider") or {}).get("arguments") or {})
            for key, value in list(arguments.items()):
                if isinstance(value, str) and _FILLED_IN.fullmatch(value):
                    arguments[key] = {**_SECONDS, "expect": "any"}.get(key, "true")
            found.append(checked(arguments, f"{where}: {NAME}"))
    return found


def experiment_document(texts: Sequence[str]) -> dict[str, Any]:
    """The Chaos Toolkit experiment of one --fault-command: KEY=VALUE texts.

    Raises UsageError for a text that is none, a key that is unknown or given twice, a value that
    is not accepted, a program that is not there, and a command that holds a secret.
    """
    given: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in _KEYS:
            raise UsageError(
                f"{OPTION} {text}: KEY=VALUE is expected, such as {_EXAMPLE}; keys are "
                f"{', '.join(_KEYS)}{nearest(key, _KEYS)}."
            )
        if key in given:
            raise UsageError(f"{OPTION}: {key} is given twice. Give one of them.")
        given[key] = value
    aims = _aims(given.pop("aims", None))
    arguments = checked(given, OPTION)
    for key in ("inject", "heal"):
        _check_program(given[key], key)
    document = copy.deepcopy(_template())
    document.pop("configuration")
    for activity in document["method"]:
        own = activity["provider"].setdefault("arguments", {})
        if called(activity) == NAME:
            own.clear()
            own.update({key: getattr(arguments, key) for key in _KEYS if key != "aims"})
        else:
            own["timeout_s"] = arguments.isr_timeout_s
    for extension in document["extensions"]:
        if extension["name"] == EXTENSION:
            extension["aims"] = aims
    return document


def _template() -> dict[str, Any]:
    text = (folder("experiments") / f"{NAME}.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert isinstance(document, dict)
    return document


def _aims(text: str | None) -> dict[str, str]:
    """`lost:leader-ack,duplicate:at-least-once` as a mapping of anomaly to control profile."""
    aims: dict[str, str] = {}
    for part in [] if text is None else text.split(","):
        anomaly, colon, profile = (each.strip() for each in part.partition(":"))
        if not colon or not profile or anomaly not in ANOMALIES:
            raise UsageError(
                f"{OPTION}, aims: {part!r}; ANOMALY:PROFILE is expected, the profile being one "
                "that this fault should break, such as lost:leader-ack. Anomalies are "
                f"{', '.join(ANOMALIES)}."
            )
        aims[anomaly] = profile
    return aims


def _check_program(command: str, key: str) -> None:
    """A command line is shown and stored as it is, and its program has to be there."""
    if scrub(command) != command:
        raise UsageError(
            f"{OPTION}, {key}: holds the value of a secret setting, and commands are stored with "
            "the run. Let a script read the secret from the environment or from a file."
        )
    program = words_of(command, f"{OPTION}, {key}")[0]
    if shutil.which(program) is None:
        place = "there is no such program" if os.sep in program else "is no program on PATH"
        exists = Path(program).is_file() if os.sep in program else False
        raise UsageError(
            f"{OPTION}, {key}: {program}: {'is not executable' if exists else place}. Name one "
            "that can be run from this folder."
        )
