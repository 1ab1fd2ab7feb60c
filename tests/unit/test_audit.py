"""What a change says of itself: the fields that differ, as JSON can hold them, without secrets and bookkeeping."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from support.records import NOW, api_token, invitation, member, organization, role

from tenantry_server.domain.audit import changes
from tenantry_server.domain.membership import Grant
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.roles import MemberRole


def test_only_what_differs_is_told() -> None:
    before = organization()
    after = replace(before, name="Other", state=OrganizationState.SUSPENDED)
    assert changes(before, after) == {"name": ("Acme", "Other"), "state": ("active", "suspended")}


def test_nothing_is_told_when_nothing_differs() -> None:
    assert changes(organization(), organization()) == {}


def test_bookkeeping_is_no_change() -> None:
    before = organization()
    after = replace(before, id="X", revision=7, create_time=NOW - timedelta(1), update_time=NOW + timedelta(1))
    assert changes(before, after) == {}


def test_what_is_made_or_gone_is_told_from_or_to_nothing() -> None:
    made = changes(None, role("a:read", name="Reader"))
    assert made["name"] == (None, "Reader")
    assert made["permissions"] == (None, ["a:read"])
    assert changes(role("a:read", name="Reader"), None)["permissions"] == (["a:read"], None)


def test_roles_are_told_by_their_ids_and_instants_in_words() -> None:
    before = invitation()
    after = replace(before, assigned_roles=(role(id="A"), role(id="B")), expire_time=NOW)
    assert changes(before, after) == {
        "assigned_roles": ([], ["A", "B"]),
        "expire_time": ("2030-01-03T03:04:05.678Z", "2030-01-02T03:04:05.678Z"),
    }


def test_a_grant_is_a_standing_and_roles() -> None:
    assert changes(None, Grant(MemberRole.MEMBER, (role(id="A"),))) == {
        "role": (None, "member"),
        "assigned_roles": (None, ["A"]),
    }


def test_a_secret_is_never_told() -> None:
    token = api_token("a:read", secret="hunter2")
    told = changes(None, token)
    assert "secret" not in told
    assert "hunter2" not in str(told)
    assert told["permissions"] == (None, ["a:read"])
    assert changes(token, replace(token, secret="hunter3")) == {}


def test_of_a_token_all_is_told_but_its_secret_and_whose_it_is_by_kind_and_ids() -> None:
    before = api_token("a:read", expire_time=NOW)
    after = replace(before, name="Other", permissions=None, expire_time=None, overlap_end_time=NOW)
    assert changes(before, after) == {
        "name": ("Token", "Other"),
        "permissions": (["a:read"], None),
        "expire_time": ("2030-01-02T03:04:05.678Z", None),
        "overlap_end_time": (None, "2030-01-02T03:04:05.678Z"),
    }
    assert {"kind", "user_id", "creator_id"} <= changes(None, before).keys()


def test_everything_that_is_told_is_json() -> None:
    nested = replace(organization(), experimental_config={"a": {"b": [1, None, {"c": True}]}})
    for told in (changes(organization(), nested), changes(None, member()), changes(None, invitation())):
        assert json.loads(json.dumps(told)) == {field: [before, after] for field, (before, after) in told.items()}
