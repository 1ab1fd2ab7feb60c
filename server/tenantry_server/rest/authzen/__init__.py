"""The dialect of OpenID AuthZEN: `/access/v1/…`, permissions as actions on resources."""
