"""The schema's version: migrations are Peewee's own, numbered files in `migrations/`, applied in order.

What a roll-out may change while an earlier version serves is told in `expanding.py`.
"""

import random
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import peewee
from playhouse.migrations import Migration, Runner

from .database import Database
from .faults import Fault, classify

_DIRECTORY = Path(__file__).parent / "migrations"
_EXPANDING = re.compile(r"\d+_expand_")
# How long a migration goes on asking for a lock that others hold, and how long it rests in between, in seconds.
_PATIENCE, _REST = 600.0, 2.0


class SchemaError(Exception):
    """The database's schema is not the one that this version works with."""


class Step(NamedTuple):
    """A migration that is to be applied: its name, what it is for, and what it says to the database."""

    name: str
    purpose: str
    statements: tuple[str, ...]

    @property
    def only_adds(self) -> bool:
        """Whether an earlier version can go on serving."""
        return _EXPANDING.match(self.name) is not None


def migrate(database: Database) -> list[str]:
    """Applies what is pending; answers with the names of what was applied. Of several processes, one does.

    A change that finds its table in use lets the others pass and asks again. Behind a pooler that gives every transaction
    another connection, nobody may migrate: the lock is the connection's.
    """
    if not _pending(database):
        return []
    with database.migrating():
        names, end = [step.name for step in _pending(database)], time.monotonic() + _PATIENCE
        while True:
            try:
                _runner(database).up()
                return names
            except peewee.PeeweeException as error:
                if classify(error) is not Fault.TIMEOUT or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(0, _REST))


def plan(database: Database) -> list[Step]:
    """What `migrate` would do, in order."""
    return [_step(database, migration) for migration in _pending(database)]


def ensure_current(database: Database) -> None:
    """Raises SchemaError when something is pending, or when the database knows migrations that this version does not, unless
    they only add.
    """
    if missing := [step.name for step in _pending(database)]:
        raise SchemaError(f"migrations are pending: {', '.join(missing)}; run `tenantry migrate`")
    unknown = [step.name for step in _runner(database).status() if step.path is None and not _EXPANDING.match(step.name)]
    if unknown:
        raise SchemaError(f"the database is newer than this version: {', '.join(unknown)}")


class _Listener:
    """Stands for a database, and hears what a migration would say to it."""

    def __init__(self, database: Database) -> None:
        self.param = database.param
        self.heard: list[str] = []

    def execute_sql(self, sql: str, parameters: Any = None) -> "_Listener":
        """Does nothing."""
        self.heard.append(" ".join(sql.split()))
        return self

    def fetchall(self) -> list[Any]:
        """Nothing is found."""
        return []

    @property
    def rowcount(self) -> int:
        """Nothing is changed."""
        return 0


def _step(database: Database, migration: Migration) -> Step:
    module, listener = migration.load(), _Listener(database)
    module.up(None, listener)
    return Step(migration.name, (module.__doc__ or "").strip().partition("\n")[0], tuple(listener.heard))


def _pending(database: Database) -> list[Migration]:
    return [step for step in _runner(database).status() if step.applied is None]


def _runner(database: Database) -> Runner:
    return Runner(database, directory=str(_DIRECTORY))
