"""Regions: the platform's, and the custom ones of organizations."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..domain import ids
from ..domain.audit import Changes
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.etags import etag
from ..domain.organizations import Organization
from ..domain.paging import Page
from ..domain.quota_errors import EndpointMissing, RegionInUse, RegionNotFound, RegionTaken
from ..domain.regions import Endpoint, FirstRegion, Region, RegionType
from ..domain.tokens import TokenKind, digest, mint
from ..store.change import Change
from ..store.database import Database
from ..store.queries import quotas as quota_statements
from ..store.queries import regions as statements
from ..store.transactions import change_platform, lock_usage
from ..store.values import milliseconds
from .service import MAX_LIST, PageRequest, Service, changes, whole

_ORDER = (RegionType.CUSTOM, RegionType.DEDICATED, RegionType.SHARED)
# What a snapshot manager keeps.
_SNAPSHOT = "snapshot"


class Regions(Service):
    """Use cases of regions."""

    def list_shared(self, call: Call, page: PageRequest) -> Page[Region]:
        """A page of the regions that are there for everybody, by id. Nobody is asked who they are."""
        after = self.page_tokens.position(call.method, page.token)
        rows = self.database.rows(statements.SHARED, after=after, limit=page.limit + 1)
        return self.page_tokens.page(call.method, page.limit, rows, lambda region: region.id)

    def list_all_shared(self) -> list[Region]:
        """All of them, by name. Raises ListTooLong."""
        rows = whole(self.database.rows(statements.SHARED, after="", limit=MAX_LIST + 1))
        return sorted(rows, key=lambda region: region.name)

    def list_page(self, call: Call, page: PageRequest) -> Page[Region]:
        """A page of the regions that the organization can use, by id."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = usable(self.database, call.organization_id, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda region: region.id)

    def list_all(self, call: Call) -> list[Region]:
        """All of them, its own first. Raises ListTooLong."""
        rows = whole(usable(self.database, call.organization_id, "", MAX_LIST + 1))
        return sorted(rows, key=lambda region: (_ORDER.index(region.type), region.name))

    def get(self, call: Call, *, region_id: str) -> Region:
        """A custom region of the organization. Raises RegionNotFound."""
        known = ids.find_or_nil(region_id)
        region = self.database.row(statements.GET, organization_id=call.organization_id, region_id=known)
        if region is None:
            raise RegionNotFound(region_id=region_id)
        return region

    @changes
    def create(self, change: Change, *, name: str, urls: Mapping[Endpoint, str], with_keys: bool = False) -> Region:
        """Makes a custom region; `with_keys`, a key for each service that it says the place of. Raises RegionTaken."""
        region = Region(
            id=ids.new(),
            organization_id=change.organization.id,
            name=name,
            type=RegionType.CUSTOM,
            enforce_quotas=False,
            **_places(urls),
            revision=change.organization.revision,
            create_time=change.now,
            update_time=change.now,
        )
        _insert(change, region)
        change.record("region.create", "region", region.id, differences(None, region))
        return _with_keys(change, region, [endpoint for endpoint in Endpoint if with_keys and region.url(endpoint)])

    @changes
    def update(self, change: Change, *, region_id: str, urls: Mapping[Endpoint, str]) -> Region:
        """Changes where services of a custom region are. The key of one that is gone ends. Raises RegionInUse."""
        before = _load(change, region_id)
        known = {"organization_id": change.organization.id, "region_id": before.id}
        gone = [endpoint for endpoint, url in urls.items() if not url and before.url(endpoint)]
        if Endpoint.SNAPSHOT_MANAGER in gone:
            lock_usage(change.database, change.organization.id)
            snapshots = {"resource_type": _SNAPSHOT, "now": milliseconds(change.now), **known}
            if change.database.row(quota_statements.OF_TYPE_IN_REGION, **snapshots):
                raise RegionInUse(region_id=region_id)
        for endpoint in gone:
            change.database.later(statements.END_KEY, endpoint=endpoint.value, **known)
        after = replace(before, **_places(urls, before))
        return _keep(change, "region.update", before, after)

    @changes
    def delete(self, change: Change, *, region_id: str) -> Organization:
        """Deletes a custom region. Raises RegionInUse."""
        region = _load(change, region_id)
        organization = change.organization
        lock_usage(change.database, organization.id)
        slots = {"organization_id": organization.id, "region_id": region.id}
        in_use = change.database.row(quota_statements.IN_REGION, now=milliseconds(change.now), **slots)
        if in_use or organization.default_region_id == region.id:
            raise RegionInUse(region_id=region_id)
        change.database.later(statements.DELETE, **slots)
        change.record("region.delete", "region", region.id, differences(region, None))
        return organization

    @changes
    def rotate_key(self, change: Change, *, region_id: str, endpoint: Endpoint) -> Region:
        """Gives a service of a custom region a new key; the old one ends. Raises EndpointMissing."""
        before = _load(change, region_id)
        if not before.url(endpoint):
            raise EndpointMissing(region_id=region_id, endpoint=endpoint)
        after = _with_keys(change, before, [endpoint])
        return _keep(change, "region.rotate_key", before, after, {"key": (None, endpoint.value)})

    def find_by_key(self, key: str) -> tuple[Region, Endpoint]:
        """The custom region that a key was made for, and for which service of it. Raises RegionNotFound, without the key."""
        found = self.database.row(statements.BY_KEY, digest=digest(key) or "")
        if found is None:
            raise RegionNotFound(region_id="")
        return found

    def create_platform(self, call: Call, wanted: FirstRegion) -> Region:
        """Makes a region of the platform. Raises RegionTaken."""

        def body(change: Change) -> Region:
            region = _of_platform(wanted, change.trail[1], change)
            if change.database.row(statements.GET, organization_id="", region_id=region.id):
                raise RegionTaken(region=region.id)
            _insert(change, region)
            change.record("region.create", "region", region.id, differences(None, region))
            return region

        return change_platform(self.store, call, body, Region)

    def update_platform(
        self, call: Call, *, region_id: str, name: str | None = None, enforce_quotas: bool | None = None
    ) -> Region:
        """Changes what is given. Raises RegionNotFound or RegionTaken."""

        def body(change: Change) -> Region:
            before = change.database.row(statements.GET, organization_id="", region_id=region_id)
            if before is None:
                raise RegionNotFound(region_id=region_id)
            change.ensure_etag(etag(before.revision))
            after = replace(
                before,
                name=before.name if name is None else name,
                enforce_quotas=before.enforce_quotas if enforce_quotas is None else enforce_quotas,
            )
            return _keep(change, "region.update", before, after)

        return change_platform(self.store, call, body, Region)

    def delete_platform(self, call: Call, *, region_id: str) -> Region:
        """Deletes a region of the platform. Raises RegionNotFound or RegionInUse."""

        def body(change: Change) -> Region:
            known = {"organization_id": "", "region_id": region_id}
            change.database.later(statements.HOLD, **known)
            region = change.database.row(statements.GET, **known)
            if region is None:
                raise RegionNotFound(region_id=region_id)
            change.ensure_etag(etag(region.revision))
            slots = {"region_id": region_id, "now": milliseconds(change.now)}
            uses = (quota_statements.THERE, quota_statements.LEASED_THERE, statements.DEFAULT_OF)
            if any(change.database.row(use, **slots) for use in uses):
                raise RegionInUse(region_id=region_id)
            change.database.later(statements.DELETE, **known)
            change.record("region.delete", "region", region.id, differences(region, None))
            return region

        return change_platform(self.store, call, body, Region)

    def begin(self, first: Iterable[FirstRegion]) -> None:
        """Gives a new installation its first regions. They are part of it, and of no change."""
        if self.database.one(statements.COUNT_OF_PLATFORM):
            return
        now = self.store.clock.milliseconds()
        for region in first:
            slots: dict[str, Any] = {"organization_id": "", "id": region.id, "name": region.name, "type": region.type.value}
            slots |= {"enforce_quotas": region.enforce_quotas, "revision": 0, "create_time": now, "update_time": now}
            self.database.run(statements.INSERT_FIRST, **_places({}), **slots)


