"""docs/run-directory.md from the code.

    python -m tests.support.run_directory_docs > docs/run-directory.md

What a file is for is written here. Layouts come from the dtypes, events and documents from their
dataclasses, and the text behind a field from the string below it in the source.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from enum import IntEnum
from types import ModuleType
from typing import Any

import numpy as np

from harness.rundir import (
    columns,
    consumption,
    event_lines,
    events,
    extents,
    holes,
    member_journal,
    proof,
    replicas,
    rows,
    run_info,
    timeline_file,
)

HEAD = """# The run directory

Written by `python -m tests.support.run_directory_docs`; a test compares it with the code.

A run directory is the contract between the stages: load, faults, readers and judgement meet in its
files and never call each other. Each file has its writer beside its reader in `harness/rundir/`.
Every file is written so that it can be read at every instant, also after a SIGKILL of its writer.
Binary files are little-endian. Instants are µs since the epoch, in JSON text RFC 3339 in UTC.

## Files

| file | what it holds | written by | writer and reader |
| --- | --- | --- | --- |
"""

FILES = [
    ("`run.json`", "what the run is: profiles with all settings, topics with their ids, load, "
     "seed, versions, command; secrets redacted", "the run, once, at its start", "run_info.py"),
    ("`ledger/<n>.ledger`", "state and acknowledged offset of every attempt of producer "
     "incarnation n; it is there before the first attempt", "the load, members of a pipeline",
     "ledger.py, columns.py"),
    ("`ledger/<n>.txn.ndjson`", "each step of each transaction of that producer, written before "
     "the call that it names", "the load, members of a pipeline", "transaction_steps.py"),
    ("`members/<profile>-<n>.journal`", "each step of a group member, before or after the deed "
     "that it names", "the member", "member_journal.py"),
    ("`members/wanted.json`", "`{profile: number}`: how many members a fault asks for; not there "
     "when it is as planned", "faults", "wanted_members.py"),
    ("`observations/live/`", "what the live reader read while the load was running",
     "the live reader", "observations.py, rows.py"),
    ("`observations/drained/`", "what the drain read afterwards; `drained-<n>` of the n-th "
     "verification", "the drain", "observations.py, rows.py"),
    ("`…/<n>.obs`", "where each attempt of producer n was first read, in cells as in a ledger",
     "the reader of that set", "observations.py, columns.py"),
    ("`…/extras.bin`", "whatever is not the first copy of an attempt", "the reader of that set",
     "rows.py"),
    ("`live/batches.bin`", "when a stretch of offsets was returned, of topics read at "
     "read_committed", "the live reader", "rows.py"),
    ("`…/part-<n>/`", "the same files, of topic-partitions that another process read", "the drain",
     "observations.py, rows.py"),
    ("`drained/drain.json`", "the proof that everything was read, partition by partition",
     "the drain", "proof.py; drained.py reads it for a judgement"),
    ("`drained/holes.json`", "the offsets that a read_committed drain passed without a record, and "
     "what the leader's log holds there", "the drain", "holes.py"),
    ("`drained/groups.json`", '`{group: {"<topic index>:<partition>": offset}}`: the committed '
     "offsets, or a share group's start offsets", "the drain", "consumption.py"),
    ("`drained/inputs.bin`", "of which input record each output record of a pipeline is",
     "the drain", "consumption.py"),
    ("`drained/replicas.json`", "where sampled lost records were found in the brokers' log files",
     "the verification", "replicas.py"),
    ("`replicas/<fault_id>.json`", "what the logs of killed brokers alone held, noted before their "
     "return", "the fault", "replicas.py"),
    ("`workers/<n>/`", "files of worker n on another machine, while they come in; merged into "
     "those above once each is complete, and then gone", "the load's master", "partial.py"),
    ("`timeline.ndjson`", "one event a line, see below", "every process of the run",
     "timeline_file.py, events.py, event_lines.py; timeline.py reads it for a judgement"),
    ("`journal.json`, `journal-<n>.json`", "Chaos Toolkit's journal of the n-th experiment, as it "
     "writes it", "Chaos Toolkit; experiments beside the run", "run_record.py"),
    ("`experiment-<n>.json`", "the n-th experiment, where it was made of `--fault-command`, whose "
     "commands are in it as they were given, or of a fault chosen on Locust's page", "the run",
     "run_dir.py; Chaos Toolkit reads it"),
    ("`latency/<profile>.<metric>.<who>.hlog`", "HdrHistogram V2 logs by second of intended send "
     "time, which Java's and JavaScript's tools read; metric: ack, service or end_to_end",
     "the load, the live reader", "latency.py, hlog.py"),
    ("`verdict.json`, `verdict-<n>.json`", "the judgement; its JSON Schema is "
     "`reports/schemas/verdict.schema.json`", "the verification",
     "verdict_file.py, verdict.py"),
    ("`report.html`, `report-<n>.html`", "the page made from verdict, timeline and latency",
     "the verification", "it is not read back"),
    ("`logs/`", "what the run's processes printed", "each process", "for people"),
]  # fmt: skip

VERSIONS = """
## Versions

