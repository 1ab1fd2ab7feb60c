"""Who may do what: one question, many at once, and why. `permission_lists.py` has the lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import NamedTuple, Self

from ..domain import ids
from ..domain.authorization import (
    READ_ROLES,
    Holding,
    Sight,
    Standing,
    SubjectKind,
    View,
    ensure_reached,
    held,
    holding_of,
    sight_of_access,
    view,
)
from ..domain.call import Call
from ..domain.errors import InvalidCredential, InvalidRequest, TenantryError
from ..domain.explanations import Explanation, explain, explain_closed, explain_unseen
from ..domain.history import Past
from ..domain.organizations import OrganizationState
from ..domain.principal import Principal, PrincipalKind
from ..domain.roles import Role
from ..store import subjects as stored
from ..store.queries import authorization as statements
from ..store.subjects import Found, Pair
from . import history
from .credentials import Credentials
from .inquiries import UNSEEN, Inquiry, inquire
from .service import Service
from .subjects import Named, Subject, own_key, resolve


class Question(NamedTuple):
    """Whether a subject holds a permission in an organization, ids as sent; no subject is the caller."""

    subject: Subject | None
    organization_id: str
    permission: str
    at_least_revision: int = 0


class Answer(NamedTuple):
    """Whether it does, as of which revision (0: the caller may not know of the organization), and why."""

    allowed: bool
    revision: int
    explanation: Explanation | None = None


class Authorization(Service):
    """Use cases of questions about permissions. Nothing is cached: each answer is what the database says now."""

    _credentials: Credentials | None = None

    def presenting(self, credentials: Credentials) -> Self:
        """The same, able to tell whose a presented credential is; without, every one is unknown."""
        known = type(self)(self.store, self.limits, self.page_tokens)
        known._credentials = credentials
        return known

    def identify(self, call: Call, bearer: str) -> None:
        """Whoever presents the credential makes the call, with what they may do in the organization that it names, if any.

        Raises InvalidCredential or IdentityProviderUnavailable.
        """
        if self._credentials is None:
            raise InvalidCredential
        known = self._credentials.known(call, bearer, call.organization_id)
        call.caller, call.access = known.principal, known.access

    def check(self, call: Call, question: Question) -> Answer:
        """Answers one question, of a call that names the question's organization.

        Who asks about themselves is answered from what authentication read, without another statement. Raises
        PermissionMissing, PrincipalKindNotAllowed, RevisionNotReached or IdentityProviderUnavailable.
        """
        if question.subject is None and call.access is not None:
            sight = sight_of_access(call.access)
            return _answer(question, holding_of(sight, sight.revision))
        return _answer(question, self.holding(call, self.resolve(call.principal, question.subject)))

    def holding(self, call: Call, named: Named) -> Holding:
        """All that a subject holds in the call's organization, as far as the caller is told. Raises PermissionMissing."""
        return self._inquire(call, named).holding(lambda pair: self.found([pair])[pair].holding)

    def explain(self, call: Call, question: Question, *, as_of: datetime | None = None) -> Answer:
        """Answers one question, about now or about a past instant, and says why. Raises as `check` does, InvalidRequest for
        an instant that has not come, or HistoryNotRetained.
        """
        catalog, permission = self.store.catalog, question.permission
        inquiry = self._inquire(call, self.resolve(call.principal, question.subject))
        standing = self.standing(inquiry.pair)
        if inquiry.is_caller and call.principal.kind is PrincipalKind.PLATFORM:  # a certificate is found by no key
            standing = replace(standing, principal=call.principal)
        if inquiry.shown is View.UNSEEN:
            return Answer(False, 0, explain_unseen(catalog, standing, permission))
        if inquiry.shown is View.CLOSED and inquiry.sight is not None:
            ensure_reached(inquiry.sight.revision, question.at_least_revision)
            return Answer(False, inquiry.sight.revision, explain_closed(catalog, inquiry.sight.state, permission))
        ensure_reached(standing.revision, question.at_least_revision)
        past = None if as_of is None else self._past(call, standing, as_of)
        if past is not None and as_of is not None:
            standing = history.standing_at(catalog, standing, past, as_of)
        explanation = explain(catalog, standing, permission, self._own_roles(inquiry, permission, past))
        return Answer(permission in held(catalog, standing), standing.revision, explanation)

    def check_batch(self, call: Call, questions: Iterable[Question | TenantryError]) -> list[Answer | TenantryError]:
        """Answers each question, or says why not, in their order; one that is wrong already stays as it is.

        One statement for each kind of subject; subjects, and what each holds in an organization, are looked at once.
        """
        batch = _Batch(self, call.principal)
        asked = [batch.asked(question) for question in questions]
        batch.found = self.found(batch.pairs([one[2] for one in asked if not isinstance(one, TenantryError)]))
        return [batch.answer(one) for one in asked]

    def resolve(self, principal: Principal, subject: Subject | None) -> Named:
        """By what to look a subject up. Raises PermissionMissing, PrincipalKindNotAllowed or IdentityProviderUnavailable."""
        return resolve(principal, subject, self._credentials)

    def standing(self, pair: Pair) -> Standing:
        """The standing of a pair, in full. A secret that somebody presented, and that is good, counts as used."""
        now = self.store.clock.now()
        standing = stored.standing(self.database, self.store.catalog, pair, now)
        self._note_use(pair, standing.good_token_id, now)
        return standing

    def found(self, pairs: Iterable[Pair]) -> dict[Pair, Found]:
        """What the standing of each pair amounts to. Good secrets count as used."""
        now = self.store.clock.now()
        answers = stored.found(self.database, self.store.catalog, pairs, now)
        for pair, answer in answers.items():
            self._note_use(pair, answer.good_token_id, now)
        return answers

    def _note_use(self, pair: Pair, good_token_id: str, now: datetime) -> None:
        if good_token_id and pair.subject.kind is SubjectKind.SECRET and self._credentials:
            self._credentials.note_use(good_token_id, now)

    def _inquire(self, call: Call, named: Named) -> Inquiry:
        sight = None if call.access is None else sight_of_access(call.access)
        return inquire(call.principal, named, Pair(named.key, call.organization_id), sight)

    def _past(self, call: Call, standing: Standing, as_of: datetime) -> Past:
        if as_of > self.store.clock.now():
            raise InvalidRequest.of("as_of", "must not be in the future", "AS_OF")
        return history.read(self.database, call, standing, as_of)

    def _own_roles(self, inquiry: Inquiry, permission: str, past: Past | None) -> Sequence[Role]:
        """The organization's own roles that may be named as ones to assign: to callers who may read them."""
        sight = inquiry.sight
        if sight is not None and (sight.state is not OrganizationState.ACTIVE or READ_ROLES not in sight.permissions):
            return ()
        if past is not None:
            return past.own_roles
        return self.database.rows(
            statements.GRANTING_ROLES, organization_id=inquiry.pair.organization_id, word=f" {permission} "
        )


