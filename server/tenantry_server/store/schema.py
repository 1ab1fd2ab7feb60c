"""The schema's version: migrations are Peewee's own, numbered files in `migrations/`, applied in order."""

from pathlib import Path

from playhouse.migrations import Runner

from .database import Database

_DIRECTORY = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The database's schema is not the one that this version works with."""


def migrate(database: Database) -> list[str]:
    """Applies what is pending; answers with the names of what was applied. Of several processes, one does.

    Behind a pooler that gives every transaction another connection, nobody may migrate: the lock is the connection's.
    """
    if not pending(database):
        return []
    with database.migrating():
        return list(_runner(database).up())


def pending(database: Database) -> list[str]:
    """The names of what is to be applied."""
    return [step.name for step in _runner(database).status() if step.applied is None]


def ensure_current(database: Database) -> None:
    """Raises SchemaError when something is pending, or when the database knows migrations that this version does not."""
    status = _runner(database).status()
    if missing := [step.name for step in status if step.applied is None]:
        raise SchemaError(f"migrations are pending: {', '.join(missing)}; run `tenantry migrate`")
    if unknown := [step.name for step in status if step.path is None]:
        raise SchemaError(f"the database is newer than this version: {', '.join(unknown)}")


def _runner(database: Database) -> Runner:
    return Runner(database, directory=str(_DIRECTORY))
