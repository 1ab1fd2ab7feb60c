"""How much SQL a call costs: as much for many objects as for few, and no more than is stated here."""

import re
from collections.abc import Callable, Iterator

import pytest
from google.protobuf.descriptor import MethodDescriptor
from support.crowd import Crowd
from support.deployment import Deployment, deploy
from support.descriptors import core_methods, core_of, is_change, label, methods
from support.engines import Engines
from support.requests import build
from support.sql import Heard, statements, text
from support.stage import events_of
from support.world import World

from tenantry_server.domain.call import Call
from tenantry_server.domain.membership import Member
from tenantry_server.services.members import Members
from tenantry_server.store.queries import members
from tenantry_server.store.urls import open_database

FEW, MANY = 2, 25

# Who calls and what they may do is one statement, which answers with the organization too.
MOST = {
    "GetOrganization": 1,
    "GetCurrentOrganization": 2,
    "ListOrganizations": 2,
    "ListPermissions": 1,
    "GetRole": 2,
    "ListRoles": 2,
    "GetMember": 3,
    "ListMembers": 3,
    "GetInvitation": 3,
    "ListInvitations": 3,
    "ListMyInvitations": 3,
    "CountMyInvitations": 2,
    "ListAuditEvents": 2,
    "ListPlatformAuditEvents": 2,
    "GetUser": 3,
    "ListUsers": 3,
    "FindUserByEmail": 3,
    "ExportUser": 14,
    "GetCurrentUser": 5,
    "GetApiToken": 3,
    "ListApiTokens": 4,
    "GetMyApiToken": 5,
    "ListMyApiTokens": 5,
    "GetCurrentApiToken": 5,
    "GetPlatformToken": 2,
    "ListPlatformTokens": 2,
    "GetOtelConfig": 3,
    "GetOrganizationLimits": 1,
    "CheckRateLimit": 2,
    "ListMeteredUsage": 2,
    "CheckPermission": 1,
    "BatchCheckPermissions": 2,
    "ListEffectivePermissions": 1,
    "ListMembersWithPermission": 2,
    "ListAccessibleOrganizations": 2,
    "Check": 1,
    "ListSharedRegions": 1,
    "ListRegions": 3,
    "GetRegion": 2,
    "FindRegionByKey": 2,
    "ListMetrics": 1,
    "GetOrganizationQuotas": 2,
    "GetRegionQuota": 3,
    "GetUsage": 8,
    "FindOrganizationByResource": 2,
    "FindRegionQuotaByResource": 4,
    "FindOtelConfigByResourceToken": 4,
    "ListLeases": 3,
}
# Dialects whose requests name the organization where authentication does not look for it.
MOST_IN_DIALECT = {"rest.authzen.AccessService.Evaluate": 2}
# The same with a change, which counts the revision, asks for the caller's rights again and writes the event; of each of the
# organizations, where it is a change of several.
MOST_OF_A_CHANGE = 20

READS = [method for method in methods() if not is_change(method)]
CHANGES = [method for method in core_methods() if is_change(method) and core_of(method).name != "UndeleteOrganization"]


@pytest.fixture(scope="module")
def crowds(engines: Engines) -> Iterator[Callable[[str], tuple[World, Crowd, Crowd]]]:
    """A server of each engine, with a small crowd and a large one."""
    made: dict[str, tuple[World, Crowd, Crowd]] = {}
    deployments: list[Deployment] = []

    def crowds_of(engine: str) -> tuple[World, Crowd, Crowd]:
        if engine not in made:
            deployments.append(deploy(engine, engines.new(engine)))
            world = World(deployments[-1])
            made[engine] = (world, Crowd(world, FEW), Crowd(world, MANY))
        return made[engine]

    yield crowds_of
    for deployment in deployments:
        deployment.close()


def _told(world: World, crowd: Crowd, method: MethodDescriptor) -> list[str]:
    request = build(method, crowd.objects, validate_only=True)
    if "unassign" in method.input_type.fields_by_name:
        request.unassign = True
    with Heard(world.deployment.database) as heard:
        crowd.actor(method).send(method.full_name, request)
    return heard.statements


def test_every_read_states_what_it_costs() -> None:
    assert {core_of(method).name for method in READS} == set(MOST)


@pytest.mark.parametrize("method", READS, ids=label)
def test_a_read_costs_the_same_for_many_objects_as_for_few(
    engine: str, crowds: Callable[[str], tuple[World, Crowd, Crowd]], method: MethodDescriptor
) -> None:
    world, few, many = crowds(engine)
    told = _told(world, many, method)
    assert told == _told(world, few, method)
    assert len(told) <= MOST_IN_DIALECT.get(label(method), MOST[core_of(method).name])


