"""Organizations: their life, their name, their owners and their settings."""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from ..domain import ids, slugs
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.clock import isoformat
from ..domain.errors import (
    EmailNotVerified,
    InvalidRequest,
    LastOwner,
    LimitExceeded,
    OrganizationNotAccessible,
    OrganizationNotDeleted,
    OwnAccess,
    UndeleteWindowPassed,
)
from ..domain.etags import etag
from ..domain.membership import Grant, Member, ensure_holds, ensure_shared
from ..domain.organizations import Organization, OrganizationState, masked
from ..domain.paging import Page
from ..domain.regions import Region
from ..domain.roles import MemberRole
from ..store.change import Change
from ..store.queries import members as member_statements
from ..store.queries import organizations as statements
from ..store.queries import users as user_statements
from ..store.transactions import create
from ..store.values import milliseconds
from .assignments import roles_of
from .memberships import load_member, part_with, set_access
from .placement import default_region, give_first_quota
from .sealing import Sealing
from .service import MAX_LIST, PageRequest, Service, changes, whole

_MAX_CONFIG = 16 * 1024


class Organizations(Service):
    """Use cases of organizations."""

    def create(self, call: Call, *, name: str, default_region_id: str = "") -> Organization:
        """Creates a collaborative organization; the caller becomes its owner."""
        principal = call.principal

        def body(change: Change) -> Organization:
            if not change.call.principal.email_verified:
                raise EmailNotVerified
            self._ensure_may_own_another(change, principal.user_id)
            region = default_region(change.database, "", default_region_id) if default_region_id else None
            return found(change, name, creator_user_id=principal.user_id, region=region)

        return create(self.store, call, principal.user_id, body, Organization)

    def get(self, call: Call) -> Organization:
        """The organization that the call is scoped to."""
        return call.held.organization

    def list_page(self, call: Call, page: PageRequest) -> Page[Organization]:
        """A page of the organizations that the caller can access."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = self._accessible(call, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda organization: organization.id)

    def list_all(self, call: Call) -> list[Organization]:
        """All organizations that the caller can access. Raises ListTooLong."""
        return whole(self._accessible(call, "", MAX_LIST + 1))

    def current(self, call: Call) -> Organization:
        """The organization that the caller's token is bound to, or the person's own."""
        bound, user_id = call.principal.organization_id, call.principal.user_id
        organization = (
            self.database.row(statements.GET, organization_id=bound)
            if bound
            else self.database.row(statements.PERSONAL, user_id=user_id)
        )
        if organization is None or organization.state is OrganizationState.DELETED:
            raise OrganizationNotAccessible(organization_id=bound)
        if bound and user_id and not self.database.row(member_statements.GET, organization_id=bound, user_id=user_id):
            raise OrganizationNotAccessible(organization_id=bound)
        return organization.as_of(self.store.clock.now())

    @changes
    def update(self, change: Change, *, name: str | None = None) -> Organization:
        """Changes what is given."""
        before = self._changing(change)
        after = replace(before, name=before.name if name is None else name)
        change.database.later(statements.RENAME, organization_id=after.id, name=after.name)
        change.record("organization.update", "organization", after.id, differences(before, after))
        return after

    @changes
    def delete(self, change: Change) -> Organization:
        """Deletes the organization, so that it can be undeleted for a while."""
        before = self._changing(change)
        ensure_shared(before)
        purge_time = change.now + self.limits.undelete_window
        after = replace(before, state=OrganizationState.DELETED, delete_time=change.now, purge_time=purge_time)
        return self._set_state(change, "organization.delete", before, after)

    @changes
    def undelete(self, change: Change) -> Organization:
        """Brings the deleted organization back as it was. Raises LastOwner when it would have none."""
        before = change.organization
        if before.state is not OrganizationState.DELETED or before.purge_time is None:
            raise OrganizationNotDeleted(organization_id=before.id)
        if before.purge_time <= change.now:
            raise UndeleteWindowPassed(organization_id=before.id, purge_time=isoformat(before.purge_time))
        if change.database.row(user_statements.ACTIVE_OWNER, organization_id=before.id) is None:
            raise LastOwner(organization_id=before.id)  # the last one was deleted meanwhile
        if change.database.row(statements.BUMP_USER, user_id=before.creator_user_id):
            self._ensure_may_own_another(change, before.creator_user_id)
        after = replace(before, state=OrganizationState.ACTIVE, delete_time=None, purge_time=None)
        return self._set_state(change, "organization.undelete", before, after)

    @changes
    def leave(self, change: Change) -> Organization:
        """Ends the caller's own membership."""
        ensure_shared(change.organization)
        member = load_member(change, change.call.principal.user_id)
        _, told = part_with(change, member)
        change.record("member.leave", "member", member.user_id, told)
        return change.organization

    @changes
    def transfer(self, change: Change, *, user_id: str, assigned_role_ids: list[str]) -> Member:
        """Makes another member an owner and the caller a member. Answers with the new owner."""
        ensure_shared(change.organization)
        caller = load_member(change, change.call.principal.user_id)
        if ids.find(user_id) == caller.user_id:
            raise OwnAccess
        heir = load_member(change, user_id)
        organization_id = change.organization.id
        kept = roles_of(change.database, change.catalog, organization_id, assigned_role_ids, field="assigned_role_ids")
        ensure_holds(change.access, change.catalog.all)
        owner = set_access(change, heir, Grant(MemberRole.OWNER, heir.assigned_roles))
        former = set_access(change, caller, Grant(MemberRole.MEMBER, kept))
        change.record(
            "organization.transfer_ownership",
            "organization",
            organization_id,
            {
                "owner_user_id": (caller.user_id, owner.user_id),
                "former_owner_roles": (
                    [role.id for role in caller.assigned_roles],
                    [role.id for role in former.assigned_roles],
                ),
            },
        )
        return owner

    @changes
    def set_default_region(self, change: Change, *, default_region_id: str) -> Organization:
        """Sets the default region."""
        before = self._changing(change)
        region = default_region(change.database, before.id, default_region_id)
        after = replace(before, default_region_id=region.id)
        change.database.later(statements.SET_REGION, organization_id=after.id, default_region_id=region.id)
        told = give_first_quota(change, region)
        change.record("organization.set_default_region", "organization", after.id, differences(before, after) | told)
        return after

    @changes
    def update_settings(
        self,
        change: Change,
        *,
        limited_network_egress: bool | None = None,
        experimental_config: Mapping[str, Any] | None = None,
    ) -> Organization:
        """Changes what is given. A masked secret keeps what is stored."""
        before = self._changing(change)
        stored = json.loads(change.database.one(statements.EXPERIMENTAL_CONFIG, organization_id=before.id))
        if len(_json(experimental_config or {}).encode()) > _MAX_CONFIG:
            raise InvalidRequest.of("experimental_config", "must have at most 16 KiB as JSON", "CONFIG_SIZE")
        sealing = Sealing(self.limits.secret_keys, before.id)
        config = stored if experimental_config is None else sealing.merged(experimental_config, stored)
        egress = before.limited_network_egress if limited_network_egress is None else limited_network_egress
        after = replace(before, limited_network_egress=egress, experimental_config=masked(config))
        change.database.later(
            statements.SET_SETTINGS,
            organization_id=after.id,
            limited_network_egress=egress,
            experimental_config=_json(config),
        )
        seen = differences(before, after)
        if config != stored:  # also when only a secret changed, which both sides then show masked
            seen["experimental_config"] = (before.experimental_config, after.experimental_config)
        change.record("organization.update_settings", "organization", after.id, seen)
        return after

    def _accessible(self, call: Call, after: str, limit: int) -> list[Organization]:
        principal = call.principal
        if principal.organization_id:
            try:
                organization = self.current(call)
            except OrganizationNotAccessible:
                return []
            return [organization] if organization.id > after else []
        rows = self.database.rows(statements.OF_USER, user_id=principal.user_id, after=after, limit=limit)
        now = self.store.clock.now()
        return [organization.as_of(now) for organization in rows]

    def _changing(self, change: Change) -> Organization:
        """The organization, once its etag, which was the one of the revision before, is what the caller expects."""
        change.ensure_etag(etag(change.organization.revision - 1))
        return change.organization

    def _set_state(self, change: Change, action: str, before: Organization, after: Organization) -> Organization:
        change.database.later(
            statements.SET_STATE,
            organization_id=after.id,
            state=after.state.value,
            delete_time=None if after.delete_time is None else milliseconds(after.delete_time),
            purge_time=None if after.purge_time is None else milliseconds(after.purge_time),
        )
        change.record(action, "organization", after.id, differences(before, after))
        return after

    def _ensure_may_own_another(self, change: Change, user_id: str) -> None:
        maximum = self.limits.organizations_per_user
        if change.database.one(statements.COUNT_CREATED, user_id=user_id) >= maximum:
            raise LimitExceeded(limit="organizations created by a user", maximum=str(maximum))


