"""Whom client certificates stand for: what an operator's list may say, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tenantry_server.domain.certificates import (
    CertificatesError,
    Identity,
    IdentityKind,
    principal_of,
    read_principals,
)
from tenantry_server.domain.principal import Principal, PrincipalKind

KNOWN = frozenset({"user:read", "user:update"})
SPIFFE = "spiffe://example.org/billing"
BILLING = {"spiffe": SPIFFE, "name": "billing"}
REPORTS = {"dns": "reports.internal", "name": "reports", "permissions": ["user:read"]}


def listed(*entries: Any) -> dict[Identity, Principal]:
    """What a list of these entries says."""
    return read_principals({"principals": [*entries]}, KNOWN)


def refusal(*entries: Any) -> str:
    """How such a list is refused."""
    with pytest.raises(CertificatesError) as refused:
        listed(*entries)
    return str(refused.value)


def spiffe(value: str) -> Identity:
    return Identity(IdentityKind.SPIFFE, value)


def dns(value: str) -> Identity:
    return Identity(IdentityKind.DNS, value)


def test_identities_stand_for_principals_of_the_platform() -> None:
    assert listed(BILLING, REPORTS) == {
        spiffe(SPIFFE): Principal(kind=PrincipalKind.PLATFORM, credential_id="certificate:billing", permissions=None),
        dns("reports.internal"): Principal(
            kind=PrincipalKind.PLATFORM, credential_id="certificate:reports", permissions=frozenset({"user:read"})
        ),
    }
    assert listed() == {}


def test_dns_names_are_the_same_in_any_letters() -> None:
    assert set(listed(REPORTS | {"dns": "Reports.INTERNAL"})) == {dns("reports.internal")}


@pytest.mark.parametrize(
    "data", [None, "principals", [], {}, {"principals": None}, {"principals": {}}, {"principals": [], "version": 1}]
)
def test_what_is_no_list_of_principals_is_refused(data: Any) -> None:
    with pytest.raises(CertificatesError, match="must be a mapping with one key, principals, and that a list"):
        read_principals(data, KNOWN)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("billing", "principal 2 must be a mapping"),
        (REPORTS | {"permission": []}, "principal 2: unknown key permission"),
        (REPORTS | {"spiffe": SPIFFE}, "principal 2 must have one of spiffe and dns"),
        ({"name": "x"}, "principal 2 must have one of spiffe and dns"),
        ({"dns": "x"}, "principal 2: name must be lower case"),
        (REPORTS | {"name": "Reports"}, "principal 2: name must be lower case"),
        (REPORTS | {"name": "a b"}, "principal 2: name must be lower case"),
        (REPORTS | {"name": "a\n"}, "principal 2: name must be lower case"),
        (REPORTS | {"name": "x" * 64}, "principal 2: name must be lower case"),
        (REPORTS | {"name": 7}, "principal 2: name must be lower case"),
        (REPORTS | {"name": "billing"}, "principal 2: name 'billing' is there twice"),
        (BILLING | {"name": "other"}, f"principal 2: spiffe '{SPIFFE}' is there twice"),
        (REPORTS | {"permissions": ["user:read", "user:fly", "a"]}, "principal 2: unknown permission a, user:fly"),
        (REPORTS | {"permissions": ["*"]}, "principal 2: unknown permission *"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_place(entry: Any, text: str) -> None:
    assert refusal(BILLING, entry).startswith(text)


@pytest.mark.parametrize("permissions", [None, [], "user:read", {"user:read": True}, ["user:read", None], [["user:read"]]])
def test_only_permissions_that_are_left_out_are_all_of_them(permissions: Any) -> None:
    assert "permissions must be a list of names" in refusal(REPORTS | {"permissions": permissions})


def test_the_same_dns_name_in_other_letters_is_a_repetition() -> None:
    assert "'reports.internal' is there twice" in refusal(REPORTS, REPORTS | {"dns": "REPORTS.internal", "name": "other"})


@pytest.mark.parametrize("value", [SPIFFE, "spiffe://a/b", "spiffe://a_b.c-d.1/E/f_9/.g/..h", "spiffe://x/" + "y" * 2037])
def test_a_spiffe_id_of_a_workload_is_accepted(value: str) -> None:
    assert list(listed({"spiffe": value, "name": "x"})) == [spiffe(value)]


@pytest.mark.parametrize(
    "value",
    [
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://example.org/*",
        "spiffe://*/billing",
        "spiffe://example.org/billing/",
        "spiffe://example.org//billing",
        "spiffe://example.org/./billing",
        "spiffe://example.org/a/../billing",
        "spiffe://example.org/..",
        "spiffe://Example.org/billing",
        "SPIFFE://example.org/billing",
        "spiffe://user@example.org/billing",
        "spiffe://example.org:443/billing",
        "spiffe://example.org/billing?x=1",
        "spiffe://example.org/billing#x",
        "spiffe://example.org/b%69lling",
        "spiffe://example.org/billing\n",
        "spiffe://example.org/billing\0",
        "spiffe:///billing",
        "https://example.org/billing",
        "billing.internal",
        "spiffe://x/" + "y" * 2038,
        "",
        None,
        7,
    ],
)
def test_what_is_no_spiffe_id_of_a_workload_is_refused(value: Any) -> None:
    assert "is no SPIFFE id of a workload; there are no wildcards" in refusal({"spiffe": value, "name": "x"})


@pytest.mark.parametrize("value", ["a", "localhost", "billing.internal", "a-b.c9.example", "9.example", "x" * 63 + ".y"])
def test_a_dns_name_is_accepted(value: str) -> None:
    assert list(listed({"dns": value, "name": "x"})) == [dns(value)]


@pytest.mark.parametrize(
    "value",
    [
        *("*", "*.internal", "b*.internal", "a.*.internal", ".internal", "internal.", "a..b", "-a.b", "a-.b", "a_b.c", "a b"),
        *("10.0.0.1", "::1", "a:80", "spiffe://example.org/billing", "a@b", "ä.example", "a\n", "a\0.b", "x" * 64, "", None, 7),
        ".".join(["x" * 60] * 5),
    ],
)
def test_what_is_no_dns_name_is_refused(value: Any) -> None:
    assert "is no DNS name; there are no wildcards" in refusal({"dns": value, "name": "x"})


def test_a_certificate_stands_for_the_one_principal_that_its_names_do() -> None:
    principals = listed(BILLING, REPORTS)
    billing, reports = principals[spiffe(SPIFFE)], principals[dns("reports.internal")]
    assert principal_of([dns("a"), spiffe(SPIFFE)], principals) is billing
    assert principal_of([dns("reports.internal"), dns("*.internal")], principals) is reports
    assert principal_of([dns("a"), dns("*.internal"), dns(SPIFFE), spiffe("reports.internal")], principals) is None
    assert principal_of([], principals) is None
    assert principal_of([spiffe(SPIFFE), dns("reports.internal")], principals) is None, "nobody could say whose call it is"
