"""What routes demand: where the organization is named, and every way in which context extensions make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.envoy.routes import NoSuchPath, Request, Route, RouteAccess, RouteMisconfigured, route_of

KNOWN = frozenset({"sandbox:read", "sandbox:write"})
HERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
BY_PATH = "path:/v1/organizations/{organization}/**"


def route(**extensions: str) -> Route:
    return route_of(frozenset(extensions.items()), KNOWN)


def named(place: str, *, path: str = "/", query: str = "", host: str = "", **headers: str) -> str:
    """The organization that a request names in a place."""
    locate = route(permission="sandbox:read", organization=place).locate
    assert locate is not None
    return locate(Request(path, query, host, {name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/v1/organizations/{organization}", f"/v1/organizations/{HERE}"),
        ("/v1/organizations/{organization}", f"/v1/organizations/{HERE}/"),
        ("/v1/organizations/{organization}/**", f"/v1/organizations/{HERE}"),
        ("/v1/organizations/{organization}/**", f"/v1/organizations/{HERE}/a/b/c"),
        ("/*/{organization}/*", f"/anything/{HERE}/else"),
        ("/{organization}", f"/{HERE}"),
        ("/a.b+c/{organization}", f"/a.b+c/{HERE}"),
    ],
)
def test_a_path_template_finds_the_organization(template: str, path: str) -> None:
    assert named(f"path:{template}", path=path) == HERE


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/v1/organizations/{organization}", f"/v1/organizations/{HERE}/more"),
        ("/v1/organizations/{organization}", "/v1/organizations/"),
        ("/v1/organizations/{organization}/**", f"/V1/Organizations/{HERE}/x"),
        ("/v1/organizations/{organization}/**", f"/v1/organizations//{HERE}"),
        ("/v1/organizations/{organization}/**", f"/x/v1/organizations/{HERE}"),
        ("/*/{organization}/*", f"/{HERE}/else"),
        ("/a.b/{organization}", f"/aXb/{HERE}"),
    ],
)
def test_a_path_of_another_form_names_nothing(template: str, path: str) -> None:
    with pytest.raises(NoSuchPath, match="does not fit"):
        named(f"path:{template}", path=path)


@pytest.mark.parametrize("host", [f"{HERE}.api.example.com", f"{HERE}.API.example.COM", f"{HERE}.api.example.com:8443"])
def test_a_label_of_the_authority_is_the_organization(host: str) -> None:
    assert named("authority:{organization}.api.example.com", host=host) == HERE


@pytest.mark.parametrize(
    "host",
    [
        "",
        "api.example.com",
        f"{HERE}.api.example.com.",
        f"{HERE}.apiXexample.com",
        f"x.{HERE}.api.example.com",
        f"{HERE}.api.example.com:x",
        f"{HERE}.api.example.com.evil.net",
        ".api.example.com",
    ],
)
def test_another_authority_names_nothing(host: str) -> None:
    with pytest.raises(NoSuchPath):
        named("authority:{organization}.api.example.com", host=host)


def test_a_header_or_a_query_parameter_is_the_organization() -> None:
    assert named("header:X-Organization-Id", x_organization_id=f" {HERE} ") == HERE
    assert named("query:organization_id", query=f"a=b&organization_id={HERE}") == HERE
    assert named("query:organization_id", query=f"a=b&organization%5Fid={HERE[:-1]}%56") == HERE


@pytest.mark.parametrize(
    ("place", "request_"),
    [
        ("header:x-o", {}),
        ("header:x-o", {"x_o": " "}),
        ("header:x-o", {"x_o": f"{HERE},{HERE}"}),
        ("header:x-o", {"x_o": f"{HERE}, "}),
        ("query:o", {"query": ""}),
        ("query:o", {"query": "o="}),
        ("query:o", {"query": "o"}),
        ("query:o", {"query": f"O={HERE}"}),
        ("query:o", {"query": f"o={HERE}&o={HERE}"}),
        ("query:o", {"query": f"o={HERE}&O=x"}),
        ("query:o", {"query": f"%6f={HERE}&o=x"}),
    ],
)
def test_none_and_several_are_refused_by_the_name_of_the_place(place: str, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        named(place, **request_)
    (violation,) = refusal.value.violations
    assert (violation.field, violation.rule) == (place.partition(":")[2], "ORGANIZATION_NAMED")


def test_a_query_of_very_many_parameters_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="invalid request: o"):
        named("query:o", query="&".join(["a=b"] * 1001))


@pytest.mark.parametrize(
    ("extensions", "problem"),
    [
        ({}, "permission is missing"),
        ({"permission": "", "organization": BY_PATH}, "permission is missing"),
        ({"permission": "sandbox:read"}, "organization is missing"),
        ({"organization": BY_PATH}, "permission is missing"),
        ({"permission": "sandbox:reed", "organization": BY_PATH}, "the catalog does not have"),
        ({"permission": "SANDBOX:READ", "organization": BY_PATH}, "the catalog does not have"),
        ({"permission": "sandbox:read,sandbox:write", "organization": BY_PATH}, "the catalog does not have"),
        ({"permision": "sandbox:read", "organization": BY_PATH}, "unknown context extensions: permision"),
        ({"access": "public"}, "access is 'public'"),
        ({"access": ""}, "access is ''"),
        ({"access": "authenticated", "permission": "sandbox:read"}, "goes without permission"),
        ({"access": "authenticated", "organization": BY_PATH}, "goes without organization"),
        ({"access": "authenticated", "credential": "keep"}, "credential is 'keep'"),
        *(
            ({"permission": "sandbox:read", "organization": place}, problem)
            for place, problem in {
                "cookie:x": "begins with none of path:, header:, query:, authority:",
                "organization_id": "begins with none of",
                "path:": "does not begin with /",
                "path:v1/{organization}": "does not begin with /",
                "path:/v1/organizations": "does not have one segment",
                "path:/{organization}/{organization}": "does not have one segment",
                "path:/v1/{organization_id}": "does not have one segment",
                "path:/{organization}/{id}": "has the segment '{id}'",
                "path:/{organization}/a*": "has the segment 'a*'",
                "path:/{organization}//x": "has the segment ''",
                "path:/**/{organization}": "goes on after **",
                "header:": "there is no header ''",
                "header:x y": "there is no header 'x y'",
                "header::path": "there is no header ':path'",
                "header:X-Tenantry-Organization-Id": "none that clients may send",
                "query:": "has no name",
                "authority:": "no name with one label",
                "authority:{organization}": "no name with one label",
                "authority:api.example.com": "no name with one label",
                "authority:x-{organization}.example.com": "no name with one label",
                "authority:*.{organization}.com": "no name with one label",
                "authority:{organization}.example.com:443": "no name with one label",
            }.items()
        ),
    ],
)
def test_extensions_that_make_no_sense_are_refused_with_what_is_wrong(extensions: dict[str, str], problem: str) -> None:
    with pytest.raises(RouteMisconfigured) as refusal:
        route(**extensions)
    assert problem in str(refusal.value)


def test_a_route_says_whether_the_credential_goes_on() -> None:
    assert not route(access="authenticated").forwards_credential
    assert not route(access="authenticated", credential="remove").forwards_credential
    assert route(access="authenticated", credential="forward").forwards_credential
    assert route(access="authenticated").access is RouteAccess.AUTHENTICATED
    assert route(access="organization", permission="sandbox:read", organization=BY_PATH).access is RouteAccess.ORGANIZATION
