"""Steps of migrations that may be taken while an earlier version serves from the same database: they only add.

A migration that does more than one of them is not `atomic`, and each can be repeated: when it is cut short, it begins anew.
"""

from typing import Any

_INVALID = """
    SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relname = %s AND pg_table_is_visible(c.oid) AND NOT i.indisvalid"""


def index(database: Any, name: str, target: str, *, unique: bool = False) -> None:
    """Builds an index, on PostgreSQL while others write; one that was left half built is built anew."""
    kind = "UNIQUE INDEX" if unique else "INDEX"
    if database.param == "?":
        database.execute_sql(f"CREATE {kind} IF NOT EXISTS {name} ON {target}")
        return
    if database.execute_sql(_INVALID, (name,)).fetchall():
        database.execute_sql(f"DROP INDEX {name}")
    database.execute_sql(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {name} ON {target}")
