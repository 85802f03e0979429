"""What follows a run: a healed cluster, the brokers' logs, and the place of a start that failed."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable
from typing import Final

from harness.brokers import BrokerControl
from harness.errors import ClusterError, HarnessError
from harness.faults.injection import open_faults
from harness.rundir.events import FaultEvent, RunEvent
from harness.rundir.run_dir import RunDir

BROKER_LOG_BYTES_MAX: Final = 16 * 1024 * 1024


def heal(control: BrokerControl, run_dir: RunDir) -> None:
    """Make the cluster whole. When it does not heal, the drain says what is missing."""
    left = open_faults(run_dir)
    try:
        control.heal()
    except ClusterError as error:
        run_dir.append(RunEvent(source="harness", phase="not_healed", reason=str(error)))
        return
    # What an experiment did not come to heal is healed here, and its window ends here.
    for event in left:
        run_dir.append(
            FaultEvent(
                source="harness",
                fault_id=event.fault_id,
                fault=event.fault,
                phase="healed",
                target=event.target,
            )
        )
    run_dir.append(
        RunEvent(source="harness", phase="healed", faults=[event.fault_id for event in left])
    )


def keep_broker_logs(control: BrokerControl, run_dir: RunDir) -> None:
    """Copy what the brokers printed to where the run's other logs are, the last part at least.

    Of a run that was not kept they are worth more than their space, and a cluster that is not
    kept takes them with it.
    """
    run_dir.logs.mkdir(exist_ok=True)
    # A log that cannot be copied must not hide why the run is not kept.
    try:
        brokers = control.broker_ids
    except HarnessError:
        return
    for broker in brokers:
        with contextlib.suppress(OSError, HarnessError), control.logs(broker).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - BROKER_LOG_BYTES_MAX))
            (run_dir.logs / f"broker-{broker}.log").write_bytes(log.read(BROKER_LOG_BYTES_MAX))


def put_away(run_dir: RunDir, made_here: bool, say: Callable[[str], None]) -> None:
    """Free the place of a run whose start failed, so that the next try can have it.

    What its processes and brokers logged is moved beside it; an empty directory is removed.
    """
    path = run_dir.path
    with contextlib.suppress(OSError):
        if any(each.is_file() for each in path.rglob("*")):
            beside = next(
                each
                for each in (path.with_name(f"{path.name}.failed-{n}") for n in itertools.count(1))
                if not each.exists()
            )
            path.rename(beside)
            say(f"what the failed start left is in {beside}")
        else:
            shutil.rmtree(path)
        if not made_here:
            path.mkdir()
