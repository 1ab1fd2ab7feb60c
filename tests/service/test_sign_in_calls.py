"""What a signed-in person can do, and what becomes of their calls when something is in the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import peewee
import pytest
from grpc import StatusCode
from support import raw, weaken
from support.interleave import Background, Seen, Stop, refused
from support.operators import delete_user, fail_everywhere, owners
from support.sign_in import ISSUER, Office
from support.tokens import INVALID_CREDENTIAL
from support.world import DEVELOPER, OWNER, World, fresh

from tenantry_server.store.queries import audit, users

pytest_plugins = ("support.sign_in",)

CURRENT = "UserService.GetCurrentUser"


def test_a_signed_in_person_can_do_what_a_token_of_theirs_can(office: Office) -> None:
    ana, bo = office.stranger().person(), office.stranger().person()
    acme = office.organization(ana)
    assert owners(acme, ana) == {ana.id}
    invitation = office.invite(acme, ana, bo.email, DEVELOPER)
    assert invitation.inviter_email == ana.email
    assert bo.rpc("InvitationService.AcceptInvitation", invitation_id=invitation.id).state == 2
    made = bo.rpc("ApiTokenService.CreateMyApiToken", name="cli", organization_id=acme.id, permissions=["organization:read"])
    assert office.client(made.secret)("OrganizationService.GetOrganization", organization_id=acme.id).id == acme.id
    robot = ana.rpc("ApiTokenService.CreateApiToken", organization_id=acme.id, name="robot", permissions=["member:read"])
    assert office.client(robot.secret)("MemberService.ListMembers", organization_id=acme.id).members
    ana.rpc("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=bo.id)
    assert owners(acme, bo) == {bo.id}
    assert office.events(acme, bo)[0].actor.id == ana.id
    refusal = bo.rpc.refusal("ApiTokenService.GetCurrentApiToken")
    assert refusal.seen == (StatusCode.NOT_FOUND, "API_TOKEN_NOT_FOUND", {"api_token_id": "current"})
    assert office.breaches() == []


def test_a_signed_in_person_holds_what_a_member_holds_and_no_more(office: Office) -> None:
    owner, ana = office.person("owner"), office.stranger().person()
    acme = office.organization(owner)
    refusal = ana.rpc.refusal("OrganizationService.GetOrganization", organization_id=acme.id)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})
    office.join(acme, owner, ana)
    refusal = ana.rpc.refusal("RoleService.CreateRole", organization_id=acme.id, name="Mine", permissions=["sandbox:read"])
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "role:create"})
    refusal = ana.rpc.refusal("UserService.ListUsers")
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": "user"})


def test_the_first_call_can_be_any_and_makes_the_user_whatever_becomes_of_it(office: Office) -> None:
    """The user is made beside the call: its request id, its validate_only and its refusal are not the user's."""
    tried, refused_, keyed = (office.stranger() for _ in range(3))
    tried.rpc("OrganizationService.CreateOrganization", name="Acme", validate_only=True)
    assert [one.organization.personal for one in tried.rpc(CURRENT).organizations] == [True]
    assert refused_.rpc.refusal("OrganizationService.GetOrganization", organization_id=fresh("x")).code
    assert refused_.sign_in().email == refused_.claims.email
    key = fresh("r")
    made = keyed.rpc("OrganizationService.CreateOrganization", name="Acme", request_id=key)
    assert keyed.rpc("OrganizationService.CreateOrganization", name="Acme", request_id=key) == made
    assert len(keyed.rpc(CURRENT).organizations) == 2
    assert office.breaches() == []


def test_a_first_sign_in_that_fails_at_any_statement_leaves_nothing(own_office: Callable[..., Office]) -> None:
    office = own_office()
    stranger = office.stranger()
    user, places = fail_everywhere(office, stranger.sign_in)
    assert user.email == stranger.claims.email
    assert places > 6
    assert office.breaches() == []


