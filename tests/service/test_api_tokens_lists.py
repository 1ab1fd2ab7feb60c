"""Lists of tokens: every one once, in order, whatever the size of the pages and wherever the tokens come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from grpc import StatusCode
from support.rpc import Client
from support.tokens import MINE, OURS, PLATFORM, mine, ours, own_id, platforms
from support.world import World

from tenantry_server.store.queries.members import FURTHER

LISTS = {OURS: "ApiTokenService.ListApiTokens", MINE: "ApiTokenService.ListMyApiTokens"}
LISTS[PLATFORM] = "PlatformTokenService.ListPlatformTokens"


@dataclass
class Shelf:
    """A list of tokens: who lists it, and what makes and ends one of them."""

    client: Client
    service: str
    fields: dict[str, str]
    make: Callable[[], str]
    places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def page(self, size: int, token: str) -> tuple[list[str], str]:
        answer = self.client(LISTS[self.service], **self.fields, page_size=size, page_token=token)
        self.places |= {item.id: self._place(item) for item in answer.api_tokens}
        return [item.id for item in answer.api_tokens], answer.next_page_token

    def _place(self, item: Any) -> tuple[str, str]:
        """Where a token belongs: in an organization's list, members' that are bound to nothing come last, by member."""
        return (item.user_id if self.service == OURS and not item.organization_id else "", item.id)

    def in_order(self, ids: list[str]) -> list[str]:
        """Tokens that were listed, each once and where it belongs."""
        return sorted(set(ids), key=self.places.__getitem__)

    def walk(self, size: int, token: str = "") -> list[list[str]]:
        pages = []
        while True:
            ids, token = self.page(size, token)
            pages.append(ids)
            if not token:
                return pages

    def revoke(self, token_id: str) -> None:
        self.client(self.service.format("Revoke"), **self.fields, api_token_id=token_id)


def _of_organization(world: World) -> Shelf:
    """Its own, bound ones and members' unbound ones, made in turns."""
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    made = [
        lambda: ours(world, ana.rpc, acme).id,
        lambda: mine(world, bo.rpc).id,
        lambda: mine(world, bo.rpc, bound_to=acme).id,
        lambda: mine(world, ana.rpc).id,
    ]
    turns = iter(made * 100)
    return Shelf(ana.rpc, OURS, {"organization_id": acme.id}, lambda: next(turns)())


def _of_person(world: World) -> Shelf:
    ana = world.person()
    places = iter([None, world.organization(ana)] * 100)
    return Shelf(ana.rpc, MINE, {}, lambda: mine(world, ana.rpc, bound_to=next(places)).id)


def _of_person_bound(world: World) -> Shelf:
    ana = world.person()
    acme = world.organization(ana)
    bound = mine(world, ana.rpc, bound_to=acme)
    places = iter([None, acme] * 100)
    mine(world, ana.rpc)
    return Shelf(bound.rpc, MINE, {}, lambda: mine(world, ana.rpc, bound_to=next(places)).id)


def _of_platform(world: World) -> Shelf:
    client = world.platform()
    return Shelf(client, PLATFORM, {}, lambda: platforms(world, client).id)


SHELVES = {"organization": _of_organization, "person": _of_person, "person, bound": _of_person_bound, "platform": _of_platform}


@pytest.fixture(params=SHELVES)
def shelf(world: World, deploy_own: Callable[..., World], request: pytest.FixtureRequest) -> Shelf:
    # There is one list of the platform's, and others' tokens in it are not ours to end.
    return SHELVES[request.param](deploy_own() if request.param == "platform" else world)


def test_walk_finds_every_token_once_and_in_order(shelf: Shelf) -> None:
    for _ in range(9):
        shelf.make()
    ((everything),) = shelf.walk(1000)
    assert everything == shelf.in_order(everything)
    assert len(everything) >= 5
    for size in (1, 2, 3, 4, len(everything) - 1, len(everything)):
        pages = shelf.walk(size)
        assert [token_id for page in pages for token_id in page] == everything
        assert {len(page) for page in pages[:-1]} <= {size}
        assert 0 < len(pages[-1]) <= size


def test_walk_passes_over_nothing_when_tokens_come_and_go(shelf: Shelf) -> None:
    made = [shelf.make() for _ in range(8)]
    first, token = shelf.page(3, "")
    (stay,) = shelf.walk(1000)
    gone = [token_id for token_id in made if token_id in stay[3:]][:1] + first[1:2]
    for token_id in gone:
        shelf.revoke(token_id)
    new = [shelf.make(), shelf.make()]
    rest = [token_id for page in shelf.walk(2, token) for token_id in page]
    assert [token_id for token_id in rest if token_id not in new] == [token_id for token_id in stay[3:] if token_id not in gone]
    assert rest == shelf.in_order(rest)


def test_page_token_is_good_for_its_own_list_alone(world: World) -> None:
    here, there = _of_organization(world), _of_organization(world)
    for shelf in (here, there):
        for _ in range(3):
            shelf.make()
    _, token = here.page(1, "")
    answers = [
        there.client.refusal(LISTS[OURS], **there.fields, page_token=token),
        here.client.refusal(LISTS[MINE], page_token=token),
        here.client.refusal(LISTS[OURS], **here.fields, page_token=token[:-2]),
    ]
    assert {answer.code for answer in answers} == {StatusCode.INVALID_ARGUMENT}
    assert [answer.violations for answer in answers] == [answers[0].violations] * 3
    assert list(answers[0].violations) == ["page_token"]


def test_members_tokens_come_and_go_with_their_memberships(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    listed: Callable[[], set[Any]] = lambda: {token.id for token in ana.rpc(LISTS[OURS], organization_id=acme.id).api_tokens}
    before = listed()
    world.join(acme, ana, bo)
    assert listed() - before == {own_id(bo.rpc)}
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    assert listed() == before


def test_a_page_without_a_token_leads_to_the_next_where_many_members_have_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an organization of thousands, with a page that looks at one member alone."""
    ana = world.person()
    acme = world.organization(ana)
    others = [world.member(acme, ana) for _ in range(4)]
    for other in others[:3]:
        ana.rpc("ApiTokenService.RevokeApiToken", organization_id=acme.id, api_token_id=own_id(other.rpc))
    shelf = Shelf(ana.rpc, OURS, {"organization_id": acme.id}, str)
    ((*everything,),) = shelf.walk(10)
    members = sorted(each.id for each in (ana, *others))

    def next_one(organization_id: str, first: str) -> str | None:
        return next(iter(id_ for id_ in members if id_ > first), None)

    row = world.deployment.database.row
    monkeypatch.setattr(
        world.deployment.database,
        "row",
        lambda statement, **values: next_one(**values) if statement is FURTHER else row(statement, **values),
    )
    pages = shelf.walk(10)
    assert [token_id for page in pages for token_id in page] == everything
    assert [] in pages
