"""Daytona's dialect: `/api/…`, camelCase, bare bodies, UUIDs."""
