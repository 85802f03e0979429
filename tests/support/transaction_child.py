"""A producer's process that takes a transaction to a state, says so, and waits to be killed.

    python -m tests.support.transaction_child RUN_DIR STATE

STATE: idle (after a commit), begun, sent, commit or abort (called, the answer not heard: it waits
for a line on stdin before it calls). Each line on stdout is a JSON object with what was written.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.load.context import LoadContext
from harness.rundir.run_dir import RunDir
from harness.rundir.transaction_steps import SentRanges
from tests.support.transaction_stage import Stepped


def say(state: str, written: tuple[int, SentRanges]) -> None:
    """Tell the parent where the transaction is."""
    number, ranges = written
    told = {"state": state, "incarnation": number, "ranges": [[*k, *v] for k, v in ranges.items()]}
    print(json.dumps(told), flush=True)


def main() -> None:
    run_dir, state = RunDir(Path(sys.argv[1])), sys.argv[2]
    context = LoadContext.of(run_dir, start_call=ThreadPoolExecutor(4).submit)
    client = Stepped(context, context.info.profiles[0], 0)
    client.prepare()
    client.begin()
    if state == "begun":
        say(state, client.written)
        sys.stdin.read()
    client.write()
    client.deliver()
    written = client.written
    if state == "idle":
        client.call("commit")
        client.end()
    elif state in ("commit", "abort"):
        say("ready", written)
        sys.stdin.readline()
        client.call(state)
    say(state, written)
    sys.stdin.read()


if __name__ == "__main__":
    main()