# A question of which it is known whom it is about, and what is to be looked at for it. A batch has many: a plain tuple.
_Asked = tuple[Question, Named, Pair]


class _Batch:
    """Questions of one caller. Whom they are about, what the caller sees of an organization, and what a subject holds there
    is found out once each; what that is refused with is kept in its place, and so is a question that is refused already.
    """

    def __init__(self, service: Authorization, principal: Principal) -> None:
        self._service = service
        self._principal = principal
        self._own = own_key(principal)
        self.found: Mapping[Pair, Found] = {}
        self._named = cache(self._name)
        self._organization_id = cache(ids.find_or_nil)
        self._sight = cache(self._see)
        self._view = cache(self._show)

    def asked(self, question: Question | TenantryError) -> _Asked | TenantryError:
        """What is to be looked at, or what naming the subject is refused with."""
        if isinstance(question, TenantryError):
            return question
        subject = question.subject
        named = self._name(subject) if subject is not None and subject.user_id else self._named(subject)
        if isinstance(named, TenantryError):
            return named
        return question, named, Pair(named.key, self._organization_id(question.organization_id))

    def pairs(self, asked: list[Pair]) -> list[Pair]:
        """What is to be looked at: the subjects and, where that tells what may be asked, the caller."""
        if self._principal.kind is PrincipalKind.PLATFORM:
            return asked
        return asked + [Pair(self._own, organization_id) for organization_id in {pair.organization_id for pair in asked}]

    def answer(self, asked: _Asked | TenantryError) -> Answer | TenantryError:
        """The answer, PermissionMissing or RevisionNotReached."""
        if isinstance(asked, TenantryError):
            return asked
        question, named, pair = asked
        sight, shown = self._sight(pair.organization_id), self._view(pair.organization_id, named.is_own)
        if isinstance(shown, TenantryError):
            return shown
        inquiry = Inquiry(pair, sight, shown, named.is_caller)
        try:
            return _answer(question, inquiry.holding(self._look))
        except TenantryError as refusal:
            return refusal

    def _name(self, subject: Subject | None) -> Named | TenantryError:
        try:
            return self._service.resolve(self._principal, subject)
        except TenantryError as refusal:
            return refusal

    def _see(self, organization_id: str) -> Sight | None:
        if self._principal.kind is PrincipalKind.PLATFORM:
            return None
        return self.found[Pair(self._own, organization_id)].sight

    def _show(self, organization_id: str, is_own: bool) -> View | TenantryError:
        try:
            return view(self._principal, self._sight(organization_id), is_own=is_own)
        except TenantryError as refusal:
            return refusal

    def _look(self, pair: Pair) -> Holding:
        return self.found[pair].holding


def _answer(question: Question, holding: Holding) -> Answer:
    if holding is not UNSEEN:
        ensure_reached(holding.revision, question.at_least_revision)
    return Answer(question.permission in holding.permissions, holding.revision)
