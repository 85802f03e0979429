"""One more verification of a run that is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from harness.brokers.foreign import parse_bootstrap
from harness.brokers.kinds import connect
from harness.brokers.running import control_of
from harness.brokers.strimzi.target import SCHEME
from harness.errors import HarnessError, UsageError
from harness.kafka.client_check import check_connection
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.rundir.verdict import Verdict
from harness.runs.judging import best_drain, judge_again, judge_run, why_no_drain
from harness.runs.plan import BOOTSTRAP, settings_of
from harness.runs.progress import Progress
from harness.runs.thresholds import also_required
from harness.system.progress import OnProgress

PROCESSES_MAX: Final = 64
DRAIN_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Verification:
    """The `number`-th verdict of a run."""

    run_dir: RunDir
    number: int
    verdict: Verdict

    @property
    def path(self) -> Path:
        """The verdict's file."""
        return self.run_dir.verdict(self.number)


def connection_of(
    info: RunInfo, given: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    """librdkafka settings that reach a run's brokers; `given` goes before what is on record.

    A run on a Strimzi cluster finds its login there again. Where that fails it is said, and only
    the address is known.
    """
    spec = strimzi_address(info.command)
    if spec is not None and BOOTSTRAP not in given:
        try:
            return dict(connect(spec, given).client_config)
        except HarnessError as error:
            say(f"the login of the run's brokers is not known: {error}")
    return {BOOTSTRAP: info.bootstrap, **given}


def strimzi_address(command: Sequence[str]) -> str | None:
    """The strimzi:// address of a command's --brokers; None where it names other brokers."""
    named = [value for option, value in pairwise(command) if option == "--brokers"]
    named += [word.removeprefix("--brokers=") for word in command if word.startswith("--brokers=")]
    return next((value for value in named if value.startswith(SCHEME)), None)


def verify_run(
    path: Path,
    *,
    config: Sequence[str] = (),
    properties: Path | None = None,
    fresh_drain: bool = False,
    require: Sequence[str] = (),
    processes: int | None = None,
    on_progress: OnProgress | None = None,
) -> Verification:
    """See `harness.verify`."""
    if processes is not None and not 1 <= processes <= PROCESSES_MAX:
        raise UsageError(f"verify: --processes {processes}: accepted is 1 to {PROCESSES_MAX}.")
    run_dir = RunDir(path)
    info = run_dir.read_info()
    also = also_required(require, info)
    overrides = settings_of(config, properties)
    if BOOTSTRAP in overrides.connection:
        parse_bootstrap(overrides.connection[BOOTSTRAP], overrides.origins[BOOTSTRAP])
    progress = Progress(on_progress)
    progress.stage(f"verifying run {info.run_id}")
    connection = connection_of(info, overrides.connection, progress.note)
    check_connection(connection, overrides.origins)
    number = run_dir.next_verification()
    drained = None if fresh_drain else best_drain(run_dir)
    why = None if drained is None else why_no_drain(info, connection)
    if drained is not None and why is not None:
        progress.note(
            f"no fresh drain: {why}. Judging again from the observations of "
            f"{run_dir.drained(drained).name}; --drain asks for a fresh one all the same"
        )
        verdict, _ = judge_again(run_dir, drained, number, also)
    else:
        verdict = judge_run(
            run_dir,
            info,
            connection,
            number=number,
            drain_timeout_s=DRAIN_TIMEOUT_S,
            say=progress.detail,
            control=control_of(info.cluster_id),
            processes=processes,
            also=also,
        )
    beside = run_dir.path / f"report-{number}.html"
    if beside.exists():
        progress.note(f"report.html is of a better verdict and stays; this report is {beside}")
    return Verification(run_dir, number, verdict)
