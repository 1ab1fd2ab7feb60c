"""Files of an operator: what they add, and that one which makes no sense is refused by the name of its setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantry_server.config import ConfigError
from tenantry_server.domain.regions import FirstRegion, RegionType
from tenantry_server.operator_files import load_catalog, load_principals, load_regions


def test_an_operators_file_extends_the_catalog(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("permissions: {robot:start: Start robots}\nimplicit: [robot:start]\n")
    catalog = load_catalog(file)
    assert catalog.all == load_catalog().all | {"robot:start"}
    assert "robot:start" in catalog.implicit


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "permissions: [",
        "- a list",
        "permissions: [role:read]",
        "permissions: {role:read: again}",
        "permissions: {1: one}",
        "roles: [{name: Nameless}]",
        "roles: [{id: 7, name: N, description: D, permissions: []}]",
        "implicit: [7]",
        "implicit: 7",
        "metrics: {cpu: {description: other}}",
        "metrics: {robot: {default: 3}}",
        "metrics: {Robot: {description: Robots}}",
        "metrics: {robot: {description: Robots, default: -1}}",
        "metrics: {robot: {description: Robots, default: many}}",
        "metrics: {robot: {description: Robots, kind: toy}}",
        "metrics: {robot: {description: Robots, caps: cpu}}",
        "metrics: {robot: {description: Robots, kind: cap, caps: horse, of: sandbox}}",
        "metrics: {robot: {description: Robots, kind: cap, caps: cpu, of: sandbox, when: tired}}",
        "metrics: {robot: {description: Robots, fallback: horse, regional: true}}",
        "metrics: {robot: {description: Robots, colour: red}}",
        "metrics: 7",
        "classes: [A B]",
    ],
)
def test_an_operators_file_that_is_no_catalog_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "more.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="TENANTRY_PERMISSIONS_FILE"):
        load_catalog(file)


def test_an_operators_file_adds_metrics_and_gives_others_other_figures(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("metrics: {project: {description: Projects, default: 3}, volume: {default: 7}}\nclasses: [mainframe]\n")
    metrics = load_catalog(file).metrics
    assert set(metrics.all) == set(load_catalog().metrics.all) | {"project"}
    assert (metrics.limit("project", {}), metrics.limit("volume", {}), metrics.limit("snapshot", {})) == (3, 7, 30)
    assert (metrics.default_class, metrics.classes[-1]) == ("container", "mainframe")


def test_a_new_installation_has_two_regions_or_those_of_the_operators_file(tmp_path: Path) -> None:
    assert [(region.id, region.name, region.type, region.enforce_quotas) for region in load_regions()] == [
        ("us", "us", RegionType.SHARED, True),
        ("eu", "eu", RegionType.SHARED, True),
    ]
    file = tmp_path / "regions.yaml"
    file.write_text("regions: [{id: mars, name: Mars, type: dedicated, enforce_quotas: false}]\n")
    assert load_regions(file) == (FirstRegion(id="mars", name="Mars", type=RegionType.DEDICATED, enforce_quotas=False),)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "regions: 7",
        "regions: [us]",
        "regions: [{name: us}]",
        "regions: [{id: US}]",
        "regions: [{id: us}, {id: us}]",
        "regions: [{id: us, name: Same}, {id: eu, name: Same}]",
        "regions: [{id: us, type: custom}]",
        "regions: [{id: us, type: flat}]",
        "regions: [{id: us, enforce_quotas: perhaps}]",
        "regions: [{id: us, name: 'a b'}]",
        "regions: [{id: us, colour: red}]",
        "regions: [{id: 01arz3ndektsv4rrffq69g5fav}]",
    ],
)
def test_an_operators_file_that_is_no_list_of_regions_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "regions.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="TENANTRY_REGIONS_FILE"):
        load_regions(file)


KNOWN = frozenset({"user:read"})


def test_an_operators_file_says_whom_certificates_stand_for(tmp_path: Path) -> None:
    file = tmp_path / "principals.yaml"
    billing = "{spiffe: 'spiffe://example.org/billing', name: billing}"
    file.write_text(f"principals: [{billing}, {{dns: a.b, name: ab, permissions: [user:read]}}]\n")
    found = {identity.value: principal for identity, principal in load_principals(file, KNOWN).items()}
    assert {value: each.credential_id for value, each in found.items()} == {
        "spiffe://example.org/billing": "certificate:billing",
        "a.b": "certificate:ab",
    }
    assert [each.permissions for each in found.values()] == [None, {"user:read"}]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "No such file"),
        ("", "must be a mapping"),
        ("principals: [", "expected"),
        ("principals: [{dns: a, name: x, permissions: [role:read]}]", "principal 1: unknown permission role:read"),
        ("principals: []\nprincipals: []", "line 1: principals is there twice"),
        ("principals:\n- dns: a\n  dns: b\n  name: x", "line 2: dns is there twice"),
        ("principals: [!!python/object/apply:os.getcwd []]", "could not determine a constructor"),
        ("principals: [{[a]: b}]", "unhashable"),
        ("\udcff", "can't decode"),
    ],
)
def test_an_operators_file_that_is_no_list_of_principals_is_refused(tmp_path: Path, content: str | None, text: str) -> None:
    file = tmp_path / "principals.yaml"
    if content is not None:
        file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match="TENANTRY_MTLS_PRINCIPALS_FILE") as refusal:
        load_principals(file, KNOWN)
    assert text in str(refusal.value)
