"""The audit trails of organizations and of the platform."""

from ..domain.audit import AuditEvent
from ..domain.call import Call
from ..domain.paging import Page
from ..store.queries import audit as statements
from .service import PageRequest, Service

# Beyond every revision: where the newest-first list begins.
_END = 2**63 - 1


class Audit(Service):
    """Use cases of the audit trail."""

    def list_page(self, call: Call, page: PageRequest) -> Page[AuditEvent]:
        """A page of the changes of the call's organization, or of the platform when it has none; the newest first."""
        scope = self.scope(call)
        before = int(self.page_tokens.position(scope, page.token, start=str(_END)))
        rows = self.database.rows(statements.LIST, organization_id=call.organization_id, before=before, limit=page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda event: str(event.revision))
