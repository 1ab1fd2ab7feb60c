"""Statements: SQL written in Peewee, compiled once, executed with parameters.

Building a Peewee query costs 30 to 40 times what executing it costs, so every statement is built when it is first used and
never again. A `Slot` stands for a parameter; it bypasses field converters, so parameters and results are what the database
keeps (milliseconds, text, numbers), and `make` turns a row into what the caller works with. `Asked` is a whole table of
parameters, for statements about many things at once. Both engines share a text wherever they can; `PerEngine` is where not.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import peewee

T = TypeVar("T")
Row = tuple[Any, ...]
# The rows of a statement, and how many it returned or changed.
Result = tuple[list[Row], int]
# How SQLite spells a parameter, by which compiled texts are told apart.
_SQLITE = "?"
# What becomes of a slot's value before the database gets it.
Adapt = Callable[[Any], Any]


class _Parameter(str):
    """Marks a slot's place among the compiled parameters."""

    adapt: Adapt | None = None


class Slot(peewee.Node):
    """A named parameter, usable wherever Peewee takes a value."""

    def __init__(self, name: str, adapt: Adapt | None = None) -> None:
        self._name = name
        self._adapt = adapt

    def __sql__(self, context: peewee.Context) -> peewee.Context:
        parameter = _Parameter(self._name)
        parameter.adapt = self._adapt
        return context.sql(peewee.Value(parameter, converter=False))


class Asked(peewee.BaseTable):
    """A table of text that the caller passes as one slot: a list of rows, each as long as `columns`. `n` counts them from 1.

    SQLite takes them as one JSON text, PostgreSQL as an array for each column; neither joins values, so none can pass for
    two. The text of the statement does not depend on how many rows there are, so it is compiled and prepared once.
    """

    def __init__(self, slot: str, *columns: str) -> None:
        super().__init__(alias="t0")
        self._slot = slot
        self._columns = columns

    def column(self, name: str) -> peewee.SQL:
        """One of the columns, or `n`."""
        return peewee.SQL(f'"t0"."{name}"')

    def __sql__(self, context: peewee.Context) -> peewee.Context:
        return self._as_json(context) if context.state.param == _SQLITE else self._as_arrays(context)

    def _as_json(self, context: peewee.Context) -> peewee.Context:
        cells = (f"json_extract(value, '$[{index}]') AS \"{name}\"" for index, name in enumerate(self._columns))
        context.literal(f'(SELECT key + 1 AS "n", {", ".join(cells)} FROM json_each(')  # noqa: S608  names of ours
        return context.sql(Slot(self._slot, json.dumps)).literal(')) AS "t0"')

    def _as_arrays(self, context: peewee.Context) -> peewee.Context:
        context.literal("unnest(")
        for index in range(len(self._columns)):
            context.literal(", " if index else "").sql(Slot(self._slot, _column(index))).literal("::text[]")
        names = ", ".join(f'"{name}"' for name in (*self._columns, "n"))
        return context.literal(f') WITH ORDINALITY AS "t0" ({names})')


def _column(index: int) -> Adapt:
    return lambda rows: [row[index] for row in rows]


def count_up_to(rows: Any, most: str) -> peewee.Select:
    """How many rows a query has, counted up to the slot `most`: a number that is enough to know."""
    some = rows.limit(Slot(most)).alias("some")
    return peewee.Select((some,), (peewee.fn.COUNT(peewee.SQL("1")),))


def constant(word: str) -> peewee.SQL:
    """A word that stands in the text itself. As a parameter it would hide from the planner which partial index fits."""
    return peewee.SQL(f"'{word}'")


@dataclass(frozen=True, slots=True)
class PerEngine:
    """How to build a query that each engine wants in its own words."""

    sqlite: Callable[[], peewee.Node]
    postgresql: Callable[[], peewee.Node]

    def build(self, database: peewee.Database) -> peewee.Node:
        """The one for this kind of database."""
        return self.sqlite() if database.param == _SQLITE else self.postgresql()


# A function that builds a Peewee query with slots, or one for each engine.
Build = Callable[[], peewee.Node] | PerEngine


class Statement(Generic[T]):
    """A statement and what becomes of its rows."""

    def __init__(self, build: Build, make: Callable[[Row], T]) -> None:
        self._build = build
        self._compiled: dict[str, _Compiled] = {}
        self.make = make

    def sql(self, database: peewee.Database, values: dict[str, Any]) -> tuple[str, list[Any]]:
        """The text for this kind of database, and the parameters in its order. Raises KeyError when a value is missing."""
        compiled = self._compiled.get(database.param)
        if compiled is None:
            built = self._build.build(database) if isinstance(self._build, PerEngine) else self._build()
            compiled = self._compiled[database.param] = _Compiled(*database.get_sql_context().sql(built).query())
        return compiled.text, compiled.given(values)

    def bind(self, **values: Any) -> "Bound":
        """The statement with its values, to be executed together with others."""
        return Bound(self, values)

    def made(self, rows: list[Row]) -> list[T]:
        """What the caller works with, of each row."""
        make: Any = self.make
        made: list[Any] = rows if make is tuple else [make(row) for row in rows]
        return made


class Bound(NamedTuple):
    """A statement and its values."""

    statement: Statement[Any]
    values: dict[str, Any]


class Deferred(NamedTuple):
    """A statement, as the database gets it, that may wait for the next one; and what is raised, if anything of ours, when a
    unique index stands against it. How many rows it changes, nobody hears: a commit that came with it would be done already.
    """

    text: str
    parameters: list[Any]
    refusal: Exception | None = None


class _Compiled:
    """The text of a statement, and what stands at each place of its parameters."""

    def __init__(self, text: str, places: list[Any]) -> None:
        self.text = text
        self._places = places
        # Most statements have slots alone, whose values are taken as they are.
        self._names = [str(place) for place in places if isinstance(place, _Parameter) and place.adapt is None]
        self._is_plain = len(self._names) == len(places)

    def given(self, values: dict[str, Any]) -> list[Any]:
        """The parameters: a slot's value, or what the statement says itself. Raises KeyError when a value is missing."""
        if self._is_plain:
            return [values[name] for name in self._names]
        return [_given(place, values) for place in self._places]


def _given(place: Any, values: dict[str, Any]) -> Any:
    if not isinstance(place, _Parameter):
        return place
    return values[place] if place.adapt is None else place.adapt(values[place])


def changing(build: Build) -> Statement[None]:
    """A statement of which only the number of rows counts."""
    return Statement(build, lambda row: None)


def value(build: Build) -> Statement[Any]:
    """A statement of one column."""
    return Statement(build, lambda row: row[0])
