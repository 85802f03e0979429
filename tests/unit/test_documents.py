"""JSON as the standard has it: what is parsed fast is what the strict parser says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.rundir.documents import parse_json

TEXT = st.text(st.sampled_from('ab":\\ ,{'), max_size=6)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXT, inside, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1, "a": 2}',
        b'{"a" : 1, "a" : 2}',
        b'{"a":1,"a" :2}',
        b'[{"b":{"a":1,"a":1}}]',
        b'{"a":1,"a" :"\\":"}',
    ],
)
def test_a_key_that_stands_twice_is_damage(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="twice"):
        parse_json(damaged)


@pytest.mark.parametrize("damaged", [b"NaN", b'{"a":Infinity}', b"", b'{"a":1', b'"\xff"'])
def test_what_the_standard_does_not_have_is_damage(damaged: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each parser has words of its own
        parse_json(damaged)


@given(DOCUMENTS, st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
def test_a_document_is_what_the_standard_library_reads(
    document: object, separators: tuple[str, str]
) -> None:
    written = json.dumps(document, separators=separators)
    assert parse_json(written.encode()) == json.loads(written)
