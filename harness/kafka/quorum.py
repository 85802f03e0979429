"""Which node is the active controller: asked by DescribeQuorum (KIP-595), which librdkafka lacks.

Any broker takes the request and passes it on to the leader of the metadata quorum, which is the
active controller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from kio.schema.describe_quorum.v0.request import DescribeQuorumRequest, PartitionData, TopicData
from kio.schema.describe_quorum.v0.response import DescribeQuorumResponse
from kio.schema.types import TopicName
from kio.static.primitive import i32

from harness.errors import FaultError
from harness.kafka.address import Address
from harness.kafka.wire import ask

_REQUEST = DescribeQuorumRequest(
    topics=(
        TopicData(
            topic_name=TopicName("__cluster_metadata"),
            partitions=(PartitionData(partition_index=i32(0)),),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Quorum:
    """The metadata quorum at one moment."""

    leader: int
    """The active controller's node id; -1 while there is none."""
    epoch: int


def quorum_of(answer: DescribeQuorumResponse) -> Quorum:
    """What an answer says. Raises FaultError for a refusal."""
    parts = [part for topic in answer.topics for part in topic.partitions]
    code = int(answer.error_code or next((part.error_code for part in parts), 0))
    if code or not parts:
        raise FaultError(
            f"asking for the active controller: the brokers answered error {code} "
            "(31: the user lacks Describe on the cluster)."
        )
    return Quorum(int(parts[0].leader_id), int(parts[0].leader_epoch))


def describe_quorum(
    address: Address, settings: Mapping[str, str], timeout_s: float = 5.0
) -> Quorum:
    """The quorum, asked of the broker at `address`. Raises FaultError when it does not answer."""
    try:
        return quorum_of(
            asyncio.run(ask(address, _REQUEST, DescribeQuorumResponse, timeout_s, settings))
        )
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise FaultError(
            f"asking {address[0]}:{address[1]} for the active controller: {reason}."
        ) from error
