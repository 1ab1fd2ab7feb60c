"""People and organizations to test with. Everything is made through the services or the API, under fresh names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tenantry_server.domain import call as calls
from tenantry_server.domain.clock import floor
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.store.invariants import breaches
from tenantry_server.store.models import Organization as OrganizationTable
from tenantry_server.store.people import User as UserTable
from tenantry_server.store.values import milliseconds

from . import raw
from .deployment import Deployment
from .rpc import Client

_NUMBERS = itertools.count(1)
MILLISECOND = timedelta(milliseconds=1)

OWNER, MEMBER = "MEMBER_ROLE_OWNER", "MEMBER_ROLE_MEMBER"
# System roles that tests assign.
DEVELOPER = "00000000000000000000000001"  # sandbox:write
SANDBOXES_ADMIN = "00000000000000000000000002"  # sandbox:write, sandbox:delete
AUDITOR = "00000000000000000000000007"  # audit-log:read


def fresh(name: str) -> str:
    """A name that nothing else has."""
    return f"{name}{os.getpid()}x{next(_NUMBERS)}"


@dataclass
class Person:
    """A user with a token that narrows nothing, and a client that uses it."""

    id: str
    email: str
    personal_organization_id: str
    token: str
    rpc: Client


class World:
    """Makes people, organizations, memberships, roles and tokens in a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.services = deployment.services
        self.clock = deployment.clock

    def person(self, name: str = "person", *, verified: bool = True, email: str = "") -> Person:
        """A new user."""
        operator = calls.operator("test")
        made = self.services.users.create(
            operator, email=email or f"{fresh(name)}@example.com", name=name.title(), email_verified=verified
        )
        token = self.services.api_tokens.provision(operator, user_id=made.user.id).secret
        client = Client(self.deployment.channel, token)
        return Person(made.user.id, made.user.email, made.personal_organization.id, token, client)

    def token(
        self,
        person: Person | None = None,
        *,
        organization_id: str = "",
        permissions: Sequence[str] | None = None,
        lifetime: timedelta | None = None,
    ) -> str:
        """Another token: of a person, bound to an organization or not, or of an organization alone."""
        return self.services.api_tokens.provision(
            calls.operator("test"),
            user_id=person.id if person else "",
            organization_id=organization_id,
            permissions=permissions,
            lifetime=lifetime,
        ).secret

    def client(self, token: str = "") -> Client:
        """A client with a token, or with none."""
        return Client(self.deployment.channel, token)

    def platform(self, *permissions: str, lifetime: timedelta | None = None) -> Client:
        """A client with a platform token; one that narrows nothing, unless permissions are named."""
        return self.client(self.platform_token(permissions or None, lifetime=lifetime))

    def platform_token(self, permissions: Sequence[str] | None = None, *, lifetime: timedelta | None = None) -> str:
        """A platform token."""
        return self.services.platform_tokens.provision(
            calls.operator("test"), permissions=permissions, lifetime=lifetime
        ).secret

    def organization(self, owner: Person, name: str = "Acme") -> Any:
        """A collaborative organization; answers with its message."""
        return owner.rpc("OrganizationService.CreateOrganization", name=name)

    def join(self, organization: Any, owner: Person, person: Person, *role_ids: str, role: str = MEMBER) -> Any:
        """Makes a person a member."""
        return owner.rpc(
            "MemberService.AddMember",
            organization_id=organization.id,
            user_id=person.id,
            role=role,
            assigned_role_ids=role_ids,
        )

    def member(self, organization: Any, owner: Person, *role_ids: str, role: str = MEMBER) -> Person:
        """A new user who is a member."""
        person = self.person("member")
        self.join(organization, owner, person, *role_ids, role=role)
        return person

    def member_with(self, organization: Any, owner: Person, *permissions: str) -> Person:
        """A new user who is a member, by a role of their own of these permissions."""
        return self.member(organization, owner, self.role(organization, owner, *permissions).id)

    def role(self, organization: Any, owner: Person, *permissions: str, name: str = "Custom") -> Any:
        """A role of the organization."""
        return owner.rpc("RoleService.CreateRole", organization_id=organization.id, name=name, permissions=permissions)

    def invite(self, organization: Any, inviter: Person, email: str, *role_ids: str, role: str = MEMBER, **more: Any) -> Any:
        """An invitation."""
        return inviter.rpc(
            "InvitationService.CreateInvitation",
            organization_id=organization.id,
            email=email,
            role=role,
            assigned_role_ids=role_ids,
            **more,
        )

    def export_telemetry(self, organization: Any, owner: Person) -> Any:
        """Gives an organization an OpenTelemetry configuration."""
        config = {"endpoint": "https://otel.example", "headers": {"api-key": "hunter2"}}
        return owner.rpc("OrganizationService.SetOtelConfig", organization_id=organization.id, otel_config=config)

    def set_state(self, organization_id: str, state: OrganizationState) -> None:
        """Suspends an organization, or makes it active, behind the API's back."""
        query = OrganizationTable.update({OrganizationTable.state: state.value}).where(OrganizationTable.id == organization_id)
        with self.deployment.database.reading():
            query.execute(self.deployment.database)

    def verify(self, person: Person) -> None:
        """Makes a person's address verified, behind the API's back."""
        query = UserTable.update({UserTable.email_verified: True}).where(UserTable.id == person.id)
        with self.deployment.database.reading():
            query.execute(self.deployment.database)

    def events(self, organization: Any, owner: Person) -> list[Any]:
        """The audit trail, the newest first."""
        return list(owner.rpc("AuditService.ListAuditEvents", organization_id=organization.id, page_size=1000).events)

    def changes(self) -> int:
        """How many changes there were, of anything: each counted one revision, and left one event."""
        counted = sum(raw.values(self.deployment.database, "organizations", "revision"))
        counted += sum(raw.values(self.deployment.database, "platform", "revision"))
        assert counted == raw.count(self.deployment.database, "audit_events")
        return int(counted)

    def revision(self, organization_id: str) -> int:
        """The organization's revision, read behind the API's back."""
        query = OrganizationTable.select(OrganizationTable.revision).where(OrganizationTable.id == organization_id)
        with self.deployment.database.reading():
            return int(query.tuples().execute(self.deployment.database)[0][0])

    @contextmanager
    def unchanged(self, *organizations: Any) -> Iterator[None]:
        """Sees to it that nothing in these organizations changes: no change leaves the revision alone."""
        before = [self.revision(organization.id) for organization in organizations]
        yield
        after = [self.revision(organization.id) for organization in organizations]
        assert after == before, f"revisions {before} became {after}"

    @contextmanager
    def at(self, instant: datetime) -> Iterator[None]:
        """Stops the clock at an instant."""
        self.clock.stopped = floor(instant)
        try:
            yield
        finally:
            self.clock.stopped = None

    def now_ms(self) -> int:
        """The clock's present, as the database keeps it."""
        return milliseconds(self.clock.now())

    def breaches(self) -> list[Any]:
        """Broken invariants, anywhere in the database."""
        return list(breaches(self.deployment.database, self.services.store.catalog))
