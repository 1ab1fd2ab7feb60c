"""Roles by id: system roles from the catalog, the organization's own from the database."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ..domain import ids, roles
from ..domain.errors import RoleNotFound
from ..domain.permissions import Catalog
from ..domain.roles import Role
from ..store.database import Database
from ..store.queries import roles as statements


def role_of(database: Database, catalog: Catalog, organization_id: str, role_id: str) -> Role:
    """The role that an id names in an organization. Raises RoleNotFound."""
    known = ids.find_or_nil(role_id)
    role = catalog.roles.get(known) or database.row(statements.GET, organization_id=organization_id, role_id=known)
    if role is None:
        raise RoleNotFound(role_id=role_id)
    return role


def roles_of(
    database: Database, catalog: Catalog, organization_id: str, role_ids: Sequence[str], *, field: str
) -> tuple[Role, ...]:
    """The roles that may be assigned by these ids, by id. Raises InvalidRequest naming the first that may not."""
    known = [ids.find_or_nil(role_id) for role_id in role_ids]
    found = [catalog.roles[role_id] for role_id in known if role_id in catalog.roles]
    own = [role_id for role_id in known if role_id not in catalog.roles]
    if own:
        slots = {f"id{n}": own[n] if n < len(own) else ids.NIL for n in range(statements.MAX_ASSIGNED)}
        found += database.rows(statements.BY_IDS, organization_id=organization_id, **slots)
    return roles.assigned(known, found, field=field)


def by_holder(catalog: Catalog, rows: Iterable[tuple[str, str, Role | None]]) -> dict[str, list[Role]]:
    """Assignments, as the statements find them, by who has them. A system role that the catalog no longer has is left out."""
    found: defaultdict[str, list[Role]] = defaultdict(list)
    for holder, role_id, own in rows:
        role = own or catalog.roles.get(role_id)
        if role is not None:
            found[holder].append(role)
    return found


def custom_id(role: Role) -> str | None:
    """What custom_role_id is for this role: see `store/models.py`."""
    return None if role.system else role.id
