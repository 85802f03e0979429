"""Signals to the broker's process inside its container, by exec.

The image may hold neither pgrep nor ps, so the process is looked for in /proc by what the shell
itself can do. Every thread counts: a process is stopped when all of its threads are (see
harness/system/stopped.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from harness.brokers.strimzi.access import Kubernetes, kubernetes_package
from harness.brokers.strimzi.objects import CONTAINER
from harness.errors import ClusterError, scrub
from harness.system.stopped import STOPPED

EXEC_TIMEOUT_S: Final = 20
_SCRIPT: Final = r"""
found=
for d in /proc/[0-9]*; do
  { read -r comm < "$d/comm"; } 2>/dev/null || continue
  [ "$comm" = java ] || continue
  found=${d#/proc/}
  break
done
[ -n "$found" ] || { echo "no process named java"; exit 9; }
states() {
  all=
  for t in /proc/"$found"/task/*/stat; do
    { read -r line < "$t"; } 2>/dev/null || continue
    rest=${line##*) }
    all=$all${rest%"${rest#?}"}
  done
}
states
echo "pid=$found before=$all"
kill -"$1" "$found" || exit 8
[ "$1" = STOP ] || exit 0
tries=0
while [ $tries -lt 40 ]; do
  states
  case $all in *[!TtZX]*) ;; *) break ;; esac
  tries=$((tries + 1))
  sleep 0.05
done
echo "after=$all"
"""
_SEEN: Final = re.compile(r"pid=(?P<pid>\d+) before=(?P<before>\w*)(?:\s+after=(?P<after>\w*))?")
_STANDING: Final = frozenset("TtZX")


@dataclass(frozen=True, slots=True)
class SignalSeen:
    """What the shell in the container saw of the process."""

    pid: int
    stopped_before: bool
    state: str | None
    """`stopped`, or the states of its threads; None where it was not looked at afterwards."""


def send(kubernetes: Kubernetes, namespace: str, pod: str, signal: str) -> SignalSeen:
    """Send a signal (STOP, CONT, KILL) to the broker's process of a pod.

    Raises ClusterError when there is no such process or no way into the container.
    """
    output = run(kubernetes, namespace, pod, ["sh", "-c", _SCRIPT, "sh", signal])
    return read_seen(output, pod)


def read_seen(output: str, pod: str) -> SignalSeen:
    """What the script printed. Raises ClusterError for what is no such text."""
    found = _SEEN.search(output)
    if found is None:
        said = scrub(output.strip()[:300]) or "its container said nothing"
        raise ClusterError(f"pod {pod}: no signal was sent to its broker: {said}.")
    after = found["after"]
    state = None
    if after is not None:
        state = STOPPED if after and set(after) <= _STANDING else f"running ({after})"
    return SignalSeen(int(found["pid"]), set(found["before"]) <= set("Tt"), state)


def run(kubernetes: Kubernetes, namespace: str, pod: str, command: list[str]) -> str:
    """What a command in the broker's container prints, both streams. Raises ClusterError.

    The command's own end may go unseen, since it can end the container that it runs in.
    """
    core = kubernetes.fresh_core()
    stream = kubernetes_package().stream.stream

    def call() -> Any:
        return stream(
            core.connect_get_namespaced_pod_exec,
            pod,
            namespace,
            container=CONTAINER,
            command=command,
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            _preload_content=False,
        )

    try:
        session = call()
    except Exception as error:
        status = re.search(r"Handshake status (\d+)", str(error))
        if status is not None:
            error.status = int(status[1])  # type: ignore[attr-defined]
        if getattr(error, "status", None) in (404, 500):
            raise ClusterError(
                f"pod {pod}: no command can be run in its container {CONTAINER}: "
                f"{scrub(str(getattr(error, 'reason', error)))[:300]}"
            ) from None
        kubernetes.explain(error, f"create pods/exec in namespace {namespace}")
    try:
        session.run_forever(timeout=EXEC_TIMEOUT_S)
        return str(session.read_all())
    finally:
        session.close()
