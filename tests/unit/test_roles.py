"""Roles: names that could be taken for ownership, and which roles may be assigned together."""

from __future__ import annotations

import pytest
from support.records import role

from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.domain.roles import assigned, ensure_role_name


@pytest.mark.parametrize(
    "name",
    [
        *("owner", "Owner", "OWNERS", " owner ", "o w n e r", "o-w-n-e-r", "ｏｗｎｅｒ", "ówner", "0wner"),
        *("оwner", "ownеr", "οwner", "𝐨𝐰𝐧𝐞𝐫", "owner\u200b", "\u202eowner", "o\u0301wner", "Owner!"),
    ],
)
def test_a_name_that_looks_like_ownership_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ensure_role_name(name, field="name")
    assert [(v.field, v.rule) for v in refusal.value.violations] == [("name", "OWNER_LOOK_ALIKE")]


@pytest.mark.parametrize("name", ["Developer", "Product Owner", "ownership", "co-owner", "Own", "所有者", "Besitzer"])
def test_other_names_are_fine(name: str) -> None:
    ensure_role_name(name, field="name")


A, B, HELD = role(id="A"), role(id="B"), role(id="C", assignable=False)


def test_roles_come_back_by_id() -> None:
    assert assigned(["B", "A"], [B, A], field="ids") == (A, B)
    assert assigned([], [], field="ids") == ()


@pytest.mark.parametrize(
    ("role_ids", "field", "rule"),
    [
        (["A", "X"], "ids[1]", "UNKNOWN_ROLE"),
        (["A", "C"], "ids[1]", "NOT_ASSIGNABLE"),
        (["A", "B", "A"], "ids", "REPEATED_ROLE"),
    ],
)
def test_roles_that_cannot_be_assigned_are_refused(role_ids: list[str], field: str, rule: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        assigned(role_ids, [A, B, HELD], field=field.partition("[")[0])
    assert [(v.field, v.rule) for v in refusal.value.violations] == [(field, rule)]
