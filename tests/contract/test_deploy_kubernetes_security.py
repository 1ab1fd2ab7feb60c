"""The manifests of server/deploy/kubernetes: no secret stands in them, no pod may more than it needs, few may talk."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from support.manifests import SECRETS, STEPS, Json, Workload, build, named, selects, workloads

WORKLOADS = workloads()
POLICIES = [each["spec"] for each in build("state") if each["kind"] == "NetworkPolicy"]
# Who needs whom.
CONVERSATIONS = {
    ("gateway", "server"),
    ("server", "postgres"),
    ("server", "redis"),
    ("migrate", "postgres"),
    ("backup", "postgres"),
}
_HIDDEN = ("PASSWORD", "SECRET", "TOKEN", "KEY", "URL")


def every(found: dict[str, Workload]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("workload", found.values(), ids=found)


# -- secrets -----------------------------------------------------------------------------------------------------------


def disclosed(container: Json) -> Iterator[str]:
    """The variables that hold a secret instead of a reference to one, or may."""
    for variable in container.get("env", []):
        value = variable.get("value", "")
        is_path = value.startswith("/")
        if value and not is_path and (any(word in variable["name"] for word in _HIDDEN) or "@" in value):
            yield variable["name"]


@every(WORKLOADS)
def test_secrets_are_references(workload: Workload) -> None:
    assert list(disclosed(workload.container)) == []
    for volume in workload.pod.get("volumes", []):
        if "secret" in volume:
            assert volume["secret"]["secretName"] in {name for name, _ in SECRETS}


def test_no_manifest_is_a_secret_and_no_configuration_holds_one() -> None:
    for each in (each for step in STEPS for each in build(step)):
        assert each["kind"] != "Secret"
        if each["kind"] == "ConfigMap":
            assert not any("@" in value for value in each["data"].values())


def test_control_a_password_is_found() -> None:
    container = copy.deepcopy(WORKLOADS["server"].container)
    container["env"].append({"name": "TENANTRY_REPLICA_URL", "value": "postgresql://tenantry:secret@replica/tenantry"})
    assert list(disclosed(container)) == ["TENANTRY_REPLICA_URL"]


# -- what a pod may ----------------------------------------------------------------------------------------------------


def unguarded(pod: Json) -> Iterator[str]:
    """What a pod may that it need not: the profile `restricted` of Pod Security Standards, and more."""
    context = pod["securityContext"]
    if not (context["runAsNonRoot"] and context["runAsUser"] > 0 and context["runAsGroup"] > 0):
        yield "root"
    if context["seccompProfile"] != {"type": "RuntimeDefault"}:
        yield "seccomp"
    if pod.get("automountServiceAccountToken") is not False:
        yield "token"
    if pod.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}:
        yield "host"
    if not all(set(volume) - {"name"} <= {"emptyDir", "secret", "persistentVolumeClaim"} for volume in pod.get("volumes", [])):
        yield "volumes"
    for container in pod["containers"]:
        if container["securityContext"] != {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }:
            yield "container"
        if "memory" not in container["resources"]["limits"] or set(container["resources"]["requests"]) != {"cpu", "memory"}:
            yield "resources"


@every(WORKLOADS)
def test_no_pod_may_more_than_it_needs(workload: Workload) -> None:
    assert list(unguarded(workload.pod)) == []
    assert all(volume.get("emptyDir", {"sizeLimit": ""}).keys() == {"sizeLimit"} for volume in workload.pod.get("volumes", []))


@pytest.mark.parametrize(
    ("part", "value", "found"),
    [
        ("automountServiceAccountToken", True, "token"),
        ("hostNetwork", True, "host"),
        ("volumes", [{"name": "all", "hostPath": {"path": "/"}}], "volumes"),
        ("securityContext", {"runAsNonRoot": False, "seccompProfile": {"type": "RuntimeDefault"}}, "root"),
    ],
)
def test_control_a_pod_that_may_more_is_found(part: str, value: object, found: str) -> None:
    assert found in list(unguarded(copy.deepcopy(WORKLOADS["server"].pod) | {part: value}))


def test_the_cluster_refuses_pods_that_may_more() -> None:
    assert named("Namespace", "tenantry")["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}


# -- who may talk to whom ----------------------------------------------------------------------------------------------


def permits(policies: list[Json], source: Workload, target: Workload, port: int) -> bool:
    """Whether policies let one talk to the other: the policies of both must."""
    return _passes(policies, source, target, port, "Egress") and _passes(policies, target, source, port, "Ingress")


def _passes(policies: list[Json], this: Workload, other: Workload, port: int, way: str) -> bool:
    own = [each for each in policies if way in each["policyTypes"] and selects(each["podSelector"], this.labels)]
    if not own:
        return True
    peers = "to" if way == "Egress" else "from"
    rules = [rule for each in own for rule in each.get(way.lower(), [])]
    return any(
        port in [each["port"] for each in rule["ports"]] and (peers not in rule or _names(rule[peers], other)) for rule in rules
    )


def _names(peers: list[Json], other: Workload) -> bool:
    # Other namespaces are none of ours; addresses may be anybody's.
    return any("ipBlock" in peer or ("podSelector" in peer and selects(peer["podSelector"], other.labels)) for peer in peers)


def conversations(policies: list[Json]) -> set[tuple[str, str]]:
    return {
        (source, target)
        for source in WORKLOADS
        for target, workload in WORKLOADS.items()
        for port in workload.ports.values()
        if source != target and permits(policies, WORKLOADS[source], workload, port)
    }


def test_only_those_may_talk_who_need_to() -> None:
    assert conversations(POLICIES) == CONVERSATIONS


def test_control_without_the_policy_that_forbids_others_may() -> None:
    weakened = [each for each in POLICIES if each["podSelector"]]
    assert conversations(weakened) > CONVERSATIONS


def test_from_outside_the_gateway_alone_can_be_called() -> None:
    called = {
        name
        for name, workload in WORKLOADS.items()
        for policy in POLICIES
        if selects(policy["podSelector"], workload.labels)
        for rule in policy.get("ingress", [])
        if "from" not in rule
    }
    assert called == {"gateway"}
