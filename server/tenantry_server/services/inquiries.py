"""What a question is about, a subject in an organization, and how much of it the caller is told."""

from collections.abc import Callable
from typing import NamedTuple

from ..domain.authorization import NOTHING, Holding, Sight, View, holding_of, view
from ..domain.principal import Principal
from ..store.subjects import Pair
from .subjects import Named

UNSEEN = Holding(NOTHING, 0)


class Inquiry(NamedTuple):
    """A subject in an organization, what the caller sees of that, and how much they are told of the subject.

    `is_caller`: it is about the very credential that makes the call, whose standing the sight then is.
    """

    pair: Pair
    sight: Sight | None
    shown: View
    is_caller: bool

    def holding(self, look: Callable[[Pair], Holding]) -> Holding:
        """What the subject holds, as far as the caller is told. `look` reads what it does, where that is needed."""
        sight = self.sight
        if self.shown is View.UNSEEN:
            return UNSEEN
        if sight is not None and self.is_caller:
            return holding_of(sight, sight.revision)
        if sight is not None and self.shown is View.CLOSED:
            return Holding(NOTHING, sight.revision)
        return look(self.pair)


def inquire(principal: Principal, named: Named, pair: Pair, sight: Sight | None) -> Inquiry:
    """An inquiry of a caller who has this sight of the organization. Raises PermissionMissing."""
    shown = view(principal, sight, is_own=named.is_own)
    return Inquiry(pair, sight, shown, named.is_caller)
