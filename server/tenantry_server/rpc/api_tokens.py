"""ApiTokenService: parse, call, render."""

import grpc

from tenantry.v1 import api_token_service_pb2 as pb
from tenantry.v1.api_token_service_pb2_grpc import ApiTokenServiceServicer

from ..domain.call import current
from ..services.api_tokens import ApiTokens
from ..services.own_tokens import OwnTokens
from . import convert, convert_tokens

Context = grpc.ServicerContext


class ApiTokensServicer(ApiTokenServiceServicer):
    """Speaks tenantry.v1.ApiTokenService."""

    def __init__(self, api_tokens: ApiTokens, own_tokens: OwnTokens) -> None:
        self._api_tokens = api_tokens
        self._own_tokens = own_tokens

    def CreateApiToken(self, request: pb.CreateApiTokenRequest, context: Context) -> pb.CreateApiTokenResponse:
        token = self._api_tokens.create(current.get(), convert_tokens.wanted(request))
        return pb.CreateApiTokenResponse(api_token=convert_tokens.api_token(token), secret=token.secret)

    def GetApiToken(self, request: pb.GetApiTokenRequest, context: Context) -> pb.GetApiTokenResponse:
        token, access = self._api_tokens.get(current.get(), api_token_id=request.api_token_id)
        return pb.GetApiTokenResponse(api_token=convert_tokens.api_token(token), access=convert_tokens.effect(access))

    def ListApiTokens(self, request: pb.ListApiTokensRequest, context: Context) -> pb.ListApiTokensResponse:
        page = self._api_tokens.list_page(current.get(), convert.page(request))
        tokens = map(convert_tokens.api_token, page.items)
        return pb.ListApiTokensResponse(api_tokens=tokens, next_page_token=page.next_page_token)

    def UpdateApiToken(self, request: pb.UpdateApiTokenRequest, context: Context) -> pb.UpdateApiTokenResponse:
        update = convert_tokens.update(request)
        token = self._api_tokens.update(current.get(), update, api_token_id=request.api_token_id)
        return pb.UpdateApiTokenResponse(api_token=convert_tokens.api_token(token))

    def RotateApiToken(self, request: pb.RotateApiTokenRequest, context: Context) -> pb.RotateApiTokenResponse:
        overlap = convert_tokens.overlap(request)
        token = self._api_tokens.rotate(current.get(), api_token_id=request.api_token_id, overlap=overlap)
        return pb.RotateApiTokenResponse(api_token=convert_tokens.api_token(token), secret=token.secret)

    def RevokeApiToken(self, request: pb.RevokeApiTokenRequest, context: Context) -> pb.RevokeApiTokenResponse:
        self._api_tokens.revoke(current.get(), api_token_id=request.api_token_id)
        return pb.RevokeApiTokenResponse()

    def CreateMyApiToken(self, request: pb.CreateMyApiTokenRequest, context: Context) -> pb.CreateMyApiTokenResponse:
        token = self._own_tokens.create(current.get(), convert_tokens.wanted(request), organization_id=request.organization_id)
        return pb.CreateMyApiTokenResponse(api_token=convert_tokens.api_token(token), secret=token.secret)

    def GetMyApiToken(self, request: pb.GetMyApiTokenRequest, context: Context) -> pb.GetMyApiTokenResponse:
        token, access = self._own_tokens.get(
            current.get(), api_token_id=request.api_token_id, organization_id=request.organization_id
        )
        return pb.GetMyApiTokenResponse(api_token=convert_tokens.api_token(token), access=convert_tokens.effect(access))

    def ListMyApiTokens(self, request: pb.ListMyApiTokensRequest, context: Context) -> pb.ListMyApiTokensResponse:
        page = self._own_tokens.list_page(current.get(), convert.page(request))
        tokens = map(convert_tokens.api_token, page.items)
        return pb.ListMyApiTokensResponse(api_tokens=tokens, next_page_token=page.next_page_token)

    def UpdateMyApiToken(self, request: pb.UpdateMyApiTokenRequest, context: Context) -> pb.UpdateMyApiTokenResponse:
        update = convert_tokens.update(request)
        token = self._own_tokens.update(current.get(), update, api_token_id=request.api_token_id)
        return pb.UpdateMyApiTokenResponse(api_token=convert_tokens.api_token(token))

    def RotateMyApiToken(self, request: pb.RotateMyApiTokenRequest, context: Context) -> pb.RotateMyApiTokenResponse:
        overlap = convert_tokens.overlap(request)
        token = self._own_tokens.rotate(current.get(), api_token_id=request.api_token_id, overlap=overlap)
        return pb.RotateMyApiTokenResponse(api_token=convert_tokens.api_token(token), secret=token.secret)

    def RevokeMyApiToken(self, request: pb.RevokeMyApiTokenRequest, context: Context) -> pb.RevokeMyApiTokenResponse:
        self._own_tokens.revoke(current.get(), api_token_id=request.api_token_id)
        return pb.RevokeMyApiTokenResponse()

    def GetCurrentApiToken(self, request: pb.GetCurrentApiTokenRequest, context: Context) -> pb.GetCurrentApiTokenResponse:
        token, access = self._own_tokens.current(current.get(), organization_id=request.organization_id)
        return pb.GetCurrentApiTokenResponse(api_token=convert_tokens.api_token(token), access=convert_tokens.effect(access))
