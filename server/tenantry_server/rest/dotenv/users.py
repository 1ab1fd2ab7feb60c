"""Who the token stands for, in this dialect: call the service, render."""

import grpc

from tenantry.rest.dotenv.v1 import user_service_pb2 as pb
from tenantry.rest.dotenv.v1.user_service_pb2_grpc import UserServiceServicer

from ...domain.call import current
from ...domain.errors import OrganizationNotAccessible, PrincipalKindNotAllowed
from ...domain.principal import PrincipalKind
from ...services.whoami import WhoAmI
from . import convert


class UsersServicer(UserServiceServicer):
    """Speaks tenantry.rest.dotenv.v1.UserService."""

    def __init__(self, who_am_i: WhoAmI) -> None:
        self._who_am_i = who_am_i

    def GetCurrentPrincipal(
        self, request: pb.GetCurrentPrincipalRequest, context: grpc.ServicerContext
    ) -> pb.GetCurrentPrincipalResponse:
        call = current.get()
        who = self._who_am_i.get(call)
        if who.kind is PrincipalKind.PLATFORM:
            raise PrincipalKindNotAllowed(principal_kind=who.kind)
        if who.user is None and not who.organizations:  # it is deleted
            raise OrganizationNotAccessible(organization_id=call.principal.organization_id)
        return convert.principal(who.user, who.organizations)
