"""`python -m tenantry_server` is `tenantry`."""

from .cli import main

main()
