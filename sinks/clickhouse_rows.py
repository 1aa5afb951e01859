"""Output lines to Arrow tables: the columns of each ClickHouse table, typed, and nothing else.

In:    lines of the streams ``aggregates``, ``segments`` and ``decisions``, as bytes
Out:   an Arrow table for each ClickHouse table, rows in the order of the lines
Errors: ``msgspec.ValidationError`` for a line that the fold would not write: a bug
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import attrgetter, or_
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.aggregates import AGGREGATES
from schemas.outputs import decode_change, decode_decision


class Column(NamedTuple):
    """How one kind of value travels: its type in Arrow, and the way there."""

    arrow: pa.DataType
    array: Callable[[list[Any], pa.DataType], pa.Array]


# Arrays are made from buffers: ``pa.array`` looks for pandas first, and where that is installed its
# import takes a second.
def _from_buffers(kind: pa.DataType, values: NDArray[Any], valid: NDArray[np.bool_]) -> pa.Array:
    absent = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [absent, pa.py_buffer(values)])


def _numbers(values: list[int | None], kind: pa.DataType) -> pa.Array:
    """A number that its type cannot hold is an ``OverflowError``, never another number."""
    valid = np.array([value is not None for value in values], np.bool_)
    return _from_buffers(kind, np.array([v or 0 for v in values], kind.to_pandas_dtype()), valid)


def _wide_numbers(values: list[int], kind: pa.DataType) -> pa.Array:
    """256 bits each, as ClickHouse reads an ``Int256``; more is an ``OverflowError``."""
    told = b"".join(value.to_bytes(kind.byte_width, "little", signed=True) for value in values)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(told)])


def _texts(values: list[str], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, *_letters(values)])


def _optional_texts(values: list[str | None], kind: pa.DataType) -> pa.Array:
    valid = np.packbits([value is not None for value in values], bitorder="little")
    buffers = [pa.py_buffer(valid), *_letters([value or "" for value in values])]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _letters(values: list[str]) -> list[pa.Buffer]:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return [pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]


def _times(unit: str) -> Callable[[list[str | None], pa.DataType], pa.Array]:
    def array(values: list[str | None], kind: pa.DataType) -> pa.Array:
        """Days, or RFC 3339 with ``Z`` as every output has it."""
        plain = [value.rstrip("Z") if value else "NaT" for value in values]
        found = np.array(plain, f"datetime64[{unit}]")
        valid = ~np.isnat(found)
        width = np.int32 if unit == "D" else np.int64
        return _from_buffers(kind, found.astype(np.int64).astype(width), valid)

    return array


TEXT = Column(pa.string(), _texts)
OPTIONAL_TEXT = Column(pa.string(), _optional_texts)
COUNT = Column(pa.uint32(), _numbers)
DIGIT = Column(pa.uint8(), _numbers)
DAYS = Column(pa.int32(), _numbers)
MONEY = Column(pa.int64(), _numbers)
SQUARES = Column(pa.binary(32), _wide_numbers)
POSITION = Column(pa.uint64(), _numbers)
DAY = Column(pa.date32(), _times("D"))
INSTANT = Column(pa.timestamp("ms", "UTC"), _times("ms"))
MINUTE = Column(pa.timestamp("s", "UTC"), _times("s"))

CHANGES = "segment_changes"
DECISIONS = "decisions"
"""Tables that are streams of their own; the others' lines name their table."""

TABLES: dict[str, dict[str, Column]] = {
    CHANGES: {
        "tenant": TEXT,
        "customer_id": TEXT,
        "at": INSTANT,
        "to": TEXT,
        "from": TEXT,
        "cause": TEXT,
        "position": POSITION,
    },
    "customer_segments": {
        "tenant": TEXT,
        "customer_id": TEXT,
        "segment": TEXT,
        "r": DIGIT,
        "f": DIGIT,
        "m": DIGIT,
        "recency_days": DAYS,
        "frequency": COUNT,
        "monetary_minor": MONEY,
        "last_visit_at": INSTANT,
        "position": POSITION,
    },
    "visits_daily": {
        "tenant": TEXT,
        "day": DAY,
        "visits": COUNT,
        "walk_ins": COUNT,
        "revenue_minor": MONEY,
        "position": POSITION,
    },
    "segment_daily": {
        "tenant": TEXT,
        "day": DAY,
        "segment": TEXT,
        "customers": COUNT,
        "revenue_minor": MONEY,
        "position": POSITION,
    },
    "segment_flow_daily": {
        "tenant": TEXT,
        "day": DAY,
        "from": TEXT,
        "to": TEXT,
        "customers": COUNT,
        "position": POSITION,
    },
    "webhooks_minutely": {
        "tenant": TEXT,
        "provider": TEXT,
        "minute": MINUTE,
        "records": COUNT,
        "events": COUNT,
        "duplicates": COUNT,
        "late": COUNT,
        "dead": COUNT,
        "position": POSITION,
    },
    "message_funnel_daily": {
        "tenant": TEXT,
        "day": DAY,
        "trigger": TEXT,
        "channel": TEXT,
        "variant": TEXT,
        "commanded": COUNT,
        "accepted": COUNT,
        "sent": COUNT,
        "delivered": COUNT,
        "read": COUNT,
        "replied": COUNT,
        "failed": COUNT,
        "returned": COUNT,
        "revenue_minor": MONEY,
        "position": POSITION,
    },
    "uplift_monthly": {
        "tenant": TEXT,
        "month": TEXT,
        "trigger": TEXT,
        "variant": TEXT,
        "customers": COUNT,
        "returned": COUNT,
        "revenue_minor": MONEY,
        "revenue_squared": SQUARES,
        "position": POSITION,
    },
    DECISIONS: {
        "tenant": TEXT,
        "decision_id": TEXT,
        "trigger": TEXT,
        "outcome": TEXT,
        "reason": OPTIONAL_TEXT,
        "at": INSTANT,
        "position": POSITION,
    },
}
"""By table, the columns in the order of its definition."""


_OWN_STREAMS = {
    "segments": (CHANGES, decode_change),
    "decisions": (DECISIONS, decode_decision),
}
_row = msgspec.json.Decoder(reduce(or_, AGGREGATES.values())).decode


def decoded(stream: str, lines: Sequence[bytes]) -> dict[str, list[msgspec.Struct]]:
    """Rows by table, in the order of the lines; ``stream`` is one that ClickHouse takes.

    Only what the tables have is read: a phone or a name could not get through.
    """
    if stream in _OWN_STREAMS:
        table, row_of = _OWN_STREAMS[stream]
        return {table: [row_of(line) for line in lines]}
    found: dict[str, list[msgspec.Struct]] = {}
    for line in lines:
        row = _row(line)
        found.setdefault(str(row.__struct_config__.tag), []).append(row)
    return found


def arrow_table(table: str, rows: Sequence[msgspec.Struct]) -> pa.Table:
    """The rows as columns."""
    columns = TABLES[table]
    arrays = []
    for name, column in columns.items():
        of = attrgetter("from_" if name == "from" else name)
        arrays.append(column.array([of(row) for row in rows], column.arrow))
    return pa.Table.from_arrays(arrays, [*columns])
