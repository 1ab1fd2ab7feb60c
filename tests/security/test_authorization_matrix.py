"""Who may call what: every RPC, by everybody who might call it, in every state of the organization.

The cells are generated from the descriptors and judged by an oracle that reads nothing but the protos and permissions.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from support.cast import Player, Players, cast
from support.descriptors import (
    access_of,
    denies_by_answer,
    header_of,
    is_change,
    is_core,
    is_scoped,
    label,
    methods,
    names_an_organization,
    path,
    registered_paths,
)
from support.oracle import (
    ACCESS_REASONS,
    ORGANIZATION,
    PLATFORM,
    USER,
    USER_IN_ORGANIZATION,
    Facts,
    Refusal,
    judged_there,
    may_have_lost_its_organization,
    verdict,
)
from support.rpc import Refused
from support.sign_in import Office
from support.stage import Stage
from support.world import World

from tenantry.policy.v1 import policy_pb2
from tenantry_server import bootstrap
from tenantry_server.domain import principal
from tenantry_server.domain.organizations import Organization, OrganizationState
from tenantry_server.domain.principal import OPERATOR, Requirement
from tenantry_server.rpc.interceptor import Interceptor
from tenantry_server.rpc.interceptors import Authorization
from tenantry_server.rpc.policy import INFRASTRUCTURE
from tenantry_server.services import own_tokens
from tenantry_server.store import transactions

# What an access that was granted never ends in.
_BROKEN = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Methods of dialects that are there for fewer kinds of principal than their core methods: they answer with a person, or with
# a person or an organization.
_NARROWER = {
    "rest.daytona.UserService.GetAuthenticatedUser": {USER, USER_IN_ORGANIZATION},
    "rest.dotenv.UserService.GetCurrentPrincipal": {USER, USER_IN_ORGANIZATION, ORGANIZATION},
}


# What operators may call, and is refused all the same where the organization is not active; and how.
_ACTIVE_ONLY = {"Reserve"}
_INACTIVE = {
    OrganizationState.SUSPENDED: "ORGANIZATION_SUSPENDED",
    OrganizationState.DELETED: "ORGANIZATION_NOT_ACCESSIBLE",
}


@dataclass(frozen=True)
class Violation:
    """A cell whose answer is not the one expected."""

    method: str
    player: str
    state: str
    expected: Refusal | None
    answer: Refused | None

    def __str__(self) -> str:
        return f"{self.method} by {self.player}, {self.state}: expected {self.expected or 'access'}, got {self.answer or 'OK'}"


class Matrix:
    """The cells of one server: a stage for each state, shared by the calls that leave it as it is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shared: dict[OrganizationState, Players] = {}

    def violations(self, method: MethodDescriptor) -> Iterator[Violation]:
        """The cells of a method that are not as they should be."""
        for state in OrganizationState:
            for player in cast(access_of(method), signs_in=isinstance(self._world, Office)):
                yield from self._cell(method, player, state)

    def _cell(self, method: MethodDescriptor, player: Player, state: OrganizationState) -> Iterator[Violation]:
        players = self._stage(state)
        token, facts = players.credential(player)
        expected = verdict(_declared(method), facts, *_meant(method, facts, state, players.here))
        if expected is None and _would_change_the_stage(method):
            players = Players(Stage(self._world, state))
            token, facts = players.credential(player)
        answer = self._answer(method, players, token)
        judgement = _Judgement(method, facts, state, players.here)
        if not judgement.accepts(expected, answer):
            yield Violation(label(method), player.name, state.value, expected, answer)

    def _stage(self, state: OrganizationState) -> Players:
        if state not in self._shared:
            self._shared[state] = Players(Stage(self._world, state))
        return self._shared[state]

    def _answer(self, method: MethodDescriptor, players: Players, token: str) -> Refused | None:
        request = players.stage.request(method, validate_only=True)
        try:
            self._world.client(token).send(method.full_name, request)
        except Refused as refusal:
            return refusal
        return None


def _declared(method: MethodDescriptor) -> policy_pb2.Access:
    """The declared access; of a dialect's method that is there for fewer, that which is left."""
    declared = access_of(method)
    if (kinds := _NARROWER.get(label(method))) is None:
        return declared
    assert kinds < set(declared.principals)
    return policy_pb2.Access(level=declared.level, permissions=declared.permissions, principals=kinds)


def _meant(method: MethodDescriptor, facts: Facts, state: OrganizationState, here: str) -> tuple[str, str]:
    """The state of the organization that is meant, and its id: where a header names it, a token means the one it is bound to,
    and the other ones that callers have are active.
    """
    is_elsewhere = bool(header_of(method)) and facts.bound_to not in ("", here)
    return (OrganizationState.ACTIVE.value, facts.bound_to) if is_elsewhere else (state.value, here)


def _would_change_the_stage(method: MethodDescriptor) -> bool:
    """Changes of the core API are made with validate_only; those of a dialect happen."""
    names_it = "organization_id" in method.input_type.fields_by_name
    return is_change(method) and not is_core(method) and (names_it or bool(header_of(method)))


