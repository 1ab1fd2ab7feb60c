"""AuthorizationService: parse, call, render."""

import grpc

from tenantry.v1 import authorization_service_pb2 as pb
from tenantry.v1.authorization_service_pb2_grpc import AuthorizationServiceServicer

from ..domain.call import current
from ..domain.errors import InvalidRequest
from ..services.authorization import Authorization, Question
from ..services.permission_lists import PermissionLists
from ..wire import moment
from . import convert
from . import convert_authorization as rendering
from .plain import is_plain
from .validation import ensure_valid

Context = grpc.ServicerContext


class AuthorizationServicer(AuthorizationServiceServicer):
    """Speaks tenantry.v1.AuthorizationService."""

    def __init__(self, authorization: Authorization, lists: PermissionLists) -> None:
        self._authorization = authorization
        self._lists = lists

    def CheckPermission(self, request: pb.CheckPermissionRequest, context: Context) -> pb.CheckPermissionResponse:
        question, as_of = rendering.question(request), moment(request, "as_of")
        if not request.explain and as_of is None:
            return rendering.answer(self._authorization.check(current.get(), question))
        answer = self._authorization.explain(current.get(), question, as_of=as_of)
        return rendering.answer(answer, explained=request.explain)

    def BatchCheckPermissions(
        self, request: pb.BatchCheckPermissionsRequest, context: Context
    ) -> pb.BatchCheckPermissionsResponse:
        return rendering.results(self._authorization.check_batch(current.get(), map(self._question, request.items)))

    def ListEffectivePermissions(
        self, request: pb.ListEffectivePermissionsRequest, context: Context
    ) -> pb.ListEffectivePermissionsResponse:
        page, revision = self._lists.permissions(current.get(), rendering.subject(request), convert.page(request))
        return pb.ListEffectivePermissionsResponse(
            permissions=page.items, next_page_token=page.next_page_token, revision=revision
        )

    def ListMembersWithPermission(
        self, request: pb.ListMembersWithPermissionRequest, context: Context
    ) -> pb.ListMembersWithPermissionResponse:
        page = self._lists.members(current.get(), request.permission, convert.page(request))
        return pb.ListMembersWithPermissionResponse(user_ids=page.items, next_page_token=page.next_page_token)

    def ListAccessibleOrganizations(
        self, request: pb.ListAccessibleOrganizationsRequest, context: Context
    ) -> pb.ListAccessibleOrganizationsResponse:
        subject, permission = rendering.subject(request), request.permission
        page = self._lists.organizations(current.get(), subject, permission, convert.page(request))
        return pb.ListAccessibleOrganizationsResponse(organization_ids=page.items, next_page_token=page.next_page_token)

    def _question(self, item: pb.BatchCheckPermissionsRequest.Item) -> Question | InvalidRequest:
        """A question of a batch, or what is wrong with it: the request was accepted without looking at its items."""
        question = rendering.question(item)
        if not is_plain(question, self._authorization.store.catalog.all):
            try:
                ensure_valid(item)
            except InvalidRequest as refusal:
                return refusal
        return question
