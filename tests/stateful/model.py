"""What the server should do, again and in small: one organization in memory, its rules written without a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tenantry_server.domain.clock import isoformat

LIFETIME, WINDOW = timedelta(days=7), timedelta(days=30)
_MAKERS = {"invitation:create", "member:create"}


class No(Exception):
    """A refusal: its reason and metadata."""

    def __init__(self, reason: str, **metadata: str) -> None:
        super().__init__(reason, metadata)
        self.reason = reason
        self.metadata = metadata


@dataclass(frozen=True)
class Principal:
    """Who acts: a person, or the organization's own token, through a credential that may be narrowed."""

    person: int | None
    narrowed: frozenset[str] | None = None


@dataclass
class Standing:
    """A member: an owner or not, with roles by id."""

    owner: bool
    roles: set[str] = field(default_factory=set)


@dataclass
class Invitation:
    """An invitation of an address."""

    email: str
    owner: bool
    roles: set[str]
    granter: Principal
    expires: datetime
    state: str = "pending"


@dataclass
class Model:
    """One organization, and the people around it: their addresses, and which of them are verified."""

    id: str
    people: list[str]
    emails: list[str]
    verified: list[bool]
    catalog: Mapping[str, frozenset[str]]  # what system roles grant
    all: frozenset[str]
    implicit: frozenset[str]
    revision: int = 1
    purge: datetime | None = None
    members: dict[int, Standing] = field(default_factory=dict)
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    invitations: dict[str, Invitation] = field(default_factory=dict)

    # -- who may ---------------------------------------------------------------------------------

    def held(self, who: Principal) -> frozenset[str] | None:
        """The effective permissions; None for strangers."""
        if who.person is None:
            everything = self.all
        elif who.person not in self.members:
            return None
        elif self.members[who.person].owner:
            everything = self.all
        else:
            everything = self.implicit | self.granted(False, self.members[who.person].roles)
        return everything if who.narrowed is None else everything & who.narrowed

    def granted(self, owner: bool, roles: Iterable[str]) -> frozenset[str]:
        """What a grant amounts to."""
        known = {**self.catalog, **self.roles}
        return self.all if owner else frozenset().union(*(known[role] for role in roles))

    def allow(self, who: Principal, permission: str, *, people_only: bool = False, deleted: bool = False) -> frozenset[str]:
        """The permissions of who may do this here."""
        if people_only and who.person is None:
            raise No("PRINCIPAL_KIND_NOT_ALLOWED", principal_kind="organization")
        held = self.held(who)
        if held is None or (self.purge and not deleted):
            raise No("ORGANIZATION_NOT_ACCESSIBLE", organization_id=self.id)
        if permission not in held:
            raise No("PERMISSION_MISSING", permissions=permission)
        return held

    def _judge(self, held: frozenset[str], permissions: frozenset[str]) -> None:
        if beyond := permissions - held:
            raise No("GRANT_EXCEEDS_OWN", permissions=",".join(sorted(beyond)))

    def _grant(self, held: frozenset[str], owner: bool, roles: list[str]) -> None:
        self._known(roles)
        self._judge(held, self.granted(owner, roles))

    def _known(self, roles: list[str]) -> None:
        for index, role in enumerate(roles):
            if role not in self.catalog and role not in self.roles:
                raise No("INVALID_REQUEST", fields=f"assigned_role_ids[{index}]")

    def _member(self, person: int) -> Standing:
        if person not in self.members:
            raise No("MEMBER_NOT_FOUND", user_id=self.people[person])
        return self.members[person]

    def _untouchable(self, held: frozenset[str], person: int) -> None:
        if self.members[person].owner and held < self.all:
            raise No("OWNER_PROTECTED", user_id=self.people[person])

    def _owner_remains(self, person: int) -> None:
        if self.members[person].owner and sum(member.owner for member in self.members.values()) == 1:
            raise No("LAST_OWNER", organization_id=self.id)

    # -- members ---------------------------------------------------------------------------------

    def add(self, who: Principal, person: int, owner: bool, roles: list[str], now: datetime) -> None:
        """AddMember."""
        self._grant(self.allow(who, "member:create"), owner, roles)
        if person in self.members:
            raise No("ALREADY_MEMBER", user_id=self.people[person])
        self.members[person] = Standing(owner, set(roles))
        for invitation in self.invitations.values():
            if self.verified[person] and invitation.email == self.emails[person] and self.state(invitation, now) == "pending":
                invitation.state = "cancelled"  # overtaken

    def update(self, who: Principal, person: int, owner: bool, roles: list[str], now: datetime) -> None:
        """UpdateMemberAccess."""
        held = self.allow(who, "member:update")
        before = self._member(person)
        if who.person == person:
            raise No("OWN_ACCESS")
        self._untouchable(held, person)
        self._known(roles)
        if not before.owner:
            self._judge(held, self.granted(owner, set(roles) - before.roles))
        if not owner:
            self._owner_remains(person)
        self.members[person] = Standing(owner, set(roles))

    def remove(self, who: Principal, person: int) -> None:
        """RemoveMember."""
        held = self.allow(who, "member:delete")
        self._member(person)
        if who.person != person:
            self._untouchable(held, person)
        self._owner_remains(person)
        del self.members[person]

    def leave(self, who: Principal) -> None:
        """LeaveOrganization."""
        self.allow(who, "organization:leave", people_only=True)
        assert who.person is not None
        self._owner_remains(who.person)
        del self.members[who.person]

    def transfer(self, who: Principal, person: int) -> None:
        """TransferOwnership."""
        held = self.allow(who, "organization:transfer", people_only=True)
        assert who.person is not None
        if who.person == person:
            raise No("OWN_ACCESS")
        heir = self._member(person)
        self._judge(held, self.all)
        heir.owner = True
        self.members[who.person] = Standing(False)

    # -- roles -----------------------------------------------------------------------------------

    def create_role(self, who: Principal, permissions: frozenset[str]) -> None:
        """CreateRole; the test adds the role under the id that the server gave it."""
        self._judge(self.allow(who, "role:create"), permissions)

    def _role(self, who: Principal, role: str) -> frozenset[str]:
        if role in self.catalog:
            raise No("SYSTEM_ROLE", role_id=role)
        if role not in self.roles:
            raise No("ROLE_NOT_FOUND", role_id=role)
        if who.person is not None and not self.members[who.person].owner and role in self.members[who.person].roles:
            raise No("OWN_ACCESS")
        return self.roles[role]

    def update_role(self, who: Principal, role: str, permissions: frozenset[str]) -> None:
        """UpdateRole."""
        held = self.allow(who, "role:update")
        self._judge(held, permissions - self._role(who, role))
        self.roles[role] = permissions

    def delete_role(self, who: Principal, role: str, unassign: bool, now: datetime) -> None:
        """DeleteRole."""
        self.allow(who, "role:delete")
        self._role(who, role)
        holders = sum(role in member.roles for member in self.members.values())
        offers = sum(role in offer.roles for offer in self.invitations.values() if self.state(offer, now) == "pending")
        if (holders or offers) and not unassign:
            raise No("ROLE_ASSIGNED", role_id=role, members=str(holders), invitations=str(offers))
        for roles in (*(m.roles for m in self.members.values()), *(i.roles for i in self.invitations.values())):
            roles.discard(role)
        del self.roles[role]

    # -- invitations -----------------------------------------------------------------------------

    def state(self, invitation: Invitation, now: datetime) -> str:
        """The state, with expiry computed."""
        return "expired" if invitation.state == "pending" and invitation.expires <= now else invitation.state

    def _may_be_invited(self, email: str, now: datetime) -> None:
        if any(self.emails[person] == email for person in self.members):
            raise No("ALREADY_MEMBER", email=email)
        if any(other.email == email and self.state(other, now) == "pending" for other in self.invitations.values()):
            raise No("INVITATION_PENDING", email=email)

    def invite(self, who: Principal, email: str, owner: bool, roles: list[str], now: datetime) -> Invitation:
        """CreateInvitation; the test adds it under the id that the server gave it."""
        self._grant(self.allow(who, "invitation:create"), owner, roles)
        self._may_be_invited(email, now)
        return Invitation(email, owner, set(roles), who, now + LIFETIME)

    def _open(self, key: str, now: datetime) -> Invitation:
        invitation = self.invitations[key]
        state = self.state(invitation, now)
        if state == "expired":
            raise No("INVITATION_EXPIRED", invitation_id=key, expire_time=isoformat(invitation.expires))
        if state != "pending":
            raise No("INVITATION_NOT_PENDING", invitation_id=key, state=state)
        return invitation

    def update_invitation(self, who: Principal, key: str, roles: list[str], now: datetime) -> None:
        """UpdateInvitation."""
        held = self.allow(who, "invitation:update")
        invitation = self._open(key, now)
        self._grant(held, invitation.owner, roles)
        invitation.roles, invitation.granter = set(roles), who

    def resend(self, who: Principal, key: str, now: datetime) -> None:
        """ResendInvitation."""
        held = self.allow(who, "invitation:update")
        invitation = self.invitations[key]
        state = self.state(invitation, now)
        if state not in ("pending", "expired"):
            raise No("INVITATION_NOT_PENDING", invitation_id=key, state=state)
        self._grant(held, invitation.owner, list(invitation.roles))
        if state == "expired":
            self._may_be_invited(invitation.email, now)
        invitation.granter, invitation.expires = who, now + LIFETIME

    def cancel(self, who: Principal, key: str, now: datetime) -> None:
        """CancelInvitation."""
        self.allow(who, "invitation:delete")
        self._open(key, now).state = "cancelled"

    def answer(self, who: Principal, key: str, now: datetime, *, accept: bool) -> None:
        """AcceptInvitation and DeclineInvitation."""
        if who.person is None:
            raise No("PRINCIPAL_KIND_NOT_ALLOWED", principal_kind="organization")
        if who.narrowed is not None and "invitation:accept" not in who.narrowed:
            raise No("PERMISSION_MISSING", permissions="invitation:accept")
        if not self.verified[who.person]:
            raise No("EMAIL_NOT_VERIFIED")
        if self.invitations[key].email != self.emails[who.person] or self.purge:
            raise No("INVITATION_NOT_FOUND", invitation_id=key)
        invitation = self._open(key, now)
        if accept:
            granter = invitation.granter
            # A person answers with all that they hold now, whatever the credential was narrowed to.
            held = self.held(granter if granter.person is None else Principal(granter.person))
            if held is None or not held & _MAKERS or not held >= self.granted(invitation.owner, invitation.roles):
                raise No("INVITER_LOST_AUTHORITY", invitation_id=key)
            if who.person in self.members:
                raise No("ALREADY_MEMBER", user_id=self.people[who.person])
            self.members[who.person] = Standing(invitation.owner, set(invitation.roles))
        invitation.state = "accepted" if accept else "declined"

    # -- the organization ------------------------------------------------------------------------

    def rename(self, who: Principal) -> None:
        """UpdateOrganization."""
        self.allow(who, "organization:update")

    def delete(self, who: Principal, now: datetime) -> None:
        """DeleteOrganization."""
        self.allow(who, "organization:delete")
        self.purge = now + WINDOW

    def undelete(self, who: Principal, now: datetime) -> None:
        """UndeleteOrganization."""
        self.allow(who, "organization:delete", deleted=True)
        if self.purge is None:
            raise No("ORGANIZATION_NOT_DELETED", organization_id=self.id)
        if self.purge <= now:
            raise No("UNDELETE_WINDOW_PASSED", organization_id=self.id, purge_time=isoformat(self.purge))
        self.purge = None
