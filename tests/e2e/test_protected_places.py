"""Where a route can say that the organization is named, through the real Envoy; and what Tenantry must be told for that."""

from __future__ import annotations

from typing import Any

from e2e.guarded import call, came_through, refused, sandboxes
from e2e.scene import Scene
from support.passing import ORGANIZATION
from support.protected import extensions, manager, protecting, routes


def elsewhere(config: Any) -> None:
    """The first two routes of the example, with the organization in the authority, and in the query."""
    by_authority, by_query = routes(config)[:2]
    for route, place in (
        (by_authority, "authority:{organization}.api.example.com"),
        (by_query, "query:organization_id"),
    ):
        extensions(route).update(permission="sandbox:read", organization=place)
        route["match"] = {"prefix": f"/{place.partition(':')[0]}"}


def test_the_organization_can_be_in_the_authority_or_in_the_query(edge: Scene) -> None:
    here, foreign, token = edge.organization.id, edge.foreign.id, edge.member.token
    with protecting(edge.world.deployment.server.port, elsewhere) as other:
        for host in (f"{here}.api.example.com", f"{here.lower()}.API.example.com:8443"):
            headers = came_through(other, call(other, token, "GET", "/authority", Host=host), "GET /authority")
            assert headers[ORGANIZATION] == here
        assert refused(other, token, "GET", "/authority", Host=f"{foreign}.api.example.com")[0] == 404
        for host in ("api.example.com", f"{here}.evil.example.com", f"{here}.x.api.example.com"):
            assert refused(other, token, "GET", "/authority", Host=host)[0] == 404
        # What another header says of the authority is nothing.
        assert refused(other, token, "GET", "/authority", X_Forwarded_Host=f"{here}.api.example.com")[0] == 404
        path = f"/query?organization_id={here}&x=y"
        assert came_through(other, call(other, token, "GET", path), f"GET {path}")[ORGANIZATION] == here
        assert refused(other, token, "GET", f"/query?organization_id={foreign}")[0] == 404
        for query in (
            "",
            f"?organization_id={here}&organization_id={foreign}",
            f"?organization_id={here}&Organization_Id={here}",
        ):
            assert refused(other, token, "GET", f"/query{query}")[:2] == (400, "INVALID_REQUEST")


def test_headers_that_tenantry_is_not_told_are_none(edge: Scene) -> None:
    def secretive(config: Any) -> None:
        manager(config)["http_filters"][0]["typed_config"]["allowed_headers"]["patterns"] = [{"exact": "x-request-id"}]

    def otherwise(config: Any) -> None:
        manager(config)["http_filters"][0]["typed_config"]["encode_raw_headers"] = True

    for change in (secretive, otherwise):
        with protecting(edge.world.deployment.server.port, change) as other:
            assert refused(other, edge.owner.token, "GET", sandboxes(edge.organization))[0] == 401
