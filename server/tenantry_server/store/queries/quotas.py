"""Statements about what organizations may use in regions, and about what they use."""

import json
from typing import Any

from peewee import EXCLUDED, OP, Expression, Select

from ...domain.leases import Lease, LeaseState, RegionQuota
from ..models import Organization
from ..statements import Row, Slot, Statement, changing, constant, value
from ..usage import Lease as LeaseTable
from ..usage import LeasedResource, Usage, UsageLedger
from ..usage import RegionQuota as Table
from ..values import instant, instant_or_none, words
from . import organizations

COLUMNS = (
    Table.organization_id,
    Table.region_id,
    Table.resource_class,
    Table.limits,
    Table.gpu_types,
    Table.revision,
    Table.create_time,
    Table.update_time,
)
LEASE_COLUMNS = (
    LeaseTable.id,
    LeaseTable.organization_id,
    LeaseTable.region_id,
    LeaseTable.resource_class,
    LeaseTable.resource_type,
    LeaseTable.resource_id,
    LeaseTable.state,
    LeaseTable.amounts,
    LeaseTable.end_time,
    LeaseTable.create_time,
    LeaseTable.update_time,
    LeaseTable.reserved_by,
    LeaseTable.committed_by,
    LeaseTable.released_by,
)


def record(row: Row) -> RegionQuota:
    """The record of a row of COLUMNS."""
    organization_id, region_id, resource_class, limits, gpu_types, revision, created, updated = row
    return RegionQuota(
        organization_id=organization_id,
        region_id=region_id,
        resource_class=resource_class,
        limits=json.loads(limits),
        gpu_types=None if gpu_types is None else words(gpu_types),
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
    )


def lease(row: Row) -> Lease:
    """The record of a row of LEASE_COLUMNS."""
    id_, organization_id, region_id, resource_class, kind, resource_id, state, amounts, end, created, updated, *by = row
    return Lease(
        id=id_,
        organization_id=organization_id,
        region_id=region_id,
        resource_class=resource_class,
        resource_type=kind,
        resource_id=resource_id,
        state=LeaseState(state),
        amounts=json.loads(amounts),
        end_time=instant_or_none(end),
        create_time=instant(created),
        update_time=instant(updated),
        reserved_by=by[0],
        committed_by=by[1],
        released_by=by[2],
    )


_THIS = lambda: (
    (Table.organization_id == Slot("organization_id"))
    & (Table.region_id == Slot("region_id"))
    & (Table.resource_class == Slot("resource_class"))
)

GET = Statement(lambda: Table.select(*COLUMNS).where(_THIS()), record)
LIST = Statement(
    lambda: (
        Table.select(*COLUMNS)
        .where(Table.organization_id == Slot("organization_id"))
        .order_by(Table.region_id, Table.resource_class)
    ),
    record,
)
INSERT = changing(lambda: Table.insert({column: Slot(column.name) for column in COLUMNS}).on_conflict("nothing"))
UPDATE = changing(
    lambda: Table.update(
        {
            Table.limits: Slot("limits"),
            Table.gpu_types: Slot("gpu_types"),
            Table.revision: Slot("revision"),
            Table.update_time: Slot("now"),
        }
    ).where(_THIS())
)
DELETE = changing(lambda: Table.delete().where(_THIS()))
# Who has a quota in a region, of all organizations.
THERE = value(lambda: Table.select(Table.organization_id).where(Table.region_id == Slot("region_id")).limit(1))

# -- what is used ----------------------------------------------------------------------------------------------------

