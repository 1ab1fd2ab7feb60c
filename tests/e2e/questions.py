"""A scene, and questions about it in the words of OpenID AuthZEN."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from e2e.scene import Scene
from e2e.shapes import TEXT
from support.http import Answer
from support.world import DEVELOPER, Person

ONE, MANY, DISCOVERY = "/access/v1/evaluation", "/access/v1/evaluations", "/.well-known/authzen-configuration"
Json = dict[str, Any]


def error(status: int, message: Any = TEXT) -> tuple[int, Json]:
    """A refusal."""
    return status, {"status": status, "message": message}


class Questions:
    """A scene, and questions about it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.here = scene.organization.id

    @cached_property
    def platform(self) -> str:
        """A token that may ask about everybody."""
        return self.scene.world.platform_token(["authorization:check"])

    @cached_property
    def developer(self) -> Person:
        """Who may write to sandboxes."""
        return self.scene.world.member(self.scene.organization, self.scene.owner, DEVELOPER)

    @cached_property
    def decided(self) -> Json:
        """The context of a decision."""
        return {"context": {"revision": self.scene.world.revision(self.here)}}

    def subject(self, person: Person) -> Json:
        """A user."""
        return {"type": "user", "id": person.id}

    def sandbox(self, organization_id: str = "") -> Json:
        """A sandbox of an organization; ours, when none is named."""
        return {"type": "sandbox", "id": "sb-1", "properties": {"organization_id": organization_id or self.here}}

    def question(self, person: Person, action: str, **more: Any) -> Json:
        """Whether somebody may do something to a sandbox."""
        return {"subject": self.subject(person), "action": {"name": action}, "resource": self.sandbox(), **more}

    def ask(self, token: str, body: Any, path: str = ONE, **headers: str) -> Answer:
        """Asks as whoever has a token."""
        return self.scene.by(token).post(path, body, **headers) if token else self.scene.http.post(path, body, **headers)

    def asked(self, body: Any, path: str = ONE) -> tuple[int, Any]:
        """Asks as the platform."""
        return self.ask(self.platform, body, path).seen
