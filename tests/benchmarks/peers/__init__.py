"""Peers: the same work on other stacks, each set up as its own documentation does. Nothing here is part of Tenantry."""
