"""The bare drivers: what Tenantry's own authorization statement costs without Peewee, gRPC or any of Tenantry's code."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from tenantry_server.store.queries import access
from tenantry_server.store.urls import open_database

from . import meters
from .data import Size, organization_id, secret

_BATCHES, _BATCH = 200, 40


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU a statement: of who asks, and of PostgreSQL."""

    client: float
    postgres: float


def authorization(url: str, size: Size, postgres: int) -> Cost:
    """The cost of the statement, one connection, random callers."""
    database = open_database(url)
    random = Random(7)
    parameters = []
    for _ in range(_BATCH * 50):
        organization = random.randint(1, size.organizations)
        caller = random.choice(size.members(organization))
        digest = hashlib.sha256(secret(caller).encode()).hexdigest()
        text, values = access.BY_DIGEST.sql(database, {"digest": digest, "organization_id": organization_id(organization)})
        parameters.append(values)
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(unquote(urlsplit(url).path[1:]), isolation_level=None)) as sqlite:
            return Cost(_measure(lambda values: sqlite.execute(text, values).fetchall(), parameters), 0.0)
    with psycopg.connect(url, autocommit=True) as connection:
        before = meters.cpu(meters.tree(postgres))
        cost = _measure(lambda values: connection.execute(text, values).fetchall(), parameters)
        spent = meters.spent(before, meters.cpu(meters.tree(postgres)))
    return Cost(cost, spent / 1000 / (_BATCHES * _BATCH))


def _measure(execute: Callable[[list[Any]], list[Any]], parameters: list[list[Any]]) -> float:
    """The 10th percentile of batches, in microseconds."""
    costs = []
    for turn in range(_BATCHES):
        batch = [parameters[(turn * _BATCH + number) % len(parameters)] for number in range(_BATCH)]
        start = time.thread_time_ns()
        for values in batch:
            assert execute(values)[0][0] is not None
        costs.append((time.thread_time_ns() - start) / 1000 / _BATCH)
    return sorted(costs)[_BATCHES // 10]
