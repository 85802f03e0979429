"""Rounds of the run's experiments: one, or with --until-bound as many as the bound takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from harness.judge.bounds import bound_95_per_fault
from harness.judge.progress_to_bound import Trial, faults_needed, progress_of, suspicions
from harness.rundir.events import RunEvent
from harness.rundir.run_record import load_run
from harness.runs.session import RunRequest, Session

UNTIL_BOUND_MAX_S: Final = 3600.0
"""Without --duration a run that is to reach a bound begins no round after this."""
READ_ALONG_S: Final = 2.0
"""What the live reader, though beyond it, has still not returned by then, it has passed over."""


class Rounds:
    """Counts the rounds of a run, and decides after each whether there is to be another."""

    def __init__(self, session: Session, request: RunRequest, begun: float) -> None:
        self._session = session
        self._bound = request.until_bound
        self._longest_s = (
            UNTIL_BOUND_MAX_S if request.load.duration_s is None else request.load.duration_s
        )
        self._begun = begun
        self._round_begun = time.monotonic()
        self._round = 1
        self._journals = 0

    def suffix(self) -> str:
        """Which round it is, where there may be several."""
        return "" if self._bound is None else f", round {self._round}"

    def next_journal(self) -> int:
        """The number of the next experiment's journal, from 1 over all rounds."""
        self._journals += 1
        planned = len(self._session.info.experiments)
        if self._journals <= planned:
            return self._journals
        # Beyond the first round the journal of an experiment beside this run may have the number.
        return self._session.run_dir.claim_journal(above=planned)

    def _look(self) -> tuple[list[Trial], list[str]]:
        """The trials so far, and what looks broken."""
        run = load_run(self._session.run_dir, 1)
        try:
            return progress_of(run), suspicions(run)
        finally:
            run.close()

    def enough(self, say: Callable[[str], None]) -> bool:
        """Is there to be no further round? Writes why into the timeline."""
        if self._bound is None:
            return True
        trials, doubts = self._look()
        if doubts:
            # The live reader may have been about to write down what it had got.
            time.sleep(READ_ALONG_S)
            trials, doubts = self._look()
        needed = faults_needed(self._bound)
        fewest = min((trial.faults for trial in trials), default=0)
        reached = bound_95_per_fault(fewest)
        took_s = time.monotonic() - self._round_begun
        over = time.monotonic() - self._begun + took_s > self._longest_s
        if doubts:
            reason = f"a promise looks broken: {'; '.join(doubts)}"
        elif not trials:
            reason = "no promise of a profile that counts is to be bounded"
        elif fewest >= needed:
            reason = f"the bound per fault is {reached:.3g}, {self._bound:g} was asked for"
        elif over:
            behind = trials[0]
            reason = (
                f"another round would end after {self._longest_s:g} s, the most that was allowed; "
                f"{behind.promise} of {behind.profile} was challenged by {behind.faults} of the "
                f"{needed} faults that {self._bound:g} takes"
            )
        else:
            say(
                f"round {self._round}: {fewest} of {needed} faults for a bound of "
                f"{self._bound:g} per fault"
            )
            self._round += 1
            self._round_begun = time.monotonic()
            return False
        say(f"after round {self._round}: {reason}")
        self._session.run_dir.append(
            RunEvent(
                source="harness",
                phase="bound",
                reason=reason,
                rounds=self._round,
                faults=fewest,
                needed=needed,
                reached=bool(trials) and fewest >= needed,
            )
        )
        return True
