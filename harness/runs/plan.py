"""From the options of a run to its plan, with everything refused that can be.

Nothing is started or touched here: names, files, numbers, and what the brokers' kind can suffer
are checked first, so that bad input costs no time and no data.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.anomalies import CONSUMER_ANOMALIES
from harness.brokers import KAFKA_VERSION
from harness.brokers.foreign import parse_bootstrap
from harness.brokers.kinds import LOCAL, STRIMZI, capabilities_of, kind_of, starts
from harness.errors import UsageError, redact_argv
from harness.faults.experiments import (
    Experiment,
    command_experiment,
    load_experiment,
    validate_for,
)
from harness.faults.registry import FAULTS, coordinates_transactions
from harness.kafka.client_check import check_connection, check_producer
from harness.metrics.exporter import MetricsPlan, check_metrics
from harness.profiles import (
    DeliveryProfile,
    Overrides,
    choose,
    load_builtin,
    load_profiles,
    read_properties,
    split_settings,
)
from harness.record.codec import Codec
from harness.record.codecs import BINARY, CODECS
from harness.rundir.run_info import LoadPlan, new_run_id
from harness.runs.options import COMPRESSIONS, SCHEDULES, RunOptions
from harness.runs.scenarios import scenario_file
from harness.runs.session import RunRequest
from harness.runs.thresholds import with_required
from harness.runs.workers import workers_plan
from harness.system.suggest import nearest

DEFAULT_EXPERIMENTS: Final = ("stop_followers_then_kill_leader", "cut_responses")
DEFAULTS_BY_KIND: Final = {STRIMZI: ("stop_followers_then_kill_leader", "kill_leader")}
WARM_UP_S: Final = 4.0
LAG_LIMIT_MS: Final = 1000.0
MESSAGE_BYTES_MAX: Final = 900_000
BOOTSTRAP: Final = "bootstrap.servers"
SECURITY: Final = ("security.", "sasl.", "ssl.", "https.ca.")
_VERSION: Final = re.compile(r"^\d+\.\d+\.\d+$")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A checked request, and which brokers it is for. `connection` may hold secrets."""

    request: RunRequest
    brokers: str
    connection: dict[str, str] = field(repr=False)
    kafka_version: str
    keep_cluster: bool
    keep_topics: bool
    metrics: MetricsPlan = field(default_factory=MetricsPlan)
    """Where the run's metrics go."""


def plan(options: RunOptions, command: Sequence[str] | None = None) -> RunPlan:
    """Check what was asked for. Raises UsageError for what cannot be run.

    command: what run.json says repeats the run; `options.argv()` where it is not given.
    """
    overrides = overrides_of(options)
    brokers = address_of(options.brokers, overrides)
    check_connection(overrides.connection, overrides.origins)
    subjects = [overrides.apply(profile) for profile in selected(options)]
    for subject in subjects:
        check_producer(subject, overrides.origins)
    capabilities, kind = capabilities_of(brokers), kind_of(brokers)
    experiments = experiments_of(options, kind)
    for experiment in experiments:
        consuming = any(profile.consume is not None for profile in subjects)
        validate_for(experiment, capabilities, kind, members=consuming)
    check_brokers(options, brokers)
    check_bounded(options.until_bound, experiments)
    if options.until_bound is not None and options.expect_workers:
        raise UsageError(
            "--until-bound reads the ledgers after every round, and those of workers elsewhere "
            "arrive at the end of the load. Leave one out of --until-bound and --expect-workers, "
            "or use --workers."
        )
    check_transactions(subjects, experiments)
    subjects = with_required(options.require, subjects, experiments)
    aims = aims_of(experiments)
    load = load_plan(options)
    controls = controls_for(aims, subjects, load_builtin()) if options.control else []
    workers = workers_plan(options, len(subjects) + len(controls))
    load.workers = 0 if workers is None else workers.count
    scenario = scenario_file(options.scenario)
    check_bound(options, aims, subjects)
    controls = controls_for(aims, subjects, load_builtin()) if options.control else []
    check_codec(options, [*subjects, *controls])
    run_id = new_run_id()
    seed = seed_of(options)
    said = redact_argv(list(options.argv() if command is None else command))
    return RunPlan(
        request=RunRequest(
            subjects=subjects,
            controls=controls,
            load=load,
            experiments=experiments,
            seed=seed,
            run_id=run_id,
            out=options.out or Path("reports") / "runs" / run_id,
            command=said if options.seed is not None else [*said, "--seed", str(seed)],
            control=options.control,
            aims=aims,
            until_bound=options.until_bound,
            asked_by=options.asked_by,
            scenario=scenario,
            workers=workers,
        ),
        brokers=brokers,
        connection=overrides.connection,
        kafka_version=options.kafka_version or KAFKA_VERSION,
        keep_cluster=options.keep_cluster,
        keep_topics=options.keep_topics,
        metrics=metrics_of(options),
    )


