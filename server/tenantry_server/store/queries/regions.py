"""Statements about regions. The platform's have no organization id."""

from typing import Any

from peewee import Select, fn

from ...domain.regions import Endpoint, Region, RegionType
from ..models import Organization
from ..statements import PerEngine, Row, Slot, Statement, changing, constant, value
from ..usage import Region as Table
from ..usage import RegionKey, RegionQuota
from ..values import instant

COLUMNS = (
    Table.organization_id,
    Table.id,
    Table.name,
    Table.type,
    Table.enforce_quotas,
    Table.proxy_url,
    Table.ssh_gateway_url,
    Table.snapshot_manager_url,
    Table.revision,
    Table.create_time,
    Table.update_time,
)


def record(row: Row) -> Region:
    """The record of a row of COLUMNS."""
    organization_id, id_, name, kind, enforced, proxy, ssh_gateway, snapshot_manager, revision, created, updated = row
    return Region(
        id=id_,
        organization_id=organization_id,
        name=name,
        type=RegionType(kind),
        enforce_quotas=bool(enforced),
        proxy_url=proxy,
        ssh_gateway_url=ssh_gateway,
        snapshot_manager_url=snapshot_manager,
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
    )


_THIS = lambda: (Table.organization_id == Slot("organization_id")) & (Table.id == Slot("region_id"))


GET = Statement(lambda: Table.select(*COLUMNS).where(_THIS()), record)


def any_region() -> Select:
    """A region that the organization could use, whether or not it may: its own, or any of the platform."""
    own_or_of_platform = (Table.organization_id == Slot("organization_id")) | (Table.organization_id == "")
    return Table.select(*COLUMNS).where(own_or_of_platform & (Table.id == Slot("region_id")))


# Nobody deletes it until the transaction ends: on SQLite, where one writes at a time, without a word.
ANY = Statement(
    PerEngine(
        any_region,
        lambda: any_region().for_update("FOR SHARE"),  # type: ignore[arg-type]
    ),
    record,
)
# Waits for those, and lets nobody find it before the transaction ends.
HOLD = changing(lambda: Table.update({Table.revision: Table.revision}).where(_THIS()))


def _with_quota() -> Select:
    return RegionQuota.select(RegionQuota.region_id).where(RegionQuota.organization_id == Slot("organization_id"))


def _list(condition: Any) -> Select:
    return Table.select(*COLUMNS).where(condition & (Table.id > Slot("after"))).order_by(Table.id).limit(Slot("limit"))


OWN = Statement(lambda: _list(Table.organization_id == Slot("organization_id")), record)
# Those of the platform that enforce no quotas, or where the organization has one.
OF_PLATFORM = Statement(
    lambda: _list((Table.organization_id == "") & (~Table.enforce_quotas | Table.id.in_(_with_quota()))), record
)
SHARED = Statement(lambda: _list((Table.organization_id == "") & (Table.type == RegionType.SHARED.value)), record)
COUNT_OF_PLATFORM = value(lambda: Table.select(fn.COUNT(Table.id)).where(Table.organization_id == ""))
INSERT = changing(lambda: Table.insert({column: Slot(column.name) for column in COLUMNS}))
# For the first start, which several processes may make at once.
INSERT_FIRST = changing(lambda: Table.insert({column: Slot(column.name) for column in COLUMNS}).on_conflict("nothing"))
UPDATE = changing(
    lambda: Table.update(
        {
            Table.name: Slot("name"),
            Table.enforce_quotas: Slot("enforce_quotas"),
            Table.proxy_url: Slot("proxy_url"),
            Table.ssh_gateway_url: Slot("ssh_gateway_url"),
            Table.snapshot_manager_url: Slot("snapshot_manager_url"),
            Table.revision: Slot("revision"),
            Table.update_time: Slot("now"),
        }
    ).where(_THIS())
)
DELETE = changing(lambda: Table.delete().where(_THIS()))
# Whose default region it is, of all organizations.
DEFAULT_OF = value(
    lambda: (
        Organization.select(Organization.id)
        .where((Organization.default_region_id == Slot("region_id")) & (Organization.default_region_id != constant("")))
        .limit(1)
    )
)
SET_KEY = changing(
    lambda: RegionKey.insert(
        {
            RegionKey.organization_id: Slot("organization_id"),
            RegionKey.region_id: Slot("region_id"),
            RegionKey.endpoint: Slot("endpoint"),
            RegionKey.digest: Slot("digest"),
        }
    ).on_conflict(
        conflict_target=[RegionKey.organization_id, RegionKey.region_id, RegionKey.endpoint],
        update={RegionKey.digest: Slot("digest")},
    )
)
END_KEY = changing(
    lambda: RegionKey.delete().where(
        (RegionKey.organization_id == Slot("organization_id"))
        & (RegionKey.region_id == Slot("region_id"))
        & (RegionKey.endpoint == Slot("endpoint"))
    )
)
# Whose a key is: of an organization that is not deleted.
BY_KEY = Statement(
    lambda: (
        Table.select(*COLUMNS, RegionKey.endpoint)
        .join(RegionKey, on=(RegionKey.organization_id == Table.organization_id) & (RegionKey.region_id == Table.id))
        .join(Organization, on=Organization.id == Table.organization_id)
        .where((RegionKey.digest == Slot("digest")) & (Organization.state != "deleted"))
    ),
    lambda row: (record(row[:-1]), Endpoint(row[-1])),
)
