"""From the arguments of `harness run` to a request, with everything refused that can be.

Nothing is started or touched here: names, files, numbers, and what the brokers' kind can suffer
are checked first, so that bad input costs no time and no data.
"""

from __future__ import annotations

import argparse
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.anomalies import CONSUMER_ANOMALIES
from harness.brokers import KAFKA_VERSION
from harness.brokers.foreign import LOCAL, capabilities_of, parse_bootstrap
from harness.errors import UsageError, redact_argv
from harness.faults.experiments import Experiment, load_experiment, validate_for
from harness.faults.registry import COORDINATES_TRANSACTIONS, FAULTS
from harness.kafka.client_check import check_connection, check_producer
from harness.profiles import (
    DeliveryProfile,
    Overrides,
    choose,
    load_builtin,
    load_profiles,
    read_properties,
    split_settings,
)
from harness.record.binary import MESSAGE_BYTES_MIN
from harness.rundir.run import LoadPlan, new_run_id
from harness.runs.session import RunRequest
from harness.system.suggest import nearest

DEFAULT_EXPERIMENTS: Final = ("stop_followers_then_kill_leader", "cut_responses")
WARM_UP_S: Final = 4.0
LAG_LIMIT_MS: Final = 1000.0
MESSAGE_BYTES_MAX: Final = 900_000
BOOTSTRAP: Final = "bootstrap.servers"
SECURITY: Final = ("security.", "sasl.", "ssl.", "https.ca.")
COMPRESSIONS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
REPEAT_MAX: Final = 10_000
_VERSION: Final = re.compile(r"^\d+\.\d+\.\d+$")


@dataclass(slots=True)
class Asked:
    """A checked request, and which brokers it is for."""

    request: RunRequest
    brokers: str
    connection: dict[str, str]
    kafka_version: str
    keep_cluster: bool


def plan(args: argparse.Namespace) -> Asked:
    """Check the arguments of `harness run`. Raises UsageError for what cannot be run."""
    overrides = overrides_of(args.config, args.properties)
    if args.compression is not None:
        overrides.producer["compression.type"] = compression(args.compression)
    brokers = address_of(args.brokers, overrides)
    check_connection(overrides.connection, overrides.places)
    known = load_profiles([args.profiles] if args.profiles else [])
    subjects = [overrides.apply(profile) for profile in selected(args, known)]
    for subject in subjects:
        check_producer(subject, overrides.places)
    experiments = [load_experiment(name) for name in args.experiment or DEFAULT_EXPERIMENTS]
    capabilities = capabilities_of(brokers)
    kind = "local" if capabilities else "foreign"
    for experiment in experiments:
        consuming = any(profile.consume is not None for profile in subjects)
        validate_for(experiment, capabilities, kind, members=consuming)
    check_brokers(args, brokers)
    check_series(args, experiments)
    check_transactions(subjects, experiments)
    aims = aims_of(experiments)
    check_bound(args, aims, subjects)
    run_id = new_run_id()
    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    command = redact_argv(args.argv)
    return Asked(
        request=RunRequest(
            subjects=subjects,
            controls=[] if args.no_control else controls_for(aims, subjects, load_builtin()),
            load=load_plan(args),
            experiments=experiments,
            seed=seed,
            run_id=run_id,
            out=Path(args.out) if args.out else Path("reports") / "runs" / run_id,
            command=command if args.seed is not None else [*command, "--seed", str(seed)],
            control=not args.no_control,
            aims=aims,
            until_bound=args.until_bound,
        ),
        brokers=brokers,
        connection=overrides.connection,
        kafka_version=args.kafka_version or KAFKA_VERSION,
        keep_cluster=args.keep_cluster,
    )


def overrides_of(config: list[str], properties: str | None) -> Overrides:
    """Settings of a properties file, then those of --config over them."""
    overrides = Overrides()
    if properties is not None:
        read_properties(Path(properties), into=overrides)
    return split_settings(config, into=overrides)


def compression(name: str) -> str:
    """A kind of compression. Raises UsageError that suggests the nearest one."""
    if name not in COMPRESSIONS:
        raise UsageError(
            f"--compression {name}: unknown{nearest(name, COMPRESSIONS)}; accepted are "
            f"{', '.join(COMPRESSIONS)}."
        )
    return name


def address_of(given: str | None, overrides: Overrides) -> str:
    """The brokers that are meant: --brokers, or bootstrap.servers of the client settings.

    Without either they are local ones. Raises UsageError where the two name different brokers, and
    for settings of TLS or SASL with brokers that have neither.
    """
    stated = overrides.connection.pop(BOOTSTRAP, None)
    if stated is not None:
        place = overrides.places[BOOTSTRAP]
        addresses = parse_bootstrap(stated, place)
        if given and set(_split(given)) != set(addresses):
            raise UsageError(
                f"{place}: {stated}, but --brokers {given}: these are not the same brokers. Leave "
                "one of the two out."
            )
        given = given or ",".join(addresses)
    brokers = given or LOCAL
    if brokers == LOCAL or brokers.startswith(f"{LOCAL}:"):
        for name, value in overrides.connection.items():
            if name.startswith(SECURITY) and value.lower() != "plaintext":
                raise UsageError(
                    f"{overrides.places[name]}: is for brokers with TLS or SASL, and the local "
                    "brokers have neither. Name the brokers that are meant: --brokers HOST:PORT, "
                    "or bootstrap.servers beside this setting."
                )
    return brokers


def _split(addresses: str) -> list[str]:
    return [part.strip() for part in addresses.split(",")]