def metrics_of(options: RunOptions) -> MetricsPlan:
    """Where metrics go. Raises UsageError where they cannot."""
    return check_metrics(
        MetricsPlan(
            port=options.metrics_port,
            host=options.metrics_bind_host,
            textfile=options.metrics_textfile,
            otlp=options.otlp,
        )
    )


def experiments_of(options: RunOptions, kind: str) -> list[Experiment]:
    """The experiments that were asked for, then one for each --fault-command; without either the
    default ones of a kind of brokers."""
    commands = [
        command_experiment(texts, number) for number, texts in enumerate(options.fault_commands, 1)
    ]
    default = () if commands else DEFAULTS_BY_KIND.get(kind, DEFAULT_EXPERIMENTS)
    names = options.experiments or default
    return [*(load_experiment(name) for name in names), *commands]


def seed_of(options: RunOptions) -> int:
    """The seed that was given, or a new one."""
    return secrets.randbelow(2**31) if options.seed is None else options.seed


def settings_of(config: Sequence[str], properties: Path | None) -> Overrides:
    """Settings of a properties file, then those of --config over them."""
    overrides = Overrides()
    if properties is not None:
        read_properties(properties, into=overrides)
    return split_settings(config, into=overrides)


def overrides_of(options: RunOptions) -> Overrides:
    """All client settings that were given. Raises UsageError for those that are none."""
    overrides = settings_of(options.config, options.properties)
    if options.compression is not None:
        overrides.producer["compression.type"] = compression(options.compression)
    return overrides


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
        origin = overrides.origins[BOOTSTRAP]
        addresses = parse_bootstrap(stated, origin)
        if given and set(_split(given)) != set(addresses):
            raise UsageError(
                f"{origin}: {stated}, but --brokers {given}: these are not the same brokers. Leave "
                "one of the two out."
            )
        given = given or ",".join(addresses)
    brokers = given or LOCAL
    if brokers == LOCAL or brokers.startswith(f"{LOCAL}:"):
        for name, value in overrides.connection.items():
            if name.startswith(SECURITY) and value.lower() != "plaintext":
                raise UsageError(
                    f"{overrides.origins[name]}: is for brokers with TLS or SASL, and the local "
                    "brokers have neither. Name the brokers that are meant: --brokers HOST:PORT, "
                    "or bootstrap.servers beside this setting."
                )
    return brokers


def _split(addresses: str) -> list[str]:
    return [part.strip() for part in addresses.split(",")]


def selected(options: RunOptions) -> list[DeliveryProfile]:
    """The profiles that were asked for; a file of one's own without --profile means all in it."""
    file = options.profiles_file
    known = load_profiles([] if file is None else [file])
    if options.profiles:
        if options.all_profiles:
            raise UsageError("--all and --profile exclude each other. Give one of them.")
        return choose(options.profiles, known)
    builtin = load_builtin()
    if file is not None and not options.all_profiles:
        return [profile for name, profile in known.items() if name not in builtin]
    return [profile for profile in known.values() if options.all_profiles or profile.bare]


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


