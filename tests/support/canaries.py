"""Somebody whose name and addresses are found wherever they stand: canaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import raw
from .operators import as_person, everything
from .rpc import Client
from .world import DEVELOPER, OWNER, Person, World, fresh

UPDATE = "UserService.UpdateUser"


def holding(world: World, *texts: str) -> list[str]:
    """What of the database holds one of the texts, in whatever letter case: tables and rows."""
    return [
        f"{table} {row}"
        for table, rows in everything(world).items()
        for row in rows
        if any(text.lower() in str(column).lower() for text in texts for column in row)
    ]


def trail(world: World, organization_id: str = "") -> list[tuple[Any, ...]]:
    """Every audit event but what it tells of the change, in order."""
    names = "organization_id, revision, time, actor_kind, actor_id, credential_id, action, target_type, target_id, call_id"
    with raw.connect(world.deployment.url) as connection:
        query = f"SELECT {names} FROM audit_events WHERE organization_id = ? OR ? = '' ORDER BY organization_id, revision"
        return connection.execute(query, (organization_id, organization_id))


@dataclass
class Canary:
    """Somebody who was called three names, had three addresses, and left traces of all of them wherever that is possible."""

    world: World
    client: Client = field(init=False)
    person: Person = field(init=False)
    host: Person = field(init=False)
    names: list[str] = field(default_factory=lambda: [fresh(f"Canary{number} ") for number in range(3)])
    addresses: list[str] = field(default_factory=lambda: [f"{fresh('can_ary%')}@example.com" for _ in range(3)])

    def __post_init__(self) -> None:
        self.client, self.host = self.world.platform(), self.world.person("host")
        name, email = self.names[0], self.addresses[0]
        self.invited_before = self.hosted("before")
        user = self.client(
            "UserService.CreateUser",
            email=email,
            email_verified=True,
            name=name,
            identity={"issuer": "https://login.example", "subject": fresh("subject")},
            request_id=fresh("r"),
        )
        self.person = as_person(self.world, user)
        self.organizations = [self.traces()]
        for name, email in zip(self.names[1:], self.addresses[1:], strict=True):
            fields = {"name": name, "email": email, "email_verified": True}
            self.client(UPDATE, user_id=user.id, request_id=fresh("r"), **fields)
            self.organizations.append(self.traces())

    @property
    def texts(self) -> list[str]:
        """What must not be found."""
        return [*self.names, *self.addresses]

    def hosted(self, name: str) -> Any:
        """An organization of the host's to which the present address is invited."""
        organization = self.world.organization(self.host, name)
        email = self.addresses[0] if not hasattr(self, "person") else self.email
        self.world.invite(organization, self.host, email, DEVELOPER, request_id=fresh("r"))
        return organization

    @property
    def email(self) -> str:
        """The present address."""
        return str(self.client("UserService.GetUser", user_id=self.person.id).email)

    def traces(self) -> list[Any]:
        """Traces of the present name and address: invited, accepted, declined, and inviting others; with answers kept."""
        rpc, world, key = self.person.rpc, self.world, fresh("r")
        pending, accepted, declined = (self.hosted(name) for name in ("pending", "accepted", "declined"))
        for invitation in rpc("InvitationService.ListMyInvitations").invitations:
            if invitation.organization_id == accepted.id:
                rpc("InvitationService.AcceptInvitation", invitation_id=invitation.id, request_id=key)
            if invitation.organization_id == declined.id:
                rpc("InvitationService.DeclineInvitation", invitation_id=invitation.id, request_id=fresh("r"))
        here = {"organization_id": accepted.id, "user_id": self.person.id}
        self.host.rpc("MemberService.UpdateMemberAccess", role=OWNER, request_id=fresh("r"), **here)
        invitation = world.invite(accepted, self.person, f"{fresh('guest')}@example.com", request_id=fresh("r"))
        self.host.rpc(
            "InvitationService.ResendInvitation",
            organization_id=accepted.id,
            invitation_id=invitation.id,
            request_id=fresh("r"),
        )
        return [pending, accepted, declined]

    def delete(self) -> Any:
        """Deletes them."""
        return self.client("UserService.DeleteUser", user_id=self.person.id, request_id=fresh("r"))

    def erase(self, **more: Any) -> Any:
        """Erases them."""
        return self.client("UserService.EraseUser", user_id=self.person.id, **more)
