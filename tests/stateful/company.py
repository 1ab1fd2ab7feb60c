"""Two organizations in the server and in the model of who may do what, and acts that both do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

from stateful.authorization_model import Model, Standing, Tenant, Token
from support.deployment import CATALOG
from support.operators import delete_user
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, World, fresh

from tenantry_server.domain.organizations import OrganizationState

PEOPLE, TENANTS = 4, 2
_SYSTEM = (DEVELOPER, AUDITOR)
PERMISSIONS = ("sandbox:read", "sandbox:write", "audit-log:read", "billing:read", "organization:delete", "sandbox:fly")
_GRANTABLE = PERMISSIONS[:4]


class Company:
    """Two organizations in the server and in the model, and acts that both do. `seen` counts what was seen."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        self.world, self.seen = world, seen
        self.people = [world.person() for _ in range(PEOPLE)]
        made = [world.organization(person) for person in self.people[:TENANTS]]
        self.programs = [world.client(world.token(organization_id=organization.id)) for organization in made]
        self.service = world.platform("authorization:check")
        self.admin = world.platform()
        tenants = [Tenant(organization.id, members={index: Standing(True)}) for index, organization in enumerate(made)]
        self.model = Model(
            catalog={role.id: frozenset(role.permissions) for role in CATALOG.roles.values()},
            all=CATALOG.all,
            implicit=CATALOG.implicit,
            tenants=tenants,
            tokens=[self._token(person.token, index) for index, person in enumerate(self.people)],
            now=world.clock.now(),
        )
        self.lasting = len(self.model.tokens)  # the tokens that people act by are left alone

    def _token(self, secret: str, person: int | None, **more: Any) -> Token:
        made = self.world.client(secret)("ApiTokenService.GetCurrentApiToken").api_token
        return Token(made.id, secret, person, **more)

    def active(self) -> list[int]:
        return [index for index, tenant in enumerate(self.model.tenants) if tenant.state == "ACTIVE"]

    def here(self, tenant: int) -> dict[str, str]:
        return {"organization_id": self.model.tenants[tenant].id}

    # -- acts: each does what falls, in the server and in the model, if it can be done -------------------------------------

    def act_access(self, fallen: Random) -> None:
        tenant, person = fallen.choice(self.active()), fallen.choice(self._present())
        owner, roles = fallen.random() < 0.2, fallen.sample([*_SYSTEM, *self.model.tenants[tenant].roles], fallen.randint(0, 2))
        if self.model.owners(tenant) == [person] and not owner:
            return
        is_member = person in self.model.tenants[tenant].members
        method = f"MemberService.{'UpdateMemberAccess' if is_member else 'AddMember'}"
        access = {"role": OWNER if owner else MEMBER, "assigned_role_ids": roles}
        self.programs[tenant](method, user_id=self.people[person].id, **access, **self.here(tenant))
        self.model.tenants[tenant].members[person] = Standing(owner, set(roles))

    act_access_more = act_access

    def act_remove(self, fallen: Random) -> None:
        tenant, person = fallen.choice(self.active()), fallen.choice(self._present())
        if person in self.model.tenants[tenant].members and self.model.owners(tenant) != [person]:
            self.programs[tenant]("MemberService.RemoveMember", user_id=self.people[person].id, **self.here(tenant))
            self.model.end(person, tenant)

    def act_transfer(self, fallen: Random) -> None:
        tenant = fallen.choice(self.active())
        members = self.model.tenants[tenant].members
        former, heir = fallen.choice(self.model.owners(tenant)), fallen.choice(list(members))
        if former == heir:
            return
        request = {"user_id": self.people[heir].id, "assigned_role_ids": [DEVELOPER]}
        self.people[former].rpc("OrganizationService.TransferOwnership", **request, **self.here(tenant))
        members[heir].owner, members[former] = True, Standing(False, {DEVELOPER})

    def act_create_role(self, fallen: Random) -> None:
        tenant, granted = fallen.choice(self.active()), fallen.sample(_GRANTABLE, fallen.randint(1, 3))
        made = self.programs[tenant]("RoleService.CreateRole", name=fresh("Role"), permissions=granted, **self.here(tenant))
        self.model.tenants[tenant].roles[made.id] = frozenset(granted)

    def act_update_role(self, fallen: Random) -> None:
        tenant, granted = fallen.choice(self.active()), fallen.sample(_GRANTABLE, fallen.randint(1, 3))
        if roles := self.model.tenants[tenant].roles:
            role_id = fallen.choice(list(roles))
            self.programs[tenant]("RoleService.UpdateRole", role_id=role_id, permissions=granted, **self.here(tenant))
            roles[role_id] = frozenset(granted)

    def act_delete_role(self, fallen: Random) -> None:
        tenant = fallen.choice(self.active())
        if roles := self.model.tenants[tenant].roles:
            role_id = fallen.choice(list(roles))
            self.programs[tenant]("RoleService.DeleteRole", role_id=role_id, unassign=True, **self.here(tenant))
            del roles[role_id]
            for standing in self.model.tenants[tenant].members.values():
                standing.roles.discard(role_id)

    def act_suspend(self, fallen: Random) -> None:
        self._set_state(fallen.choice(self.active()), OrganizationState.SUSPENDED)

    def act_delete(self, fallen: Random) -> None:
        tenant = fallen.choice(self.active())
        self.programs[tenant]("OrganizationService.DeleteOrganization", **self.here(tenant))
        self.model.tenants[tenant].state = "DELETED"

    def revive(self) -> None:
        """Brings back what is not active, now and then: in what is not, nothing else can be done."""
        for index, tenant in enumerate(self.model.tenants):
            if tenant.state == "SUSPENDED":
                self._set_state(index, OrganizationState.ACTIVE)
            elif tenant.state == "DELETED":
                self.programs[index]("OrganizationService.UndeleteOrganization", **self.here(index))
                tenant.state = "ACTIVE"

    def act_make_token(self, fallen: Random) -> None:
        tenant, person = fallen.choice(self.active()), fallen.choice([None, *self._present()])
        is_bound = person is None or (person in self.model.tenants[tenant].members and fallen.random() < 0.4)
        narrowed = fallen.choice([None, frozenset(fallen.sample(_GRANTABLE, 2)), frozenset({"sandbox:read", "member:read"})])
        lifetime = timedelta(hours=1) if fallen.random() < 0.5 else None
        secret = self.world.token(
            None if person is None else self.people[person],
            organization_id=self.model.tenants[tenant].id if is_bound else "",
            permissions=None if narrowed is None else sorted(narrowed),
            lifetime=lifetime,
        )
        expires = None if lifetime is None else self.world.clock.now() + lifetime
        bound = tenant if is_bound else None
        self.model.tokens.append(self._token(secret, person, bound=bound, narrowed=narrowed, expires=expires))

    act_make_token_more = act_make_token

    def act_change_token(self, fallen: Random) -> None:
        for token in self._extra(fallen):
            if token.person is not None and token.bound is None:
                granted = fallen.sample(_GRANTABLE, fallen.randint(1, 3))
                rpc = self.people[token.person].rpc
                rpc("ApiTokenService.UpdateMyApiToken", api_token_id=token.id, permissions=granted)
                token.narrowed = frozenset(granted)

    def act_rotate_token(self, fallen: Random) -> None:
        for token in self._extra(fallen):
            if token.person is not None and (token.expires is None or token.expires > self.world.clock.now()):
                rotated = self.people[token.person].rpc("ApiTokenService.RotateMyApiToken", api_token_id=token.id)
                token.secret = rotated.secret

    def act_end_token(self, fallen: Random) -> None:
        """Ended by the organization: revoked where it is bound, kept out where it is not."""
        tenant = fallen.choice(self.active())
        for token in self._extra(fallen):
            is_member = token.person in self.model.tenants[tenant].members
            if token.bound == tenant or (token.bound is None and is_member and tenant not in token.kept_out):
                self.programs[tenant]("ApiTokenService.RevokeApiToken", api_token_id=token.id, **self.here(tenant))
                token.revoked, token.kept_out = token.bound == tenant, token.kept_out | {tenant}

    def act_delete_user(self, fallen: Random) -> None:
        person = fallen.choice(self._present())
        alone = any(self.model.owners(tenant) == [person] for tenant in range(TENANTS))
        if len(self._present()) > 2 and not alone and fallen.random() < 0.4:
            delete_user(self.admin, self.people[person])
            self.model.gone.add(person)
            for tenant in range(TENANTS):
                self.model.end(person, tenant)
            for token in self.model.tokens:
                token.revoked |= token.person == person

    def act_let_time_pass(self, fallen: Random) -> None:
        self.world.clock.advance(timedelta(hours=1))

    def _set_state(self, tenant: int, state: OrganizationState) -> None:
        self.world.set_state(self.model.tenants[tenant].id, state)
        self.model.tenants[tenant].state = state.name

    def _present(self) -> list[int]:
        return [person for person in range(PEOPLE) if person not in self.model.gone]

    def _extra(self, fallen: Random) -> Iterator[Token]:
        alive = [token for token in self.model.tokens[self.lasting :] if not token.revoked]
        if alive:
            yield fallen.choice(alive)
