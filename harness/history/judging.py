"""`harness verify --history`: files in, verdict out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from harness.errors import UsageError
from harness.history.build import run_record_of
from harness.history.event_tables import History
from harness.history.events import TYPES
from harness.history.lines import Block, Refusals, Source
from harness.history.ndjson import NdjsonReader
from harness.history.stream import STDIN, Stream
from harness.history.verifiable import NAMES, VerifiableReader
from harness.judge.judge import judge
from harness.profiles import DeliveryProfile, choose, load_profiles
from harness.rundir.run_record import RunRecord
from harness.rundir.verdict import Verdict
from harness.system.printable import printable

DEFAULT_PROFILE: Final = "at-least-once"
OWN: Final = "events with a `type` (docs/histories.md)"
KAFKAS: Final = "lines of VerifiableProducer and VerifiableConsumer with a `name`"


def judge_files(
    paths: Sequence[Path],
    profile_name: str | None,
    *,
    lenient: bool,
    profiles: Sequence[Path] = (),
    asked: Callable[[DeliveryProfile], DeliveryProfile] = lambda profile: profile,
) -> Verdict:
    """The verdict on what files say, by the promises of a profile: a built-in one, or one of the
    files `profiles`.

    asked: adds to the profile what is asked beside it.
    Raises UsageError for a profile that is none, and for files that cannot be read as a history.
    """
    return judged_record(paths, profile_name, lenient=lenient, profiles=profiles, asked=asked)[1]


def judged_record(
    paths: Sequence[Path],
    profile_name: str | None,
    *,
    lenient: bool,
    profiles: Sequence[Path] = (),
    asked: Callable[[DeliveryProfile], DeliveryProfile] = lambda profile: profile,
) -> tuple[RunRecord, Verdict]:
    """(what files say, the verdict on it), as `judge_files`."""
    profile = choose([profile_name or DEFAULT_PROFILE], load_profiles(profiles))[0]
    record = read_files(paths, asked(profile), lenient=lenient)
    return record, judge(record)


def read_files(paths: Sequence[Path], profile: DeliveryProfile, *, lenient: bool) -> RunRecord:
    """What files say, as evidence. Raises UsageError for files that are no history."""
    _refuse_twice(paths)
    refusals = Refusals(lenient)
    history = History(files=list(paths))
    readers = _Readers(history, refusals)
    digest = hashlib.blake2s(digest_size=4)
    for number, path in enumerate(paths):
        source = Source(path, refusals)
        empty, torn = True, len(refusals.torn)
        for block in source.blocks():
            readers.take(block, number)
            empty = False
        if empty and len(refusals.torn) == torn:
            raise UsageError(_nothing_in(source.stream))
        digest.update(source.stream.digest.digest())
    if not readers.any:
        raise UsageError(_nothing_in(source.stream))
    readers.finish()
    return run_record_of(history, profile, refusals, digest.hexdigest())


def _refuse_twice(paths: Sequence[Path]) -> None:
    """Raises UsageError when one file is named twice, also by two paths or by two hard links."""
    named: dict[object, Path] = {}
    for path in paths:
        identity: object = path
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = os.fstat(sys.stdin.fileno()) if path == STDIN else path.stat()
            identity = found.st_dev, found.st_ino
        before = named.setdefault(identity, path)
        if before is not path:
            also = "" if before == path else f" ({printable(str(before))} is the same file)"
            raise UsageError(
                f"--history {printable(str(path))}: named twice{also}; name each file once."
            )


def _nothing_in(stream: Stream) -> str:
    accepted = f"Accepted: {OWN}, or {KAFKAS}."
    if stream.bytes_read:
        return f"--history {stream.name}: holds no line of a history. {accepted}"
    if stream.is_pipe:
        return (
            f"--history {stream.name}: is a pipe into which nothing was written. Start its writer "
            f"first, or pipe into --history -. {accepted}"
        )
    return f"--history {stream.name}: is empty. {accepted}"


class _Readers:
    """The reader of the format that the first line shows; all files have the same."""

    def __init__(self, history: History, refusals: Refusals) -> None:
        self._history = history
        self._refusals = refusals
        self._reader: NdjsonReader | VerifiableReader | None = None
        self._kind = ""
        self._first: Path | None = None
        self._reported: set[int] = set()

    def take(self, block: Block, file: int) -> None:
        if file not in self._reported:
            self._reported.add(file)
            kind = _format(block)
            if self._reader is None:
                self._kind, self._first = kind, block.path
                self._reader = (
                    NdjsonReader(self._history, self._refusals)
                    if kind == OWN
                    else VerifiableReader(self._history, self._refusals)
                )
            elif kind != self._kind:
                raise UsageError(
                    f"--history {block.path}: holds {kind}, but {self._first} holds {self._kind}. "
                    "One verdict takes files of one format; judge them one after the other."
                )
        assert self._reader is not None
        self._reader.take(block, file)

    @property
    def any(self) -> bool:
        """Was there any line of a history?"""
        return self._reader is not None

    def finish(self) -> None:
        if self._reader is not None:
            self._reader.finish()


def _format(block: Block) -> str:
    """Which format the first line that tells has; our own when none does."""
    for line in block.objects:
        if line.get("name") in NAMES and "type" not in line:
            return KAFKAS
        kind = line.get("type")
        if isinstance(kind, str) and kind in TYPES:
            return OWN
    return KAFKAS if "name" in block.objects[0] and "type" not in block.objects[0] else OWN
