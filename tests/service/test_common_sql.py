"""The SQL that is used is what SQLite, PostgreSQL, Citus, CockroachDB and YugabyteDB should have in common.

A word that is not listed here fails, so whoever needs another one finds out first whether all five have it. Only SQLite and
PostgreSQL are ever run.
"""

from __future__ import annotations

import re

import pytest
from support.engines import Engines
from support.sql import Heard, statements, text

from tenantry_server.store.database import Database
from tenantry_server.store.schema import migrate
from tenantry_server.store.urls import open_database

ENGINES = {"sqlite": "sqlite:///unused", "postgresql": "postgresql://unused/unused"}

# What statements are made of on all five.
COMMON = frozenset(
    """
    SELECT FROM WHERE AS INNER LEFT OUTER CROSS JOIN ON UNION ORDER BY DESC LIMIT OFFSET
    INSERT INTO VALUES CONFLICT DO NOTHING EXCLUDED UPDATE SET DELETE RETURNING
    AND OR NOT IN IS NULL BETWEEN EXISTS TRUE COUNT COALESCE REPLACE
    """.split()
)
OPERATORS = frozenset("= != < <= > >= + - ||".split())
# What one engine is told in its own words, and what the other one is told instead. Citus, CockroachDB and YugabyteDB document
# PostgreSQL's.
OWN = {
    "sqlite": {
        **dict.fromkeys(("json_each", "json_extract", "key", "value"), "rows from a parameter: unnest"),
    },
    "postgresql": {
        **dict.fromkeys(("unnest", "text", "::", "[]", "WITH", "ORDINALITY"), "rows from a parameter: json_each"),
        "LATERAL": "a page that is cut before it is joined: CROSS JOIN, whose order SQLite keeps",
        "FOR_SHARE": "one region, found by its key, that nobody deletes meanwhile: SQLite lets one write at a time",
    },
}

# What the schema is made of on all five.
COMMON_OF_SCHEMA = COMMON | frozenset(
    """
    CREATE DROP ALTER TABLE ADD COLUMN IF TEXT BIGINT BOOLEAN PRIMARY FOREIGN KEY REFERENCES CASCADE CHECK DEFAULT INDEX UNIQUE
    """.split()
)
OPERATORS_OF_SCHEMA = OPERATORS | {"<>", "*"}
# How each is migrated while others serve. Elsewhere it may have to be told in other words, by `store/expanding.py` and
# `store/postgresql.py` alone.
OWN_OF_SCHEMA = {
    "sqlite": {
        "PRAGMA": "references are not looked at while a table is made anew",
        **dict.fromkeys(("RENAME", "TO"), "how a table is made anew"),
        **dict.fromkeys(("WITHOUT", "ROWID"), "rows in the order of their key, which costs one tree less"),
    },
    "postgresql": {
        "CONCURRENTLY": "an index is built while others write",
        **dict.fromkeys(("pg_index", "pg_class", "pg_table_is_visible"), "and may have been left half built"),
        **dict.fromkeys(("SHOW", "RESET"), "a change that finds its table in use gives way: lock_timeout"),
        **dict.fromkeys(("pg_try_advisory_lock", "pg_advisory_unlock"), "of several that migrate one does: on one node"),
    },
}
# What Peewee itself asks for, of its table of what has been applied and of which tables there are, in each engine's words.
PEEWEES = ('"schema_migration"', "pg_catalog.pg_tables", ".sqlite_master")

