"""LimitService: parse, call, render."""

from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from tenantry.policy.v1 import policy_pb2
from tenantry.v1 import limit_service_pb2 as pb
from tenantry.v1 import limits_pb2
from tenantry.v1.limit_service_pb2_grpc import LimitServiceServicer

from ..domain.call import current
from ..domain.errors import InvalidRequest
from ..domain.rates import SETTABLE, RateClass, RateOverride
from ..services.rate_limits import EffectiveLimits, EffectiveRate, RateLimits
from . import convert
from .policy import RATE_CLASSES

Context = grpc.ServicerContext

_MONTHLY = "api_calls_per_month"
_FIELDS = (*SETTABLE, _MONTHLY)


class LimitsServicer(LimitServiceServicer):
    """Speaks tenantry.v1.LimitService."""

    def __init__(self, rate_limits: RateLimits) -> None:
        self._rate_limits = rate_limits

    def GetOrganizationLimits(
        self, request: pb.GetOrganizationLimitsRequest, context: Context
    ) -> limits_pb2.OrganizationLimits:
        return _limits(self._rate_limits.get(current.get()))

    def UpdateOrganizationLimits(
        self, request: pb.UpdateOrganizationLimitsRequest, context: Context
    ) -> limits_pb2.OrganizationLimits:
        chosen = convert.chosen(request, _FIELDS, clearable=frozenset(_FIELDS))
        wanted = {name: _wanted(request, name) for name in chosen}
        return _limits(self._rate_limits.update(current.get(), organization_id=request.organization_id, wanted=wanted))

    def CheckRateLimit(self, request: pb.CheckRateLimitRequest, context: Context) -> limits_pb2.RateLimitState:
        allowance = self._rate_limits.check(
            current.get(), organization_id=request.organization_id, rate_class=_class(request.rate_limit_class)
        )
        if allowance is None:
            return limits_pb2.RateLimitState()
        return limits_pb2.RateLimitState(
            limited=True,
            limit=allowance.rate.calls,
            remaining=allowance.remaining,
            reset_in=Duration(seconds=allowance.retry_after),
        )

    def ListMeteredUsage(self, request: pb.ListMeteredUsageRequest, context: Context) -> pb.ListMeteredUsageResponse:
        page = self._rate_limits.usage(current.get(), convert.page(request))
        usage = [limits_pb2.MeteredUsage(month=one.month, metric=one.metric, amount=one.amount) for one in page.items]
        return pb.ListMeteredUsageResponse(usage=usage, next_page_token=page.next_page_token)


def _class(value: policy_pb2.RateLimitClass.ValueType) -> RateClass:
    return RATE_CLASSES[value]


def _wanted(request: pb.UpdateOrganizationLimitsRequest, name: str) -> RateOverride | int | None:
    """What a field is to become; None when it is named and absent."""
    if not request.HasField(name):  # type: ignore[arg-type]
        return None
    value: Any = getattr(request, name)
    if name == _MONTHLY:
        return int(value)
    if value.window.nanos:
        raise InvalidRequest.of(f"{name}.window", "must be whole seconds", "WHOLE_SECONDS")
    return RateOverride(
        calls=value.limit if value.HasField("limit") else None,
        seconds=value.window.seconds if value.HasField("window") else None,
    )


def _limits(record: EffectiveLimits) -> limits_pb2.OrganizationLimits:
    return limits_pb2.OrganizationLimits(
        organization_id=record.organization_id,
        etag=record.etag,
        api_calls_per_month=record.api_calls_per_month,
        **{rate.rate_class: _rate(rate) for rate in record.rates},
    )


def _rate(record: EffectiveRate) -> limits_pb2.RateLimit:
    if record.rate is None:
        return limits_pb2.RateLimit()
    return limits_pb2.RateLimit(
        limited=True,
        limit=record.rate.calls,
        window=Duration(seconds=record.rate.seconds),
        limit_set=record.override.calls is not None,
        window_set=record.override.seconds is not None,
    )
