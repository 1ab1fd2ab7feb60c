"""Fixtures: one server an engine for the whole run, and a clean world a test.

Tests share a server and keep apart as its users do: by making people and organizations of their own.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.deployment import Deployment, deploy
from support.engines import ENGINES, Engines
from support.world import World

# Before any test imports them.
pytest_plugins = ("support.only", "support.overheard", "support.sign_in")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs what needs an engine on each of them, or on those that TEST_ENGINES names."""
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", os.environ.get("TEST_ENGINES", ",".join(ENGINES)).split(","))


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """Fresh databases."""
    made = Engines()
    yield made
    made.close()


@pytest.fixture(scope="session")
def _shared(engines: Engines) -> Iterator[Callable[[str], Deployment]]:
    running: dict[str, Deployment] = {}

    def shared(engine: str) -> Deployment:
        if engine not in running:
            running[engine] = deploy(engine, engines.new(engine))
        return running[engine]

    yield shared
    for deployment in running.values():
        deployment.close()


@pytest.fixture
def deployment(engine: str, _shared: Callable[[str], Deployment]) -> Iterator[Deployment]:
    """The shared server of an engine, its clock right."""
    shared = _shared(engine)
    yield shared
    shared.clock.offset = timedelta()


@pytest.fixture
def world(deployment: Deployment) -> World:
    """People and organizations in the shared server."""
    return World(deployment)


@pytest.fixture
def deploy_own(engine: str, engines: Engines) -> Iterator[Callable[..., World]]:
    """Makes servers of the test's own, with other limits, or weakened for a negative control."""
    made: list[Deployment] = []

    def make(**options: Any) -> World:
        made.append(deploy(engine, engines.new(engine), **options))
        return World(made[-1])

    yield make
    for deployment in made:
        deployment.close()
