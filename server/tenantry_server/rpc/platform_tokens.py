"""PlatformTokenService: parse, call, render."""

import grpc

from tenantry.v1 import platform_token_service_pb2 as pb
from tenantry.v1.platform_token_service_pb2_grpc import PlatformTokenServiceServicer

from ..domain.call import current
from ..services.platform_tokens import PlatformTokens
from . import convert, convert_tokens

Context = grpc.ServicerContext


class PlatformTokensServicer(PlatformTokenServiceServicer):
    """Speaks tenantry.v1.PlatformTokenService."""

    def __init__(self, platform_tokens: PlatformTokens) -> None:
        self._platform_tokens = platform_tokens

    def CreatePlatformToken(self, request: pb.CreatePlatformTokenRequest, context: Context) -> pb.CreatePlatformTokenResponse:
        token = self._platform_tokens.create(current.get(), convert_tokens.wanted(request))
        return pb.CreatePlatformTokenResponse(api_token=convert_tokens.api_token(token), secret=token.secret)

    def GetPlatformToken(self, request: pb.GetPlatformTokenRequest, context: Context) -> pb.GetPlatformTokenResponse:
        token = self._platform_tokens.get(current.get(), api_token_id=request.api_token_id)
        return pb.GetPlatformTokenResponse(api_token=convert_tokens.api_token(token))

    def ListPlatformTokens(self, request: pb.ListPlatformTokensRequest, context: Context) -> pb.ListPlatformTokensResponse:
        page = self._platform_tokens.list_page(current.get(), convert.page(request))
        tokens = map(convert_tokens.api_token, page.items)
        return pb.ListPlatformTokensResponse(api_tokens=tokens, next_page_token=page.next_page_token)

    def UpdatePlatformToken(self, request: pb.UpdatePlatformTokenRequest, context: Context) -> pb.UpdatePlatformTokenResponse:
        update = convert_tokens.update(request)
        token = self._platform_tokens.update(current.get(), update, api_token_id=request.api_token_id)
        return pb.UpdatePlatformTokenResponse(api_token=convert_tokens.api_token(token))

    def RotatePlatformToken(self, request: pb.RotatePlatformTokenRequest, context: Context) -> pb.RotatePlatformTokenResponse:
        overlap = convert_tokens.overlap(request)
        token = self._platform_tokens.rotate(current.get(), api_token_id=request.api_token_id, overlap=overlap)
        return pb.RotatePlatformTokenResponse(api_token=convert_tokens.api_token(token), secret=token.secret)

    def RevokePlatformToken(self, request: pb.RevokePlatformTokenRequest, context: Context) -> pb.RevokePlatformTokenResponse:
        self._platform_tokens.revoke(current.get(), api_token_id=request.api_token_id)
        return pb.RevokePlatformTokenResponse()
