"""Settings: every variable by its default, by a good value and by bad ones, which are refused without being repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenantry_server.config import PREFIX, VARIABLES, ConfigError, Settings, duration, load, load_catalog

Read = Callable[[Settings], Any]

# Every variable: where it ends up, its default, a good value and what that means, and bad values.
CASES: dict[str, tuple[Read, Any, str, Any, list[str]]] = {
    "DATABASE_URL": (lambda s: s.database_url, "sqlite:///.data/tenantry.db", "sqlite:////x.db", "sqlite:////x.db", []),
    "DATA_DIR": (lambda s: s.data_dir, Path(".data"), "/var/lib/tenantry", Path("/var/lib/tenantry"), []),
    "HTTP_ADDRESS": (
        *(lambda s: s.http_address, "127.0.0.1:8080", "[::1]:80", "[::1]:80"),
        ["8080", ":8080", "host:", "host:65536", "host:-1", "a b:80", "http://host:80", "::1:80"],
    ),
    "GRPC_ADDRESS": (
        *(lambda s: s.grpc_address, "127.0.0.1:50051", "db-1.example:0", "db-1.example:0"),
        ["50051", "host:port", "host:123456"],
    ),
    "WORKERS": (lambda s: s.workers, 1, "4", 4, ["0", "-1", "1.5", "many", "١", "1000000000"]),
    "REGIONS": (lambda s: s.limits.regions, ("us", "eu"), "de , fr", ("de", "fr"), ["us,us", "us,,eu", "a b", "x" * 101]),
    "PERMISSIONS_FILE": (lambda s: s.permissions_file, None, "/more.yaml", Path("/more.yaml"), []),
    "MAX_ORGANIZATIONS_PER_USER": (lambda s: s.limits.organizations_per_user, 10, "3", 3, ["0", "ten"]),
    "MAX_PENDING_INVITATIONS": (lambda s: s.limits.pending_invitations, 1000, "5", 5, ["-5", "1e3"]),
    "INVITATION_LIFETIME": (
        *(lambda s: s.limits.invitation_lifetime, timedelta(days=7), "12h", timedelta(hours=12)),
        ["7", "d", "0d", "-1d", "1w", "1 d", "1.5h", "9999999d"],
    ),
    "UNDELETE_WINDOW": (lambda s: s.limits.undelete_window, timedelta(days=30), "90s", timedelta(seconds=90), ["never"]),
}
BAD = [(name, value) for name, (*_, values) in CASES.items() for value in values]


def test_every_variable_has_a_case_here() -> None:
    assert list(CASES) == [variable.name for variable in VARIABLES]


@pytest.mark.parametrize("name", CASES)
def test_a_variable_has_its_default_unless_it_is_set(name: str) -> None:
    read, default, good, meaning, _ = CASES[name]
    assert read(load({})) == default
    assert read(load({PREFIX + name: ""})) == default
    assert read(load({PREFIX + name: good})) == meaning


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_the_variables_name_alone(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load({PREFIX + name: value})
    text = str(refusal.value)
    assert text.startswith(f"{PREFIX}{name} must be ")
    with pytest.raises(ConfigError) as other:
        load({PREFIX + name: "\t"})
    assert text == str(other.value), "the text does not depend on the value"


def test_a_variable_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown setting: TENANTRY_DATABSE_URL, TENANTRY_workers"):
        load({"TENANTRY_workers": "2", "TENANTRY_DATABSE_URL": "x", "TENANTRYISH": "x", "PATH": "/bin"})


def test_the_sqlite_file_lies_in_the_data_folder() -> None:
    assert load({"TENANTRY_DATA_DIR": "/data"}).database_url == "sqlite:////data/tenantry.db"


def test_settings_do_not_show_the_databases_url() -> None:
    settings = load({"TENANTRY_DATABASE_URL": "postgresql://tenantry:hunter2@db/tenantry"})
    assert "hunter2" not in f"{settings!r} {settings} {[settings]}"
    assert "127.0.0.1:8080" in repr(settings)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1s", timedelta(seconds=1)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("999999d", timedelta(days=999999)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, meaning: timedelta) -> None:
    assert duration(text) == meaning


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
    ],
)
def test_an_operators_file_that_is_no_catalog_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "more.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="TENANTRY_PERMISSIONS_FILE"):
        load_catalog(file)
