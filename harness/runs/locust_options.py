"""The options of a scenario that runs under `locust -f`: on its command line and in its page.

Locust has options of the same names as ours with another meaning, so some of ours have longer
names here. What a person types is checked by the rules of `harness run`; a refusal names the option
that was typed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, UsageError
from harness.profiles import load_profiles
from harness.runs.options import COMPRESSIONS, DEFAULTS, SCHEDULES, RunOptions
from harness.system.assets import folder

LOCUST_NAMES: Final[Mapping[str, str]] = {
    "--profile": "--delivery-profile",
    "--profiles": "--profiles-file",
    "--config": "--client-config",
}
"""What an option of `harness run` is called here, where the names differ."""
_WHOLE: Final = re.compile(r"[+-]?\d+")
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z-]+")


class Offered(list[str]):
    """Values that the page lists; others are accepted here and checked with the whole request."""

    def __contains__(self, value: object) -> bool:
        """A comma-separated list, or a profile of a file, is no error of the parser."""
        return True


def add_arguments(parser: Any, **_: Any) -> None:
    """Add the options. Locust's page shows those that are in no argument group."""
    parser.set_defaults(web_host="127.0.0.1")
    add = parser.add_argument
    add(
        "--brokers",
        default="",
        help="HOST:PORT,… or local:NAME; otherwise HARNESS_BROKERS, or the cluster that "
        "`harness cluster up` keeps",
    )
    add(
        "--delivery-profile",
        action="append",
        default=[""],  # of an empty list Locust's page takes the values for numbers
        choices=Offered(name for name, each in load_profiles([]).items() if each.bare),
        is_multiple=True,
        metavar="NAME,…",
        help="delivery profiles; otherwise the built-in producer profiles",
    )
    add(
        "--experiment",
        action="append",
        default=[""],
        choices=Offered(experiment_names()),
        is_multiple=True,
        metavar="NAME,…",
        help="experiments to carry out once the load is warm, one after the other, with their "
        "controls; otherwise none",
    )
    add("--profiles-file", default="", help="a YAML file with profiles of your own")
    add("--properties", default="", help="a Java client's .properties file")
    add(
        "--client-config",
        action="append",
        default=[],
        include_in_web_ui=False,  # a form would show what it holds
        help="KEY=VALUE, a librdkafka setting for every client (repeatable), as `harness run "
        "--config` takes it; KEY=env:NAME and KEY=file:PATH keep a secret off the command line",
    )
    add(
        "--require",
        action="append",
        default=[],
        include_in_web_ui=False,  # a profile of --profiles-file states them for the page
        help="a threshold that is judged as a promise, such as 'p99_ack_ms<200' (repeatable)",
    )
    _add_load(add)
    add("--seed", default="", help="every random choice follows from it")
    add("--out", default="", help="the run directory; otherwise reports/runs/<run_id>")
    add("--keep-topics", action="store_true", default=False, help="do not delete the topics")


def _add_load(add: Callable[..., object]) -> None:
    """What is sent, how, and for how long."""
    add("--rate", type=float, default=float(DEFAULTS.rate_per_s), help="records/s for each profile")
    add(
        "--schedule",
        default=DEFAULTS.schedule,
        choices=list(SCHEDULES),
        help="when records are due, whatever Kafka does",
    )
    add(
        "--duration",
        type=float,
        default=0.0,
        help="seconds after the warm-up; 0: until Stop, or until the experiments are over",
    )
    add("--message-size", type=int, default=DEFAULTS.message_bytes, help="bytes a record")
    add(
        "--compression",
        default="",
        choices=["", *COMPRESSIONS],
        metavar="C",
        help=f"{', '.join(COMPRESSIONS)}; otherwise what the profile says",
    )
    add("--keys", type=int, default=DEFAULTS.keys, help="distinct keys; 0: none")
    add("--partitions", type=int, default=DEFAULTS.partitions, help="of each topic")
    add(
        "--producers",
        type=int,
        default=DEFAULTS.producers,
        help="client instances of each profile",
    )


