"""Slugs: fit for an address, of one organization each, never reserved, and for good."""

import re

import pytest
from support.world import World, fresh

from tenantry_server.domain.slugs import RESERVED

CREATE = "OrganizationService.CreateOrganization"
FIT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def test_slug_is_made_from_the_name(world: World) -> None:
    ana, word = world.person(), fresh("zeta")
    assert world.organization(ana, f"  {word.upper()} & Söhne, GmbH  ").slug == f"{word}-sohne-gmbh"


def test_organizations_of_one_name_have_different_slugs(world: World) -> None:
    ana, bo, name = world.person(), world.person(), fresh("zeta")
    slugs = [world.organization(owner, spelling).slug for owner in (ana, bo) for spelling in (name, name.upper())]
    assert slugs[0] == name
    assert len(set(slugs)) == 4
    assert all(re.fullmatch(f"{name}-[a-z0-9]{{5}}", slug) for slug in slugs[1:])


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Admin", " me ", "Ｍｅ", "-invitations-"])
def test_reserved_words_are_never_slugs(world: World, name: str) -> None:
    slug = world.organization(world.person(), name).slug
    assert slug not in RESERVED
    assert FIT.fullmatch(slug)


@pytest.mark.parametrize(
    "name", ["a", "1", "..", "../../etc", "%2e%2e", "a/b", "日本語", "🦊", "İıſßǅ", "x" * 200, "- " * 100, "аdmin"]
)
def test_every_name_makes_a_fit_slug(world: World, name: str) -> None:
    ana = world.person()
    acme = world.organization(ana, name)
    assert acme.name == name
    assert FIT.fullmatch(acme.slug)
    assert 2 <= len(acme.slug) <= 54
    assert acme.slug not in RESERVED


def test_slug_stays_when_the_organization_is_renamed(world: World) -> None:
    ana, name = world.person(), fresh("zeta")
    acme = world.organization(ana, name)
    renamed = ana.rpc("OrganizationService.UpdateOrganization", organization_id=acme.id, name=fresh("eta"))
    assert renamed.slug == acme.slug == name
    assert world.organization(ana, name).slug != name


def test_deleted_organization_keeps_its_slug(world: World) -> None:
    ana, name = world.person(), fresh("zeta")
    acme = world.organization(ana, name)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    assert world.organization(world.person(), name).slug != name
    assert ana.rpc("OrganizationService.UndeleteOrganization", organization_id=acme.id).slug == name
    assert world.breaches() == []


def test_refused_and_tried_out_organizations_take_no_slug(world: World) -> None:
    ana, name = world.person(), fresh("zeta")
    world.person(verified=False).rpc.refusal(CREATE, name=name)
    assert ana.rpc(CREATE, name=name, validate_only=True).slug == name
    assert world.organization(ana, name).slug == name
