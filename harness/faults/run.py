"""An experiment as a process of its own: Chaos Toolkit, offline, with nothing of the user's home.

Chaos Toolkit would ask a server for newer versions, write chaostoolkit.log into the current
folder and read settings from the home folder; all of that is switched off, so that a run is
decided by its experiment file alone. SIGINT and SIGTERM end the experiment and heal; so does the
end of the process that started it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from harness.faults.experiments import Experiment
from harness.rundir.documents import write_json
from harness.rundir.run_dir import RunDir
from harness.system.lifeline import Child


def start_experiment(
    experiment: Experiment, run_dir: RunDir, number: int, environment: Mapping[str, str]
) -> Child:
    """Start `chaos run` for the n-th experiment of a run, from 1.

    The journal becomes `run_dir.journal(number)` when it ends, its log logs/chaos-<n>.log.
    An experiment that the harness has made is written to `run_dir.experiment(number)` first.
    `environment`: how its actions find run and brokers, see harness.faults.backend.
    """
    journal = run_dir.journal(number).resolve()
    path = experiment.path
    if experiment.document is not None:
        path = run_dir.experiment(number).resolve()
        write_json(path, experiment.document)
    return Child(
        [
            sys.executable,
            "-m",
            "chaostoolkit",
            "--no-version-check",
            "--no-log-file",
            "--settings",
            str(journal.with_name(f".no-settings-{number}.yaml")),
            "run",
            "--journal-path",
            str(journal),
            "--rollback-strategy",
            "always",
            str(path),
        ],
        log=run_dir.logs / f"chaos-{number}.log",
        environment=environment,
    )
