"""What Envoy is told about requests to other services: the rules are those of every call, and what is unclear does not pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.asking import check, effective
from support.passing import BY_PATH, CREDENTIAL, KIND, ORGANIZATION, PERMISSIONS, PRINCIPAL, REVISION, TOLD, USER, ask, demand
from support.rpc import Refused
from support.sql import Heard
from support.world import DEVELOPER, MEMBER, Person, World

from tenantry_server.domain import ids
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.tokens import TokenKind, mint

READ, WRITE, RULE = "sandbox:read", "sandbox:write", "organization:delete"


def problem(status: int, title: str, detail: str, reason: str, **metadata: str) -> dict[str, Any]:
    """The body of a refusal."""
    return {"title": title, "status": status, "detail": detail, "reason": reason, "metadata": metadata}


def everybody(world: World, owner: Person, organization: Any) -> Iterator[tuple[str, str]]:
    """Credentials of every kind and standing, by name."""
    stranger, member = world.person("stranger"), world.member(organization, owner, DEVELOPER)
    another = world.organization(owner, "Another")
    yield "owner", owner.token
    yield "developer", member.token
    yield "member", world.member(organization, owner).token
    yield "stranger", stranger.token
    yield "owner, narrowed", world.token(owner, permissions=[READ, "member:read"])
    yield "owner, bound here", world.token(owner, organization_id=organization.id)
    yield "owner, bound elsewhere", world.token(owner, organization_id=another.id)
    yield "developer, narrowed to more", world.token(member, permissions=[WRITE, RULE])
    yield "the organization", world.token(organization_id=organization.id)
    yield "the organization, narrowed", world.token(organization_id=organization.id, permissions=[WRITE])
    yield "another organization", world.token(organization_id=another.id)
    yield "platform", world.platform_token()


@pytest.mark.parametrize("state", OrganizationState)
def test_a_request_passes_exactly_when_the_permission_is_held(world: World, state: OrganizationState) -> None:
    owner = world.person("owner")
    organization = world.organization(owner)
    callers = dict(everybody(world, owner, organization))
    if state is OrganizationState.DELETED:
        owner.rpc("OrganizationService.DeleteOrganization", organization_id=organization.id)
    else:
        world.set_state(organization.id, state)
    passed = 0
    for name, token in callers.items():
        client = world.client(token)
        held = effective(client, organization.id)
        for permission in (READ, WRITE, RULE):
            for spelt in (organization.id, organization.id.lower(), ids.to_uuid(organization.id).upper()):
                ruling = demand(world.client(), token, spelt, permission)
                assert ruling.passes == check(client, organization.id, permission), (name, permission)
                assert not ruling.passes or ruling.headers[PERMISSIONS] == ",".join(held)
                passed += ruling.passes
    assert bool(passed) == (state is OrganizationState.ACTIVE)


def test_a_service_is_told_who_calls_in_which_organization_and_nothing_that_is_not_true(world: World) -> None:
    owner = world.person("owner")
    organization = world.organization(owner)
    told = demand(world.client(), owner.token, organization.id.lower(), READ)
    assert told.headers == {
        KIND: "user",
        PRINCIPAL: owner.id,
        USER: owner.id,
        CREDENTIAL: told.headers[CREDENTIAL],
        ORGANIZATION: organization.id,
        PERMISSIONS: ",".join(effective(owner.rpc, organization.id)),
        REVISION: str(world.revision(organization.id)),
    }
    assert told.removed == {"authorization"}
    bound = demand(world.client(), world.token(owner, organization_id=organization.id), organization.id, READ)
    assert (bound.headers[KIND], bound.headers[USER]) == ("user_in_organization", owner.id)
    own = demand(world.client(), world.token(organization_id=organization.id, permissions=[READ]), organization.id, READ)
    assert (own.headers[KIND], own.headers[PRINCIPAL], own.headers[PERMISSIONS]) == ("organization", organization.id, READ)
    assert own.removed == {USER, "authorization"}
    known = ask(world.client(), owner.token, access="authenticated", credential="forward")
    assert known.headers.keys() == {KIND, PRINCIPAL, USER, CREDENTIAL}
    assert known.removed == {ORGANIZATION, PERMISSIONS, REVISION}
    for ruling in (told, bound, own, known):
        assert ruling.headers.keys() | ruling.removed >= TOLD


def test_it_costs_the_one_statement_of_every_call(world: World) -> None:
    owner = world.person("owner")
    organization, stranger = world.organization(owner), world.person("stranger")
    with Heard(world.deployment.database) as asked:
        check(owner.rpc, organization.id, READ)
    for token in (owner.token, stranger.token):
        with Heard(world.deployment.database) as heard:
            demand(world.client(), token, organization.id, READ)
        assert heard.statements == asked.statements
        assert len(heard.statements) == 1
    for path, extensions in (("/", {}), ("/x", {"access": "authenticated"})):
        with Heard(world.deployment.database) as heard:
            ask(world.client(), owner.token, path, **extensions)
        assert len(heard.statements) == len(extensions)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_who_has_no_good_credential_is_told_so_whatever_the_request_says(world: World) -> None:
    owner = world.person("owner")
    organization = world.organization(owner)
    expired = world.token(owner, lifetime=timedelta(seconds=1))
    world.clock.advance(timedelta(seconds=1))
    missing = problem(401, "Unauthorized", "a bearer credential is required", "MISSING_CREDENTIAL")
    bad = problem(401, "Unauthorized", "the credential is not valid", "INVALID_CREDENTIAL")
    paths = [f"/v1/organizations/{organization.id}", f"/v1/organizations/{ids.new()}", "/elsewhere", "/v1//x"]
    for path in paths:
        for extensions in ({"permission": READ, "organization": BY_PATH}, {"access": "authenticated"}):
            ruling = ask(world.client(), "", path, **extensions)
            assert (ruling.status, ruling.body, ruling.headers["www-authenticate"]) == (401, missing, "Bearer")
            for token in ("garbage", mint(TokenKind.USER), expired, f"{owner.token},Bearer {owner.token}", "e30.e30.e30"):
                ruling = ask(world.client(), token, path, **extensions)
                assert (ruling.status, ruling.body) == (401, bad), token
                assert ruling.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    for header in (f"Basic {owner.token}", owner.token, "Bearer", "Bearer "):
        headers = {"authorization": header}
        assert ask(world.client(), "", headers=headers, access="authenticated").body == bad


def test_refusals_are_problems_that_nobody_caches(world: World) -> None:
    owner = world.person("owner")
    organization = world.organization(owner)
    member = world.member(organization, owner)
    ruling = demand(world.client(), member.token, organization.id, WRITE)
    wanted = problem(403, "Forbidden", f"permission missing: {WRITE}", "PERMISSION_MISSING", permissions=WRITE)
    assert (ruling.status, ruling.body) == (403, wanted)
    assert ruling.headers == {"content-type": "application/problem+json", "cache-control": "no-store"}
    kind = "this call cannot be made with a credential of kind platform"
    for extensions in ({"permission": READ, "organization": BY_PATH}, {"access": "authenticated"}):
        ruling = ask(world.client(), world.platform_token(), f"/v1/organizations/{organization.id}", **extensions)
        assert ruling.body == problem(403, "Forbidden", kind, "PRINCIPAL_KIND_NOT_ALLOWED", principal_kind="platform")
    world.set_state(organization.id, OrganizationState.SUSPENDED)
    detail = f"organization {organization.id} is suspended"
    suspended = problem(403, "Forbidden", detail, "ORGANIZATION_SUSPENDED", organization_id=organization.id)
    assert demand(world.client(), owner.token, organization.id, READ).body == suspended


def test_an_organization_that_one_has_nothing_to_do_with_looks_like_none(world: World) -> None:
    owner, stranger = world.person("owner"), world.person("stranger")
    organization, deleted = world.organization(owner), world.organization(owner)
    owner.rpc("OrganizationService.DeleteOrganization", organization_id=deleted.id)
    for permission in (READ, WRITE):
        for caller, sent in (
            (stranger, organization.id),
            (stranger, ids.new()),
            (stranger, "no-id"),
            (stranger, "%C3%A9"),
            (owner, deleted.id),
            (owner, ids.new()),
        ):
            ruling = demand(world.client(), caller.token, sent, permission)
            detail = f"no access to organization {sent}, or it does not exist"
            wanted = problem(404, "Not Found", detail, "ORGANIZATION_NOT_ACCESSIBLE", organization_id=sent)
            assert (ruling.status, ruling.body) == (404, wanted)


def test_what_was_revoked_is_gone_with_the_next_request(world: World) -> None:
    owner = world.person("owner")
    organization = world.organization(owner)
    member, token = world.member(organization, owner, DEVELOPER), world.token(owner)
    assert demand(world.client(), member.token, organization.id, WRITE).passes
    here = {"organization_id": organization.id, "user_id": member.id}
    owner.rpc("MemberService.UpdateMemberAccess", **here, role=MEMBER, assigned_role_ids=[])
    assert demand(world.client(), member.token, organization.id, WRITE).status == 403
    owner.rpc("MemberService.RemoveMember", **here)
    assert demand(world.client(), member.token, organization.id, READ).status == 404
    assert demand(world.client(), token, organization.id, READ).passes
    current = world.client(token)("ApiTokenService.GetCurrentApiToken").api_token
    owner.rpc("ApiTokenService.RevokeMyApiToken", api_token_id=current.id)
    assert demand(world.client(), token, organization.id, READ).status == 401


@pytest.mark.parametrize(
    "extensions",
    [
        {},
        {"permission": READ},
        {"organization": BY_PATH},
        {"permission": "sandbox:fly", "organization": BY_PATH},
        {"permission": "user:read", "organization": BY_PATH},
        {"permission": READ, "organization": "path:/v1"},
        {"permission": READ, "organization": BY_PATH, "permissions": READ},
    ],
)
def test_a_route_that_makes_no_sense_is_closed_to_everybody_and_does_not_say_why(
    world: World, extensions: dict[str, str]
) -> None:
    owner = world.person("owner")
    path = f"/v1/organizations/{world.organization(owner).id}"
    for token in (owner.token, world.platform_token(), "garbage", ""):
        ruling = ask(world.client(), token, path, **extensions)
        assert (ruling.status, ruling.body) == (403, {"title": "Forbidden", "status": 403, "detail": "this is not allowed"})


def test_a_path_outside_of_the_template_is_none_and_one_in_two_spellings_is_refused(world: World) -> None:
    owner = world.person("owner")
    here = world.organization(owner).id
    by_path = {"permission": READ, "organization": BY_PATH}
    for path in ("/v1/organizations", f"/V1/organizations/{here}", f"/v2/organizations/{here}/x"):
        ruling = ask(world.client(), owner.token, path, **by_path)
        assert ruling.body == {"title": "Not Found", "status": 404, "detail": "there is nothing at this path"}
    by_header = {"permission": READ, "organization": "header:x-o"}
    refusal = problem(400, "Bad Request", "invalid request: path", "INVALID_REQUEST", path="must be in normal form")
    for extensions in (by_path, by_header, {"access": "authenticated"}):
        for path in (f"/v1/organizations/{here}/../x", f"/v1//organizations/{here}", f"/v1/organizations/{here}%2f..", ""):
            ruling = ask(world.client(), owner.token, path, headers={"x-o": here}, **extensions)
            assert (ruling.status, ruling.body) == (400, refusal)
    nameless = ask(world.client(), owner.token, headers={"x-o": f"{here},{here}"}, **by_header)
    detail, told = "invalid request: x-o", {"x-o": "must name the organization, once"}
    assert nameless.body == problem(400, "Bad Request", detail, "INVALID_REQUEST", **told)


def test_queries_and_fragments_are_no_part_of_the_path(world: World) -> None:
    owner, stranger = world.person("owner"), world.person("stranger")
    ours, theirs = world.organization(owner).id, world.organization(stranger).id
    place = {"permission": READ, "organization": BY_PATH}
    assert ask(world.client(), owner.token, f"/v1/organizations/{ours}?x=/../{theirs}", **place).passes
    assert ask(world.client(), owner.token, f"/v1/organizations/{theirs}?/v1/organizations/{ours}", **place).status == 404
    assert ask(world.client(), owner.token, f"/v1/organizations/{ours}#/../{theirs}", **place).status == 400


def test_grpc_is_refused_in_its_own_words(world: World) -> None:
    owner, stranger = world.person("owner"), world.person("stranger")
    here = world.organization(owner).id
    for kind in ("application/grpc", "application/grpc+proto"):
        for token, status, code in (("", 401, "16"), (stranger.token, 404, "7")):
            ruling = demand(world.client(), token, here, READ, headers={"content-type": kind})
            assert (ruling.status, ruling.headers["grpc-status"]) == (status, code)
            assert not ruling.text.startswith("{")
    ruling = demand(world.client(), "", here, READ, headers={"content-type": "application/grpc-web"})
    assert "grpc-status" not in ruling.headers


def test_what_is_no_message_is_an_error_of_the_call(world: World) -> None:
    with pytest.raises(Refused) as refusal:
        world.client().send("envoy.service.auth.v3.Authorization.Check", b"\xff\xff")
    assert (refusal.value.code.name, refusal.value.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")


def test_a_server_that_cannot_tell_does_not_let_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = world.person("owner")
    here = world.organization(owner).id

    def broken(*_: object, **__: object) -> Callable[..., Any]:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("tenantry_server.services.credentials.authenticate", broken)
    with pytest.raises(Refused) as refusal:
        demand(world.client(), owner.token, here, READ)
    assert (refusal.value.code.name, refusal.value.reason) == ("INTERNAL", "INTERNAL")
    assert "secret" not in str(refusal.value)
