"""Properties are tried without a time limit for a single example, which a busy machine would break.

And fixtures: an identity provider, and a verifier that trusts it, both by a clock that stands.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from support.clock import MovableClock
from support.issuer import IdentityProvider
from support.verifiers import verifying

from tenantry_server.oidc.verifier import Verifier

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def clock() -> MovableClock:
    """A clock that stands."""
    clock = MovableClock()
    clock.stopped = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    return clock


@pytest.fixture
def provider(clock: MovableClock) -> Iterator[IdentityProvider]:
    """An identity provider with one key, for ES256."""
    provider = IdentityProvider(clock)
    yield provider
    provider.close()


@pytest.fixture
def verifier(provider: IdentityProvider, clock: MovableClock) -> Iterator[Verifier]:
    """Trusts the provider, and has its keys."""
    with verifying(provider.issuer(), clock=clock) as verifier:
        yield verifier
