"""Nobody reaches into another organization: its objects' ids behave exactly like ids that nobody has.

Generated for every RPC and every field that names an object (`reference` in the protos, nested items and lists included) or
the organization itself, in a path, a field or a header: the owner of one organization names what is another's. So with what
belongs to persons and to the platform. The answer must be the one to a random id, the id itself aside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from support import raw, records
from support.descriptors import core_of, denies_by_answer, fields_of, is_platform, is_scoped, label, methods, reference_of
from support.requests import put, reference_ways, spelt
from support.rpc import Refused
from support.stage import KEY, Stage, outcome
from support.world import World

from tenantry.policy.v1 import policy_pb2
from tenantry_server.domain import call as calls
from tenantry_server.domain import ids
from tenantry_server.services import platform_tokens
from tenantry_server.services.api_tokens import ApiTokens
from tenantry_server.services.own_tokens import OwnTokens
from tenantry_server.store.queries import invitations, members, roles
from tenantry_server.store.statements import Statement

Way = tuple[FieldDescriptor, ...]

_TIMESTAMP = re.compile(r'(?<="timestamp": ")[^"]+')
_SPELLINGS: dict[str, Callable[[str], str]] = {
    "ULID": str,
    "ulid": str.lower,
    "UUID": lambda ulid: ids.to_uuid(ulid).upper(),
    "uuid": ids.to_uuid,
}
# What an id names that is no object of the request's organization, and so need not be one.
_NO_REFERENCES = {
    "request_id": "the caller's own key for the change",
    "default_region_id": "a region, which belongs to the operator",
    "tenantry.v1.AddMemberRequest.user_id": "any user of the product: whoever is added is no member yet",
}


# What belongs to others, where it is named without being a reference into an organization: invitees name an invitation
# without its organization, and it is another's when it is to another's address; tokens are their owner's.
_OTHERS = ("organization_id", "api_token_id", "invitation_id")
# Whose key it is goes with its name, and the refusal is about the name.
_ABOUT = {"tenantry.rest.daytona.v1.DeleteMemberApiKeyRequest.user_id": f"'api_token_id': '{KEY}'"}


def _ways(method: MethodDescriptor) -> list[Way]:
    """The ways to what may belong to others."""
    fields = [field for field in method.input_type.fields if not reference_of(field)]
    named = [field for field in fields if field.name in _OTHERS or field.full_name in _ABOUT]
    if is_platform(method):  # operators name any organization
        named = [field for field in named if field.name != "organization_id"]
    return [*reference_ways(method), *((field,) for field in named)]


CASES = [(method, way) for method in methods() for way in _ways(method)]
_NAMES = [f"{label(method)}-{spelt(way)}" for method, way in CASES]


@dataclass(frozen=True)
class _Seen:
    """An answer as far as it may tell two ids apart, with the id taken out."""

    text: str

    @classmethod
    def of(cls, answer: Any, sent: str) -> _Seen:
        if isinstance(answer, Refused):
            rest = [answer.trailing.get(name, "") for name in ("x-http-status", "x-http-body")]
            told = (answer.code, answer.reason, answer.message, answer.metadata, answer.violations, answer.details)
            answer = (*told, *(_TIMESTAMP.sub("<now>", text) for text in rest))
        return cls(str(answer).replace(sent, "<id>"))


class Pair:
    """Two organizations that have nothing to do with each other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ours, self.theirs = Stage(world), Stage(world)
        another = world.organization(self.ours.owner, "Another")
        made = world.services.api_tokens.provision(
            calls.operator("test"), user_id=self.ours.owner.id, organization_id=another.id
        )
        self.bound_elsewhere = made.id

    def foreign_ids(self, method: MethodDescriptor, way: Way) -> list[str]:
        """What is another's, of the kind that the field names."""
        theirs, last = self.theirs.objects, way[-1]
        if last.name == "organization_id":
            return [theirs.organization_id]
        if last.name == "api_token_id":
            return self._foreign_tokens(method)
        if last.full_name in _ABOUT:
            return [theirs.member_id]
        return [theirs.of_kind(reference_of(last) or policy_pb2.REFERENCE_INVITATION)]

    def _foreign_tokens(self, method: MethodDescriptor) -> list[str]:
        """Tokens of their organization, their people and the platform; beside them, what else is not meant here."""
        ours, theirs, database = self.ours, self.theirs, self.world.deployment.database
        tenants = raw.values(database, "api_tokens", "id", organization_id=theirs.organization.id)
        tenants += raw.values(database, "api_tokens", "id", user_id=theirs.owner.id)
        if is_platform(method):
            return [*tenants, ours.api_token.id, ours.own_token.id]
        if is_scoped(method):
            return [*tenants, theirs.platform_token.id, self.bound_elsewhere]
        return [*tenants, theirs.platform_token.id, ours.api_token.id, ours.members_token.id]

    def seen(self, method: MethodDescriptor, way: Way, sent: str) -> _Seen:
        """What our owner, or an operator, sees who puts this id into the field of an otherwise good request."""
        request = self.ours.request(method)
        put(request, way, sent)
        return _Seen.of(outcome(self.ours.actor(method), method, request), sent)

    def differences(self, method: MethodDescriptor, way: Way) -> Iterator[str]:
        """How a foreign id can be told from a random one."""
        for name, spell in _SPELLINGS.items():
            random = self.seen(method, way, spell(ids.new()))
            for foreign_id in self.foreign_ids(method, way):
                foreign = self.seen(method, way, spell(foreign_id))
                if foreign != random:
                    yield f"{label(method)} {spelt(way)} as {name}: {foreign.text} but {random.text}"


