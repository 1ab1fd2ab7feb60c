"""A server of which all is kept: what it answers and what it logs. A plugin: `pytest_plugins = ("support.overheard",)`."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import structlog
from google.protobuf.descriptor import MethodDescriptor

from tenantry_server import bootstrap, logs
from tenantry_server.domain.clock import Clock
from tenantry_server.domain.tokens import SCANNER
from tenantry_server.oidc import keys, verifier
from tenantry_server.oidc.verifier import Verifier
from tenantry_server.rpc import interceptors

from .issuer import IdentityProvider
from .rpc import Client, Refused
from .stage import Stage
from .verifiers import key_set
from .world import World

HEADER = "canary-header-value"
CONFIG = {"otel": {"endpoint": "https://otel.example", "headers": {"api-key": HEADER}}}


class Scene:
    """A server that logs, an organization with a secret in its settings, and all that was said about it."""

    def __init__(self, world: World, log: io.StringIO, provider: IdentityProvider) -> None:
        self.world = world
        self.stage = Stage(world)
        self.provider = provider
        self._log = log
        self.said: list[str] = []
        self.stage.owner.rpc(
            "OrganizationService.UpdateOrganizationSettings",
            organization_id=self.stage.organization.id,
            experimental_config=CONFIG,
        )

    @property
    def log(self) -> str:
        """The log so far."""
        return self._log.getvalue()

    @property
    def shown(self) -> list[str]:
        """Every secret of a token that an answer or a refusal had, as often as it was there."""
        return re.findall(SCANNER, "\n".join(self.said))

    def call(self, client: Client, method: MethodDescriptor, request: Any) -> None:
        """Notes the answer, or everything that a refusal carries."""
        try:
            self.said.append(str(client.send(method.full_name, request)))
        except Refused as refusal:
            self.said.append(f"{refusal} {refusal.details} {refusal.trailing}")


@pytest.fixture
def scene(deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A scene on a server of its own that trusts an identity provider, and whose log is kept, down to the smallest things."""
    provider = IdentityProvider()
    trusting = Verifier([provider.issuer()], Clock())
    key_set(trusting, provider.url).refresh()
    world, log = deploy_own(make=partial(bootstrap.Server, verifier=trusting)), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", log)
        logs.configure(logging.DEBUG)
        # A logger that was used before keeps to what was configured then.
        for module, name in ((interceptors, "tenantry.calls"), (verifier, "tenantry.oidc"), (keys, "tenantry.oidc")):
            patch.setattr(module, "log", structlog.get_logger(name))
        yield Scene(world, log, provider)
    logs.configure(logging.CRITICAL)
    provider.close()
