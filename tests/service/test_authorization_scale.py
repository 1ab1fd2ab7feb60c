"""One organization with 100,000 members and 1,000 roles, and somebody in 2,000 organizations: what questions cost there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import throng
from support.asking import BATCH, CHECK, EFFECTIVE, MEMBERS, ORGANIZATIONS, members_with, organizations_with
from support.bulk import numbered
from support.deployment import CATALOG, Deployment, deploy
from support.engines import Engines
from support.passing import CHECK as PASS
from support.plans import work
from support.rpc import Client
from support.sql import Heard
from support.throng import Throng
from support.world import AUDITOR, DEVELOPER, World

from tenantry_server.domain.authorization import SubjectKind
from tenantry_server.services.authorization import Authorization
from tenantry_server.store.queries import authorization as statements
from tenantry_server.store.subjects import Pair

pytestmark = pytest.mark.slow

EVALUATE = "tenantry.rest.authzen.v1.AccessService.EvaluateMany"
READ, WRITE, PAY, AUDIT, RULE = "sandbox:read", "sandbox:write", "billing:read", "audit-log:read", "organization:delete"
# What a page of a hundred may cost at most: SQLite's steps and PostgreSQL's blocks. All members would be a hundred times as
# much. A permission that each of the thousand roles grants costs a look at each role.
MOST = {"sqlite": 60_000, "postgresql": 4_000}


@pytest.fixture(scope="module")
def throngs(engines: Engines) -> Iterator[Callable[[str], Throng]]:
    """The throng on each engine."""
    made: dict[str, Throng] = {}
    deployments: list[Deployment] = []

    def throng_of(engine: str) -> Throng:
        if engine not in made:
            deployments.append(deploy(engine, engines.new(engine)))
            made[engine] = throng.make(World(deployments[-1]))
        return made[engine]

    yield throng_of
    for deployment in deployments:
        deployment.close()


def _told(made: Throng, client: Client, method: str, **request: Any) -> int:
    """How many statements a call costs."""
    with Heard(made.world.deployment.database) as heard:
        client(method, **request)
    return len(heard.statements)


def test_every_question_costs_as_many_statements_as_among_few(engine: str, throngs: Callable[[str], Throng]) -> None:
    made = throngs(engine)
    here = {"organization_id": made.organization_id}
    some = {"user_id": numbered("7Z", throng.MEMBERS // 2)}
    owner, joiner, service = made.owner.rpc, made.joiner.rpc, made.world.platform()
    assert _told(made, owner, CHECK, permission=PAY, **here) == 1
    assert _told(made, owner, CHECK, permission=PAY, subject=some, **here) == 2
    assert _told(made, owner, CHECK, permission=PAY, subject=some, explain=True, **here) == 3
    assert _told(made, owner, EFFECTIVE, **here) == 1
    assert _told(made, owner, EFFECTIVE, subject=some, **here) == 2
    assert _told(made, service, CHECK, permission=PAY, subject=some, **here) == 2
    many = [{**here, "permission": PAY, "subject": {"user_id": numbered("7Z", 1 + 97 * n)}} for n in range(1000)]
    assert _told(made, owner, BATCH, items=many) == 3
    resource, common = {"type": "organization", "id": made.organization_id}, {"action": {"name": PAY}}
    each = [{"subject": {"type": "user", "id": item["subject"]["user_id"]}} for item in many]  # type: ignore[index]
    assert _told(made, service, EVALUATE, resource=resource, evaluations=each, **common) == 2
    http = {"path": f"/{made.organization_id}", "headers": {"authorization": f"Bearer {made.owner.token}"}}
    demanded = {"permission": PAY, "organization": "path:/{organization}"}
    assert _told(made, service, PASS, attributes={"request": {"http": http}, "context_extensions": demanded}) == 1
    elsewhere = [{"organization_id": numbered("7T", 1 + n), "permission": PAY} for n in range(1000)]
    assert _told(made, joiner, BATCH, items=elsewhere) == 2
    for permission in (READ, WRITE, PAY, AUDIT, RULE):
        assert _told(made, joiner, ORGANIZATIONS, permission=permission) == 2
        for size in (1, 1000):
            token, pages = "", 0
            while pages < 4 and (token or not pages):
                request = {"permission": permission, "page_size": size, "page_token": token, **here}
                assert _told(made, owner, MEMBERS, **request) == 2
                token, pages = owner(MEMBERS, **request).next_page_token, pages + 1


def test_a_subject_that_is_asked_about_one_by_one_would_be_seen(
    engine: str, throngs: Callable[[str], Throng], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = throngs(engine)
    original = Authorization.found

    def one_by_one(self: Authorization, pairs: list[Pair]) -> Any:
        return {pair: original(self, [pair])[pair] for pair in pairs}

    monkeypatch.setattr(Authorization, "found", one_by_one)
    items = [{"organization_id": numbered("7T", 1 + n), "permission": PAY} for n in range(10)]
    assert _told(made, made.joiner.rpc, BATCH, items=items) > 10


def test_every_holder_is_listed_once(engine: str, throngs: Callable[[str], Throng]) -> None:
    made = throngs(engine)
    client, here = made.owner.rpc, made.organization_id
    owners = set(members_with(client, here, RULE))
    assert len(owners) == 2
    assert made.owner.id in owners
    last = numbered("7Z", throng.MEMBERS)
    assert members_with(client, here, AUDIT, page_size=1) == sorted([*owners, last])
    payers = members_with(client, here, PAY, page_size=7)
    assert len(payers) == throng.MEMBERS // throng.RARE + 2
    assert payers == members_with(client, here, PAY, page_size=1000)
    for permission in (READ, WRITE):
        first = client(MEMBERS, organization_id=here, permission=permission, page_size=1000)
        everybody = sorted([*owners, *(numbered("7Z", n) for n in range(1, 1001))])[:1000]
        assert list(first.user_ids) == everybody


def test_everybody_is_found_through_to_the_end(engine: str, throngs: Callable[[str], Throng]) -> None:
    made = throngs(engine)
    everybody = members_with(made.owner.rpc, made.organization_id, WRITE, page_size=1000)
    assert len(everybody) == throng.MEMBERS + 2


def test_every_organization_that_grants_is_listed(engine: str, throngs: Callable[[str], Throng]) -> None:
    made = throngs(engine)
    client, own = made.joiner.rpc, made.joiner.personal_organization_id
    assert len(organizations_with(client, READ, page_size=1000)) == throng.ORGANIZATIONS + 1
    half = [numbered("7T", 2 * n) for n in range(1, throng.ORGANIZATIONS // 2 + 1)]
    assert organizations_with(client, PAY, page_size=99) == sorted([own, *half])
    assert organizations_with(client, WRITE) == [own]


@pytest.mark.parametrize("permission", [READ, WRITE, PAY, AUDIT, RULE])
def test_a_page_of_holders_costs_what_a_page_costs_however_rare_they_are(
    engine: str, throngs: Callable[[str], Throng], permission: str
) -> None:
    made = throngs(engine)
    database = made.world.deployment.database
    granting = [(role.id,) for role in CATALOG.roles.values() if permission in role.permissions]
    assert ((DEVELOPER,) in granting, (AUDITOR,) in granting) == (permission == WRITE, permission == AUDIT)
    values = {"organization_id": made.organization_id, "limit": 101, "granting": granting, "word": f" {permission} "}
    statement = statements.MEMBERS if permission == READ else statements.HOLDERS
    for after in ("", numbered("7Z", throng.MEMBERS // 2), numbered("7Z", throng.MEMBERS - 101)):
        for generic in (False, True) if engine == "postgresql" else (False,):
            done = work(database, statement, values | {"after": after}, generic=generic)
            assert done.steps <= MOST[engine], (after, generic, done.steps, done.flaws)


def test_a_question_costs_the_same_in_the_largest_organization(engine: str, throngs: Callable[[str], Throng]) -> None:
    made = throngs(engine)
    database = made.world.deployment.database
    asked = [(numbered("7Z", throng.MEMBERS // 2), made.organization_id)]
    small = [(made.joiner.id, made.joiner.personal_organization_id)]
    statement = statements.STANDINGS[SubjectKind.USER]
    large_one, small_one = (work(database, statement, {"asked": pairs}, generic=True).steps for pairs in (asked, small))
    assert large_one <= 3 * small_one + 60