def test_a_first_sign_in_that_is_tried_again_is_by_who_was_made_in_the_end(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, stranger, tries = office.deployment.database, office.stranger(), itertools.count()
    later = database.later

    def deadlocking(statement: Any, *refusal: Exception, **values: Any) -> None:
        if statement is audit.INSERT and next(tries) < 2:
            deadlock = peewee.OperationalError("deadlock detected")
            deadlock.sqlstate = "40P01"  # type: ignore[attr-defined]
            raise deadlock
        later(statement, *refusal, **values)

    with monkeypatch.context() as patches:
        patches.setattr(database, "later", deadlocking)
        user = stranger.sign_in()
    assert next(tries) == 3
    events = raw.values(database, "audit_events", "actor_id", organization_id=user.personal_organization_id)
    assert events == [user.id]
    assert office.breaches() == []


def test_rights_that_a_signed_in_person_loses_while_a_change_waits_are_lost_for_it(office: Office) -> None:
    for lose in ("demoted", "removed", "deleted"):
        results, acme = _while_waiting(office, lose)
        assert not refused(results[0])
        key = {"organization_id": acme.id}
        denied = StatusCode.PERMISSION_DENIED
        missing = (denied, "PERMISSION_MISSING", {"permissions": "role:create"})
        gone = (denied, "ORGANIZATION_NOT_ACCESSIBLE", key)
        assert results[1].seen == (missing if lose == "demoted" else gone)
    assert office.breaches() == []


@pytest.mark.parametrize("lose", ["demoted", "removed", "deleted"])
def test_control_without_the_second_look_the_change_would_happen(
    office: Office, lose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaken.recheck(monkeypatch)
    results, _ = _while_waiting(office, lose)
    assert not any(refused(result) for result in results)


def _while_waiting(office: Office, lose: str) -> tuple[list[Any], Any]:
    """What becomes of the loss of a right, and of a change that began before it and waits for it."""
    owner, ana, client = office.person("owner"), office.stranger().person(), office.platform()
    acme = office.organization(owner)
    office.join(acme, owner, ana, role=OWNER)
    key = {"organization_id": acme.id, "user_id": ana.id}
    losses: dict[str, Callable[[], Any]] = {
        "demoted": partial(owner.rpc, "MemberService.UpdateMemberAccess", role="MEMBER_ROLE_MEMBER", **key),
        "removed": partial(owner.rpc, "MemberService.RemoveMember", **key),
        "deleted": partial(delete_user, client, ana),
    }
    with Stop(office.deployment.database, audit.INSERT) as stop:
        first = Background(losses[lose])
        stop.wait()
        with Seen(office.deployment.database, "writing") as seen:
            second = Background(lambda: office.role(acme, ana, "sandbox:read"))
            seen.wait()
            stop.go()
            return [first.result(), second.result()], acme


def test_who_is_deleted_while_the_token_says_something_new_is_nobody(office: Office) -> None:
    client, stranger = office.platform(), office.stranger()
    user = stranger.sign_in()
    with Stop(office.deployment.database, users.GET) as stop:
        renamed = Background(stranger.says(name="New").sign_in)
        stop.wait()
        delete_user(client, user)
        stop.go()
        assert renamed.result().seen == INVALID_CREDENTIAL
    assert office.breaches() == []


# -- providers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.", "..", "tnt_usr_a.b.c"])
def test_without_a_provider_nobody_signs_in(world: World, token: str) -> None:
    before = raw.count(world.deployment.database, "users")
    refusal = world.client(token).refusal(CURRENT)
    assert refusal.seen == INVALID_CREDENTIAL
    assert raw.count(world.deployment.database, "users") == before


@pytest.mark.parametrize("token", ["a.b.c", "a.b", "a.b.c.d", "a"])
def test_what_no_provider_signed_is_no_credential(office: Office, token: str) -> None:
    assert office.client(token).refusal(CURRENT).seen == INVALID_CREDENTIAL


def test_a_provider_that_is_switched_off_vouches_for_nobody_any_more(office: Office) -> None:
    stranger = office.stranger()
    ana = stranger.person()
    token = office.token(ana)
    with office.without_providers() as client:
        assert client(stranger.token).refusal(CURRENT).seen == INVALID_CREDENTIAL
        assert client(token)(CURRENT).user.id == ana.id


def test_while_a_provider_is_down_its_people_wait_and_everybody_else_goes_on(office: Office) -> None:
    here, there = office.stranger(), office.stranger(issuer="https://other.example")
    ana = here.person()
    token = office.token(ana)
    there.sign_in()
    office.verifier.is_down = ISSUER
    refusal = ana.rpc.refusal(CURRENT)
    assert refusal.seen == (StatusCode.UNAVAILABLE, "IDENTITY_PROVIDER_UNAVAILABLE", {"issuer": ISSUER})
    assert office.client(token)(CURRENT).user.id == ana.id
    assert there.sign_in().email == there.claims.email
    office.verifier.is_down = ""
    assert ana.rpc(CURRENT).user.id == ana.id
