"""Keys that come and go: rotation, refetches that strangers cannot multiply, calls that do not wait, providers down."""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support.clock import MovableClock
from support.gateway import eventually
from support.issuer import DISCOVERY, KEYS, PATIENCE, IdentityProvider, SigningKey
from support.verifiers import Stopwatch, keep_log, key_set, outcome, verifying

from tenantry_server.domain.errors import IdentityProviderUnavailable, InvalidCredential
from tenantry_server.oidc import fetch, keys, refresher
from tenantry_server.oidc.claims import Claims
from tenantry_server.oidc.issuers import Issuer
from tenantry_server.oidc.keys import RemoteKeySet
from tenantry_server.oidc.verifier import Verifier


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Time between fetches, which stands."""
    return Stopwatch(monkeypatch)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits, waits as long as the test does."""
    monkeypatch.setattr(refresher, "_LONGEST_WAIT", PATIENCE)
    monkeypatch.setattr(fetch, "_TIMEOUT", PATIENCE)


def by_unknown_key(provider: IdentityProvider) -> str:
    """A token that names a key which nobody has."""
    return provider.sign(key=SigningKey("ES256"))


def is_unavailable(found: Any, provider: IdentityProvider) -> bool:
    """Whether it says that this provider's keys cannot be had."""
    return isinstance(found, IdentityProviderUnavailable) and found.metadata == {"issuer": provider.url}


def test_keys_are_found_through_discovery_or_at_their_url(provider: IdentityProvider, clock: MovableClock) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        assert verifier.verify(provider.sign())
    assert dict(provider.requests) == {DISCOVERY: 1, KEYS: 1}
    with verifying(provider.issuer(jwks_url=provider.url + KEYS), clock=clock) as verifier:
        assert verifier.verify(provider.sign())
    assert dict(provider.requests) == {DISCOVERY: 1, KEYS: 2}


def test_a_new_key_is_fetched_when_a_token_names_it(provider: IdentityProvider, verifier: Verifier, patient: None) -> None:
    provider.rotate("RS256")
    assert verifier.verify(provider.sign())
    assert provider.fetches == 2


def test_a_key_that_nobody_has_is_refused_after_one_look(provider: IdentityProvider, verifier: Verifier, patient: None) -> None:
    assert isinstance(outcome(verifier, by_unknown_key(provider)), InvalidCredential)
    assert provider.fetches == 2


def test_strangers_tokens_have_the_keys_fetched_once_in_thirty_seconds(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None
) -> None:
    tokens = [by_unknown_key(provider) for _ in range(200)]
    with verifying(provider.issuer(), clock=clock) as verifier, ThreadPoolExecutor(8) as pool:

        def kinds() -> set[type]:
            return {type(found) for found in pool.map(lambda token: outcome(verifier, token), tokens)}

        for step in (0, 29.9):
            stopwatch.now += step
            assert kinds() == {InvalidCredential, IdentityProviderUnavailable}, "one was looked for, and the others were not"
            assert provider.fetches == 2
        stopwatch.advance(0.1, verifier)
        eventually(lambda: key_set(verifier, provider.url).due == stopwatch.now + 300, "they are fetched for the others")
        for step, most in ((0, 3), (29.9, 3), (0.1, 4), (29.9, 4)):
            stopwatch.advance(step, verifier)
            assert InvalidCredential in kinds()
            assert 3 <= provider.fetches <= most


def test_a_key_first_used_just_after_a_strangers_refetch_is_looked_for_once_that_may_be(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None
) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        stranger = by_unknown_key(provider)
        assert isinstance(outcome(verifier, stranger), InvalidCredential)
        provider.rotate()
        token, other = provider.sign(), by_unknown_key(provider)
        for _ in range(2):
            assert is_unavailable(outcome(verifier, token), provider), "nobody has looked for its key yet"
            assert is_unavailable(outcome(verifier, other), provider)
            assert isinstance(outcome(verifier, stranger), InvalidCredential)
        stopwatch.advance(29.9, verifier)
        assert is_unavailable(outcome(verifier, token), provider)
        assert provider.fetches == 2
        stopwatch.advance(0.1, verifier)
        eventually(lambda: provider.current in key_set(verifier, provider.url)._keys, "it is fetched though nobody calls")
        assert isinstance(outcome(verifier, token), Claims)
        assert isinstance(outcome(verifier, other), InvalidCredential)
        assert provider.fetches == 3


