"""One group member as a process: `python -m harness.members.process RUN_DIR PROFILE NUMBER`.

SIGTERM, or the end of its parent, lets it finish what it has in hand and leave its group. It ends
with 0 then, with 4 when its client could not go on, with 2 when its arguments were wrong. Whatever
else ends it, its journal holds all that it did.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

from harness.errors import EXIT_HARNESS_FAILED, EXIT_KEPT, HarnessError, UsageError
from harness.kafka.environment import HarnessEnvironment
from harness.members.commits import AutoCommit, CommitAfter, CommitBefore, StoredOffsets
from harness.members.member import Member, MemberIdentity
from harness.members.pipeline import Pipeline
from harness.rundir.clock import Clock
from harness.rundir.run_dir import RunDir
from harness.system import lifeline

KINDS: Final[dict[str, type[Member]]] = {
    "commit-before": CommitBefore,
    "commit-after": CommitAfter,
    "auto": AutoCommit,
    "stored": StoredOffsets,
    "transactional": Pipeline,
}
_PR_SET_PDEATHSIG: Final = 1


def kind_of(mode: str) -> type[Member]:
    """The class of members for a mode. Raises UsageError when the client cannot do it."""
    if mode != "share":
        return KINDS[mode]
    try:
        from harness.members.share import Share
    except ImportError as error:
        raise UsageError(
            f"consume mode share: this confluent-kafka has no ShareConsumer ({error}). "
            "Version 2.16 or newer has it."
        ) from None
    return Share


def new_member(run_dir: RunDir, profile: str, number: int, slot: int) -> Member:
    """The member that the arguments name. Raises UsageError when the run has no such profile."""
    info = run_dir.read_info()
    found = next((each for each in info.profiles if each.profile == profile), None)
    if found is None or found.consume is None:
        names = [each.profile for each in info.profiles if each.consume is not None]
        raise UsageError(
            f"{profile!r}: no profile with consumers of run {info.run_id}; it has "
            f"{', '.join(names) or 'none'}."
        )
    environment = HarnessEnvironment.read()
    clock = Clock(environment.clock_epoch_ns)
    connection = environment.connection(info.bootstrap)
    identity = MemberIdentity(found, found.consume, number, slot)
    return kind_of(found.consume.mode)(run_dir, info, identity, clock, connection)


def continue_when_parent_ends() -> None:
    """A stopped process cannot see that its parent is gone: on Linux the kernel wakes it up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)


def main(argv: list[str] | None = None) -> int:
    """Be a member until asked to leave; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness.members.process", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("number", type=int, metavar="NUMBER", help="never used in the run before")
    parser.add_argument(
        "--slot", type=int, help="its number in the group (default: NUMBER - 1)", metavar="N"
    )
    args = parser.parse_args(argv)
    try:
        slot = args.number - 1 if args.slot is None else args.slot
        member = new_member(RunDir(args.run_dir), args.profile, args.number, slot)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: member.stop())
        lifeline.watch(member.stop)
        continue_when_parent_ends()
        member.run()
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if member.failure is not None:
        print(member.failure, file=sys.stderr)
        return EXIT_HARNESS_FAILED
    return EXIT_KEPT


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A client whose brokers are gone must not hold up the end.
    os._exit(status)
