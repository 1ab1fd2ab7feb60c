"""API keys in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.dotenv.v1 import api_key_service_pb2 as pb
from tenantry.rest.dotenv.v1.api_key_service_pb2_grpc import ApiKeyServiceServicer

from ...domain.call import current
from ...services.api_tokens import ApiTokens
from ...services.minting import TokenRequest, TokenUpdate
from ...wire import moment
from . import convert

Context = grpc.ServicerContext


class ApiKeysServicer(ApiKeyServiceServicer):
    """Speaks tenantry.rest.dotenv.v1.ApiKeyService."""

    def __init__(self, api_tokens: ApiTokens) -> None:
        self._api_tokens = api_tokens

    def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        tokens = self._api_tokens.list_all(current.get().organization_id)
        return pb.ListApiKeysResponse(data=map(convert.api_key, tokens))

    def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.NewApiKeyResponse:
        wanted = TokenRequest(
            name=request.name,
            permissions=convert.permissions(list(request.abilities)),
            expire_time=moment(request, "expires_at"),
        )
        return convert.new_api_key(self._api_tokens.create(current.get(), wanted), "API key created.")

    def GetApiKey(self, request: pb.GetApiKeyRequest, context: Context) -> pb.ApiKeyResponse:
        token, _ = self._api_tokens.get(current.get(), api_token_id=request.api_token_id)
        return pb.ApiKeyResponse(data=convert.api_key(token))

    def UpdateApiKey(self, request: pb.UpdateApiKeyRequest, context: Context) -> pb.ApiKeyResponse:
        present = {"name": request.HasField("name"), "permissions": request.HasField("abilities")}
        present["expire_time"] = request.HasField("expires_at")
        abilities = convert.abilities(request.abilities) if present["permissions"] else []
        wanted = TokenUpdate(
            fields=frozenset(name for name, is_present in present.items() if is_present),
            name=request.name,
            permissions=convert.permissions(abilities),
            expire_time=convert.instant_or_null(request.expires_at, field="expires_at"),
        )
        token = self._api_tokens.update(current.get(), wanted, api_token_id=request.api_token_id)
        return pb.ApiKeyResponse(data=convert.api_key(token))

    def DeleteApiKey(self, request: pb.DeleteApiKeyRequest, context: Context) -> Empty:
        self._api_tokens.revoke(current.get(), api_token_id=request.api_token_id)
        return Empty()

    def RotateApiKey(self, request: pb.RotateApiKeyRequest, context: Context) -> pb.NewApiKeyResponse:
        token = self._api_tokens.rotate(current.get(), api_token_id=request.api_token_id)
        return convert.new_api_key(token, "API key rotated.")
