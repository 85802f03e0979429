"""What a test has in its hands: it runs something under an experiment and asserts promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from harness.anomalies import PROMISES
from harness.brokers import Brokers
from harness.errors import UsageError
from harness.load.attempt import Attempt
from harness.pytest_plugin.cluster import address_of, turn
from harness.pytest_plugin.failure import PromiseNotKept, failure_text
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import KEPT, NOT_APPLICABLE, PromiseVerdict, Verdict
from harness.runs.library import judge_producer, run
from harness.runs.options import RunOptions
from harness.system.progress import ProgressEvent
from harness.system.suggest import nearest

_SHORT: Final = {"profile": "profiles", "experiment": "experiments"}
"""One name instead of a tuple of them."""
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(RunOptions))
OF_THE_PLUGIN: Final = ("brokers", "out", "keep_cluster", "kafka_version")
"""Fields of RunOptions that the plugin fills in itself."""
OWN_CODE_DEFAULTS: Final[Mapping[str, Any]] = {
    "codec": "json",
    "partitions": 1,
    "rate_per_s": 200,
    "message_bytes": 250,
}
"""A rate that a Python function keeps up with, and a topic with one partition to choose from."""


class KafkaDelivery:
    """Runs on the session's brokers; `verdict` and `run_dir` are those of its last run."""

    def __init__(
        self,
        brokers: Brokers,
        *,
        folder: Path,
        test: str,
        options: Mapping[str, Any],
        lock: Path | None = None,
    ) -> None:
        """folder: run directories are made in it. test: pytest's name of the test. options: of the
        marker. lock: held during a run, where several processes share the brokers."""
        self.brokers = brokers
        self.verdict: Verdict | None = None
        self.run_dir: Path | None = None
        self._folder = folder
        self._test = test
        self._options = dict(options)
        self._promises = promises_of(self._options.pop("promises", ()))
        self._lock = lock
        self._profile: str | None = None
        self._repeat = ""

    def run(self, **options: Any) -> Verdict:
        """Run profiles of the harness under the experiments; the verdict, whatever it is.

        options: as in the marker, and over them. Raises UsageError for what cannot be run.
        """
        asked = run_options({**self._options, **options}, {})
        with turn(self._lock):
            verdict = run(self._placed(asked), on_progress=_show)
        self._profile = None
        return self._done(verdict)

    def judge(
        self,
        produce: Callable[[Attempt], None],
        *,
        flush: Callable[[], object] | None = None,
        name: str = "own-code",
        **options: Any,
    ) -> Verdict:
        """Let a function of the test produce under the experiments, and judge what it did.

        It is held to the promises of `profile`; see `harness.judge_producer`. Records are JSON
        events of 250 bytes, 200 a second, on a topic of one partition, where options do not say
        otherwise.
        """
        asked = run_options({**self._options, **options}, OWN_CODE_DEFAULTS)
        with turn(self._lock):
            verdict = judge_producer(
                self._placed(asked), produce, flush=flush, name=name, on_progress=_show
            )
        self._profile = name
        return self._done(verdict)

    def assert_kept(self, *promises: str, profile: str | None = None) -> None:
        """Fail unless these promises are kept; without a run so far, run what the marker says.

        promises: names, or those of the marker; without any, each promise that applies.
        profile: of which profile; without it of each subject of the run.

        Raises PromiseNotKept, whose text has the reason, the witness and where the report is.
        """
        __tracebackhide__ = True
        verdict = self.verdict or self.run()
        assert self.run_dir is not None
        wanted = promises_of(promises) or self._promises
        chosen = subjects_of(verdict, profile or self._profile)
        wrong: list[tuple[str, PromiseVerdict]] = []
        for name in chosen:
            found = next(each for each in verdict.profiles if each.profile == name)
            missing = [each for each in wanted if each not in {p.promise for p in found.promises}]
            if missing:
                raise UsageError(
                    f"{self._test}: profile {name} does not promise {missing[0]}; it promises "
                    f"{', '.join(each.promise for each in found.promises) or 'nothing'}."
                )
            wrong += [
                (name, each)
                for each in found.promises
                if each.verdict != KEPT
                and (each.promise in wanted if wanted else each.verdict != NOT_APPLICABLE)
            ]
        if wrong or (not wanted and verdict.verdict != KEPT):
            raise PromiseNotKept(failure_text(verdict, wrong, self.run_dir, self._repeat))

    def _placed(self, asked: RunOptions) -> RunOptions:
        number = 1
        while (self._folder / f"run-{number}").exists():
            number += 1
        self.run_dir = self._folder / f"run-{number}"
        return dataclasses.replace(asked, brokers=address_of(self.brokers), out=self.run_dir)

    def _done(self, verdict: Verdict) -> Verdict:
        self.verdict = verdict
        assert self.run_dir is not None
        info = RunDir(self.run_dir).read_info()
        self._repeat = (
            f"pytest '{self._test}', with seed={info.seed} in its marker"
            if self._profile is not None
            else " ".join(info.command)
        )
        return verdict


def run_options(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> RunOptions:
    """The options of a run from named arguments. Raises UsageError for a name that is none."""
    fields: dict[str, Any] = dict(defaults)
    for name, value in given.items():
        field = _SHORT.get(name, name)
        if field in OF_THE_PLUGIN:
            raise UsageError(f"{name}: the plugin says itself what it is. Leave it out.")
        if field not in _FIELDS:
            known = [*_SHORT, *(each for each in _FIELDS if each not in OF_THE_PLUGIN)]
            raise UsageError(
                f"{name}: unknown{nearest(name, known)}; accepted are {', '.join(known)}, and "
                "promises in the marker."
            )
        if field in ("profiles", "experiments") and isinstance(value, str):
            value = (value,)
        fields[field] = tuple(value) if isinstance(value, list) else value
    return RunOptions(**fields)


def promises_of(names: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Names of promises. Raises UsageError for one that is none."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if name not in PROMISES:
            raise UsageError(f"promise {name}: unknown{nearest(name, PROMISES)}.")
    return listed


def subjects_of(verdict: Verdict, profile: str | None) -> list[str]:
    """The profiles of a verdict that are meant. Raises UsageError for one that took no part."""
    names = [each.profile for each in verdict.profiles]
    if profile is None:
        return [each.profile for each in verdict.profiles if each.role == "subject"]
    if profile not in names:
        raise UsageError(f"profile {profile}: took no part in this run; {', '.join(names)} did.")
    return [profile]


def _show(event: ProgressEvent) -> None:
    """What a run tells goes to stdout, which pytest shows where a test fails."""
    if event.kind != "detail":
        print(event.text)