def experiment_names() -> list[str]:
    """The experiments that ship with the harness."""
    return sorted(path.stem for path in folder("experiments").glob("*.yaml"))


def _names(given: str | Iterable[str]) -> list[str]:
    """The names in a list whose entries may hold several, separated by commas."""
    texts = [given] if isinstance(given, str) else list(given)
    return [name for text in texts for name in str(text).replace(",", " ").split()]


def profile_names(options: Any) -> list[str]:
    """The profiles that were asked for; [] means the built-in ones.

    Locust's own --profile, a label, is taken for ours. Raises UsageError when both are given.
    """
    names = _names(options.delivery_profile)
    label = getattr(options, "profile", None)
    if not label:
        return names
    if names and names != [label]:
        raise UsageError(
            f"--profile {label} and --delivery-profile {','.join(names)}: two names for one "
            "choice. Leave --profile out."
        )
    return [str(label)]


def run_options(options: Any) -> RunOptions:
    """The options of a run. Raises UsageError for a seed that is no number."""
    seed = str(options.seed)
    if seed and not _WHOLE.fullmatch(seed):
        raise UsageError(f"--seed {seed}: a whole number is expected.")
    return RunOptions(
        profiles=tuple(profile_names(options)),
        experiments=tuple(_names(options.experiment)),
        profiles_file=Path(options.profiles_file) if options.profiles_file else None,
        brokers=options.brokers or None,
        config=tuple(options.client_config),
        properties=Path(options.properties) if options.properties else None,
        require=tuple(options.require),
        keep_topics=bool(options.keep_topics),
        rate_per_s=options.rate,
        schedule=options.schedule,
        duration_s=options.duration or None,
        message_bytes=options.message_size,
        compression=options.compression or None,
        keys=options.keys,
        partitions=options.partitions,
        producers=options.producers,
        seed=int(seed) if seed else None,
        out=Path(options.out) if options.out else None,
    )


def in_locust_names(text: str) -> str:
    """A message in which options are called as they are here."""
    return _OPTION.sub(lambda found: LOCUST_NAMES.get(found[0], found[0]), text)


def form_error(
    parser: argparse.ArgumentParser, options: Any, form: Mapping[str, Iterable[str]]
) -> str | None:
    """What is wrong with the values of the page's form; None when a test can start with them.

    form: the values of each field. `options`: those in force, which the form is laid over. Nothing
    of them is changed.
    """
    from harness.runs.locust_request import check

    laid_over = argparse.Namespace(**vars(options))
    try:
        for action, values in _fields(parser, form):
            setattr(laid_over, action.dest, _value(action, values))
        # Without a label in the form the one of the command line does not hold either.
        laid_over.profile = next(iter(form.get("profile", ())), "") or None
        check(run_options(laid_over))
    except HarnessError as error:
        return in_locust_names(str(error))
    return None


def _fields(
    parser: argparse.ArgumentParser, form: Mapping[str, Iterable[str]]
) -> Iterator[tuple[argparse.Action, list[str]]]:
    for action in parser._actions:
        if getattr(action, "include_in_web_ui", False) and action.dest in form:
            yield action, list(form[action.dest])


def _value(action: argparse.Action, values: list[str]) -> Any:
    """What a field says. Raises UsageError that names the option and what it takes."""
    option = action.option_strings[-1]
    if isinstance(action.default, list):
        return values
    text = values[-1] if values else ""
    if isinstance(action.default, bool):
        return text == "true"
    if action.choices is not None and text not in action.choices:
        accepted = ", ".join(str(each) for each in action.choices if each)
        raise UsageError(f"{option} {text}: accepted are {accepted}.")
    try:
        return action.type(text) if callable(action.type) else text
    except (TypeError, ValueError):
        kind = "a whole number" if action.type is int else "a number"
        raise UsageError(f"{option} {text or '(empty)'}: {kind} is expected.") from None
