"""Fixtures for what only one engine can show. A plugin: `pytest_plugins = ("support.only",)`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .deployment import Deployment, deploy
from .engines import Engines
from .world import World


def _deployments(engine: str, engines: Engines) -> Iterator[Callable[..., World]]:
    if engine not in os.environ.get("TEST_ENGINES", engine):
        pytest.skip(f"{engine} is left out by TEST_ENGINES")
    made: list[Deployment] = []

    def make(**options: Any) -> World:
        made.append(deploy(engine, engines.new(engine), **options))
        return World(made[-1])

    yield make
    for deployment in made:
        deployment.close()


@pytest.fixture
def on_postgresql(engines: Engines) -> Iterator[Callable[..., World]]:
    """Makes servers of the test's own, on PostgreSQL."""
    yield from _deployments("postgresql", engines)


@pytest.fixture
def on_sqlite(engines: Engines) -> Iterator[Callable[..., World]]:
    """Makes servers of the test's own, on SQLite."""
    yield from _deployments("sqlite", engines)
