"""Etags: opaque to callers, made from the revision at which an object last changed."""


def etag(revision: int) -> str:
    """The etag of an object that last changed at this revision."""
    return f"r{revision}"