def usable(database: Database, organization_id: str, after: str, limit: int) -> list[Region]:
    """The regions that an organization can use, by id: its own, those that enforce no quotas, and those where it has one."""
    slots = {"organization_id": organization_id, "after": after, "limit": limit}
    rows = [*database.rows(statements.OWN, **slots), *database.rows(statements.OF_PLATFORM, **slots)]
    return sorted(rows, key=lambda region: region.id)[:limit]


def _places(urls: Mapping[Endpoint, str], before: Region | None = None) -> dict[str, Any]:
    """Where the services of a region are; what is not said stays."""
    return {f"{endpoint}_url": urls.get(endpoint, before.url(endpoint) if before else "") for endpoint in Endpoint}


def _of_platform(wanted: FirstRegion, revision: int, change: Change) -> Region:
    return Region(
        id=wanted.id,
        organization_id="",
        name=wanted.name,
        type=wanted.type,
        enforce_quotas=wanted.enforce_quotas,
        **_places({}),
        revision=revision,
        create_time=change.now,
        update_time=change.now,
    )


def _load(change: Change, region_id: str) -> Region:
    """A custom region that may be changed: of the expected etag."""
    known = ids.find_or_nil(region_id)
    region = change.database.row(statements.GET, organization_id=change.organization.id, region_id=known)
    if region is None:
        raise RegionNotFound(region_id=region_id)
    change.ensure_etag(etag(region.revision))
    return region


def _insert(change: Change, region: Region) -> None:
    change.database.later(
        statements.INSERT,
        RegionTaken(region=region.name),
        organization_id=region.organization_id,
        id=region.id,
        name=region.name,
        type=region.type.value,
        enforce_quotas=region.enforce_quotas,
        proxy_url=region.proxy_url,
        ssh_gateway_url=region.ssh_gateway_url,
        snapshot_manager_url=region.snapshot_manager_url,
        revision=region.revision,
        create_time=milliseconds(region.create_time),
        update_time=milliseconds(region.update_time),
    )


def _keep(change: Change, action: str, before: Region, after: Region, more: Changes | None = None) -> Region:
    """Keeps what a region has become, and says so in the trail."""
    after = replace(after, revision=change.trail[1], update_time=change.now)
    change.database.later(
        statements.UPDATE,
        RegionTaken(region=after.name),
        organization_id=after.organization_id,
        region_id=after.id,
        name=after.name,
        enforce_quotas=after.enforce_quotas,
        proxy_url=after.proxy_url,
        ssh_gateway_url=after.ssh_gateway_url,
        snapshot_manager_url=after.snapshot_manager_url,
        revision=after.revision,
        now=milliseconds(change.now),
    )
    change.record(action, "region", after.id, differences(before, after) | (more or {}))
    return after


def _with_keys(change: Change, region: Region, endpoints: Iterable[Endpoint]) -> Region:
    """The region with new keys for some of its services; in a dry run none are made."""
    if change.call.validate_only:
        return region
    keys = tuple((endpoint, mint(TokenKind.REGION)) for endpoint in endpoints)
    for endpoint, key in keys:
        change.database.later(
            statements.SET_KEY,
            organization_id=region.organization_id,
            region_id=region.id,
            endpoint=endpoint.value,
            digest=digest(key),
        )
    return replace(region, keys=keys)
