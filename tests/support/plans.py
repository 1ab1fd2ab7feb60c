"""How much work a statement is, by what the engine itself says: its plan, and what it touched. No clocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from psycopg import sql as psycopg_sql

from tenantry_server.store.database import Database
from tenantry_server.store.statements import Statement

# More rows than may be pending in an organization, read and thrown away or sorted, are work that grows with the data.
_MANY = 1000


class Work:
    """What a statement did: `steps` of SQLite's machine or blocks of PostgreSQL's, and `flaws` of its plan."""

    def __init__(self, steps: int, flaws: list[str]) -> None:
        self.steps = steps
        self.flaws = flaws


def work(database: Database, statement: Statement[Any], values: dict[str, Any], *, generic: bool = False) -> Work:
    """Executes a statement, in a transaction that is rolled back. `generic`: by a plan that does not know the values."""
    text, parameters = statement.sql(database, values)
    measured: Any = database
    measured.begin()
    try:
        if database.param == "?":
            return _on_sqlite(measured, text, parameters)
        return _on_postgresql(measured, text, parameters, generic=generic)
    finally:
        measured.rollback()


def _on_sqlite(database: Any, text: str, parameters: list[Any]) -> Work:
    plan = [row[3] for row in database.execute_sql(f"EXPLAIN QUERY PLAN {text}", parameters).fetchall()]
    plan = [line for line in plan if not line.startswith("SCAN json_each")]  # what was asked, which is no table
    flaws = [line for line in plan if line.startswith("SCAN") or "TEMP B-TREE" in line or "AUTOMATIC" in line]
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection = database.connection()
    connection.set_progress_handler(step, 10)
    try:
        database.execute_sql(text, parameters).fetchall()
    finally:
        connection.set_progress_handler(None, 0)
    return Work(10 * steps, flaws)


def _on_postgresql(database: Any, text: str, parameters: list[Any], *, generic: bool) -> Work:
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
    if generic:
        numbers = iter(range(1, len(parameters) + 1))
        numbered = re.sub("%s", lambda _: f"${next(numbers)}", text)
        given = ", ".join(psycopg_sql.Literal(value).as_string() for value in parameters)
        database.execute_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        database.execute_sql(f"PREPARE measured AS {numbered}")
        rows = database.execute_sql(f"{explain} EXECUTE measured{f'({given})' if given else ''}").fetchall()
        database.execute_sql("DEALLOCATE measured")
    else:
        rows = database.execute_sql(f"{explain} {text}", parameters).fetchall()
    plan = rows[0][0][0]["Plan"]
    return Work(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], list(_flaws(plan)))


def _flaws(node: dict[str, Any]) -> Iterator[str]:
    rows = node["Actual Rows"] * node["Actual Loops"]
    removed = node.get("Rows Removed by Filter", 0) * node["Actual Loops"]
    kind = node["Node Type"]
    if kind == "Seq Scan" or (kind == "Sort" and rows > _MANY) or removed > _MANY:
        yield f"{kind} {node.get('Relation Name', '')}: {rows} rows, {removed} removed"
    for child in node.get("Plans", ()):
        yield from _flaws(child)
