"""What all services share."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from ..domain.call import Call
from ..domain.errors import ListTooLong
from ..domain.paging import DEFAULT_SIZE, PageTokens
from ..domain.rates import Rates
from ..store.change import Change, Store
from ..store.database import Database
from ..store.transactions import change
from .secret_keys import SecretKeys

S = TypeVar("S", bound="Service")
T = TypeVar("T")
P = ParamSpec("P")

# Longest list that a path without pages answers.
MAX_LIST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator sets; see `config.py`."""

    organizations_per_user: int = 10
    pending_invitations: int = 1000
    pending_invitations_per_address: int = 100
    api_tokens: int = 1000
    roles: int = 1000
    invitation_lifetime: timedelta = timedelta(days=7)
    undelete_window: timedelta = timedelta(days=30)
    rates: Rates = field(default_factory=Rates)
    secret_keys: SecretKeys = field(default_factory=SecretKeys)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list: `size` 0 stands for the default."""

    size: int = 0
    token: str = ""

    @property
    def limit(self) -> int:
        """How many items the page holds at most."""
        return self.size or DEFAULT_SIZE


class Service:
    """A noun's use cases."""

    def __init__(self, store: Store, limits: Limits, page_tokens: PageTokens) -> None:
        self.store = store
        self.limits = limits
        self.page_tokens = page_tokens

    @property
    def database(self) -> Database:
        """Where the statements go."""
        return self.store.database

    @staticmethod
    def scope(call: Call, *parts: str) -> str:
        """What a page token is bound to: the method, the caller, the organization and the filter."""
        return "|".join((call.method, call.principal.id, call.organization_id, *parts))


def changes(method: Callable[Concatenate[S, Change, P], T]) -> Callable[Concatenate[S, Call, P], T]:
    """Makes a method, written as the body of a transaction, callable with a call: one change of the call's organization."""

    @functools.lru_cache(maxsize=1)
    def answer() -> Any:
        return get_type_hints(method)["return"]

    @functools.wraps(method)
    def run(self: S, call: Call, *args: P.args, **kwargs: P.kwargs) -> T:
        return change(self.store, call, call.organization_id, lambda change: method(self, change, *args, **kwargs), answer())

    return run  # type: ignore[return-value]  # `wraps` also names the first two parameters


def whole(rows: list[T]) -> list[T]:
    """The rows, if they are the whole list. Raises ListTooLong when one more than MAX_LIST was found."""
    if len(rows) > MAX_LIST:
        raise ListTooLong(limit=str(MAX_LIST))
    return rows
