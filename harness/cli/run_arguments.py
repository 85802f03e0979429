"""The arguments of `harness run`, and the options that they make."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.arguments import (
    add_connection_arguments,
    add_require_argument,
    add_summary_arguments,
)
from harness.runs.options import DEFAULTS, SCHEDULES, RunOptions


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness run`, by group."""
    _add_what(parser.add_argument_group("what is judged"))
    _add_where(parser.add_argument_group("where"))
    _add_load(parser.add_argument_group("load"))
    _add_workers(parser.add_argument_group("several load processes"))
    _add_metrics(parser.add_argument_group("metrics while it runs"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", metavar="DIR", help="the run directory (default reports/runs/<run_id>)"
    )
    output.add_argument(
        "--asked-by", default="", metavar="TEXT", help="who asks for the run, for its report"
    )
    add_summary_arguments(output)
    output.add_argument("--json", action="store_true", help="print verdict.json to stdout")


def _add_what(what: argparse._ArgumentGroup) -> None:
    what.add_argument(
        "--profile", action="append", metavar="NAME", help="a delivery profile (repeatable)"
    )
    what.add_argument("--all", action="store_true", help="every built-in profile")
    what.add_argument("--profiles", metavar="FILE", help="a YAML file with profiles of your own")
    what.add_argument(
        "--experiment",
        action="append",
        metavar="NAME|FILE",
        help="what breaks; several run one after the other "
        "(default: stop_followers_then_kill_leader, then cut_responses)",
    )
    what.add_argument(
        "--fault-command",
        action="append",
        nargs="+",
        metavar="KEY=VALUE",
        help="a fault of your own: inject='COMMAND' heal='COMMAND', and hold_s=, timeout_s=, "
        "isr_timeout_s=, expect= (any, leader_change, isr_shrink or none), aims=ANOMALY:PROFILE "
        "(repeatable; one after the other, after the experiments; no default experiments then)",
    )
    what.add_argument(
        "--no-control",
        action="store_true",
        help="do not add the control profiles; what the faults aim at is then inconclusive, "
        "or broken",
    )
    add_require_argument(what)
    what.add_argument(
        "--until-bound",
        type=float,
        metavar="P",
        help="repeat the experiments in the same run until zero breaches bound the chance per "
        "fault to P for every promise they aim at (0.1 takes 29 faults), until a promise looks "
        "broken, or until the load has gone on for --duration (without it an hour)",
    )
    what.add_argument(
        "--repeat",
        type=int,
        metavar="N",
        help="N runs with seeds that follow from --seed, and what they show together: the bounds "
        "count the faults of all runs; --out then holds run-1 … run-N and aggregate.json",
    )


def _add_where(where: argparse._ArgumentGroup) -> None:
    where.add_argument(
        "--brokers",
        metavar="local|HOST:PORT,…|strimzi://NS/CLUSTER",
        help="three brokers of our own (default), or brokers that run already; bootstrap.servers "
        "of --config or --properties names them as well. A Strimzi cluster takes ?user=NAME, a "
        "KafkaUser, and &listener=NAME and &context=NAME, of the kubeconfig",
    )
    where.add_argument("--kafka-version", metavar="V", help="of the local brokers")
    add_connection_arguments(where)
    where.add_argument(
        "--keep-cluster", action="store_true", help="leave the local brokers running"
    )
    where.add_argument(
        "--keep-topics",
        action="store_true",
        help="leave the topics on brokers that were running before",
    )


def _add_load(load: argparse._ArgumentGroup) -> None:
    add = load.add_argument
    add(
        "--scenario",
        metavar="NAME|FILE",
        help="the Locust file whose users make the load: a built-in scenario or a file of your "
        "own (default steady)",
    )
    add(
        "--rate",
        type=float,
        default=DEFAULTS.rate_per_s,
        metavar="N",
        help="records/s a profile",
    )
    add(
        "--schedule",
        default=DEFAULTS.schedule,
        choices=SCHEDULES,
        help="when records are due, whatever Kafka does",
    )
    add(
        "--duration",
        type=float,
        metavar="S",
        help="seconds of load after the warm-up at least (default: as long as the experiments)",
    )
    add(
        "--message-size",
        type=int,
        default=DEFAULTS.message_bytes,
        metavar="B",
        help="bytes a record",
    )
    add(
        "--codec",
        default=DEFAULTS.codec,
        metavar="NAME",
        help="what values are: binary (an identity, then filling), or json (an event with the "
        "identity as a UUID; lengths vary around --message-size)",
    )
    add("--compression", metavar="C", help="none, gzip, snappy, lz4 or zstd")
    add(
        "--keys",
        type=int,
        default=DEFAULTS.keys,
        metavar="N",
        help="distinct keys (default 0: no key)",
    )
    add("--partitions", type=int, default=DEFAULTS.partitions, metavar="N", help="of each topic")
    add(
        "--producers",
        type=int,
        default=DEFAULTS.producers,
        metavar="N",
        help="client instances a profile",
    )
    add("--seed", type=int, metavar="N", help="every random choice follows from it")


def _add_workers(workers: argparse._ArgumentGroup) -> None:
    add = workers.add_argument
    add(
        "--workers",
        type=int,
        metavar="N",
        help="spread the load over N processes of this machine (default: one makes it)",
    )
    add(
        "--expect-workers",
        type=int,
        metavar="N",
        help="wait for N workers that `harness worker` starts, here or elsewhere",
    )
    add(
        "--expect-workers-max-wait",
        type=float,
        default=DEFAULTS.expect_workers_max_wait_s,
        metavar="S",
        help="give up after S seconds (default 0: never)",
    )
    add(
        "--master-bind-host",
        default=DEFAULTS.master_bind_host,
        metavar="HOST",
        help="where workers find this run; * for all addresses (default %(default)s)",
    )
    add(
        "--master-bind-port",
        type=int,
        default=DEFAULTS.master_bind_port,
        metavar="PORT",
        help="its port (default %(default)s)",
    )


def _add_metrics(metrics: argparse._ArgumentGroup) -> None:
    add = metrics.add_argument
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="answer Prometheus' scrapes of /metrics on this port (extra `metrics`)",
    )
    add(
        "--metrics-bind-host",
        default=DEFAULTS.metrics_bind_host,
        metavar="HOST",
        help="where; * for all addresses (default %(default)s)",
    )
    add(
        "--metrics-textfile",
        metavar="FILE",
        help="write metrics to this file every 5 s and at the end, for node_exporter's textfile "
        "collector (extra `metrics`)",
    )
    add(
        "--otlp",
        nargs="?",
        const="",
        metavar="ENDPOINT",
        help="send metrics to an OpenTelemetry collector by OTLP over HTTP, such as "
        "http://127.0.0.1:4318; without a value to the one that the OTEL_ variables name (extra "
        "`otlp`)",
    )


