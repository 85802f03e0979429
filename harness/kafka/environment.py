"""Variables for the processes of a run, and for those that a person starts beside it.

    HARNESS_RUN_DIR         the run whose topics are aimed at and whose timeline is written
    HARNESS_CLUSTER         state directory, or name, of a local cluster
    HARNESS_BROKERS         bootstrap servers: of a local cluster, which they name as well, or of
                            brokers that somebody else runs
    HARNESS_CLIENT_CONFIG   JSON object of librdkafka settings needed to reach them; not in a file
                            and on no command line, since it may hold secrets
    HARNESS_CLOCK_EPOCH_NS  the time base that all members of a run share
    HARNESS_JAVA            the `java` that brokers run with

A variable that is empty counts as absent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError

CLIENT_CONFIG: Final = "HARNESS_CLIENT_CONFIG"
_RUN_DIR: Final = "HARNESS_RUN_DIR"
_CLUSTER: Final = "HARNESS_CLUSTER"
_BROKERS: Final = "HARNESS_BROKERS"
_EPOCH: Final = "HARNESS_CLOCK_EPOCH_NS"
_JAVA: Final = "HARNESS_JAVA"


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessEnvironment:
    """The variables, typed; None where one is not set."""

    run_dir: Path | None = None
    cluster: str | None = None
    brokers: str | None = None
    client_config_json: str | None = field(default=None, repr=False)
    clock_epoch_ns: int | None = None
    java: Path | None = None

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> HarnessEnvironment:
        """From `variables`, or from the environment of this process as it is now."""
        found = os.environ if variables is None else variables
        run_dir, java, epoch = found.get(_RUN_DIR), found.get(_JAVA), found.get(_EPOCH)
        return cls(
            run_dir=Path(run_dir) if run_dir else None,
            cluster=found.get(_CLUSTER) or None,
            brokers=found.get(_BROKERS) or None,
            client_config_json=found.get(CLIENT_CONFIG) or None,
            clock_epoch_ns=int(epoch) if epoch else None,
            java=Path(java) if java else None,
        )

    @property
    def client_config(self) -> dict[str, str]:
        """librdkafka settings; may hold secrets. Raises UsageError for what is no JSON object."""
        if self.client_config_json is None:
            return {}
        try:
            settings: Any = json.loads(self.client_config_json)
        except ValueError:
            settings = None
        if not isinstance(settings, dict):
            # The text itself may hold a password and is not shown.
            raise UsageError(
                f"{CLIENT_CONFIG}: a JSON object of librdkafka settings is expected, "
                'such as {"bootstrap.servers": "127.0.0.1:9092"}.'
            )
        return {str(key): _text(value) for key, value in settings.items()}

    def connection(self, bootstrap: str) -> dict[str, str]:
        """`client_config`, at `bootstrap` unless it names other servers."""
        return {"bootstrap.servers": bootstrap, **self.client_config}

    def variables(self) -> dict[str, str]:
        """What a process is started with to read the same."""
        named = {
            _RUN_DIR: self.run_dir,
            _CLUSTER: self.cluster,
            _BROKERS: self.brokers,
            CLIENT_CONFIG: self.client_config_json,
            _EPOCH: self.clock_epoch_ns,
            _JAVA: self.java,
        }
        return {name: str(value) for name, value in named.items() if value is not None}


def child_environment(
    client_config: Mapping[str, Any], *, run_dir: Path | None = None
) -> dict[str, str]:
    """The variables by which a process of a run finds its brokers and its run."""
    return HarnessEnvironment(
        run_dir=run_dir, client_config_json=json.dumps(dict(client_config))
    ).variables()


def _text(value: Any) -> str:
    """A JSON value as librdkafka spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
