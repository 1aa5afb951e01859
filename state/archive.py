"""Tables as bytes: a run of Arrow IPC streams, one per table, each row under its number.

Takes: a lane's tables; all rows for a base, the changed ones for a delta
Layout: per table a stream with the columns ``row`` and every stored column; the schema's metadata
        carry the table's name and how many rows it ever used
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from state.index import Rows
from state.table import Column, Table

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def pack(tables: Mapping[str, Table], *, everything: bool) -> bytes:
    """All rows in use, or only those that changed (freed ones among them)."""
    sink = pa.BufferOutputStream()
    for name, table in tables.items():
        rows = table.live() if everything else _changed(table)
        columns = {"row": pa.array(rows)}
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
        rows = batch.column("row").to_numpy()
        for column, kind in table.COLUMNS.items():
            if not kind.derived:
                getattr(table, column)[rows] = _to_numpy(batch.column(column), kind)


def _changed(table: Table) -> Rows:
    return np.flatnonzero(table.changed[: table.rows]).astype(np.int32)


def _to_arrow(values: np.ndarray[tuple[int], np.dtype[np.generic]], kind: Column) -> pa.Array:
    if kind.dtype == "O":
        return pa.array(values, pa.string() if kind.text else pa.binary())
    return pa.array(values)


def _to_numpy(
    values: pa.ChunkedArray, kind: Column
) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    if kind.dtype == "O" or kind.dtype.startswith("S"):
        objects = np.empty(len(values), kind.dtype)
        objects[:] = values.to_pylist()
        return objects
    numbers: np.ndarray[tuple[int], np.dtype[np.generic]] = values.to_numpy()
    return numbers
