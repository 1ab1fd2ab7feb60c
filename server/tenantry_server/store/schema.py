"""The schema's version: migrations are Peewee's own, numbered files in `migrations/`, applied in order."""

from pathlib import Path

from playhouse.migrations import Runner

from .database import Database

_DIRECTORY = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The database's schema is not the one that this version works with."""


def migrate(database: Database) -> list[str]:
    """Applies what is pending; answers with the names of what was applied. Of several processes, one does."""
    with database.migrating():
        return list(_runner(database).up())


def ensure_current(database: Database) -> None:
    """Raises SchemaError when something is pending, or when the database knows migrations that this version does not."""
    status = _runner(database).status()
    if pending := [step.name for step in status if step.applied is None]:
        raise SchemaError(f"migrations are pending: {', '.join(pending)}; run `tenantry migrate`")
    if unknown := [step.name for step in status if step.path is None]:
        raise SchemaError(f"the database is newer than this version: {', '.join(unknown)}")


def _runner(database: Database) -> Runner:
    return Runner(database, directory=str(_DIRECTORY))
