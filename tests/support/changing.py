"""Random changes of one organization by people who may make them, of every kind that the API has."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import Any

from tenantry_server.domain.errors import TenantryError

from .operators import delete_user
from .rpc import Refused
from .world import AUDITOR, DEVELOPER, MEMBER, OWNER, Person, World, fresh

PERMISSIONS = ("sandbox:read", "sandbox:write", "audit-log:read", "billing:read", "organization:delete")
_PEOPLE = 5
_SYSTEM = [DEVELOPER, AUDITOR]


class Changing:
    """An organization, its first owner, four others, and what happens to them. Refusals are part of life."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)
        self.people = [self.owner, *(world.person() for _ in range(_PEOPLE - 1))]
        self.program = world.client(world.token(organization_id=self.organization.id))
        self.admin = world.platform()
        self.roles: list[str] = []
        self.invitations: list[tuple[str, Person]] = []
        self.done: Counter[str] = Counter()
        self._is_suspended = False

    def step(self) -> None:
        """One change, or a refusal."""
        if self._is_suspended and self.dice.random() < 0.7:
            self._end_suspension()
        act = self.dice.choice([name for name in vars(type(self)) if name.startswith("act_")])
        try:
            getattr(self, act)()
        except (Refused, TenantryError) as refusal:  # what tests provision, and a token of somebody who is gone, has no status
            self.done[f"{act} {refusal.reason}"] += 1
        else:
            self.done[act] += 1

    @property
    def _here(self) -> dict[str, str]:
        return {"organization_id": self.organization.id}

    def _somebody(self) -> Person:
        return self.dice.choice(self.people)

    def _some_roles(self) -> list[str]:
        return self.dice.sample([*_SYSTEM, *self.roles], self.dice.randint(0, 2))

    def _access(self) -> dict[str, Any]:
        return {"role": self.dice.choice([OWNER, MEMBER, MEMBER]), "assigned_role_ids": self._some_roles()}

    def act_add(self) -> None:
        self.program("MemberService.AddMember", user_id=self._somebody().id, **self._access(), **self._here)

    act_add_more = act_add

    def act_update(self) -> None:
        self.program("MemberService.UpdateMemberAccess", user_id=self._somebody().id, **self._access(), **self._here)

    act_update_more = act_update

    def act_remove(self) -> None:
        self.program("MemberService.RemoveMember", user_id=self._somebody().id, **self._here)

    def act_leave(self) -> None:
        self._somebody().rpc("OrganizationService.LeaveOrganization", **self._here)

    def act_transfer(self) -> None:
        heir = self._somebody()
        self.program("MemberService.AddMember", user_id=heir.id, role=MEMBER, assigned_role_ids=[], **self._here)
        rest = {"user_id": heir.id, "assigned_role_ids": self._some_roles()}
        self.owner.rpc("OrganizationService.TransferOwnership", **rest, **self._here)

    def act_create_role(self) -> None:
        permissions = self.dice.sample(PERMISSIONS[:4], self.dice.randint(1, 3))
        made = self.program("RoleService.CreateRole", name=fresh("Role"), permissions=permissions, **self._here)
        self.roles.append(made.id)

    def act_update_role(self) -> None:
        role_id = self.dice.choice(self.roles or _SYSTEM)
        change: dict[str, Any] = {"permissions": self.dice.sample(PERMISSIONS[:4], 2)}
        if self.dice.random() < 0.3:
            change = {"name": fresh("Role")}
        self.program("RoleService.UpdateRole", role_id=role_id, **change, **self._here)

    def act_delete_role(self) -> None:
        role_id = self.dice.choice(self.roles or _SYSTEM)
        self.program("RoleService.DeleteRole", role_id=role_id, unassign=True, **self._here)
        self.roles.remove(role_id)

    def act_invite(self) -> None:
        guest = self._somebody()
        made = self.program("InvitationService.CreateInvitation", email=guest.email, **self._access(), **self._here)
        self.invitations.append((made.id, guest))

    act_invite_more = act_invite

    def _invitation(self) -> tuple[str, Person]:
        return self.dice.choice(self.invitations[-3:]) if self.invitations else ("0" * 26, self.owner)

    def act_update_invitation(self) -> None:
        change = {"invitation_id": self._invitation()[0], "assigned_role_ids": self._some_roles()}
        mask = {"paths": ["assigned_role_ids"]}
        self.program("InvitationService.UpdateInvitation", update_mask=mask, **change, **self._here)

    def act_resend(self) -> None:
        self.program("InvitationService.ResendInvitation", invitation_id=self._invitation()[0], **self._here)

    def act_cancel(self) -> None:
        self.program("InvitationService.CancelInvitation", invitation_id=self._invitation()[0], **self._here)

    def act_accept(self) -> None:
        invitation_id, guest = self._invitation()
        guest.rpc("InvitationService.AcceptInvitation", invitation_id=invitation_id)

    act_accept_more = act_accept

    def act_decline(self) -> None:
        invitation_id, guest = self._invitation()
        guest.rpc("InvitationService.DeclineInvitation", invitation_id=invitation_id)

    def act_rename(self) -> None:
        self.program("OrganizationService.UpdateOrganization", name=fresh("Acme"), **self._here)

    def act_settings(self) -> None:
        is_limited = self.dice.random() < 0.5
        self.program("OrganizationService.UpdateOrganizationSettings", limited_network_egress=is_limited, **self._here)

    def act_region(self) -> None:
        self.program("OrganizationService.SetDefaultRegion", default_region_id="eu", **self._here)

    def act_custom_region(self) -> None:
        made = self.program("RegionService.CreateRegion", name=fresh("Region"), proxy_url="https://a.example", **self._here)
        region = {"region_id": made.id, **self._here}
        self.program("RegionService.RotateRegionKey", endpoint="REGION_ENDPOINT_PROXY", **region)
        self.program("RegionService.UpdateRegion", proxy_url="", **region)
        self.program("RegionService.DeleteRegion", **region)

    def act_quotas(self) -> None:
        quota = {"region_id": "us", "resource_class": "windows", **self._here}
        self.admin("QuotaService.CreateRegionQuota", **quota)
        self.admin("QuotaService.UpdateRegionQuota", **quota)
        self.admin("QuotaService.DeleteRegionQuota", **quota)

    def act_delete(self) -> None:
        if self.dice.random() < 0.3:
            self.program("OrganizationService.DeleteOrganization", **self._here)

    def act_undelete(self) -> None:
        self.program("OrganizationService.UndeleteOrganization", **self._here)

    act_undelete_more = act_undelete

    def act_suspend(self) -> None:
        """For one more step, or a few: hardly anything works meanwhile."""
        self.admin("OrganizationService.SuspendOrganization", reason="Unpaid", **self._here)
        self._is_suspended = True

    def _end_suspension(self) -> None:
        self._is_suspended = False
        with suppress(Refused):
            self.admin("OrganizationService.UnsuspendOrganization", **self._here)

    def act_limit(self) -> None:
        self.admin("LimitService.UpdateOrganizationLimits", api_calls_per_month=1_000_000, **self._here)

    def act_telemetry(self) -> None:
        self.program("OrganizationService.SetOtelConfig", otel_config={"endpoint": "https://otel.example"}, **self._here)
        self.program("OrganizationService.DeleteOtelConfig", **self._here)

    def act_make_token(self) -> None:
        made = self.program("ApiTokenService.CreateApiToken", name=fresh("token"), permissions=["sandbox:read"], **self._here)
        token = {"api_token_id": made.api_token.id}
        self.program("ApiTokenService.UpdateApiToken", name=fresh("token"), **token, **self._here)
        self.program("ApiTokenService.RotateApiToken", **token, **self._here)
        self.program("ApiTokenService.RevokeApiToken", **token, **self._here)

    def act_exclude_token(self) -> None:
        person = self._somebody()
        extra = self.world.client(self.world.token(person))("ApiTokenService.GetCurrentApiToken").api_token.id
        self.program("ApiTokenService.RevokeApiToken", api_token_id=extra, **self._here)

    def act_delete_user(self) -> None:
        """The first owner stays, to have somebody whom everything can be handed on to."""
        person = self.dice.choice(self.people[1:])
        if self.dice.random() < 0.5:
            heirs = [(self.organization, self._somebody())] if self.dice.random() < 0.5 else []
            delete_user(self.admin, person, *heirs)
