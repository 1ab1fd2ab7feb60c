"""What a bearer credential stands for: an API token, or what an identity provider signed."""

from datetime import datetime

from ..domain import tokens
from ..domain.authorization import UNKNOWN_CREDENTIAL, SubjectKey, SubjectKind
from ..domain.call import Call
from ..domain.errors import InvalidCredential
from ..domain.principal import Known
from ..oidc.verifier import Verifier
from ..store.change import Store
from ..store.standings import authenticate
from .last_used import LastUsed
from .sign_in import SignIn


class Credentials:
    """Finds out who calls. Which way to look is told by the credential's form alone; none is tried after another."""

    def __init__(self, store: Store, sign_in: SignIn, last_used: LastUsed, verifier: Verifier | None) -> None:
        self._store = store
        self._sign_in = sign_in
        self._last_used = last_used
        self._verifier = verifier

    def known(self, call: Call, bearer: str, organization_id: str) -> Known:
        """Who calls, and what they may do in the organization, if one is named.

        Raises InvalidCredential, or IdentityProviderUnavailable when it cannot be told now.
        """
        digest = tokens.digest(bearer)
        if digest is None:
            if self._verifier is None or bearer.count(".") != 2:
                raise InvalidCredential
            return self._sign_in.known(call, self._verifier.verify(bearer), organization_id)
        store = self._store
        now = store.clock.now()
        known = authenticate(store.database, store.catalog, digest, organization_id, now)
        if known is None:
            raise InvalidCredential
        self._last_used.note(known.principal.credential_id, now)
        return known

    def key(self, bearer: str) -> SubjectKey:
        """By what the subject of a presented credential is looked up. Nobody is made a user, as who calls would be.

        Raises IdentityProviderUnavailable when it cannot be told now.
        """
        digest = tokens.digest(bearer)
        if digest is not None:
            return SubjectKey(SubjectKind.SECRET, (digest,))
        if self._verifier is None or bearer.count(".") != 2:
            return UNKNOWN_CREDENTIAL
        try:
            claims = self._verifier.verify(bearer)
        except InvalidCredential:
            return UNKNOWN_CREDENTIAL
        return SubjectKey(SubjectKind.IDENTITY, (claims.issuer, claims.subject))

    def note_use(self, api_token_id: str, now: datetime) -> None:
        """Remembers that somebody presented a token to whoever asks about it."""
        self._last_used.note(api_token_id, now)
