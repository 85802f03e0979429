"""Examples of each command, as its --help and docs/cli.md show them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        "harness run",
        "harness run --profile idempotent --experiment kill_leader --rate 5000",
        "harness run --profiles mine.yaml --require 'p99_ack_ms<200' --junit junit.xml --out out",
        "harness run --brokers kafka-1:9093 --properties client.properties --experiment no_fault",
        "harness run --profile transactional --until-bound 0.1 --duration 3600",
    ),
    "worker": ("harness worker --master-host 10.0.0.5 --brokers kafka-1:9093",),
    "verify": (
        "harness verify reports/runs/20260102-030405-ab12",
        "harness verify out --require 'recovered_ms<5000' --markdown -",
        "harness verify --history producer.log consumer.log --profile at-least-once",
    ),
    "bench": (
        'harness bench --only "load idempotent" --pairs 3',
        "harness bench --json bench.json",
    ),
    "compare": (
        "harness compare reports/runs/last-week reports/runs/tonight",
        "harness compare reports/baselines/nightly.json reports/runs/tonight --markdown summary.md",
        "harness compare --now reports/runs/tonight --keep nightly",
        "harness compare base.json now.json --again base-again.json",
    ),
    "report": ("harness report reports/runs/20260102-030405-ab12",),
    "list": ("harness list profiles", "harness list experiments --json"),
    "show": (
        "harness show profile idempotent",
        "harness show experiment kill_leader",
        "harness show fault cut_responses --json",
    ),
    "validate": (
        "harness validate mine.yaml client.properties",
        "harness validate k8s/base/*.yaml --sarif validate.sarif",
    ),
    "cluster": ("harness cluster up", 'eval "$(harness cluster env)"', "harness cluster down"),
    "doctor": ("harness doctor", "harness doctor --json"),
    "k8s render": ("harness k8s render --overlay laptop",),
    "k8s apply": ("harness k8s apply --overlay laptop",),
    "k8s run": ("harness k8s run --workers 2 -- --profile idempotent --experiment kill_leader",),
    "k8s logs": ("harness k8s logs --follow",),
    "k8s fetch": ("harness k8s fetch --out out",),
    "k8s delete": ("harness k8s delete --overlay laptop",),
    "completion": (
        "harness completion bash > ~/.local/share/bash-completion/completions/harness",
        "harness completion zsh > ~/.zfunc/_harness",
        "harness completion fish > ~/.config/fish/completions/harness.fish",
    ),
}
"""Command → examples, as a shell takes them."""


def add_examples(parser: argparse.ArgumentParser) -> None:
    """Put the examples of each command before what its --help ends with."""
    for name, inner in commands_of(parser):
        lines = EXAMPLES.get(name)
        if lines:
            said = "\n".join(["examples:", *(f"  {line}" for line in lines)])
            inner.epilog = f"{said}\n\n{inner.epilog}" if inner.epilog else said


def commands_of(
    parser: argparse.ArgumentParser, before: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """(name, parser) of each command, such as `k8s run`; a group of commands before its own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield f"{before}{word}", inner
                yield from commands_of(inner, f"{before}{word} ")
