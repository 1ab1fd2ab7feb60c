"""A path passes in one spelling alone: whatever a service behind could read otherwise does not."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.envoy.paths import ensure_normal

NORMAL = [
    "/",
    "/v1/organizations/01ARZ3NDEKTSV4RRFFQ69G5FAV/sandboxes",
    "/v1/organizations/01ARZ3NDEKTSV4RRFFQ69G5FAV/sandboxes/",
    "/files/report.v1..txt",
    "/.well-known/x",
    "/...",
    "/a;v=1/b",
    "/example.v1.Reports/Read",
    "/a:cancel",
    "/caf%C3%A9",
    "/100%25",
    "/a%20b",
    "/a+b,c=d&e@f!$'()*",
]
NOT_NORMAL = [
    "",
    "*",
    "mine",
    "http://mine/x",
    "//mine",
    "/mine//theirs",
    "/mine//",
    "/mine/./x",
    "/mine/../theirs",
    "/mine/..",
    "/mine/.",
    "/mine/%2e%2e/theirs",
    "/mine/.%2E/theirs",
    "/mine/%2E/x",
    "/mine%2ftheirs",
    "/mine%2Ftheirs",
    "/mine%2f..%2ftheirs",
    "/mine%5c..%5ctheirs",
    "/mine\\..\\theirs",
    "/mine/..;/theirs",
    "/mine/..;x=1/theirs",
    "/mine/.;/x",
    "/mine/%2e%2e;/theirs",
    "/mine/%252e%252e/theirs",
    "/mine%252ftheirs",
    "/mine%25252ftheirs",
    f"/mine%{'25' * 4}2ftheirs",
    f"/mine%{'25' * 20_000}",
    "/mine%c0%ae%c0%ae/theirs",
    "/mine%c0%aftheirs",
    "/mine%ff",
    "/mine/%EF%BC%8E%EF%BC%8E/theirs",
    "/mine%EF%BC%8Ftheirs",
    "/%6dine",
    "/%4Dine",
    "/mine%2Dtheirs",
    "/mine%7Etheirs",
    "/mine%31",
    "/mine%00",
    "/mine%0d%0aX-Y:1",
    "/mine%09",
    "/mine%7f",
    "/mine%",
    "/mine%2",
    "/mine%zz",
    "/mine#/theirs",
    "/mine theirs",
    "/mine\ttheirs",
    "/mine\x00",
    "/café",
]


@pytest.mark.parametrize("path", NORMAL)
def test_a_path_in_normal_form_passes(path: str) -> None:
    ensure_normal(path)


@pytest.mark.parametrize("path", NOT_NORMAL, ids=lambda path: repr(path[:60]))
def test_any_other_spelling_does_not_pass(path: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ensure_normal(path)
    assert [(each.field, each.rule) for each in refusal.value.violations] == [("path", "NORMAL_PATH")]


@given(some.text("/.%;\\2eEfF5cC0aA", max_size=24).map(lambda text: f"/{text}"))
def test_what_passes_means_the_same_however_often_it_is_decoded(path: str) -> None:
    try:
        ensure_normal(path)
    except InvalidRequest:
        return
    count, decoded = path.count("/"), path
    for _ in range(len(path)):
        decoded = unquote(decoded).replace("\\", "/")
        assert decoded.count("/") == count
        assert not {".", ".."} & {segment.partition(";")[0] for segment in decoded.split("/")}
