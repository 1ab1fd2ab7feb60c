"""Regions: places where an organization's resources can be."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from . import ids


class RegionType(StrEnum):
    """Whose a region is."""

    SHARED = "shared"  # the platform's, for every organization
    DEDICATED = "dedicated"  # the platform's, for those that have a quota there
    CUSTOM = "custom"  # an organization's own


class Endpoint(StrEnum):
    """A service of a region that calls back with a key of its own."""

    PROXY = "proxy"
    SSH_GATEWAY = "ssh_gateway"
    SNAPSHOT_MANAGER = "snapshot_manager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region. `keys` are those that were just made, by endpoint: secrets, shown once."""

    id: str
    organization_id: str
    name: str
    type: RegionType
    enforce_quotas: bool
    proxy_url: str
    ssh_gateway_url: str
    snapshot_manager_url: str
    revision: int
    create_time: datetime
    update_time: datetime
    keys: tuple[tuple[Endpoint, str], ...] = field(default=(), repr=False)

    def url(self, endpoint: Endpoint) -> str:
        """Where a service of it is; empty when it has none."""
        return str(getattr(self, f"{endpoint}_url"))

    def key(self, endpoint: Endpoint) -> str:
        """The key of a service that was just made; empty when none was."""
        return dict(self.keys).get(endpoint, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRegion:
    """A region that a new installation has."""

    id: str
    name: str
    type: RegionType = RegionType.SHARED
    enforce_quotas: bool = True


def canonical(region_id: str) -> str:
    """The id as it is kept: custom regions have ids of ours, which have several spellings."""
    return ids.find(region_id) or region_id
