"""Explanations: what decided, the path, and changes that turn the answer around when they are made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.asking import changes, check, decision, why
from support.sql import Heard
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, SANDBOXES_ADMIN, Person, World

from tenantry.v1 import authorization_pb2 as pb
from tenantry_server.domain import ids
from tenantry_server.domain.organizations import OrganizationState

READ, WRITE, DELETE, PAY, RULE = "sandbox:read", "sandbox:write", "sandbox:delete", "billing:read", "organization:delete"


def user(person: Person) -> dict[str, Any]:
    return {"subject": {"user_id": person.id}}


def roles(told: Any) -> list[tuple[str, str, bool]]:
    return [(role.role_id, role.name, role.system) for role in told.granting_roles]


def test_the_path_of_a_member_names_every_role_that_grants(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    own = world.role(acme, ana, WRITE, PAY, name="Writers")
    bo = world.member(acme, ana, DEVELOPER, own.id, AUDITOR)
    told = why(ana.rpc, acme.id, WRITE, **user(bo))
    assert decision(told) == "ROLE"
    assert (told.member_role, told.implicit, told.organization_state) == (2, False, 1)
    assert roles(told) == [(DEVELOPER, "Developer", True), (own.id, "Writers", False)]
    assert not told.HasField("token")
    assert changes(told) == ["UNASSIGN_ROLE Developer", "UNASSIGN_ROLE Writers"]


def test_the_path_of_an_owner_and_what_everybody_holds(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, SANDBOXES_ADMIN, role=OWNER)
    cy = world.member(acme, ana)
    told = why(ana.rpc, acme.id, DELETE, **user(bo))
    assert (decision(told), told.member_role, changes(told)) == ("OWNER", 1, ["MAKE_MEMBER", "UNASSIGN_ROLE Sandboxes Admin"])
    told = why(ana.rpc, acme.id, READ, **user(cy))
    assert (decision(told), told.implicit, changes(told)) == ("IMPLICIT", True, ["REMOVE_MEMBER"])


def test_the_path_of_a_token_says_what_the_token_does(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    service = world.platform("authorization:check")
    narrow = world.token(ana, permissions=[READ], lifetime=timedelta(minutes=1))
    bound = world.token(ana, organization_id=birch.id)
    told = why(service, acme.id, WRITE, subject={"credential": narrow})
    assert (decision(told), changes(told)) == ("NARROWED", ["WIDEN_TOKEN"])
    token = told.token
    assert (token.unrestricted, token.narrowed, token.expired, token.excluded, token.out_of_reach) == (
        False,
        True,
        False,
        False,
        False,
    )
    assert token.api_token_id == world.client(narrow)("ApiTokenService.GetCurrentApiToken").api_token.id
    told = why(service, acme.id, WRITE, subject={"credential": bound})
    assert (decision(told), told.token.unrestricted, told.token.out_of_reach, changes(told)) == ("OUT_OF_REACH", True, True, [])
    world.clock.advance(timedelta(minutes=2))
    told = why(service, acme.id, READ, subject={"credential": narrow})
    assert (decision(told), told.token.expired, changes(told)) == ("CREDENTIAL_EXPIRED", True, ["EXTEND_TOKEN"])


def test_a_token_that_is_kept_out_is_shown_so_to_operators(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    token_id = bo.rpc("ApiTokenService.GetCurrentApiToken").api_token.id
    ana.rpc("ApiTokenService.RevokeApiToken", organization_id=acme.id, api_token_id=token_id)
    told = why(world.platform(), acme.id, READ, subject={"api_token_id": token_id})
    assert (decision(told), told.token.excluded, told.member_role, changes(told)) == ("EXCLUDED", True, 2, [])


def test_what_is_unknown_is_told_apart_for_operators_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    service = world.platform()
    assert decision(why(service, ids.new(), READ, **user(ana))) == "UNKNOWN_ORGANIZATION"
    assert decision(why(service, acme.id, "sandbox:fly", **user(ana))) == "UNKNOWN_PERMISSION"
    assert decision(why(service, acme.id, READ, subject={"user_id": ids.new()})) == "NOT_A_MEMBER"
    assert decision(why(service, acme.id, READ, subject={"api_token_id": ids.new()})) == "UNKNOWN_CREDENTIAL"
    assert decision(why(ana.rpc, ids.new(), READ)) == "NOT_A_MEMBER"


def test_roles_of_the_organization_are_offered_to_who_may_read_them(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    world.role(acme, ana, PAY, name="Payers")
    bo = world.member(acme, ana)
    assert changes(why(bo.rpc, acme.id, PAY, **user(bo))) == ["ASSIGN_ROLE Payers"]
    blind = world.client(world.token(bo, permissions=[PAY]))
    assert changes(why(blind, acme.id, PAY)) == ["ASSIGN_ROLE Billing Manager"]
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    assert changes(why(bo.rpc, acme.id, PAY, **user(bo))) == ["ASSIGN_ROLE Billing Manager", "REACTIVATE_ORGANIZATION"]


def test_an_explanation_costs_the_subjects_standing_and_the_roles_that_might_help(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    for client, subject in ((ana.rpc, user(bo)), (bo.rpc, {}), (world.platform(), user(bo))):
        with Heard(world.deployment.database) as heard:
            why(client, acme.id, DELETE, **subject)
        assert len(heard.statements) == 3


# -- making the changes ----------------------------------------------------------------------------------------------------


class Bench:
    """An organization, somebody about whom is asked, and an owner who makes the changes that explanations name."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ana, self.bo = world.person(), world.person()
        self.acme = world.organization(self.ana)
        self.own = world.role(self.acme, self.ana, PAY, "team:create", name="Payers")
        self.service = world.platform()
        self.token = ""

    def join(self, *role_ids: str, role: str = MEMBER) -> None:
        self.world.join(self.acme, self.ana, self.bo, *role_ids, role=role)

    def narrow(self, *permissions: str, lifetime: timedelta | None = None) -> None:
        self.token = self.world.token(self.bo, permissions=permissions or None, lifetime=lifetime)

    @property
    def subject(self) -> dict[str, Any]:
        return {"subject": {"credential": self.token} if self.token else {"user_id": self.bo.id}}

    def is_allowed(self, permission: str) -> bool:
        return check(self.service, self.acme.id, permission, **self.subject)

    def make(self, change: Any, permission: str) -> None:
        """Makes one change over the API, or behind it where it has none."""
        here, kind = (
            {"organization_id": self.acme.id},
            pb.PermissionChangeKind.Name(change.kind).removeprefix("PERMISSION_CHANGE_KIND_"),
        )
        role_ids, token_id = [change.role.role_id] if change.HasField("role") else [], self._token_id()
        match kind:
            case "ADD_MEMBER":
                named = {"user_id": self.bo.id, "role": change.member_role, "assigned_role_ids": role_ids}
                self.ana.rpc("MemberService.AddMember", **here, **named)
            case "REMOVE_MEMBER":
                self.ana.rpc("MemberService.RemoveMember", **here, user_id=self.bo.id)
            case "ASSIGN_ROLE" | "UNASSIGN_ROLE" | "MAKE_OWNER" | "MAKE_MEMBER":
                self._set_access(kind, role_ids)
            case "REACTIVATE_ORGANIZATION":
                self.world.set_state(self.acme.id, OrganizationState.ACTIVE)
            case "UNDELETE_ORGANIZATION":
                self.ana.rpc("OrganizationService.UndeleteOrganization", **here)
            case "WIDEN_TOKEN":
                carried = self.bo.rpc("ApiTokenService.GetMyApiToken", api_token_id=token_id).api_token.granted_permissions
                self.bo.rpc("ApiTokenService.UpdateMyApiToken", api_token_id=token_id, permissions=[*carried, permission])
            case "NARROW_TOKEN":
                kept = sorted(self.world.services.store.catalog.all - {permission})
                self.bo.rpc("ApiTokenService.UpdateMyApiToken", api_token_id=token_id, permissions=kept)
            case "REVOKE_TOKEN":
                self.bo.rpc("ApiTokenService.RevokeMyApiToken", api_token_id=token_id)
            case "EXTEND_TOKEN":
                later = self.world.clock.now() + timedelta(days=1)
                self.bo.rpc("ApiTokenService.UpdateMyApiToken", api_token_id=token_id, expire_time=later)
            case _:
                raise AssertionError(kind)

    def _token_id(self) -> str:
        tokens = self.bo.rpc("ApiTokenService.ListMyApiTokens").api_tokens
        return next((str(token.id) for token in tokens if self.token.startswith(token.hint)), "")

    def _set_access(self, kind: str, role_ids: list[str]) -> None:
        key = {"organization_id": self.acme.id, "user_id": self.bo.id}
        member = self.ana.rpc("MemberService.GetMember", **key)
        held = [role.id for role in member.assigned_roles if role.id not in role_ids]
        role = {"MAKE_OWNER": 1, "MAKE_MEMBER": 2}.get(kind, member.role)
        assigned = [*held, *role_ids] if kind == "ASSIGN_ROLE" else held
        self.ana.rpc("MemberService.UpdateMemberAccess", **key, role=role, assigned_role_ids=assigned)


