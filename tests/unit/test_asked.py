"""Statements about many things at once: one text however many, and values that never run into each other."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import peewee
import pytest
from support.colliding import COLLIDING, PAIRS

from tenantry_server.store.database import Database
from tenantry_server.store.statements import PerEngine, Slot, Statement
from tenantry_server.store.urls import open_database

SQLITE, POSTGRESQL = open_database("sqlite:///unused"), open_database("postgresql://nobody@nowhere/nothing")


@pytest.mark.parametrize("database", [SQLITE, POSTGRESQL], ids=["sqlite", "postgresql"])
def test_the_text_does_not_depend_on_how_many_are_asked_about(database: Database) -> None:
    texts = {PAIRS.sql(database, {"asked": COLLIDING[:count]})[0] for count in (0, 1, 2, len(COLLIDING))}
    assert len(texts) == 1


def test_sqlite_takes_all_of_them_as_one_json_text() -> None:
    (parameter,) = PAIRS.sql(SQLITE, {"asked": COLLIDING})[1]
    assert [tuple(row) for row in json.loads(parameter)] == COLLIDING


def test_postgresql_takes_an_array_for_each_column() -> None:
    text, parameters = PAIRS.sql(POSTGRESQL, {"asked": COLLIDING})
    assert "unnest(%s::text[], %s::text[]) WITH ORDINALITY" in text
    assert list(zip(*parameters, strict=True)) == COLLIDING


def test_a_value_that_is_missing_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="asked"):
        PAIRS.sql(SQLITE, {})


def test_each_engine_may_have_words_of_its_own() -> None:
    built: Statement[Any] = Statement(
        PerEngine(lambda: peewee.Select((), (Slot("mine"),)), lambda: peewee.Select((), (Slot("yours"),))), tuple
    )
    assert [built.sql(database, {"mine": 1, "yours": 2})[1] for database in (SQLITE, POSTGRESQL)] == [[1], [2]]


def test_different_questions_are_different_parameters() -> None:
    for one, other in permutations(COLLIDING, 2):
        for database in (SQLITE, POSTGRESQL):
            assert PAIRS.sql(database, {"asked": [one]})[1] != PAIRS.sql(database, {"asked": [other]})[1]