def options_of(args: argparse.Namespace) -> RunOptions:
    """What was asked for, apart from --repeat and --json."""
    return RunOptions(
        profiles=tuple(args.profile or ()),
        all_profiles=args.all,
        profiles_file=Path(args.profiles) if args.profiles else None,
        experiments=tuple(args.experiment or ()),
        fault_commands=tuple(tuple(texts) for texts in args.fault_command or ()),
        control=not args.no_control,
        require=tuple(args.require),
        until_bound=args.until_bound,
        brokers=args.brokers,
        kafka_version=args.kafka_version,
        config=tuple(args.config),
        properties=None if args.properties is None else Path(args.properties),
        keep_cluster=args.keep_cluster,
        keep_topics=args.keep_topics,
        scenario=args.scenario,
        rate_per_s=args.rate,
        schedule=args.schedule,
        duration_s=args.duration,
        message_bytes=args.message_size,
        codec=args.codec,
        compression=args.compression,
        keys=args.keys,
        partitions=args.partitions,
        producers=args.producers,
        asked_by=args.asked_by,
        workers=args.workers,
        expect_workers=args.expect_workers,
        expect_workers_max_wait_s=args.expect_workers_max_wait,
        master_bind_host=args.master_bind_host,
        master_bind_port=args.master_bind_port,
        metrics_port=args.metrics_port,
        metrics_bind_host=args.metrics_bind_host,
        metrics_textfile=Path(args.metrics_textfile) if args.metrics_textfile else None,
        otlp=args.otlp,
        seed=args.seed,
        out=Path(args.out) if args.out else None,
    )
