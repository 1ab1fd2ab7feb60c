"""Files in which an operator says what Tenantry is to know: permissions and metrics, regions, and who internal services are."""

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from .config import PREFIX, ConfigError
from .domain.certificates import CertificatesError, Principals, read_principals
from .domain.permissions import Catalog, CatalogError
from .domain.regions import FirstRegion, RegionType

_DATA = Path(__file__).resolve().parents[1]
_CATALOG = (_DATA / "permissions.yaml", _DATA / "metrics.yaml")
_REGIONS = _DATA / "regions.yaml"


def load_catalog(permissions_file: Path | None = None) -> Catalog:
    """The catalog of permissions, roles and metrics: ours, extended by the operator's file. Raises ConfigError."""
    sources = [*_CATALOG] if permissions_file is None else [*_CATALOG, permissions_file]
    try:
        return Catalog(*(yaml.safe_load(path.read_text()) for path in sources))
    except (OSError, yaml.YAMLError, CatalogError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{PREFIX}PERMISSIONS_FILE: {error}") from error


def load_regions(file: Path | None = None) -> tuple[FirstRegion, ...]:
    """The regions of a new installation: by the operator's file, or ours. Raises ConfigError."""
    try:
        regions = tuple(read_region(data) for data in yaml.safe_load((file or _REGIONS).read_text())["regions"])
        for part in ("id", "name"):
            if len({getattr(region, part) for region in regions}) != len(regions):
                raise ConfigError(f"two regions have the same {part}")
    except (ConfigError, OSError, yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{PREFIX}REGIONS_FILE: {error}") from error
    return regions


def read_region(data: Mapping[str, Any]) -> FirstRegion:
    """A region of the platform that is to be made. Raises ConfigError."""
    if unknown := sorted(set(data) - {"id", "name", "type", "enforce_quotas"}):
        raise ConfigError(f"a region has no {', '.join(unknown)}")
    region_id, name, enforced = data["id"], data.get("name", data["id"]), data.get("enforce_quotas", True)
    kind = data.get("type", RegionType.SHARED)
    if not re.fullmatch(r"[a-z][a-z0-9._-]{0,29}", str(region_id)) or not isinstance(enforced, bool):
        raise ConfigError(f"region {region_id!r} is misspelt")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{2,255}", str(name)) or kind == RegionType.CUSTOM:
        raise ConfigError(f"region {region_id!r} cannot have that name or type")
    return FirstRegion(id=str(region_id), name=str(name), type=RegionType(kind), enforce_quotas=enforced)


class _Unique(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := sorted({key for key in keys if isinstance(key, str) and keys.count(key) > 1}):
            raise CertificatesError(f"line {node.start_mark.line + 1}: {', '.join(twice)} is there twice")
        return super().construct_mapping(node, deep)


def load_principals(file: Path, known: frozenset[str]) -> Principals:
    """Whom client certificates stand for, by an operator's file. `known` are the platform's permissions. Raises ConfigError."""
    try:
        return read_principals(yaml.load(file.read_text(), Loader=_Unique), known)  # noqa: S506  it is a safe loader
    except (OSError, ValueError, yaml.YAMLError, CertificatesError) as error:
        raise ConfigError(f"{PREFIX}MTLS_PRINCIPALS_FILE: {error}") from error
