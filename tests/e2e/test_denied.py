"""Every path of both dialects, by callers who must not get through: generated from the protos, so that none is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from e2e.bindings import Binding, bindings
from e2e.scene import UNKNOWN, UNKNOWN_ULID, Scene
from e2e.shapes import daytona_error, dotenv_error
from support.http import Answer, Http

from tenantry_server.domain.ids import to_uuid
from tenantry_server.domain.tokens import TokenKind, mint

ALL = [each for each in bindings() if not each.is_public]
SCOPED = [each for each in ALL if each.is_scoped]
# What no member has without a role.
PRIVILEGED = [each for each in SCOPED if not each.permissions[0].endswith((":read", ":leave"))]
NARROWABLE = [each for each in ALL if each.permissions and not each.is_platform]
# Those of operators and internal services.
OPERATED = [each for each in ALL if each.is_platform]
# The calls that are about the caller's own person, which an organization's own token has not.
PERSONAL = [each for each in ALL if each.is_of_people or each.method.name == "GetAuthenticatedUser"]
# Those that have the organization from a header.
HEADED = [each for each in ALL if each.organization_header]
# Those that have it from the path: there, a token that is bound elsewhere does not mean its own.
PATHED = [each for each in SCOPED if not each.organization_header]


def call(client: Http, binding: Binding, organization_id: str) -> Answer:
    """A call of the path. But for a name, whether its body is good makes no difference to callers who may not call."""
    path = binding.path(organization_id, UNKNOWN)
    headers = {binding.organization_header: organization_id} if binding.organization_header else {}
    return client.call(binding.verb, path, *([{"name": "x"}] if binding.verb in ("POST", "PUT", "PATCH") else []), **headers)


# Permissions that Daytona's dialect spells otherwise, of those that its paths demand.
SPELLINGS = {"region:write": "write:regions", "region:delete": "delete:regions"}


@dataclass(frozen=True)
class Refusal:
    """What is refused, and how: Daytona's status and dotenv's, dotenv's code, the message, and dotenv's details."""

    statuses: tuple[int, int]
    code: str
    message: str
    details: dict[str, str] = field(default_factory=dict)

    def of(self, binding: Binding, organization_id: str) -> tuple[int, dict[str, Any]]:
        """In the dialect of a path."""
        if binding.dialect == "daytona":
            return daytona_error(self.statuses[0], binding.path(organization_id, UNKNOWN), self.message)
        return dotenv_error(self.statuses[1], self.code, self.message, **self.details)


def unauthenticated(message: str) -> Refusal:
    """It is not known who calls."""
    return Refusal((401, 401), "unauthenticated", message)


def not_accessible(organization_id: str) -> Refusal:
    """There is no such organization, as far as the caller may know."""
    message = f"no access to organization {organization_id}, or it does not exist"
    return Refusal((403, 404), "not_found", message, {"organization_id": organization_id})


def missing_permissions(binding: Binding) -> Refusal:
    """The caller may do something else, but not that."""
    spelt = [SPELLINGS.get(name, name) if binding.dialect == "daytona" else name for name in binding.permissions]
    separator = ", " if binding.dialect == "daytona" else ","
    return insufficient(f"permission missing: {separator.join(spelt)}", permissions=",".join(binding.permissions))


def insufficient(message: str, **details: str) -> Refusal:
    """The caller may not do that."""
    return Refusal((403, 403), "insufficient_permissions", message, details)


@pytest.mark.parametrize("binding", ALL, ids=str)
def test_without_a_good_credential_nothing_is_served(scene: Scene, binding: Binding) -> None:
    organization_id = scene.organization.id
    expired = scene.world.token(scene.owner, lifetime=timedelta(seconds=1))
    scene.world.clock.advance(timedelta(seconds=1))
    bad = ["garbage", mint(TokenKind.USER), expired, scene.owner.token[:-1], scene.owner.token + "x"]
    cases = [(scene.http, "a bearer credential is required")]
    cases += [(scene.by(token), "the credential is not valid") for token in bad]
    for client, message in cases:
        answer = call(client, binding, organization_id)
        assert answer.seen == unauthenticated(message).of(binding, organization_id)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "{}", "Token {}", "Bearer {} {}"])
def test_a_credential_that_is_not_one_bearer_token_is_refused(scene: Scene, header: str) -> None:
    header = header.replace("{}", scene.owner.token)
    for path, expected in (
        ("/api/organizations", daytona_error(401, "/api/organizations")),
        ("/api/v1/organizations", dotenv_error(401, "unauthenticated")),
    ):
        answer = scene.http.get(path, Authorization=header)
        assert answer.seen == expected
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("binding", [*PATHED, *HEADED], ids=str)
def test_a_foreign_an_unknown_and_a_malformed_organization_are_answered_alike(scene: Scene, binding: Binding) -> None:
    stranger = scene.by(scene.stranger)
    foreign = {"daytona": to_uuid(scene.organization.id), "dotenv": scene.organization.id}[binding.dialect]
    with scene.world.unchanged(scene.organization):
        for sent in (foreign, UNKNOWN, UNKNOWN_ULID, "garbage", "0", "a" * 300):
            assert call(stranger, binding, sent).seen == not_accessible(sent[:200]).of(binding, sent)


@pytest.mark.parametrize("binding", PATHED, ids=str)
def test_a_token_of_another_organization_is_a_stranger_here(scene: Scene, binding: Binding) -> None:
    here, other = scene.organization.id, scene.world.organization(scene.owner, "Other").id
    tokens = [scene.world.token(scene.owner, organization_id=other)]
    if binding not in PERSONAL:
        tokens.append(scene.world.token(organization_id=other))
    with scene.world.unchanged(scene.organization):
        for token in tokens:
            assert call(scene.by(token), binding, here).seen == not_accessible(here).of(binding, here)


@pytest.mark.parametrize("binding", PRIVILEGED, ids=str)
def test_a_member_without_the_permission_is_told_which_one_is_missing(scene: Scene, binding: Binding) -> None:
    member = scene.by(scene.member)
    with scene.world.unchanged(scene.organization):
        answer = call(member, binding, scene.organization.id)
    assert answer.seen == missing_permissions(binding).of(binding, scene.organization.id)


@pytest.mark.parametrize("binding", NARROWABLE, ids=str)
def test_an_owners_token_that_does_not_carry_the_permission_is_refused_it(scene: Scene, binding: Binding) -> None:
    token = scene.world.token(scene.owner, permissions=["key:rotate"])
    with scene.world.unchanged(scene.organization):
        answer = call(scene.by(token), binding, scene.organization.id)
    assert answer.seen == missing_permissions(binding).of(binding, scene.organization.id)


@pytest.mark.parametrize("binding", HEADED, ids=str)
def test_without_the_header_no_organization_is_named_neither_by_a_query_nor_by_the_body(scene: Scene, binding: Binding) -> None:
    path, name = binding.path("", UNKNOWN), binding.organization_header
    refusal = daytona_error(400, path, f"{name} must name the organization")
    body = [{"name": "x", "organizationId": scene.organization.id}] if binding.verb == "POST" else []
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.call(binding.verb, path, *body).seen == refusal
        assert scene.as_owner.call(binding.verb, path, *body, **{name: ""}).seen == refusal
        for query in ("organizationId", "organization_id"):
            asked = f"{path}?{query}={scene.organization.id}"
            refusal = daytona_error(400, asked, f"{name} must name the organization")
            assert scene.as_owner.call(binding.verb, asked, *body).seen == refusal


@pytest.mark.parametrize("binding", PERSONAL, ids=str)
def test_an_organizations_own_token_does_not_act_as_a_person(scene: Scene, binding: Binding) -> None:
    token = scene.world.token(organization_id=scene.organization.id)
    answer = call(scene.by(token), binding, scene.organization.id)
    assert answer.seen == _of_kind("organization").of(binding, scene.organization.id)


@pytest.mark.parametrize("binding", OPERATED, ids=str)
def test_what_operators_do_is_refused_to_everybody_else(scene: Scene, binding: Binding) -> None:
    bound = scene.world.token(organization_id=scene.organization.id)
    missing = ",".join(binding.permissions)
    cases = [
        *((scene.by(caller), _of_kind(kind)) for caller, kind in ((scene.owner, "user"), (bound, "organization"))),
        (
            scene.by(scene.world.platform_token(["user:export"])),
            insufficient(f"permission missing: {missing}", permissions=missing),
        ),
    ]
    with scene.world.unchanged(scene.organization):
        for client, refusal in cases:
            answer = call(client, binding, scene.organization.id)
            assert answer.seen == refusal.of(binding, scene.organization.id)


def _of_kind(kind: str) -> Refusal:
    return insufficient(f"this call cannot be made with a credential of kind {kind}", principal_kind=kind)
