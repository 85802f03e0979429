"""What each user of k8s/base/users may do to a topic of runs, tried one by one.

    python -m tests.kubernetes.strimzi.identities parts TOPIC
    python -m tests.kubernetes.strimzi.identities throttled TOPIC USER…

KAFKA_CLIENT in the environment holds librdkafka's settings of each user, as JSON. The user
`harness` makes the topic and deletes it. The last line says what came of it, as JSON: of `parts`
the answer to each deed, `done` or Kafka's name of the refusal; of `throttled` the longest time for
which a broker held a producer of each user back, in ms.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

DONE: Final = "done"
WAIT_S: Final = 30.0
_PORTION: Final = bytes(200_000)
_PORTIONS: Final = 10
Settings = dict[str, Any]


def answer(deed: Callable[[], Any]) -> str:
    """`done`, or Kafka's name of why not."""
    try:
        deed()
    except KafkaException as error:
        return str(error.args[0].name())
    return DONE


def create(settings: Settings, topic: str) -> None:
    """One partition, three replicas."""
    client = AdminClient(settings)
    client.create_topics([NewTopic(topic, 1, 3)])[topic].result(WAIT_S)


def delete(settings: Settings, topic: str) -> None:
    client = AdminClient(settings)
    client.delete_topics([topic])[topic].result(WAIT_S)


def write(settings: Settings, topic: str, transactional_id: str = "") -> None:
    """A record, in a transaction where an id is given.

    Without one it is sent without idempotence: who may write no topic at all gets no producer id,
    and the client would end by that instead of by the topic's refusal.
    """
    more = {"transactional.id": transactional_id} if transactional_id else {}
    producer = Producer({**settings, **more, "message.timeout.ms": 20_000})
    errors: list[Any] = []
    if transactional_id:
        producer.init_transactions(WAIT_S)
        producer.begin_transaction()
    producer.produce(topic, b"value", on_delivery=lambda error, _: errors.append(error))
    producer.flush(WAIT_S)
    assert errors, "no report within the time"
    if errors[0] is not None:  # an error must not be compared with None by ==
        raise KafkaException(errors[0])
    if transactional_id:
        producer.commit_transaction(WAIT_S)


def read(settings: Settings, topic: str, *, group: str, member: bool) -> None:
    """A record, as a member that commits or by assignment from the beginning."""
    consumer = Consumer({**settings, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False})  # fmt: skip
    try:
        if member:
            consumer.subscribe([topic])
        else:
            consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            if member:
                consumer.commit(message=message, asynchronous=False)
            return
        raise TimeoutError(f"{topic}: no record and no error in {WAIT_S:g} s")
    finally:
        consumer.close()


def parts(users: dict[str, Settings], topic: str) -> dict[str, str]:
    """The answer to each deed of each user."""
    producer, consumer = users["harness-producer"], users["harness-consumer"]
    verifier, whole = users["harness-verifier"], users["harness"]
    found = {"harness creates": answer(lambda: create(whole, topic))}
    found |= {
        "producer creates": answer(lambda: create(producer, f"{topic}-2")),
        "producer writes": answer(lambda: write(producer, topic)),
        "producer commits": answer(lambda: write(producer, topic, f"{topic}-id")),
        "producer uses another's id": answer(lambda: write(producer, topic, "another-id")),
        "producer reads": answer(lambda: read(producer, topic, group=topic, member=False)),
        "consumer reads": answer(lambda: read(consumer, topic, group=topic, member=True)),
        "consumer writes": answer(lambda: write(consumer, topic)),
        "consumer joins another's group": answer(
            lambda: read(consumer, topic, group="another-group", member=True)
        ),
        "verifier reads": answer(lambda: read(verifier, topic, group=topic, member=False)),
        "verifier writes": answer(lambda: write(verifier, topic)),
        "verifier deletes": answer(lambda: delete(verifier, topic)),
    }
    return {**found, "harness deletes": answer(lambda: delete(whole, topic))}


def longest_throttle_ms(settings: Settings, topic: str) -> int:
    """How long a broker holds a producer back that sends 2 MB at once, at most."""
    seen = [0]
    producer = Producer({
        **settings, "linger.ms": 0, "message.max.bytes": 1_000_000,
        "throttle_cb": lambda event: seen.append(round(1000 * event.throttle_time)),
    })  # fmt: skip
    for _ in range(_PORTIONS):
        producer.produce(topic, _PORTION)
    deadline = time.monotonic() + WAIT_S
    while len(producer) and max(seen) == 0 and time.monotonic() < deadline:
        producer.poll(0.1)
    producer.purge()
    producer.flush(1)
    return max(seen)


def throttled(users: dict[str, Settings], topic: str, names: list[str]) -> dict[str, int]:
    """User → the longest time for which it was held back, in ms."""
    create(users["harness"], topic)
    try:
        return {name: longest_throttle_ms(users[name], topic) for name in names}
    finally:
        delete(users["harness"], topic)


def main() -> int:
    users = json.loads(os.environ["KAFKA_CLIENT"])
    what, topic, *names = sys.argv[1:]
    found = parts(users, topic) if what == "parts" else throttled(users, topic, names)
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