{schemas}

The field is `schema`, of the timeline in its first line: a name, `/`, and a major version. A reader
passes over fields that it does not know. It refuses a major version that it does not know, in one
sentence and with exit code 2. A file without the field was made before there were versions and is
read as version 1. Binary files have a magic number instead: `{columns}` of ledgers and
observations, `{journal}` of journals.

## Damage

A last line of the timeline or of a transaction log that breaks off is free: its writer died there.
Everything else that cannot be read is counted and named in the verdict, and nothing is proven by a
run that has any: a line that is no JSON, an event or phase that is not known, a field that is
missing or of another type. A document or a binary file that is not what it should be is refused
with its name and the place (exit 2).
"""

CELLS = """
### Ledgers and observations: packed columns

Five bytes for each attempt. A file is a header page of {page} bytes and then segments, which hold
extents. An extent is a head of {head} bytes, `low[capacity]` (uint32), `high[capacity]` (uint8) and
zeros up to a multiple of eight bytes. Segments begin on pages; the rest of one is zeros. An extent
holds the next `capacity` sequences of its topic-partition. A cell is `low` and `high`; `high` is
the state, and from {acked} on also carries bits 32 and up of an offset whose low bits are in `low`:
`offset = (high − {acked}) << 32 | low`. `low` is written before `high`.

| high | ledger | observation |
| --- | --- | --- |
| {never} | never attempted | not read |
| {open} | handed to the client | – |
| {failed} | certainly absent | – |
| {unknown} | may or may not be there | – |
| {sent} | acks=0, reported without error | – |
| {without} | acknowledged without an offset | – |
| ≥ {acked} | acknowledged at that offset | first read at that offset |

Extent head: magic `0x{magic:08x}` (uint32), topic index (uint16), 2 bytes of zeros, partition
(uint32), capacity (uint32), first sequence (uint64), 8 bytes of zeros.

Attempts whose partition was not known when they were made are in extents of a ledger with partition
`0xffffffff`. Their cells have nine bytes: `low` is a uint64 with the offset's partition in bits 40
and up. Observations of such attempts are in extents of the partition that they were read from,
with bit 31 of its number set, in cells of five bytes.

