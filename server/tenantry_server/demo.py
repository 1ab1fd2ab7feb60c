"""The demo: two people and an organization of theirs on an empty database, with their tokens in a private file."""

import json
import os
from pathlib import Path

from .bootstrap import Services
from .domain import call as calls
from .domain.roles import MemberRole
from .services.users import NewUser

FILE = "demo.json"
_ORGANIZATION = "Demo"


def create(services: Services, data_dir: Path) -> Path | None:
    """Makes the demo and answers with its file; None, and nothing made, when the database has users already."""
    if services.users.any_exists():
        return None
    operator = calls.operator("demo")
    owner = services.users.create(operator, email="owner@example.com", name="Olive Owner", email_verified=True)
    member = services.users.create(operator, email="member@example.com", name="Mika Member", email_verified=True)
    tokens = {person.user.id: services.api_tokens.create(operator, user_id=person.user.id) for person in (owner, member)}
    as_owner = calls.operator("demo")
    as_owner.caller = calls.person(owner.user.id, owner.user.email, email_verified=True)
    organization = services.organizations.create(as_owner, name=_ORGANIZATION, default_region_id="")
    adding = calls.operator("demo")
    adding.organization_id = organization.id
    services.members.add(adding, user_id=member.user.id, role=MemberRole.MEMBER, assigned_role_ids=[])
    robot = services.api_tokens.create(operator, organization_id=organization.id)

    def person(made: NewUser) -> dict[str, str]:
        return {
            "user_id": made.user.id,
            "email": made.user.email,
            "personal_organization_id": made.personal_organization.id,
            "token": tokens[made.user.id].secret,
        }

    content = {
        "organization_id": organization.id,
        "owner": person(owner),
        "member": person(member),
        "organization_token": robot.secret,
    }
    path = data_dir / FILE
    _write_privately(path, json.dumps(content, indent=2) + "\n")
    return path


def _write_privately(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
