"""The public surface, a line a method: who may call it, in which states, and by which paths.

`python tests/contract/surface.py > tests/contract/surface.txt` writes the golden file anew; its diff is what to review.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import MethodDescriptor

from tenantry.policy.v1 import policy_pb2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `support` is, when this is run by itself

from support.descriptors import access_of, core_of, methods

GOLDEN = Path(__file__).with_name("surface.txt")


def surface() -> list[str]:
    """A line for every method of every service that the server registers, sorted."""
    return sorted(_line(method) for method in methods())


def _line(method: MethodDescriptor) -> str:
    access = access_of(method)
    level = policy_pb2.AccessLevel.Name(access.level or policy_pb2.ACCESS_LEVEL_SCOPED)
    parts = [
        method.full_name,
        level.removeprefix("ACCESS_LEVEL_").lower(),
        f"permissions={','.join(access.permissions) or 'none'}",
        f"principals={','.join(_principals(access)) or 'all'}",
        f"states={','.join(_states(access))}",
        *_streams(method),
        *_rest(method),
    ]
    return " | ".join(parts)


def _principals(access: policy_pb2.Access) -> list[str]:
    """Those that are named; `all` are those of tenants."""
    if access.level == policy_pb2.ACCESS_LEVEL_PLATFORM:
        return ["platform"]
    names = [policy_pb2.PrincipalKind.Name(kind) for kind in access.principals]
    return [name.removeprefix("PRINCIPAL_KIND_").lower() for name in names]


def _states(access: policy_pb2.Access) -> Iterator[str]:
    yield "active"
    if access.allow_suspended:
        yield "suspended"
    if access.allow_deleted:
        yield "deleted"


def _streams(method: MethodDescriptor) -> Iterator[str]:
    if method.client_streaming:
        yield "stream of requests"
    if method.server_streaming:
        yield "stream of answers"


def _rest(method: MethodDescriptor) -> Iterator[str]:
    options = method.GetOptions()
    if not options.HasExtension(policy_pb2.rest):
        return
    rest = options.Extensions[policy_pb2.rest]
    yield f"of={core_of(method).full_name}"
    rule = options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        yield _binding(binding)
    if rest.organization_header:
        yield f"organization={rest.organization_header}"
    yield f"status={rest.status or 200}"
    if rest.unwrap:
        yield f"unwrap={rest.unwrap}"


def _binding(rule: http_pb2.HttpRule) -> str:
    verb = str(rule.WhichOneof("pattern"))
    body = f" body={rule.body}" if rule.body else ""
    return f"{verb.upper()} {getattr(rule, verb)}{body}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(surface()) + "\n")