Header page:
"""


def strings_below(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class → field → the string below it in the source."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        said = found[node.name] = {}
        for field, below in zip(node.body, node.body[1:], strict=False):
            name = None
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                name = field.target.id
            elif isinstance(field, ast.Assign) and isinstance(field.targets[0], ast.Name):
                name = field.targets[0].id
            if name and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                said[name] = " ".join(str(below.value.value).split())
    return found


def type_name(annotation: str, *, null: bool) -> str:
    """A type as a reader of JSON has it. `null`: is None written, or the field left out?"""
    words = {"str": "text", "int": "whole number", "Whole": "whole number", "float": "number",
             "LagMs": "number ≥ 0", "bool": "true or false", "Any": "anything"}  # fmt: skip
    node = ast.parse(annotation, mode="eval").body

    def said(node: ast.expr) -> str:
        if isinstance(node, ast.BinOp):
            parts = [each for each in (said(node.left), said(node.right)) if each]
            return " or ".join(parts)
        if isinstance(node, ast.Constant):
            return ("null" if null else "") if node.value is None else f"`{node.value!s}`"
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            parts = [said(each) for each in inner]
            match node.value.id:
                case "Literal":
                    return " · ".join(parts)
                case "list":
                    return f"list of {parts[0]}"
                case "dict":
                    return f"object: {parts[0]} → {parts[1]}"
        name = ast.unparse(node)
        return words.get(name, f"[{name}](#{name.lower()})" if name[0].isupper() else name)

    return said(node)


def cell(text: str) -> str:
    """Text inside a table."""
    return text.replace("|", "\\|")


def dtype_table(dtype: np.dtype[Any]) -> Iterator[str]:
    """The fields of a row."""
    yield "| byte | field | type |"
    yield "| --- | --- | --- |"
    assert dtype.fields is not None
    for name in dtype.names or ():
        kind, at = dtype.fields[name][:2]
        yield f"| {at} | `{name}` | `{kind.str.replace('|', '')}` |"
    yield ""
    yield f"A row has {dtype.itemsize} bytes."
    yield ""


def dataclass_table(kind: type, said: dict[str, str], leave_out: set[str]) -> Iterator[str]:
    """The fields of a document or an event."""
    yield "| field | type | always | what it is |"
    yield "| --- | --- | --- | --- |"
    for each in fields(kind):
        if each.name not in leave_out:
            always = each.default is MISSING and each.default_factory is MISSING
            kind_of = type_name(str(each.type), null=not leave_out)
            columns_of = (f"`{each.name}`", kind_of, "yes" * always, said.get(each.name, ""))
            yield f"| {' | '.join(map(cell, columns_of))} |"
    yield ""


def documents_of(module: ModuleType, *kinds: type) -> Iterator[str]:
    said = strings_below(module)
    for kind in kinds:
        yield f"#### {kind.__name__}"
        yield ""
        yield " ".join(str(kind.__doc__).split())
        yield ""
        yield from dataclass_table(kind, said[kind.__name__], set())


def steps(kind: type[IntEnum], said: dict[str, str]) -> Iterator[str]:
    yield "| step | name | what it says |"
    yield "| --- | --- | --- |"
    for each in kind:
        yield f"| {each.value} | {each.name} | {cell(said.get(each.name, ''))} |"
    yield ""


def lines() -> Iterator[str]:
    yield HEAD.rstrip()
    for row in FILES:
        yield f"| {' | '.join(map(cell, row))} |"
    schemas = [f"- {name}: `{schema}`" for name, schema in SCHEMAS]
    yield VERSIONS.format(
        schemas="\n".join(schemas),
        columns=extents.COLUMN_MAGIC.decode().strip(),
        journal=member_journal.MAGIC.decode().strip(),
    ).rstrip()
    yield ""
    yield "## Binary files"
    yield CELLS.format(
        page=extents.PAGE_BYTES,
        head=extents.EXTENT.size,
        magic=extents.EXTENT_MAGIC,
        acked=columns.ACKED,
        never=columns.NEVER,
        open=columns.OPEN,
        failed=columns.FAILED,
        unknown=columns.UNKNOWN,
        sent=columns.SENT,
        without=columns.ACKED_NO_OFFSET,
    )
    yield from dtype_table(extents.COLUMN_HEADER)
    yield "### extras.bin"
    yield ""
    yield (
        f"`kind`: {rows.COPY} a further copy, {rows.CORRUPT} corrupt, {rows.MISROUTED} misrouted, "
        f"{rows.FOREIGN} of another run, {rows.STRAY} this run's without a cell."
    )
    yield ""
    yield from dtype_table(rows.EXTRA)
    yield "### batches.bin"
    yield ""
    yield from dtype_table(rows.BATCH)
    yield "### inputs.bin"
    yield ""
    yield from dtype_table(consumption.INPUT_ROW)
    yield "### Journals of members"
    yield ""
    yield "A header and then entries."
    yield ""
    yield from dtype_table(member_journal.HEADER)
    yield from dtype_table(member_journal.ENTRY)
    yield from steps(member_journal.Step, strings_below(member_journal)["Step"])
    yield "## Timeline"
    yield ""
    yield (
        "Every line has `at` (RFC 3339, UTC, microseconds), `event` and `source` (which part of "
        "the harness wrote it). A field without a value is left out."
    )
    yield ""
    said = strings_below(events)
    for name, kind in event_lines.EVENTS.items():
        yield f"### {name}"
        yield ""
        yield " ".join(str(kind.__doc__).split())
        yield ""
        yield from dataclass_table(kind, said[kind.__name__], {"at", "source"})
    yield "## Documents"
    yield ""
    yield "### run.json"
    yield ""
    yield from documents_of(
        run_info, run_info.RunInfo, run_info.ProfileRun, run_info.ConsumeRun, run_info.LoadPlan
    )
    yield "### drain.json"
    yield ""
    yield from documents_of(proof, proof.DrainProof, proof.PartitionProof)
    yield "### holes.json"
    yield ""
    yield from documents_of(holes, holes.Holes, holes.PartitionHoles)
    yield "### replicas.json"
    yield ""
    yield from documents_of(
        replicas,
        replicas.ReplicaEvidence,
        replicas.LogState,
        replicas.Sought,
        replicas.Copy,
        replicas.DeadLog,
        replicas.StrandedRange,
        replicas.LogHeld,
    )


SCHEMAS = [
    ("run.json", run_info.RUN_SCHEMA),
    ("drain.json", proof.DRAIN_SCHEMA),
    ("holes.json", holes.HOLES_SCHEMA),
    ("timeline.ndjson", timeline_file.TIMELINE_SCHEMA),
    ("verdict.json", "delivery-verdict/1"),
]


def reference() -> str:
    """The whole page."""
    return "\n".join(lines()).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
