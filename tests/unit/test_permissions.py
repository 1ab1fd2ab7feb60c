"""The permission catalog: what the data must not say, and what it makes of what it says."""

from __future__ import annotations

from typing import Any

import pytest
from support.records import CATALOG

from tenantry_server.domain import ids
from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.domain.permissions import Catalog, CatalogError

ID = "00000000-0000-0000-0000-0000000000aa"
BASE: dict[str, Any] = {
    "permissions": {"thing:read": "Read things", "thing:write": "Write things", "thing:own": "Own things"},
    "implicit": ["thing:read"],
    "owner_only": ["thing:own"],
    "roles": [{"id": ID, "key": "writer", "name": "Writer", "description": "Writes", "permissions": ["thing:write"]}],
}


def role(**given: Any) -> dict[str, Any]:
    """A source with one more role."""
    values = {"id": ID[:-1] + "b", "name": "Other", "description": "", "permissions": ["thing:write"]}
    return {"roles": [values | given]}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"permissions": {"thing:read": "again"}}, "'thing:read' is misspelt or defined twice"),
        ({"permissions": {"Thing:read": ""}}, "'Thing:read' is misspelt"),
        ({"permissions": {"thing": ""}}, "'thing' is misspelt"),
        ({"permissions": {"thing:read:all": ""}}, "misspelt"),
        ({"permissions": {"thing_s:read": ""}}, "misspelt"),
        ({"permissions": {"1thing:read": ""}}, "misspelt"),
        ({"platform": {"thing:read": "again"}}, "'thing:read' is misspelt or defined twice"),
        ({"permissions": {"plan:read": ""}, "platform": {"plan:read": ""}}, "'plan:read' is misspelt or defined twice"),
        ({"platform": {"Plan:read": ""}}, "'Plan:read' is misspelt"),
        ({"platform": {"plan:read": ""}, "implicit": ["plan:read"]}, "implicit names unknown permissions: plan:read"),
        ({"platform": {"plan:read": ""}, **role(permissions=["plan:read"])}, "role 'Other' cannot grant plan:read"),
        ({"implicit": ["thing:reed", "a:b"]}, "implicit names unknown permissions: a:b, thing:reed"),
        ({"owner_only": ["thing:reed"]}, "owner_only names unknown permissions: thing:reed"),
        (role(id=ID), f"role id '{ID}' is misspelt or defined twice"),
        (role(id=str(ids.find(ID))), "is misspelt or defined twice"),
        (role(id="12"), "role id '12' is misspelt"),
        (role(permissions=["thing:reed"]), "role 'Other' cannot grant thing:reed"),
        (role(permissions=["thing:write", "thing:own"]), "role 'Other' cannot grant thing:own"),
    ],
)
def test_data_that_contradicts_itself_is_refused(source: dict[str, Any], says: str) -> None:
    with pytest.raises(CatalogError, match=says):
        Catalog(BASE, source)


def test_a_later_source_extends_the_earlier_ones() -> None:
    catalog = Catalog(BASE, {"permissions": {"plan:read": "Read plans"}, "implicit": ["plan:read"]}, role())
    assert catalog.all == {"thing:read", "thing:write", "thing:own", "plan:read"}
    assert catalog.implicit == {"thing:read", "plan:read"}
    assert catalog.owner_only == {"thing:own"}
    assert sorted(found.name for found in catalog.roles.values()) == ["Other", "Writer"]


def test_the_platforms_permissions_are_apart() -> None:
    catalog = Catalog(BASE, {"platform": {"user:read": "Read users"}}, {"platform": {"user:erase": "Erase users"}})
    assert catalog.platform == {"user:read", "user:erase"}
    assert catalog.all == Catalog(BASE).all
    assert "user:read" not in catalog.permissions
    with pytest.raises(InvalidRequest) as refusal:
        catalog.ensure_grantable(["user:read"], field="permissions")
    assert [(v.field, v.rule) for v in refusal.value.violations] == [("permissions[0]", "UNKNOWN_PERMISSION")]


def test_no_permission_of_our_catalog_is_a_tenants_and_the_platforms() -> None:
    assert CATALOG.platform
    assert not CATALOG.platform & CATALOG.all


def test_an_empty_source_says_nothing() -> None:
    assert Catalog(BASE, {}).all == Catalog(BASE).all


def test_permissions_are_listed_by_name_with_what_they_are() -> None:
    permissions = Catalog(BASE).permissions
    assert list(permissions) == ["thing:own", "thing:read", "thing:write"]
    assert permissions["thing:own"].owner_only
    assert permissions["thing:read"].implicit
    assert permissions["thing:write"].description == "Write things"


def test_roles_are_found_by_id_and_by_key() -> None:
    catalog = Catalog(BASE)
    (found,) = catalog.roles.values()
    assert found.id == ids.find(ID)
    assert catalog.role_keys == {"writer": found}
    assert (found.system, found.assignable, found.organization_id, found.revision) == (True, True, "", 0)


def test_an_ownership_role_shows_everything_and_cannot_be_assigned() -> None:
    (found,) = Catalog({**BASE, "roles": []}, role(ownership=True, permissions=[])).roles.values()
    assert found.permissions == ("thing:own", "thing:read", "thing:write")
    assert not found.assignable


def test_what_a_role_may_consist_of_comes_sorted_and_once() -> None:
    catalog = Catalog(BASE)
    assert catalog.ensure_grantable(["thing:write", "thing:read", "thing:write"], field="permissions") == (
        "thing:read",
        "thing:write",
    )


def test_each_permission_that_a_role_may_not_have_is_named() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Catalog(BASE).ensure_grantable(["thing:read", "thing:reed", "thing:own"], field="permissions")
    assert [(v.field, v.rule) for v in refusal.value.violations] == [
        ("permissions[1]", "UNKNOWN_PERMISSION"),
        ("permissions[2]", "OWNER_ONLY_PERMISSION"),
    ]


def test_our_own_catalog_has_daytonas_eight_roles_and_dotenvs_seven() -> None:
    assert len(CATALOG.roles) == 15
    assert list(CATALOG.role_keys) == [
        *("owner", "administrator", "developer", "member", "auditor", "billing_manager", "api_user")
    ]
    assert [found.name for found in CATALOG.roles.values() if not found.assignable] == ["Owner"]


def test_no_role_of_our_catalog_but_ownership_grants_what_owners_alone_hold() -> None:
    for found in CATALOG.roles.values():
        assert not found.assignable or not CATALOG.owner_only & set(found.permissions)
