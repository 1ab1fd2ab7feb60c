"""The log: one JSON object a line, on standard error. Secrets never get here, because nothing that holds one is logged."""

import json
import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

# Where it happened, and not the values of the variables there: a request or a credential may be among them.
_TRACEBACKS = ExceptionDictTransformer(show_locals=False)


# Made once: `json.dumps` makes another encoder for every line, unless it is asked for nothing in particular.
_encoder = json.JSONEncoder(sort_keys=True, default=repr)


def _json(line: dict[str, Any], **_: Any) -> str:
    return _encoder.encode(line)


def configure(level: int = logging.INFO) -> None:
    """Sets the log up for this process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.ExceptionRenderer(_TRACEBACKS),
            structlog.processors.JSONRenderer(_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
