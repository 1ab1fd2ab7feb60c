"""Statements prepared on a PostgreSQL connection and executed through libpq, which psycopg wraps.

A cursor of psycopg prepares constant SQL by itself too, but asks itself about every execution anew what the parameters are,
whether the text was prepared and how to wait: three times what libpq's own `PQexecPrepared` costs. Statements here are compiled
once and executed without end, so each is prepared when a connection first executes it, with types that the server infers, and
never again. Parameters travel as text; results are read by psycopg's own loaders.

What changes something, and nobody waits for, goes with the next statement: several statements are one round trip, in which the
server executes them one after the other, each seeing what committed before it began, up to the first that fails.

Protocols: https://www.postgresql.org/docs/current/libpq-exec.html and libpq-pipeline-mode.html
"""

import re
import select
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus

from .statements import Deferred, Result

_PLACE = re.compile(r"%([s%])")
_RETURNING, _DONE = ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK


class Prepared:
    """The prepared statements of one connection, which one thread uses."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection
        self._libpq = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._waiting: list[Deferred] = []
        self._is_deferring = False
        self._readable, self._ready = select.poll(), select.poll()
        self._readable.register(connection.fileno(), select.POLLIN)
        self._ready.register(connection.fileno(), select.POLLIN | select.POLLOUT)

    def execute(self, text: str, parameters: list[Any]) -> Result:
        """Executes a statement whose parameters are spelled `%s`, after what waited. Raises psycopg.Error."""
        if self._waiting:
            return self.execute_all([(text, parameters)])[0]
        name = self._names.get(text) or self._prepare(text)
        return self._result(self._libpq.exec_prepared(name, self._dumped(parameters)))  # type: ignore[arg-type]  # None is NULL

    def begin(self, first: Deferred) -> None:
        """Begins a transaction, and executes a statement in it, both with the next one."""
        self._waiting, self._is_deferring = [Deferred("BEGIN", []), first], True

    def defer(self, statement: Deferred) -> bool:
        """Executes a statement with the next one, if `begin` began a transaction; whether it did."""
        if self._is_deferring:
            self._waiting.append(statement)
        return self._is_deferring

    def commit(self) -> None:
        """Commits, after what waited. Raises like `execute_all`."""
        if self._is_deferring:
            self._is_deferring = False
            self.execute_all([("COMMIT", [])])
        else:
            self.command(b"COMMIT")

    def rollback(self) -> None:
        """Rolls back; what waited is not executed. Raises psycopg.Error."""
        self._waiting, self._is_deferring = [], False
        if self._libpq.transaction_status != TransactionStatus.IDLE:
            self.command(b"ROLLBACK")

    def flush(self) -> None:
        """Executes what waits. Raises like `execute_all`."""
        if self._waiting:
            self.execute_all()

    def execute_all(self, sent: Sequence[tuple[str, list[Any]]] = ()) -> list[Result]:
        """Executes what waited, and then these, in one round trip; what comes of these. Raises the first psycopg.Error, or a
        refusal; what comes after it is not executed.
        """
        waited, self._waiting = self._waiting, []
        statements = [*waited, *(Deferred(text, parameters) for text, parameters in sent)]
        results = []
        for statement, answer in zip(statements, self._answers(statements), strict=True):
            try:
                results.append(self._result(answer))
            except psycopg.IntegrityError as error:
                if statement.refusal is None:
                    raise
                raise statement.refusal from error
        return results[len(waited) :]

    def command(self, text: bytes) -> None:
        """Executes what has neither parameters nor rows. Raises psycopg.Error."""
        self._result(self._libpq.exec_(text))

    def _prepare(self, text: str) -> bytes:
        numbers = iter(range(1, text.count("%s") + 1))
        numbered = _PLACE.sub(lambda place: "%" if place[1] == "%" else f"${next(numbers)}", text)
        name = b"t%d" % len(self._names)
        self._result(self._libpq.prepare(name, numbered.encode()))
        self._names[text] = name
        return name

    def _answers(self, statements: Sequence[Deferred]) -> list[Any]:
        """What the server answers to each. Raises psycopg.OperationalError, after which the connection is closed."""
        libpq = self._libpq
        sent = [(self._names.get(text) or self._prepare(text), self._dumped(values)) for text, values, _ in statements]
        libpq.enter_pipeline_mode()
        try:
            for name, values in sent:
                libpq.send_query_prepared(name, values)
            libpq.pipeline_sync()
            while libpq.flush():
                self._wait(self._ready)
            answers = []
            for _ in statements:
                answers.append(self._answer())
                self._answer()  # their end
            self._answer()  # that of all
            self._ensure_there()
            libpq.exit_pipeline_mode()
        except BaseException:
            self.connection.close()  # nobody knows what it would answer next
            raise
        return answers

    def _answer(self) -> Any:
        while self._libpq.is_busy():
            self._wait(self._readable)
        return self._libpq.get_result()

    def _wait(self, until: select.poll) -> None:
        """Lets others run until there is something to read, or room to write, and reads it."""
        until.poll()
        self._libpq.consume_input()

    def _ensure_there(self) -> None:
        if self.connection.broken:
            raise psycopg.OperationalError("the connection is lost")

    def _result(self, answer: Any) -> Result:
        if answer.status == _RETURNING:
            self._transformer.set_pgresult(answer)
            return self._transformer.load_rows(0, answer.ntuples, tuple), answer.ntuples
        if answer.status == _DONE:
            return [], answer.command_tuples or 0
        self._ensure_there()
        raise psycopg.errors.error_from_result(answer, encoding="utf-8")

    def _dumped(self, values: Sequence[Any]) -> list[bytes | None]:
        return [self._text(value) for value in values]

    def _text(self, value: Any) -> bytes | None:
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