def test_a_token_that_comes_early_waits_for_nothing(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        assert isinstance(outcome(verifier, by_unknown_key(provider)), InvalidCredential)
        monkeypatch.setattr(verifier._refresher, "wait_until", lambda is_over: 1 / 0)
        assert is_unavailable(outcome(verifier, by_unknown_key(provider)), provider)


def test_a_key_that_is_published_after_it_was_missed_is_found_half_a_minute_later(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None
) -> None:
    early = SigningKey("ES256")
    with verifying(provider.issuer(), clock=clock) as verifier:
        assert isinstance(outcome(verifier, provider.sign(key=early)), InvalidCredential)
        provider.publish(early)
        stopwatch.now += 29.9
        assert isinstance(outcome(verifier, provider.sign(key=early)), InvalidCredential), "lately it was not there"
        stopwatch.now += 0.1
        assert isinstance(outcome(verifier, provider.sign(key=early)), Claims)


def test_a_flood_of_unknown_keys_takes_no_more_than_so_much_memory_and_hides_no_key(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_MOST", 3)
    with verifying(provider.issuer(), clock=clock) as verifier:
        known = key_set(verifier, provider.url)
        assert isinstance(known, RemoteKeySet)
        tokens = [by_unknown_key(provider) for _ in range(10)]
        provider.rotate()
        tokens.append(provider.sign())
        for _ in range(3):
            for token in tokens:
                outcome(verifier, token)
            assert len(known._asked) <= 3
            assert len(known._absent) <= 3
            stopwatch.advance(30, verifier)
        eventually(lambda: isinstance(outcome(verifier, tokens[-1]), Claims), "the genuine one is found")


def test_one_call_waits_for_the_provider_and_the_others_do_not(
    provider: IdentityProvider, clock: MovableClock, patient: None
) -> None:
    other = IdentityProvider(clock)
    tokens = [by_unknown_key((provider, other)[number % 2]) for number in range(200)]
    good = provider.sign()
    with verifying(provider.issuer(), other.issuer(), clock=clock) as verifier, ThreadPoolExecutor(8) as pool:
        with provider.holding(), other.holding():
            running: list[Future[Any]] = [pool.submit(outcome, verifier, token) for token in tokens]
            eventually(lambda: sum(each.done() for each in running) == 199, "all but one are answered")
            assert verifier.verify(good), "who brings a key that is there is not held up"
            waiting = next(each for each in running if not each.done())
            answered = [each.result() for each in running if each.done()]
            assert all(is_unavailable(each, provider) or is_unavailable(each, other) for each in answered)
        assert isinstance(waiting.result(PATIENCE), InvalidCredential), "it got its answer"
    other.close()


def test_who_waited_in_vain_is_told_to_come_again(
    provider: IdentityProvider, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresher, "_LONGEST_WAIT", 0.01)
    provider.rotate()
    token = provider.sign()
    with provider.holding():
        assert is_unavailable(outcome(verifier, token), provider)
        assert is_unavailable(outcome(verifier, token), provider)
    eventually(lambda: isinstance(outcome(verifier, token), Claims), "the fetch went on, and brought the key")
    assert provider.fetches == 2


def test_a_fetch_that_began_before_a_key_was_asked_for_does_not_answer_for_it(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None
) -> None:
    seen, release, jwks = Event(), Event(), provider.jwks

    def slowly() -> bytes:
        stale = jwks()
        if provider.fetches == 2:
            seen.set()
            release.wait(PATIENCE)
        return stale

    provider.jwks = slowly  # type: ignore[method-assign]
    with verifying(provider.issuer(), clock=clock) as verifier, ThreadPoolExecutor(1) as pool:
        stopwatch.advance(300, verifier)
        assert seen.wait(PATIENCE)
        provider.rotate()
        running = pool.submit(outcome, verifier, provider.sign())
        eventually(lambda: verifier._refresher._is_waited_for, "it waits")
        release.set()
        assert isinstance(running.result(PATIENCE), Claims)
    assert provider.fetches == 3


class Traffic:
    """Threads that verify fresh tokens until they are stopped, and what came of it by key."""

    def __init__(self, provider: IdentityProvider, verifier: Verifier, threads: int) -> None:
        self.verified: Counter[tuple[int, str]] = Counter()
        self.refused: list[Any] = []
        self._provider, self._verifier = provider, verifier
        self._stop = Event()
        self._pool = ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._run, number) for number in range(threads)]

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            key = self._provider.key
            found = outcome(self._verifier, self._provider.sign(key=key, jti=f"{number}-{sum(self.verified.values())}"))
            if isinstance(found, Claims):
                self.verified[number, key.kid] += 1
            else:
                self.refused.append(found)

    def reached(self, kid: str) -> bool:
        """Whether every thread has verified a token with the key."""
        return all(self.verified[number, kid] for number in range(len(self._running)))

    def stop(self) -> None:
        """Ends it."""
        self._stop.set()
        self._pool.shutdown()
        for each in self._running:
            each.result()


