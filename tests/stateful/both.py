"""One organization in two worlds: each act is done in the server and in the model, which must say the same."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc
from stateful.model import Model, No, Principal, Standing
from support import raw
from support.deployment import CATALOG
from support.rpc import Client, Refused
from support.world import DEVELOPER, MEMBER, OWNER, World, fresh

from tenantry_server.domain import errors
from tenantry_server.store.values import milliseconds

Code = grpc.StatusCode
CODES = {
    "PRINCIPAL_KIND_NOT_ALLOWED": Code.PERMISSION_DENIED,
    "ORGANIZATION_NOT_ACCESSIBLE": Code.PERMISSION_DENIED,
    "PERMISSION_MISSING": Code.PERMISSION_DENIED,
    "GRANT_EXCEEDS_OWN": Code.PERMISSION_DENIED,
    "OWN_ACCESS": Code.PERMISSION_DENIED,
    "OWNER_PROTECTED": Code.PERMISSION_DENIED,
    "INVALID_REQUEST": Code.INVALID_ARGUMENT,
    "ROLE_NOT_FOUND": Code.NOT_FOUND,
    "MEMBER_NOT_FOUND": Code.NOT_FOUND,
    "INVITATION_NOT_FOUND": Code.NOT_FOUND,
    "ALREADY_MEMBER": Code.ALREADY_EXISTS,
    "INVITATION_PENDING": Code.ALREADY_EXISTS,
    "LAST_OWNER": Code.FAILED_PRECONDITION,
    "EMAIL_NOT_VERIFIED": Code.FAILED_PRECONDITION,
    "INVITATION_EXPIRED": Code.FAILED_PRECONDITION,
    "INVITATION_NOT_PENDING": Code.FAILED_PRECONDITION,
    "INVITER_LOST_AUTHORITY": Code.FAILED_PRECONDITION,
    "ROLE_ASSIGNED": Code.FAILED_PRECONDITION,
    "SYSTEM_ROLE": Code.FAILED_PRECONDITION,
    "ORGANIZATION_NOT_DELETED": Code.FAILED_PRECONDITION,
    "UNDELETE_WINDOW_PASSED": Code.FAILED_PRECONDITION,
}
# Refusals repeat what was sent up to here.
_LONGEST = {fact.reason: fact.longest for fact in errors.facts()}
_SYSTEM = (DEVELOPER, CATALOG.role_keys["administrator"].id)
_NARROW = frozenset(
    "organization:read organization:leave member:create member:update invitation:create invitation:accept role:create".split()
)
# Four people with verified addresses, and one without; the first is the organization's first owner.
PEOPLE = 5
PRINCIPALS = [
    *(Principal(person) for person in (0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4)),
    *(Principal(person, _NARROW) for person in (0, 1, 2)),
    Principal(None),
    Principal(None, _NARROW),
]


class Both:
    """The server and the model. `seen` counts what was done and how what was not was refused."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        self.world, self.seen = world, seen
        verified = [person < PEOPLE - 1 for person in range(PEOPLE)]
        self.people = [world.person("person", verified=is_verified) for is_verified in verified]
        self.id = world.organization(self.people[0]).id
        self.clients = {principal: self._client(principal) for principal in dict.fromkeys(PRINCIPALS)}
        self._equal_at = 0
        self.roles = list(_SYSTEM)  # also those that are no more
        self.model = Model(
            id=self.id,
            people=[person.id for person in self.people],
            emails=[person.email for person in self.people],
            verified=verified,
            catalog={role: frozenset(CATALOG.roles[role].permissions) for role in _SYSTEM},
            all=CATALOG.all,
            implicit=CATALOG.implicit,
            revision=world.revision(self.id),
            members={0: Standing(True)},
        )

    def _client(self, principal: Principal) -> Client:
        person = None if principal.person is None else self.people[principal.person]
        narrowed = None if principal.narrowed is None else sorted(principal.narrowed)
        return self.world.client(self.world.token(person, organization_id="" if person else self.id, permissions=narrowed))

    def act(
        self,
        who: Principal,
        method: str,
        predict: Callable[[Model, datetime], Any],
        *,
        rehearse: bool = False,
        scoped: bool = True,
        **fields: Any,
    ) -> tuple[Any, Any]:
        """Does it as the model predicts. Answers with what both say, or with None and None when nothing was done."""
        before, now = self.world.revision(self.id), self.world.clock.now()
        model, predicted, refusal = copy.deepcopy(self.model), None, None
        try:
            predicted = predict(model, now)
        except No as no:
            refusal = no
        with self.world.at(now):
            answer = self._send(who, method, fields | ({"organization_id": self.id} if scoped else {}), rehearse=rehearse)
        told = f"{who} {method} {fields}: {answer}"
        if refusal is not None:
            metadata = {key: value[: _LONGEST[refusal.reason]] for key, value in refusal.metadata.items()}
            assert isinstance(answer, Refused), f"{told}, and not {refusal}"
            assert answer.seen == (CODES[refusal.reason], refusal.reason, metadata), told
        else:
            assert not isinstance(answer, Refused), told
        done = refusal is None and not rehearse
        self.seen[refusal.reason if refusal else f"{method} {'done' if done else 'rehearsed'}"] += 1
        assert self.world.revision(self.id) == before + done
        if not done:
            return None, None
        model.revision += 1
        self.model = model
        return answer, predicted

    def _send(self, who: Principal, method: str, fields: dict[str, Any], *, rehearse: bool) -> Any:
        try:
            return self.clients[who](method, **fields, validate_only=rehearse)
        except Refused as refusal:
            return refusal

    # -- acts whose objects have ids that the server gives ---------------------------------------

    def create_role(self, who: Principal, permissions: frozenset[str], *, rehearse: bool = False) -> None:
        """Creates a role."""
        made, _ = self.act(
            who,
            "RoleService.CreateRole",
            lambda model, now: model.create_role(who, permissions),
            rehearse=rehearse,
            name="Role",
            permissions=sorted(permissions),
        )
        if made:
            self.model.roles[made.id] = permissions
            self.roles.append(made.id)

    def invite(self, who: Principal, person: int, owner: bool, roles: list[str], *, rehearse: bool = False) -> None:
        """Invites somebody."""
        email = self.people[person].email
        made, invitation = self.act(
            who,
            "InvitationService.CreateInvitation",
            lambda model, now: model.invite(who, email, owner, roles, now),
            rehearse=rehearse,
            email=email,
            role=OWNER if owner else MEMBER,
            assigned_role_ids=roles,
        )
        if made:
            self.model.invitations[made.id] = invitation

    def access(
        self, who: Principal, method: str, person: int, owner: bool, roles: list[str], *, rehearse: bool = False
    ) -> None:
        """Adds a member, or changes the access of one."""
        predict = Model.add if method == "AddMember" else Model.update
        self.act(
            who,
            f"MemberService.{method}",
            lambda model, now: predict(model, who, person, owner, roles, now),
            rehearse=rehearse,
            user_id=self.people[person].id,
            role=OWNER if owner else MEMBER,
            assigned_role_ids=roles,
        )

    def rename(self, who: Principal, *, rehearse: bool = False) -> None:
        """Renames the organization."""
        predict = lambda model, now: model.rename(who)
        self.act(who, "OrganizationService.UpdateOrganization", predict, rehearse=rehearse, name=fresh("Acme"))

    # -- what must be true after each ------------------------------------------------------------

    def _kept(self, table: str, what: str, **where: Any) -> list[Any]:
        return raw.values(self.world.deployment.database, table, what, organization_id=self.id, **where)

    def ensure_equal(self) -> None:
        """What is kept is what the model has: members, roles, invitations, and an event for every change.

        A refusal leaves the revision alone, which the act itself has seen; what it may have left besides is seen at the next
        change.
        """
        if self._equal_at == self.model.revision:
            return
        model, now = self.model, self.world.clock.now()
        members = {model.people[person]: standing for person, standing in model.members.items()}
        owners = [person for person, standing in members.items() if standing.owner]
        assert owners
        assert self._kept("memberships", "user_id") == sorted(members)
        assert self._kept("memberships", "user_id", role="owner") == sorted(owners)
        held = [f"{person} {role}" for person, standing in members.items() for role in standing.roles]
        assert self._kept("membership_roles", "user_id || ' ' || role_id") == sorted(held)
        granted = [f"{role} {' '.join(sorted(names))}" for role, names in model.roles.items()]
        assert self._kept("roles", "id || ' ' || permissions") == sorted(granted)
        states = {key: model.state(invitation, now) for key, invitation in model.invitations.items()}
        pending = [model.invitations[key].email for key, state in states.items() if state == "pending"]
        assert len(set(pending)) == len(pending)
        overdue = f"state = 'pending' AND expire_time <= {milliseconds(now)}"
        kept = self._kept("invitations", f"id || ' ' || CASE WHEN {overdue} THEN 'expired' ELSE state END")
        assert kept == sorted(f"{key} {state}" for key, state in states.items())
        offered = [f"{key} {role}" for key, invitation in model.invitations.items() for role in invitation.roles]
        assert self._kept("invitation_roles", "invitation_id || ' ' || role_id") == sorted(offered)
        assert self._kept("audit_events", "revision") == list(range(1, model.revision + 1))
        assert self.world.revision(self.id) == model.revision
        self._equal_at = model.revision

    def ensure_sound(self) -> None:
        """What every principal may do is what the model says, too, and the whole database is sound."""
        self._equal_at = 0
        self.ensure_equal()
        reads = {"member:read": "MemberService.ListMembers", "audit-log:read": "AuditService.ListAuditEvents"}
        for principal, client in self.clients.items():
            held = None if self.model.purge else self.model.held(principal)
            for permission, method in reads.items():
                try:
                    client(method, organization_id=self.id)
                    is_allowed = True
                except Refused:
                    is_allowed = False
                assert is_allowed == (held is not None and permission in held), f"{principal} {permission}"
        assert self.world.breaches() == []
