"""An organization with one of everything that requests can name, in one of its three states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.descriptor import MethodDescriptor

from tenantry.policy.v1 import policy_pb2
from tenantry_server.domain.organizations import OrganizationState

from .descriptors import access_of, reference_of
from .requests import Objects, build
from .rpc import Refused
from .world import OWNER, Person, World

# What the stage's role grants: what every member holds, so that whoever may assign roles may assign this one.
HARMLESS = "sandbox:read"


class Stage:
    """One owner who acts, another who stays behind, a member, a role, an invitation; a stranger; an invitation to the owner."""

    def __init__(self, world: World, state: OrganizationState = OrganizationState.ACTIVE) -> None:
        self.world = world
        self.state = state
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)
        self.other_owner = world.member(self.organization, self.owner, role=OWNER)
        self.member = world.member(self.organization, self.owner)
        self.role = world.role(self.organization, self.owner, HARMLESS)
        self.invitation = world.invite(self.organization, self.owner, f"invited-{self.member.email}")
        self.stranger = world.person("stranger")
        self.elsewhere = world.organization(self.stranger, "Elsewhere")
        self.own_invitation = world.invite(self.elsewhere, self.stranger, self.owner.email)
        self._enter(state)

    @property
    def objects(self) -> Objects:
        """What requests name here."""
        return Objects(
            organization_id=self.organization.id,
            role_id=self.role.id,
            member_id=self.member.id,
            invitation_id=self.invitation.id,
            stranger_id=self.stranger.id,
            own_invitation_id=self.own_invitation.id,
        )

    def request(self, method: MethodDescriptor, **options: Any) -> Any:
        """A good request of a method, about this stage."""
        return build(method, self.objects, **options)

    def object_of(self, method: MethodDescriptor) -> tuple[str, str]:
        """What a change of this method is a change of: the organization or the one object that it names, and its etag."""
        named = [field for field in method.input_type.fields if reference_of(field) and not field.is_repeated]
        if not named:
            return self.organization.id, self._organization_etag()
        match reference_of(named[0]):
            case policy_pb2.REFERENCE_ROLE:
                return self.role.id, self.role.etag
            case policy_pb2.REFERENCE_MEMBER:
                member = self.owner.rpc("MemberService.GetMember", organization_id=self.organization.id, user_id=self.member.id)
                return self.member.id, member.etag
            case policy_pb2.REFERENCE_INVITATION:
                return self.invitation.id, self.invitation.etag
        raise AssertionError(f"{method.full_name}: what kind of object is {named[0].name}?")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The organization is active for a while, to change who is in it."""
        self._leave(self.state)
        yield
        self._enter(self.state)

    def _organization_etag(self) -> str:
        return str(self.owner.rpc("OrganizationService.GetOrganization", organization_id=self.organization.id).etag)

    def _enter(self, state: OrganizationState) -> None:
        if state is OrganizationState.SUSPENDED:
            self.world.set_state(self.organization.id, state)
        if state is OrganizationState.DELETED:
            self.owner.rpc("OrganizationService.DeleteOrganization", organization_id=self.organization.id)

    def _leave(self, state: OrganizationState) -> None:
        if state is OrganizationState.SUSPENDED:
            self.world.set_state(self.organization.id, OrganizationState.ACTIVE)
        if state is OrganizationState.DELETED:
            self.owner.rpc("OrganizationService.UndeleteOrganization", organization_id=self.organization.id)


def state_for(method: MethodDescriptor) -> OrganizationState:
    """The state in which a change is possible: what works on deleted organizations is there to bring them back."""
    return OrganizationState.DELETED if access_of(method).allow_deleted else OrganizationState.ACTIVE


def outcome(person: Person, method: MethodDescriptor, request: Any, **options: Any) -> Any:
    """The answer, or the refusal as a value."""
    try:
        return person.rpc.send(method.full_name, request, **options)
    except Refused as refusal:
        return refusal
