"""The parser of the command line, and arguments that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from harness.system.suggest import nearest


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations, so that what works today keeps its meaning.

    An unknown command, option or choice is refused with the nearest known one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """The arguments; exits with 2 for what is unknown."""
        words = list(sys.argv[1:] if args is None else args)
        found, unknown = self.parse_known_args(words, namespace)
        if unknown:
            parser = self._parser_of(found)
            options = parser._option_string_actions
            named = [
                word + nearest(word.partition("=")[0], options) if word.startswith("-") else word
                for word in unknown
            ]
            parser.error(f"unrecognized arguments: {' '.join(named)}")
        return found

    def _parser_of(self, found: argparse.Namespace) -> argparse.ArgumentParser:
        """The parser of the command that was given, or this one."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                chosen = action.choices.get(getattr(found, action.dest, ""))
                if chosen is not None:
                    return chosen  # type: ignore[no-any-return]
        return self

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices: Iterable[Any] | None = action.choices
        if choices is not None and value not in choices:
            names = [str(each) for each in choices]
            raise argparse.ArgumentError(
                action,
                f"{str(value)!r} is unknown{nearest(str(value), names)}; "
                f"accepted are {', '.join(names)}",
            )


def add_connection_arguments(parser: argparse._ActionsContainer) -> None:
    """Settings that clients need to reach brokers."""
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a librdkafka setting for every client; topic.KEY=VALUE for a topic setting; "
        "KEY=env:NAME and KEY=file:PATH read the value there, so that no secret is on the command "
        "line",
    )
    parser.add_argument(
        "--properties", metavar="FILE", help="a Java client's .properties file with such settings"
    )


def add_require_argument(parser: argparse._ActionsContainer) -> None:
    """Thresholds that are judged as promises."""
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="[PROFILE:]FIGURE<NUMBER",
        help="a threshold that is judged as a promise of every profile, or of PROFILE, such as "
        "'p99_ack_ms<200', 'recovered_ms<5000' or 'achieved_rate>0.99' (repeatable; quoted, since "
        "a shell takes < for a redirection; figures: docs/profiles.md)",
    )


def add_summary_arguments(parser: argparse._ActionsContainer) -> None:
    """The arguments of a command that can write summaries of its verdict."""
    parser.add_argument(
        "--junit",
        metavar="FILE",
        help="write JUnit's XML: a test case for each promise of each profile, with reason and "
        "witness; broken is a failure, inconclusive an error",
    )
    parser.add_argument(
        "--markdown",
        metavar="FILE",
        help="write a summary for a pull request or the page of a CI job: verdict, table, what "
        "broke, how to repeat it; - for stdout",
    )
