"""Nothing passes for want of an answer: Tenantry down, failing, slow, or asked what makes no sense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import grpc
import peewee
import pytest
from e2e.scene import Scene
from structlog.testing import CapturingLogger
from support.http import Answer
from support.protected import Json, Protected, extensions, manager, protecting, routes

from tenantry_server.envoy import servicer
from tenantry_server.services import credentials
from tenantry_server.services.admission import Admission


def asked(guarded: Protected, scene: Scene) -> Answer:
    """How an owner's good request ends, of which the service must see nothing."""
    before = len(guarded.seen.requests)
    with guarded.http(scene.owner.token) as http:
        answer = http.get(f"/v1/organizations/{scene.organization.id}/sandboxes")
    assert len(guarded.seen.requests) == before
    return answer


def reported(guarded: Protected, scene: Scene) -> grpc.StatusCode:
    """How it ends in gRPC."""
    before = len(guarded.seen.requests)
    with pytest.raises(grpc.RpcError) as error:
        guarded.report(scene.owner.token, ("x-organization-id", scene.organization.id))
    assert len(guarded.seen.requests) == before
    code: grpc.StatusCode = error.value.code()
    return code


def test_nothing_passes_while_tenantry_is_down(edge: Scene) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        with protecting(silent.getsockname()[1]) as guarded:
            assert asked(guarded, edge).status == 503
            assert reported(guarded, edge) is grpc.StatusCode.UNAVAILABLE


def test_control_an_envoy_that_is_told_to_let_pass_does(edge: Scene) -> None:
    def trusting(config: Json) -> None:
        manager(config)["http_filters"][0]["typed_config"]["failure_mode_allow"] = True

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with protecting(silent.getsockname()[1], trusting) as guarded, guarded.http() as http:
            assert http.get(f"/v1/organizations/{edge.organization.id}/sandboxes").status == 200
            assert len(guarded.seen.requests) == 1


@pytest.mark.parametrize("error", [peewee.OperationalError("server closed"), RuntimeError("a secret of the inside")], ids=repr)
def test_nothing_passes_when_tenantry_fails(
    edge: Scene, guarded: Protected, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(credentials, "authenticate", broken)
    answer = asked(guarded, edge)
    assert (answer.status, answer.raw) == (503, b"")
    assert reported(guarded, edge) is grpc.StatusCode.UNAVAILABLE


def test_nothing_passes_when_the_answer_takes_too_long(edge: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    admit = Admission.admit

    def slowly(*arguments: Any, **named: Any) -> Any:
        over.wait(30)
        return admit(*arguments, **named)

    def impatient(config: Json) -> None:
        manager(config)["http_filters"][0]["typed_config"]["grpc_service"]["timeout"] = "0.2s"

    monkeypatch.setattr(Admission, "admit", slowly)
    try:
        with protecting(edge.world.deployment.server.port, impatient) as guarded:
            assert asked(guarded, edge).status == 503
    finally:
        over.set()


def _without_anything(route: Json) -> None:
    del route["typed_per_filter_config"]


def _without(name: str) -> Callable[[Json], None]:
    def change(route: Json) -> None:
        del extensions(route)[name]

    return change


def _with(**changed: str) -> Callable[[Json], None]:
    def change(route: Json) -> None:
        extensions(route).update(changed)

    return change


WRONG: dict[str, tuple[Callable[[Json], None], str]] = {
    "no extension at all": (_without_anything, "the context extension permission is missing"),
    "no permission": (_without("permission"), "the context extension permission is missing"),
    "no place": (_without("organization"), "the context extension organization is missing"),
    "an unknown permission": (
        _with(permission="sandbox:reed"),
        "permission is 'sandbox:reed', which the catalog does not have",
    ),
    "an unknown place": (_with(organization="cookie:x"), "organization is 'cookie:x', which begins with none of path:"),
    "an unknown extension": (_with(permision="x"), "unknown context extensions: permision"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_route_that_makes_no_sense_is_closed_and_the_log_says_why(
    edge: Scene, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, problem = WRONG[what]
    log = CapturingLogger()
    monkeypatch.setattr(servicer, "log", log)
    path = f"/v1/organizations/{edge.organization.id}/sandboxes"
    with protecting(edge.world.deployment.server.port, lambda config: change(routes(config)[0])) as guarded:
        for token in (edge.owner.token, "garbage", ""):
            with guarded.http(token) as http:
                answer = http.get(f"{path}?secret=canary")
            assert answer.status == 403
            assert answer.body == {"title": "Forbidden", "status": 403, "detail": "this is not allowed"}
    assert guarded.seen.requests == []
    assert len(log.calls) == 3
    for said in log.calls:
        assert (said.method_name, said.args) == ("error", ("route misconfigured",))
        assert problem in said.kwargs["problem"]
        assert said.kwargs["request"] == f"GET {path}"
        assert "canary" not in str(said)
        assert edge.owner.token not in str(said)
