"""The statements: which there are, what they look like, and which a call executes."""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module
from pkgutil import iter_modules
from types import TracebackType
from typing import Any, Self

from tenantry_server.store import queries
from tenantry_server.store.database import Database
from tenantry_server.store.statements import Statement


def statements() -> dict[str, Statement[Any]]:
    """Every statement of the server, by name: `members.LIST`, `invitations.LIST pending`."""
    found: dict[str, Statement[Any]] = {}
    for module in iter_modules(queries.__path__):
        for name, value in vars(import_module(f"{queries.__name__}.{module.name}")).items():
            several = value if isinstance(value, dict) else {"": value}
            found |= {
                f"{module.name}.{name} {key or ''}".strip(): statement
                for key, statement in several.items()
                if isinstance(statement, Statement)
            }
    return found


def text(database: Database, statement: Statement[Any]) -> str:
    """How a database of this kind is told a statement."""
    return statement.sql(database, defaultdict(str))[0]


class Heard:
    """What a database is told while this is entered, by Peewee's query hook; transactions aside."""

    def __init__(self, database: Database) -> None:
        self._hooks: list[Any] = database.query_hooks
        self.statements: list[str] = []

    def __enter__(self) -> Self:
        self._hooks.append(self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._hooks.remove(self._hear)

    def _hear(self, event: Any) -> None:
        self.statements.append(event.sql)
