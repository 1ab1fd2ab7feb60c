"""Daytona's dialect, as documented: roles, members and invitations."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from e2e.scene import AUDITOR, DEVELOPER, Scene
from e2e.shapes import developer, exactly, invitation, member, role
from support.world import OWNER, Person, fresh

from tenantry_server.domain.ids import to_uuid

PUBLISHED_PERMISSIONS = [
    *("write:registries", "delete:registries", "write:snapshots", "delete:snapshots", "write:sandboxes", "delete:sandboxes"),
    *("read:volumes", "write:volumes", "delete:volumes", "write:regions", "delete:regions"),
    *("read:runners", "write:runners", "delete:runners", "read:audit_logs"),
]
MAINTAINER = {"name": "Maintainer", "description": "Can manage all resources"}


# -- roles -------------------------------------------------------------------------------------------------------------


def test_a_role_is_created_with_201_and_read_back_as_it_was_given(scene: Scene) -> None:
    body = MAINTAINER | {"permissions": ["write:sandboxes", "delete:sandboxes"]}
    answer = scene.as_owner.post(scene.path("/roles"), body)
    assert answer.seen == (201, role(**MAINTAINER, permissions=["delete:sandboxes", "write:sandboxes"]))
    assert answer.body in scene.as_owner.get(scene.path("/roles")).body


def test_every_published_permission_keeps_its_spelling_and_every_other_one_is_spelt_as_in_the_catalog(scene: Scene) -> None:
    asked = [*PUBLISHED_PERMISSIONS, "member:create", "project:read"]
    answer = scene.as_owner.post(scene.path("/roles"), MAINTAINER | {"permissions": asked})
    assert answer.status == 201
    assert sorted(answer.body["permissions"]) == sorted(asked)


def test_the_roles_are_an_array_by_id_the_global_ones_first(scene: Scene) -> None:
    own = scene.as_owner.post(scene.path("/roles"), MAINTAINER | {"description": "", "permissions": ["read:volumes"]})
    assert own.seen == (201, role(**MAINTAINER | {"description": ""}, permissions=["read:volumes"]))
    answer = scene.by(scene.member).get(scene.path("/roles"))
    *system, last = answer.body
    assert (answer.status, last) == (200, own.body)
    assert [each["id"] for each in answer.body] == sorted(each["id"] for each in answer.body)
    assert len(system) == 15
    assert system[0] == developer()
    for each in system:
        assert each == role(isGlobal=exactly(True), permissions=each["permissions"])


def test_a_role_is_replaced_as_a_whole(scene: Scene) -> None:
    made = scene.as_owner.post(scene.path("/roles"), MAINTAINER | {"permissions": ["read:volumes", "write:volumes"]})
    body = {"name": "Reader", "description": "", "permissions": ["read:volumes"]}
    answer = scene.as_owner.put(scene.path(f"/roles/{made.body['id']}"), body)
    assert answer.seen == (200, role(**body, id=made.body["id"], createdAt=made.body["createdAt"]))


def test_deleting_a_role_takes_it_from_members_and_invitations_and_the_audit_trail_says_from_whom(scene: Scene) -> None:
    made = scene.as_owner.post(scene.path("/roles"), MAINTAINER | {"permissions": ["read:volumes"]}).body
    access = {"role": "member", "assignedRoleIds": [made["id"], DEVELOPER]}
    user = scene.uuid(scene.member)
    assert scene.as_owner.post(scene.path(f"/users/{user}/access"), access).status == 200
    invited = scene.as_owner.post(scene.path("/invitations"), access | {"email": f"{fresh('x')}@example.com"}).body
    assert [each["name"] for each in invited["assignedRoles"]] == ["Developer", "Maintainer"]

    answer = scene.as_owner.delete(scene.path(f"/roles/{made['id']}"))

    assert answer.seen == (204, None)
    assert made not in scene.as_owner.get(scene.path("/roles")).body
    _, shown = scene.as_owner.get(scene.path("/users")).body
    assert shown == member(userId=user, assignedRoles=[developer()])
    assert scene.as_owner.get(scene.path("/invitations")).body == [invitation(assignedRoles=[developer()])]
    event = scene.last_event()
    lost = {change.field: [value.string_value for value in change.before.list_value.values] for change in event.changes}
    assert event.action == "role.delete"
    assert (lost["members"], len(lost["invitations"])) == ([scene.member.id], 1)


# -- members -----------------------------------------------------------------------------------------------------------


def test_the_members_are_an_array_with_their_roles(scene: Scene) -> None:
    someone = scene.world.member(scene.organization, scene.owner, "00000000000000000000000007", "00000000000000000000000001")
    answer = scene.by(someone).get(scene.path("/users"))
    here = {"organizationId": scene.uuid(scene.organization)}
    auditor = role(
        id=AUDITOR,
        name="Auditor",
        description="Grants access to audit logs in the organization",
        permissions=["read:audit_logs"],
        isGlobal=exactly(True),
    )
    assert answer.seen == (
        200,
        [
            member(**here, userId=scene.uuid(scene.owner), email=scene.owner.email, name="Owner", role="owner"),
            member(
                **here,
                userId=scene.uuid(someone),
                email=someone.email,
                name="Member",
                assignedRoles=[developer(), auditor],
            ),
        ],
    )


def test_access_is_replaced_with_200_role_and_assignments_together(scene: Scene) -> None:
    path = scene.path(f"/users/{scene.uuid(scene.member)}/access")
    who = {"userId": scene.uuid(scene.member), "email": scene.member.email, "name": "Member"}
    for access, roles in (([DEVELOPER], [developer()]), ([], [])):
        answer = scene.as_owner.post(path, {"role": "member", "assignedRoleIds": access})
        assert answer.seen == (200, member(**who, assignedRoles=roles))
    answer = scene.as_owner.post(path, {"role": "owner", "assignedRoleIds": []})
    assert answer.seen == (200, member(**who, role="owner"))
    assert answer.body in scene.as_owner.get(scene.path("/users")).body


def test_a_member_is_removed_with_204_and_at_once_without_access(scene: Scene) -> None:
    user = scene.uuid(scene.member)
    assert scene.by(scene.member).get(scene.path()).status == 200
    assert scene.as_owner.delete(scene.path(f"/users/{user}")).seen == (204, None)
    assert scene.by(scene.member).get(scene.path()).status == 403
    assert user not in [each["userId"] for each in scene.as_owner.get(scene.path("/users")).body]


def test_an_owner_may_remove_themselves_while_another_owner_remains(scene: Scene) -> None:
    other = scene.world.member(scene.organization, scene.owner, role=OWNER)
    assert scene.by(other).delete(scene.path(f"/users/{scene.uuid(other)}")).seen == (204, None)
    assert [each["role"] for each in scene.as_owner.get(scene.path("/users")).body] == ["owner"]


# -- invitations -------------------------------------------------------------------------------------------------------


def invite(scene: Scene, email: str, **more: object) -> dict[str, str]:
    """An invitation over REST."""
    answer = scene.as_owner.post(scene.path("/invitations"), {"email": email, "role": "member", "assignedRoleIds": [], **more})
    assert answer.status == 201, answer.raw
    return dict(answer.body)


@pytest.fixture
def invitee(scene: Scene) -> Person:
    """Somebody who is not a member yet."""
    return scene.world.person("invitee")


def test_an_invitation_is_created_with_201_for_a_week(scene: Scene) -> None:
    local = fresh("New")
    answer = scene.as_owner.post(
        scene.path("/invitations"),
        {"email": f" {local}@EXAMPLE.com", "role": "member", "assignedRoleIds": [DEVELOPER]},
    )
    email = f"{local.lower()}@example.com"
    expected = invitation(
        email=email,
        invitedBy=scene.owner.email,
        organizationId=scene.uuid(scene.organization),
        organizationName="Acme",
        assignedRoles=[developer()],
    )
    assert answer.seen == (201, expected)
    lifetime = datetime.fromisoformat(answer.body["expiresAt"]) - datetime.fromisoformat(answer.body["createdAt"])
    assert lifetime == timedelta(days=7)
    assert scene.by(scene.member).get(scene.path("/invitations")).seen == (200, [answer.body])


def test_an_invitation_says_until_when_it_can_be_accepted_and_to_be_what(scene: Scene) -> None:
    answer = scene.as_owner.post(
        scene.path("/invitations"),
        {
            "email": f"{fresh('new')}@example.com",
            "role": "owner",
            "assignedRoleIds": [],
            "expiresAt": "2030-01-01T01:00:00.123+01:00",
        },
    )
    assert answer.seen == (201, invitation(role="owner", expiresAt="2030-01-01T00:00:00.123Z"))


def test_an_organizations_own_token_invites_in_nobodys_name(scene: Scene) -> None:
    robot = scene.by(scene.world.token(organization_id=scene.organization.id))
    body = {"email": f"{fresh('new')}@example.com", "role": "member", "assignedRoleIds": []}
    assert robot.post(scene.path("/invitations"), body).seen == (201, invitation(invitedBy=""))


def test_an_invitation_is_updated_with_200_and_keeps_its_expiry_when_none_is_given(scene: Scene) -> None:
    made = invite(scene, f"{fresh('new')}@example.com")
    path = scene.path(f"/invitations/{made['id']}")
    kept = {name: made[name] for name in ("id", "email", "createdAt", "invitedBy")}
    body = {"role": "member", "assignedRoleIds": [DEVELOPER], "expiresAt": "2030-01-01T00:00:00.000Z"}
    answer = scene.as_owner.put(path, body)
    assert answer.seen == (200, invitation(**kept, assignedRoles=[developer()], expiresAt="2030-01-01T00:00:00.000Z"))
    answer = scene.as_owner.put(path, {"role": "owner", "assignedRoleIds": []})
    assert answer.seen == (200, invitation(**kept, role="owner", expiresAt="2030-01-01T00:00:00.000Z"))


def test_a_cancelled_invitation_answers_204_and_is_listed_no_more(scene: Scene, invitee: Person) -> None:
    made = invite(scene, invitee.email)
    assert scene.as_owner.post(scene.path(f"/invitations/{made['id']}/cancel")).seen == (204, None)
    assert scene.as_owner.get(scene.path("/invitations")).raw == b"[]"
    assert scene.by(invitee).get("/api/organizations/invitations").raw == b"[]"


def test_the_invitee_lists_and_counts_what_is_pending(scene: Scene, invitee: Person) -> None:
    mine = scene.by(invitee)
    assert (mine.get("/api/organizations/invitations").raw, mine.get("/api/organizations/invitations/count").raw) == (
        b"[]",
        b"0",
    )
    first = invite(scene, invitee.email, assignedRoleIds=[DEVELOPER])
    foreign = scene.world.invite(scene.foreign, scene.stranger, invitee.email)
    answer = mine.get("/api/organizations/invitations")
    other = invitation(id=to_uuid(foreign.id), organizationName="Foreign", invitedBy=scene.stranger.email)
    assert answer.seen == (200, [first, other])
    count = mine.get("/api/organizations/invitations/count")
    assert (count.status, count.raw, count.headers["content-type"]) == (200, b"2", "application/json")


def test_accepting_answers_200_with_the_invitation_and_makes_a_member(scene: Scene, invitee: Person) -> None:
    made = invite(scene, invitee.email, assignedRoleIds=[DEVELOPER])
    answer = scene.by(invitee).post(f"/api/organizations/invitations/{made['id']}/accept")
    accepted = made | {"status": "accepted", "updatedAt": answer.body["updatedAt"]}
    assert answer.seen == (200, accepted)
    joined = member(userId=scene.uuid(invitee), email=invitee.email, assignedRoles=[developer()])
    assert scene.by(invitee).get(scene.path("/users")).body == [member(role="owner"), joined]
    assert scene.by(invitee).get("/api/organizations/invitations/count").seen == (200, 0)


def test_declining_answers_200_without_a_body_and_makes_no_member(scene: Scene, invitee: Person) -> None:
    made = invite(scene, invitee.email)
    answer = scene.by(invitee).post(f"/api/organizations/invitations/{made['id']}/decline")
    assert (answer.status, answer.raw, answer.headers["content-type"]) == (200, b"", None)
    assert scene.by(invitee).get(scene.path()).status == 403
    assert scene.as_owner.get(scene.path("/invitations")).raw == b"[]"
    assert invite(scene, invitee.email)["status"] == "pending"


def test_an_expired_invitation_is_neither_listed_nor_counted_nor_in_the_way(scene: Scene, invitee: Person) -> None:
    invite(scene, invitee.email)
    scene.world.clock.advance(timedelta(days=7, seconds=1))
    assert scene.by(invitee).get("/api/organizations/invitations/count").raw == b"0"
    assert scene.by(invitee).get("/api/organizations/invitations").raw == b"[]"
    assert scene.as_owner.get(scene.path("/invitations")).raw == b"[]"
    again = invite(scene, invitee.email)
    assert scene.as_owner.get(scene.path("/invitations")).seen == (200, [again])
