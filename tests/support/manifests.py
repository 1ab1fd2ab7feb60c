"""The files of server/deploy as they are applied: the part of Kustomize that they use, and the pods that come of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from tenantry_server import cli
from tenantry_server.services.secret_keys import SecretKeys

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "server" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
# In the order in which they are applied.
STEPS = ("state", "migrate", "serve")
# What an operator puts into Secrets, by their names and keys.
SECRETS = {
    ("tenantry-database", "url"): "postgresql://tenantry:secret@tenantry-postgres/tenantry",
    ("tenantry-database", "password"): "secret",
    ("tenantry-secret-keys", "secret.keys"): "",
}


def build(step: str) -> list[Json]:
    """The objects of a step, as `kubectl kustomize` makes them, but for the hash in the names of ConfigMaps."""
    folder = KUBERNETES / step
    what = _read(folder, kind="Kustomization", knows={"components", "resources", "configMapGenerator"})
    objects = [each for name in what["resources"] for each in yaml.safe_load_all((folder / name).read_text())]
    objects += [_config_map(folder, each) for each in what.get("configMapGenerator", [])]
    for component in what["components"]:
        _apply(_read(folder / component, kind="Component", knows={"namespace", "images"}), objects)
    return objects


def _read(folder: Path, *, kind: str, knows: set[str]) -> Json:
    """A kustomization, of which nothing is left out here."""
    content: Json = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert content.pop("kind") == kind
    assert content.pop("apiVersion").startswith("kustomize.config.k8s.io/")
    assert set(content) <= knows
    return content


def _config_map(folder: Path, generator: Json) -> Json:
    lines = [line for name in generator["envs"] for line in (folder / name).read_text().splitlines()]
    data = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}


def _apply(component: Json, objects: list[Json]) -> None:
    images = {each["name"]: f"{each['newName']}:{each['newTag']}" for each in component["images"]}
    for each in objects:
        if each["kind"] != "Namespace":
            each["metadata"]["namespace"] = component["namespace"]
        for container in pod_of(each).get("containers", []):
            container["image"] = images.get(container["image"], container["image"])


def template_of(manifest: Json) -> Json:
    """The template of an object's pods; empty when it has none."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: Json = spec.get("template", {})
    return template


def pod_of(manifest: Json) -> Json:
    """What an object's pods are like; empty when it has none."""
    pod: Json = template_of(manifest).get("spec", {})
    return pod


@dataclass(frozen=True)
class Workload:
    """An object with pods, all of which have one container."""

    manifest: Json
    config: Mapping[str, Mapping[str, str]]
    """The ConfigMaps beside it, by their names."""

    @property
    def name(self) -> str:
        """What its pods are for."""
        return str(self.labels["app.kubernetes.io/component"])

    @property
    def labels(self) -> Json:
        """Of its pods."""
        labels: Json = template_of(self.manifest)["metadata"]["labels"]
        return labels

    @property
    def pod(self) -> Json:
        """What its pods are like."""
        return pod_of(self.manifest)

    @property
    def container(self) -> Json:
        """The one of each pod."""
        (container,) = self.pod["containers"]
        return dict(container)

    @property
    def ports(self) -> dict[str, int]:
        """The container's, by name."""
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    def environment(self, folder: Path) -> dict[str, str]:
        """What its processes find in the environment, Secrets filled in, volumes of keys in a folder of this machine."""
        found: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            found |= self.config[source["configMapRef"]["name"]]
        for variable in self.container.get("env", []):
            found[variable["name"]] = variable["value"] if "value" in variable else _secret(variable["valueFrom"])
        for mount in self.container.get("volumeMounts", []):
            for name, value in found.items():
                if value.startswith(mount["mountPath"] + "/"):
                    found[name] = str(folder / Path(value).name)
                    SecretKeys(Path(found[name])).add()
        return found

    def commands(self) -> Iterator[list[str]]:
        """What it tells `tenantry` to do."""
        yield from commands(self.container.get("command"), self.container["args"])


def commands(entrypoint: list[str] | None, arguments: list[str]) -> Iterator[list[str]]:
    """What a container tells `tenantry` to do, which is what runs unless it says otherwise: then it is a shell."""
    if not entrypoint:
        yield arguments
        return
    assert entrypoint == ["/bin/sh", "-ec"]
    (script,) = arguments
    yield from (shlex.split(line)[1:] for line in script.splitlines() if line.startswith("tenantry "))


def ensure_understood(words: list[str]) -> None:
    """Parses a command line of `tenantry`, without running it. Raises click.UsageError or KeyError."""
    command: click.Command = cli.main
    while isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))


def _secret(source: Json) -> str:
    assert set(source) == {"secretKeyRef"}
    return SECRETS[source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]]


def workloads() -> dict[str, Workload]:
    """Everything that has pods, by what they are for."""
    objects = [each for step in STEPS for each in build(step)]
    config = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    found = [Workload(each, config) for each in objects if pod_of(each)]
    return {each.name: each for each in found}


def named(kind: str, name: str) -> Json:
    """The one object of that kind and name."""
    (found,) = [each for step in STEPS for each in build(step) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a selector of labels fits."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    wanted = [(key, [value]) for key, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In"
        wanted.append((each["key"], each["values"]))
    return all(labels.get(key) in values for key, values in wanted)


def instructions(name: str) -> list[str]:
    """Those of the Containerfile with that name, without it."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} (.+)$", text, re.MULTILINE)
