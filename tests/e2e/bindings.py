"""Every REST path of the dialect protos, read from the descriptors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from support.descriptors import access_of, is_change, is_platform, is_scoped, methods

from tenantry.policy.v1 import policy_pb2

DIALECTS = ("daytona", "dotenv")


@dataclass(frozen=True)
class Binding:
    """A verb and a path template of a method."""

    dialect: str
    method: MethodDescriptor
    verb: str
    template: str

    @property
    def shape(self) -> str:
        """The template without the names of its variables."""
        return re.sub(r"{\w+}", "{}", self.template)

    def fits(self, path: str) -> bool:
        """Whether a path, or every path of a shape, is one of this template."""
        pattern = re.escape(self.shape).replace(r"\{\}", "[^/]+")
        return re.fullmatch(pattern, path) is not None

    @property
    def status(self) -> int:
        """Of a success."""
        return int(self.method.GetOptions().Extensions[policy_pb2.rest].status) or 200

    @property
    def has_answer(self) -> bool:
        """Whether a success has a body."""
        return bool(self.method.output_type.full_name != "google.protobuf.Empty")

    @property
    def is_scoped(self) -> bool:
        """Whether it is about one organization."""
        return is_scoped(self.method)

    @property
    def is_public(self) -> bool:
        """Whether it asks nobody who they are."""
        return access_of(self.method).level == policy_pb2.ACCESS_LEVEL_PUBLIC

    @property
    def is_platform(self) -> bool:
        """Whether it is there for operators and internal services."""
        return is_platform(self.method)

    @property
    def organization_header(self) -> str:
        """The header that names the organization, where neither path nor body does."""
        return str(self.method.GetOptions().Extensions[policy_pb2.rest].organization_header)

    @property
    def is_of_people(self) -> bool:
        """Whether an organization's own token may not call it."""
        kinds = access_of(self.method).principals
        return bool(kinds) and policy_pb2.PRINCIPAL_KIND_ORGANIZATION not in kinds

    @property
    def is_change(self) -> bool:
        """Whether it changes something."""
        return is_change(self.method)

    @property
    def permissions(self) -> tuple[str, ...]:
        """What its caller needs."""
        return tuple(access_of(self.method).permissions)

    def path(self, organization_id: str, other_id: str = "") -> str:
        """The path for an organization, all other ids the same."""
        return re.sub(r"{\w+}", other_id, self.template.replace("{organization_id}", organization_id))

    def __str__(self) -> str:
        return f"{self.verb} {self.template}"


@cache
def bindings(*dialects: str) -> tuple[Binding, ...]:
    """Those of some dialects; of all, when none is named."""
    return tuple(found for dialect in dialects or DIALECTS for found in _of(dialect))


def _of(dialect: str) -> Iterator[Binding]:
    for method in methods():
        if not method.full_name.startswith(f"tenantry.rest.{dialect}."):
            continue
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        for each in (rule, *rule.additional_bindings):
            verb = each.WhichOneof("pattern")
            assert verb is not None, method.full_name
            yield Binding(dialect, method, verb.upper(), getattr(each, verb))