def found(
    change: Change, name: str, *, creator_user_id: str, personal: bool = False, region: Region | None = None
) -> Organization:
    """Makes an organization with its first owner, and enters it. `region` is its default one."""
    default_region_id = region.id if region else ""
    organization_id = ids.new()
    slug = next(slug for slug in islice(slugs.candidates(name), 20) if _take(change, slug, organization_id))
    organization = Organization(
        id=organization_id,
        name=name,
        slug=slug,
        personal=personal,
        state=OrganizationState.ACTIVE,
        creator_user_id=creator_user_id,
        default_region_id=default_region_id,
        limited_network_egress=False,
        experimental_config={},
        revision=1,
        create_time=change.now,
        update_time=change.now,
    )
    now = milliseconds(change.now)
    change.database.later(
        statements.INSERT,
        id=organization_id,
        name=name,
        slug=slug,
        personal=personal,
        state=organization.state.value,
        creator_user_id=creator_user_id,
        default_region_id=default_region_id,
        limited_network_egress=False,
        experimental_config="{}",
        revision=1,
        create_time=now,
        update_time=now,
    )
    change.enter(organization)
    change.database.later(member_statements.INSERT, user_id=creator_user_id, role=MemberRole.OWNER.value, **change.slots)
    if personal:
        change.database.later(statements.MAKE_PERSONAL, user_id=creator_user_id, organization_id=organization_id)
    else:
        told = differences(None, organization) | give_first_quota(change, region)
        change.record("organization.create", "organization", organization_id, told)
    return organization


def _json(config: Mapping[str, Any]) -> str:
    return json.dumps(config, separators=(",", ":"), ensure_ascii=False)


def _take(change: Change, slug: str, organization_id: str) -> bool:
    return change.database.run(statements.TAKE_SLUG, slug=slug, organization_id=organization_id) == 1
