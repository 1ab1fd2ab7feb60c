"""AuditService: parse, call, render."""

import grpc

from tenantry.v1 import audit_service_pb2 as pb
from tenantry.v1.audit_service_pb2_grpc import AuditServiceServicer

from ..domain.call import current
from ..services.audit import Audit
from . import convert


class AuditServicer(AuditServiceServicer):
    """Speaks tenantry.v1.AuditService."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: grpc.ServicerContext) -> pb.ListAuditEventsResponse:
        page = self._audit.list_page(current.get(), convert.page(request))
        return pb.ListAuditEventsResponse(events=map(convert.audit_event, page.items), next_page_token=page.next_page_token)

    def ListPlatformAuditEvents(
        self, request: pb.ListPlatformAuditEventsRequest, context: grpc.ServicerContext
    ) -> pb.ListPlatformAuditEventsResponse:
        page = self._audit.list_page(current.get(), convert.page(request))
        events = map(convert.audit_event, page.items)
        return pb.ListPlatformAuditEventsResponse(events=events, next_page_token=page.next_page_token)
