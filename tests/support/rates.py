"""Calls as who is limited sees them: how each was answered, and what it said about the limit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import message_factory

from .rpc import Refused, method_of, refused, request_of, with_header

GET = "OrganizationService.GetOrganization"
SPOKEN = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


@dataclass(frozen=True)
class Told:
    """What a call was told: the refusal, if it was one, and the limit, what remains and the end of the window."""

    refusal: Refused | None
    trailing: dict[str, Any]

    @property
    def limit(self) -> tuple[int, int, int]:
        """What the answer says about the limit; fails when it says nothing."""
        limit, remaining, reset = (int(self.trailing[name]) for name in SPOKEN)
        return limit, remaining, reset

    @property
    def remaining(self) -> int:
        """Calls that are left."""
        return self.limit[1]

    @property
    def is_limited(self) -> bool:
        """Whether it was one too many."""
        return self.refusal is not None and self.refusal.reason == "RATE_LIMITED"

    @property
    def speaks_of_limits(self) -> bool:
        """Whether the answer says anything about a limit."""
        return any(name in self.trailing for name in SPOKEN)


def ask(channel: grpc.Channel, token: str, name: str, /, *metadata: tuple[str, str], **fields: Any) -> Told:
    """What a method answers, and what it says about limits."""
    return told(channel, token, name, request_of(name, **fields), *metadata)


def told(channel: grpc.Channel, token: str, name: str, request: Any, *metadata: tuple[str, str]) -> Told:
    """The same, of a message."""
    method = method_of(name)
    answer = message_factory.GetMessageClass(method.output_type)
    path = f"/{method.containing_service.full_name}/{method.name}"
    send: Any = channel.unary_unary(path, lambda sent: sent.SerializeToString(), answer.FromString)
    credential = (("authorization", f"Bearer {token}"),) if token else ()
    request, header = with_header(method, request)
    try:
        _, call = send.with_call(request, metadata=(*credential, *metadata, *header), timeout=20)
    except grpc.RpcError as error:
        result = refused(error)
        return Told(result, result.trailing)
    trailing: Any = call.trailing_metadata()
    return Told(None, dict(trailing))


def crowd(act: Callable[[], Told], calls: int, *, threads: int = 8) -> list[Told]:
    """What so many calls are told that several threads make at once."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda _: act(), range(calls)))
