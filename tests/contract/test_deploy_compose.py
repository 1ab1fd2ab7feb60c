"""server/deploy/compose: the file is valid, says what the server really does, and the same as the manifests of Kubernetes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.manifests import DEPLOY, Json, commands, ensure_understood, instructions, workloads

from tenantry_server import processes
from tenantry_server.config import ConfigError, Settings, load

FILE = DEPLOY / "compose" / "compose.yaml"
COMPOSE: Json = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Json] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("tenantry:")}
WORKLOADS = workloads()
_REFERENCE = re.compile(r"\$\{(\w+):\?[^}]*\}")


def every(names: dict[str, Json]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


def checked(file: Path) -> subprocess.CompletedProcess[str]:
    """Compares a file with the schema of the Compose specification that the checker brings along."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def settings(name: str) -> Settings:
    return load({key: _REFERENCE.sub("secret", value) for key, value in OURS[name]["environment"].items()})


# -- the form ----------------------------------------------------------------------------------------------------------


def test_the_file_is_valid() -> None:
    done = checked(FILE)
    assert done.returncode == 0, done.stdout


def test_control_a_misspelt_part_is_not_valid(tmp_path: Path) -> None:
    misspelt = tmp_path / "compose.yaml"
    misspelt.write_text(FILE.read_text().replace("stop_grace_period", "stop_grace_time"))
    done = checked(misspelt)
    assert done.returncode == 1
    assert "stop_grace_time" in done.stdout


def test_what_a_service_names_is_there() -> None:
    for each in SERVICES.values():
        assert set(each["networks"]) <= set(COMPOSE["networks"])
        assert set(each.get("depends_on", {})) <= set(SERVICES)
        for volume in each.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
    for each in OURS.values():
        assert (FILE.parent / each["build"]["context"] / each["build"]["dockerfile"]).is_file()


# -- what is run -------------------------------------------------------------------------------------------------------


@every(OURS)
def test_the_settings_are_known_and_good(name: str) -> None:
    settings(name)


def test_control_a_setting_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="TENANTRY_WORKER"):
        load(OURS["server"]["environment"] | {"TENANTRY_WORKER": "2"})


@every(OURS)
def test_the_command_exists(name: str) -> None:
    words = list(commands(OURS[name].get("entrypoint"), OURS[name]["command"]))
    assert words
    for each in words:
        ensure_understood(each)


def test_it_is_the_stack_of_the_manifests() -> None:
    assert {name: each["image"] for name, each in SERVICES.items()} == {
        name: each.container["image"] for name, each in WORKLOADS.items()
    }
    for name in ("postgres", "redis"):
        assert SERVICES[name]["command"] == WORKLOADS[name].container["args"]
    (script,) = OURS["backup"]["command"]
    assert [script.replace("$$", "$")] == WORKLOADS["backup"].container["args"]


def test_the_schema_is_migrated_before_anything_serves() -> None:
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert OURS["server"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_the_gateway_calls_the_server_and_is_called_from_this_machine_alone() -> None:
    server, gateway = settings("server"), settings("gateway")
    assert gateway.grpc_address == f"server:{server.grpc_address.rpartition(':')[2]}"
    (published,) = OURS["gateway"]["ports"]
    assert published.rpartition(":")[2] == gateway.http_address.rpartition(":")[2]
    assert published.startswith("127.0.0.1:")
    assert {name for name, each in SERVICES.items() if "ports" in each} == {"gateway"}
    assert f"//127.0.0.1:{published.rpartition(':')[2]}/healthz" in OURS["gateway"]["healthcheck"]["test"][-1]


@every({name: OURS[name] for name in ("server", "gateway")})
def test_who_is_told_to_end_has_the_time_to_drain(name: str) -> None:
    # What a supervisor of processes waits for them, five seconds more than they need.
    drain = processes.NOTICE + processes.GRACE + 5
    assert int(OURS[name]["stop_grace_period"].removesuffix("s")) > drain


# -- what it may -------------------------------------------------------------------------------------------------------


def disclosed(service: Json) -> Iterator[str]:
    """The variables that hold a secret instead of a reference to one that must be set."""
    for variable, value in service.get("environment", {}).items():
        literal = _REFERENCE.sub("", value)
        if ("PASSWORD" in variable and literal) or re.search(r"://[^/]*:[^/]+@", literal):
            yield variable


@every(SERVICES)
def test_secrets_are_references_to_what_must_be_set(name: str) -> None:
    assert list(disclosed(SERVICES[name])) == []


def test_control_a_password_is_found() -> None:
    assert list(disclosed({"environment": {"A": "postgresql://tenantry:secret@postgres/tenantry"}})) == ["A"]
    assert list(disclosed({"environment": {"POSTGRES_PASSWORD": "${DATABASE_PASSWORD:-secret}"}})) == ["POSTGRES_PASSWORD"]


@every(OURS)
def test_ours_write_nothing_but_their_volumes(name: str) -> None:
    assert OURS[name]["read_only"] is True
    assert OURS[name]["cap_drop"] == ["ALL"]
    written = {volume.rpartition(":")[2] for volume in OURS[name].get("volumes", [])} | set(OURS[name].get("tmpfs", []))
    # Made in the image for the user that it runs as, or anybody's.
    assert written <= {*re.findall(r"/\S+", "".join(each for each in instructions("RUN") if "install -d" in each)), "/tmp"}


def test_the_databases_are_out_of_reach_from_outside() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert {name for name, each in SERVICES.items() if each["networks"] != ["data"]} == {"server", "gateway"}
    assert "data" not in SERVICES["gateway"]["networks"]
