"""Scenes of transactions in trouble: each leaves behind what must, or must not, be there."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

from harness import faults
from harness.rundir.transaction_steps import SentRanges
from tests.support.transaction_stage import ABSENT, PRESENT, WHOLE, Stage, Stepped

STEPS = ("begin", "sent", "commit", "abort")
STRIKES = ("move", "kill")
STATES = ("idle", "begun", "sent", "commit", "abort")
PAUSE_S = 1.0
"""A coordinator stands still for less than its session lasts: nobody takes over."""


def struck_at(stage: Stage, client: Stepped, kind: str, step: str) -> None:
    """The coordinator is struck at a step of a transaction; the client carries on."""
    scene = f"{kind} at {step}"
    client.begin()
    if step == "begin":
        stage.strike(kind)
    client.write()
    if step == "sent":
        client.deliver()
        stage.strike(kind)
        client.write()
    client.deliver()
    end = "abort" if step == "abort" else "commit"
    if step in ("commit", "abort"):
        # The coordinator does what it is asked, its answer is lost, and then it is struck.
        written = client.written
        with stage.answers_lost():
            client.call(end)
            stage.await_ended(written[1])
            stage.strike(kind)
    else:
        written = client.written
        client.call(end)
    client.end()
    faults.heal()
    stage.expect(scene, written, ABSENT if end == "abort" else PRESENT)


def unheard(stage: Stage, client: Stepped, end: str) -> None:
    """Commit or abort is called and never reaches the coordinator; then that is killed."""
    client.begin()
    client.write()
    client.deliver()
    written = client.written
    with stage.unheard():
        client.call(end)
        stage.strike("kill")
    client.end()
    faults.heal()
    stage.expect(f"{end} unheard", written, ABSENT if end == "abort" else PRESENT)


def dies(stage: Stage, state: str) -> None:
    """A producer's process is killed in a state; a successor with its transactional.id goes on."""
    child = stage.doomed(state)
    told = stage.told(child)
    if state in ("commit", "abort"):
        with stage.answers_lost():
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
            told = stage.told(child)
            stage.await_ended(ranges_of(told))
            stage.kill(child)
    else:
        stage.kill(child)
    fate = PRESENT if state in ("idle", "commit") else ABSENT
    stage.expect(f"dies {state}", (int(told["incarnation"]), ranges_of(told)), fate)
    commits(stage, stage.client(), f"successor of the one that died {state}")


def ranges_of(told: dict[str, Any]) -> SentRanges:
    """The ranges in a line of a doomed process."""
    return {(t, p): (first, last) for t, p, first, last in told["ranges"]}


def commits(stage: Stage, client: Stepped, scene: str) -> None:
    """An ordinary transaction, committed."""
    client.begin()
    client.write()
    client.deliver()
    written = client.written
    client.call("commit")
    client.end()
    stage.expect(scene, written, PRESENT)


def taken_over(stage: Stage) -> None:
    """A second producer takes the transactional.id while the first has a transaction open."""
    first = stage.client()
    first.begin()
    first.write()
    first.deliver()
    written = first.written
    second = stage.client()
    commits(stage, second, "second producer")
    # The first one hears only now that it was fenced; it is not to take the id back.
    first.call("commit")
    first.stopping = True
    first.end()
    assert first.closed
    stage.expect("fenced", written, ABSENT)
    commits(stage, second, "second producer, after the first tried")


def timed_out(stage: Stage, end: str, *, processed: bool) -> None:
    """An end of transaction times out; a new producer with the same id takes its place.

    processed: the coordinator does as asked and its answer is lost; else it stands still, and
    whether it ever reads the request before the new producer asks is its own affair.
    """
    client = stage.client()
    client.end_timeout_s = 1.0 if processed else PAUSE_S / 2
    client.begin()
    client.write()
    client.deliver()
    written = client.written
    before = client.incarnation.number
    if processed:
        with stage.answers_lost():
            client.call(end)
            stage.await_ended(written[1])
            client.end()
    else:
        broker = stage.coordinator()
        stage.cluster.signal(broker, signal.SIGSTOP)
        client.call(end)
        stopped = time.monotonic()
        client.end()
        time.sleep(max(0.0, PAUSE_S - (time.monotonic() - stopped)))
        stage.cluster.signal(broker, signal.SIGCONT)
    assert client.incarnation.number != before
    whole = PRESENT if processed else WHOLE
    scene = f"{end} timed out, {'its answer lost' if processed else 'not read in time'}"
    stage.expect(scene, written, ABSENT if end == "abort" else whole)
    client.end_timeout_s = None
    commits(stage, client, f"new producer after {scene}")


def play(stage: Stage, strikes: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Every scene once, with the coordinator struck in the given ways."""
    for kind in strikes:
        client = stage.client()
        for step in STEPS:
            say(f"{kind} at {step}")
            struck_at(stage, client, kind, step)
        if kind == "kill":
            for end in ("commit", "abort"):
                say(f"{end} unheard")
                unheard(stage, client, end)
        commits(stage, client, f"after every {kind}")
    for state in STATES:
        say(f"dies {state}")
        dies(stage, state)
    say("taken over")
    taken_over(stage)
    for end in ("commit", "abort"):
        for processed in (True, False):
            say(f"{end} timed out, processed {processed}")
            timed_out(stage, end, processed=processed)
