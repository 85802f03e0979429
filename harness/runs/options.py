"""Everything that a run can be asked for, as data.

Made from a command line, from Locust's page or by a program; `harness.runs.plan` checks it. This
module imports nothing heavy, since `import harness` brings it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SCHEDULES: Final = ("constant", "ramp", "burst", "poisson")
COMPRESSIONS: Final = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `harness run` takes, with the same names and defaults where no unit is added.

    Nothing is checked here: `harness.run` raises UsageError for what cannot be run.
    """

    profiles: tuple[str, ...] = ()
    """Names of delivery profiles; without any, the built-in producer profiles."""
    all_profiles: bool = False
    """Every built-in profile."""
    profiles_file: Path | None = None
    """A YAML file with profiles of the user's own."""
    experiments: tuple[str, ...] = ()
    """Names or files, carried out in this order; without any, the default ones."""
    fault_commands: tuple[tuple[str, ...], ...] = ()
    """KEY=VALUE texts as each --fault-command takes them; carried out after the experiments."""
    control: bool = True
    """Add the control profiles that the experiments name."""
    require: tuple[str, ...] = ()
    """Thresholds as --require takes them, such as `p99_ack_ms<200`, of every profile that is a
    subject, or `PROFILE:p99_ack_ms<200` of one."""
    until_bound: float | None = None
    """Repeat the experiments until each promise they aim at has this bound per fault."""
    brokers: str | None = None
    """`local`, `local:NAME` or HOST:PORT,…; without it bootstrap.servers of the settings, or
    brokers that the run starts itself."""
    kafka_version: str | None = None
    """Of the brokers that the run starts itself."""
    config: tuple[str, ...] = field(default=(), repr=False)
    """KEY=VALUE texts as --config takes them; may hold secrets."""
    properties: Path | None = None
    """A Java client's .properties file."""
    keep_cluster: bool = False
    keep_topics: bool = False
    scenario: str | None = None
    """A built-in scenario, or a Locust file whose users make the load; steady without it."""
    rate_per_s: float = 1000
    """Records a second for each profile."""
    schedule: str = "constant"
    """One of SCHEDULES."""
    duration_s: float | None = None
    """Seconds of load after the warm-up at least; without it as long as the experiments take."""
    message_bytes: int = 200
    codec: str = "binary"
    """How a record's identity is put into its value: a name of `harness.record.codecs`."""
    compression: str | None = None
    """One of COMPRESSIONS; without it what the profile says."""
    keys: int = 0
    """Distinct keys; 0: records have none."""
    partitions: int = 3
    producers: int = 1
    """Client instances of each profile."""
    workers: int | None = None
    """Spread the load over this many processes of this machine; without it one process makes it."""
    expect_workers: int | None = None
    """Spread it over this many workers that are started elsewhere: wait for them."""
    expect_workers_max_wait_s: float = 0.0
    """Wait so long at most; 0: until they come."""
    master_bind_host: str = "127.0.0.1"
    """Where expected workers find the run: an address of this machine, or * for all of them."""
    master_bind_port: int = 5557
    metrics_port: int | None = None
    """Answer Prometheus' scrapes on this port."""
    metrics_bind_host: str = "127.0.0.1"
    """Where scrapes are answered: an address of this machine, or * for all of them."""
    metrics_textfile: Path | None = None
    """Write metrics to this file every few seconds, as node_exporter's textfile collector reads."""
    otlp: str | None = None
    """Send metrics to this OpenTelemetry collector; empty: to the one of the OTEL_ variables."""
    seed: int | None = None
    """Every random choice follows from it; drawn where there is none."""
    asked_by: str = ""
    """Who asks for the run, for its report."""
    out: Path | None = None
    """The run directory; without it reports/runs/<run_id>."""

    def argv(self) -> list[str]:
        """The command that asks for the same; secrets are in it as they are in `config`."""
        words = ["harness", "run"]
        for name, option in _OPTIONS.items():
            value = getattr(self, name)
            if value == getattr(DEFAULTS, name):
                continue
            if isinstance(value, bool):
                words.append(option)
            else:
                for each in value if isinstance(value, tuple) else (value,):
                    words += [option, *(each if isinstance(each, tuple) else (str(each),))]
        return words


DEFAULTS: Final = RunOptions()
_OPTIONS: Final = {
    "profiles": "--profile",
    "all_profiles": "--all",
    "profiles_file": "--profiles",
    "experiments": "--experiment",
    "fault_commands": "--fault-command",
    "control": "--no-control",
    "require": "--require",
    "until_bound": "--until-bound",
    "brokers": "--brokers",
    "kafka_version": "--kafka-version",
    "config": "--config",
    "properties": "--properties",
    "keep_cluster": "--keep-cluster",
    "keep_topics": "--keep-topics",
    "scenario": "--scenario",
    "rate_per_s": "--rate",
    "schedule": "--schedule",
    "duration_s": "--duration",
    "message_bytes": "--message-size",
    "codec": "--codec",
    "compression": "--compression",
    "keys": "--keys",
    "partitions": "--partitions",
    "producers": "--producers",
    "workers": "--workers",
    "expect_workers": "--expect-workers",
    "expect_workers_max_wait_s": "--expect-workers-max-wait",
    "master_bind_host": "--master-bind-host",
    "master_bind_port": "--master-bind-port",
    "metrics_port": "--metrics-port",
    "metrics_bind_host": "--metrics-bind-host",
    "metrics_textfile": "--metrics-textfile",
    "otlp": "--otlp",
    "asked_by": "--asked-by",
    "out": "--out",
    "seed": "--seed",
}
"""Field → option of `harness run`; the seed last, where it is looked for."""


def options_to_json(options: RunOptions) -> bytes:
    """The options as a JSON document for another process; may hold secrets."""
    import msgspec

    return msgspec.json.encode(options, enc_hook=str)


def options_from_json(data: bytes) -> RunOptions:
    """What `options_to_json` wrote."""
    import msgspec

    def path(_: type[Any], text: Any) -> Path:
        return Path(text)

    return msgspec.json.decode(data, type=RunOptions, dec_hook=path)
