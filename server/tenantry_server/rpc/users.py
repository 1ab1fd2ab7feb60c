"""UserService: parse, call, render."""

import grpc

from tenantry.v1 import user_pb2
from tenantry.v1 import user_service_pb2 as pb
from tenantry.v1.user_service_pb2_grpc import UserServiceServicer

from ..domain.call import current
from ..domain.users import Identity
from ..services.departures import Departures
from ..services.erasure import Erasure
from ..services.users import Users
from ..services.whoami import WhoAmI
from . import convert, convert_tokens

Context = grpc.ServicerContext
_FIELDS = ("email", "email_verified", "name")


class UsersServicer(UserServiceServicer):
    """Speaks tenantry.v1.UserService."""

    def __init__(self, users: Users, departures: Departures, erasure: Erasure, who_am_i: WhoAmI) -> None:
        self._users = users
        self._departures = departures
        self._erasure = erasure
        self._who_am_i = who_am_i

    def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> user_pb2.User:
        known = Identity(request.identity.issuer, request.identity.subject) if request.HasField("identity") else None
        made = self._users.create(
            current.get(), email=request.email, name=request.name, email_verified=request.email_verified, identity=known
        )
        return convert.user(made.user)

    def GetUser(self, request: pb.GetUserRequest, context: Context) -> user_pb2.User:
        return convert.user(self._users.get(current.get(), user_id=request.user_id))

    def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        page = self._users.list_page(current.get(), convert.page(request), with_deleted=request.show_deleted)
        return pb.ListUsersResponse(users=map(convert.user, page.items), next_page_token=page.next_page_token)

    def FindUserByEmail(self, request: pb.FindUserByEmailRequest, context: Context) -> user_pb2.User:
        return convert.user(self._users.find_by_email(request.email))

    def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> user_pb2.User:
        fields = {name: getattr(request, name) for name in convert.chosen(request, _FIELDS)}
        return convert.user(self._users.update(current.get(), user_id=request.user_id, **fields))

    def DeleteUser(self, request: pb.DeleteUserRequest, context: Context) -> user_pb2.User:
        successors = [(named.organization_id, named.user_id) for named in request.successors]
        return convert.user(self._departures.delete(current.get(), user_id=request.user_id, successors=successors))

    def ExportUser(self, request: pb.ExportUserRequest, context: Context) -> pb.ExportUserResponse:
        export, now = self._erasure.export(current.get(), self._users, user_id=request.user_id), self._users.store.clock.now()
        return pb.ExportUserResponse(
            user=convert.user(export.user),
            memberships=map(convert.member, export.memberships),
            invitations=[convert.invitation(invitation, now) for invitation in export.invitations],
            api_tokens=map(convert_tokens.api_token, export.api_tokens),
        )

    def EraseUser(self, request: pb.EraseUserRequest, context: Context) -> user_pb2.User:
        return convert.user(self._erasure.erase(current.get(), self._users, user_id=request.user_id))

    def GetCurrentUser(self, request: pb.GetCurrentUserRequest, context: Context) -> pb.GetCurrentUserResponse:
        who = self._who_am_i.get(current.get())
        return pb.GetCurrentUserResponse(
            principal_kind=convert.principal_kind(who.kind),
            user=None if who.user is None else convert.user(who.user),
            organizations=[
                pb.GetCurrentUserResponse.AccessibleOrganization(
                    organization=convert.organization(organization), role=convert.member_role_of(role)
                )
                for organization, role in who.organizations
            ],
            unrestricted=who.permissions is None,
            permissions=who.permissions or (),
        )
