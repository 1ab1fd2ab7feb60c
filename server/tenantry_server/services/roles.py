"""Roles of an organization, and the catalog of permissions."""

from dataclasses import dataclass, replace

from ..domain import ids
from ..domain.audit import Changes
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import LimitExceeded, OwnAccess, RoleAssigned, SystemRole
from ..domain.etags import etag
from ..domain.membership import ensure_holds
from ..domain.paging import Page
from ..domain.permissions import Permission
from ..domain.roles import Role, ensure_role_name
from ..store.change import Change
from ..store.queries import roles as statements
from ..store.values import milliseconds
from .assignments import role_of
from .service import MAX_LIST, PageRequest, Service, changes, whole


@dataclass(frozen=True, slots=True)
class RoleDeletion:
    """What a role's deletion did: the revision it made, and who lost the role."""

    revision: int
    unassigned_user_ids: tuple[str, ...]
    unassigned_invitation_ids: tuple[str, ...]


class Roles(Service):
    """Use cases of roles."""

    def get(self, call: Call, *, role_id: str) -> Role:
        """A role of the organization, or a system role. Raises RoleNotFound."""
        return role_of(self.database, self.store.catalog, call.organization_id, role_id)

    def list_page(self, call: Call, page: PageRequest) -> Page[Role]:
        """A page of the system roles and the organization's own, by id."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = self._list(call, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda role: role.id)

    def list_all(self, call: Call) -> list[Role]:
        """All of them. Raises ListTooLong."""
        return whole(self._list(call, "", MAX_LIST + 1))

    def list_permissions(self, call: Call, page: PageRequest) -> Page[Permission]:
        """A page of the catalog, by name."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = [permission for name, permission in self.store.catalog.permissions.items() if name > after]
        return self.page_tokens.page(scope, page.limit, rows, lambda permission: permission.name)

    @changes
    def create(self, change: Change, *, name: str, description: str, permissions: list[str]) -> Role:
        """Creates a role that grants what the caller holds, or less. Raises LimitExceeded."""
        ensure_role_name(name, field="name")
        granted = change.catalog.ensure_grantable(permissions, field="permissions")
        ensure_holds(change.access, frozenset(granted))
        self._ensure_room(change)
        role = Role(
            id=ids.new(),
            organization_id=change.organization.id,
            name=name,
            description=description,
            permissions=granted,
            revision=change.organization.revision,
            create_time=change.now,
            update_time=change.now,
        )
        now = milliseconds(change.now)
        change.database.later(
            statements.INSERT,
            organization_id=role.organization_id,
            id=role.id,
            name=name,
            description=description,
            permissions=" ".join(granted),
            revision=role.revision,
            create_time=now,
            update_time=now,
        )
        change.record("role.create", "role", role.id, differences(None, role))
        return role

    @changes
    def update(
        self,
        change: Change,
        *,
        role_id: str,
        name: str | None = None,
        description: str | None = None,
        permissions: list[str] | None = None,
    ) -> Role:
        """Changes what is given, for everybody who has the role. Only what the caller holds can be added."""
        before = self._changing(change, role_id)
        if name is not None:
            ensure_role_name(name, field="name")
        granted = (
            before.permissions if permissions is None else change.catalog.ensure_grantable(permissions, field="permissions")
        )
        ensure_holds(change.access, frozenset(granted) - frozenset(before.permissions))
        after = replace(
            before,
            name=before.name if name is None else name,
            description=before.description if description is None else description,
            permissions=granted,
            revision=change.organization.revision,
            update_time=change.now,
        )
        change.database.later(
            statements.UPDATE,
            role_id=after.id,
            name=after.name,
            description=after.description,
            permissions=" ".join(granted),
            **change.slots,
        )
        change.record("role.update", "role", after.id, differences(before, after))
        return after

    @changes
    def delete(self, change: Change, *, role_id: str, unassign: bool) -> RoleDeletion:
        """Deletes a role; with `unassign`, also one that members or pending invitations have."""
        role = self._changing(change, role_id)
        slots = {"role_id": role.id, **change.slots}
        holders = tuple(change.database.rows(statements.HOLDERS, **slots))
        offers = tuple(change.database.rows(statements.OFFERS, **slots))
        if (holders or offers) and not unassign:
            raise RoleAssigned(role_id=role.id, members=str(len(holders)), invitations=str(len(offers)))
        for statement in (statements.TOUCH_HOLDERS, statements.TOUCH_OFFERS, statements.UNASSIGN, statements.UNOFFER):
            change.database.later(statement, **slots)
        change.database.later(statements.DELETE, **slots)
        lost: Changes = {name: (list(ids_), []) for name, ids_ in (("members", holders), ("invitations", offers)) if ids_}
        change.record("role.delete", "role", role.id, {**differences(role, None), **lost})
        return RoleDeletion(change.organization.revision, holders, offers)

    def _list(self, call: Call, after: str, limit: int) -> list[Role]:
        system = [role for role_id, role in sorted(self.store.catalog.roles.items()) if role_id > after]
        own = self.database.rows(statements.LIST, organization_id=call.organization_id, after=after, limit=limit)
        return sorted([*system, *own], key=lambda role: role.id)[:limit]

    def _ensure_room(self, change: Change) -> None:
        maximum = self.limits.roles
        if change.database.one(statements.COUNT, organization_id=change.organization.id, most=maximum) >= maximum:
            raise LimitExceeded(limit="roles", maximum=str(maximum))

    def _changing(self, change: Change, role_id: str) -> Role:
        """A role that may be changed: not a system role, not one that the caller has, of the expected etag."""
        role = role_of(change.database, change.catalog, change.organization.id, role_id)
        if role.system:
            raise SystemRole(role_id=role.id)
        change.ensure_etag(etag(role.revision))
        if role.id in change.access.role_ids and not change.access.is_owner:
            raise OwnAccess
        return role
