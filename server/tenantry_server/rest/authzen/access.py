"""Questions about access in this dialect: parse, call the service, render."""

import grpc

from tenantry.rest.authzen.v1 import access_service_pb2 as pb
from tenantry.rest.authzen.v1.access_service_pb2_grpc import AccessServiceServicer

from ...domain.call import current
from ...domain.errors import TenantryError
from ...services.authorization import Answer, Authorization
from . import convert

Context = grpc.ServicerContext


class AccessServicer(AccessServiceServicer):
    """Speaks tenantry.rest.authzen.v1.AccessService. The organization is in the question, and not known when the call is
    authenticated; so one question is asked as a batch of one.
    """

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization

    def Evaluate(self, request: pb.EvaluateRequest, context: Context) -> pb.EvaluateResponse:
        return convert.decision(self._answer(request))

    def EvaluateMany(self, request: pb.EvaluateManyRequest, context: Context) -> pb.EvaluateManyResponse:
        if not request.evaluations:
            return convert.one_of_none(self._answer(convert.alone(request)))
        results = self._authorization.check_batch(current.get(), convert.questions(request))
        return convert.decisions(results, request.options.evaluations_semantic)

    def _answer(self, request: pb.EvaluateRequest) -> Answer:
        (result,) = self._authorization.check_batch(current.get(), [convert.question(request)])
        if isinstance(result, TenantryError):
            raise result
        return result