@pytest.fixture(scope="session")
def pairs() -> dict[str, Pair]:
    """The pairs of the shared servers, by database."""
    return {}


@pytest.fixture
def pair(world: World, pairs: dict[str, Pair]) -> Pair:
    """Two organizations in the shared server."""
    url = world.deployment.url
    return pairs[url] if url in pairs else pairs.setdefault(url, Pair(world))


@pytest.mark.parametrize(("method", "way"), CASES, ids=_NAMES)
def test_a_foreign_id_is_answered_like_a_random_one_and_changes_nothing(pair: Pair, method: MethodDescriptor, way: Way) -> None:
    before = pair.world.changes()
    assert list(pair.differences(method, way)) == []
    assert pair.world.changes() == before


@pytest.mark.parametrize(("method", "way"), CASES, ids=_NAMES)
def test_the_refusal_is_about_that_field_and_nothing_else(pair: Pair, method: MethodDescriptor, way: Way) -> None:
    if denies_by_answer(method):
        own = pair.seen(method, way, pair.ours.organization.id)
        assert all(pair.seen(method, way, foreign_id) != own for foreign_id in pair.foreign_ids(method, way))
        return
    about = _ABOUT.get(way[-1].full_name, rf"'{way[-1].name}': '<id>'|\b{way[-1].name}\[0\]")
    for foreign_id in pair.foreign_ids(method, way):
        seen = pair.seen(method, way, foreign_id).text
        assert re.search(about, seen), f"the request was refused for another reason, so the swap proves nothing: {seen}"


@pytest.mark.parametrize("method", [method for method in methods() if is_scoped(method)], ids=label)
def test_every_id_of_a_scoped_request_says_what_it_refers_to(method: MethodDescriptor) -> None:
    def is_explained(field: FieldDescriptor) -> bool:
        return field.name == "organization_id" or field.name in _NO_REFERENCES or field.full_name in _NO_REFERENCES

    undeclared = [
        field.full_name
        for *_, field in fields_of(method.input_type)
        if field.name.endswith(("_id", "_ids")) and not reference_of(field) and not is_explained(field)
    ]
    assert undeclared == []


@pytest.mark.parametrize("method", [method for method in methods() if method != core_of(method)], ids=label)
def test_a_dialect_refers_to_what_its_core_method_refers_to(method: MethodDescriptor) -> None:
    def kinds(of: MethodDescriptor) -> set[int]:
        return {reference_of(way[-1]) for way in reference_ways(of)}

    # dotenv adds by address and by the name of a role, without ids.
    assert kinds(method) == kinds(core_of(method)) or not kinds(method)


class _Leaky(Statement[Any]):
    """A statement that takes any organization for the right one."""

    def __init__(self, statement: Statement[Any]) -> None:
        super().__init__(statement._build, statement.make)
        self._statement = statement

    def sql(self, database: Any, values: dict[str, Any]) -> tuple[str, list[Any]]:
        text, parameters = self._statement.sql(database, values)
        condition = re.compile(r'\("t1"\."(organization_id|email)" = (\?|%s)\)')
        assert condition.search(text), text
        return condition.sub(r"(\2 <> 'any')", text, count=1), parameters


@pytest.mark.parametrize(
    ("module", "name", "leaks"),
    [
        (roles, "GET", {"RoleService.GetRole", "RoleService.UpdateRole", "rest.daytona.RoleService.DeleteRole"}),
        (roles, "BY_IDS", {"MemberService.AddMember", "InvitationService.BatchCreateInvitations"}),
        (members, "GET", {"MemberService.GetMember", "MemberService.RemoveMember", "rest.daytona.MemberService.UpdateAccess"}),
        (invitations, "GET", {"InvitationService.GetInvitation", "rest.daytona.InvitationService.CancelInvitation"}),
        (invitations, "TO_ADDRESS", {"InvitationService.AcceptInvitation", "rest.daytona.InvitationService.DeclineInvitation"}),
    ],
    ids=["a role", "assigned roles", "a member", "an invitation", "an invitation to the caller"],
)
def test_control_a_statement_that_forgets_the_organization_is_found(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch, module: Any, name: str, leaks: set[str]
) -> None:
    world = deploy_own()
    monkeypatch.setattr(module, name, _Leaky(getattr(module, name)))
    assert _found(world, leaks) == leaks


def _found(world: World, leaks: set[str]) -> set[str]:
    """In which of these methods a foreign id can be told from a random one."""
    cases = [(method, way) for method, way in CASES if label(method) in leaks]
    return {label(method) for method, way in cases if next(Pair(world).differences(method, way), None)}


@pytest.mark.parametrize(
    ("holder", "name", "weak", "leaks"),
    [
        (ApiTokens, "_reaches", lambda *_: True, {"ApiTokenService.GetApiToken", "rest.dotenv.ApiKeyService.DeleteApiKey"}),
        (OwnTokens, "_is_own", lambda *_: True, {"ApiTokenService.GetMyApiToken", "ApiTokenService.RevokeMyApiToken"}),
        (platform_tokens, "_of_platform", lambda token, _: token, {"PlatformTokenService.GetPlatformToken"}),
        (OwnTokens, "_access", lambda *_: records.access("api-token:read"), {"rest.daytona.ApiKeyService.ListApiKeys"}),
    ],
    ids=["a token that reaches", "a token of one's own", "a token of the platform", "an organization from a header"],
)
def test_control_a_service_that_takes_anybodys_token_is_found(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch, holder: Any, name: str, weak: Any, leaks: set[str]
) -> None:
    world = deploy_own()
    monkeypatch.setattr(holder, name, weak)
    assert _found(world, leaks) == leaks
