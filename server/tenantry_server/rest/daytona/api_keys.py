"""API keys in this dialect: parse, call the service, render."""

from datetime import UTC, datetime

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.daytona.v1 import api_key_service_pb2 as pb
from tenantry.rest.daytona.v1.api_key_service_pb2_grpc import ApiKeyServiceServicer

from ...domain.call import current
from ...domain.tokens import ApiToken
from ...services.api_tokens import ApiTokens
from ...services.minting import TokenRequest
from ...services.own_tokens import OwnTokens
from ...wire import moment
from . import convert

Context = grpc.ServicerContext
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class ApiKeysServicer(ApiKeyServiceServicer):
    """Speaks tenantry.rest.daytona.v1.ApiKeyService."""

    def __init__(self, own_tokens: OwnTokens, api_tokens: ApiTokens) -> None:
        self._own_tokens = own_tokens
        self._api_tokens = api_tokens
        self._implicit = own_tokens.store.catalog.implicit

    def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.ApiKeyResponse:
        # Every key may read what every member may. What was asked for stands first: refusals count by its places.
        permissions = [*map(convert.permission, request.permissions), *sorted(self._implicit)]
        wanted = TokenRequest(name=request.name, permissions=permissions, expire_time=moment(request, "expires_at"))
        token = self._own_tokens.create(current.get(), wanted, organization_id=request.organization_id)
        return convert.new_api_key(token, self._implicit)

    def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        tokens = self._own_tokens.list_in(current.get(), self._api_tokens, organization_id=request.organization_id)
        # Those that the organization owns act for nobody, and could not be named here.
        keys = sorted((token for token in tokens if token.user_id), key=_latest, reverse=True)
        return pb.ListApiKeysResponse(items=map(self._render, keys))

    def GetCurrentApiKey(self, request: pb.GetCurrentApiKeyRequest, context: Context) -> pb.ApiKeyList:
        return self._render(self._own_tokens.current(current.get())[0])

    def GetApiKey(self, request: pb.GetApiKeyRequest, context: Context) -> pb.ApiKeyList:
        return self._render(self._own_tokens.named(current.get(), organization_id=request.organization_id, name=request.name))

    def DeleteApiKey(self, request: pb.DeleteApiKeyRequest, context: Context) -> Empty:
        self._own_tokens.revoke_named(current.get(), organization_id=request.organization_id, name=request.name)
        return Empty()

    def DeleteMemberApiKey(self, request: pb.DeleteMemberApiKeyRequest, context: Context) -> Empty:
        self._own_tokens.revoke_named(
            current.get(), organization_id=request.organization_id, name=request.name, user_id=request.user_id
        )
        return Empty()

    def _render(self, token: ApiToken) -> pb.ApiKeyList:
        return convert.api_key(token, self._implicit)


def _latest(token: ApiToken) -> tuple[datetime, datetime]:
    """What lists are ordered by: the last use, then the making."""
    return token.last_used_time or _LONG_AGO, token.create_time
