"""Users in this dialect: parse, call the service, render."""

import grpc

from tenantry.rest.daytona.v1 import user_service_pb2 as pb
from tenantry.rest.daytona.v1.user_service_pb2_grpc import UserServiceServicer

from ...domain.call import current
from ...domain.errors import PrincipalKindNotAllowed
from ...services.whoami import WhoAmI
from . import convert


class UsersServicer(UserServiceServicer):
    """Speaks tenantry.rest.daytona.v1.UserService."""

    def __init__(self, who_am_i: WhoAmI) -> None:
        self._who_am_i = who_am_i

    def GetAuthenticatedUser(self, request: pb.GetAuthenticatedUserRequest, context: grpc.ServicerContext) -> pb.User:
        who = self._who_am_i.get(current.get())
        if who.user is None:
            raise PrincipalKindNotAllowed(principal_kind=who.kind)
        return convert.user(who.user)
