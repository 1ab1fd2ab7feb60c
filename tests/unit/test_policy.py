"""What stops the server from starting: every way in which a method's declaration can be missing or wrong."""

from __future__ import annotations

from typing import Any

import pytest
from support.synthetic import NUMBER, ORGANIZATION, REQUEST_KEY, TEXT, Field, Synthetic

from tenantry.policy.v1 import policy_pb2
from tenantry.policy.v1.policy_pb2 import Access, Rest
from tenantry_server import bootstrap
from tenantry_server.domain.principal import Level, PrincipalKind
from tenantry_server.operator_files import load_catalog
from tenantry_server.rpc import policy
from tenantry_server.rpc.policy import MethodPolicy, PolicyError

CATALOG = load_catalog()
READ = Access(permissions=["role:read"])
CHANGE = Access(permissions=["role:update"])


def read(synthetic: Synthetic) -> dict[str, MethodPolicy]:
    """The policies of synthetic services, by the name of the method."""
    found = policy.read(synthetic.names, CATALOG, synthetic.pool())
    return {path.rpartition("/")[2]: declared for path, declared in found.items()}


def one(*fields: Field, **options: Any) -> MethodPolicy:
    """The policy of one synthetic method."""
    return read(Synthetic().method("Things", "Do", *fields, **options))["Do"]


def test_a_method_without_access_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"Things\.Do does not declare who may call it"):
        one(ORGANIZATION)


def test_an_empty_declaration_is_scoped_and_so_needs_a_permission() -> None:
    with pytest.raises(PolicyError, match="is scoped, but requires no permission"):
        one(ORGANIZATION, access=Access())


def test_a_permission_that_the_catalog_does_not_have_is_refused() -> None:
    with pytest.raises(PolicyError, match="requires unknown permissions: a:b, role:reed"):
        one(ORGANIZATION, access=Access(permissions=["role:reed", "role:read", "a:b"]))


@pytest.mark.parametrize(
    ("level", "permission"),
    [
        (policy_pb2.ACCESS_LEVEL_SCOPED, "user:read"),
        (policy_pb2.ACCESS_LEVEL_AUTHENTICATED, "platform-token:read"),
        (policy_pb2.ACCESS_LEVEL_PLATFORM, "role:read"),
    ],
)
def test_tenants_and_operators_have_permissions_of_their_own(level: policy_pb2.AccessLevel.ValueType, permission: str) -> None:
    with pytest.raises(PolicyError, match=f"requires unknown permissions: {permission}"):
        one(ORGANIZATION, access=Access(level=level, permissions=[permission]))


@pytest.mark.parametrize(
    "fields",
    [(), (("organization", TEXT, False),), (("organization_id", NUMBER, False),), (("organization_id", TEXT, True),)],
    ids=["absent", "misnamed", "a number", "a list"],
)
def test_a_scoped_request_without_its_organization_is_refused(fields: tuple[Field, ...]) -> None:
    with pytest.raises(PolicyError, match="is scoped, but its request has no organization_id"):
        one(*fields, access=READ)


def test_a_scoped_stream_of_requests_is_refused() -> None:
    with pytest.raises(PolicyError, match="is scoped, but its requests come as a stream"):
        one(ORGANIZATION, access=READ, client_streaming=True)


def test_a_change_under_a_read_permission_is_refused() -> None:
    with pytest.raises(PolicyError, match="changes something under role:read, member:read alone"):
        one(ORGANIZATION, REQUEST_KEY, access=Access(permissions=["role:read", "member:read"]))


def test_a_change_that_also_needs_another_permission_is_fine() -> None:
    assert one(ORGANIZATION, REQUEST_KEY, access=Access(permissions=["role:read", "role:update"])).is_change


def test_a_dialect_method_of_nothing_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"speaks for 'tenantry\.v1\.Nothing\.Do', which does not exist"):
        one(ORGANIZATION, rest=Rest(of="tenantry.v1.Nothing.Do"))


def test_a_dialect_method_of_an_undeclared_one_is_refused() -> None:
    undeclared = Synthetic().method("Bare", "Do", ORGANIZATION)
    with pytest.raises(PolicyError, match=r"Bare\.Do does not declare"):
        read(undeclared.method("Rest", "Do", ORGANIZATION, rest=Rest(of="tenantry.synthetic.Bare.Do")))


def test_a_dialect_request_without_its_organization_is_refused() -> None:
    core = Synthetic().method("Core", "Read", ORGANIZATION, access=READ)
    with pytest.raises(PolicyError, match=r"Rest\.Get is scoped, but its request has no organization_id"):
        read(core.method("Rest", "Get", rest=Rest(of="tenantry.synthetic.Core.Read")))


