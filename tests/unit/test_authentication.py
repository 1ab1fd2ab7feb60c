"""Who calls: what a credential must look like, what a certificate is good for, and which organization a header names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from support.loopback import call, policies, serving
from support.rpc import Refused, refused

from tenantry.rest.daytona.v1 import api_key_service_pb2 as pb
from tenantry_server import logs
from tenantry_server.domain import call as calls
from tenantry_server.domain.call import Call
from tenantry_server.domain.clock import Clock
from tenantry_server.domain.errors import InvalidCredential
from tenantry_server.domain.principal import Known, Level, Principal, PrincipalKind, Requirement
from tenantry_server.oidc.claims import Claims
from tenantry_server.operator_files import load_catalog
from tenantry_server.rpc.authentication import Authentication
from tenantry_server.rpc.interceptors import Errors, RequestContext
from tenantry_server.services.credentials import Credentials
from tenantry_server.store.change import Store
from tenantry_server.store.sqlite import SqliteDatabase

Metadata = Sequence[tuple[str, str]]
HEADER = "x-organization-id"
HERE, THERE = "0" * 25 + "A", "0" * 25 + "B"
TOKEN = "tnt_usr_" + "0" * 49
ANYBODY = Requirement(level=Level.AUTHENTICATED, kinds=frozenset(PrincipalKind))
MEMBERS = Requirement(level=Level.SCOPED, permissions=("role:read",), kinds=frozenset(PrincipalKind))
PERSON = Principal(kind=PrincipalKind.USER, user_id="U")
BOUND = Principal(kind=PrincipalKind.USER_IN_ORGANIZATION, user_id="U", organization_id=HERE)
SERVICE = Principal(kind=PrincipalKind.PLATFORM, credential_id="certificate:billing")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logs.configure(logging.CRITICAL)


class Doorman(Credentials):
    """Knows one bearer, and notes for which organizations it was asked."""

    def __init__(self, principal: Principal = PERSON) -> None:
        self._principal = principal
        self.asked: list[str] = []

    def known(self, call: Call, bearer: str, organization_id: str) -> Known:
        self.asked.append(organization_id)
        if bearer != "good":
            raise InvalidCredential
        return Known(self._principal, None, "")


def ask(
    credentials: Credentials,
    metadata: Metadata = (),
    *,
    requirement: Requirement = ANYBODY,
    certificate: Principal | None = None,
    header: str = "",
    is_change: bool = False,
    request: Message | None = None,
) -> str:
    """What a method sees: who calls, the request's organization, the call's, and what tells repetitions. Raises Refused."""
    known = policies(requirement, is_change=is_change, organization_header=header)

    def answer(received: Any, context: grpc.ServicerContext) -> str:
        current = calls.current.get()
        return f"{current.principal.kind} {received.organization_id} {current.organization_id} {current.fingerprint}"

    links = [RequestContext(known), Errors({}), Authentication(known, credentials, lambda context: certificate)]
    sent = request or pb.ListApiKeysRequest()
    with serving(links, type(sent).FromString, UnaryUnary=answer) as channel:
        try:
            return str(call(channel, "UnaryUnary")(sent.SerializeToString(), timeout=5, metadata=metadata))
        except grpc.RpcError as error:
            raise refused(error) from None


def refusal(act: Callable[[], Any]) -> Refused:
    """How it is refused."""
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


def bearer(*more: tuple[str, str], credential: str = "good") -> Metadata:
    """Metadata with a bearer credential."""
    return [("authorization", f"Bearer {credential}"), *more]


@pytest.fixture
def offline(tmp_path: Path) -> Credentials:
    """Credentials over a database that nothing is ever asked of, on a server that trusts no identity provider."""
    nobody: Any = SimpleNamespace(known=None)
    store = Store(SqliteDatabase(tmp_path / "never-opened.db"), Clock(), load_catalog())
    return Credentials(store, nobody, nobody, None)


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ([], "MISSING_CREDENTIAL"),
        (["Bearer"], "INVALID_CREDENTIAL"),
        (["Bearer "], "INVALID_CREDENTIAL"),
        (["Basic dXNlcg=="], "INVALID_CREDENTIAL"),
        ([f"Basic {TOKEN}"], "INVALID_CREDENTIAL"),
        ([TOKEN], "INVALID_CREDENTIAL"),
        ([f"Bearer {TOKEN}"], "INVALID_CREDENTIAL"),
        ([f"Bearer {TOKEN}", f"Bearer {TOKEN}"], "INVALID_CREDENTIAL"),
        (["Bearer e30.e30.e30"], "INVALID_CREDENTIAL"),
    ],
)
def test_a_malformed_credential_needs_no_database(offline: Credentials, credentials: list[str], reason: str) -> None:
    no = refusal(lambda: ask(offline, [("authorization", value) for value in credentials]))
    assert no.seen == (grpc.StatusCode.UNAUTHENTICATED, reason, {})
    assert no.trailing["www-authenticate"] == "Bearer"


class _Verifier:
    """Believes nothing, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def verify(self, token: str) -> Claims:
        self.asked.append(token)
        raise InvalidCredential


