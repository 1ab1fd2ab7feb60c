"""The call in progress: who asks, what the method demands, and how a change is to be carried out.

The interceptors make one for every call; the command line makes its own. Services take it as their first argument.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from . import ids
from .principal import OPERATOR, Access, Level, Principal, PrincipalKind, Requirement

_NOBODY = Requirement(level=Level.PUBLIC)


@dataclass(slots=True, kw_only=True)
class Call:
    """A call. `deadline` is on the clock of `time.monotonic`, in seconds."""

    method: str
    call_id: str = field(default_factory=ids.of_call)
    requirement: Requirement = _NOBODY
    deadline: float = field(default_factory=lambda: time.monotonic() + 15)
    caller: Principal | None = None
    # The organization that the request names, and what the caller may do there; None when they have nothing to do with it,
    # which for a SCOPED method is refused.
    organization_id: str = ""
    access: Access | None = None
    # How a change is to be carried out, from the request's fields of the same names.
    request_id: str = ""
    fingerprint: str = ""
    # Which item of a batch this is a change of, told apart from the others under the same request id.
    item: int | None = None
    validate_only: bool = False
    etag: str = ""
    # What the answer carries in its trailing metadata, beside the call's id: how the caller stands in a rate limit.
    carried: tuple[tuple[str, str], ...] = ()

    @property
    def principal(self) -> Principal:
        """Who calls; there for every method but PUBLIC ones."""
        assert self.caller is not None, f"{self.method} is public"
        return self.caller

    @property
    def held(self) -> Access:
        """What the caller may do in the request's organization; always there for SCOPED methods."""
        assert self.access is not None, f"{self.method} was called by a stranger"
        return self.access


current: ContextVar[Call] = ContextVar("call")


def operator(method: str) -> Call:
    """A call of the operator at the command line."""
    requirement = Requirement(level=Level.PLATFORM, kinds=frozenset({PrincipalKind.PLATFORM}))
    return Call(method=method, caller=OPERATOR, requirement=requirement)


def person(user_id: str, email: str, *, email_verified: bool) -> Principal:
    """A person whom the operator speaks for."""
    return Principal(kind=PrincipalKind.USER, user_id=user_id, email=email, email_verified=email_verified)