# The first statement of every change of what an organization uses: it takes the lock. None is taken of what does not exist.
BUMP = changing(
    lambda: UsageLedger.insert_from(
        Organization.select(Organization.id, 1).where(Organization.id == Slot("organization_id")),
        [UsageLedger.organization_id, UsageLedger.revision],
    ).on_conflict(conflict_target=[UsageLedger.organization_id], update={UsageLedger.revision: UsageLedger.revision + 1})
)
USED = Statement(
    lambda: Usage.select(Usage.region_id, Usage.resource_class, Usage.metric, Usage.amount).where(
        (Usage.organization_id == Slot("organization_id")) & (Usage.amount > 0)
    ),
    tuple,
)
ADD = changing(
    lambda: Usage.insert(
        {
            Usage.organization_id: Slot("organization_id"),
            Usage.region_id: Slot("region_id"),
            Usage.resource_class: Slot("resource_class"),
            Usage.metric: Slot("metric"),
            Usage.amount: Slot("amount"),
        }
    ).on_conflict(
        conflict_target=[Usage.organization_id, Usage.region_id, Usage.resource_class, Usage.metric],
        update={Usage.amount: Usage.amount + EXCLUDED.amount},
    )
)
TAKE = changing(
    lambda: Usage.update({Usage.amount: Usage.amount - Slot("amount")}).where(
        (Usage.organization_id == Slot("organization_id"))
        & (Usage.region_id == Slot("region_id"))
        & (Usage.resource_class == Slot("resource_class"))
        & (Usage.metric == Slot("metric"))
    )
)

_OF = lambda: LeaseTable.organization_id == Slot("organization_id")
_RESERVED = lambda: (LeaseTable.state == constant("reserved")) & (LeaseTable.end_time > Slot("now"))

GET_LEASE = Statement(lambda: LeaseTable.select(*LEASE_COLUMNS).where(_OF() & (LeaseTable.id == Slot("lease_id"))), lease)
RESERVED = Statement(lambda: LeaseTable.select(*LEASE_COLUMNS).where(_OF() & _RESERVED()), lease)
# What holds something, of a type of resources somewhere.
HOLDING = Statement(
    lambda: (
        LeaseTable.select(*LEASE_COLUMNS)
        .where(
            _OF()
            & (LeaseTable.resource_type == Slot("resource_type"))
            & (LeaseTable.region_id == Slot("region_id"))
            & (LeaseTable.resource_class == Slot("resource_class"))
            & ((LeaseTable.state == constant("committed")) | _RESERVED())
        )
        .order_by(LeaseTable.id)
    ),
    lease,
)
# What of a type ended since an instant, somewhere: released, or never committed.
ENDED_SINCE = value(
    lambda: LeaseTable.select(LeaseTable.resource_id).where(
        _OF()
        & (LeaseTable.resource_type == Slot("resource_type"))
        & (LeaseTable.region_id == Slot("region_id"))
        & (LeaseTable.resource_class == Slot("resource_class"))
        & (LeaseTable.state == constant("released"))
        & (LeaseTable.end_time > Slot("since"))
    )
)
IN_REGION = value(
    lambda: (
        LeaseTable.select(LeaseTable.id)
        .where(
            _OF() & (LeaseTable.region_id == Slot("region_id")) & ((LeaseTable.state == constant("committed")) | _RESERVED())
        )
        .limit(1)
    )
)
OF_TYPE_IN_REGION = value(
    lambda: (
        LeaseTable.select(LeaseTable.id)
        .where(
            _OF()
            & (LeaseTable.resource_type == Slot("resource_type"))
            & (LeaseTable.region_id == Slot("region_id"))
            & ((LeaseTable.state == constant("committed")) | _RESERVED())
        )
        .limit(1)
    )
)
# What holds something in a region, of all organizations.
LEASED_THERE = value(
    lambda: (
        LeaseTable.select(LeaseTable.id)
        .where((LeaseTable.region_id == Slot("region_id")) & ((LeaseTable.state == constant("committed")) | _RESERVED()))
        .limit(1)
    )
)


def _unless_empty(name: str, column: Any) -> Any:
    """The column has the slot's value, if that is not empty."""
    return Expression(Slot(name), OP.EQ, constant("")) | (column == Slot(name))


def _leases() -> Select:
    is_of = _unless_empty("resource_type", LeaseTable.resource_type) & _unless_empty("resource_id", LeaseTable.resource_id)
    is_there = _unless_empty("region_id", LeaseTable.region_id) & _unless_empty("resource_class", LeaseTable.resource_class)
    is_holding = (LeaseTable.state == constant("committed")) | _RESERVED()
    is_meant = Expression(Slot("with_ended"), OP.EQ, 1) | is_holding
    chosen = LeaseTable.select(*LEASE_COLUMNS).where(_OF() & is_of & is_there & is_meant & (LeaseTable.id > Slot("after")))
    return chosen.order_by(LeaseTable.id).limit(Slot("limit"))