@pytest.mark.parametrize(
    ("credential", "is_asked"),
    [("a.b.c", True), ("..", True), ("a.b", False), ("a.b.c.d", False), (TOKEN, False), ("garbage", False)],
)
def test_an_identity_providers_verifier_is_asked_about_what_looks_like_its_tokens_alone(
    offline: Credentials, credential: str, is_asked: bool
) -> None:
    verifier: Any = _Verifier()
    offline._verifier = verifier
    assert refusal(lambda: ask(offline, bearer(credential=credential))).reason == "INVALID_CREDENTIAL"
    assert verifier.asked == ([credential] if is_asked else [])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_is_known_in_whatever_letters(scheme: str) -> None:
    assert ask(Doorman(), [("authorization", f"{scheme} good")]).startswith("user ")


def test_a_certificate_alone_is_enough() -> None:
    assert ask(Doorman(), certificate=SERVICE).startswith("platform ")


@pytest.mark.parametrize("credential", ["good", "bad"])
def test_a_certificate_and_a_bearer_together_are_refused(credential: str) -> None:
    doorman = Doorman()
    no = refusal(lambda: ask(doorman, bearer(credential=credential), certificate=SERVICE))
    assert no.seen == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL", {})
    assert doorman.asked == []


def test_a_public_method_asks_nobody() -> None:
    public = Requirement(level=Level.PUBLIC, kinds=frozenset(PrincipalKind))
    known = policies(public)
    doorman = Doorman()
    links = [RequestContext(known), Errors({}), Authentication(known, doorman, lambda context: None)]
    with serving(links, UnaryUnary=lambda request, context: "done") as channel:
        assert call(channel, "UnaryUnary")(b"", timeout=5, metadata=bearer(credential="bad")) == "done"
    assert doorman.asked == []


def test_a_header_names_the_organization_whatever_the_request_says() -> None:
    request = pb.ListApiKeysRequest(organization_id=THERE)
    told = ask(Doorman(), bearer((HEADER, HERE)), header=HEADER, request=request)
    assert told.split(" ")[:2] == ["user", HERE]


@pytest.mark.parametrize("named", [[], [HERE, HERE], [HERE, THERE], [""]])
def test_without_a_header_or_with_two_it_is_asked_for_by_name(named: list[str]) -> None:
    request = pb.ListApiKeysRequest(organization_id=THERE)
    metadata = bearer(*((HEADER, organization_id) for organization_id in named))
    no = refusal(lambda: ask(Doorman(), metadata, header=HEADER, request=request))
    assert no.seen == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": HEADER})
    assert no.violations == {HEADER: "ORGANIZATION_HEADER"}


def test_who_is_not_known_is_not_told_what_is_missing() -> None:
    assert refusal(lambda: ask(Doorman(), bearer(credential="bad"), header=HEADER)).reason == "INVALID_CREDENTIAL"


@pytest.mark.parametrize("named", [[], [THERE], [HERE, THERE], ["?"]])
def test_a_bound_credential_means_its_own_organization(named: list[str]) -> None:
    metadata = bearer(*((HEADER, organization_id) for organization_id in named))
    assert ask(Doorman(BOUND), metadata, header=HEADER).split(" ")[1] == HERE


def test_a_scoped_call_is_about_the_organization_that_the_bound_credential_means() -> None:
    doorman = Doorman(BOUND)
    told = ask(doorman, bearer((HEADER, THERE)), header=HEADER, requirement=MEMBERS)
    assert told.split(" ")[1:3] == [HERE, HERE]
    assert doorman.asked == [THERE, HERE], "what it may do is asked of the organization that is meant"


def test_the_organization_is_part_of_what_is_repeated() -> None:
    def fingerprint(organization_id: str) -> str:
        metadata = bearer((HEADER, organization_id), ("idempotency-key", "once"))
        return ask(Doorman(), metadata, header=HEADER, is_change=True).split(" ")[3]

    assert fingerprint(HERE) == fingerprint(HERE) != ""
    assert fingerprint(HERE) != fingerprint(THERE)
