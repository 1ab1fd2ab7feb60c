"""The policy of every method, read from the descriptors once, at start.

What is undeclared stops the server from starting: a core method without `access`, a dialect method of nothing, a permission
that the catalog does not have, a SCOPED request without `organization_id`, a change that a read permission would allow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from tenantry.policy.v1 import policy_pb2

from ..domain.permissions import Catalog
from ..domain.principal import Level, PrincipalKind, Requirement
from ..domain.rates import RateClass

_LEVELS = {
    policy_pb2.ACCESS_LEVEL_UNSPECIFIED: Level.SCOPED,
    policy_pb2.ACCESS_LEVEL_SCOPED: Level.SCOPED,
    policy_pb2.ACCESS_LEVEL_AUTHENTICATED: Level.AUTHENTICATED,
    policy_pb2.ACCESS_LEVEL_PUBLIC: Level.PUBLIC,
    policy_pb2.ACCESS_LEVEL_PLATFORM: Level.PLATFORM,
}
_KINDS = {
    policy_pb2.PRINCIPAL_KIND_USER: PrincipalKind.USER,
    policy_pb2.PRINCIPAL_KIND_USER_IN_ORGANIZATION: PrincipalKind.USER_IN_ORGANIZATION,
    policy_pb2.PRINCIPAL_KIND_ORGANIZATION: PrincipalKind.ORGANIZATION,
    policy_pb2.PRINCIPAL_KIND_PLATFORM: PrincipalKind.PLATFORM,
}
RATE_CLASSES = {
    policy_pb2.RATE_LIMIT_CLASS_AUTHENTICATED: RateClass.AUTHENTICATED,
    policy_pb2.RATE_LIMIT_CLASS_SANDBOX_CREATE: RateClass.SANDBOX_CREATE,
    policy_pb2.RATE_LIMIT_CLASS_SANDBOX_LIFECYCLE: RateClass.SANDBOX_LIFECYCLE,
}
_RATE_CLASSES = {policy_pb2.RATE_LIMIT_CLASS_UNSPECIFIED: RateClass.AUTHENTICATED, **RATE_CLASSES}
_EVERY_TENANT_KIND = frozenset(PrincipalKind) - {PrincipalKind.PLATFORM}

# Services that are not ours and declare nothing: what they tell is no secret.
INFRASTRUCTURE = ("grpc.health.v1.Health",)


class PolicyError(Exception):
    """A method's declaration is missing or wrong; the server does not start."""


@dataclass(frozen=True, slots=True)
class MethodPolicy:
    """What is declared of a method: `path` is its name on the wire, `core` the core method it speaks for or is."""

    path: str
    core: str
    requirement: Requirement
    is_change: bool
    # The header that names the organization of a dialect's method, if one does.
    organization_header: str = ""
    # Whether its requests have a field for the organization that they are about.
    names_organization: bool = False
    # What its calls count against in an organization, and whether they are metered there.
    rate_class: RateClass = RateClass.AUTHENTICATED
    is_metered: bool = True
    # Whether its calls count against an address where nobody knows who makes them.
    is_limited: bool = True
    # Whether a call answers one question, where others change something, list, or ask many questions at once.
    is_quick: bool = True

    @property
    def is_dialect(self) -> bool:
        """Whether it is a method of a REST dialect."""
        return self.path[1:].replace("/", ".") != self.core


def read(services: Iterable[str], catalog: Catalog, pool: DescriptorPool | None = None) -> Mapping[str, MethodPolicy]:
    """The policies of all methods of these services, by path. Raises PolicyError."""
    pool = pool or descriptor_pool.Default()
    policies = {}
    for name in services:
        service = pool.FindServiceByName(name)
        for method in service.methods:
            policy = _infrastructure(method) if name in INFRASTRUCTURE else _declared(method, catalog, pool)
            policies[policy.path] = policy
    return policies


