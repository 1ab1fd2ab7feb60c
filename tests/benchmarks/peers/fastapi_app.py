# mypy: ignore-errors
"""GET /organizations/{id} with FastAPI, SQLAlchemy's ORM and its driver for asyncio, over the tables of Tenantry.

What it imports is in an environment of its own, which the type checker does not see.

Token, user, membership, assigned roles and organization come in one join, as they do in Tenantry.
"""

import hashlib
import os
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables."""


class ApiToken(Base):
    """A token."""

    __tablename__ = "api_tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    permissions: Mapped[str | None]
    expire_time: Mapped[int | None]


class ApiTokenSecret(Base):
    """What is kept of a token's secret."""

    __tablename__ = "api_token_secrets"
    digest: Mapped[str] = mapped_column(primary_key=True)
    api_token_id: Mapped[str]


class User(Base):
    """A person."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    email_verified: Mapped[bool]


class Membership(Base):
    """A user in an organization."""

    __tablename__ = "memberships"
    organization_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]


class MembershipRole(Base):
    """A role assigned to a member."""

    __tablename__ = "membership_roles"
    organization_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role_id: Mapped[str] = mapped_column(primary_key=True)


class Organization(Base):
    """A tenant."""

    __tablename__ = "organizations"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    slug: Mapped[str]
    personal: Mapped[bool]
    state: Mapped[str]
    creator_user_id: Mapped[str]
    default_region_id: Mapped[str]
    revision: Mapped[int]
    create_time: Mapped[int]
    update_time: Mapped[int]


class OrganizationAnswer(BaseModel):
    """What is answered."""

    id: str
    name: str
    slug: str
    personal: bool
    state: str
    creator_user_id: str
    default_region_id: str
    revision: int
    create_time: datetime
    update_time: datetime


engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=16, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def session():
    """A session for the request."""
    async with sessions() as opened:
        yield opened


def authorization(digest: str, organization_id: str):
    """The one join."""
    same = and_(MembershipRole.organization_id == Membership.organization_id, MembershipRole.user_id == Membership.user_id)
    return (
        select(ApiToken, User, Membership, MembershipRole, Organization)
        .join(ApiTokenSecret, ApiTokenSecret.api_token_id == ApiToken.id)
        .join(User, User.id == ApiToken.user_id)
        .outerjoin(Membership, and_(Membership.user_id == User.id, Membership.organization_id == organization_id))
        .outerjoin(MembershipRole, same)
        .outerjoin(Organization, Organization.id == organization_id)
        .where(ApiTokenSecret.digest == digest)
    )


@app.get("/organizations/{organization_id}")
async def get_organization(
    organization_id: str,
    authorization_header: Annotated[str, Header(alias="authorization")],
    db: Annotated[AsyncSession, Depends(session)],
) -> OrganizationAnswer:
    """An organization of the caller's."""
    digest = hashlib.sha256(authorization_header.removeprefix("Bearer ").encode()).hexdigest()
    rows = (await db.execute(authorization(digest, organization_id))).all()
    if not rows:
        raise HTTPException(401)
    token, _, membership, _, organization = rows[0]
    if organization is None or membership is None or token.expire_time is not None:
        raise HTTPException(403)
    answer = {name: getattr(organization, name) for name in OrganizationAnswer.model_fields}
    for name in ("create_time", "update_time"):
        answer[name] = datetime.fromtimestamp(answer[name] / 1000, UTC)
    return OrganizationAnswer(**answer)
