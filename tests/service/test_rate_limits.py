"""Rate limits: so many calls are admitted and not one more, whoever makes them, and every answer says how it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode
from support.deployment import LIMITS
from support.descriptors import access_of, label, methods
from support.rates import GET, Told, ask, crowd, told
from support.rpc import request_of
from support.stage import Stage, state_for
from support.world import Person, World

from tenantry.policy.v1 import policy_pb2
from tenantry_server.domain.rates import Rate, Rates
from tenantry_server.rpc import admission

CURRENT, LIST = "OrganizationService.GetCurrentOrganization", "OrganizationService.ListOrganizations"
UPDATE, CHECK = "LimitService.UpdateOrganizationLimits", "LimitService.CheckRateLimit"
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
HUNDRED = Rate(100, 60)


def rated(deploy_own: Callable[..., World], **rates: Rate) -> World:
    """A server with these limits, its clock standing, with which every window lasts."""
    world = deploy_own(limits=replace(LIMITS, rates=Rates(**rates)))
    world.clock.stopped = NOON
    return world


def reader(world: World, token: str, organization: Any) -> Callable[[], Told]:
    """Reads an organization."""
    return lambda: ask(world.deployment.channel, token, GET, organization_id=organization.id)


def too_many(rate_class: str, rate: Rate, answer: Told) -> tuple[StatusCode, str, dict[str, str]]:
    """How a call is refused that is one too many, by what the answer says of the window's end."""
    wait = str(answer.limit[2] - int(NOON.timestamp()))
    metadata = {"rate_limit": rate_class, "maximum": str(rate.calls), "window": str(rate.seconds), "retry_after": wait}
    return StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", metadata


# -- how many are admitted -------------------------------------------------------------------------------------------------


def test_a_limit_of_100_admits_100_and_the_headers_count_down_exactly(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=HUNDRED)
    ana = world.person()
    acme = world.organization(ana)
    read = reader(world, ana.token, acme)
    answers = [read() for _ in range(100)]
    assert [answer.refusal for answer in answers] == [None] * 100
    ends = {answer.limit[2] for answer in answers}
    assert [answer.limit[:2] for answer in answers] == [(100, left) for left in range(99, -1, -1)]
    assert len(ends) == 1
    assert NOON.timestamp() < ends.pop() <= NOON.timestamp() + 60

    refused = read()
    assert refused.refusal is not None
    assert refused.refusal.seen == too_many("authenticated", HUNDRED, refused)
    assert refused.limit == (100, 0, answers[0].limit[2])
    wait = refused.limit[2] - int(NOON.timestamp())
    assert refused.trailing["retry-after"] == str(wait)
    (retry,) = [detail for detail in refused.refusal.details if isinstance(detail, details_pb2.RetryInfo)]
    assert retry.retry_delay == Duration(seconds=wait)

    world.clock.stopped = NOON + timedelta(seconds=wait - 1)
    assert read().is_limited
    world.clock.stopped = NOON + timedelta(seconds=wait)
    assert read().limit == (100, 99, refused.limit[2] + 60)


def test_a_limit_of_100_admits_100_of_a_crowd_and_tells_no_two_the_same(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=HUNDRED)
    ana = world.person()
    acme = world.organization(ana)
    answers = crowd(reader(world, ana.token, acme), 300)
    admitted = [answer for answer in answers if answer.refusal is None]
    assert sorted(answer.remaining for answer in admitted) == list(range(100))
    assert sum(answer.is_limited for answer in answers) == 200


def test_all_members_and_tokens_of_an_organization_share_its_limit(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=Rate(1000, 60))
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member(acme, ana)
    tokens = [ana.token, mia.token, world.token(organization_id=acme.id), world.token(ana, organization_id=acme.id)]
    left = [reader(world, token, acme)().remaining for token in tokens]
    assert left == [left[0] - number for number in range(4)]


def test_organizations_do_not_share_a_limit(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=Rate(1, 60))
    ana = world.person()
    first, second = world.organization(ana), world.organization(ana)
    for acme in (first, second):
        assert reader(world, ana.token, acme)().refusal is None
        assert reader(world, ana.token, acme)().is_limited


# -- against what a call counts --------------------------------------------------------------------------------------------


def test_who_has_nothing_to_do_with_an_organization_does_not_count_against_it(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=Rate(2, 60), principal=Rate(3, 60))
    ana, eve = world.person(), world.person()
    acme = world.organization(ana)
    answers = [reader(world, eve.token, acme)() for _ in range(4)]
    reasons = [answer.refusal and answer.refusal.reason for answer in answers]
    assert reasons == ["ORGANIZATION_NOT_ACCESSIBLE"] * 3 + ["RATE_LIMITED"]
    assert answers[-1].refusal is not None
    assert answers[-1].refusal.seen == too_many("principal", Rate(3, 60), answers[-1])
    assert reader(world, ana.token, acme)().limit[:2] == (2, 1)


def test_calls_outside_any_organization_count_for_each_person(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, principal=Rate(2, 60))
    ana, bo = world.person(), world.person()
    another = world.token(ana)
    answers = [ask(world.deployment.channel, token, LIST) for token in (ana.token, another, ana.token, bo.token)]
    assert [answer.is_limited for answer in answers] == [False, False, True, False]


