"""An organization as REST shows it, and the people around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from support.gateway import Front
from support.http import Answer, Http
from support.world import Person, World

from tenantry_server.domain.ids import to_uuid

# The ids that the document gives to Daytona's assignments.
DEVELOPER = "00000000-0000-0000-0000-000000000001"
AUDITOR = "00000000-0000-0000-0000-000000000007"
# No object has them.
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"
UNKNOWN_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
# What names the organization of Daytona's keys.
HEADER = "X-Daytona-Organization-ID"


def header(organization: Any) -> dict[str, str]:
    """The header that names an organization in Daytona's dialect."""
    return {HEADER: to_uuid(organization.id)}


class Scene:
    """One organization with its owner; everybody else is made when first asked for."""

    def __init__(self, world: World, http: Http, gateway: Front) -> None:
        self.world = world
        self.http = http
        self.gateway = gateway
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)

    def by(self, caller: Person | str) -> Http:
        """REST as somebody, over the one connection of the scene; a text is a token."""
        return self.http.bearing(caller if isinstance(caller, str) else caller.token)

    @cached_property
    def as_owner(self) -> Http:
        """REST as the owner."""
        return self.by(self.owner)

    @cached_property
    def member(self) -> Person:
        """A member without roles."""
        return self.world.member(self.organization, self.owner)

    @cached_property
    def stranger(self) -> Person:
        """Somebody who is no member."""
        return self.world.person("stranger")

    @cached_property
    def foreign(self) -> Any:
        """An organization of the stranger's."""
        return self.world.organization(self.stranger, "Foreign")

    @cached_property
    def here(self) -> dict[str, str]:
        """The header that names the organization in Daytona's dialect."""
        return header(self.organization)

    def path(self, rest: str = "") -> str:
        """A path of the organization in Daytona's dialect."""
        return f"/api/organizations/{to_uuid(self.organization.id)}{rest}"

    def v1(self, rest: str = "") -> str:
        """A path of the organization in dotenv's dialect."""
        return f"/api/v1/organizations/{self.organization.id}{rest}"

    def uuid(self, thing: Any) -> str:
        """An id as Daytona's dialect spells it."""
        return to_uuid(thing.id)

    def last_event(self) -> Any:
        """The newest audit event of the organization."""
        return self.world.events(self.organization, self.owner)[0]


def once(make: Callable[[], Answer], scene: Scene) -> Answer:
    """The answer of a change that is sent twice; fails unless it happens once and is answered alike."""
    first = make()
    with scene.world.unchanged(scene.organization):
        again = make()
    assert again.seen == first.seen
    return first
