"""Questions about who has signed in with an identity provider, and about what such a provider signed."""

from __future__ import annotations

import pytest
from grpc import StatusCode
from support.asking import CHECK, ORGANIZATIONS, batch, check, decision, organizations_with, refusal, verdict, why
from support.sign_in import ISSUER, Office
from support.sql import Heard
from support.world import DEVELOPER, fresh

pytest_plugins = ("support.sign_in",)

READ, WRITE, RULE = "sandbox:read", "sandbox:write", "organization:delete"
DOWN = refusal(StatusCode.UNAVAILABLE, "IDENTITY_PROVIDER_UNAVAILABLE", issuer=ISSUER)


def test_who_has_signed_in_asks_about_themselves_in_one_statement(office: Office) -> None:
    ana = office.stranger().person()
    acme = office.organization(ana)
    with Heard(office.deployment.database) as heard:
        assert verdict(ana.rpc, acme.id, RULE) == (True, 1)
    assert len(heard.statements) == 1
    told = why(ana.rpc, acme.id, RULE)
    assert decision(told) == "OWNER"
    assert not told.HasField("token")
    assert batch(ana.rpc, [{"organization_id": acme.id, "permission": RULE}]) == [(True, 1)]
    assert organizations_with(ana.rpc, RULE) == sorted([acme.id, ana.personal_organization_id])


def test_what_a_provider_signed_is_a_credential_like_others(office: Office) -> None:
    bo, ana = office.stranger(), office.person()
    acme = office.organization(ana)
    person = bo.person()
    office.join(acme, ana, person, DEVELOPER)
    service, subject = office.platform(), {"credential": bo.token}
    assert check(service, acme.id, WRITE, subject=subject)
    assert not check(service, acme.id, RULE, subject=subject)
    assert decision(why(service, acme.id, WRITE, subject=subject)) == "ROLE"
    assert organizations_with(service, WRITE, subject=subject) == sorted([acme.id, person.personal_organization_id])
    answers = batch(service, [{"organization_id": acme.id, "permission": WRITE, "subject": subject}] * 3)
    assert answers == [(True, office.revision(acme.id))] * 3


def test_nobody_becomes_a_user_by_being_asked_about(office: Office) -> None:
    ana = office.person()
    acme = office.organization(ana)
    service, unknown = office.platform(), {"credential": office.stranger().token}
    before = office.changes()
    assert not check(service, acme.id, READ, subject=unknown)
    assert decision(why(service, acme.id, READ, subject=unknown)) == "UNKNOWN_CREDENTIAL"
    assert organizations_with(service, READ, subject=unknown) == []
    assert office.changes() == before


def test_what_nobody_can_verify_now_is_no_denial(office: Office) -> None:
    ana = office.person()
    acme = office.organization(ana)
    service, subject = office.platform(), {"credential": office.stranger().token}
    office.verifier.is_down = ISSUER
    assert service.refusal(CHECK, organization_id=acme.id, permission=READ, subject=subject).seen == DOWN
    assert service.refusal(ORGANIZATIONS, permission=READ, subject=subject).seen == DOWN
    good = {"organization_id": acme.id, "permission": READ, "subject": {"user_id": ana.id}}
    assert batch(service, [good, good | {"subject": subject}, good]) == [(True, 1), DOWN, (True, 1)]


@pytest.mark.parametrize(
    "names", [("Foo", "foo"), ("Foo", "Foo "), ("Foo", "Fóo"), ("Fo\u00f6", "Foo\u0308"), ("a,b", "a"), ("a:b", "a")]
)
def test_people_whose_providers_or_subjects_look_alike_are_told_apart(office: Office, names: tuple[str, str]) -> None:
    issuer = fresh(ISSUER)
    one, other = (office.stranger(issuer=issuer, subject=name, email=f"{fresh('x')}@example.com") for name in names)
    ana, service = one.person(), office.platform()
    acme = office.organization(ana)
    asked = [
        {"organization_id": acme.id, "permission": READ, "subject": {"credential": token}}
        for token in (one.token, other.token, one.token)
    ]
    assert batch(service, asked) == [(True, 1), (False, 1), (True, 1)]
    bo = other.person()
    assert bo.id != ana.id
    assert batch(service, asked) == [(True, 1), (False, 1), (True, 1)]