# Why some of what is not listed is not: which engine lacks it, or has something else under its name.
REASONS = {
    "SELECT 1 FROM t FOR UPDATE": "SQLite lacks it; Citus refuses it across shards, and no isolation level needs to be trusted",
    "SELECT 1 FROM t FOR UPDATE SKIP LOCKED": "SQLite lacks it",
    "SELECT nextval('s')": "SQLite lacks sequences; elsewhere they are hot or leave gaps: ids are made by the service",
    "SELECT now()": "SQLite lacks it, and every node has a clock of its own: time is a parameter",
    "SELECT CURRENT_TIMESTAMP": "every node has a clock of its own: time is a parameter",
    "SELECT pg_advisory_lock(1)": "on Citus it locks one node, on CockroachDB nothing",
    "NOTIFY changes": "CockroachDB lacks it, and poolers lose it",
    "SELECT a FROM t WHERE a ILIKE ?": "SQLite lacks it",
    "SELECT a FROM t WHERE a GLOB ?": "SQLite alone has it",
    "SELECT a ->> 'b' FROM t": "what JSON holds is nobody's but the service's",
    "SELECT a @> ? FROM t": "what JSON holds is nobody's but the service's",
    "INSERT OR IGNORE INTO t VALUES (?)": "SQLite alone has it: ON CONFLICT DO NOTHING",
    "MERGE INTO t USING u ON a = b": "SQLite and CockroachDB lack it",
    "SELECT rowid FROM t": "SQLite alone has it",
    "CREATE TABLE t (a SERIAL)": "SQLite lacks it; elsewhere it is hot or leaves gaps: ids are made by the service",
    "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)": "SQLite alone has it",
    "CREATE TRIGGER t": "Citus refuses it",
    "CREATE FUNCTION f": "SQLite lacks it, Citus runs it on one node",
    "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES t DEFERRABLE": "YugabyteDB and CockroachDB lack it",
    "CREATE TABLE t (EXCLUDE USING gist (a WITH =))": "SQLite and CockroachDB lack it",
    "CREATE TABLE t () INHERITS (u)": "PostgreSQL alone has it",
    "CREATE TABLE t (a JSONB)": "JSON is text, which no engine looks into",
}


def _bare(sql: str) -> str:
    """A statement without quoted names, texts and parameters; what is one word to an engine is one here."""
    bare = re.sub(r"'(?:[^']|'')*'", " ", re.sub(r'"[^"]*"', " ", sql.replace("%s", "?")))
    return bare.replace("FOR SHARE", "FOR_SHARE")


def _operators(bare: str) -> set[str]:
    return set(re.findall(r"::|\[\]|[^\w\s(),.;?\[\]:]+", bare))


def used(sql: str) -> set[str]:
    """The words and operators of a statement, in which every name is quoted."""
    return set(re.findall(r"[A-Za-z_]\w*", _bare(sql))) | _operators(_bare(sql))


def used_in_schema(sql: str) -> set[str]:
    """The same of a change of the schema, in which names are not quoted: they are in small letters."""
    names = set(re.findall(r"(?:TABLE|INTO|ON|REFERENCES|EXISTS) (\w+) ?\(", sql))
    words = re.findall(r"\b[A-Z][A-Z_]+\b|\b[a-z]\w*(?= ?\()|\b(?:pg|sqlite)_\w+", _bare(sql))
    return (set(words) - names) | _operators(_bare(sql))


def uncommon(sql: str, engine: str) -> set[str]:
    """What of a statement an engine may not be told."""
    return used(sql) - COMMON - OPERATORS - set(OWN[engine])


def uncommon_in_schema(sql: str, engine: str) -> set[str]:
    """What of a change of the schema an engine may not be told."""
    return used_in_schema(sql) - COMMON_OF_SCHEMA - OPERATORS_OF_SCHEMA - set(OWN_OF_SCHEMA[engine])


@pytest.fixture(scope="module", params=ENGINES)
def unopened(request: pytest.FixtureRequest) -> tuple[str, Database]:
    """A database of each kind, never connected to."""
    return request.param, open_database(ENGINES[request.param])


@pytest.mark.parametrize("name", statements())
def test_a_statement_is_made_of_what_all_have(name: str, unopened: tuple[str, Database]) -> None:
    engine, database = unopened
    assert uncommon(text(database, statements()[name]), engine) == set()


def test_the_schema_is_made_of_what_all_have(engine: str, engines: Engines) -> None:
    database = open_database(engines.new(engine))
    with Heard(database) as heard:
        migrate(database)
    database.shut_down()
    told = [sql for sql in heard.statements if not any(words in sql for words in PEEWEES)]
    assert len(told) > 50
    assert {sql: found for sql in told if (found := uncommon_in_schema(sql, engine))} == {}
    assert set(OWN_OF_SCHEMA[engine]) <= {word for sql in told for word in used_in_schema(sql)}


def test_no_word_is_allowed_in_vain() -> None:
    words = {engine: set[str]() for engine in ENGINES}
    for engine, url in ENGINES.items():
        database = open_database(url)
        for statement in statements().values():
            words[engine] |= used(text(database, statement))
        assert set(OWN[engine]) <= words[engine]
    assert words["sqlite"] | words["postgresql"] >= COMMON | OPERATORS


@pytest.mark.parametrize("sql", REASONS)
def test_control_what_some_lack_is_found(sql: str, engine: str) -> None:
    assert uncommon(sql, engine)
    if sql.startswith(("CREATE", "ALTER")):
        assert uncommon_in_schema(sql, engine)