LEASES = Statement(_leases, lease)
INSERT_LEASE = changing(lambda: LeaseTable.insert({column: Slot(column.name) for column in LEASE_COLUMNS}))
COMMIT_LEASE = changing(
    lambda: LeaseTable.update(
        {
            LeaseTable.state: "committed",
            LeaseTable.end_time: None,
            LeaseTable.committed_by: Slot("by"),
            LeaseTable.update_time: Slot("now"),
        }
    ).where(_OF() & (LeaseTable.id == Slot("lease_id")))
)
RELEASE_LEASE = changing(
    lambda: LeaseTable.update(
        {
            LeaseTable.state: "released",
            LeaseTable.end_time: Slot("now"),
            LeaseTable.released_by: Slot("by"),
            LeaseTable.update_time: Slot("now"),
        }
    ).where(_OF() & (LeaseTable.id == Slot("lease_id")))
)
REDUCE_LEASE = changing(
    lambda: LeaseTable.update(
        {LeaseTable.amounts: Slot("amounts"), LeaseTable.released_by: Slot("by"), LeaseTable.update_time: Slot("now")}
    ).where(_OF() & (LeaseTable.id == Slot("lease_id")))
)
# Those that hold something have no end.
FORGET_LEASES = changing(lambda: LeaseTable.delete().where(_OF() & (LeaseTable.end_time <= Slot("until"))))

# -- whose a resource is ---------------------------------------------------------------------------------------------

CLAIM = changing(
    lambda: LeasedResource.insert(
        {
            LeasedResource.resource_type: Slot("resource_type"),
            LeasedResource.resource_id: Slot("resource_id"),
            LeasedResource.organization_id: Slot("organization_id"),
        }
    ).on_conflict("nothing")
)
_RESOURCE = lambda: (
    (LeasedResource.resource_type == Slot("resource_type")) & (LeasedResource.resource_id == Slot("resource_id"))
)
# Its token from now on.
SET_TOKEN = changing(
    lambda: LeasedResource.update({LeasedResource.token_digest: Slot("digest")}).where(
        (LeasedResource.organization_id == Slot("organization_id")) & _RESOURCE()
    )
)
# Whose resource a token is of.
OF_TOKEN = value(
    lambda: LeasedResource.select(LeasedResource.organization_id).where(
        (LeasedResource.resource_type == Slot("resource_type")) & (LeasedResource.token_digest == Slot("digest"))
    )
)
OWNER = value(lambda: LeasedResource.select(LeasedResource.organization_id).where(_RESOURCE()))
# Unless another committed lease names it.
UNCLAIM = changing(
    lambda: LeasedResource.delete().where(
        (LeasedResource.organization_id == Slot("organization_id"))
        & _RESOURCE()
        & LeasedResource.resource_id.not_in(
            LeaseTable.select(LeaseTable.resource_id).where(
                _OF()
                & (LeaseTable.resource_type == Slot("resource_type"))
                & (LeaseTable.resource_id == Slot("resource_id"))
                & (LeaseTable.state == constant("committed"))
            )
        )
    )
)
ORGANIZATION_OF = Statement(
    lambda: (
        LeasedResource.select(*organizations.COLUMNS)
        .join(Organization, on=Organization.id == LeasedResource.organization_id)
        .where(_RESOURCE() & (Organization.state != constant("deleted")))
    ),
    organizations.record,
)
# A committed lease of a resource.
LEASE_OF = Statement(
    lambda: (
        LeaseTable.select(*LEASE_COLUMNS)
        .where(
            _OF()
            & (LeaseTable.resource_type == Slot("resource_type"))
            & (LeaseTable.resource_id == Slot("resource_id"))
            & (LeaseTable.state == constant("committed"))
        )
        .limit(1)
    ),
    lease,
)
