"""Guardrails: what is wrong with settings before anything is run.

A rule reads one `Subject` (a profile, a topic, or what a properties file says of a client) and
yields findings; it knows nothing of files. Each rule has an id and stands, with its reason, in
docs/profiles.md. `error` means that data is lost, refused or readable by strangers when the
expected happens; `warning` means that somebody should have decided this on purpose.

Pure: no client library, no files.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias

from harness.profiles.envelope import envelope_breaches
from harness.profiles.model import DeliveryProfile, Setting, Settings, acks_of, as_int, is_true

Severity: TypeAlias = Literal["error", "warning"]
Dialect: TypeAlias = Literal["librdkafka", "java"]

IN_FLIGHT_MAX: Final = 5
"""Batches of a producer and partition whose sequence numbers a broker remembers (KIP-185)."""
TRANSACTION_TIMEOUT_MAX_MS: Final = 900_000
"""Default of the brokers' transaction.max.timeout.ms."""
FAILOVER_MS: Final = 15_000
"""A broker's session timeout (9 s by default) and an election, with some room."""

NEEDS_ACKS_ALL: Final = frozenset({"no_lost", "no_inconsistent_offset"})
NEEDS_IDEMPOTENCE: Final = frozenset({"no_duplicate", "no_inversion"})
NEEDS_TRANSACTIONS: Final = frozenset(
    {"no_gap", "no_torn_txn", "no_lost_txn", "no_precommitted_read", "no_hung_txn"}
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found, where, and what to do."""

    rule: str
    severity: Severity
    where: str
    message: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """As it stands in run.json and in `harness validate --json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at. A part that is None is not described here, so no rule speaks of it."""

    name: str
    producer: Settings | None = None
    consumer: Settings | None = None
    topic: Settings | None = None
    connection: Mapping[str, Setting] = field(default_factory=dict)
    promises: frozenset[str] = frozenset()
    critical: bool = True
    dialect: Dialect = "librdkafka"
    """Whose defaults hold for what is not stated."""
    brokers: int | None = None
    profile: DeliveryProfile | None = None
    locate: Callable[..., str] | None = None
    """From a part and a setting's name to where it stands, such as `file:line`."""

    def where(self, part: str, setting: str) -> str:
        if self.locate is not None:
            return self.locate(part, setting)
        return ".".join(word for word in (self.name, part, setting) if word)

    def decided(self) -> Severity:
        """The severity of a choice that is wrong for critical data alone."""
        return "error" if self.critical else "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding before its rule and place are filled in."""

    part: str
    setting: str
    severity: Severity
    message: str
    fix: str


Check: TypeAlias = Callable[[Subject], Iterator[Problem]]
RULES: Final[dict[str, Check]] = {}


def rule(identity: str) -> Callable[[Check], Check]:
    """Enter a check under its id."""

    def enter(check: Check) -> Check:
        RULES[identity] = check
        return check

    return enter


def lint(
    profile: DeliveryProfile,
    *,
    brokers: int | None = None,
    bootstrap: str | None = None,
    connection: Mapping[str, Setting] | None = None,
    locate: Callable[..., str] | None = None,
) -> list[Finding]:
    """Findings about a profile, errors first.

    brokers: how many there are, when known. bootstrap, connection: how they are reached.
    """
    reached = dict(connection or {})
    if bootstrap is not None:
        reached["bootstrap.servers"] = bootstrap
    return lint_subject(
        Subject(
            name=profile.name,
            producer=profile.producer,
            consumer=profile.consumer,
            topic=profile.topic,
            connection=reached,
            promises=frozenset(profile.promises),
            critical=profile.critical,
            brokers=brokers,
            profile=profile,
            locate=locate,
        )
    )


def lint_subject(subject: Subject) -> list[Finding]:
    """Findings about anything, errors first, otherwise in the order of the rules."""
    findings = [
        Finding(
            identity,
            problem.severity,
            subject.where(problem.part, problem.setting),
            problem.message,
            problem.fix,
        )
        for identity, check in RULES.items()
        for problem in check(subject)
    ]
    return sorted(findings, key=lambda finding: finding.severity != "error")


# ------------------------------------------------------------------------------------- producer


def _idempotent(subject: Subject) -> bool:
    """Whether the producer works with sequence numbers, defaults of its client included."""
    producer = subject.producer or {}
    if "enable.idempotence" in producer:
        return is_true(producer["enable.idempotence"])
    if producer.get("transactional.id"):
        return True
    return subject.dialect == "java" and not list(_silent_off(producer))


def _silent_off(producer: Settings) -> Iterator[tuple[str, str]]:
    """What makes Java's client give up idempotence when it was not asked for (KIP-679)."""
    if acks_of(producer) not in (None, "all"):
        yield "acks", f"acks={acks_of(producer)}"
    if as_int(producer.get("retries")) == 0:
        yield "retries", "retries=0"
    in_flight = as_int(producer.get("max.in.flight.requests.per.connection"))
    if in_flight is not None and in_flight > IN_FLIGHT_MAX:
        yield "max.in.flight.requests.per.connection", f"{in_flight} requests in flight"


@rule("acks-not-all")
def acks_not_all(subject: Subject) -> Iterator[Problem]:
    acks = acks_of(subject.producer or {})
    if acks in (None, "all"):
        return
    whose = "critical data" if subject.critical else "data"
    what = {
        "0": "no broker confirms anything: what was in a socket or on one broker is lost with it",
        "1": "the leader alone confirms: what its followers have not copied is lost with it",
    }.get(str(acks), "only 0, 1 and all mean something to a broker")
    yield Problem(
        "producer",
        "acks",
        subject.decided(),
        f"acks={acks} for {whose}: {what}.",
        "Set acks=all with min.insync.replicas=2, or say `critical: false` where loss is accepted.",
    )


@rule("no-retries")
def no_retries(subject: Subject) -> Iterator[Problem]:
    if as_int((subject.producer or {}).get("retries")) == 0:
        yield Problem(
            "producer",
            "retries",
            subject.decided(),
            "retries=0: the first election or cut connection turns records in flight into failures "
            "that nobody sends again.",
            "Leave retries at 2147483647 and bound the time by delivery.timeout.ms.",
        )


@rule("idempotence-off")
def idempotence_off(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer
    if producer is None or _idempotent(subject):
        return
    if acks_of(producer) == "0" or as_int(producer.get("retries")) == 0:
        return
    if "enable.idempotence" not in producer and subject.dialect == "java":
        return  # idempotence-silently-off says why
    yield Problem(
        "producer",
        "enable.idempotence",
        "warning",
        "idempotence is off: a retry after a lost response writes records twice, and out of order.",
        "Set enable.idempotence=true, or make every consumer recognise what it has seen.",
    )


@rule("idempotence-silently-off")
def idempotence_silently_off(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer
    if producer is None or subject.dialect != "java" or "enable.idempotence" in producer:
        return
    if producer.get("transactional.id"):
        return
    for name, what in _silent_off(producer):
        yield Problem(
            "producer",
            name,
            "warning",
            f"{what}: Java's client turns its idempotence off in silence, unless it was stated.",
            "State enable.idempotence=true; the client then refuses what contradicts it.",
        )


@rule("in-flight-with-idempotence")
def in_flight_with_idempotence(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    name = "max.in.flight.requests.per.connection"
    in_flight = as_int(producer.get(name))
    if in_flight is not None and in_flight > IN_FLIGHT_MAX and _idempotent(subject):
        yield Problem(
            "producer",
            name,
            "error",
            f"{in_flight} requests in flight with idempotence: brokers remember the last "
            f"{IN_FLIGHT_MAX} batches only, and clients refuse this.",
            f"Set {name}={IN_FLIGHT_MAX}.",
        )


@rule("idempotence-without-acks-all")
def idempotence_without_acks_all(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    asked = is_true(producer.get("enable.idempotence")) or bool(producer.get("transactional.id"))
    if asked and acks_of(producer) not in (None, "all"):
        yield Problem(
            "producer",
            "acks",
            "error",
            f"idempotence with acks={acks_of(producer)}: a new leader would not know the sequence "
            "numbers, and clients refuse this.",
            "Set acks=all.",
        )


@rule("transactional-without-idempotence")
def transactional_without_idempotence(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    stated = producer.get("enable.idempotence")
    if producer.get("transactional.id") and stated is not None and not is_true(stated):
        yield Problem(
            "producer",
            "enable.idempotence",
            "error",
            "a transactional.id with idempotence off: transactions rest on sequence numbers, and "
            "clients refuse this.",
            "Set enable.idempotence=true.",
        )


@rule("transaction-timeout-above-broker")
def transaction_timeout_above_broker(subject: Subject) -> Iterator[Problem]:
    timeout_ms = as_int((subject.producer or {}).get("transaction.timeout.ms"))
    if timeout_ms is not None and timeout_ms > TRANSACTION_TIMEOUT_MAX_MS:
        yield Problem(
            "producer",
            "transaction.timeout.ms",
            "error",
            f"transaction.timeout.ms={timeout_ms}: brokers refuse more than their "
            f"transaction.max.timeout.ms, {TRANSACTION_TIMEOUT_MAX_MS} by default; and as long as "
            "that, a dead producer holds up every read_committed consumer.",
            "Set transaction.timeout.ms to a few failovers, such as 30000.",
        )


@rule("delivery-outlasts-transaction")
def delivery_outlasts_transaction(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    transaction_ms = as_int(producer.get("transaction.timeout.ms"))
    delivery_ms = as_int(producer.get("delivery.timeout.ms"))
    if subject.dialect != "librdkafka" or not producer.get("transactional.id"):
        return
    if transaction_ms is not None and delivery_ms is not None and delivery_ms > transaction_ms:
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "error",
            f"delivery.timeout.ms={delivery_ms} above transaction.timeout.ms={transaction_ms}: the "
            "coordinator aborts while records are still being sent, and librdkafka refuses this.",
            f"Set delivery.timeout.ms to at most {transaction_ms}.",
        )


@rule("delivery-timeout-too-short")
def delivery_timeout_too_short(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    delivery_ms = as_int(producer.get("delivery.timeout.ms"))
    if not delivery_ms:
        return  # unset, or 0: without end in librdkafka
    linger_ms = as_int(producer.get("linger.ms")) or 0
    request_ms = as_int(producer.get("request.timeout.ms"))
    least_ms = linger_ms + (30_000 if request_ms is None else request_ms)
    if delivery_ms < least_ms:
        refused = subject.dialect == "java"
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "error" if refused else "warning",
            f"delivery.timeout.ms={delivery_ms} is below linger.ms + request.timeout.ms = "
            f"{least_ms}: a record can expire before its first request has had its time"
            + (", and Java's client refuses this." if refused else "."),
            f"Set delivery.timeout.ms above {least_ms}, such as 120000.",
        )
    elif delivery_ms < FAILOVER_MS:
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "warning",
            f"delivery.timeout.ms={delivery_ms}: an ordinary failover takes up to {FAILOVER_MS} ms "
            "and would end in records of unknown outcome.",
            "Set delivery.timeout.ms to several failovers, such as 120000.",
        )


@rule("request-outlasts-socket")
def request_outlasts_socket(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    socket_ms = as_int(producer.get("socket.timeout.ms"))
    request_ms = as_int(producer.get("request.timeout.ms"))
    if socket_ms is not None and request_ms is not None and socket_ms <= request_ms:
        yield Problem(
            "producer",
            "socket.timeout.ms",
            "warning",
            f"socket.timeout.ms={socket_ms} does not exceed request.timeout.ms={request_ms}: the "
            "client gives up before the broker's own answer can come.",
            "Set socket.timeout.ms some seconds above request.timeout.ms.",
        )


@rule("unbounded-queue")
def unbounded_queue(subject: Subject) -> Iterator[Problem]:
    if as_int((subject.producer or {}).get("queue.buffering.max.messages")) == 0:
        yield Problem(
            "producer",
            "queue.buffering.max.messages",
            "warning",
            "queue.buffering.max.messages=0 takes the limit away: while no leader is there, "
            "memory fills instead of the application being slowed down.",
            "Set a limit that covers a failover at full rate.",
        )


# ------------------------------------------------------------------------------------- consumer


def _auto_commit(subject: Subject) -> bool | None:
    """Whether offsets are committed on a timer; None when there is no consumer."""
    if subject.consumer is None:
        return None
    stated = subject.consumer.get("enable.auto.commit")
    if stated is None:
        # Both clients commit by default, but only in a group.
        return bool(subject.consumer.get("group.id"))
    return is_true(stated)


@rule("auto-commit")
def auto_commit(subject: Subject) -> Iterator[Problem]:
    if not _auto_commit(subject):
        return
    forbids = "no_lost" in subject.promises or bool(subject.promises & NEEDS_TRANSACTIONS)
    strict = forbids or subject.critical
    yield Problem(
        "consumer",
        "enable.auto.commit",
        "error" if strict else "warning",
        "offsets are committed on a timer, whether or not their records were processed"
        + (", which a promise of this profile forbids." if forbids else "."),
        "Set enable.auto.commit=false and commit after processing, or in the transaction.",
    )


@rule("offset-stored-before-processing")
def offset_stored_before_processing(subject: Subject) -> Iterator[Problem]:
    consumer = subject.consumer
    if consumer is None:
        return
    stated = consumer.get("enable.auto.offset.store")
    if stated is None and (subject.dialect == "java" or not consumer.get("group.id")):
        return
    if stated is not None and not is_true(stated):
        return
    committed = bool(_auto_commit(subject))
    yield Problem(
        "consumer",
        "enable.auto.offset.store",
        subject.decided() if committed else "warning",
        "offsets are stored when a record is handed out, before it is processed"
        + (
            ", and then committed on a timer: a crash skips what was in work."
            if committed
            else "; a commit() without arguments would commit them."
        ),
        "Set enable.auto.offset.store=false and store offsets after processing.",
    )


@rule("read-uncommitted")
def read_uncommitted(subject: Subject) -> Iterator[Problem]:
    if subject.consumer is None:
        return
    default = "read_uncommitted" if subject.dialect == "java" else "read_committed"
    stated = subject.consumer.get("isolation.level")
    if str(stated or default).lower() == "read_committed":
        return
    transactional = bool((subject.producer or {}).get("transactional.id"))
    if transactional or subject.promises & NEEDS_TRANSACTIONS:
        yield Problem(
            "consumer",
            "isolation.level",
            "error",
            "read_uncommitted under a transactional promise: aborted and unfinished transactions "
            "are read as if they were committed.",
            "Set isolation.level=read_committed.",
        )
    elif stated is not None and subject.profile is None and subject.dialect == "java":
        yield Problem(
            "consumer",
            "isolation.level",
            "warning",
            "read_uncommitted is right only for topics that nobody writes to in transactions.",
            "Set isolation.level=read_committed; it costs nothing without transactions.",
        )


@rule("offset-reset-skips")
def offset_reset_skips(subject: Subject) -> Iterator[Problem]:
    stated = str((subject.consumer or {}).get("auto.offset.reset", "")).lower()
    if stated in ("latest", "largest", "end"):
        yield Problem(
            "consumer",
            "auto.offset.reset",
            "warning",
            f"auto.offset.reset={stated}: a partition without a committed offset, such as a newly "
            "added one, starts at its end, and what was written before is never read.",
            "Set auto.offset.reset=earliest, or none (librdkafka: error) to be told.",
        )


@rule("heartbeat-interval")
def heartbeat_interval(subject: Subject) -> Iterator[Problem]:
    consumer = subject.consumer or {}
    heartbeat_ms = as_int(consumer.get("heartbeat.interval.ms"))
    session_ms = as_int(consumer.get("session.timeout.ms"))
    if heartbeat_ms is not None and session_ms is not None and heartbeat_ms * 3 > session_ms:
        yield Problem(
            "consumer",
            "heartbeat.interval.ms",
            "warning",
            f"heartbeat.interval.ms={heartbeat_ms} leaves fewer than three heartbeats in "
            f"session.timeout.ms={session_ms}: one late heartbeat means a rebalance.",
            f"Set heartbeat.interval.ms to at most {session_ms // 3}.",
        )


# ---------------------------------------------------------------------------------------- topic


@rule("replication-factor")
def replication_factor(subject: Subject) -> Iterator[Problem]:
    factor = as_int((subject.topic or {}).get("replication.factor"))
    if factor is None:
        return
    if subject.brokers is not None and factor > subject.brokers:
        yield Problem(
            "topic",
            "replication.factor",
            "error",
            f"replication.factor={factor} on {subject.brokers} brokers: the topic cannot be made.",
            f"Add brokers, or set replication.factor={subject.brokers}.",
        )
    if factor == 1:
        yield Problem(
            "topic",
            "replication.factor",
            subject.decided(),
            "replication.factor=1: one disk holds the only copy, and the partition is away "
            "whenever that broker is.",
            "Set replication.factor=3 and min.insync.replicas=2.",
        )
    elif factor == 2:
        yield Problem(
            "topic",
            "replication.factor",
            "warning",
            "replication.factor=2: either one broker away stops writing (min ISR 2), or one copy "
            "is enough to acknowledge (min ISR 1).",
            "Set replication.factor=3 and min.insync.replicas=2.",
        )


@rule("min-isr-against-replication")
def min_isr_against_replication(subject: Subject) -> Iterator[Problem]:
    topic = subject.topic or {}
    factor, min_isr = (
        as_int(topic.get("replication.factor")),
        as_int(topic.get("min.insync.replicas")),
    )
    if factor is None or min_isr is None:
        return
    if min_isr > factor:
        yield Problem(
            "topic",
            "min.insync.replicas",
            "error",
            f"min.insync.replicas={min_isr} above replication.factor={factor}: acks=all can never "
            "be satisfied, and nothing can be written.",
            "Set replication.factor=3 and min.insync.replicas=2.",
        )
    elif min_isr == factor and factor > 1:
        yield Problem(
            "topic",
            "min.insync.replicas",
            "error",
            f"min.insync.replicas={min_isr} equals replication.factor={factor}: one broker away, "
            "be it for a restart, stops every write with acks=all.",
            f"Set min.insync.replicas={max(1, factor - 1)}"
            + (" and replication.factor=3." if factor == 2 else "."),
        )


@rule("min-isr-1")
def min_isr_1(subject: Subject) -> Iterator[Problem]:
    if subject.topic is None:
        return
    stated = subject.topic.get("min.insync.replicas")
    factor = as_int(subject.topic.get("replication.factor"))
    if factor == 1:
        return  # replication-factor says it
    if as_int(stated) == 1:
        yield Problem(
            "topic",
            "min.insync.replicas",
            subject.decided(),
            "min.insync.replicas=1: when the followers have fallen behind, acks=all is "
            "the leader alone, and an acknowledged record dies with it.",
            "Set min.insync.replicas=2.",
        )
    elif stated is None:
        yield Problem(
            "topic",
            "min.insync.replicas",
            "warning",
            "min.insync.replicas is not stated: the cluster's default decides, 1 unless changed.",
            "State min.insync.replicas=2.",
        )


@rule("unclean-election")
def unclean_election(subject: Subject) -> Iterator[Problem]:
    if is_true((subject.topic or {}).get("unclean.leader.election.enable")):
        yield Problem(
            "topic",
            "unclean.leader.election.enable",
            subject.decided(),
            "unclean election is on: a replica without acknowledged records may become the leader, "
            "and the others then delete them too.",
            "Set unclean.leader.election.enable=false.",
        )


@rule("no-retention")
def no_retention(subject: Subject) -> Iterator[Problem]:
    if subject.topic is None or "retention.ms" in subject.topic:
        return
    if str(subject.topic.get("cleanup.policy", "delete")).strip() == "compact":
        return
    yield Problem(
        "topic",
        "retention.ms",
        "warning",
        "no retention.ms: the cluster's default decides when records are deleted, "
        "read or not (7 days unless changed).",
        "State retention.ms, longer than the longest outage of a consumer.",
    )


@rule("compacted")
def compacted(subject: Subject) -> Iterator[Problem]:
    if "compact" in str((subject.topic or {}).get("cleanup.policy", "")) and (
        "no_lost" in subject.promises
    ):
        yield Problem(
            "topic",
            "cleanup.policy",
            "warning",
            "a compacted topic keeps the last record of each key only: what was compacted away "
            "cannot be told from a loss.",
            "Judge delivery on a topic with cleanup.policy=delete.",
        )


# ----------------------------------------------------------------------- connection and promises


def is_local(server: str) -> bool:
    """Whether `host:port` (a listener's `NAME://` before it is left out) is this machine."""
    address = server.strip().rpartition("://")[2]
    host = address[1:].partition("]")[0] if address.startswith("[") else address.partition(":")[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@rule("plaintext-listener")
def plaintext_listener(subject: Subject) -> Iterator[Problem]:
    servers = str(subject.connection.get("bootstrap.servers", "")).split(",")
    remote = [server.strip() for server in servers if server.strip() and not is_local(server)]
    protocol = str(subject.connection.get("security.protocol", "plaintext")).lower()
    if not remote or protocol in ("ssl", "sasl_ssl"):
        return
    login = ", password included" if protocol == "sasl_plaintext" else ""
    yield Problem(
        "",
        "bootstrap.servers",
        "error",
        f"{remote[0]} is not local and is reached by {protocol}, without TLS: whoever is on the "
        f"way can read and change what is sent{login}.",
        "Use a TLS listener: security.protocol=ssl or sasl_ssl, with ssl.ca.location.",
    )


@rule("tls-unverified")
def tls_unverified(subject: Subject) -> Iterator[Problem]:
    if str(subject.connection.get("security.protocol", "")).lower() not in ("ssl", "sasl_ssl"):
        return
    checks = {
        "enable.ssl.certificate.verification": ("false", "f", "0"),
        "ssl.endpoint.identification.algorithm": ("none", ""),
    }
    for name, off in checks.items():
        if name in subject.connection and str(subject.connection[name]).lower() in off:
            yield Problem(
                "",
                name,
                "error" if name.startswith("enable") else "warning",
                f"{name}={subject.connection[name]}: the broker's certificate is not checked, so "
                "anybody on the way can answer in its place.",
                "Leave the check on, and name the authority with ssl.ca.location.",
            )


@rule("promise-beyond-settings")
def promise_beyond_settings(subject: Subject) -> Iterator[Problem]:
    if subject.producer is None:
        return
    idempotent, acks = _idempotent(subject), acks_of(subject.producer)
    transactional = bool(subject.producer.get("transactional.id"))
    lacking = [
        (NEEDS_ACKS_ALL, acks in (None, "all"), "acks=all"),
        (NEEDS_IDEMPOTENCE, idempotent, "enable.idempotence=true"),
        (NEEDS_TRANSACTIONS, transactional, "a transactional.id"),
    ]
    for promises, given, needed in lacking:
        beyond = sorted(subject.promises & promises)
        if beyond and not given:
            yield Problem(
                "promises",
                "",
                "error",
                f"{', '.join(beyond)} cannot be kept without {needed}.",
                f"Set {needed}, or take the promise away.",
            )


@rule("outside-envelope")
def outside_envelope(subject: Subject) -> Iterator[Problem]:
    if subject.profile is None or not subject.promises:
        return
    for breach in envelope_breaches(subject.profile):
        yield Problem(
            "topic",
            breach.split(" ", 1)[0],
            "warning",
            f"promises are not_applicable here: {breach}.",
            "Bring the topic into the envelope: 3 copies, min ISR 2, unclean election off.",
        )


@rule("unstated-setting")
def unstated_setting(subject: Subject) -> Iterator[Problem]:
    if subject.profile is None:
        return
    decisive = {
        "producer": (
            "acks",
            "retries",
            "enable.idempotence",
            "max.in.flight.requests.per.connection",
            "delivery.timeout.ms",
        ),
        "consumer": ("isolation.level", "auto.offset.reset", "enable.auto.commit"),
        "topic": ("replication.factor", "unclean.leader.election.enable"),
    }
    parts = {"producer": subject.producer, "consumer": subject.consumer, "topic": subject.topic}
    for part, names in decisive.items():
        missing = [name for name in names if name not in (parts[part] or {})]
        if missing:
            yield Problem(
                part,
                "",
                "warning",
                f"left to defaults that differ between clients, clusters and versions: "
                f"{', '.join(missing)}.",
                "State them, or extend a built-in profile.",
            )


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """Findings as plain data."""
    return [finding.to_json() for finding in findings]
