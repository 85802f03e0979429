"""Records as JSON events, whose values are of many lengths and may be written anew on their way.

    {"checksum":"<16 hex digits>","id":"<UUID>","payload":{…},"sent_us":<µs since the epoch>}

id: the identity, a UUID of version 8 (`harness.record.uuid8` says which bits go where). sent_us:
the intended send time. checksum: BLAKE2b with 8 bytes over the canonical form of everything else.

The canonical form is what `canonical` makes of `{"id", "payload", "sent_us"}`: members sorted by
name, no white space, every character beyond ASCII escaped. So a value that something parsed and
wrote anew, with its members in another order or with white space, is intact, and one of which any
name, text or number changed is not. Numbers with a fraction or an exponent are not accepted: what
writes them anew may choose other digits for the same number. Neither are a member that occurs
twice in one object, a further member beside these four, and what is no JSON.

No client library is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from harness.record.codec import IDENTITY, Attempts, Decoded, Limits, run_hash
from harness.record.uuid8 import LIMITS, UUID, heads_of, uuid_of, uuids

MEMBERS: Final = frozenset(("checksum", "id", "payload", "sent_us"))
_CHECKSUM_BYTES: Final = 8
_SENT_US_MAX: Final = 2**64 - 1
_FILLER_ROWS: Final = 256
_WITHOUT_TEXT: Final = len(
    '{"checksum":"0123456789abcdef","id":"01234567-0123-8123-8123-0123456789ab",'
    '"payload":{"text":""},"sent_us":1234567890123456}'
)
MESSAGE_BYTES_MIN: Final = _WITHOUT_TEXT


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member occurs twice in one object")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no whole number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse
)
_ENCODER: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)


def canonical(document: Any) -> bytes:
    """The one way to write a JSON document of objects, lists, texts, whole numbers, true, false and
    null: members sorted, no white space, ASCII alone."""
    return _ENCODER.encode(document).encode()


def checksum(body: bytes) -> str:
    """16 hex digits over the canonical form of an event without its checksum."""
    return blake2b(body, digest_size=_CHECKSUM_BYTES).hexdigest()


class JsonFiller:
    """Payloads of one incarnation: texts of many lengths, random from `seed`."""

    def __init__(self, run_id: str, incarnation: int, message_bytes: int, seed: int) -> None:
        """The lengths of values are spread evenly around `message_bytes`."""
        if message_bytes < MESSAGE_BYTES_MIN:
            raise ValueError(
                f"a message of {message_bytes} bytes cannot hold a JSON event, which takes "
                f"{MESSAGE_BYTES_MIN} bytes without any payload"
            )
        LIMITS.check_incarnation(incarnation)
        self.run = run_hash(run_id) >> 32
        self.incarnation = incarnation
        generator = np.random.Generator(np.random.PCG64(seed))
        lengths = generator.integers(0, 2 * (message_bytes - _WITHOUT_TEXT) + 1, _FILLER_ROWS)
        texts = [generator.integers(65, 91, size=size, dtype=np.uint8) for size in lengths]
        self.payloads = [f'{{"text":"{text.tobytes().decode()}"}}' for text in texts]


class JsonCodec:
    """Events in JSON; see `harness.record.codec.Codec`."""

    name: Final = "json"
    limits: Final[Limits] = LIMITS
    message_bytes_min: Final = MESSAGE_BYTES_MIN
    own_heads: Final = None

    def run_number(self, run_id: str) -> int:
        return run_hash(run_id) >> 32

    def filler(self, run_id: str, incarnation: int, message_bytes: int, seed: int) -> JsonFiller:
        return JsonFiller(run_id, incarnation, message_bytes, seed)

    def encode(self, attempts: Attempts, filler: JsonFiller) -> list[bytes]:
        self.limits.check(attempts)
        rows = (attempts.sequences % np.uint64(_FILLER_ROWS)).tolist()
        bodies = [
            f'"id":"{text}","payload":{filler.payloads[row]},"sent_us":{sent_us}}}'
            for text, row, sent_us in zip(
                uuids(filler.run, filler.incarnation, attempts),
                rows,
                attempts.intended_us.tolist(),
                strict=True,
            )
        ]
        return [
            f'{{"checksum":"{checksum(b"{" + body.encode())}",{body}'.encode() for body in bodies
        ]

    def decode(self, messages: Sequence[bytes | None]) -> Decoded:
        heads = np.zeros(len(messages), dtype=IDENTITY)
        intact = np.zeros(len(messages), dtype=np.bool_)
        places: list[int] = []
        texts: list[str] = []
        sent_us: list[int] = []
        for place, value in enumerate(messages):
            event = _event(value)
            if event is not None:
                places.append(place)
                texts.append(event["id"])
                sent_us.append(event["sent_us"])
        if places:
            heads[places] = heads_of(texts, sent_us)
            intact[places] = True
        return Decoded(heads, intact)

    def pattern(self, head: np.void) -> bytes:
        """The text of its UUID."""
        return uuid_of(head).encode()


def _event(value: bytes | None) -> dict[str, Any] | None:
    """The event of a value; None where it is not intact."""
    try:
        event = _DECODER.decode((value or b"").decode())
        if not isinstance(event, dict) or event.keys() != MEMBERS:
            return None
        said, text, sent_us = event.pop("checksum"), event["id"], event["sent_us"]
        if not (isinstance(text, str) and UUID.fullmatch(text)):
            return None
        if type(sent_us) is not int or not 0 <= sent_us <= _SENT_US_MAX:
            return None
        return event if said == checksum(canonical(event)) else None
    except (ValueError, RecursionError):
        return None
