"""What people call an organization never makes a slug that stands for something else, over gRPC or REST."""

from __future__ import annotations

import re
from collections.abc import Callable

import grpc
import pytest
from e2e.scene import Scene
from e2e.shapes import daytona_error, dotenv_error, dotenv_invalid
from support.rpc import Refused

from tenantry_server.domain.slugs import RESERVED

V1 = "/api/v1/organizations"
# How a reserved word may be spelled; the last two have letters that look like those of others: they are left out.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "title case": str.title,
    "blanks around": "  {}  ".format,
    "slashes around": "/{}/".format,
    "a step up": "../{}".format,
    "a step to itself": "./{}/..".format,
    "percent-encoded slashes": "%2F{}".format,
    "percent-encoded": lambda word: "".join(f"%{ord(letter):02x}" for letter in word),
    "percent-encoded twice": lambda word: "".join(f"%25{ord(letter):02x}" for letter in word),
    "full width": lambda word: "".join(chr(ord(letter) + 0xFEE0) for letter in word),
    "accents": lambda word: "".join(f"{letter}\u0301" for letter in word),
    "soft hyphens": lambda word: "\u00ad".join(word),
    "joiners of no width": lambda word: "\u200b".join(word),
    "Cyrillic letters": lambda word: word.translate(str.maketrans("aceiopsxy", "асеіорѕху")),
    "Greek letters": lambda word: word.translate(str.maketrans("aiouvn", "αιουνη")),
}
ODD = [
    "..",
    ".",
    "-",
    "%",
    "%00",
    "%2e%2e",
    "%2e%2e%2f",
    "/",
    "\\",
    "?",
    "#",
    "a",
    "A",
    "1",
    "日本語",
    "🦊",
    "x" * 200,
    "é" * 200,
]
FIT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def ensure_fit(slug: str) -> None:
    """Nothing else is meant by it, and it stands for itself in an address."""
    assert slug not in RESERVED
    assert FIT.fullmatch(slug)
    assert 2 <= len(slug) <= 54


def ensure_nothing_else_is_meant(scene: Scene, name: str) -> None:
    """Makes organizations of this name, each way, and looks at their slugs."""
    made = scene.owner.rpc("OrganizationService.CreateOrganization", name=name)
    answer = scene.as_owner.post(V1, {"name": name})
    assert answer.status == 201
    for spelled, slug in ((made.name, made.slug), (answer.body["data"]["name"], answer.body["data"]["slug"])):
        assert spelled == name
        ensure_fit(slug)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("word", ["me", "invitations", "admin", "api-keys", "v1", "organizations"])
def test_no_spelling_of_a_reserved_word_makes_it_a_slug(scene: Scene, word: str, spell: Callable[[str], str]) -> None:
    ensure_nothing_else_is_meant(scene, spell(word))


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_no_name_is_too_odd_to_make_a_fit_slug(scene: Scene, name: str) -> None:
    ensure_nothing_else_is_meant(scene, name)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "x" * 256, "é" * 256], ids=lambda name: f"{len(name)} characters")
def test_a_name_of_no_or_too_many_characters_is_refused(scene: Scene, name: str) -> None:
    refusal: Refused = scene.owner.rpc.refusal("OrganizationService.CreateOrganization", name=name)
    assert (refusal.code, refusal.reason, set(refusal.violations)) == (
        *(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        {"name"},
    )
    text = "name must have 1 to 200 characters, not all of them blank"
    assert scene.as_owner.post(V1, {"name": name}).seen == dotenv_invalid(name=text)
    answer = scene.as_owner.post("/api/organizations", {"name": name, "defaultRegionId": "us"})
    assert (answer.status, answer.body["message"]) == (400, text)


@pytest.mark.parametrize("word", ["me", "current", "invitations", "Acme"])
def test_a_slug_names_no_organization_in_a_path(scene: Scene, word: str) -> None:
    slug = scene.world.organization(scene.owner, word).slug
    for name in (slug, slug.upper(), f"%{ord(slug[0]):02x}{slug[1:]}"):
        sent = slug if "%" in name else name
        text = f"no access to organization {sent}, or it does not exist"
        assert scene.as_owner.get(f"{V1}/{name}").seen == dotenv_error(404, "not_found", text, organization_id=sent)
        expected = daytona_error(403, f"/api/organizations/{sent}", text)
        assert scene.as_owner.get(f"/api/organizations/{name}").seen == expected
