"""Pages: complete, without repetition, and by tokens that are good for one list alone."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.domain.paging import PageTokens
from tenantry_server.services.service import PageRequest

TOKENS = PageTokens(b"k" * 32)
SCOPE = "method|caller|organization"


def read_all(rows: list[str], size: int) -> list[list[str]]:
    """Every page of a list, as a service reads it: one row more than the page holds."""
    pages, token = [], ""
    while True:
        after = TOKENS.position(SCOPE, token)
        page = TOKENS.page(SCOPE, size, [row for row in rows if row > after][: size + 1], str)
        pages.append(list(page.items))
        if not (token := page.next_page_token):
            return pages


@given(st.sets(st.text(min_size=1, max_size=30)), st.integers(min_value=1, max_value=7))
def test_pages_hold_every_row_once_and_are_full_but_for_the_last(keys: set[str], size: int) -> None:
    rows = sorted(keys)
    pages = read_all(rows, size)
    assert [row for page in pages for row in page] == rows
    assert all(len(page) == size for page in pages[:-1])
    assert pages[-1] or not rows


def test_without_a_token_the_list_begins_where_it_is_told_to() -> None:
    assert TOKENS.position(SCOPE, "") == ""
    assert TOKENS.position(SCOPE, "", start="9") == "9"


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_a_token_is_good_for_its_own_list_alone(scope: str, other: str, key: str) -> None:
    token = TOKENS.page(scope, 1, [key, "more"], str).next_page_token
    assert TOKENS.position(scope, token) == key
    if other != scope:
        with pytest.raises(InvalidRequest):
            TOKENS.position(other, token)


@given(st.text(max_size=20), st.text(max_size=20))
def test_scope_and_position_do_not_run_into_each_other(scope: str, key: str) -> None:
    token = TOKENS.page(scope + "x", 1, [key, "more"], str).next_page_token
    with pytest.raises(InvalidRequest):
        TOKENS.position(scope, token)


@given(st.text(max_size=200))
def test_nobody_makes_a_token_up(token: str) -> None:
    if token:
        with pytest.raises(InvalidRequest) as refusal:
            TOKENS.position(SCOPE, token)
        assert [(v.field, v.rule) for v in refusal.value.violations] == [("page_token", "PAGE_TOKEN")]


def test_a_token_with_another_position_under_its_signature_is_refused() -> None:
    token = TOKENS.page(SCOPE, 1, ["a", "b"], str).next_page_token
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    forged = base64.urlsafe_b64encode(raw[:16] + b"z").decode().rstrip("=")
    with pytest.raises(InvalidRequest):
        TOKENS.position(SCOPE, forged)


def test_another_servers_key_does_not_open_it() -> None:
    token = PageTokens(b"other").page(SCOPE, 1, ["a", "b"], str).next_page_token
    with pytest.raises(InvalidRequest):
        TOKENS.position(SCOPE, token)


@pytest.mark.parametrize(("size", "limit"), [(0, 100), (1, 1), (1000, 1000)])
def test_no_size_stands_for_the_default(size: int, limit: int) -> None:
    assert PageRequest(size).limit == limit