def test_a_bound_token_counts_against_its_organization_also_where_a_call_names_none(
    deploy_own: Callable[..., World],
) -> None:
    world = rated(deploy_own, authenticated=Rate(2, 60), principal=Rate(100, 60))
    ana = world.person()
    acme = world.organization(ana)
    token = world.token(organization_id=acme.id)
    assert ask(world.deployment.channel, token, CURRENT).limit[:2] == (2, 1)
    assert reader(world, ana.token, acme)().limit[:2] == (2, 0)
    assert ask(world.deployment.channel, token, CURRENT).is_limited


def test_who_is_not_known_counts_against_the_address_and_who_is_does_not(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, address=Rate(3, 60))
    ana, channel = world.person(), world.deployment.channel
    answers = [ask(channel, token, LIST) for token in ("", "garbage", "", "garbage", "")]
    reasons = [answer.refusal and answer.refusal.reason for answer in answers]
    assert reasons == ["MISSING_CREDENTIAL", "INVALID_CREDENTIAL", "MISSING_CREDENTIAL", "RATE_LIMITED", "RATE_LIMITED"]
    assert [answer.limit[:2] for answer in answers] == [(3, 2), (3, 1), (3, 0), (3, 0), (3, 0)]
    assert ask(channel, ana.token, LIST).refusal is None


def test_what_a_caller_says_of_its_address_is_not_believed(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, address=Rate(1, 60))
    channel = world.deployment.channel
    answers = [ask(channel, "", LIST, ("x-forwarded-for", f"192.0.2.{number}")) for number in range(2)]
    assert [answer.is_limited for answer in answers] == [False, True]


def test_operators_are_not_limited_until_they_are(deploy_own: Callable[..., World]) -> None:
    every = dict.fromkeys(("authenticated", "principal", "address"), Rate(0, 60))
    world = rated(deploy_own, **every)
    free = ask(world.deployment.channel, world.platform_token(), "UserService.ListUsers")
    assert (free.refusal, free.speaks_of_limits) == (None, False)
    world = rated(deploy_own, **every, platform=Rate(1, 60))
    token = world.platform_token()
    answers = [ask(world.deployment.channel, token, "UserService.ListUsers") for _ in range(2)]
    assert [answer.is_limited for answer in answers] == [False, True]


def test_what_is_refused_for_another_reason_counts_too(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=Rate(5, 60))
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member(acme, ana)  # one of the five
    denied = ask(world.deployment.channel, mia.token, "AuditService.ListAuditEvents", organization_id=acme.id)
    assert denied.refusal is not None
    assert (denied.refusal.reason, denied.remaining) == ("PERMISSION_MISSING", 3)
    invalid = ask(world.deployment.channel, ana.token, "AuditService.ListAuditEvents", organization_id=acme.id, page_size=-1)
    assert invalid.refusal is not None
    assert (invalid.refusal.reason, invalid.remaining) == ("INVALID_REQUEST", 2)


@pytest.mark.parametrize("method", [method for method in methods() if not access_of(method).unlimited], ids=label)
def test_every_answer_of_every_rpc_says_how_the_caller_stands(world: World, method: MethodDescriptor) -> None:
    """On the shared server, whose limits are off: with a limiter that limits everything at a million."""
    limiter = world.deployment.server.limiting.limiter
    before = limiter._rates
    million = Rate(1_000_000, 60)
    stage = Stage(world, state_for(method))
    try:
        limiter._rates = Rates(
            authenticated=million,
            sandbox_create=million,
            sandbox_lifecycle=million,
            principal=million,
            address=million,
            platform=million,
        )
        request = stage.request(method)
        token = stage.operator_token if stage.actor(method) is stage.operator else stage.owner.token
        channel = world.deployment.channel
        bare = request_of(method.full_name)
        assert told(channel, token, method.full_name, bare).limit[0] == 1_000_000
        for bearer in (token, "", "garbage", stage.stranger.token):
            assert told(channel, bearer, method.full_name, request).limit[0] == 1_000_000, bearer[:8]
    finally:
        limiter._rates = before


# -- what an organization has instead --------------------------------------------------------------------------------------


def test_a_limit_of_an_organization_holds_from_the_next_call_on(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=HUNDRED)
    ana, operator = world.person(), world.platform()
    acme, other = world.organization(ana), world.organization(ana)
    read = reader(world, ana.token, acme)
    assert read().limit[:2] == (100, 99)
    operator(UPDATE, organization_id=acme.id, authenticated={"limit": 2})
    assert read().limit[:2] == (2, 0)  # it counts what was counted before
    assert read().is_limited
    assert reader(world, ana.token, other)().limit[:2] == (100, 99)
    operator(UPDATE, organization_id=acme.id, authenticated={"limit": 0})
    assert read().is_limited
    operator(UPDATE, organization_id=acme.id, authenticated={"limit": 7, "window": Duration(seconds=3600)})
    assert read().limit[:2] == (7, 6)  # another window
    operator(UPDATE, organization_id=acme.id, update_mask=FieldMask(paths=["authenticated"]))
    assert read().limit[0] == 100


