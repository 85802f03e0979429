"""The first question to brokers: their answer, or the client's own reason why there is none.

librdkafka tries again for ever, and a request without an answer ends after its timeout without a
reason. But it says at once what is wrong with each address: a name that is unknown, a port that
nothing listens on, a certificate that it does not trust, a login that is refused.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, NoReturn, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from harness.errors import BrokersUnreached, ClusterError, scrub
from harness.kafka.admin import admin_client

SETTLE_S: Final = 1.0
"""So long all brokers have to be down before the first question is given up: one that is being
started can refuse a connection and take the next one."""
GONE_S: Final = 3.0
"""So long one broker of a cluster that answers may be out of reach: as long as a failover takes."""
CONNECT_S: Final = 5.0
"""So long a connection may take to come about; librdkafka gives no reason before its 30 s."""
_DEFINITE: Final = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE)
_REACHED: Final = (KafkaError._AUTHENTICATION, KafkaError._SSL)
"""Somebody answered, and would not go on."""
_ADDRESS: Final = re.compile(r"^(?:\[[^]]*\]: )?(?:[a-z_]+://)?(?P<address>\S+:\d+)/\w+: ")
_AFTER: Final = re.compile(
    r" \(after \d+ms in state (?P<state>\w+)(?:\)|, \d+ identical)(?:.*suppressed\))?$"
)
_PLACE: Final = re.compile(r"\S*\.c:\d+:\w+ ")
_FAILED: Final = re.compile(r"^FAIL \[[^]]*\] \[[^]]*\]: ")

Result = TypeVar("Result")


class Reasons(logging.Handler):
    """What a client says about each broker that it does not reach; the last word counts."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.by_address: dict[str, str] = {}
        self.since: dict[str, float] = {}
        """When an address was complained of first."""
        self.down_since: float | None = None
        self.definite = False
        self.reached = False
        """Did a broker answer, and refuse what this client is or showed?"""

    def settings(self) -> dict[str, Any]:
        """Settings that make a client report here."""
        logger = logging.Logger("harness.kafka.reach")
        logger.addHandler(self)
        # Without the last one it keeps silent about connections that were closed by the other side.
        return {
            "error_cb": self.on_error,
            "logger": logger,
            "log_level": 6,
            "log.connection.close": True,
        }

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the client's log."""
        text = record.getMessage()
        if text.startswith("FAIL "):
            self._take(_FAILED.sub("", text))

    def on_error(self, error: KafkaError) -> None:
        """An error that the client reports."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.down_since = self.down_since or time.monotonic()
            return
        self.definite = self.definite or error.code() in _DEFINITE
        self.reached = self.reached or error.code() in _REACHED
        self._take(error.str())

    def _take(self, text: str) -> None:
        match = _ADDRESS.match(text)
        if match is not None:
            self.by_address[match["address"]] = in_plain_words(text[match.end() :])
            self.since.setdefault(match["address"], time.monotonic())

    def gone(self, address: str) -> bool:
        """Whether an address has been complained of for so long that it will not answer soon."""
        since = self.since.get(address)
        if since is None:
            return False
        unknown_name = "Failed to resolve" in self.by_address[address]
        return time.monotonic() - since > (SETTLE_S if unknown_name else GONE_S)

    @property
    def settled(self) -> bool:
        """Whether no broker is reached, and trying again will not change it soon."""
        if self.down_since is None or not self.by_address:
            return False
        return time.monotonic() - self.down_since > (0.0 if self.definite else SETTLE_S)

    def __str__(self) -> str:
        return "; ".join(f"{address}: {why}" for address, why in sorted(self.by_address.items()))


def in_plain_words(said: str) -> str:
    """What the client said about one address, without its internals, with what it may mean."""
    match = _AFTER.search(said)
    state = match["state"] if match else ""
    text = _PLACE.sub("", said[: match.start()] if match else said)
    if "Invalid response size" in text:
        return "what answers there does not speak Kafka's protocol without TLS"
    if "Disconnected" in text and state == "APIVERSION_QUERY":
        return (
            f"{text}: it closed the connection at the first request. It may expect TLS or SASL "
            "(security.protocol), or be no Kafka listener"
        )
    if "ApiVersionRequest failed" in text and "Timed out" in text:
        return "it takes connections and does not answer the first request; is it a Kafka listener?"
    if "wrong version number" in text:
        return f"{text}: what answers there does not speak TLS"
    if "alert certificate required" in text:
        return f"{text}: the broker asks for a certificate (ssl.certificate.location)"
    return text


def first_answer(
    client_config: Mapping[str, Any],
    ask: Callable[[AdminClient], Future[Result]],
    *,
    what: str,
    timeout_s: float,
) -> tuple[AdminClient, Result]:
    """(a client that reached the brokers, the answer to its first question).

    Raises ClusterError that names each address with the client's reason, BrokersUnreached where
    it is that no broker answers there.
    """
    reasons = Reasons()
    admin = _client(client_config, reasons)
    future = ask(admin)
    deadline = time.monotonic() + timeout_s
    while not future.done() and not reasons.settled and time.monotonic() < deadline:
        admin.poll(0.05)
        if not future.done() and any(map(reasons.gone, reasons.by_address)):
            named = _named(client_config)
            gone = [broker for broker, address in named.items() if reasons.gone(address)]
            if gone and not future.done():
                _raise_unreached(what, named, gone, reasons)
    if future.done():
        try:
            return admin, future.result(0)
        except KafkaException as error:
            said = error.args[0]
            if said.code() != KafkaError._TIMED_OUT or not reasons.by_address:
                raise ClusterError(f"{what}: the brokers answered {scrub(said.str())}.") from None
    found = scrub(str(reasons))
    failed = ClusterError if reasons.reached else BrokersUnreached
    if reasons.settled:
        raise failed(f"{what}: no broker is reached. {found}.")
    if found:
        raise failed(f"{what}: no answer within {timeout_s:g} s. {found}.")
    raise failed(f"{what}: no answer within {timeout_s:g} s, and the client says no reason.")


def answer_of_each(
    client_config: Mapping[str, Any],
    addresses: Mapping[int, str],
    ask: Callable[[AdminClient, int], Future[Result]],
    *,
    what: str,
    timeout_s: float,
) -> dict[int, Future[Result]]:
    """broker → its answer, which may be its own error or still be missing.

    addresses: of each broker, as the cluster names it. A cluster can be found by one address and
    name others that lead nowhere from here. Raises BrokersUnreached that names each of these
    brokers with the client's reason.
    """
    reasons = Reasons()
    admin = _client(client_config, reasons)
    futures = {broker: ask(admin, broker) for broker in addresses}
    deadline = time.monotonic() + timeout_s
    while waiting := [broker for broker, future in futures.items() if not future.done()]:
        gone = [broker for broker in waiting if reasons.gone(addresses[broker])]
        if gone:
            _raise_unreached(what, addresses, gone, reasons)
        if time.monotonic() >= deadline:
            break
        admin.poll(0.05)
    return futures


def _raise_unreached(
    what: str, addresses: Mapping[int, str], gone: list[int], reasons: Reasons
) -> NoReturn:
    """Raises BrokersUnreached: brokers of a cluster that answers cannot be reached."""
    found = "; ".join(
        f"broker {broker} at {addresses[broker]}: {reasons.by_address[addresses[broker]]}"
        for broker in sorted(gone)
    )
    brokers = "1 broker" if len(addresses) == 1 else f"{len(addresses)} brokers"
    raise BrokersUnreached(
        f"{what}: the cluster answers and names {brokers}, of which {len(gone)} cannot be reached "
        f"from here. {scrub(found)}. It is advertised.listeners that says these addresses."
    )


def _named(client_config: Mapping[str, Any]) -> dict[int, str]:
    """The brokers that the cluster names, by whichever of them answers; none where none does.

    A client of its own asks. One that has learned the cluster's addresses may have let go of the
    address that it was given, and then reaches no broker when none of the others answers.
    """
    try:
        found = _client(client_config, Reasons()).list_topics(timeout=SETTLE_S).brokers.values()
    except KafkaException:
        return {}
    return {broker.id: f"{broker.host}:{broker.port}" for broker in found}


def _client(client_config: Mapping[str, Any], reasons: Reasons) -> AdminClient:
    setup = {"socket.connection.setup.timeout.ms": int(CONNECT_S * 1000)}
    return admin_client({**setup, **client_config}, settings=reasons.settings())
