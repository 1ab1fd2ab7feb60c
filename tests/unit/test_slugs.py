"""Slugs: made from any name, fit for an address."""

from __future__ import annotations

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry_server.domain import slugs

GOOD = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Corp", "acme-corp"),
        ("  Acme -- Corp!  ", "acme-corp"),
        ("Ærøskøbing", "rskbing"),
        ("Ünïted Nâtions", "united-nations"),
        ("ﬁne ①", "fine-1"),
        ("a" * 60, "a" * 48),
        ("b" * 47 + " c", "b" * 47),
    ],
)
def test_the_nicest_slug_is_the_name_in_plain_letters(name: str, slug: str) -> None:
    assert next(slugs.candidates(name)) == slug


@pytest.mark.parametrize("name", ["Admin", "API", "me", "new", "Organizations", "x", "日本", "---", ""])
def test_reserved_short_and_unreadable_names_get_an_ending(name: str) -> None:
    first = next(slugs.candidates(name))
    assert re.fullmatch(r".+-[a-hj-km-np-z2-9]{5}", first)
    assert first not in slugs.RESERVED


@given(st.text(max_size=200))
def test_every_candidate_of_every_name_is_fit_for_an_address(name: str) -> None:
    for slug in islice(slugs.candidates(name), 5):
        assert GOOD.fullmatch(slug)
        assert 2 <= len(slug) <= 63
        assert slug not in slugs.RESERVED


def test_candidates_do_not_run_out_and_do_not_repeat() -> None:
    found = list(islice(slugs.candidates("Acme"), 50))
    assert len(set(found)) == 50
