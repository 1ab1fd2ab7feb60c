"""What a route demands, as its context extensions say, and where its requests name the organization."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ..domain.errors import InvalidRequest

# Headers by this prefix are told to the service, and never believed of a client.
OURS = "x-tenantry-"
_PLACE = "{organization}"
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_LABEL = re.compile(r"[A-Za-z0-9-]+")
_MOST_PARAMETERS = 1000


class RouteMisconfigured(Exception):
    """A route's context extensions make no sense. The text is for the operator, and not for the client."""


class NoSuchPath(Exception):
    """The request is at no path of the route's template. The text is for the operator, and not for the client."""


class Request(NamedTuple):
    """A request as far as it can name an organization; names of headers are in lower case."""

    path: str
    query: str
    host: str
    headers: Mapping[str, str]


# Finds the organization that a request names, as sent. Raises NoSuchPath, or InvalidRequest.
Locate = Callable[[Request], str]


class RouteAccess(StrEnum):
    """Who may pass."""

    ORGANIZATION = "organization"  # who holds the permission in the organization
    AUTHENTICATED = "authenticated"  # whoever has a good credential


@dataclass(frozen=True, slots=True)
class Route:
    """What a route demands. Of a route that is for whoever has a good credential, permission and place are not said."""

    access: RouteAccess
    permission: str
    locate: Locate | None
    forwards_credential: bool


_KNOWN = {"access", "permission", "organization", "credential"}


@lru_cache(maxsize=4096)
def route_of(extensions: frozenset[tuple[str, str]], permissions: frozenset[str]) -> Route:
    """What the context extensions say, of a catalog of these permissions. Raises RouteMisconfigured."""
    said = dict(extensions)
    _ensure(said.keys() <= _KNOWN, f"unknown context extensions: {', '.join(sorted(said.keys() - _KNOWN))}")
    access, credential = said.get("access", RouteAccess.ORGANIZATION), said.get("credential", "remove")
    _ensure(access in set(RouteAccess), f"access is {access!r}, which is none of {', '.join(RouteAccess)}")
    _ensure(credential in ("remove", "forward"), f"credential is {credential!r}, which is neither remove nor forward")
    forwards = credential == "forward"
    if access == RouteAccess.AUTHENTICATED:
        more = sorted(said.keys() & {"permission", "organization"})
        _ensure(not more, f"access is authenticated, which goes without {' and '.join(more)}")
        return Route(RouteAccess.AUTHENTICATED, "", None, forwards)
    for name in ("permission", "organization"):
        _ensure(bool(said.get(name)), f"the context extension {name} is missing")
    permission = said["permission"]
    _ensure(permission in permissions, f"permission is {permission!r}, which the catalog does not have")
    return Route(RouteAccess.ORGANIZATION, permission, _place(said["organization"]), forwards)


def _place(text: str) -> Locate:
    kind, _, value = text.partition(":")
    make = _PLACES.get(kind)
    if make is None:
        raise RouteMisconfigured(f"organization is {text!r}, which begins with none of {', '.join(f'{k}:' for k in _PLACES)}")
    return make(value)


def _by_path(template: str) -> Locate:
    segments = template.split("/")[1:]
    _ensure(template.startswith("/"), f"the path template {template!r} does not begin with /")
    _ensure(segments.count(_PLACE) == 1, f"the path template {template!r} does not have one segment {_PLACE}")
    patterns = {_PLACE: "/([^/]+)", "*": "/[^/]+", "**": "(?:/.*)?"}
    _ensure("**" not in segments[:-1], f"the path template {template!r} goes on after **")
    for segment in segments:
        is_plain = segment in patterns or (segment and not set(segment) & set("*{}"))
        _ensure(bool(is_plain), f"the path template {template!r} has the segment {segment!r}")
    pattern = re.compile("".join(patterns.get(segment) or f"/{re.escape(segment)}" for segment in segments) + "/?")
    return lambda request: _matched(pattern.fullmatch(request.path), template)


def _by_authority(template: str) -> Locate:
    labels = template.split(".")
    is_name = labels.count(_PLACE) == 1 and all(label == _PLACE or _LABEL.fullmatch(label) for label in labels)
    _ensure(is_name and len(labels) > 1, f"the authority template {template!r} is no name with one label {_PLACE}")
    pattern = r"\.".join("([^.]+)" if label == _PLACE else re.escape(label) for label in labels)
    host = re.compile(f"{pattern}(?::[0-9]+)?", re.IGNORECASE)
    return lambda request: _matched(host.fullmatch(request.host), template)


def _by_header(name: str) -> Locate:
    header = name.lower()
    _ensure(_HEADER.fullmatch(header) is not None, f"there is no header {name!r}")
    _ensure(not header.startswith(OURS), f"the header {name!r} is none that clients may send")
    return lambda request: _only(header, request.headers.get(header, "").split(","))


def _by_query(name: str) -> Locate:
    _ensure(bool(name), "the query parameter has no name")
    folded = name.casefold()

    def locate(request: Request) -> str:
        try:
            pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            raise InvalidRequest.of(name, "is one of too many query parameters", "QUERY") from None
        # Services differ in which of several they take, and in whether letter case tells them apart.
        return _only(name, [value if key == name else "" for key, value in pairs if key.casefold() == folded])

    return locate


_PLACES: dict[str, Callable[[str], Locate]] = {
    "path": _by_path,
    "header": _by_header,
    "query": _by_query,
    "authority": _by_authority,
}


def _only(name: str, values: list[str]) -> str:
    """The one value. Raises InvalidRequest when there is none, or several."""
    if len(values) != 1 or not values[0].strip():
        raise InvalidRequest.of(name, "must name the organization, once", "ORGANIZATION_NAMED")
    return values[0].strip()


def _matched(match: Any, template: str) -> str:
    if match is None:
        raise NoSuchPath(f"the request does not fit {template!r}")
    return str(match[1])


def _ensure(holds: bool, problem: str) -> None:
    if not holds:
        raise RouteMisconfigured(problem)