def _expiring(bench: Bench) -> None:
    bench.join()
    bench.narrow(READ, lifetime=timedelta(minutes=1))
    bench.world.clock.advance(timedelta(minutes=2))


def _deleted(bench: Bench) -> None:
    bench.join()
    bench.ana.rpc("OrganizationService.DeleteOrganization", organization_id=bench.acme.id)


def _suspended_stranger(bench: Bench) -> None:
    bench.narrow(READ)
    bench.world.set_state(bench.acme.id, OrganizationState.SUSPENDED)


@pytest.mark.parametrize(
    ("prepare", "permission"),
    [
        (lambda bench: None, READ),
        (lambda bench: None, WRITE),
        (lambda bench: None, RULE),
        (lambda bench: bench.join(), WRITE),
        (lambda bench: bench.join(), PAY),
        (lambda bench: bench.join(), RULE),
        (lambda bench: (bench.join(), bench.narrow(READ)), DELETE),
        (_expiring, READ),
        (_expiring, WRITE),
        (_deleted, READ),
        (_deleted, PAY),
        (lambda bench: bench.join(DEVELOPER, SANDBOXES_ADMIN), WRITE),
        (lambda bench: bench.join(bench.own.id), PAY),
        (lambda bench: bench.join(), READ),
        (lambda bench: bench.join(role=OWNER), RULE),
        (lambda bench: bench.join(DEVELOPER, role=OWNER), WRITE),
        (lambda bench: (bench.join(DEVELOPER), bench.narrow()), WRITE),
        (lambda bench: (bench.join(DEVELOPER), bench.narrow(WRITE)), WRITE),
    ],
)
def test_the_changes_that_are_named_turn_the_answer_around_and_no_sooner(
    world: World, prepare: Callable[[Bench], Any], permission: str
) -> None:
    bench = Bench(world)
    prepare(bench)
    before = bench.is_allowed(permission)
    told = why(bench.service, bench.acme.id, permission, **bench.subject)
    assert told.changes
    # What brings an organization back comes first: nothing can be changed in one that is not active.
    order = sorted(told.changes, key=lambda change: change.kind not in (6, 7))
    for change in order:
        assert bench.is_allowed(permission) == before
        bench.make(change, permission)
    assert bench.is_allowed(permission) is not before


def test_an_organization_that_is_suspended_is_told_with_whatever_else_is_missing(world: World) -> None:
    bench = Bench(world)
    _suspended_stranger(bench)
    told = why(bench.service, bench.acme.id, WRITE, **bench.subject)
    assert (decision(told), changes(told)) == (
        "NOT_A_MEMBER",
        ["ADD_MEMBER Developer", "REACTIVATE_ORGANIZATION", "WIDEN_TOKEN"],
    )
