"""The methods of the descriptor set, with what their options say of REST; checked, because Envoy would not notice."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet, MethodDescriptorProto
from replies import DIALECTS

from tenantry.policy.v1 import policy_pb2

Json = dict[str, Any]


class Refused(ValueError):
    """The descriptors ask for something that Envoy would serve wrongly, mostly without noticing."""


def require(holds: bool, complaint: str) -> None:
    """Refuses to render unless it holds."""
    if not holds:
        raise Refused(complaint)


class Binding(NamedTuple):
    """One verb and path of a method."""

    verb: str
    template: str
    body: str

    @property
    def variables(self) -> set[str]:
        """The request fields that the path sets."""
        return set(re.findall(r"{(.*?)}", self.template))

    def open_part(self, secrets: Iterable[str]) -> str:
        """The template up to its first secret; empty when it has none."""
        found = [self.template.index(f"{{{name}}}") for name in secrets if name in self.variables]
        return self.template[: min(found)] if found else ""

    @property
    def shape(self) -> str:
        """The template without names. In byte order, as routes must be, a literal segment precedes a variable."""
        return re.sub(r"{.*?}", "{}", self.template)

    def covers(self, shape: str) -> bool:
        """Whether every path of this shape could be one of this binding too."""
        mine, other = self.shape.split("/"), shape.split("/")
        return len(mine) == len(other) and all(a in (b, "{}") for a, b in zip(mine, other, strict=True))


class Rpc(NamedTuple):
    """A method, the fields of its request, and which of them are secrets. A dialect's has bindings, facts for gateway/rest.lua,
    and fields that the server takes from a header.
    """

    path: str
    streaming: bool
    request: dict[str, str]
    secrets: frozenset[str] = frozenset()
    bindings: tuple[Binding, ...] = ()
    facts: Json | None = None
    from_header: frozenset[str] = frozenset()


def read(descriptors: FileDescriptorSet) -> list[Rpc]:
    """Every method of the set, checked."""
    messages = dict(pair for file in descriptors.file for pair in messages_of(f".{file.package}", file.message_type))
    fields = {name: {field.name: field.json_name for field in message.field} for name, message in messages.items()}
    rpcs = []
    for file in descriptors.file:
        dialect = next((name for name in DIALECTS if file.package.startswith(f"tenantry.rest.{name}.")), None)
        for service in file.service:
            full = f"{file.package}.{service.name}"
            require(dialect is not None or file.package == "tenantry.v1", f"{full} is of no dialect, and not of the core")
            for method in service.method:
                streaming = method.client_streaming or method.server_streaming
                secrets = (field.name for field in messages[method.input_type].field if field.options.debug_redact)
                rpc = Rpc(f"/{full}/{method.name}", streaming, fields[method.input_type], frozenset(secrets))
                rpcs.append(with_options(rpc, dialect, method, fields[method.output_type]) if dialect else rpc)
    refuse_clashes(rpcs)
    return rpcs


def messages_of(scope: str, types: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    """Every message, by its name."""
    for message in types:
        yield f"{scope}.{message.name}", message
        yield from messages_of(f"{scope}.{message.name}", message.nested_type)


def with_options(rpc: Rpc, dialect: str, method: MethodDescriptorProto, response: dict[str, str]) -> Rpc:
    """A dialect's method, with what its options say."""
    rest, empty = method.options.Extensions[policy_pb2.rest], method.output_type == ".google.protobuf.Empty"
    bindings = tuple(bindings_of(method.options.Extensions[annotations_pb2.http]))
    require(bool(bindings), f"{rpc.path} has no google.api.http rule")
    require(method.options.HasExtension(policy_pb2.rest), f"{rpc.path} has no (tenantry.policy.v1.rest) option")
    require(not rpc.streaming, f"{rpc.path} is a stream, which has no REST form")
    require(not rest.unwrap or [*response] == [rest.unwrap], f"{rpc.path} unwraps {rest.unwrap}, not its response's only field")
    require(rest.status == 0 or 200 <= rest.status < 300, f"{rpc.path} has status {rest.status}, which is no success")
    require(empty or rest.status != 204, f"{rpc.path} has status 204, but its response is not google.protobuf.Empty")
    for binding in bindings:
        speaker = next((name for name, each in DIALECTS.items() if binding.template.startswith(each.prefix)), None)
        require(speaker == dialect, f"{rpc.path} has the path {binding.template}, which is not one of {dialect}'s")
        unknown = sorted(binding.variables - rpc.request.keys())
        require(not unknown, f"{rpc.path} has path variables that are no fields of its request: {', '.join(unknown)}")
    facts = {"dialect": dialect, "status": str(rest.status or 200), "empty": empty, "unwrap": response.get(rest.unwrap)}
    from_header = frozenset(["organization_id"] if rest.organization_header else [])
    require(from_header <= rpc.request.keys(), f"{rpc.path} has an organization_header, but no organization_id")
    facts = {name: fact for name, fact in facts.items() if fact}
    return rpc._replace(bindings=bindings, facts=facts, from_header=from_header)


def bindings_of(rule: http_pb2.HttpRule) -> Iterator[Binding]:
    """The verbs and paths of a google.api.http rule."""
    for each in (rule, *rule.additional_bindings):
        if each.HasField("custom"):
            yield Binding(each.custom.kind, each.custom.path, each.body)
        elif verb := each.WhichOneof("pattern"):
            yield Binding(verb.upper(), getattr(each, verb), each.body)


def refuse_clashes(rpcs: list[Rpc]) -> None:
    """Refuses what methods only get wrong together."""
    bound = [(rpc, binding) for rpc in rpcs for binding in rpc.bindings]
    owners: dict[tuple[str, str], str] = {}
    for rpc, binding in bound:
        owner = owners.setdefault((binding.verb, binding.shape), rpc.path)
        require(owner == rpc.path, f"{binding.verb} {binding.template} is both {owner} and {rpc.path}")
    # The names of path variables are ignored in every query: a query must not override the path.
    hidden = {name for _, binding in bound for name in binding.variables}
    bare = sorted(rpc.path for rpc, _ in bound if not rpc.from_header <= hidden)
    require(not bare, f"{', '.join(bare)} has a field from a header that a query could set too")
    for rpc, binding in bound:
        queried = set() if binding.body == "*" else rpc.request.keys() - binding.variables - {binding.body} - rpc.from_header
        lost = sorted(queried & hidden)
        require(not lost, f"{rpc.path} takes from the query what elsewhere is a path variable: {', '.join(lost)}")