def check_brokers(options: RunOptions, brokers: str) -> None:
    """What only makes sense for one kind of brokers."""
    if not starts(brokers):
        for given, option in (
            (options.keep_cluster, "--keep-cluster"),
            (options.kafka_version, "--kafka-version"),
        ):
            if given:
                raise UsageError(
                    f"{option}: is for brokers that the harness starts, and --brokers "
                    f"{brokers} names others. Leave one of them out."
                )
    version = options.kafka_version
    if version and not _VERSION.match(version):
        raise UsageError(
            f"--kafka-version {version}: a version such as {KAFKA_VERSION} is expected."
        )


def check_bounded(bound: float | None, experiments: list[Experiment]) -> None:
    """A bound is a chance, and takes faults to be reached."""
    if bound is None:
        return
    if not 0 < bound < 1:
        raise UsageError(
            f"--until-bound {bound:g}: a chance between 0 and 1 is expected, such "
            "as 0.1: zero breaches in 29 faults bound the chance per fault to 0.1."
        )
    if not any(not FAULTS[name].nominal for each in experiments for name in each.faults):
        raise UsageError(
            "--until-bound: the experiments inject no fault, so no number of rounds reaches a "
            "bound. Name one that does: --experiment stop_followers_then_kill_leader."
        )


def check_bound(options: RunOptions, aims: dict[str, str], subjects: list[DeliveryProfile]) -> None:
    """A bound needs the controls: a fault counts only where its control broke."""
    if options.until_bound is None or options.control:
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
    """A transaction coordinator can be hit only where a profile has transactions."""
    if any(profile.producer.get("transactional.id") for profile in subjects):
        return
    for experiment in experiments:
        for name in experiment.faults:
            if coordinates_transactions(name):
                raise UsageError(
                    f"experiment {experiment.name}: fault {name} strikes the coordinator of "
                    "transactions, and no profile of this run has any. Add one that does: "
                    "--profile transactional."
                )


def load_plan(options: RunOptions) -> LoadPlan:
    """The load, its numbers checked."""
    codec = codec_of(options.codec)
    for value, option, least, most in (
        (options.rate_per_s, "--rate", 0.1, 1_000_000),
        (options.message_bytes, "--message-size", codec.message_bytes_min, MESSAGE_BYTES_MAX),
        (options.keys, "--keys", 0, 10_000_000),
        (options.partitions, "--partitions", 1, 10_000),
        (options.producers, "--producers", 1, 1_000),
        (0 if options.seed is None else options.seed, "--seed", 0, 2**63 - 1),
        (1 if options.duration_s is None else options.duration_s, "--duration", 1, 7 * 86_400),
    ):
        if not least <= value <= most:
            raise UsageError(f"{option} {value:g}: accepted is {least:g} to {most:g}.")
    if options.schedule not in SCHEDULES:
        raise UsageError(
            f"--schedule {options.schedule}: unknown{nearest(options.schedule, SCHEDULES)}; "
            f"accepted are {', '.join(SCHEDULES)}."
        )
    return LoadPlan(
        rate_per_s=options.rate_per_s,
        schedule=options.schedule,
        duration_s=options.duration_s,
        message_bytes=options.message_bytes,
        keys=options.keys,
        partitions=options.partitions,
        producers=options.producers,
        warm_up_s=WARM_UP_S,
        lag_limit_ms=LAG_LIMIT_MS,
        codec=codec.name,
    )


def codec_of(name: str) -> Codec:
    """A codec by its name. Raises UsageError that suggests the nearest one."""
    if name not in CODECS:
        raise UsageError(
            f"--codec {name}: unknown{nearest(name, CODECS)}; accepted are {', '.join(CODECS)}."
        )
    return CODECS[name]


def check_codec(options: RunOptions, profiles: Sequence[DeliveryProfile]) -> None:
    """The output of a pipeline names its input in the binary codec alone."""
    pipelines = [
        each.name
        for each in profiles
        if each.consume is not None and each.consume.mode == "transactional"
    ]
    if pipelines and options.codec != BINARY.name:
        raise UsageError(
            f"--codec {options.codec}: profile {pipelines[0]} is a pipeline, whose output names "
            f"its input in the {BINARY.name} codec alone. Leave --codec out, or that profile."
        )
