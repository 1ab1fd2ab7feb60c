"""How often one may call: every call counts once, against a limit that says how many there may be."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from ..domain import call as calls
from ..domain.call import Call
from ..domain.errors import TenantryError
from ..domain.principal import Level
from ..domain.rates import Allowance
from ..services.meter import Meter
from ..services.rate_limiter import RateLimiter
from .addresses import Network, address_of
from .interceptor import Guard, Interceptor
from .policy import MethodPolicy


@dataclass(frozen=True, slots=True)
class Limiting:
    """What counts calls, and from whom another address than the connection's is believed."""

    limiter: RateLimiter
    meter: Meter
    trusted_proxies: tuple[Network, ...] = ()


class Strangers(Interceptor):
    """Counts the calls of which nobody knows who makes them, by the address that they come from. Who proves who they are is
    not held up by what others at their address do.
    """

    def __init__(self, policies: Mapping[str, MethodPolicy], limiting: Limiting) -> None:
        super().__init__()
        self._policies = policies
        self._limiting = limiting

    @contextmanager
    def around(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        call = calls.current.get()
        policy = self._policies[method]
        if policy.requirement.level is Level.PUBLIC and policy.is_limited:
            self._count(call, context)
        try:
            yield
        except TenantryError:
            if call.caller is None and policy.is_limited and not call.carried:
                self._count(call, context)
            raise

    def _count(self, call: Call, context: grpc.ServicerContext) -> None:
        address = address_of(context, self._limiting.trusted_proxies)
        admit(call, context, self._limiting.limiter.of_address(address))


class Admission(Guard):
    """Counts the calls of who is known: of the organization that they are about or, where there is none, of the caller."""

    def __init__(self, policies: Mapping[str, MethodPolicy], limiting: Limiting) -> None:
        super().__init__()
        self._policies = policies
        self._limiter = limiting.limiter
        self._meter = limiting.meter

    def before(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Raises RateLimited or LimitExceeded."""
        call = calls.current.get()
        if call.caller is not None:
            limiter, policy = self._limiter, self._policies[method]
            organization_id, limits = limiter.organization(call.caller, call.access)
            if not organization_id:
                admit(call, context, limiter.of_principal(call.caller))
            else:
                admit(call, context, limiter.of_organization(organization_id, limits, policy.rate_class))
                if policy.is_metered:
                    self._meter.count(organization_id, limits.api_calls_per_month)


def admit(call: Call, context: grpc.ServicerContext, allowance: Allowance | None) -> None:
    """Tells the caller how they stand, whatever becomes of the call. Raises RateLimited when it is one too many."""
    if allowance is not None:
        call.carried = allowance.headers
        allowance.ensure_admitted()
        context.set_trailing_metadata((("x-request-id", call.call_id), *call.carried))
