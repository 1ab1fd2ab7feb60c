"""The use cases, wired to a database."""

from collections.abc import Iterable
from dataclasses import dataclass

from .domain.clock import Clock
from .domain.paging import PageTokens
from .domain.permissions import Catalog
from .domain.regions import FirstRegion
from .services.api_tokens import ApiTokens
from .services.audit import Audit
from .services.authorization import Authorization
from .services.departures import Departures
from .services.erasure import Erasure
from .services.invitations import Invitations
from .services.members import Members
from .services.organizations import Organizations
from .services.own_tokens import OwnTokens
from .services.platform_tokens import PlatformTokens
from .services.quotas import Quotas
from .services.rate_limits import RateLimits
from .services.regions import Regions
from .services.reports import UsageReports
from .services.roles import Roles
from .services.service import Limits
from .services.sign_in import SignIn
from .services.suspensions import Suspensions
from .services.telemetry import Telemetry
from .services.usages import Usages
from .services.users import Users
from .services.whoami import WhoAmI
from .store.change import Store
from .store.database import Database
from .store.queries import users as user_statements
from .store.schema import ensure_current


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, wired to a database."""

    store: Store
    organizations: Organizations
    roles: Roles
    members: Members
    invitations: Invitations
    audit: Audit
    users: Users
    departures: Departures
    erasure: Erasure
    api_tokens: ApiTokens
    own_tokens: OwnTokens
    platform_tokens: PlatformTokens
    sign_in: SignIn
    who_am_i: WhoAmI
    authorization: Authorization
    rate_limits: RateLimits
    suspensions: Suspensions
    telemetry: Telemetry
    regions: Regions
    quotas: Quotas
    usages: Usages
    usage_reports: UsageReports


def wire(
    database: Database,
    catalog: Catalog,
    limits: Limits,
    clock: Clock | None = None,
    *,
    regions: Iterable[FirstRegion] = (),
) -> Services:
    """The services of a database whose schema is current. At the first start it gets these regions. Raises SchemaError."""
    ensure_current(database)
    store = Store(database, clock or Clock(), catalog)
    page_tokens = PageTokens(bytes.fromhex(database.one(user_statements.KEY, purpose="page-token")))
    parts = (store, limits, page_tokens)
    users, organizations, places = Users(*parts), Organizations(*parts), Regions(*parts)
    places.begin(regions)
    return Services(
        store=store,
        organizations=organizations,
        roles=Roles(*parts),
        members=Members(*parts),
        invitations=Invitations(*parts),
        audit=Audit(*parts),
        users=users,
        departures=Departures(*parts),
        erasure=Erasure(*parts),
        api_tokens=ApiTokens(*parts),
        own_tokens=OwnTokens(*parts),
        platform_tokens=PlatformTokens(*parts),
        sign_in=SignIn(*parts),
        who_am_i=WhoAmI(users, organizations),
        authorization=Authorization(*parts),
        rate_limits=RateLimits(*parts),
        suspensions=Suspensions(*parts),
        telemetry=Telemetry(*parts),
        regions=places,
        quotas=Quotas(*parts),
        usages=Usages(*parts),
        usage_reports=UsageReports(*parts),
    )
