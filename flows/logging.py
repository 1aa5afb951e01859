"""Log lines for people (``console``) or machines (``json``), always on stderr.

Takes: the format of FLOWSELL_LOG
Out:   structlog, configured for the process; events are named, never formatted with personal data
"""

from __future__ import annotations

import sys
from typing import Literal

import structlog


def configure(form: Literal["console", "json"]) -> None:
    """Set up structlog; loggers look stderr up when they are first used."""
    stamped: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor]
    if form == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)]
    structlog.configure(
        processors=stamped + last,
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
