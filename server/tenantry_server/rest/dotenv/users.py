"""Who the token stands for, in this dialect: call the service, render."""

import grpc

from tenantry.rest.dotenv.v1 import user_service_pb2 as pb
from tenantry.rest.dotenv.v1.user_service_pb2_grpc import UserServiceServicer

from ...domain.call import current
from ...services.whoami import WhoAmI
from . import convert


class UsersServicer(UserServiceServicer):
    """Speaks tenantry.rest.dotenv.v1.UserService."""

    def __init__(self, who_am_i: WhoAmI) -> None:
        self._who_am_i = who_am_i

    def GetCurrentPrincipal(
        self, request: pb.GetCurrentPrincipalRequest, context: grpc.ServicerContext
    ) -> pb.GetCurrentPrincipalResponse:
        return convert.principal(self._who_am_i.get(current.get()))
