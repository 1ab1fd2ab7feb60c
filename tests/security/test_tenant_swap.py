"""Nobody reaches into another organization: its objects' ids behave exactly like ids that nobody has.

Generated for every RPC and every field that names an object (`reference` in the protos, nested items and lists included):
the owner of one organization names an object of another. The answer must be the one to a random id, the id itself aside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from support.descriptors import core_of, fields_of, is_scoped, label, methods, reference_of
from support.requests import put, reference_ways, spelt
from support.rpc import Refused
from support.stage import Stage, outcome
from support.world import World

from tenantry.policy.v1 import policy_pb2
from tenantry_server.domain import ids
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


def _ways(method: MethodDescriptor) -> list[Way]:
    """The ways to what may belong to others: references, and the organization itself. Invitees name an invitation without
    its organization: there, it is another's when it is to another's address.
    """
    whose = "organization_id" if is_scoped(method) else "invitation_id"
    return [*reference_ways(method), *((field,) for field in method.input_type.fields if field.name == whose)]


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

    def foreign_id(self, way: Way) -> str:
        """Another organization's object, of the kind that the field names."""
        if way[-1].name == "organization_id":
            return self.theirs.objects.organization_id
        return self.theirs.objects.of_kind(reference_of(way[-1]) or policy_pb2.REFERENCE_INVITATION)

    def seen(self, method: MethodDescriptor, way: Way, sent: str) -> _Seen:
        """What our owner sees who puts this id into the field of an otherwise good request."""
        request = self.ours.request(method)
        put(request, way, sent)
        return _Seen.of(outcome(self.ours.owner, method, request), sent)

    def differences(self, method: MethodDescriptor, way: Way) -> Iterator[str]:
        """How a foreign id can be told from a random one."""
        for name, spell in _SPELLINGS.items():
            foreign = self.seen(method, way, spell(self.foreign_id(way)))
            random = self.seen(method, way, spell(ids.new()))
            if foreign != random:
                yield f"{label(method)} {spelt(way)} as {name}: {foreign.text} but {random.text}"

    def revisions(self) -> tuple[int, int, int]:
        """How often each of the organizations was changed."""
        organizations = (self.ours.organization, self.theirs.organization, self.ours.elsewhere)
        ours, theirs, elsewhere = (self.world.revision(organization.id) for organization in organizations)
        return ours, theirs, elsewhere


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
    before = pair.revisions()
    assert list(pair.differences(method, way)) == []
    assert pair.revisions() == before


@pytest.mark.parametrize(("method", "way"), CASES, ids=_NAMES)
def test_the_refusal_is_about_that_field_and_nothing_else(pair: Pair, method: MethodDescriptor, way: Way) -> None:
    seen = pair.seen(method, way, pair.foreign_id(way)).text
    named = re.search(rf"'{way[-1].name}': '<id>'|\b{way[-1].name}\[0\]", seen)
    assert named, f"the request was refused for another reason, so the swap proves nothing: {seen}"


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
    found = set()
    for method, way in CASES:
        if label(method) in leaks and next(Pair(world).differences(method, way), None):
            found.add(label(method))
    assert found == leaks
