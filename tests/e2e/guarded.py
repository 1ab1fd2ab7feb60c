"""Calls of a service behind gateway/protect.yaml: those that come through, and those that do not."""

from __future__ import annotations

from typing import Any

from support.http import Answer
from support.protected import Protected


def sandboxes(organization: Any, rest: str = "") -> str:
    """A path of the example, in an organization or for an id."""
    return f"/v1/organizations/{getattr(organization, 'id', organization)}/sandboxes{rest}"


def call(guarded: Protected, token: str, verb: str, path: str, **headers: str) -> Answer:
    """A call as whoever has a token."""
    with guarded.http(token) as http:
        return http.call(verb, path, **headers)


def came_through(guarded: Protected, answer: Answer, line: str) -> dict[str, str]:
    """The headers of a request that the service saw last."""
    assert answer.status == 200
    assert guarded.seen.requests[-1][0] == line
    return guarded.seen.last


def refused(guarded: Protected, token: str, verb: str, path: str, **headers: str) -> tuple[int, str, str]:
    """How a request is refused, of which the service sees nothing: status, reason and detail."""
    before = len(guarded.seen.requests)
    answer = call(guarded, token, verb, path, **headers)
    assert len(guarded.seen.requests) == before
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == answer.status
    return answer.status, answer.body.get("reason", ""), answer.body["detail"]
