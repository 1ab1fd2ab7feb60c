"""How often one may call: limits of all, what an organization has instead, and how a caller stands."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from .errors import RateLimited


class RateClass(StrEnum):
    """What calls count against: three limits of every organization, and three for calls that are of none."""

    AUTHENTICATED = "authenticated"
    SANDBOX_CREATE = "sandbox_create"
    SANDBOX_LIFECYCLE = "sandbox_lifecycle"
    PRINCIPAL = "principal"  # whoever calls outside any organization
    ADDRESS = "address"  # where a call comes from of which nobody knows who makes it
    PLATFORM = "platform"  # an operator or an internal service


# What an organization can have a limit of its own for.
SETTABLE = (RateClass.AUTHENTICATED, RateClass.SANDBOX_CREATE, RateClass.SANDBOX_LIFECYCLE)
_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many calls within so many seconds."""

    calls: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The limits of all. None stands for no limit, which is what each is until the operator's settings say otherwise."""

    authenticated: Rate | None = None
    sandbox_create: Rate | None = None
    sandbox_lifecycle: Rate | None = None
    principal: Rate | None = None
    address: Rate | None = None
    platform: Rate | None = None

    def of(self, rate_class: RateClass) -> Rate | None:
        """The limit of a class."""
        rate: Rate | None = getattr(self, rate_class)
        return rate


@dataclass(frozen=True, slots=True)
class RateOverride:
    """What an organization has instead of what holds for all; None is what holds for all."""

    calls: int | None = None
    seconds: int | None = None

    def over(self, rate: Rate | None) -> Rate | None:
        """The limit that comes of it. A window alone limits nothing."""
        calls = self.calls if self.calls is not None else rate.calls if rate else None
        seconds = self.seconds or (rate.seconds if rate else _MINUTE)
        return None if calls is None else Rate(calls, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationLimits:
    """What was set for one organization. A field that is None was not: what holds for all organizations holds for it."""

    authenticated: RateOverride | None = None
    sandbox_create: RateOverride | None = None
    sandbox_lifecycle: RateOverride | None = None
    api_calls_per_month: int | None = None

    def rate(self, rate_class: RateClass, rates: Rates) -> Rate | None:
        """The organization's limit of a class."""
        override: RateOverride | None = getattr(self, rate_class)
        return rates.of(rate_class) if override is None else override.over(rates.of(rate_class))

    def kept(self) -> str:
        """As the database keeps it: text, empty when nothing was set."""
        said = {
            field.name: [value.calls, value.seconds] if isinstance(value, RateOverride) else value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return json.dumps(said, separators=(",", ":")) if said else ""


@lru_cache(maxsize=4096)
def limits_of(kept: str) -> OrganizationLimits:
    """Kept limits. What is cached is keyed by its content, so it is never stale."""
    said: dict[str, Any] = json.loads(kept)
    values: dict[str, Any] = {name: RateOverride(*value) if isinstance(value, list) else value for name, value in said.items()}
    return OrganizationLimits(**values)


def normal(limits: OrganizationLimits) -> OrganizationLimits | None:
    """The same, without overrides that override nothing; None when nothing is left."""
    empty = {name: None for name in SETTABLE if getattr(limits, name) == RateOverride()}
    limits = replace(limits, **empty)
    return None if limits == OrganizationLimits() else limits


def refined(limits: OrganizationLimits | None, rates: Mapping[RateClass, RateOverride]) -> OrganizationLimits | None:
    """The same with some rates set, of which what is None stays as it is."""
    before = limits or OrganizationLimits()
    wanted: dict[str, Any] = {}
    for rate_class, rate in rates.items():
        override: RateOverride = getattr(before, rate_class) or RateOverride()
        calls = override.calls if rate.calls is None else rate.calls
        seconds = override.seconds if rate.seconds is None else rate.seconds
        wanted[rate_class.value] = RateOverride(calls, seconds)
    return normal(replace(before, **wanted))


class Allowance(NamedTuple):
    """How a caller stands in a window after a call was counted, at which instant and until when the window lasts: in seconds
    since 1970.
    """

    rate_class: RateClass
    rate: Rate
    counted: int
    now: float
    reset: int

    @property
    def remaining(self) -> int:
        """Calls that are left in the window."""
        return max(0, self.rate.calls - self.counted)

    @property
    def is_admitted(self) -> bool:
        """Whether the call was not one too many."""
        return self.counted <= self.rate.calls

    def ensure_admitted(self) -> None:
        """Raises RateLimited when the call was one too many."""
        if not self.is_admitted:
            raise RateLimited(
                rate_limit=self.rate_class,
                maximum=str(self.rate.calls),
                window=str(self.rate.seconds),
                retry_after=str(self.retry_after),
            )

    @property
    def retry_after(self) -> int:
        """Seconds until the next window begins, at least one."""
        return max(1, math.ceil(self.reset - self.now))

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What every answer says of it."""
        standing = (
            ("x-ratelimit-limit", str(self.rate.calls)),
            ("x-ratelimit-remaining", str(self.remaining)),
            ("x-ratelimit-reset", str(self.reset)),
        )
        return standing if self.is_admitted else (*standing, ("retry-after", str(self.retry_after)))
