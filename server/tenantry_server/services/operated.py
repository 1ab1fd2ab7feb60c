"""What operators and internal services do to an organization that they name: they have no standing in it."""

from collections.abc import Callable
from typing import TypeVar

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import OrganizationDeleted, OrganizationNotAccessible
from ..domain.organizations import Organization, OrganizationState
from ..store.change import Change, Store
from ..store.queries import organizations as statements
from ..store.transactions import change

T = TypeVar("T")


def change_operated(
    store: Store, call: Call, organization_id: str, body: Callable[[Change, Organization], T], answer: type[T]
) -> T:
    """Runs `body` as one change of the organization. Raises OrganizationNotAccessible, with the id as sent, or
    OrganizationDeleted.
    """
    try:
        return change(
            store, call, ids.find_or_nil(organization_id), lambda change: body(change, _there(change.organization)), answer
        )
    except OrganizationNotAccessible:
        raise OrganizationNotAccessible(organization_id=organization_id) from None


def find_operated(store: Store, organization_id: str) -> Organization:
    """The organization. Raises OrganizationNotAccessible, with the id as sent, or OrganizationDeleted."""
    organization = store.database.row(statements.GET, organization_id=ids.find_or_nil(organization_id))
    if organization is None:
        raise OrganizationNotAccessible(organization_id=organization_id)
    return _there(organization)


def _there(organization: Organization) -> Organization:
    if organization.state is OrganizationState.DELETED:
        raise OrganizationDeleted(organization_id=organization.id)
    return organization
