"""Users who are deleted: everything of theirs ends at once, entirely or not at all."""

from __future__ import annotations

from collections.abc import Callable

from grpc import StatusCode
from support import raw
from support.operators import delete_user, everything, fail_everywhere, named, owners, read_user, successor_missing
from support.sign_in import Office
from support.tokens import INVALID_CREDENTIAL
from support.world import AUDITOR, DEVELOPER, OWNER, World, fresh

from tenantry_server.domain import ids

pytest_plugins = ("support.sign_in",)

DELETE, GET_MEMBER = "UserService.DeleteUser", "MemberService.GetMember"
DELETED = 2


# -- what ends -------------------------------------------------------------------------------------------------------


def test_everything_of_the_user_ends_at_once(office: Office) -> None:
    client, stranger = office.platform(), office.stranger()
    ana, bo = stranger.person(), office.person("bo")
    acme = office.organization(bo)
    office.join(acme, bo, ana, AUDITOR)
    secrets = [
        office.token(ana),
        office.token(ana, organization_id=acme.id),
        office.token(organization_id=ana.personal_organization_id),
    ]
    clients = [office.client(secret) for secret in secrets]
    assert all(one("UserService.GetCurrentUser").organizations for one in clients)
    deleted = delete_user(client, ana)
    assert (deleted.state, deleted.email, deleted.email_verified, deleted.name) == (DELETED, ana.email, False, "Stranger")
    assert (deleted.personal_organization_id, list(deleted.identities)) == ("", [])
    assert deleted.delete_time == deleted.update_time
    assert deleted == read_user(client, deleted)
    for one in clients:
        assert one.refusal("UserService.GetCurrentUser").seen == INVALID_CREDENTIAL
    assert bo.rpc.refusal(GET_MEMBER, organization_id=acme.id, user_id=ana.id).seen == (
        StatusCode.NOT_FOUND,
        "MEMBER_NOT_FOUND",
        {"user_id": ana.id},
    )
    database = office.deployment.database
    for table in ("api_tokens", "identities", "memberships", "membership_roles", "personal_organizations"):
        kept = raw.count(database, table, user_id=ana.id)
        assert kept == (1 if table == "memberships" else 0), table  # as the tombstone of the personal organization
    assert raw.count(database, "api_tokens", organization_id=ana.personal_organization_id) == 0
    assert office.breaches() == []


def test_the_deletion_is_one_event_in_each_organization_that_the_user_was_in(world: World) -> None:
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    alone, shared = world.organization(ana), world.organization(bo)
    world.join(shared, bo, ana, AUDITOR)
    before = {organization.id: world.revision(organization.id) for organization in (alone, shared)}
    personal = ana.personal_organization_id
    before[personal] = world.revision(personal)
    delete_user(client, ana, (alone, bo))
    told = {}
    for organization in (alone, shared):
        event = world.events(organization, bo)[0]
        assert (event.action, event.target.type, event.target.id, event.actor.kind) == ("user.delete", "user", ana.id, 4)
        told[organization.id] = {change.field: change.after.string_value for change in event.changes}
    assert told[alone.id]["successor_user_id"] == bo.id
    assert set(told[shared.id]) == {"role", "assigned_roles"}
    for organization_id, revision in before.items():
        assert world.revision(organization_id) == revision + 1
        database = world.deployment.database
        assert raw.count(database, "audit_events", organization_id=organization_id, action="user.delete") == 1
    assert world.breaches() == []


def test_the_personal_organization_is_deleted_and_nobody_brings_it_back(world: World) -> None:
    client, ana = world.platform(), world.person("ana")
    robot = world.client(world.token(organization_id=ana.personal_organization_id))
    delete_user(client, ana)
    states = raw.values(world.deployment.database, "organizations", "state", id=ana.personal_organization_id)
    assert states == ["deleted"]
    refusal = robot.refusal("OrganizationService.UndeleteOrganization", organization_id=ana.personal_organization_id)
    assert refusal.seen == INVALID_CREDENTIAL


def test_an_organization_whose_last_owner_is_deleted_is_not_brought_back(world: World) -> None:
    client, ana = world.platform(), world.person("ana")
    acme = world.organization(ana)
    robot = world.client(world.token(organization_id=acme.id))
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    delete_user(client, ana)
    assert raw.values(world.deployment.database, "memberships", "role", organization_id=acme.id) == ["owner"]
    assert world.breaches() == []
    with world.unchanged(acme):
        refusal = robot.refusal("OrganizationService.UndeleteOrganization", organization_id=acme.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": acme.id})
    assert world.breaches() == []


def test_a_deleted_organization_with_another_owner_can_be_brought_back(world: World) -> None:
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(ana)
    world.join(acme, ana, bo, role=OWNER)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    delete_user(client, ana)
    assert bo.rpc("OrganizationService.UndeleteOrganization", organization_id=acme.id).state == 1
    assert owners(acme, bo) == {bo.id}
    assert world.breaches() == []


# -- what stays ------------------------------------------------------------------------------------------------------


def test_a_user_is_deleted_once(world: World) -> None:
    client, ana = world.platform(), world.person("ana")
    deleted = delete_user(client, ana)
    deleted_already = (StatusCode.FAILED_PRECONDITION, "USER_DELETED", {"user_id": ana.id})
    assert client.refusal(DELETE, user_id=ana.id).seen == deleted_already
    assert client.refusal(DELETE, user_id=ids.to_uuid(ana.id), validate_only=True).seen == deleted_already
    stranger = ids.new().lower()
    assert client.refusal(DELETE, user_id=stranger).seen == (StatusCode.NOT_FOUND, "USER_NOT_FOUND", {"user": stranger})
    assert read_user(client, ana) == deleted


def test_a_repetition_gets_the_first_answer_again(world: World) -> None:
    client, ana, key = world.platform(), world.person("ana"), fresh("r")
    deleted = delete_user(client, ana, request_id=key)
    assert delete_user(client, ana, request_id=key) == deleted
    reused = client.refusal(DELETE, user_id=world.person("bo").id, request_id=key)
    assert reused.seen == (StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": key})


def test_a_deletion_can_be_tried_out_and_is_held_to_the_etag(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(ana)
    world.join(acme, ana, bo)
    user = read_user(client, ana)
    changed = client("UserService.UpdateUser", user_id=ana.id, name="Ana")
    before = everything(world)
    refusal = client.refusal(DELETE, user_id=ana.id, successors=named((acme, bo)), etag=user.etag)
    assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": user.etag})
    assert client.refusal(DELETE, user_id=ana.id, validate_only=True).seen == successor_missing(acme)
    tried = delete_user(client, ana, (acme, bo), etag=changed.etag, validate_only=True)
    assert tried.state == DELETED
    assert everything(world) == before
    assert delete_user(client, ana, (acme, bo), etag=changed.etag).state == DELETED


def test_a_deletion_that_fails_at_any_statement_leaves_everything(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client, ana, bo, cy = world.platform(), world.person("ana"), world.person("bo"), world.person("cy")
    alone, promoted, shared, deleted = (world.organization(ana, name) for name in "abcd")
    world.join(promoted, ana, bo, DEVELOPER)
    world.join(shared, ana, bo, role=OWNER)
    world.token(ana, organization_id=shared.id)
    world.invite(alone, ana, cy.email)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=deleted.id)
    successors = named((alone, cy), (promoted, bo))
    act = lambda: client(DELETE, user_id=ana.id, successors=successors, request_id="once")
    user, places = fail_everywhere(world, act)
    assert user.state == DELETED
    assert places > 40
    assert world.breaches() == []
