"""Ids: two spellings of the same 128 bits."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry_server.domain import ids

NUMBERS = st.integers(min_value=0, max_value=2**128 - 1)
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(number: int) -> str:
    """The ULID of a number, spelt out by the book: 26 digits of five bits."""
    return "".join(CROCKFORD[number >> 5 * place & 31] for place in reversed(range(26)))


@given(NUMBERS)
def test_a_ulid_and_a_uuid_of_the_same_bits_are_the_same_id(number: int) -> None:
    text = str(uuid.UUID(int=number))
    assert ids.find(ulid(number)) == ids.find(text) == ulid(number)
    assert ids.to_uuid(ulid(number)) == text


@given(NUMBERS, st.sampled_from([str.upper, str.lower, str.title]))
def test_letter_case_does_not_matter(number: int, spell: object) -> None:
    assert callable(spell)
    assert ids.find(spell(ulid(number))) == ids.find(spell(str(uuid.UUID(int=number)))) == ulid(number)


@given(st.text())
def test_any_other_text_is_no_id(text: str) -> None:
    found = ids.find(text)
    assert found is None or ids.find(found) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 25,
        "0" * 27,
        "8" + "0" * 25,  # more than 128 bits
        "I" + "0" * 25,  # letters that Crockford leaves out
        "0" * 25 + "L",
        "0" * 25 + "O",
        "0" * 25 + "U",
        " " + "0" * 26,
        "0" * 26 + "\n",
        "00000000000000000000000000000000",
        "{00000000-0000-0000-0000-000000000000}",
        "00000000-0000-0000-0000-00000000000g",
        "0" * 25 + "ſ",  # whose capital is S
        "0" * 24 + "ß",  # whose capitals are two
        "００００００００００００００００００００００００００",
    ],
)
def test_what_is_nearly_an_id_is_none(text: str) -> None:
    assert ids.find(text) is None
    assert ids.find_or_nil(text) == ids.NIL


def test_fresh_ids_differ_and_grow_with_time() -> None:
    first, *rest = (ids.new() for _ in range(1000))
    assert len({first, *rest}) == 1000
    assert all(ids.find(fresh) == fresh for fresh in rest)
    assert first[:10] <= rest[-1][:10]


def test_the_nil_id_is_well_formed_and_never_fresh() -> None:
    assert ids.find(ids.NIL) == ids.NIL
    assert ids.to_uuid(ids.NIL) == str(uuid.UUID(int=0))
    assert ids.new()[:2] != ids.NIL[:2]
