"""Who may ask whether somebody holds a permission, and what they are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.asking import (
    CHECK,
    EFFECTIVE,
    ORGANIZATIONS,
    check,
    decision,
    effective,
    organizations_with,
    refusal,
    verdict,
    why,
)
from support.operators import delete_user
from support.world import AUDITOR, DEVELOPER, OWNER, Person, World

from tenantry_server.domain import ids, tokens
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.tokens import TokenKind

WRITE, DELETE, READ, RULE = "sandbox:write", "sandbox:delete", "sandbox:read", "organization:delete"
NO_MEMBER_READ = refusal(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", permissions="member:read")
NO_CHECK = refusal(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", permissions="authorization:check")


def not_for(kind: str) -> Any:
    return refusal(StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", principal_kind=kind)


def user(person: Person) -> dict[str, str]:
    return {"user_id": person.id}


# -- oneself ---------------------------------------------------------------------------------------------------------------


def test_a_member_holds_what_everybody_holds_and_what_their_roles_grant(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    revision = world.revision(acme.id)
    assert verdict(bo.rpc, acme.id, READ) == (True, revision)
    assert verdict(bo.rpc, acme.id, WRITE) == (True, revision)
    assert verdict(bo.rpc, acme.id, DELETE) == (False, revision)


def test_an_owner_holds_every_permission_of_the_catalog_and_none_other(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for permission in world.services.store.catalog.all:
        assert check(ana.rpc, acme.id, permission)
    for permission in ("sandbox:fly", "user:create", "authorization:check", "*", "sandbox:*"):
        assert verdict(ana.rpc, acme.id, permission) == (False, world.revision(acme.id))


def test_a_token_holds_what_it_narrows_to(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    narrow = world.client(world.token(ana, permissions=[WRITE]))
    bound = world.client(world.token(ana, organization_id=acme.id, permissions=[WRITE]))
    for client in (narrow, bound):
        assert check(client, acme.id, WRITE)
        assert not check(client, acme.id, DELETE)
    assert check(narrow, birch.id, WRITE)
    assert verdict(bound, birch.id, WRITE) == (False, 0)


def test_an_organizations_token_holds_everything_there_and_nothing_elsewhere(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    program = world.client(world.token(organization_id=acme.id))
    assert verdict(program, acme.id, RULE) == (True, world.revision(acme.id))
    assert verdict(program, birch.id, READ) == (False, 0)


@pytest.mark.parametrize("permissions", [None, ["authorization:check"], ["user:read"]], ids=["all", "check", "other"])
def test_a_platform_token_holds_nothing_in_an_organization(world: World, permissions: list[str] | None) -> None:
    ana = world.person()
    acme = world.organization(ana)
    service = world.platform(*(permissions or ()))
    knows = permissions != ["user:read"]
    for permission in (READ, "user:read"):
        assert verdict(service, acme.id, permission) == (False, world.revision(acme.id) if knows else 0)
    assert effective(service, acme.id) == []
    assert organizations_with(service, READ) == []
    told = why(service, acme.id, READ)
    assert (decision(told), list(told.changes)) == ("PLATFORM_CREDENTIAL", [])


def test_ones_own_token_and_user_can_be_named(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    token = ana.rpc("ApiTokenService.GetCurrentApiToken").api_token.id
    narrowed = world.client(world.token(ana, permissions=["sandbox:read"]))
    own = narrowed("ApiTokenService.GetCurrentApiToken").api_token.id
    assert check(ana.rpc, acme.id, WRITE, subject={"api_token_id": token})
    assert not check(narrowed, acme.id, WRITE, subject={"api_token_id": own})
    # A user is more than one of their tokens.
    assert check(narrowed, acme.id, WRITE, subject=user(ana))
    assert check(ana.rpc, acme.id, WRITE, subject=user(ana))


def test_a_bound_token_is_told_nothing_of_its_user_elsewhere(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bound = world.client(world.token(ana, organization_id=acme.id))
    assert verdict(bound, birch.id, READ, subject=user(ana)) == (False, 0)
    assert effective(bound, birch.id, subject=user(ana)) == []
    assert organizations_with(bound, READ, subject=user(ana)) == [acme.id]
    assert organizations_with(bound, READ) == [acme.id]


def test_a_token_that_an_organization_keeps_out_is_told_nothing_there(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    kept_out = bo.rpc("ApiTokenService.GetCurrentApiToken").api_token.id
    ana.rpc("ApiTokenService.RevokeApiToken", organization_id=acme.id, api_token_id=kept_out)
    for subject in ({}, {"subject": user(bo)}, {"subject": {"api_token_id": kept_out}}):
        assert verdict(bo.rpc, acme.id, READ, **subject) == (False, 0)
        assert decision(why(bo.rpc, acme.id, READ, **subject)) == "NOT_A_MEMBER"
        assert acme.id not in organizations_with(bo.rpc, READ, **subject)


# -- others ----------------------------------------------------------------------------------------------------------------


def test_who_reads_members_asks_about_every_user(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, cy = world.member(acme, ana, DEVELOPER), world.member(acme, ana)
    stranger = world.person()
    program = world.client(world.token(organization_id=acme.id, permissions=["member:read"]))
    now = world.revision(acme.id)
    for client in (ana.rpc, cy.rpc, program):
        assert verdict(client, acme.id, WRITE, subject=user(bo)) == (True, now)
        assert verdict(client, acme.id, WRITE, subject=user(cy)) == (False, now)
        assert verdict(client, acme.id, WRITE, subject=user(stranger)) == (False, now)
        assert verdict(client, acme.id, WRITE, subject={"user_id": ids.new()}) == (False, now)


def test_a_user_who_exists_elsewhere_is_answered_like_one_who_does_not(world: World) -> None:
    ana, stranger = world.person(), world.person()
    acme = world.organization(ana)
    for asked in ({"explain": True}, {}):
        answers = [
            ana.rpc(CHECK, organization_id=acme.id, permission=READ, subject={"user_id": user_id}, **asked)
            for user_id in (stranger.id, ids.new())
        ]
        assert answers[0] == answers[1]


def test_who_may_not_read_members_is_refused_about_others_whoever_they_are(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    narrow = world.client(world.token(ana, permissions=[WRITE]))
    for user_id in (bo.id, ids.new()):
        named = {"organization_id": acme.id, "subject": {"user_id": user_id}}
        assert narrow.refusal(CHECK, permission=WRITE, **named).seen == NO_MEMBER_READ
        assert narrow.refusal(CHECK, permission=WRITE, explain=True, **named).seen == NO_MEMBER_READ
        assert narrow.refusal(EFFECTIVE, **named).seen == NO_MEMBER_READ


def test_a_stranger_cannot_tell_an_organization_from_one_that_does_not_exist(world: World) -> None:
    ana, stranger = world.person(), world.person()
    acme, deleted = world.organization(ana), world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=deleted.id)
    bound = world.client(world.token(stranger, organization_id=stranger.personal_organization_id))
    program = world.client(world.token(organization_id=stranger.personal_organization_id))
    nothing = world.platform("user:read")
    for client in (stranger.rpc, bound, program, nothing):
        questions: list[dict[str, Any]] = [{}]
        if client is not nothing:
            questions += [{"subject": user(bo)}, {"subject": {"user_id": ids.new()}}]
        for question in questions:
            for more in ({}, {"explain": True}, {"at_least_revision": 1}, {"as_of": world.clock.now(), "explain": True}):
                answers = [
                    client(CHECK, organization_id=organization_id, permission=WRITE, **question, **more)
                    for organization_id in (acme.id, deleted.id, ids.new())
                ]
                assert answers[0] == answers[1] == answers[2]
                assert (answers[0].allowed, answers[0].revision) == (False, 0)
            pages = [
                client(EFFECTIVE, organization_id=organization_id, **question)
                for organization_id in (acme.id, deleted.id, ids.new())
            ]
            assert pages[0] == pages[1] == pages[2]
            assert not pages[0].permissions


@pytest.mark.parametrize("kind", ["user", "user_in_organization", "organization"])
def test_tokens_and_credentials_of_others_are_not_for_tenants(world: World, kind: str) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    bound = "" if kind == "user" else acme.id
    client = world.client(world.token(None if kind == "organization" else ana, organization_id=bound))
    others = bo.rpc("ApiTokenService.GetCurrentApiToken").api_token.id
    for subject in ({"api_token_id": others}, {"api_token_id": ids.new()}, {"credential": bo.token}, {"credential": "x"}):
        for organization_id in (acme.id, ids.new()):
            named = {"organization_id": organization_id, "subject": subject}
            assert client.refusal(CHECK, permission=READ, **named).seen == not_for(kind)
            assert client.refusal(EFFECTIVE, **named).seen == not_for(kind)
        assert client.refusal(ORGANIZATIONS, permission=READ, subject=subject).seen == not_for(kind)


def test_in_which_organizations_another_user_is_is_not_for_tenants(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    for user_id in (bo.id, ids.new()):
        refused = ana.rpc.refusal(ORGANIZATIONS, permission=READ, subject={"user_id": user_id})
        assert refused.seen == not_for("user")


# -- operators and internal services ---------------------------------------------------------------------------------------


def test_who_may_check_is_answered_about_everybody(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    service = world.platform("authorization:check")
    program = world.token(organization_id=acme.id, permissions=[DELETE])
    narrowed = world.token(bo, permissions=[READ, DELETE])
    now = world.revision(acme.id)
    token_id = world.client(narrowed)("ApiTokenService.GetCurrentApiToken").api_token.id
    for subject, held in (
        (user(bo), [READ, WRITE]),
        ({"credential": bo.token}, [READ, WRITE]),
        ({"api_token_id": token_id}, [READ]),
        ({"credential": narrowed}, [READ]),
        ({"credential": program}, [DELETE]),
    ):
        for permission in (READ, WRITE, DELETE):
            assert verdict(service, acme.id, permission, subject=subject) == (permission in held, now)
            assert decision(why(service, acme.id, permission, subject=subject))
        assert set(effective(service, acme.id, subject=subject)) & {READ, WRITE, DELETE} == set(held)
        assert (acme.id in organizations_with(service, held[0], subject=subject)) is True
        assert acme.id not in organizations_with(service, "billing:read", subject=subject)


def test_a_platform_token_without_the_right_to_check_asks_about_nobody_else(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    service = world.platform("user:read")
    for subject in (user(ana), {"user_id": ids.new()}, {"credential": ana.token}, {"api_token_id": ids.new()}):
        for organization_id in (acme.id, ids.new()):
            named = {"organization_id": organization_id, "subject": subject}
            assert service.refusal(CHECK, permission=READ, **named).seen == NO_CHECK
            assert service.refusal(EFFECTIVE, **named).seen == NO_CHECK
        assert service.refusal(ORGANIZATIONS, permission=READ, subject=subject).seen == NO_CHECK


def test_a_credential_that_is_good_for_nothing_is_not_allowed_and_the_explanation_says_why(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    service = world.platform()
    expired = world.token(ana, lifetime=timedelta(seconds=5))
    revoked = world.token(ana)
    world.client(revoked)(
        "ApiTokenService.RevokeMyApiToken",
        api_token_id=world.client(revoked)("ApiTokenService.GetCurrentApiToken").api_token.id,
    )
    world.clock.advance(timedelta(seconds=6))
    cases = {
        expired: "CREDENTIAL_EXPIRED",
        revoked: "UNKNOWN_CREDENTIAL",
        tokens.mint(TokenKind.USER): "UNKNOWN_CREDENTIAL",
        ana.token[:-1] + ("0" if ana.token[-1] != "0" else "1"): "UNKNOWN_CREDENTIAL",
        ana.token + " ": "UNKNOWN_CREDENTIAL",
        ana.token.lower(): "UNKNOWN_CREDENTIAL",
        f"Bearer {ana.token}": "UNKNOWN_CREDENTIAL",
        "a.b.c": "UNKNOWN_CREDENTIAL",
        "é\u0000\U0001f600": "UNKNOWN_CREDENTIAL",
        "x" * 8192: "UNKNOWN_CREDENTIAL",
        world.platform_token(): "PLATFORM_CREDENTIAL",
    }
    for credential, told in cases.items():
        subject = {"credential": credential}
        assert verdict(service, acme.id, READ, subject=subject) == (False, world.revision(acme.id))
        assert decision(why(service, acme.id, READ, subject=subject)) == told
        assert effective(service, acme.id, subject=subject) == []
        assert organizations_with(service, READ, subject=subject) == []


def test_a_rotated_secret_is_good_until_its_overlap_ends(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    service, mine = world.platform(), {"api_token_id": ana.rpc("ApiTokenService.GetCurrentApiToken").api_token.id}
    fresh = ana.rpc("ApiTokenService.RotateMyApiToken", overlap={"seconds": 60}, **mine).secret
    old_one, new_one = {"credential": ana.token}, {"credential": fresh}
    assert check(service, acme.id, READ, subject=old_one)
    world.clock.advance(timedelta(seconds=61))
    assert not check(service, acme.id, READ, subject=old_one)
    told = why(service, acme.id, READ, subject=old_one)
    assert (decision(told), list(told.changes)) == ("CREDENTIAL_EXPIRED", [])
    assert check(service, acme.id, READ, subject=new_one)
    assert acme.id not in organizations_with(service, READ, subject=old_one)


def test_presenting_a_secret_uses_it_and_asking_about_a_token_does_not(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    service = world.platform()
    secret, quiet = world.token(ana, permissions=[READ]), world.token(ana, permissions=[WRITE])
    last_used = world.deployment.server._last_used

    def used(token: str) -> bool:
        last_used.flush()
        made = {token.name: token for token in ana.rpc("ApiTokenService.ListMyApiTokens").api_tokens}
        return any(found.hint == token[: len(found.hint)] and found.HasField("last_used_time") for found in made.values())

    assert not used(secret)
    check(service, acme.id, READ, subject={"credential": secret})
    assert used(secret)
    found = [token for token in ana.rpc("ApiTokenService.ListMyApiTokens").api_tokens if quiet.startswith(token.hint)]
    check(service, acme.id, READ, subject={"api_token_id": found[0].id})
    assert not used(quiet)


def test_a_user_who_is_deleted_holds_nothing(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo, DEVELOPER)
    service = world.platform()
    assert check(service, acme.id, WRITE, subject=user(bo))
    delete_user(service, bo)
    assert not check(service, acme.id, WRITE, subject=user(bo))
    assert decision(why(service, acme.id, WRITE, subject=user(bo))) == "NOT_A_MEMBER"
    assert decision(why(service, bo.personal_organization_id, READ, subject=user(bo))) == "NOT_A_MEMBER"
    assert effective(service, acme.id, subject=user(bo)) == organizations_with(service, READ, subject=user(bo)) == []


def test_the_last_owner_of_a_deleted_organization_holds_nothing_in_it_once_deleted(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    program = world.client(world.token(organization_id=acme.id))
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    service = world.platform()
    delete_user(service, ana)
    world.set_state(acme.id, OrganizationState.ACTIVE)  # which the API would refuse: it has no owner
    assert check(program, acme.id, READ)
    assert not check(program, acme.id, READ, subject=user(ana))
    assert program("AuthorizationService.ListMembersWithPermission", organization_id=acme.id, permission=READ).user_ids == []
    assert program("AuthorizationService.ListMembersWithPermission", organization_id=acme.id, permission=RULE).user_ids == []
    assert organizations_with(service, READ, subject=user(ana)) == []
    world.set_state(acme.id, OrganizationState.DELETED)


# -- organizations that are not active -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [OrganizationState.SUSPENDED, OrganizationState.DELETED])
def test_nobody_holds_anything_in_an_organization_that_is_not_active(world: World, state: OrganizationState) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    program = world.client(world.token(organization_id=acme.id))
    service = world.platform()
    if state is OrganizationState.DELETED:
        ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    else:
        world.set_state(acme.id, state)
    now, expected = world.revision(acme.id), f"ORGANIZATION_{state.name}"
    for client in (ana.rpc, bo.rpc, program):
        assert verdict(client, acme.id, READ) == (False, now)
        assert decision(why(client, acme.id, READ)) == expected
        assert effective(client, acme.id) == []
        assert acme.id not in organizations_with(client, READ)
        # Of others, nothing is told.
        told = why(client, acme.id, WRITE, subject={"user_id": ids.new()})
        assert told == why(client, acme.id, WRITE, subject={"user_id": (bo if client is ana.rpc else ana).id})
        assert (decision(told), list(told.changes)) == (expected, [])
    assert verdict(service, acme.id, WRITE, subject=user(bo)) == (False, now)
    assert decision(why(service, acme.id, WRITE, subject=user(bo))) == expected


# -- malformed questions, and spellings ------------------------------------------------------------------------------------

_ID = "STRING_OBJECT_ID"


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"organization_id": "acme"}, {"organization_id": _ID}),
        ({"organization_id": ""}, {"organization_id": _ID}),
        ({"permission": ""}, {"permission": "STRING_PERMISSION_NAME"}),
        ({"permission": "Sandbox:Write"}, {"permission": "STRING_PERMISSION_NAME"}),
        ({"permission": "sandbox:write "}, {"permission": "STRING_PERMISSION_NAME"}),
        ({"subject": {"user_id": "bo"}}, {"subject.user_id": _ID}),
        ({"subject": {"api_token_id": "1"}}, {"subject.api_token_id": _ID}),
        ({"subject": {"credential": ""}}, {"subject.credential": "STRING_MIN_LEN"}),
        ({"subject": {"credential": "x" * 8193}}, {"subject.credential": "STRING_MAX_LEN"}),
        ({"subject": {}}, {"subject.subject": "REQUIRED"}),
        ({"at_least_revision": -1}, {"at_least_revision": "INT64_GTE"}),
        ({"as_of": {"seconds": 2**60}}, {"as_of": "TIMESTAMP"}),
    ],
)
def test_a_malformed_question_is_an_error(world: World, fields: dict[str, Any], violations: dict[str, str]) -> None:
    ana = world.person()
    good = {"organization_id": ana.personal_organization_id, "permission": READ}
    refused = ana.rpc.refusal(CHECK, **(good | fields))
    assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refused.violations == violations
    assert refused.metadata == {"fields": ",".join(violations)}


def test_ids_are_taken_in_every_spelling_and_permissions_in_one(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, AUDITOR)
    for spell in (str.lower, ids.to_uuid, lambda ulid: ids.to_uuid(ulid).upper()):
        assert check(ana.rpc, spell(acme.id), "audit-log:read", subject={"user_id": spell(bo.id)})
    for other in ("audit-log:rea", "audit-log:readd", "audit_log:read", "audit-log.read"):
        assert not check(ana.rpc, acme.id, other, subject=user(bo))


def test_an_owner_elsewhere_and_a_former_member_are_nobody_here(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    assert not check(ana.rpc, birch.id, READ, subject=user(bo))
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    assert verdict(bo.rpc, acme.id, READ) == (False, 0)
    assert not check(ana.rpc, acme.id, READ, subject=user(bo))
