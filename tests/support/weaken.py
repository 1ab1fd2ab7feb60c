"""Protections taken away, for negative controls: a race that nothing breaks without its protection proves nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from tenantry_server.domain import call as calls
from tenantry_server.domain.organizations import Organization
from tenantry_server.services import quotas, regions
from tenantry_server.store import standings, transactions
from tenantry_server.store.database import Database
from tenantry_server.store.models import Organization as Table
from tenantry_server.store.people import User
from tenantry_server.store.postgresql import PostgresDatabase
from tenantry_server.store.queries import organizations, users
from tenantry_server.store.queries import regions as region_statements
from tenantry_server.store.statements import Slot, Statement, changing

from . import raw

# Revisions that no change has: the audit trail's key must not stand in for the lock that was taken away.
_REVISIONS = itertools.count(1_000_000)

_SEE_USER = changing(lambda: User.select(User.id).where((User.id == Slot("user_id")) & (User.state == "active")))
_SEE_REGION = Statement(region_statements.any_region, region_statements.record)
_READ_USER = Statement(lambda: User.select(User.id, User.email, User.email_verified).where(User.id == Slot("user_id")), tuple)


def _seeing(then: Callable[[Organization], Organization]) -> Statement[Organization]:
    """Reads an organization instead of counting its revision."""
    read = lambda: Table.select(*organizations.COLUMNS).where(Table.id == Slot("organization_id"))
    return Statement(read, lambda row: then(organizations.record(row)))


def lock(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    """Reads the organization, and the user, instead of counting their revisions; of what is used, counts none either; and sees
    regions without keeping them there.

    On SQLite, where BEGIN IMMEDIATE would still let one writer in at a time, the transaction goes too: every statement is one.
    """

    monkeypatch.setattr(organizations, "BUMP", _seeing(lambda found: replace(found, revision=next(_REVISIONS))))
    for module in (transactions, regions, quotas):
        monkeypatch.setattr(module, "lock_usage", lambda database, organization_id: None)
    monkeypatch.setattr(region_statements, "ANY", _SEE_REGION)
    monkeypatch.setattr(organizations, "BUMP_USER", _READ_USER)
    monkeypatch.setattr(users, "TOUCH", _SEE_USER)
    if not isinstance(database, PostgresDatabase):
        monkeypatch.setattr(database, "writing", lambda deadline: nullcontext())
        for name in ("begin", "commit", "rollback"):
            monkeypatch.setattr(database, name, lambda *arguments: None)


def plain_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts the revision without writing it: no lock, but the audit trail's key still stands."""

    monkeypatch.setattr(organizations, "BUMP", _seeing(lambda found: replace(found, revision=found.revision + 1)))


def recheck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes by what the caller was allowed when the call began, not by what they are allowed inside the transaction."""
    access_again = standings.access_again

    def access_before(*arguments: Any) -> Any:
        call = calls.current.get(None)
        return access_again(*arguments) if call is None else call.access

    monkeypatch.setattr(transactions, "access_again", access_before)


def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets request ids."""
    monkeypatch.setattr(transactions, "_replay", lambda *arguments: None)
    monkeypatch.setattr(transactions, "_remember", lambda *arguments: None)


def table(url: str, *names: str) -> None:
    """Takes every constraint and index from tables."""
    with raw.connect(url) as connection:
        for name in names:
            raw.unguard(connection, name)


def isolation(database: Database, level: str) -> None:
    """Makes another isolation level the default of a database on PostgreSQL, for connections to come."""
    ((name,),) = database.execute_sql("SELECT current_database()").fetchall()  # type: ignore[no-untyped-call]
    database.execute_sql(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")  # type: ignore[no-untyped-call]
    database.drop_connection()
