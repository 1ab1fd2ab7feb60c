"""Paths in every spelling, through the real Envoy: what the service behind sees is what was asked about, or it sees nothing."""

from __future__ import annotations

import pytest
from e2e.scene import Scene
from support.http import exchange
from support.passing import ORGANIZATION
from support.protected import Json, Protected, manager, protecting, routes

from tenantry_server.envoy import servicer

# What somebody sends who may read sandboxes in `mine`, and would like to in `theirs`.
SPELLINGS = [
    "/v1/organizations/{mine}/sandboxes/../../{theirs}/sandboxes",
    "/v1/organizations/{mine}/../{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/%2e%2e/%2E%2E/{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes%2f..%2f..%2f{theirs}%2fsandboxes",
    "/v1/organizations/{mine}/sandboxes/..%2f..%2f{theirs}/sandboxes",
    "/v1/organizations/{mine}%2F..%2F{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/..%5c..%5c{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/..\\..\\{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/%252e%252e/%252e%252e/{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/..%252f..%252f{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/..;/..;/{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/%c0%ae%c0%ae/{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes/%EF%BC%8E%EF%BC%8E/{theirs}",
    "/v1/organizations/{mine}/sandboxes/.//../../{theirs}/sandboxes",
    "//v1/organizations/{theirs}/sandboxes",
    "/v1//organizations/{theirs}/sandboxes",
    "/v1/organizations//{theirs}/sandboxes",
    "/v1/organizations/{mine}//{theirs}/sandboxes",
    "/%76%31/organizations/{theirs}/sandboxes",
    "/v1/%6frganizations/{theirs}/sandboxes",
    "/V1/organizations/{theirs}/sandboxes",
    "/v1/Organizations/{theirs}/sandboxes",
    "/v1/organizations/{theirs}/SANDBOXES",
    "/status/../v1/organizations/{theirs}/sandboxes",
    "/status/%2e%2e/v1/organizations/{theirs}/sandboxes",
    "/status%2f..%2fv1%2forganizations/{theirs}/sandboxes",
    "/v1/me/../organizations/{theirs}/sandboxes",
    "/v1/me%2f..%2forganizations%2f{theirs}%2fsandboxes",
    "/v1/organizations/{mine}/sandboxes/x#/../../{theirs}/sandboxes",
    "/v1/organizations/{mine}/sandboxes%00/../../{theirs}",
    "http://other.example/v1/organizations/{theirs}/sandboxes",
]


def unnormalized(config: Json) -> None:
    """The example as somebody has it who takes every path as it comes, and by prefix."""
    for name in ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action"):
        del manager(config)[name]
    for route in routes(config):
        if "safe_regex" in route["match"]:
            route["match"] = {"prefix": "/v1/organizations/", **{k: v for k, v in route["match"].items() if k == "headers"}}


def send(guarded: Protected, token: str, path: str) -> tuple[int, list[tuple[str, dict[str, str]]]]:
    """The status of a path that is sent as it stands, and what came through."""
    before = len(guarded.seen.requests)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    answer = exchange(guarded.address, head.encode("latin-1"))
    return int(answer.split(b" ", 2)[1]), guarded.seen.requests[before:]


def let_through(edge: Scene, guarded: Protected, path: str) -> bool:
    """Whether a path comes through; the organization that is told must then be the caller's, and the one path that it names."""
    status, seen = send(guarded, edge.member.token, path.format(mine=edge.organization.id, theirs=edge.foreign.id))
    assert (status == 200) == bool(seen), (status, seen)
    for line, headers in seen:
        assert headers[ORGANIZATION] == edge.organization.id
        assert line == f"GET /v1/organizations/{edge.organization.id}/sandboxes"
    return bool(seen)


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_a_path_reaches_another_organization(edge: Scene, guarded: Protected, path: str) -> None:
    assert not let_through(edge, guarded, path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/organizations/{mine}/sandboxes",
        "/v1/organizations/{theirs}/../{mine}/sandboxes",
        "/v1//organizations/{mine}///sandboxes",
        "/v1/./organizations/%2e/{mine}/sandboxes",
        "/status/../v1/organizations/{mine}/%73andboxes",
    ],
)
def test_what_envoy_brings_into_normal_form_is_asked_about_and_sent_on_in_that_form(
    edge: Scene, guarded: Protected, path: str
) -> None:
    assert let_through(edge, guarded, path)


def test_no_spelling_comes_through_an_envoy_that_takes_paths_as_they_come(edge: Scene) -> None:
    with protecting(edge.world.deployment.server.port, unnormalized) as weak:
        assert let_through(edge, weak, "/v1/organizations/{mine}/sandboxes")
        for path in SPELLINGS:
            if not path.startswith("/status"):  # about which nobody is asked
                assert not let_through(edge, weak, path), path


def test_control_without_a_normal_form_such_an_envoy_lets_them_through(edge: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "ensure_normal", lambda _: None)
    with protecting(edge.world.deployment.server.port, unnormalized) as weak:
        for path in ("/sandboxes/../../{theirs}/sandboxes", "/sandboxes/..%2f..%2f{theirs}/sandboxes", "//{theirs}"):
            asked = f"/v1/organizations/{edge.organization.id}{path.format(theirs=edge.foreign.id)}"
            status, ((line, headers),) = send(weak, edge.member.token, asked)
            assert (status, line) == (200, f"GET {asked}")
            assert headers[ORGANIZATION] == edge.organization.id
