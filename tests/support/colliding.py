"""Values that would be one and the same if they were joined, and a statement that says what it was asked."""

from __future__ import annotations

from typing import Any

import peewee

from tenantry_server.store.statements import Asked, Statement


def pairs() -> Any:
    """What was asked, as the database sees it."""
    asked = Asked("asked", "subject", "organization_id")
    return peewee.Select((asked,), (asked.column("n"), asked.column("subject"), asked.column("organization_id")))


PAIRS: Statement[Any] = Statement(pairs, tuple)
# What would be one and the same if it were joined, by a comma, a colon, a blank, an end of text, a quote, or nothing.
COLLIDING = [
    ("a,b", "c"),
    ("a", "b,c"),
    ("a:b", "c"),
    ("a", "b:c"),
    ("ab", "c"),
    ("a", "bc"),
    ("a b", "c"),
    ("a", "b c"),
    ('a","b', "c"),
    ("a", 'b","c'),
    ("a']", "b"),
    ("a", "']b"),
    ("{a,b}", "c"),
    ("NULL", ""),
    ("null", "NULL"),
    ("", ""),
    ("ä", "b"),
    ("a\u0308", "b"),
    ("A", "b"),
    ("a ", "b"),
    ("a", "b"),
    ("a\\", "b"),
    ("%s", "?"),
]