def rotate_under_traffic(provider: IdentityProvider, verifier: Verifier, stopwatch: Stopwatch, rounds: int) -> Traffic:
    """Publishes and uses a new key, so many times, once everybody has used the last one."""
    traffic = Traffic(provider, verifier, 4)
    try:
        for _ in range(rounds):
            eventually(lambda: traffic.reached(provider.current) or None, "every thread verifies")
            stopwatch.now += 30
            provider.rotate()
        eventually(lambda: traffic.reached(provider.current) or None, "every thread verifies")
    finally:
        traffic.stop()
    return traffic


def test_no_valid_token_is_called_invalid_while_keys_rotate(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None
) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        traffic = rotate_under_traffic(provider, verifier, stopwatch, rounds=10)
    assert [each for each in traffic.refused if not is_unavailable(each, provider)] == []
    assert provider.fetches == 11


def test_control_without_refetches_valid_tokens_are_called_invalid(
    provider: IdentityProvider, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteKeySet, "_find_new", lambda self, kid: None)
    provider.rotate()
    assert isinstance(outcome(verifier, provider.sign()), InvalidCredential)


def test_keys_are_refreshed_every_five_minutes(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None
) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        keys = key_set(verifier, provider.url)
        assert keys.due == stopwatch.now + 300
        old = provider.take_away(provider.current)
        provider.rotate()
        token = provider.sign()
        stopwatch.advance(299.9, verifier)
        assert verifier.verify(provider.sign(key=old))
        stopwatch.advance(0.1, verifier)
        eventually(lambda: keys.due > stopwatch.now, "they are refreshed")
        assert verifier.verify(token)
        assert provider.fetches == 2
        assert isinstance(outcome(verifier, provider.sign(key=old, jti="another")), InvalidCredential)


def test_a_key_taken_away_ends_no_token_that_was_verified_before(
    provider: IdentityProvider, verifier: Verifier, patient: None
) -> None:
    before = provider.sign()
    verifier.verify(before)
    old = provider.take_away(provider.current)
    provider.rotate()
    verifier.verify(provider.sign())
    assert verifier.verify(before)
    assert isinstance(outcome(verifier, provider.sign(key=old, jti="another")), InvalidCredential)


