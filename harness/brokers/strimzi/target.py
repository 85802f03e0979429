"""What a strimzi:// address says: strimzi://NAMESPACE/CLUSTER[?user=NAME&listener=NAME&context=NAME].

Pure: nothing is asked. `user` is a KafkaUser, `listener` one of the Kafka resource's listeners,
`context` one of the kubeconfig.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from harness.errors import UsageError
from harness.system.suggest import nearest

SCHEME: Final = "strimzi://"
ACCEPTED: Final = "strimzi://NAMESPACE/CLUSTER[?user=NAME&listener=NAME&context=NAME]"
_OPTIONS: Final = ("user", "listener", "context")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 1123: how Kubernetes accepts a namespace's name."""
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""RFC 1123 subdomain: how Kubernetes accepts the name of a resource."""


@dataclass(frozen=True, slots=True)
class StrimziTarget:
    """Which Kafka resource is meant, and how it is to be reached."""

    namespace: str
    cluster: str
    user: str | None = None
    listener: str | None = None
    context: str | None = None

    @property
    def spec(self) -> str:
        """The address that says the same."""
        given = [(name, getattr(self, name)) for name in _OPTIONS]
        options = "&".join(f"{name}={quote(value, safe='')}" for name, value in given if value)
        return f"{SCHEME}{self.namespace}/{self.cluster}{'?' if options else ''}{options}"

    @property
    def name(self) -> str:
        """NAMESPACE/CLUSTER, for messages."""
        return f"{self.namespace}/{self.cluster}"


def parse_target(spec: str, origin: str = "--brokers") -> StrimziTarget:
    """The target that an address names. Raises UsageError naming the part that is wrong."""

    def wrong(what: str) -> UsageError:
        return UsageError(f"{origin} {spec}: {what}; accepted is {ACCEPTED}.")

    try:
        parts = urlsplit(spec)
    except ValueError as error:
        raise wrong(str(error)) from None
    if parts.fragment:
        raise wrong(f"'#{parts.fragment}' means nothing here")
    if not parts.netloc:
        raise wrong("the namespace is missing")
    if _LABEL.fullmatch(parts.netloc) is None:
        raise wrong(f"{parts.netloc!r} is no name of a namespace")
    cluster = parts.path.removeprefix("/").removesuffix("/")
    if not cluster:
        raise wrong("the name of the Kafka resource is missing")
    if _NAME.fullmatch(cluster) is None:
        raise wrong(f"{cluster!r} is no name of a Kafka resource")
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise wrong(f"option {name!r} is unknown{nearest(name, _OPTIONS)}")
        if name in options:
            raise wrong(f"option {name} is given twice")
        if not value:
            raise wrong(f"option {name} has no value")
        options[name] = value
    user = options.get("user")
    if user is not None and _NAME.fullmatch(user) is None:
        raise wrong(f"{user!r} is no name of a KafkaUser")
    return StrimziTarget(parts.netloc, cluster, user, options.get("listener"),
                         options.get("context"))  # fmt: skip
