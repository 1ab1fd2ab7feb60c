"""What a question is about, a subject in an organization, and how much of it the caller is told."""

from collections.abc import Callable
from typing import NamedTuple

from ..domain.authorization import Sight, Standing, View, held, view
from ..domain.organizations import OrganizationState
from ..domain.permissions import Catalog
from ..domain.principal import Principal
from ..store.subjects import Pair
from .subjects import Named, own_key


class Holding(NamedTuple):
    """The permissions that somebody holds, as of a revision; 0 when the caller may not know of the organization."""

    permissions: frozenset[str]
    revision: int


_NOTHING: frozenset[str] = frozenset()
UNSEEN = Holding(_NOTHING, 0)


class Inquiry(NamedTuple):
    """A subject in an organization, what the caller sees of that, and how much they are told of the subject.

    `is_caller`: it is about the very credential that makes the call, whose standing the sight then is.
    """

    pair: Pair
    sight: Sight | None
    shown: View
    is_caller: bool

    def holding(self, catalog: Catalog, look: Callable[[Pair], Standing]) -> Holding:
        """What the subject holds, as far as the caller is told. `look` reads a standing, where that is needed."""
        sight = self.sight
        if self.shown is View.UNSEEN:
            return UNSEEN
        if sight is not None and (self.is_caller or self.shown is View.CLOSED):
            is_held = self.is_caller and sight.state is OrganizationState.ACTIVE
            return Holding(sight.permissions if is_held else _NOTHING, sight.revision)
        standing = look(self.pair)
        return Holding(held(catalog, standing), standing.revision)


def inquire(principal: Principal, named: Named, organization_id: str, sight: Sight | None) -> Inquiry:
    """An inquiry of a caller who has this sight of the organization. Raises PermissionMissing."""
    shown = view(principal, sight, is_own=named.is_own)
    return Inquiry(Pair(named.key, organization_id), sight, shown, named.is_own and named.key == own_key(principal))
