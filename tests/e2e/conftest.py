"""One real Envoy an engine, in front of the shared server; a client of it; and an organization to act in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from e2e.questions import Questions
from e2e.scene import Scene
from support.deployment import Deployment
from support.engines import ENGINES
from support.gateway import Front, fronting
from support.http import Http
from support.protected import Protected, protecting
from support.world import World


@pytest.fixture(scope="session")
def front_of(
    _shared: Callable[[str], Deployment], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Deployment], Front]]:
    """The gateway of a deployment, started when first asked for."""
    running: dict[str, Front] = {}
    with ExitStack() as stack:

        def front(deployment: Deployment) -> Front:
            address = deployment.address
            if address not in running:
                running[address] = stack.enter_context(fronting(address, tmp_path_factory.mktemp("gateway")))
            return running[address]

        yield front


@pytest.fixture
def gateway(deployment: Deployment, front_of: Callable[[Deployment], Front]) -> Front:
    """The gateway in front of the shared server of an engine."""
    return front_of(deployment)


@pytest.fixture(scope="session")
def _guards() -> Iterator[Callable[[int], Protected]]:
    running: dict[int, Protected] = {}
    with ExitStack() as stack:

        def guard(port: int) -> Protected:
            if port not in running:
                running[port] = stack.enter_context(protecting(port))
            return running[port]

        yield guard


@pytest.fixture
def guarded(edge: Scene, _guards: Callable[[int], Protected]) -> Protected:
    """Somebody else's services behind gateway/protect.yaml, which asks the server of the scene."""
    return _guards(edge.world.deployment.server.port)


@pytest.fixture
def http(gateway: Front) -> Iterator[Http]:
    """A client without a credential."""
    with gateway.http() as client:
        yield client


@pytest.fixture
def scene(world: World, gateway: Front) -> Iterator[Scene]:
    """An organization, its owner, and others; with a connection of its own."""
    with gateway.http() as client:
        yield Scene(world, client, gateway)


@pytest.fixture
def edge(_shared: Callable[[str], Deployment], front_of: Callable[[Deployment], Front]) -> Iterator[Scene]:
    """A scene for what happens in the gateway, where engines make no difference: on one of them."""
    deployment = _shared(os.environ.get("TEST_ENGINES", ENGINES[0]).split(",")[0])
    front = front_of(deployment)
    with front.http() as client:
        yield Scene(World(deployment), client, front)


@pytest.fixture
def questions(scene: Scene) -> Questions:
    """Questions on every engine."""
    return Questions(scene)


@pytest.fixture
def pdp(edge: Scene) -> Questions:
    """Questions about what the gateway does, on one engine."""
    return Questions(edge)