@dataclass(frozen=True)
class _Judgement:
    """Whether an answer is what may be answered to a caller."""

    method: MethodDescriptor
    caller: Facts
    state: OrganizationState
    here: str

    def accepts(self, expected: Refusal | None, answer: Refused | None) -> bool:
        """Whether the answer fits what is expected of access alone."""
        seen = None if answer is None else Refusal(answer.code, answer.reason, tuple(sorted(answer.metadata.items())))
        if expected is not None:
            return seen == expected
        if denies_by_answer(self.method):
            return answer is None
        if self.method.name in _ACTIVE_ONLY and self.state in _INACTIVE:
            return answer is not None and answer.reason == _INACTIVE[self.state]
        if names_an_organization(self.method):
            is_header = bool(header_of(self.method))
            may, refusals = judged_there(access_of(self.method), self.caller, self.state.value, self.here, as_bound=is_header)
            return seen in refusals or (_is_answered(answer) and (may or seen is not None))
        return _is_answered(answer) or self._has_lost_its_organization(answer)

    def _has_lost_its_organization(self, answer: Refused | None) -> bool:
        lost = (grpc.StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": self.caller.bound_to})
        is_told = answer is not None and answer.seen == lost
        return is_told and may_have_lost_its_organization(self.caller, self.state.value, self.here)


def _is_answered(answer: Refused | None) -> bool:
    """Whether access was granted, for all that the answer tells."""
    return answer is None or (answer.code not in _BROKEN and answer.reason not in ACCESS_REASONS)


@pytest.fixture(scope="session")
def matrices() -> dict[str, Matrix]:
    """The matrices of the shared servers, by database."""
    return {}


@pytest.fixture
def matrix(office: Office, matrices: dict[str, Matrix]) -> Matrix:
    """The matrix of the shared server that people also sign in to."""
    return matrices.setdefault(office.deployment.url, Matrix(office))


@pytest.mark.parametrize("method", methods(), ids=label)
def test_everybody_is_answered_as_declared(matrix: Matrix, method: MethodDescriptor) -> None:
    wrong = [str(violation) for violation in matrix.violations(method)]
    assert not wrong, "\n".join(wrong)


def test_the_matrix_has_every_rpc_that_the_server_answers(world: World) -> None:
    answered = registered_paths(world.deployment.server)
    infrastructure = {name for name in answered if name.startswith(tuple(f"/{service}/" for service in INFRASTRUCTURE))}
    assert answered - infrastructure == {path(method) for method in methods()}
    assert infrastructure, "health checks are answered too"


class _WithGhost(bootstrap.Server):
    """A server that answers a method which nothing declares."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        ghost: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: b"secret")
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("tenantry.v1.GhostService", {"Haunt": ghost}),)
        )


def test_an_rpc_that_the_matrix_does_not_have_is_found_and_answers_nobody(deploy_own: Callable[..., World]) -> None:
    world = deploy_own(make=_WithGhost)
    ghost = "/tenantry.v1.GhostService/Haunt"
    assert ghost in registered_paths(world.deployment.server) - {path(method) for method in methods()}
    with pytest.raises(grpc.RpcError) as error:
        world.deployment.channel.unary_unary(ghost, bytes, bytes)(b"", timeout=5)
    assert error.value.code() is not grpc.StatusCode.OK


class _Unauthorized(bootstrap.Server):
    """A server without authorization."""

    def interceptors(self) -> tuple[Interceptor, ...]:
        return tuple(link for link in super().interceptors() if not isinstance(link, Authorization))


def _unnoticed(world: World, expected: list[MethodDescriptor]) -> list[str]:
    """The methods, of those expected, where the matrix finds nothing wrong."""
    matrix = Matrix(world)
    assert expected
    return [method.full_name for method in expected if next(matrix.violations(method), None) is None]


def _is_for_some(method: MethodDescriptor) -> bool:
    """Whether some kinds of principal are named, and not all of them."""
    named = set(access_of(method).principals)
    return bool(named) and named != {USER, USER_IN_ORGANIZATION, ORGANIZATION, PLATFORM}


def test_control_without_authorization_the_matrix_finds_violations(deploy_own: Callable[..., World]) -> None:
    def is_guarded_there_alone(method: MethodDescriptor) -> bool:
        # Every change asks again inside its transaction: for permissions in an organization or, where there is none, for all
        # that its method declares.
        if is_change(method):
            return is_scoped(method) and _is_for_some(method)
        return _is_for_some(method) or bool(access_of(method).permissions)

    expected = [method for method in methods() if is_guarded_there_alone(method)]
    levels = {access_of(method).level for method in methods()} - {policy_pb2.ACCESS_LEVEL_PUBLIC}
    assert {access_of(method).level for method in expected} == levels
    assert _unnoticed(deploy_own(make=_Unauthorized), expected) == []


def test_control_without_ensure_access_the_matrix_finds_violations(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    monkeypatch.setattr(Requirement, "ensure_access", lambda *_, **__: None)
    assert _unnoticed(world, [method for method in methods() if is_scoped(method)]) == []


def test_control_without_ensure_principal_the_matrix_finds_violations(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    monkeypatch.setattr(Requirement, "ensure_principal", lambda *_: None)

    def is_guarded_by_kind_or_credential(method: MethodDescriptor) -> bool:
        return _is_for_some(method) or bool(access_of(method).permissions and not is_scoped(method))

    assert _unnoticed(world, [method for method in methods() if is_guarded_by_kind_or_credential(method)]) == []


def test_control_without_access_to_the_named_organization_the_matrix_finds_violations(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    catalog = world.services.store.catalog

    def everything(*arguments: Any) -> Any:
        (organization,) = (each for each in arguments if isinstance(each, Organization))
        return principal.access(catalog, OPERATOR, organization, member_role=None, roles=())

    monkeypatch.setattr(own_tokens, "access_of", everything)
    monkeypatch.setattr(transactions, "access_again", everything)
    expected = {"ApiTokenService.CreateMyApiToken", "ApiTokenService.GetCurrentApiToken"}
    expected |= {"rest.daytona.ApiKeyService.CreateApiKey", "rest.daytona.ApiKeyService.ListApiKeys"}
    assert _unnoticed(world, [method for method in methods() if label(method) in expected]) == []