def test_a_header_that_names_the_organization_belongs_to_the_dialects_method_alone() -> None:
    core = Synthetic().method("Core", "Read", ORGANIZATION, access=READ)
    rest = Rest(of="tenantry.synthetic.Core.Read", organization_header="x-organization")
    found = read(core.method("Rest", "Get", ORGANIZATION, rest=rest))
    assert (found["Get"].organization_header, found["Read"].organization_header) == ("x-organization", "")


@pytest.mark.parametrize("fields", [(), (("organization_id", NUMBER, False),), (("organization_id", TEXT, True),)])
def test_a_header_without_a_field_for_the_organization_is_refused(fields: tuple[Field, ...]) -> None:
    core = Synthetic().method("Core", "Read", access=Access(level=policy_pb2.ACCESS_LEVEL_AUTHENTICATED))
    rest = Rest(of="tenantry.synthetic.Core.Read", organization_header="x-organization")
    with pytest.raises(PolicyError, match=r"Rest\.Get has an organization_header, but its request has no organization_id"):
        read(core.method("Rest", "Get", *fields, rest=rest))


def test_a_dialect_method_inherits_what_its_core_method_declares() -> None:
    core = Synthetic().method("Core", "Alter", ORGANIZATION, REQUEST_KEY, access=CHANGE)
    found = read(core.method("Rest", "Put", ORGANIZATION, rest=Rest(of="tenantry.synthetic.Core.Alter"), access=READ))
    assert found["Put"].requirement == found["Alter"].requirement
    assert found["Put"].core == found["Alter"].core == "tenantry.synthetic.Core.Alter"
    assert found["Put"].is_change
    assert found["Put"].is_dialect
    assert not found["Alter"].is_dialect


@pytest.mark.parametrize(
    ("declared", "level"),
    [
        (policy_pb2.ACCESS_LEVEL_AUTHENTICATED, Level.AUTHENTICATED),
        (policy_pb2.ACCESS_LEVEL_PUBLIC, Level.PUBLIC),
        (policy_pb2.ACCESS_LEVEL_PLATFORM, Level.PLATFORM),
    ],
)
def test_other_levels_need_neither_organization_nor_permission(
    declared: policy_pb2.AccessLevel.ValueType, level: Level
) -> None:
    assert one(access=Access(level=declared)).requirement.level is level


def test_every_level_and_every_kind_of_the_proto_is_known() -> None:
    assert set(policy._LEVELS) == set(policy_pb2.AccessLevel.values())
    assert set(policy._KINDS) == set(policy_pb2.PrincipalKind.values()) - {policy_pb2.PRINCIPAL_KIND_UNSPECIFIED}


def test_all_kinds_but_the_platform_may_call_when_none_is_named() -> None:
    assert one(ORGANIZATION, access=READ).requirement.kinds == set(PrincipalKind) - {PrincipalKind.PLATFORM}


def test_only_the_named_kinds_may_call() -> None:
    access = Access(permissions=["role:read"], principals=[policy_pb2.PRINCIPAL_KIND_ORGANIZATION])
    assert one(ORGANIZATION, access=access).requirement.kinds == {PrincipalKind.ORGANIZATION}


def test_only_the_platform_may_call_a_platform_method() -> None:
    access = Access(level=policy_pb2.ACCESS_LEVEL_PLATFORM, principals=[policy_pb2.PRINCIPAL_KIND_USER])
    assert one(access=access).requirement.kinds == {PrincipalKind.PLATFORM}


@pytest.mark.parametrize("flag", ["allow_suspended", "allow_deleted"])
def test_states_are_taken_over(flag: str) -> None:
    access = Access(permissions=["role:read"])
    setattr(access, flag, True)
    requirement = one(ORGANIZATION, access=access).requirement
    assert getattr(requirement, flag)
    assert requirement.allow_suspended != requirement.allow_deleted


def test_the_servers_own_services_are_all_declared() -> None:
    policies = policy.read((*bootstrap.SERVICE_NAMES, *policy.INFRASTRUCTURE), CATALOG)
    public = {path for path, declared in policies.items() if declared.requirement.level is Level.PUBLIC}
    shared = {path for path in public if policies[path].core == "tenantry.v1.RegionService.ListSharedRegions"}
    # Who wants to pass through Envoy is told by the request that is asked about.
    assert {path.split("/")[1] for path in public - shared} == {
        *policy.INFRASTRUCTURE,
        "envoy.service.auth.v3.Authorization",
    }
    assert {declared.path for declared in policies.values()} == set(policies)
