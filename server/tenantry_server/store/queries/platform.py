"""Statements about the platform, which is nobody's tenant."""

from ..models import Platform
from ..statements import constant, value

# Takes the platform's lock, by counting its revision.
BUMP = value(
    lambda: (
        Platform.update({Platform.revision: Platform.revision + 1})
        .where(Platform.id == constant("platform"))
        .returning(Platform.revision)
    )
)
