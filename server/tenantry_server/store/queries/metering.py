"""Statements about what organizations used of metrics, by month."""

from typing import Any, NamedTuple

from peewee import EXCLUDED

from ..models import MeteredUsage as Table
from ..models import Organization
from ..statements import Slot, Statement, value


class Usage(NamedTuple):
    """How much of a metric in a month."""

    month: str
    metric: str
    amount: int


def _add() -> Any:
    """Of an organization that is gone, nothing is written."""
    added = Organization.select(Organization.id, Slot("month"), Slot("metric"), Slot("amount")).where(
        Organization.id == Slot("organization_id")
    )
    columns = (Table.organization_id, Table.month, Table.metric, Table.amount)
    return (
        Table.insert_from(added, columns)
        .on_conflict(
            conflict_target=(Table.organization_id, Table.month, Table.metric),
            update={Table.amount: Table.amount + EXCLUDED.amount},
        )
        .returning(Table.amount)
    )


# Adds, and answers with what that makes.
ADD: Statement[int] = value(_add)
AMOUNT: Statement[int] = value(
    lambda: Table.select(Table.amount).where(
        (Table.organization_id == Slot("organization_id")) & (Table.month == Slot("month")) & (Table.metric == Slot("metric"))
    )
)


def _before() -> Any:
    return (Table.month <= Slot("month")) & ((Table.month < Slot("month")) | (Table.metric < Slot("metric")))


# Backwards: the newest month first.
LIST: Statement[Usage] = Statement(
    lambda: (
        Table.select(Table.month, Table.metric, Table.amount)
        .where((Table.organization_id == Slot("organization_id")) & _before())
        .order_by(Table.month.desc(), Table.metric.desc())
        .limit(Slot("limit"))
    ),
    lambda row: Usage(*row),
)
