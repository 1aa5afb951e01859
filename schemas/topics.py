"""The topics: what each carries, by which key, for how long, and its file in a replay's folder.

Takes: nothing; topic creation, sources, sinks and the AsyncAPI document read from here
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.durations import DAY_MS

_RECORD_BYTES = 16 * 1024 * 1024

MAX_MESSAGE_BYTES = _RECORD_BYTES
"""``max.message.bytes`` of records and dead letters, and of clients that carry them."""


class Topic(NamedTuple):
    """One topic; ``stream`` is its name inside the engine, ``file`` that of ``replay --out``."""

    stream: str
    name: str
    file: str
    key: str
    about: str
    config: dict[str, str]
    messages: tuple[str, ...]
    """Names of the exported schemas that its values follow."""


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}


TOPICS = {
    topic.stream: topic
    for topic in (
        Topic(
            "records",
            "flowsell.records.v1",
            "records.ndjson",
            "tenant",
            "Everything that can change a customer, in the order in which it was appended.",
            _kept(14)
            | {
                "max.message.bytes": str(_RECORD_BYTES),
                "message.timestamp.type": "LogAppendTime",
            },
            ("record",),
        ),
        Topic(
            "commands",
            "flowsell.commands.v1",
            "commands.ndjson",
            "customer_id",
            "Instructions to senders; headers command-id and schema.",
            _kept(7),
            ("command",),
        ),
        Topic(
            "decisions",
            "flowsell.decisions.v1",
            "decisions.ndjson",
            "customer_id",
            "What became of every due trigger.",
            _kept(14),
            ("decision",),
        ),
        Topic(
            "segments",
            "flowsell.segments.v1",
            "segments.ndjson",
            "customer_id",
            "Customers moving between segments.",
            _kept(14),
            ("segment_change",),
        ),
        Topic(
            "profiles",
            "flowsell.profiles.v1",
            "profiles.ndjson",
            "customer_id",
            "Customers as they are; the last value of a key is the truth.",
            {"cleanup.policy": "compact", "max.compaction.lag.ms": str(DAY_MS)},
            ("profile", "tombstone"),
        ),
        Topic(
            "aggregates",
            "flowsell.aggregates.v1",
            "aggregates.ndjson",
            "table and key",
            "Rows of the daily and minutely tables, absolute; the last value is the truth.",
            {"cleanup.policy": "compact"},
            (
                "visits_daily",
                "segment_daily",
                "segment_flow_daily",
                "customer_segments",
                "message_funnel_daily",
                "uplift_monthly",
                "webhooks_minutely",
            ),
        ),
        Topic(
            "dead_letters",
            "flowsell.records.v1.dlq",
            "dead_letters.ndjson",
            "as the record",
            "Records that cannot be used: key, value and headers as they came, and why in headers.",
            _kept(14) | {"max.message.bytes": str(_RECORD_BYTES)},
            (),
        ),
    )
}
"""By the stream's name, in the order of the contracts."""

COMMAND_SCHEMA = "command.v1"
"""Value of the header ``schema`` of a command."""

ERROR_HEADER = "__flowsell.errors."
"""Start of the headers of a dead letter; then one of ``ERROR_FIELDS``."""

ERROR_FIELDS = ("topic", "partition", "offset", "stage", "reason", "message")
