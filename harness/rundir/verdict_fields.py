"""Types of fields in verdict.json and aggregate.json, with what their values can be.

The JSON Schemas are made from them, and a verdict that is read back is held against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

from harness.anomalies import ANOMALIES, PROMISES
from harness.profiles.threshold import CANONICAL, COMPARISONS, FIGURES

OUTCOMES: Final = (
    "attempted",
    "acked",
    "failed",
    "unknown",
    "unknown_present",
    "sent",
    "read",
    "foreign",
)
OF_DUPLICATES: Final = "duplicate_live"
"""How many of the duplicates are copies that only the live reader saw."""
UNACCOUNTED: Final = "unaccounted"
"""Records that the drain returned of producers whose ledger never arrived."""
COUNTS: Final = (*OUTCOMES, *ANOMALIES, OF_DUPLICATES, UNACCOUNTED)
"""The keys of `counts` in verdict.json, in order."""


def one_of(*values: str) -> Meta:
    """One of these words."""
    return Meta(extra_json_schema={"enum": list(values)})


Count: TypeAlias = Annotated[int, Meta(ge=0)]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
NotNegative: TypeAlias = Annotated[float, Meta(ge=0)]
Rate: TypeAlias = Annotated[float, Meta(gt=0)]
FaultBound: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
"""An upper bound of a chance."""
Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Sentence: TypeAlias = Annotated[str, Meta(min_length=1)]
Instant: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$",
        extra_json_schema={"format": "date-time"},
    ),
]
"""RFC 3339 in UTC."""
RunName: TypeAlias = Annotated[
    str, Meta(extra_json_schema={"pattern": "^[a-z0-9][a-z0-9-]{0,62}$"})
]
Role: TypeAlias = Annotated[str, one_of("subject", "control")]
AnomalyName: TypeAlias = Annotated[str, one_of(*ANOMALIES)]
PromiseName: TypeAlias = Annotated[
    str,
    Meta(extra_json_schema={"anyOf": [{"enum": list(PROMISES)}, {"pattern": CANONICAL}]}),
]
"""`no_` and an anomaly, or a threshold."""
FigureName: TypeAlias = Annotated[str, one_of(*FIGURES)]
Comparison: TypeAlias = Annotated[str, one_of(*COMPARISONS)]
ConsumeMode: TypeAlias = Annotated[
    str, one_of("commit-before", "commit-after", "auto", "stored", "transactional", "share")
]
GroupProtocol: TypeAlias = Annotated[str, one_of("classic", "consumer")]
ByFault: TypeAlias = dict[str, Positive]
_NUMBERS: Final = (
    "offset", "leader", "leader_epoch", "producer", "sequence", "transaction", "member", "broker",
)  # fmt: skip
StoryEvent: TypeAlias = Annotated[
    dict[str, Any],
    Meta(
        extra_json_schema={
            "additionalProperties": {"type": ["integer", "string"]},
            "required": ["at", "what"],
            "properties": {
                "at": {
                    "description": "Null where the record does not tell when.",
                    "oneOf": [{"type": "null"}, {"type": "string", "format": "date-time"}],
                },
                "what": {"type": "string"},
                **{name: {"type": "integer"} for name in _NUMBERS},
                "fault_id": {"type": "string"},
                "fault": {"type": "string"},
            },
        }
    ),
]
"""One event of the story of an anomaly."""
ReplicaAnswer: TypeAlias = Annotated[
    dict[str, Any],
    Meta(
        extra_json_schema={
            "additionalProperties": False,
            "required": ["held", "broker", "offset", "leader_epoch", "fault_id", "text"],
            "properties": {
                "held": {
                    "description": "present: a replica's log holds it; truncated: a dead broker's "
                    "log held it, no log does now; never: it reached no log; unknown: not "
                    "every log was read.",
                    "enum": ["present", "truncated", "never", "unknown"],
                },
                **{n: {"type": ["integer", "null"]} for n in ("broker", "offset", "leader_epoch")},
                "fault_id": {"type": ["string", "null"]},
                "text": {"type": "string"},
            },
        }
    ),
]
"""What the brokers' log files showed of a lost record."""
