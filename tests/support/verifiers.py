"""Verifiers of tokens to test with: their keys had, their time set, their log kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from tenantry_server.domain.clock import Clock
from tenantry_server.domain.errors import TenantryError
from tenantry_server.oidc import keys, refresher, verifier
from tenantry_server.oidc.claims import Claims
from tenantry_server.oidc.issuers import Issuer
from tenantry_server.oidc.keys import KeySet
from tenantry_server.oidc.verifier import Verifier


class Stopwatch:
    """The monotonic clock that fetches go by; it stands still until a test moves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (keys, refresher):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)

    def advance(self, seconds: float, subject: Verifier | None = None) -> None:
        """Moves it forward, and has a verifier's thread look at it."""
        self.now += seconds
        if subject is not None:
            with subject._refresher.changed:
                subject._refresher.changed.notify_all()


@contextmanager
def verifying(*issuers: Issuer, clock: Clock | None = None) -> Iterator[Verifier]:
    """A verifier at work that has asked every issuer for its keys once."""
    made = Verifier(issuers, clock or Clock())
    for issuer in issuers:
        key_set(made, issuer.url).refresh()
    made.start()
    try:
        yield made
    finally:
        made.close()


def key_set(subject: Verifier, url: str) -> KeySet:
    """The keys of an issuer."""
    return subject._keys[url]


def outcome(subject: Verifier, token: str) -> Claims | TenantryError:
    """What the token says, or how it is refused."""
    try:
        return subject.verify(token)
    except TenantryError as refusal:
        return refusal


def keep_log(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Everything that the layer logs from now on."""
    capture = LogCapture()
    for module in (keys, verifier):
        monkeypatch.setattr(module, "log", structlog.wrap_logger(None, [capture], structlog.BoundLogger))
    entries: list[Mapping[str, Any]] = capture.entries  # type: ignore[assignment]
    return entries
