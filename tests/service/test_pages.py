"""Pages: every list is walked without gaps or repetitions, and a page token is good for the list it came from alone."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from grpc import StatusCode
from support.rpc import Client
from support.world import World


class Shelf(NamedTuple):
    """A list with items in it: who lists them, how, and how one of them is deleted or leaves the list."""

    client: Client
    method: str
    field: str
    request: dict[str, str]
    delete: Callable[[Any], Any]
    key: Callable[[Any], Any] = lambda item: item.id

    def page(self, token: str = "", size: int = 0) -> tuple[list[Any], str]:
        """The keys of a page, and the token of the next."""
        answer = self.client(self.method, **self.request, page_size=size, page_token=token)
        return [self.key(item) for item in getattr(answer, self.field)], answer.next_page_token

    def walk(self, size: int) -> list[list[Any]]:
        """All pages."""
        keys, token = self.page("", size)
        pages = [keys]
        while token:
            keys, token = self.page(token, size)
            pages.append(keys)
        return pages

    def refusal(self, token: str = "", size: int = 0, **request: str) -> Any:
        return self.client.refusal(self.method, **{**self.request, **request}, page_token=token, page_size=size)


def organizations(world: World) -> Shelf:
    ana = world.person()
    for _ in range(6):
        world.organization(ana)
    delete = lambda key: ana.rpc("OrganizationService.DeleteOrganization", organization_id=key)
    return Shelf(ana.rpc, "OrganizationService.ListOrganizations", "organizations", {}, delete)


def members(world: World) -> Shelf:
    ana = world.person()
    acme = world.organization(ana)
    for _ in range(6):
        world.member(acme, ana)
    delete = lambda key: ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=key)
    request = {"organization_id": acme.id}
    return Shelf(ana.rpc, "MemberService.ListMembers", "members", request, delete, lambda item: item.user_id)


def roles(world: World) -> Shelf:
    ana = world.person()
    acme = world.organization(ana)
    for _ in range(6):
        world.role(acme, ana, "sandbox:read")
    delete = lambda key: ana.rpc("RoleService.DeleteRole", organization_id=acme.id, role_id=key)
    return Shelf(ana.rpc, "RoleService.ListRoles", "roles", {"organization_id": acme.id}, delete)


def invitations(world: World) -> Shelf:
    ana = world.person()
    acme = world.organization(ana)
    for number in range(7):
        world.invite(acme, ana, f"guest{number}@example.com")
    delete = lambda key: ana.rpc("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=key)
    request = {"organization_id": acme.id, "state": "INVITATION_STATE_PENDING"}
    return Shelf(ana.rpc, "InvitationService.ListInvitations", "invitations", request, delete)


def my_invitations(world: World) -> Shelf:
    ana, guest = world.person(), world.person()
    for _ in range(7):
        world.invite(world.organization(ana), ana, guest.email)
    delete = lambda key: guest.rpc("InvitationService.DeclineInvitation", invitation_id=key)
    return Shelf(guest.rpc, "InvitationService.ListMyInvitations", "invitations", {}, delete)


def audit_events(world: World) -> Shelf:
    ana = world.person()
    acme = world.organization(ana)
    for _ in range(6):
        world.role(acme, ana, "sandbox:read")
    return Shelf(
        ana.rpc,
        "AuditService.ListAuditEvents",
        "events",
        {"organization_id": acme.id},
        lambda _: world.role(acme, ana, "sandbox:read"),  # nothing is deleted from it: it grows
        lambda item: item.revision,
    )


def permissions(world: World) -> Shelf:
    ana = world.person()
    request: dict[str, str] = {}
    return Shelf(ana.rpc, "RoleService.ListPermissions", "permissions", request, lambda _: None, lambda item: item.name)


SHELVES = [organizations, members, roles, invitations, my_invitations, audit_events, permissions]
every_list = pytest.mark.parametrize("make", SHELVES, ids=lambda make: make.__name__)


@every_list
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_walk_finds_every_item_once_and_in_order(world: World, make: Callable[[World], Shelf], size: int) -> None:
    shelf = make(world)
    everything, end = shelf.page(size=1000)
    assert end == ""
    assert len(everything) == len(set(everything)) >= 7
    assert everything == sorted(everything, reverse=make is audit_events)
    pages = shelf.walk(size)
    assert [key for page in pages for key in page] == everything
    assert all(len(page) == size for page in pages[:-1])
    assert 1 <= len(pages[-1]) <= size


@every_list
@pytest.mark.parametrize("size", [1, 2, 3])
def test_walk_goes_on_when_items_come_and_go(world: World, make: Callable[[World], Shelf], size: int) -> None:
    shelf = make(world)
    everything, _ = shelf.page(size=1000)
    found, token = shelf.page(size=size)
    rest = everything[size:]
    own = rest if make is not roles else rest[-6:]  # system roles cannot be deleted
    shelf.delete(own[0])
    shelf.delete(own[3])
    if make not in (roles, organizations, members):
        shelf.delete(found[-1])
    while token:
        keys, token = shelf.page(token, size)
        found += keys
    gone = {own[0], own[3]} if make not in (audit_events, permissions) else set()
    assert found == [key for key in everything if key not in gone]


@every_list
def test_page_holds_up_to_1000_items(world: World, make: Callable[[World], Shelf]) -> None:
    shelf = make(world)
    for size in (-1, 1001, 2**31 - 1, -(2**31)):
        refusal = shelf.refusal(size=size)
        assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "page_size"})
        assert refusal.violations == {"page_size": "INT32_PAGE_SIZE"}


def test_page_holds_100_items_unless_told(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    items = [{"email": f"guest{number}@example.com", "role": "MEMBER_ROLE_MEMBER"} for number in range(100)]
    ana.rpc("InvitationService.BatchCreateInvitations", organization_id=acme.id, items=items)
    first = ana.rpc("InvitationService.ListInvitations", organization_id=acme.id)
    assert (len(first.invitations), first.next_page_token) == (100, "")
    last = world.invite(acme, ana, "last@example.com")
    first = ana.rpc("InvitationService.ListInvitations", organization_id=acme.id)
    second = ana.rpc("InvitationService.ListInvitations", organization_id=acme.id, page_token=first.next_page_token)
    assert len(first.invitations) == 100
    assert [offer.id for offer in second.invitations] == [last.id]


def ensure_no_token_of_this_list(refusal: Any) -> None:
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "page_token"})
    assert refusal.violations == {"page_token": "PAGE_TOKEN"}


@every_list
def test_tampered_token_is_refused(world: World, make: Callable[[World], Shelf]) -> None:
    shelf = make(world)
    (key,), token = shelf.page(size=1)
    other = "A" if token[4] != "A" else "B"
    forged = base64.urlsafe_b64encode(bytes(16) + str(key).encode()).decode().rstrip("=")
    plain = base64.urlsafe_b64encode(str(key).encode()).decode().rstrip("=")
    swapped = token[:22] + base64.urlsafe_b64encode(b"\0" * 30).decode()
    for wrong in (token[:4] + other + token[5:], token[:-4], token + "AAAA", forged, plain, swapped, "A", "====", token[::-1]):
        ensure_no_token_of_this_list(shelf.refusal(str(wrong)))


def ensure_no_token_is_of_another_list(client: Client, lists: list[str], **request: str) -> None:
    """Tokens of several lists that one person reads, of one organization or of none."""
    tokens = {method: client(method, **request, page_size=1).next_page_token for method in lists}
    assert all(tokens.values())
    for method in lists:
        for other, token in tokens.items():
            if other != method:
                ensure_no_token_of_this_list(client.refusal(method, **request, page_token=token))


def test_token_of_another_list_of_the_organization_is_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for number in range(2):
        world.member(acme, ana)
        world.invite(acme, ana, f"guest{number}@example.com")
    lists = ["MemberService.ListMembers", "RoleService.ListRoles", "InvitationService.ListInvitations"]
    lists += ["AuditService.ListAuditEvents"]
    ensure_no_token_is_of_another_list(ana.rpc, lists, organization_id=acme.id)


def test_token_of_another_list_of_the_caller_is_refused(world: World) -> None:
    ana, guest = world.person(), world.person()
    for _ in range(2):
        world.invite(world.organization(ana), ana, guest.email)
        world.organization(guest)
    lists = ["OrganizationService.ListOrganizations", "InvitationService.ListMyInvitations", "RoleService.ListPermissions"]
    ensure_no_token_is_of_another_list(guest.rpc, lists)


@every_list
def test_token_of_another_caller_is_refused(world: World, make: Callable[[World], Shelf]) -> None:
    ours, theirs = make(world), make(world)
    _, token = theirs.page(size=1)
    ensure_no_token_of_this_list(ours.refusal(token))


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("MemberService.ListMembers", "members"),
        ("RoleService.ListRoles", "roles"),
        ("InvitationService.ListInvitations", "invitations"),
        ("AuditService.ListAuditEvents", "events"),
    ],
)
def test_token_of_another_organization_or_caller_is_refused(world: World, method: str, field: str) -> None:
    ana, bo = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    for organization in (acme, birch):
        world.join(organization, ana, bo, role="MEMBER_ROLE_OWNER")
        world.invite(organization, ana, "a@example.com")
        world.invite(organization, ana, "b@example.com")
    token = ana.rpc(method, organization_id=acme.id, page_size=1).next_page_token
    assert getattr(ana.rpc(method, organization_id=acme.id, page_size=1, page_token=token), field)
    ensure_no_token_of_this_list(ana.rpc.refusal(method, organization_id=birch.id, page_token=token))
    ensure_no_token_of_this_list(bo.rpc.refusal(method, organization_id=acme.id, page_token=token))


def test_token_of_another_filter_is_refused(world: World) -> None:
    shelf = invitations(world)
    _, token = shelf.page(size=1)
    for state in ("INVITATION_STATE_UNSPECIFIED", "INVITATION_STATE_CANCELLED"):
        ensure_no_token_of_this_list(shelf.refusal(token, state=state))


@pytest.mark.parametrize("token", ["with blank", "é", "a/b+c", "x" * 1001, "a\0b"])
def test_what_is_no_token_at_all_is_refused(world: World, token: str) -> None:
    refusal = members(world).refusal(token)
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "page_token"})
    assert refusal.violations == {"page_token": "STRING_PAGE_TOKEN"}


def test_size_of_the_page_can_change_on_the_way(world: World) -> None:
    shelf = members(world)
    everything, _ = shelf.page()
    first, token = shelf.page(size=1)
    second, token = shelf.page(token, size=3)
    rest, end = shelf.page(token)
    assert first + second + rest == everything
    assert end == ""
