"""Statements: SQL written in Peewee, compiled once, executed with parameters.

Building a Peewee query costs 30 to 40 times what executing it costs, so every statement is built when it is first used and
never again. A `Slot` stands for a parameter; it bypasses field converters, so parameters and results are what the database
keeps (milliseconds, text, numbers), and `make` turns a row into what the caller works with.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import peewee

T = TypeVar("T")
Row = tuple[Any, ...]


class _Parameter(str):
    """Marks a slot's place among the compiled parameters."""


class Slot(peewee.Node):
    """A named parameter, usable wherever Peewee takes a value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __sql__(self, context: peewee.Context) -> peewee.Context:
        return context.sql(peewee.Value(_Parameter(self._name), converter=False))


def constant(word: str) -> peewee.SQL:
    """A word that stands in the text itself. As a parameter it would hide from the planner which partial index fits."""
    return peewee.SQL(f"'{word}'")


class Statement(Generic[T]):
    """A statement and what becomes of its rows. `build` returns a Peewee query with slots."""

    def __init__(self, build: Callable[[], peewee.Node], make: Callable[[Row], T]) -> None:
        self._build = build
        self._compiled: dict[str, tuple[str, list[tuple[bool, Any]]]] = {}
        self.make = make

    def sql(self, database: peewee.Database, values: dict[str, Any]) -> tuple[str, list[Any]]:
        """The text for this kind of database, and the parameters in its order. Raises KeyError when a value is missing."""
        compiled = self._compiled.get(database.param)
        if compiled is None:
            text, parameters = database.get_sql_context().sql(self._build()).query()
            slots = [(isinstance(value, _Parameter), value) for value in parameters]
            compiled = self._compiled[database.param] = (text, slots)
        return compiled[0], [values[value] if is_slot else value for is_slot, value in compiled[1]]


def changing(build: Callable[[], peewee.Node]) -> Statement[None]:
    """A statement of which only the number of rows counts."""
    return Statement(build, lambda row: None)


def value(build: Callable[[], peewee.Node]) -> Statement[Any]:
    """A statement of one column."""
    return Statement(build, lambda row: row[0])
