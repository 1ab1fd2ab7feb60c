"""Statements prepared on a PostgreSQL connection and executed through libpq, which psycopg wraps.

A cursor of psycopg prepares constant SQL by itself too, but asks itself about every execution anew what the parameters are,
whether the text was prepared and how to wait: three times what libpq's own `PQexecPrepared` costs. Statements here are compiled
once and executed without end, so each is prepared when a connection first executes it, with types that the server infers, and
never again. Parameters travel as text; results are read by psycopg's own loaders.

Protocol: https://www.postgresql.org/docs/current/libpq-exec.html
"""

import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus

from .statements import Row

_PLACE = re.compile(r"%([s%])")
_RETURNING, _DONE = ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK
# The rows of a statement, and how many it returned or changed.
Result = tuple[list[Row], int]


class Prepared:
    """The prepared statements of one connection, which one thread uses."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection
        self._libpq = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[str, bytes] = {}

    def execute(self, text: str, parameters: Sequence[Any]) -> Result:
        """Executes a statement whose parameters are spelled `%s`. Raises psycopg.Error."""
        name = self._names.get(text) or self._prepare(text)
        answer = self._libpq.exec_prepared(name, [self._dumped(value) for value in parameters])  # type: ignore[misc]  # None is NULL
        if answer.status == _RETURNING:
            self._transformer.set_pgresult(answer)
            return self._transformer.load_rows(0, answer.ntuples, tuple), answer.ntuples
        self._ensure_done(answer)
        return [], answer.command_tuples or 0

    def command(self, text: bytes) -> None:
        """Executes what has neither parameters nor rows. Raises psycopg.Error."""
        self._ensure_done(self._libpq.exec_(text))

    def _prepare(self, text: str) -> bytes:
        numbers = iter(range(1, text.count("%s") + 1))
        numbered = _PLACE.sub(lambda place: "%" if place[1] == "%" else f"${next(numbers)}", text)
        name = b"t%d" % len(self._names)
        self._ensure_done(self._libpq.prepare(name, numbered.encode()))
        self._names[text] = name
        return name

    def _dumped(self, value: Any) -> bytes | None:
        kind = type(value)
        if kind is str:
            if "\0" in value:  # where libpq takes a text to end
                raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
            return bytes(value, "utf-8")
        if value is None:
            return None
        if kind is int:
            return b"%d" % value
        return bytes(self._transformer.get_dumper(value, PyFormat.TEXT).dump(value) or b"")

    def _ensure_done(self, answer: Any) -> None:
        if answer.status in (_DONE, _RETURNING):
            return
        if self.connection.broken:
            raise psycopg.OperationalError("the connection is lost")
        raise psycopg.errors.error_from_result(answer, encoding="utf-8")