def test_a_read_that_asks_for_each_object_would_be_seen(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_by_one(self: Members, call: Call, after: str, limit: int) -> list[Member]:
        rows = self.database.rows(members.LIST, organization_id=call.organization_id, after=after, limit=limit)
        return [self.get(call, user_id=row[1]) for row in rows]

    monkeypatch.setattr(Members, "_list", one_by_one)
    world = deploy_own()
    (method,) = [method for method in core_methods() if method.name == "ListMembers"]
    few, many = (len(_told(world, Crowd(world, size), method)) for size in (2, 4))
    assert many == few + 4


def test_reading_an_organization_is_one_statement_with_authentication(
    engine: str, crowds: Callable[[str], tuple[World, Crowd, Crowd]]
) -> None:
    world, _, many = crowds(engine)
    (method,) = [method for method in core_methods() if method.name == "GetOrganization"]
    assert len(_told(world, many, method)) == 1


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_a_change_costs_the_same_among_many_objects_as_among_few(
    engine: str, crowds: Callable[[str], tuple[World, Crowd, Crowd]], method: MethodDescriptor
) -> None:
    world, few, many = crowds(engine)
    told = _told(world, many, method)
    assert told == _told(world, few, method)
    assert len(told) <= MOST_OF_A_CHANGE * max(1, events_of(method))


def test_an_export_and_a_deletion_cost_as_much_for_each_organization_of_the_user(world: World) -> None:
    owner, user = world.person("owner"), world.person("user")

    def costs() -> list[int]:
        world.join(world.organization(owner), owner, user)
        methods_of = {label(method): method for method in core_methods()}
        found = []
        for name, more in (("UserService.ExportUser", {}), ("UserService.DeleteUser", {"validate_only": True})):
            with Heard(world.deployment.database) as heard:
                operator(methods_of[name].full_name, user_id=user.id, **more)
            found.append(len(heard.statements))
        return found

    operator = world.platform()
    exports, deletions = zip(*(costs() for _ in range(3)), strict=True)
    assert exports[2] - exports[1] == exports[1] - exports[0] <= 2
    assert deletions[2] - deletions[1] == deletions[1] - deletions[0] <= 10


# -- tenants ---------------------------------------------------------------------------------------------------------

_TENANT = (
    *("roles", "memberships", "membership_roles", "invitations", "invitation_roles", "audit_events"),
    "api_token_exclusions",
    *("regions", "region_keys", "region_quotas", "usage_ledgers", "usages", "usage_leases"),
)
# What is looked for across organizations, and by what.
ACROSS = {
    **dict.fromkeys(
        (f"authorization.STANDINGS {kind}" for kind in ("user", "api_token", "secret", "identity")),
        "standings, by pairs of a subject and an organization",
    ),
    "authorization.ACCESSIBLE_TO_MEMBERS": "a user's organizations that grant a permission",
    "authorization.ACCESSIBLE_TO_HOLDERS": "a user's organizations that grant a permission",
    "organizations.CONFIGURED": "what has secrets, to encrypt it anew; for the command line",
    "regions.BY_KEY": "a region, by a key of it",
    "quotas.ORGANIZATION_OF": "an organization, by a resource of it",
    "quotas.THERE": "whether anybody has a quota in a region of the platform",
    "quotas.LEASED_THERE": "whether anybody uses something in a region of the platform",
    "regions.DEFAULT_OF": "whether a region of the platform is anybody's default",
    "access.BY_DIGEST": "a credential, by its digest",
    "access.BY_DIGEST_AGAIN": "a credential, by its digest",
    "access.BY_TOKEN_ID": "a credential, by its id",
    "access.BY_IDENTITY": "a credential, by how a provider knows the user",
    "access.BY_IDENTITY_ID": "a credential, by its id",
    "invitations.MINE": "invitations, by the invitee's address",
    "invitations.COUNT_MINE": "invitations, by the invitee's address",
    "invitations.TO_ADDRESS": "an invitation, by the invitee's address",
    "invitations.MY_ASSIGNMENTS": "what invitations offer, by the invitee's address",
    "organizations.OF_USER": "a user's organizations",
    "organizations.PERSONAL": "a user's own organization",
    "organizations.COUNT_CREATED": "how many organizations a user made",
    "organizations.IDS_OF_USER": "a user's organizations",
    "api_tokens.KEPT_OUT_BEYOND": "where a person's token is kept out",
    "members.ROLES_OF_USER": "a user's organizations",
    "invitations.OF_ADDRESS": "what is kept of a user, to be handed out",
    "erasure.HOME": "where a user's life is told",
    "erasure.FORMER_HOLDERS": "whose an address was",
    "erasure.EVENTS": "what is kept of a user, to be removed",
    "erasure.INVITATIONS": "what is kept of a user, to be removed",
    "retention.DUE": "organizations whose purge is due",
    "retention.WALK": "invitations that are expired, wherever they are",
}
_NAMED = {
    "SELECT": re.compile(r'WHERE .*"(?:organization_id|t1"\."id)" = '),
    "UPDATE": re.compile(r'WHERE .*"(?:organization_id|organizations"\."id)" = '),
    "DELETE": re.compile(r'WHERE .*"(?:organization_id|organizations"\."id)" = '),
    "INSERT": re.compile(r'INSERT INTO "\w+" \((?:"\w+", )*"organization_id"|INSERT INTO "organizations" \("id"'),
}


@pytest.mark.parametrize("name", statements())
def test_a_statement_about_a_tenant_names_the_organization(name: str) -> None:
    told = text(open_database("sqlite:///unused"), statements()[name])
    tables = set(re.findall(r'(?:FROM|JOIN|INTO|UPDATE) "(\w+)"', told))
    if not tables & {*_TENANT, "organizations"}:
        assert name not in ACROSS
    elif name not in ACROSS:
        assert _NAMED[told.split(" ", 1)[0]].search(told), told
    for table, condition in re.findall(r'JOIN "(\w+)" AS "\w+" ON (\(.*?\))(?= WHERE| LEFT| INNER)', told):
        if table in _TENANT:
            assert re.search(r'"organization_id" = (?:\?|"t\d"\."(?:organization_id|id)")', condition), f"{table}: {condition}"


def test_what_may_look_across_organizations_exists() -> None:
    assert set(ACROSS) <= set(statements())


def test_nothing_else_is_said_to_the_database(engine: str, crowds: Callable[[str], tuple[World, Crowd, Crowd]]) -> None:
    world, few, _ = crowds(engine)
    known = {text(world.deployment.database, statement) for statement in statements().values()}
    for method in (*READS, *CHANGES):
        told = _told(world, few, method)
        assert set(told) <= known, label(method)
