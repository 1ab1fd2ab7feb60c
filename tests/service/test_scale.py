"""Large organizations: what a page costs does not depend on how much there is, nor on where the page is."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import bulk
from support.bulk import Bulk, numbered
from support.deployment import CATALOG, Deployment, deploy
from support.engines import Engines
from support.plans import work
from support.rpc import method_of
from support.sql import Heard, statements, text
from support.world import DEVELOPER, World

from tenantry_server.domain import call as calls
from tenantry_server.domain import ids, tokens
from tenantry_server.domain.call import Call
from tenantry_server.services.service import Service
from tenantry_server.store.models import Membership
from tenantry_server.store.people import User
from tenantry_server.store.queries import retention as statements_of_retention
from tenantry_server.store.statements import Slot, Statement

pytestmark = pytest.mark.slow

# What a statement may cost at most, by engine: a page of a hundred rows and what belongs to each, or a few rows of each of a
# few tables. It would be a hundred times as much if it went through everything.
MOST = {"sqlite": 20_000, "postgresql": 900}
# How many times that, where each row of a page takes look-ups in several tables: the member's tokens, who is kept out, secrets.
DEARER = {"api_tokens.OF_MEMBERS": 3}
# Statements whose work grows, and why they may.
GROWING = {
    "authorization.HOLDERS": "sorts a page of the holders of each role that grants a permission",
    "authorization.GRANTING_ROLES": "goes through the roles of an organization, to explain an answer",
    **dict.fromkeys(
        ("authorization.ACCESSIBLE_TO_HOLDERS", "authorization.ACCESSIBLE_TO_MEMBERS"),
        "goes through one's own organizations, at worst",
    ),
    "organizations.CONFIGURED": "goes through all organizations, to encrypt secrets anew; for the command line",
    "members.COUNT": "counts the members of an organization, up to how many there may be",
    "regions.COUNT_OF_PLATFORM": "counts the regions of the platform, when a server starts",
    "quotas.LEASES": "goes through the leases of an organization by id, for operators who look for one among them",
    **dict.fromkeys(("quotas.THERE", "quotas.LEASED_THERE", "regions.DEFAULT_OF"), "stops at the first row that is there"),
    "quotas.HOLDING": "answers with everything that a report is of",
    "quotas.ENDED_SINCE": "goes through what was released lately, for a report",
    **dict.fromkeys(("quotas.LIST", "quotas.USED"), "answers with every quota of an organization, or all that it uses"),
    "users.ANY": "stops at the first row",
    "users.KEY": "reads a table of one row",
    "users.BY_EMAIL": "sorts the few users who claim one address; for the command line",
    "invitations.MINE": "goes through one's own invitations, at worst",
    "invitations.COUNT_MINE": "counts one's own invitations",
    **dict.fromkeys(
        ("invitations.COUNT_PENDING", "invitations.OBSTACLES"),
        "counts the pending invitations of an organization, and to an address, up to how many there may be",
    ),
    "invitations.CLOSE_OVERDUE": "writes down, once, what ran out since somebody was invited last",
    "invitations.LIST expired": "goes through the invitations by id: which have expired is computed",
    "organizations.COUNT_CREATED": "counts the organizations that one made",
    "roles.COUNT": "counts an organization's own roles, up to how many there may be",
    "roles.BY_NAME": "goes through the roles of an organization; for who names a role instead of giving its id",
    "roles.HOLDERS": "answers with everybody who has a role that is deleted",
    "roles.OFFERS": "answers with every invitation that offers a role that is deleted",
    "roles.TOUCH_HOLDERS": "changes everybody who has a role that is deleted",
    "roles.TOUCH_OFFERS": "changes every invitation that offers a role that is deleted",
    "roles.UNASSIGN": "takes a role that is deleted from everybody",
    "roles.UNOFFER": "takes a role that is deleted from every invitation",
    "api_tokens.OF_USER_IN": "goes through one's own tokens, at worst",
    "api_tokens.DELETE": "takes with a token what every organization that keeps it out has noted",
    "api_tokens.KEPT_OUT_BEYOND": "goes through the organizations that keep a token out",
    "platform.BUMP": "changes a table of one row",
    **dict.fromkeys(("retention.TAKE_LEASE", "retention.END_LEASE"), "changes a table of one row"),
    **dict.fromkeys(
        (f"retention.OF_ORGANIZATION {table}" for table in statements_of_retention.OF_ORGANIZATION),
        "removes a batch of five hundred, once nothing points at it",
    ),
    "retention.ANSWERS": "removes a batch of five hundred",
    "retention.EXPIRED_INVITATIONS": "removes a batch of five hundred",
    "retention.SECRETS": "goes through the secrets that are about to end",
    "retention.END": "removes an organization, once nothing points at it",
    "users.IDENTITIES": "sorts the few identities of each user",
    **dict.fromkeys(
        ("erasure.OWN_CHANGES", "erasure.ERASURE", "erasure.FORGET_OWN_CHANGES"),
        "goes through the trail of a personal organization",
    ),
    "erasure.REPLACE_INVITER": "goes through the trail of an organization; to erase somebody, which is rare",
    **dict.fromkeys(
        ("erasure.HOME", "erasure.FORMER_HOLDERS", "erasure.EVENTS", "erasure.ANSWERS"),
        "goes through everything, to erase somebody, which is rare",
    ),
}


@pytest.fixture(scope="module")
def bulks(engines: Engines) -> Iterator[Callable[[str], Bulk]]:
    """A large organization on each engine."""
    made: dict[str, Bulk] = {}
    deployments: list[Deployment] = []

    def bulk_of(engine: str) -> Bulk:
        if engine not in made:
            deployments.append(deploy(engine, engines.new(engine)))
            made[engine] = bulk.make(World(deployments[-1]))
        return made[engine]

    yield bulk_of
    for deployment in deployments:
        deployment.close()


def _values(large: Bulk) -> dict[str, Any]:
    """A value for every slot: what there is most of."""
    member, now = numbered("7Z", bulk.MEMBERS // 2), large.world.now_ms()
    slots: dict[str, Any] = dict.fromkeys(
        "state default_region_id experimental_config description permissions name granter_user_id granter_token_id".split(), "x"
    )
    return slots | {
        "organization_id": large.organization_id,
        "user_id": member,
        "role_id": numbered("7Y", 7),
        "invitation_id": numbered("7X", 7),
        "token_id": numbered("7R", bulk.BOUND + 7),
        "api_token_id": numbered("7R", bulk.BOUND + 7),
        "maker_token_id": numbered("7R", bulk.BOUND + 7),
        "identity_id": numbered("7B", 7),
        "issuer": "https://login.example",
        "subject": "s7",
        "address": "m500@example.com",
        "text": "m500@example.com",
        "minute_ago": now,
        **dict.fromkeys(("holder", "until", "slug"), "x"),
        "hint": "tnt_usr_abcd",
        "email_verified": False,
        **dict.fromkeys(("changes", "instead", "answer"), "x"),
        **{"month": "2030-01", "metric": "api_calls", "amount": 1, "limits": "", "otel_config": ""},
        **{"before_experimental_config": "{}", "before_otel_config": ""},
        **{"suspend_time": now, "suspend_until": now, "suspension_reason": "", "cleanup_grace_hours": 24},
        "digest": tokens.digest(large.owner.token),
        "email": "m500@example.com",
        "verified": True,
        "role": "member",
        "principal_id": "p500",
        "request_id": "r500",
        "purpose": "page-token",
        "after": "",
        "before": 2**62,
        "first": member,
        "last": numbered("7Z", bulk.MEMBERS // 2 + 100),
        "token_time": now,
        "token_digest": "x",
        "limit": 101,
        "most": 100,
        "now": now,
        "since": 0,
        "expire_time": now,
        "revision": 1,
        "delete_time": None,
        "purge_time": None,
        "limited_network_egress": False,
        **{f"id{n}": numbered("7Y", n + 1) for n in range(32)},
        "granting": [(DEVELOPER,)],
        "word": " sandbox:write ",
        **_of_use(now),
    }


def _of_use(now: int) -> dict[str, Any]:
    """Values for what is about regions, quotas and leases."""
    place = {"region_id": "us", "resource_class": "container", "resource_type": "sandbox", "resource_id": "7D7"}
    urls = dict.fromkeys(("proxy_url", "ssh_gateway_url", "snapshot_manager_url", "name", "endpoint", "by"), "x")
    figures = {"metric": "cpu", "amount": 1, "amounts": "{}", "limits": "{}", "quotas": "{}", "gpu_types": None}
    return {**place, **urls, **figures, "enforce_quotas": True, "lease_id": numbered("7D", 7), "until": now, "with_ended": 0}


def _differently(name: str, large: Bulk) -> dict[str, Any]:
    """What a statement needs another value of."""
    if name in ("organizations.OF_USER", "invitations.MINE", "invitations.MY_ASSIGNMENTS"):
        first = {"first": numbered("7S", 1), "last": numbered("7S", 100)}
        return {"user_id": large.owner.id, "email": large.owner.email, **first}
    if name in ("api_tokens.OF_USER", "api_tokens.OF_USER_IN"):
        return {"user_id": large.owner.id}
    if name == "api_tokens.OF_MEMBERS":
        return {"first": numbered("7Z", bulk.BOUND + 1), "last": ids.LAST}
    if name.endswith("IN_REGION"):  # a custom one
        return {"region_id": numbered("7J", 7)}
    if name.startswith("authorization.ACCESSIBLE"):
        return {"user_id": large.owner.id}
    if name.startswith("authorization.STANDINGS"):
        values = _values(large)
        by_kind = {"user": ("user_id",), "api_token": ("token_id",), "secret": ("digest",), "identity": ("issuer", "subject")}
        columns = (*by_kind[name.split()[1]], "organization_id")
        return {"asked": [tuple(values[column] for column in columns)]}
    if name.startswith("retention"):
        return {"before": 0}
    return {"state": "active" if name.startswith(("organizations", "users")) else "cancelled"}


def test_no_statement_goes_through_everything(engine: str, bulks: Callable[[str], Bulk]) -> None:
    large = bulks(engine)
    database, values = large.world.deployment.database, _values(large)
    found = {}
    for name, statement in statements().items():
        if text(database, statement).startswith("INSERT") or name in GROWING:
            continue
        # PostgreSQL may also plan for any values at once, after a while.
        for generic in (False, True) if engine == "postgresql" else (False,):
            done = work(database, statement, values | _differently(name, large), generic=generic)
            if done.flaws or done.steps > MOST[engine] * DEARER.get(name, 1):
                found[name, generic] = (done.steps, done.flaws)
    assert found == {}


def test_what_may_grow_exists() -> None:
    assert set(GROWING) <= set(statements())


def test_a_statement_that_does_would_be_seen(engine: str, bulks: Callable[[str], Bulk]) -> None:
    large = bulks(engine)
    database = large.world.deployment.database
    by_name: Statement[Any] = Statement(lambda: User.select(User.id).where(User.name == Slot("name")).limit(1), tuple)
    by_time: Statement[Any] = Statement(
        lambda: (
            Membership.select(Membership.user_id)
            .where(Membership.organization_id == Slot("organization_id"))
            .order_by(Membership.create_time)
            .limit(Slot("limit"))
        ),
        tuple,
    )
    by_offset: Statement[Any] = Statement(
        lambda: (
            Membership.select(Membership.user_id)
            .where(Membership.organization_id == Slot("organization_id"))
            .order_by(Membership.user_id)
            .limit(Slot("limit"))
            .offset(bulk.MEMBERS - 100)
        ),
        tuple,
    )
    for statement in (by_name, by_time, by_offset):
        done = work(database, statement, _values(large) | {"name": "nobody"})
        assert done.flaws or done.steps > MOST[engine]


# Every list: the statement, the slot that says where the page begins, and a place at the start, in the middle, at the end.
_PAGES = {
    "members.LIST": ("after", "", numbered("7Z", bulk.MEMBERS // 2), numbered("7Z", bulk.MEMBERS - 101)),
    "organizations.OF_USER": ("after", "", numbered("7T", bulk.ORGANIZATIONS // 2), numbered("7T", bulk.ORGANIZATIONS - 101)),
    "roles.LIST": ("after", "", numbered("7Y", bulk.ROLES // 2), numbered("7Y", bulk.ROLES - 101)),
    "audit.LIST": ("before", 2**62, 1000 + bulk.EVENTS // 2, 1000 + 102),
    "invitations.LIST": ("after", "", numbered("7V", bulk.CLOSED // 2), numbered("7X", bulk.PENDING - 101)),
    "invitations.LIST pending": ("after", numbered("7X", 0), numbered("7X", 500), numbered("7X", bulk.PENDING - 101)),
    "invitations.LIST cancelled": ("after", "", numbered("7V", bulk.CLOSED // 2), numbered("7V", bulk.CLOSED - 201)),
    "invitations.MINE": ("after", "", numbered("7S", 1000), numbered("7S", bulk.ORGANIZATIONS - 101)),
    "users.LIST": ("after", "", numbered("7Z", bulk.MEMBERS // 2), numbered("7Z", bulk.MEMBERS - 101)),
    "api_tokens.OF_ORGANIZATION": ("after", "", numbered("7M", bulk.BOUND // 2), numbered("7N", bulk.BOUND - 101)),
    "api_tokens.OF_MEMBERS": (
        "first",
        numbered("7Z", bulk.BOUND + 1),
        numbered("7Z", 9_000),
        numbered("7Z", bulk.TOKENS - 101),
    ),
    "api_tokens.OF_USER": ("after", "", numbered("7K", bulk.BOUND // 2), numbered("7M", bulk.BOUND - 101)),
    "api_tokens.OF_USER_IN": ("after", "", numbered("7M", bulk.BOUND // 2), numbered("7M", bulk.BOUND - 101)),
    "api_tokens.OF_PLATFORM": ("after", "", numbered("7H", bulk.BOUND // 2), numbered("7H", bulk.BOUND - 101)),
}


def test_the_last_page_costs_what_the_first_one_costs(engine: str, bulks: Callable[[str], Bulk]) -> None:
    large = bulks(engine)
    database = large.world.deployment.database
    for name, (slot, *places) in _PAGES.items():
        statement, values = statements()[name], _values(large) | _differently(name, large)
        first, *others = [work(database, statement, values | {slot: place}).steps for place in places]
        rows = len(database.rows(statement, **(values | {slot: places[-1]})))
        assert rows == 101, f"{name}: {rows} rows"
        # Whether PostgreSQL looks the organization up once or for each row of a page is its own affair: four blocks a row.
        assert max(others) <= max(2 * first, 4 * rows), f"{name}: {first}, then {others}"


def _token(large: Bulk, method: str, position: str) -> str:
    """The token of the page behind a position, as the server would give it."""
    services = large.world.services
    caller = calls.person(large.owner.id, large.owner.email, email_verified=True)
    call = Call(method=f"/tenantry.v1.{method.replace('.', '/')}", caller=caller, organization_id=large.organization_id)
    return services.members.page_tokens.page(Service.scope(call), 1, (position, ""), str).next_page_token


def test_pages_of_a_large_organization_are_complete_wherever_they_are(engine: str, bulks: Callable[[str], Bulk]) -> None:
    large = bulks(engine)

    def page(position: str) -> tuple[list[str], str, int]:
        token = _token(large, "MemberService.ListMembers", position) if position else ""
        with Heard(large.world.deployment.database) as heard:
            answer = large.owner.rpc("MemberService.ListMembers", organization_id=large.organization_id, page_token=token)
        return [member.user_id for member in answer.members], answer.next_page_token, len(heard.statements)

    def members(first: int, last: int) -> list[str]:
        return [numbered("7Z", number) for number in range(first, last + 1)]

    start, middle, end = page(""), page(numbered("7Z", 50_000)), page(numbered("7Z", bulk.MEMBERS - 50))
    assert start[:2] == ([large.owner.id, *members(1, 99)], _token(large, "MemberService.ListMembers", numbered("7Z", 99)))
    assert middle[0] == members(50_001, 50_100)
    assert end[:2] == (members(bulk.MEMBERS - 49, bulk.MEMBERS), "")
    assert {statements for _, _, statements in (start, middle, end)} == {3}
    # Where a page ends may be gone by the time the next one is asked for.
    large.owner.rpc("MemberService.RemoveMember", organization_id=large.organization_id, user_id=numbered("7Z", 50_100))
    assert page(numbered("7Z", 50_100))[0] == members(50_101, 50_200)


@pytest.mark.parametrize(
    ("method", "field", "count"),
    [
        ("OrganizationService.ListOrganizations", "organizations", bulk.ORGANIZATIONS + 2),
        ("RoleService.ListRoles", "roles", bulk.ROLES + 1 + len(CATALOG.roles)),
        ("InvitationService.ListMyInvitations", "invitations", bulk.ORGANIZATIONS),
        ("ApiTokenService.ListMyApiTokens", "api_tokens", 2 * bulk.BOUND + 1),
    ],
)
def test_a_long_list_is_walked_without_gap_or_repetition(
    engine: str, bulks: Callable[[str], Bulk], method: str, field: str, count: int
) -> None:
    large = bulks(engine)
    scope = (
        {"organization_id": large.organization_id} if "organization_id" in method_of(method).input_type.fields_by_name else {}
    )
    listed: list[str] = []
    costs, token = set(), ""
    while not listed or token:
        with Heard(large.world.deployment.database) as heard:
            answer = large.owner.rpc(method, **scope, page_size=401, page_token=token)
        costs.add(len(heard.statements))
        listed += [item.id for item in getattr(answer, field)]
        token = answer.next_page_token
    assert len(listed) == len(set(listed)) == count
    assert listed == sorted(listed)
    assert len(costs) == 1


def test_where_no_member_has_a_token_or_each_is_kept_out_a_page_of_tokens_looks_at_a_thousand_members(
    engine: str, bulks: Callable[[str], Bulk]
) -> None:
    large = bulks(engine)
    database, values = large.world.deployment.database, _values(large)
    further, of_members = (statements()[name] for name in ("members.FURTHER", "api_tokens.OF_MEMBERS"))
    for first in (numbered("7Z", 1), numbered("7Z", 50_000)):
        last = database.one(further, **(values | {"first": first}))
        span = {"first": first, "last": last, "after": ids.LAST}
        assert int(last[2:]) - int(first[2:]) in (1000, 1001)  # one member may have left
        assert database.rows(of_members, **(values | span | {"limit": 10}))[1:] == []  # the last of them may have one
        done = work(database, of_members, values | span)
        assert (done.flaws, done.steps <= 10 * MOST[engine]) == ([], True), done.steps


def test_the_tokens_that_reach_a_large_organization_are_walked_without_gap_or_repetition(
    engine: str, bulks: Callable[[str], Bulk]
) -> None:
    large = bulks(engine)
    listed: list[tuple[bool, str, str]] = []
    costs, pages, token = set(), 0, ""
    while not pages or token:
        with Heard(large.world.deployment.database) as heard:
            answer = large.owner.rpc(
                "ApiTokenService.ListApiTokens", organization_id=large.organization_id, page_size=401, page_token=token
            )
        costs.add(len([statement for statement in heard.statements if 'last_used_time" = ' not in statement]))
        assert len(answer.api_tokens) <= 401
        found = ((not item.organization_id, item.user_id, item.id) for item in answer.api_tokens)
        listed += [(unbound, user_id if unbound else "", id_) for unbound, user_id, id_ in found]
        pages, token = pages + 1, answer.next_page_token
    bound, of_members = 3 * bulk.BOUND, (bulk.TOKENS - bulk.BOUND) + bulk.BOUND + 1
    assert [unbound for unbound, _, _ in listed] == [False] * bound + [True] * of_members
    assert listed == sorted(set(listed))
    assert pages <= (bound + of_members) // 401 + bulk.MEMBERS // 1000 + 2
    assert max(costs) <= 5
