"""After a user was deleted: what is left of them grants nothing, to nobody, and who comes next begins anew."""

from __future__ import annotations

from grpc import StatusCode
from support.operators import delete_user, owners, read_user
from support.rpc import Client
from support.sign_in import Office
from support.tokens import INVALID_CREDENTIAL
from support.world import AUDITOR, MEMBER, OWNER, World

pytest_plugins = ("support.sign_in",)

DELETE, GET_MEMBER = "UserService.DeleteUser", "MemberService.GetMember"
ACTIVE = 1


def test_the_address_is_free_again_and_nothing_of_the_old_user_attaches(office: Office) -> None:
    client, stranger, bo = office.platform(), office.stranger(), office.person("bo")
    ana = stranger.person()
    acme, apex = office.organization(bo), office.organization(ana)
    office.join(acme, bo, ana, AUDITOR, role=OWNER)
    old = [office.token(ana), office.token(ana, organization_id=acme.id)]
    delete_user(client, ana, (apex, bo))
    again = stranger.person()  # the same identity, the same address
    assert again.id != ana.id
    assert again.personal_organization_id != ana.personal_organization_id
    user = read_user(client, again)
    assert (user.email, user.email_verified, user.state) == (ana.email, True, ACTIVE)
    assert [one.subject for one in user.identities] == [stranger.claims.subject]
    reach = again.rpc("UserService.GetCurrentUser").organizations
    assert [one.organization.id for one in reach] == [again.personal_organization_id]
    for organization in (acme, apex):
        refusal = again.rpc.refusal("OrganizationService.GetOrganization", organization_id=organization.id)
        assert refusal.seen == (
            StatusCode.PERMISSION_DENIED,
            "ORGANIZATION_NOT_ACCESSIBLE",
            {"organization_id": organization.id},
        )
    for secret in old:
        assert office.client(secret).refusal("UserService.GetCurrentUser").seen == INVALID_CREDENTIAL
    assert list(client("UserService.ExportUser", user_id=again.id).api_tokens) == []
    assert office.breaches() == []


def test_invitations_to_the_address_make_nobody_a_member_but_who_verifies_it(world: World) -> None:
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(bo)
    invitation = world.invite(acme, bo, ana.email)
    delete_user(client, ana)
    assert ana.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=invitation.id).seen == INVALID_CREDENTIAL
    claimant = world.person(email=ana.email, verified=False)
    refusal = claimant.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=invitation.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED", {})
    assert owners(acme, bo) == {bo.id}
    assert len(bo.rpc("MemberService.ListMembers", organization_id=acme.id).members) == 1
    somebody = world.person(email=ana.email)
    assert somebody.rpc("InvitationService.AcceptInvitation", invitation_id=invitation.id).state == 2
    assert bo.rpc(GET_MEMBER, organization_id=acme.id, user_id=somebody.id).role == 2
    assert world.breaches() == []


def test_invitations_that_the_user_made_grant_nothing_any_more(world: World) -> None:
    client, ana, bo, guest = world.platform(), world.person("ana"), world.person("bo"), world.person("guest")
    acme = world.organization(bo)
    world.join(acme, bo, ana, role=OWNER)
    invitation = world.invite(acme, ana, guest.email, role=OWNER)
    delete_user(client, ana)
    refusal = guest.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=invitation.id)
    metadata = {"invitation_id": invitation.id}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "INVITER_LOST_AUTHORITY", metadata)
    assert owners(acme, bo) == {bo.id}


def test_a_deleted_user_is_made_a_member_by_nobody(world: World) -> None:
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(bo)
    delete_user(client, ana)
    with world.unchanged(acme):
        refusal = bo.rpc.refusal("MemberService.AddMember", organization_id=acme.id, user_id=ana.id, role=MEMBER)
    assert refusal.seen == (StatusCode.NOT_FOUND, "USER_NOT_FOUND", {"user": ana.id})


def test_a_program_of_the_organization_outlives_who_made_it(world: World) -> None:
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(bo)
    world.join(acme, bo, ana, role=OWNER)
    made = ana.rpc("ApiTokenService.CreateApiToken", organization_id=acme.id, name="robot", unrestricted=True)
    delete_user(client, ana)
    robot: Client = world.client(made.secret)
    assert robot("OrganizationService.GetOrganization", organization_id=acme.id).id == acme.id


def test_an_operator_who_is_a_member_too_stays_an_operator_when_removed(world: World) -> None:
    """What an organization can do to somebody ends at the organization."""
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(bo)
    world.join(acme, bo, ana, role=OWNER)
    bo.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=ana.id)
    assert read_user(client, ana).state == ACTIVE
    assert ana.rpc("UserService.GetCurrentUser").user.id == ana.id
    for rpc in (bo.rpc, ana.rpc, world.client(world.token(organization_id=acme.id))):
        refusal = rpc.refusal(DELETE, user_id=ana.id)
        assert (refusal.code, refusal.reason) == (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED")