def test_a_limit_of_an_organization_holds_where_others_have_none(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own)
    ana = world.person()
    acme, other = world.organization(ana), world.organization(ana)
    world.platform()(UPDATE, organization_id=acme.id, authenticated={"limit": 1})
    assert [reader(world, ana.token, acme)().is_limited for _ in range(2)] == [False, True]
    assert not reader(world, ana.token, other)().speaks_of_limits


def test_what_a_bound_token_is_told_without_naming_the_organization_is_ten_seconds_old_at_most(
    deploy_own: Callable[..., World],
) -> None:
    world = rated(deploy_own, authenticated=Rate(100, 3600))
    ana = world.person()
    acme = world.organization(ana)
    token = world.token(organization_id=acme.id)
    assert ask(world.deployment.channel, token, CURRENT).limit[0] == 100
    world.platform()(UPDATE, organization_id=acme.id, authenticated={"limit": 50})
    world.clock.stopped = NOON + timedelta(seconds=10)
    assert ask(world.deployment.channel, token, CURRENT).limit[0] == 50


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"authenticated": {"limit": -1}}, "authenticated.limit"),
        ({"sandbox_create": {"limit": 1_000_000_001}}, "sandbox_create.limit"),
        ({"authenticated": {"window": Duration(seconds=0)}}, "authenticated.window"),
        ({"authenticated": {"window": Duration(seconds=86_401)}}, "authenticated.window"),
        ({"authenticated": {"window": Duration(seconds=-1)}}, "authenticated.window"),
        ({"api_calls_per_month": -1}, "api_calls_per_month"),
        ({"api_calls_per_month": 2**62}, "api_calls_per_month"),
    ],
)
def test_limits_that_make_no_sense_are_refused(world: World, given: dict[str, Any], field: str) -> None:
    acme = world.organization(world.person())
    with world.unchanged(acme):
        refusal = world.platform().refusal(UPDATE, organization_id=acme.id, **given)
    assert (refusal.code, refusal.reason, set(refusal.violations)) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {field})


def test_a_change_of_limits_is_told_in_the_trail(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    world.platform()(UPDATE, organization_id=acme.id, authenticated={"limit": 7}, api_calls_per_month=5)
    event = world.events(acme, ana)[0]
    assert (event.action, event.target.type, event.target.id) == ("organization.update_limits", "organization", acme.id)
    (change,) = event.changes
    assert change.field == "limits"
    after = {"authenticated": {"calls": 7.0}, "api_calls_per_month": 5.0}
    assert {key: dict(value) if key == "authenticated" else value for key, value in change.after.struct_value.items()} == after


# -- calls of other services -----------------------------------------------------------------------------------------------


def test_internal_services_count_calls_of_their_own_class_by_class(deploy_own: Callable[..., World]) -> None:
    world = rated(deploy_own, authenticated=HUNDRED, sandbox_create=Rate(2, 60), sandbox_lifecycle=Rate(1, 60))
    ana = world.person()
    acme, check = world.organization(ana), world.platform("rate-limit:check")
    create, lifecycle = policy_pb2.RATE_LIMIT_CLASS_SANDBOX_CREATE, policy_pb2.RATE_LIMIT_CLASS_SANDBOX_LIFECYCLE
    states = [check(CHECK, organization_id=acme.id, rate_limit_class=create) for _ in range(2)]
    assert [(state.limited, state.limit, state.remaining) for state in states] == [(True, 2, 1), (True, 2, 0)]
    assert 0 < states[0].reset_in.seconds <= 60
    refusal = check.refusal(CHECK, organization_id=acme.id, rate_limit_class=create)
    assert (refusal.code, refusal.reason) == (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert (refusal.metadata["rate_limit"], refusal.metadata["maximum"]) == ("sandbox_create", "2")
    assert check(CHECK, organization_id=acme.id, rate_limit_class=lifecycle).remaining == 0
    assert reader(world, ana.token, acme)().limit[:2] == (100, 99)


def test_the_calls_of_an_organization_that_is_not_there_cannot_be_counted(world: World) -> None:
    ana, check = world.person(), world.platform("rate-limit:check")
    gone, rate_class = world.organization(ana), policy_pb2.RATE_LIMIT_CLASS_AUTHENTICATED
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=gone.id)
    refusal = check.refusal(CHECK, organization_id=gone.id, rate_limit_class=rate_class)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "ORGANIZATION_DELETED", {"organization_id": gone.id})
    unknown = "0" * 26
    refusal = check.refusal(CHECK, organization_id=unknown, rate_limit_class=rate_class)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": unknown})


# -- a control -------------------------------------------------------------------------------------------------------------


def test_control_without_admission_nobody_is_refused(deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "admit", lambda *_: None)
    world = rated(deploy_own, authenticated=Rate(1, 60))
    ana: Person = world.person()
    acme = world.organization(ana)
    assert not any(reader(world, ana.token, acme)().is_limited for _ in range(3))
