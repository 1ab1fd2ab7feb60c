"""The demo: two people and an organization of theirs on an empty database, with their tokens in a private file."""

import json
import os
from pathlib import Path
from typing import IO, Any

from .bootstrap import Services
from .domain import call as calls
from .domain.roles import MemberRole

FILE = "demo.json"
_ORGANIZATION = "Demo"


def create(services: Services, data_dir: Path) -> Path | None:
    """Makes the demo and answers with its file; None, and nothing made, when the database has users already."""
    if services.users.any_exists():
        return None
    path = data_dir / FILE
    with _private(path) as file:  # first, so that no token is made that cannot be kept
        json.dump(_make(services), file, indent=2)
        file.write("\n")
    return path


def _make(services: Services) -> dict[str, Any]:
    operator = calls.operator("demo")
    owner = services.users.create(operator, email="owner@example.com", name="Olive Owner", email_verified=True)
    member = services.users.create(operator, email="member@example.com", name="Mika Member", email_verified=True)
    as_owner = calls.operator("demo")
    as_owner.caller = calls.person(owner.user.id, owner.user.email, email_verified=True)
    organization = services.organizations.create(as_owner, name=_ORGANIZATION)
    adding = calls.operator("demo")
    adding.organization_id = organization.id
    services.members.add(adding, user_id=member.user.id, role=MemberRole.MEMBER, assigned_role_ids=[])
    people = {
        name: {
            "user_id": made.user.id,
            "email": made.user.email,
            "personal_organization_id": made.personal_organization.id,
            "token": services.api_tokens.provision(operator, user_id=made.user.id).secret,
        }
        for name, made in (("owner", owner), ("member", member))
    }
    robot = services.api_tokens.provision(operator, organization_id=organization.id)
    platform = services.platform_tokens.provision(operator)
    return {
        "organization_id": organization.id,
        **people,
        "organization_token": robot.secret,
        "platform_token": platform.secret,
    }


def _private(path: Path) -> IO[str]:
    """A new file that only its owner reads, in the place of an old one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