def _infrastructure(method: MethodDescriptor) -> MethodPolicy:
    requirement = Requirement(level=Level.PUBLIC, kinds=frozenset(PrincipalKind))
    return MethodPolicy(_path(method), method.full_name, requirement, is_change=False, is_limited=False)


def _declared(method: MethodDescriptor, catalog: Catalog, pool: DescriptorPool) -> MethodPolicy:
    core, header = method, ""
    if method.GetOptions().HasExtension(policy_pb2.rest):
        rest = method.GetOptions().Extensions[policy_pb2.rest]
        target, header = rest.of, rest.organization_header
        try:
            core = pool.FindMethodByName(target)
        except KeyError:
            raise PolicyError(f"{method.full_name} speaks for {target!r}, which does not exist") from None
    if not core.GetOptions().HasExtension(policy_pb2.access):
        raise PolicyError(f"{core.full_name} does not declare who may call it")
    requirement = _requirement(core, catalog)
    _ensure_scoped(method, requirement)
    if header and not _names_organization(method):
        raise PolicyError(f"{method.full_name} has an organization_header, but its request has no organization_id")
    is_change = "request_id" in core.input_type.fields_by_name
    names = requirement.permissions
    if is_change and names and all(name.endswith(":read") for name in names):
        raise PolicyError(f"{core.full_name} changes something under {', '.join(names)} alone")
    is_quick = not is_change and not _asks_for_many(core)
    access = core.GetOptions().Extensions[policy_pb2.access]
    if access.rate_limit_class not in _RATE_CLASSES:
        raise PolicyError(f"{core.full_name} declares a class of rate limit that this version does not know")
    rate_class = _RATE_CLASSES[access.rate_limit_class]
    return MethodPolicy(
        path=_path(method),
        core=core.full_name,
        requirement=requirement,
        is_change=is_change,
        organization_header=header,
        names_organization=_names_organization(method),
        rate_class=rate_class,
        is_metered=not access.unmetered,
        is_limited=not access.unlimited,
        is_quick=is_quick,
    )


def _requirement(core: MethodDescriptor, catalog: Catalog) -> Requirement:
    access = core.GetOptions().Extensions[policy_pb2.access]
    if access.level not in _LEVELS or not set(access.principals) <= _KINDS.keys():
        raise PolicyError(f"{core.full_name} declares an access that this version does not know")
    level = _LEVELS[access.level]
    known = catalog.platform if level is Level.PLATFORM else catalog.all
    if unknown := set(access.permissions) - known:
        raise PolicyError(f"{core.full_name} requires unknown permissions: {', '.join(sorted(unknown))}")
    if level is Level.PLATFORM:
        kinds = frozenset({PrincipalKind.PLATFORM})
    else:
        kinds = frozenset(_KINDS[kind] for kind in access.principals) or _EVERY_TENANT_KIND
    return Requirement(
        level=level,
        permissions=tuple(access.permissions),
        kinds=kinds,
        allow_suspended=access.allow_suspended,
        allow_deleted=access.allow_deleted,
    )


def _ensure_scoped(method: MethodDescriptor, requirement: Requirement) -> None:
    if requirement.level is not Level.SCOPED:
        return
    if not _names_organization(method):
        raise PolicyError(f"{method.full_name} is scoped, but its request has no organization_id")
    if method.client_streaming:
        raise PolicyError(f"{method.full_name} is scoped, but its requests come as a stream")
    if not requirement.permissions:
        raise PolicyError(f"{method.full_name} is scoped, but requires no permission")


def _names_organization(method: MethodDescriptor) -> bool:
    field = method.input_type.fields_by_name.get("organization_id")
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def _asks_for_many(method: MethodDescriptor) -> bool:
    fields = method.input_type.fields
    return any(field.name == "page_size" or (field.is_repeated and field.message_type) for field in fields)


def _path(method: MethodDescriptor) -> str:
    service: ServiceDescriptor = method.containing_service
    return f"/{service.full_name}/{method.name}"