def test_a_provider_that_is_down_stops_nothing_and_is_tried_again(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, token = keep_log(monkeypatch), provider.sign()
    provider.is_down = True
    with verifying(provider.issuer(), clock=clock) as verifier:
        keys = key_set(verifier, provider.url)
        for _ in range(3):
            assert is_unavailable(outcome(verifier, token), provider)
            assert is_unavailable(outcome(verifier, token), provider)
            stopwatch.advance(30, verifier)
            eventually(lambda: keys.due > stopwatch.now, "it is tried again")
        provider.is_down = False
        stopwatch.advance(30, verifier)
        eventually(lambda: isinstance(outcome(verifier, token), Claims), "it is tried once more")
    assert [(entry["log_level"], entry["event"]) for entry in log] == [
        ("warning", "identity provider unavailable"),
        ("info", "identity provider available"),
    ]
    assert log[0]["issuer"] == log[1]["issuer"] == provider.url
    assert log[0]["reason"] == "RemoteDisconnected"


def test_a_provider_that_was_down_is_tried_again_without_being_asked_for(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch
) -> None:
    provider.is_down = True
    with verifying(provider.issuer(), clock=clock) as verifier:
        keys = key_set(verifier, provider.url)
        assert keys.due == stopwatch.now + 30
        provider.is_down = False
        stopwatch.advance(30, verifier)
        eventually(lambda: keys.due == stopwatch.now + 300, "its keys are had")
        assert verifier.verify(provider.sign())
        assert provider.fetches == 1


def test_starting_waits_for_nobody(provider: IdentityProvider, clock: MovableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresher, "_LONGEST_WAIT", 0.01)
    verifier = Verifier([provider.issuer()], clock)
    with provider.holding():
        verifier.start()
        assert is_unavailable(outcome(verifier, provider.sign()), provider)
    eventually(lambda: isinstance(outcome(verifier, provider.sign()), Claims), "the keys are there")
    verifier.close()


def test_who_comes_before_the_first_answer_gets_it(provider: IdentityProvider, clock: MovableClock, patient: None) -> None:
    verifier = Verifier([provider.issuer()], clock)
    verifier.start()
    assert verifier.verify(provider.sign())
    verifier.close()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"", "answered with status 500"),
        (204, b"", "is no JSON"),
        (200, b"<html>", "is no JSON"),
        (200, b'{"keys": ["\xff"]}', "is no JSON"),
        (200, b"[" * 100_000, "is no JSON"),
        (200, b"[]", "is no JSON Web Key Set"),
        (200, b'{"keys": {}}', "is no JSON Web Key Set"),
        (200, b'{"keys": []}', "has no usable key"),
        (200, b'{"keys": [null, 7, {}, {"kty": "oct", "kid": "x", "k": "c2VjcmV0"}]}', "has no usable key"),
        (200, b" " * (1 << 20) + b"{}", "answered with more than 1 MiB"),
    ],
)
def test_an_answer_that_is_no_key_set_changes_no_keys(
    status: int, body: bytes, reason: str, provider: IdentityProvider, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        log = keep_log(monkeypatch)
        provider.answers[KEYS] = (status, {}, body)
        for _ in range(2):
            key_set(verifier, provider.url).refresh()
        assert verifier.verify(provider.sign())
        unknown = outcome(verifier, by_unknown_key(provider))
        assert is_unavailable(unknown, provider), "nobody knows whether the key is a new one"
        assert [entry["event"] for entry in log] == ["identity provider unavailable"], "once, and not at every attempt"
        assert log[0]["reason"] == reason


def test_an_error_that_nobody_foresaw_does_not_end_the_thread(
    provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        with monkeypatch.context() as patch:
            patch.setattr(fetch, "read", lambda url: 1 / 0)
            assert is_unavailable(outcome(verifier, by_unknown_key(provider)), provider)
        stopwatch.advance(30, verifier)
        provider.rotate()
        eventually(lambda: isinstance(outcome(verifier, provider.sign()), Claims), "it goes on")


def test_issuers_are_apart(provider: IdentityProvider, clock: MovableClock, patient: None) -> None:
    other = IdentityProvider(clock)
    other.publish(SigningKey("ES256", provider.current))
    issuers = provider.issuer(), other.issuer(audience="other")
    with verifying(*issuers, clock=clock) as verifier:
        assert verifier.verify(provider.sign()).issuer == provider.url
        assert verifier.verify(other.sign(aud="other")).issuer == other.url
        for token in (
            provider.sign(iss=other.url, aud="other"),  # one's key for the other's claims, under an id that both have
            other.sign(iss=provider.url),
            provider.sign(aud="other"),
        ):
            assert isinstance(outcome(verifier, token), InvalidCredential)
        other.is_down = True
        assert is_unavailable(outcome(verifier, by_unknown_key(other)), other)
        provider.rotate()
    other.close()


def test_a_closed_verifier_fetches_no_more(provider: IdentityProvider, clock: MovableClock) -> None:
    with verifying(provider.issuer(), clock=clock) as verifier:
        pass
    assert is_unavailable(outcome(verifier, by_unknown_key(provider)), provider)
    assert verifier.verify(provider.sign())
    assert provider.fetches == 1


# -- keys in a file ----------------------------------------------------------------------------------------------------


class KeyFile:
    """A file with the keys of a provider."""

    def __init__(self, folder: Path, provider: IdentityProvider) -> None:
        self.path = folder / "jwks.json"
        self._provider = provider
        self._writes = 0
        self.write()

    @property
    def issuer(self) -> Issuer:
        """The provider, whose keys are in the file alone."""
        return self._provider.issuer(jwks_file=self.path)

    def write(self, content: bytes | None = None) -> None:
        """What the provider publishes, or something else; each time at another time."""
        self.path.write_bytes(self._provider.jwks() if content is None else content)
        self._writes += 1
        os.utime(self.path, (self._writes, self._writes))


@pytest.fixture
def file(tmp_path: Path, provider: IdentityProvider) -> KeyFile:
    """The provider's keys as a file."""
    return KeyFile(tmp_path, provider)


def test_a_key_file_is_read_again_when_a_key_is_missing_and_it_was_changed(
    file: KeyFile, provider: IdentityProvider, clock: MovableClock
) -> None:
    with verifying(file.issuer, clock=clock) as verifier:
        assert verifier.verify(provider.sign())
        for algorithm in ("RS256", "EdDSA"):
            provider.rotate(algorithm)
            assert isinstance(outcome(verifier, provider.sign()), InvalidCredential), "the file does not have it"
            file.write()
            assert verifier.verify(provider.sign())
    assert provider.requests.total() == 0


def test_a_key_file_is_not_read_for_every_stranger(
    file: KeyFile, provider: IdentityProvider, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with verifying(file.issuer, clock=clock) as verifier:
        monkeypatch.setattr(Path, "open", lambda *arguments: 1 / 0)
        assert isinstance(outcome(verifier, by_unknown_key(provider)), InvalidCredential)


@pytest.mark.parametrize("content", [b"", b'{"keys": []}', b"\xff", None])
def test_a_key_file_gone_wrong_keeps_the_old_keys(
    content: bytes | None, file: KeyFile, provider: IdentityProvider, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with verifying(file.issuer, clock=clock) as verifier:
        log = keep_log(monkeypatch)
        if content is None:
            file.path.unlink()
        else:
            file.write(content)
        for _ in range(2):
            assert is_unavailable(outcome(verifier, by_unknown_key(provider)), provider)
        assert verifier.verify(provider.sign())
        provider.rotate()
        file.write()
        assert verifier.verify(provider.sign())
    assert [entry["event"] for entry in log] == ["identity provider unavailable", "identity provider available"]
    assert not [entry for entry in log if str(file.path) in json.dumps(entry)]


def test_a_key_taken_out_of_a_file_is_gone_within_five_minutes(
    file: KeyFile, provider: IdentityProvider, clock: MovableClock, stopwatch: Stopwatch
) -> None:
    with verifying(file.issuer, clock=clock) as verifier:
        old = provider.take_away(provider.current)
        provider.rotate()
        file.write()
        assert verifier.verify(provider.sign(key=old))
        stopwatch.advance(300, verifier)
        eventually(lambda: key_set(verifier, provider.url).due > stopwatch.now, "it is read again")
        assert isinstance(outcome(verifier, provider.sign(key=old, jti="another")), InvalidCredential)
