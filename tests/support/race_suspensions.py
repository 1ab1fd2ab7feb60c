"""A race of operators about whether an organization is suspended; see `race_scenes.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from tenantry_server.store.queries import organizations

from .race import Act, Race, Scene
from .raw import values
from .world import World

_TOLD = "revision || '|' || action || '|' || changes"


def _told(world: World, organization_id: str) -> list[tuple[str | None, str | None]]:
    """What the audit trail tells of suspensions, in its order: the reason before and after each change; None: not suspended."""
    rows = [
        row.split("|", 2) for row in values(world.deployment.database, "audit_events", _TOLD, organization_id=organization_id)
    ]
    events = sorted((int(revision), action, json.loads(changes)) for revision, action, changes in rows)
    changed = [changes.get("suspension", (None, None)) for _, action, changes in events if action.endswith("suspend")]
    return [(before and before["reason"], after and after["reason"]) for before, after in changed]


def _wrong(world: World, organization_id: str, reasons: list[str]) -> Callable[[list[Any]], str]:
    """Each change begins where the one before it in the trail ended, each happened once, and the last one holds."""

    def wrong(results: list[Any]) -> str:
        told, stood = _told(world, organization_id), None
        for before, after in told:
            if before != stood:
                return f"{before} was not so: {told}"
            stood = after
        if sorted(after for _, after in told if after) != reasons:
            return f"not each happened once: {told}"
        kept = values(world.deployment.database, "organizations", "state || '|' || suspension_reason", id=organization_id)
        return "" if kept == [f"suspended|{stood}" if stood else "active|"] else f"{kept} after {told}"

    return wrong


def _operators(world: World, crowd: int) -> Scene:
    """Every other one suspends, for a reason of their own; the others end it."""
    organization, operator = world.organization(world.person("owner")), world.platform()
    here = {"organization_id": organization.id}
    reasons = [f"reason {number}" for number in range(0, crowd, 2)]
    operator("OrganizationService.SuspendOrganization", reason="first", **here)
    suspends = [Act(partial(operator, "OrganizationService.SuspendOrganization", reason=reason, **here)) for reason in reasons]
    ends = [Act(partial(operator, "OrganizationService.UnsuspendOrganization", **here))] * (crowd - len(suspends))
    return Scene([*suspends, *ends], (crowd,), _wrong(world, organization.id, sorted(["first", *reasons])), organization.id)


_PLACES = (organizations.SET_SUSPENSION,)
RACES = (
    Race("two operators suspend and end it", _operators, _PLACES),
    Race("many operators suspend and end it", _operators, _PLACES, 20, rounds=5),
)
