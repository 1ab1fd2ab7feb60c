"""Requests to other services by people who have signed in with an identity provider."""

from __future__ import annotations

from support.passing import CREDENTIAL, KIND, USER, ask, demand
from support.sign_in import ISSUER, Office
from support.sql import Heard
from support.world import DEVELOPER

pytest_plugins = ("support.sign_in",)

READ, WRITE, RULE = "sandbox:read", "sandbox:write", "organization:delete"


def test_who_has_signed_in_passes_by_what_their_user_holds_for_one_statement(office: Office) -> None:
    owner, stranger = office.person(), office.stranger()
    acme = office.organization(owner)
    person = stranger.person()
    office.join(acme, owner, person, DEVELOPER)
    with Heard(office.deployment.database) as heard:
        ruling = demand(office.client(), stranger.token, acme.id, WRITE)
    assert (ruling.passes, ruling.headers[KIND], ruling.headers[USER]) == (True, "user", person.id)
    assert ruling.headers[CREDENTIAL]
    assert len(heard.statements) == 1
    assert demand(office.client(), stranger.token, acme.id, RULE).status == 403


def test_a_person_appears_with_the_first_request_that_passes_through_envoy(office: Office) -> None:
    newcomer, acme = office.stranger(), office.organization(office.person())
    assert demand(office.client(), newcomer.token, acme.id, READ).status == 404
    ruling = ask(office.client(), newcomer.token, access="authenticated")
    assert ruling.headers[USER] == newcomer.person().id


def test_a_credential_that_nobody_can_verify_now_does_not_pass_and_may_be_tried_again(office: Office) -> None:
    acme, stranger = office.organization(office.person()), office.stranger()
    office.verifier.is_down = ISSUER
    for ruling in (
        demand(office.client(), stranger.token, acme.id, READ),
        ask(office.client(), stranger.token, access="authenticated"),
    ):
        assert (ruling.status, ruling.body["reason"]) == (503, "IDENTITY_PROVIDER_UNAVAILABLE")
        assert ruling.headers["retry-after"] == "1"
    grpc = demand(office.client(), stranger.token, acme.id, READ, headers={"content-type": "application/grpc"})
    assert grpc.headers["grpc-status"] == "14"
