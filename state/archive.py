"""Tables as bytes: a run of Arrow IPC streams, one per table, each row under its number.

Takes: a lane's tables; all rows for a base, the changed ones for a delta
Layout: per table a stream with the columns ``row`` and every stored column; the schema's metadata
        carry the table's name and how many rows it ever used
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from state.index import Rows
from state.table import Column, Table

_ROW = Column("i4")
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def pack(tables: Mapping[str, Table], *, everything: bool) -> bytes:
    """All rows in use, or only those that changed (freed ones among them)."""
    sink = pa.BufferOutputStream()
    for name, table in tables.items():
        rows = table.live() if everything else _changed(table)
        columns = {"row": _to_arrow(rows, _ROW)}
        for column, kind in table.COLUMNS.items():
            if not kind.derived:
                columns[column] = _to_arrow(getattr(table, column)[rows], kind)
        batch = pa.table(columns).replace_schema_metadata({"table": name, "rows": str(table.rows)})
        with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
            writer.write_table(batch)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack(tables: Mapping[str, Table], packed: bytes) -> None:
    """Writes the packed rows into the tables; what is derived is left to be rebuilt."""
    source = pa.BufferReader(packed)
    for _ in tables:
        with pa.ipc.open_stream(source) as reader:
            batch = reader.read_all()
        meta = batch.schema.metadata
        table = tables[meta[b"table"].decode()]
        table.extend_to(int(meta[b"rows"]))
        rows = _to_numpy(batch.column("row"), _ROW)
        for column, kind in table.COLUMNS.items():
            if not kind.derived:
                getattr(table, column)[rows] = _to_numpy(batch.column(column), kind)


def _changed(table: Table) -> Rows:
    return np.flatnonzero(table.changed[: table.rows]).astype(np.int32)


# Buffers go in and out as they are: ``pa.array`` and ``to_numpy`` look for pandas first, and where
# that is installed its import takes a second of every start.
def _to_arrow(values: NDArray[Any], kind: Column) -> pa.Array:
    if kind.dtype == "O":
        return _texts_to_arrow(values.tolist(), kind)
    if kind.dtype == "?":
        values = values.view(np.uint8)
    elif kind.dtype.startswith("S"):
        width = pa.binary(values.dtype.itemsize)
        return pa.Array.from_buffers(width, len(values), [None, pa.py_buffer(values)])
    like = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(like, len(values), [None, pa.py_buffer(values)])


def _texts_to_arrow(texts: list[Any], kind: Column) -> pa.Array:
    encoded = [b"" if text is None else text.encode() if kind.text else text for text in texts]
    ends = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([*map(len, encoded)], out=ends[1:])
    told = np.packbits(np.array([text is not None for text in texts], np.bool_), bitorder="little")
    buffers = [pa.py_buffer(told), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    like = pa.large_string() if kind.text else pa.large_binary()
    return pa.Array.from_buffers(like, len(texts), buffers)


def _to_numpy(values: pa.ChunkedArray, kind: Column) -> NDArray[Any]:
    if kind.dtype == "O":
        objects = np.empty(len(values), kind.dtype)
        objects[:] = values.to_pylist()
        return objects
    if not len(values):
        return np.empty(0, kind.dtype)
    return np.concatenate(
        [
            np.frombuffer(chunk.buffers()[1], kind.dtype)[chunk.offset : chunk.offset + len(chunk)]
            for chunk in values.chunks
        ]
    )