def selected(args: argparse.Namespace, known: dict[str, DeliveryProfile]) -> list[DeliveryProfile]:
    """The profiles that were asked for; a file of one's own without --profile means all in it."""
    if args.profile:
        if args.all:
            raise UsageError("--all and --profile exclude each other. Give one of them.")
        return choose(args.profile, known)
    builtin = load_builtin()
    if args.profiles and not args.all:
        return [profile for name, profile in known.items() if name not in builtin]
    return [profile for profile in known.values() if args.all or profile.bare]


def aims_of(experiments: list[Experiment]) -> dict[str, str]:
    """anomaly → control, of all experiments; the first experiment that aims at it decides."""
    aims: dict[str, str] = {}
    for experiment in experiments:
        for anomaly, control in experiment.aims.items():
            aims.setdefault(anomaly, control)
    return aims


def controls_for(
    aims: dict[str, str], subjects: list[DeliveryProfile], builtin: dict[str, DeliveryProfile]
) -> list[DeliveryProfile]:
    """The controls that no subject already is, in their own settings.

    What consumers alone can show needs no control where no subject promises its absence.
    """
    names = {profile.name for profile in subjects}
    promised = {promise for profile in subjects for promise in profile.promises}
    wanted = [
        control
        for anomaly, control in aims.items()
        if anomaly not in CONSUMER_ANOMALIES or f"no_{anomaly}" in promised
    ]
    missing = [name for name in dict.fromkeys(wanted) if name not in names]
    return choose(missing, builtin)


def check_brokers(args: argparse.Namespace, brokers: str) -> None:
    """What only makes sense for one kind of brokers."""
    if brokers != LOCAL:
        for given, option in (
            (args.keep_cluster, "--keep-cluster"),
            (args.kafka_version, "--kafka-version"),
        ):
            if given:
                raise UsageError(
                    f"{option}: is for brokers that the harness starts, and --brokers "
                    f"{brokers} names others. Leave one of them out."
                )
    if args.kafka_version and not _VERSION.match(args.kafka_version):
        raise UsageError(
            f"--kafka-version {args.kafka_version}: a version such as {KAFKA_VERSION} is expected."
        )


def check_series(args: argparse.Namespace, experiments: list[Experiment]) -> None:
    """What only makes sense when faults are to be repeated."""
    if args.until_bound is not None:
        if not 0 < args.until_bound < 1:
            raise UsageError(
                f"--until-bound {args.until_bound:g}: a chance between 0 and 1 is expected, such "
                "as 0.1: zero breaches in 29 faults bound the chance per fault to 0.1."
            )
        if not any(FAULTS[name].needs for each in experiments for name in each.faults):
            raise UsageError(
                "--until-bound: the experiments inject no fault, so no number of rounds reaches a "
                "bound. Name one that does: --experiment stop_followers_then_kill_leader."
            )
    if args.repeat is not None:
        if not 1 <= args.repeat <= REPEAT_MAX:
            raise UsageError(f"--repeat {args.repeat}: accepted is 1 to {REPEAT_MAX}.")
        if args.keep_cluster:
            raise UsageError(
                "--keep-cluster: each of the --repeat runs starts brokers of its own. Start a "
                "cluster to keep with `harness cluster up`, and name it with --brokers."
            )


def check_bound(
    args: argparse.Namespace, aims: dict[str, str], subjects: list[DeliveryProfile]
) -> None:
    """A bound needs the controls: a fault counts only where its control broke."""
    if args.until_bound is None or not args.no_control:
        return
    promised = {promise for profile in subjects for promise in profile.promises}
    named = {control for anomaly, control in aims.items() if f"no_{anomaly}" in promised}
    absent = sorted(named - {profile.name for profile in subjects})
    if absent:
        raise UsageError(
            "--until-bound with --no-control: a fault counts for a bound only where its control "
            f"broke, and {', '.join(absent)} does not take part. Leave --no-control out, or add "
            f"--profile {absent[0]}."
        )


def check_transactions(subjects: list[DeliveryProfile], experiments: list[Experiment]) -> None:
    """A transaction coordinator can be struck only where somebody has transactions."""
    if any(profile.producer.get("transactional.id") for profile in subjects):
        return
    for experiment in experiments:
        for name in experiment.faults:
            if name in COORDINATES_TRANSACTIONS:
                raise UsageError(
                    f"experiment {experiment.name}: fault {name} strikes the coordinator of "
                    "transactions, and no profile of this run has any. Add one that does: "
                    "--profile transactional."
                )


def load_plan(args: argparse.Namespace) -> LoadPlan:
    """The load, its numbers checked."""
    for value, option, least, most in (
        (args.rate, "--rate", 0.1, 1_000_000),
        (args.message_size, "--message-size", MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX),
        (args.keys, "--keys", 0, 10_000_000),
        (args.partitions, "--partitions", 1, 10_000),
        (args.producers, "--producers", 1, 1_000),
        (0 if args.seed is None else args.seed, "--seed", 0, 2**63 - 1),
        (1 if args.duration is None else args.duration, "--duration", 1, 7 * 86_400),
    ):
        if not least <= value <= most:
            raise UsageError(f"{option} {value:g}: accepted is {least:g} to {most:g}.")
    return LoadPlan(
        rate_per_s=args.rate,
        schedule=args.schedule,
        duration_s=args.duration,
        message_bytes=args.message_size,
        keys=args.keys,
        partitions=args.partitions,
        producers=args.producers,
        warm_up_s=WARM_UP_S,
        lag_limit_ms=LAG_LIMIT_MS,
    )
