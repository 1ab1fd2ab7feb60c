"""People who come with a token of their identity provider: known by issuer and subject, and made when they first come."""

from dataclasses import replace
from typing import Any

from ..domain.call import Call
from ..domain.errors import EmailTaken, IdentityTaken, InvalidCredential, UserDeleted
from ..domain.names import fitting
from ..domain.principal import Known, Principal
from ..domain.users import Following, Identity, User, UserState
from ..oidc.claims import Claims
from ..store.change import Change
from ..store.queries import users as statements
from ..store.standings import identify
from ..store.transactions import change, create_user
from . import emails
from .service import Service
from .users import NewUser, keep, kept, make, present

# Who has no other name that could be shown.
_UNNAMED = "Unnamed"


class SignIn(Service):
    """Finds out whom an identity provider vouches for. E-mail address, verified flag and name follow the newest token that
    said something new (`Following`): several of one person are good at the same time, and may say different things.
    """

    def known(self, call: Call, claims: Claims, organization_id: str) -> Known:
        """The person, and what they may do in the organization; made, with a personal organization, if they are new."""
        identity = Identity(claims.issuer, claims.subject)
        found = self._identify(identity, organization_id)
        if found is None:
            self._make(call, identity, claims)
            found = self._identify(identity, organization_id)
        elif self._follow(call, found, claims):
            found = self._identify(identity, organization_id)
        if found is None:  # deleted in this very moment
            raise InvalidCredential
        return found

    def _identify(self, identity: Identity, organization_id: str) -> Known | None:
        store = self.store
        return identify(store.database, store.catalog, identity, organization_id, store.clock.now())

    def _make(self, call: Call, identity: Identity, claims: Claims) -> None:
        """Makes the person once, however many calls come at the same time: the identity is unique."""
        address, name = _address(claims), _name(claims)

        def body(change: Change) -> NewUser:
            change.call.caller = None  # whoever is made acts; a try before this one made somebody else
            verified = claims.email_verified and bool(address) and not self._is_taken(address)
            return make(change, address, name, verified, identity, _following(claims))

        while True:
            try:
                create_user(self.store, _aside(call), body, NewUser)
            except IdentityTaken:
                return
            except EmailTaken:  # verified by another in this very moment: look again
                continue
            return

    def _follow(self, call: Call, found: Known, claims: Claims) -> bool:
        """Keeps what the token says of the person, if it says something new; whether it did."""
        before = found.principal
        address = _address(claims) if claims.email is not None else before.email
        verified = claims.email_verified if claims.email is not None else before.email_verified
        name = _name(claims) if claims.name else found.name
        if (address, verified, name) == (before.email, before.email_verified, found.name):
            return False  # as with nearly every call
        if not self._last_followed(before).gives_way_to(_following(claims)):
            return False
        if not address or self._is_taken(address, but_by=before.user_id):
            verified = False
        if (address, verified, name) == (before.email, before.email_verified, found.name):
            return False
        return self._update(call, before, _following(claims), email=address, email_verified=verified, name=name)

    def _last_followed(self, principal: Principal) -> Following:
        """The token that was followed last."""
        found = self.database.row(statements.FOLLOWED, identity_id=principal.credential_id)
        if found is None:  # deleted in this very moment
            raise InvalidCredential
        return found

    def _update(self, call: Call, principal: Principal, following: Following, **profile: Any) -> bool:
        user = self.database.one(statements.GET, user_id=principal.user_id)
        if user.state is not UserState.ACTIVE:  # deleted in this very moment
            raise InvalidCredential

        def body(change: Change) -> User:
            before = present(change, user.id)
            after = replace(before, **profile)
            if after == before or not self._last_followed(principal).gives_way_to(following):
                change.unchanged(before)
            change.database.later(statements.FOLLOW, identity_id=principal.credential_id, **kept(following))
            return keep(change, before, after)

        try:
            change(self.store, replace(_aside(call), caller=principal), user.personal_organization_id, body, User)
        except UserDeleted:
            raise InvalidCredential from None
        except EmailTaken:  # the next call sees who was first
            return False
        return True

    def _is_taken(self, address: str, *, but_by: str = "") -> bool:
        """Whether another user has verified the address: two providers may vouch for one address, and the first keeps it."""
        holder = self.database.row(statements.VERIFIED, email=address, verified=True) if address else None
        return holder is not None and holder.id != but_by


def _aside(call: Call) -> Call:
    """A change beside the call that is in progress: what the call says of its own change does not hold for it."""
    return Call(method=call.method, call_id=call.call_id, deadline=call.deadline)


def _following(claims: Claims) -> Following:
    return Following(claims.issue_time, claims.digest)


def _address(claims: Claims) -> str:
    """The canonical address; none when the provider says something that is not one."""
    return emails.find_canonical(claims.email) if claims.email else ""


def _name(claims: Claims) -> str:
    """The name; where the provider says none that fits, the local part of the address or, if need be, the subject."""
    return claims.name or fitting((claims.email or "").partition("@")[0]) or fitting(claims.subject) or _UNNAMED
