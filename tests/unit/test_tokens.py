"""API tokens: what a secret looks like to a scanner, and what is kept of it."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry_server.domain import tokens
from tenantry_server.domain.tokens import TokenKind


@pytest.mark.parametrize("kind", TokenKind)
def test_a_scanner_finds_a_secret_in_whatever_surrounds_it(kind: TokenKind) -> None:
    secret = tokens.mint(kind)
    found = re.findall(tokens.SCANNER, f'curl -H "Authorization: Bearer {secret}" # {secret}\n')
    assert found == [secret, secret]
    assert secret.startswith(f"tnt_{kind}_")


@pytest.mark.parametrize("kind", TokenKind)
def test_what_is_kept_is_the_digest(kind: TokenKind) -> None:
    secret = tokens.mint(kind)
    assert tokens.digest(secret) == hashlib.sha256(secret.encode()).hexdigest()


def test_no_two_secrets_are_the_same() -> None:
    assert len({tokens.mint(TokenKind.USER) for _ in range(1000)}) == 1000


@given(st.integers(min_value=8, max_value=56), st.sampled_from("0123456789ABCDEFxyz"))
def test_a_secret_with_a_changed_character_is_none(place: int, character: str) -> None:
    secret = tokens.mint(TokenKind.USER)
    changed = secret[:place] + character + secret[place + 1 :]
    assert (tokens.digest(changed) is None) == (changed != secret)


@given(st.text())
def test_any_other_text_is_no_secret(text: str) -> None:
    assert tokens.digest(text) is None


@pytest.mark.parametrize("more", ["\n", " ", "x", "\0"])
def test_a_secret_with_something_behind_or_before_it_is_none(more: str) -> None:
    secret = tokens.mint(TokenKind.ORGANIZATION)
    assert tokens.digest(secret + more) is None
    assert tokens.digest(more + secret) is None


def test_the_kind_is_under_the_checksum() -> None:
    secret = tokens.mint(TokenKind.USER)
    assert tokens.digest(secret.replace("tnt_usr_", "tnt_org_")) is None
