"""AuthorizationService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
import pytest
from support.clock import MovableClock
from support.desk import NOW, Desk, Somebody
from support.world import AUDITOR, DEVELOPER, MEMBER

from tenantry.v1 import api_token_pb2, member_pb2, organization_pb2
from tenantry.v1 import authorization_pb2 as pb
from tenantry.v1 import authorization_service_pb2 as service_pb
from tenantry_server.domain.errors import InvalidRequest, PrincipalKindNotAllowed
from tenantry_server.wire import timestamp

CHECK, WRITE = "AuthorizationService.CheckPermission", "sandbox:write"


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


@pytest.fixture
def bo(desk: Desk, ana: Somebody, acme: Any) -> Somebody:
    """A developer and auditor of it."""
    person = desk.person("bo")
    roles = {"role": MEMBER, "assigned_role_ids": [DEVELOPER, AUDITOR]}
    ana("MemberService.AddMember", organization_id=acme.id, user_id=person.id, **roles)
    return person


def test_check_answers_with_the_verdict_and_the_revision_alone(bo: Somebody, acme: Any) -> None:
    answer = bo(CHECK, organization_id=acme.id, permission=WRITE)
    assert answer == service_pb.CheckPermissionResponse(allowed=True, revision=2)
    assert bo(CHECK, organization_id=acme.id, permission="billing:read") == service_pb.CheckPermissionResponse(revision=2)


def test_check_explains_when_it_is_asked_to(ana: Somebody, bo: Somebody, acme: Any) -> None:
    answer = ana(CHECK, organization_id=acme.id, permission=WRITE, subject={"user_id": bo.id}, explain=True)
    developer = pb.PermissionRole(role_id=DEVELOPER, name="Developer", system=True)
    assert answer.explanation == pb.PermissionExplanation(
        decision=pb.PERMISSION_DECISION_ROLE,
        member_role=member_pb2.MEMBER_ROLE_MEMBER,
        granting_roles=[developer],
        organization_state=organization_pb2.ORGANIZATION_STATE_ACTIVE,
        changes=[pb.PermissionChange(kind=pb.PERMISSION_CHANGE_KIND_UNASSIGN_ROLE, role=developer)],
    )


def test_check_explains_a_token_and_what_somebody_would_join_with(desk: Desk, bo: Somebody, acme: Any) -> None:
    service, stranger = desk.operator(), desk.person()
    token = bo("ApiTokenService.GetCurrentApiToken").api_token
    assert token.kind == api_token_pb2.API_TOKEN_KIND_USER
    asked = {"organization_id": acme.id, "permission": WRITE, "explain": True}
    told = service(CHECK, subject={"api_token_id": token.id}, **asked).explanation
    assert told.token == pb.PermissionToken(api_token_id=token.id, unrestricted=True)
    told = service(CHECK, subject={"user_id": stranger.id}, **asked).explanation
    (change,) = told.changes
    assert change == pb.PermissionChange(
        kind=pb.PERMISSION_CHANGE_KIND_ADD_MEMBER,
        role=pb.PermissionRole(role_id=DEVELOPER, name="Developer", system=True),
        member_role=member_pb2.MEMBER_ROLE_MEMBER,
    )


def test_check_of_the_past_explains_only_when_it_is_asked_to(
    ana: Somebody, acme: Any, bo: Somebody, clock: MovableClock
) -> None:
    clock.stopped = NOW + timedelta(minutes=1)
    ana("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    asked = {"organization_id": acme.id, "permission": WRITE, "subject": {"user_id": bo.id}}
    assert ana(CHECK, **asked) == service_pb.CheckPermissionResponse(revision=3)
    then = ana(CHECK, as_of=timestamp(NOW), **asked)
    assert then == service_pb.CheckPermissionResponse(allowed=True, revision=2)
    assert ana(CHECK, as_of=timestamp(NOW), explain=True, **asked).explanation.decision == pb.PERMISSION_DECISION_ROLE


def test_check_refuses_an_instant_that_no_calendar_has(ana: Somebody, acme: Any) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ana(CHECK, organization_id=acme.id, permission=WRITE, as_of={"seconds": 2**60})
    assert refusal.value.metadata == {"fields": "as_of"}


def test_check_refuses_a_tenant_who_names_a_credential(ana: Somebody, acme: Any, bo: Somebody) -> None:
    with pytest.raises(PrincipalKindNotAllowed) as refusal:
        ana(CHECK, organization_id=acme.id, permission=WRITE, subject={"credential": bo.token})
    assert refusal.value.metadata == {"principal_kind": "user"}


def test_batch_answers_each_question_or_says_what_is_wrong_with_it(ana: Somebody, bo: Somebody, acme: Any) -> None:
    good = {"organization_id": acme.id, "permission": WRITE}
    answer = ana(
        "AuthorizationService.BatchCheckPermissions",
        items=[good, {"permission": WRITE}, good | {"subject": {"user_id": bo.id}}],
    )
    first, wrong, last = answer.results
    assert first.answer == last.answer == service_pb.CheckPermissionResponse(allowed=True, revision=2)
    assert (wrong.WhichOneof("result"), wrong.error.code) == ("error", 3)
    info = details_pb2.ErrorInfo()
    wrong.error.details[0].Unpack(info)
    assert (info.reason, dict(info.metadata)) == ("INVALID_REQUEST", {"fields": "organization_id"})


def test_lists_answer_with_names_ids_and_the_way_on(ana: Somebody, bo: Somebody, acme: Any) -> None:
    page = bo("AuthorizationService.ListEffectivePermissions", organization_id=acme.id, page_size=2)
    assert (list(page.permissions), page.revision) == (["audit-log:read", "invitation:accept"], 2)
    assert page.next_page_token
    members = {"organization_id": acme.id, "permission": WRITE}
    page = ana("AuthorizationService.ListMembersWithPermission", **members, page_size=1)
    rest = ana("AuthorizationService.ListMembersWithPermission", **members, page_token=page.next_page_token)
    assert [*page.user_ids, *rest.user_ids] == sorted([ana.id, bo.id])
    assert rest.next_page_token == ""
    page = ana("AuthorizationService.ListAccessibleOrganizations", permission=WRITE)
    assert acme.id in page.organization_ids
