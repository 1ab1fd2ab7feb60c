"""Statements about audit events, and about the answers kept under request ids."""

import json
from typing import NamedTuple

from ...domain.audit import AuditEvent
from ...domain.principal import PrincipalKind
from ..models import AuditEvent as Table
from ..models import RequestRecord
from ..statements import Row, Slot, Statement, changing
from ..values import instant

_COLUMNS = (
    Table.organization_id,
    Table.revision,
    Table.time,
    Table.actor_kind,
    Table.actor_id,
    Table.credential_id,
    Table.action,
    Table.target_type,
    Table.target_id,
    Table.changes,
    Table.call_id,
)


def record(row: Row) -> AuditEvent:
    """The record of a row."""
    organization_id, revision, time, kind, actor, credential, action, target_type, target_id, changes, call_id = row
    return AuditEvent(
        organization_id=organization_id,
        revision=revision,
        time=instant(time),
        actor_kind=PrincipalKind(kind),
        actor_id=actor,
        credential_id=credential,
        action=action,
        target_type=target_type,
        target_id=target_id,
        changes={field: (before, after) for field, (before, after) in json.loads(changes).items()},
        call_id=call_id,
    )


INSERT = changing(lambda: Table.insert({column: Slot(column.name) for column in _COLUMNS}))
LIST = Statement(
    lambda: (
        Table.select(*_COLUMNS)
        .where((Table.organization_id == Slot("organization_id")) & (Table.revision < Slot("before")))
        .order_by(Table.revision.desc())
        .limit(Slot("limit"))
    ),
    record,
)
# The trail from its beginning.
TRAIL = Statement(
    lambda: (
        Table.select(*_COLUMNS)
        .where((Table.organization_id == Slot("organization_id")) & (Table.revision > Slot("since")))
        .order_by(Table.revision)
        .limit(Slot("limit"))
    ),
    record,
)


class Remembered(NamedTuple):
    """A change that was made under a request id: what was asked, and the first answer."""

    fingerprint: str
    answer: str


REMEMBERED = Statement(
    lambda: RequestRecord.select(RequestRecord.fingerprint, RequestRecord.answer).where(
        (RequestRecord.principal_id == Slot("principal_id"))
        & (RequestRecord.request_id == Slot("request_id"))
        & (RequestRecord.create_time > Slot("since"))
    ),
    lambda row: Remembered(*row),
)
FORGET = changing(
    lambda: RequestRecord.delete().where(
        (RequestRecord.principal_id == Slot("principal_id"))
        & (RequestRecord.request_id == Slot("request_id"))
        & (RequestRecord.create_time <= Slot("since"))
    )
)
REMEMBER = changing(
    lambda: RequestRecord.insert(
        {
            RequestRecord.principal_id: Slot("principal_id"),
            RequestRecord.request_id: Slot("request_id"),
            RequestRecord.fingerprint: Slot("fingerprint"),
            RequestRecord.answer: Slot("answer"),
            RequestRecord.create_time: Slot("now"),
        }
    ).on_conflict("nothing")
)
