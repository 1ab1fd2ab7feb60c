"""Steps of migrations that may be taken while an earlier version serves from the same database: they only add.

The rules of a roll-out: a release adds what it needs (a migration named `NNNN_expand_…`: tables, indexes, columns that may be
null or have a default), is migrated first and rolled out then, beside processes of the release before; fills what is there
already in batches by `backfill`; and what nobody uses any more goes two releases later, by a migration that is not so named,
which earlier versions refuse to serve on. A migration that does more than one step is not `atomic`, and each step can be
repeated: when it is cut short, it begins anew.
"""

import time
from typing import Any

_INVALID = """
    SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relname = %s AND pg_table_is_visible(c.oid) AND NOT i.indisvalid"""
_BATCH = 1000


def index(database: Any, name: str, target: str, *, unique: bool = False) -> None:
    """Builds an index, on PostgreSQL while others write; one that was left half built is built anew."""
    kind = "UNIQUE INDEX" if unique else "INDEX"
    if database.param == "?":
        database.execute_sql(f"CREATE {kind} IF NOT EXISTS {name} ON {target}")
        return
    if database.execute_sql(_INVALID, (name,)).fetchall():
        database.execute_sql(f"DROP INDEX {name}")
    # It waits for transactions that began before, and holds up nobody meanwhile.
    before = database.execute_sql("SHOW lock_timeout").fetchall()
    database.execute_sql("SET lock_timeout = 0")
    database.execute_sql(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {name} ON {target}")
    database.execute_sql(f"SET lock_timeout = '{before[0][0] if before else 0}'")


def backfill(database: Any, table: str, key: str, assignment: str, where: str) -> None:
    """Changes the rows that a condition finds, which the assignment makes untrue, a batch at a time with a rest as long."""
    sql = f"UPDATE {table} SET {assignment} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {where} LIMIT {_BATCH})"  # noqa: S608
    changed = _BATCH
    while changed == _BATCH:
        begin = time.monotonic()
        changed = database.execute_sql(sql).rowcount
        time.sleep(time.monotonic() - begin)
