"""Log lines for people (``console``) or machines (``json``), always on stderr.

Takes: the format of FLOWSELL_LOG
Out:   structlog, configured for the process; fields that could be somebody's are not logged, and
       what reads like a phone is struck out wherever it stands
"""

from __future__ import annotations

import re
import sys
from typing import Any, Literal

import structlog

PERSONAL = frozenset(
    {
        "alias", "aliases", "birthday", "body", "client", "customer", "headers", "key", "name",
        "password", "payload", "person", "phone", "phones", "record", "secret", "text", "token",
        "value",
    }
)  # fmt: skip
"""Fields that no log line has."""

UNSAID = "(not logged)"
STRUCK = "(digits)"

# Ten to fifteen digits on their own, or spaced as people write them behind a plus. Positions in
# names of files are longer, times have signs between.
_PHONE = re.compile(r"(?<![\w.:-])(?:\+?\d{10,15}|\+\d[\d ()-]{8,18}\d)(?!\w)")


def configure(form: Literal["console", "json"]) -> None:
    """Set up structlog; loggers look stderr up when they are first used."""
    stamped: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        without_persons,
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


def without_persons(
    _: Any, __: str, fields: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The fields of a log line without what is or could be somebody's."""
    return {name: UNSAID if name in PERSONAL else _struck(value) for name, value in fields.items()}


def struck(text: str) -> str:
    """The text with what reads like a phone struck out."""
    return _PHONE.sub(STRUCK, text)


def _struck(value: Any) -> Any:
    if isinstance(value, str):
        return struck(value)
    if isinstance(value, bytes):
        return UNSAID
    if isinstance(value, dict):
        return without_persons(None, "", {str(name): each for name, each in value.items()})
    if isinstance(value, list | tuple):
        return [_struck(each) for each in value]
    return value
