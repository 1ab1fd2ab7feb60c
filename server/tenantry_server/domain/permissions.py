"""The permission catalog: which permissions and system roles there are. The data is `permissions.yaml`.

A permission is named `resource:action`, singular resource, lower case, words joined by hyphens (`audit-log:read`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import ids
from .errors import InvalidRequest, Violation
from .metrics import Metrics, MetricsError
from .roles import Role

_NAME = re.compile(r"[a-z][a-z0-9-]*:[a-z][a-z0-9-]*")


class CatalogError(Exception):
    """The catalog's data contradicts itself; the server does not start."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission of the catalog."""

    name: str
    description: str
    owner_only: bool
    implicit: bool


class Catalog:
    """The permissions, the system roles and the metrics, checked and indexed. `all` is what owners hold; `platform` is apart
    from it.
    """

    def __init__(self, *sources: Mapping[str, Any]) -> None:
        """Reads mappings of the shape of `permissions.yaml`, of `metrics.yaml`, or of both, each extending the ones before.

        Raises CatalogError when one contradicts itself or redefines what stands already.
        """
        descriptions: dict[str, str] = {}
        platform: dict[str, str] = {}
        flags: dict[str, set[str]] = {"implicit": set(), "owner_only": set()}
        self.roles: dict[str, Role] = {}
        self.role_keys: dict[str, Role] = {}
        for source in sources:
            for kind, into in (("permissions", descriptions), ("platform", platform)):
                for name, description in source.get(kind, {}).items():
                    if not _NAME.fullmatch(name) or name in descriptions or name in platform:
                        raise CatalogError(f"permission {name!r} is misspelt or defined twice")
                    into[name] = description
            for flag, names in flags.items():
                names.update(source.get(flag, ()))
        for flag, names in flags.items():
            if unknown := names - set(descriptions):
                raise CatalogError(f"{flag} names unknown permissions: {', '.join(sorted(unknown))}")
        self.permissions = {
            name: Permission(name, descriptions[name], name in flags["owner_only"], name in flags["implicit"])
            for name in sorted(descriptions)
        }
        self.all = frozenset(descriptions)
        self.platform = frozenset(platform)
        self.implicit = frozenset(flags["implicit"])
        self.owner_only = frozenset(flags["owner_only"])
        for source in sources:
            for data in source.get("roles", ()):
                self._add_role(data)
        # Keyed by what the roles grant, so it is never stale.
        self.held_by_roles = lru_cache(maxsize=4096)(self._held_by_roles)
        try:
            self.metrics = Metrics(*sources)
        except MetricsError as error:
            raise CatalogError(str(error)) from error

    def _held_by_roles(self, granted: tuple[tuple[str, ...], ...]) -> frozenset[str]:
        """What a member holds whose roles grant this: that, the implicit permissions, and nothing that the catalog lost."""
        return self.implicit.union(*granted) & self.all

    def _add_role(self, data: Mapping[str, Any]) -> None:
        role_id, granted = ids.find(data["id"]), frozenset(data["permissions"])
        if role_id is None or role_id in self.roles:
            raise CatalogError(f"role id {data['id']!r} is misspelt or defined twice")
        if wrong := granted - (self.all - self.owner_only):
            raise CatalogError(f"role {data['name']!r} cannot grant {', '.join(sorted(wrong))}")
        ownership = bool(data.get("ownership"))
        role = Role(
            id=role_id,
            organization_id="",
            name=data["name"],
            description=data["description"],
            permissions=tuple(sorted(self.all if ownership else granted)),
            system=True,
            assignable=not ownership,
        )
        self.roles[role_id] = role
        if key := data.get("key"):
            self.role_keys[key] = role

    def ensure_grantable(self, names: Iterable[str], *, field: str) -> tuple[str, ...]:
        """The permissions, sorted, if a role may consist of them. Raises InvalidRequest naming each that it may not."""
        violations = [
            Violation(f"{field}[{index}]", f"{name!r} {problem}", rule)
            for index, name in enumerate(names)
            for problem, rule in self._problems(name)
        ]
        if violations:
            raise InvalidRequest(violations)
        return tuple(sorted(set(names)))

    def _problems(self, name: str) -> list[tuple[str, str]]:
        if name not in self.all:
            return [("is not a permission of the catalog", "UNKNOWN_PERMISSION")]
        if name in self.owner_only:
            return [("is held by owners alone", "OWNER_ONLY_PERMISSION")]
        return []
