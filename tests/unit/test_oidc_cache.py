"""Verified tokens are remembered: once verified, until they are over, and so many of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from support.clock import MovableClock
from support.issuer import IdentityProvider
from support.verifiers import outcome

from tenantry_server.domain.errors import InvalidCredential
from tenantry_server.oidc import verifier as verifiers
from tenantry_server.oidc.cache import Cache
from tenantry_server.oidc.claims import Claims
from tenantry_server.oidc.verifier import Verifier

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every token whose signature was verified."""
    tokens: list[str] = []
    decode = jwt.decode

    def counting(token: str, *arguments: Any, **options: Any) -> Any:
        tokens.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    return tokens


def claims(number: int, lifetime: timedelta = timedelta(hours=1)) -> Claims:
    """What some token says."""
    return Claims(
        issuer="https://id.example",
        subject=f"user-{number}",
        email=None,
        email_verified=False,
        name=None,
        issue_time=None,
        expire_time=NOW + lifetime,
    )


def digest(number: int) -> bytes:
    """The name of some token."""
    return number.to_bytes(32)


def test_a_token_is_verified_once(provider: IdentityProvider, verifier: Verifier, decoded: list[str]) -> None:
    one, other = provider.sign(), provider.sign(jti="other")
    first = verifier.verify(one)
    assert all(verifier.verify(one) is first for _ in range(10))
    assert verifier.verify(other) is not first
    assert decoded == [one, other]


def test_a_token_that_is_refused_is_verified_each_time(
    provider: IdentityProvider, verifier: Verifier, decoded: list[str]
) -> None:
    token = provider.sign(aud="other")
    for _ in range(3):
        assert isinstance(outcome(verifier, token), InvalidCredential)
    assert decoded == [token] * 3
    assert len(verifier._cache._known) == 0


def test_a_token_is_forgotten_when_it_is_over(
    provider: IdentityProvider, verifier: Verifier, decoded: list[str], clock: MovableClock
) -> None:
    token = provider.sign()
    end = verifier.verify(token).expire_time
    clock.stopped = end - timedelta(milliseconds=1)
    assert verifier.verify(token)
    assert len(decoded) == 1
    clock.stopped = end
    assert isinstance(outcome(verifier, token), InvalidCredential)
    assert len(verifier._cache._known) == 0


def test_the_longest_unused_is_forgotten_first() -> None:
    cache = Cache(3)
    for number in range(3):
        cache.put(digest(number), claims(number))
    assert cache.find(digest(0), NOW) == claims(0)
    cache.put(digest(3), claims(3))
    assert [number for number in range(4) if cache.find(digest(number), NOW)] == [0, 2, 3]
    cache.put(digest(2), claims(2))
    assert len(cache._known) == 3


def test_so_many_are_remembered_and_no_more(provider: IdentityProvider, verifier: Verifier, decoded: list[str]) -> None:
    assert verifiers._CACHED == 4096
    for number in range(4096):
        verifier._cache.put(digest(number), claims(number))
    token = provider.sign()
    for _ in range(2):
        verifier.verify(token)
    assert decoded == [token]
    assert len(verifier._cache._known) == 4096
    assert verifier._cache.find(digest(0), NOW) is None


def test_threads_share_it_without_mixing_tokens_up() -> None:
    cache, numbers = Cache(20), range(50)

    def run(seed: int) -> list[Any]:
        wrong = []
        for step in range(2000):
            number = numbers[(seed + step * 7) % len(numbers)]
            found = cache.find(digest(number), NOW + timedelta(seconds=step % 3))
            if found not in (None, claims(number, timedelta(seconds=2))):
                wrong.append((number, found))
            cache.put(digest(number), claims(number, timedelta(seconds=2)))
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert [wrong for found in pool.map(run, range(8)) for wrong in found] == []
    assert len(cache._known) <= 20
