"""Tables as bytes: a run of Arrow IPC streams, one per table, each row under its number.

Takes: a lane's tables; all rows for a base, the changed ones for a delta; packed files to merge
Out:   buffers of Arrow, which are passed on uncopied: no other thread waits for a large one
Layout: per table a stream with the columns ``row`` and every stored column, in batches; the
        schema's metadata carry the table's name and how many rows it ever used. A file of an older
        release may lack tables and columns: those rows are as fresh ones. What is unknown is
        refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from state.index import Rows
from state.table import Column, Table

BATCH_ROWS = 1 << 16

_ROW = Column("i4")
_KEY = Column("u8")
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class UnknownLayout(Exception):
    """A file holds a table or a column that is not known here, or is of another type."""


class Share(NamedTuple):
    """Copies of some rows of one table: nothing of it is the table's own any more."""

    table: str
    used: int
    rows: Rows
    columns: dict[str, tuple[Column, NDArray[Any]]]


def take(tables: Mapping[str, Table], *, everything: bool) -> list[Share]:
    """Copies of all rows in use, or only of those that changed (freed ones among them)."""
    shares = []
    for name, table in tables.items():
        rows = table.live() if everything else _changed(table)
        rows = rows.astype(np.int32)  # as files have them
        columns = {
            column: (kind, getattr(table, column)[rows])
            for column, kind in table.COLUMNS.items()
            if not kind.derived
        }
        shares.append(Share(name, table.rows, rows, columns))
    return shares


def encode(shares: Sequence[Share]) -> pa.Buffer:
    """The copies as a file's bytes, a batch at a time."""
    sink = pa.BufferOutputStream()
    for share in shares:
        kinds = {column: kind for column, (kind, _) in share.columns.items()}
        with _writer(sink, share.table, share.used, kinds) as writer:
            for start in range(0, len(share.rows), BATCH_ROWS):
                part = slice(start, start + BATCH_ROWS)
                arrays = [_to_arrow(share.rows[part], _ROW)]
                arrays += [_to_arrow(values[part], kind) for kind, values in share.columns.values()]
                writer.write_batch(pa.record_batch(arrays, names=["row", *kinds]))
    return sink.getvalue()


def pack(tables: Mapping[str, Table], *, everything: bool) -> pa.Buffer:
    """All rows in use, or only those that changed (freed ones among them)."""
    return encode(take(tables, everything=everything))


def unpack(tables: Mapping[str, Table], packed: pa.Buffer) -> None:
    """Writes the packed rows into the tables; what is derived is left to be rebuilt.

    Raises ``UnknownLayout``.
    """
    for reader, name in _streams(packed):
        table = _known(tables, name, reader.schema)
        table.extend_to(_used(reader.schema))
        for batch in reader:
            rows = _to_numpy(batch.column("row"), _ROW)
            for column in batch.schema.names[1:]:
                kind = table.COLUMNS[column]
                if not kind.derived:
                    getattr(table, column)[rows] = _to_numpy(batch.column(column), kind)


def merge(
    tables: Mapping[str, Table],
    files: Sequence[pa.Buffer],
    is_wanted: Callable[[], bool],
    *,
    everything: bool,
) -> pa.Buffer | None:
    """One file of several, oldest first; ``None`` once it is wanted no more.

    With ``everything`` the first of them is a base, and so is what comes of them; else rows that
    are free now are kept, for files before these may have them in use. ``tables`` tell which
    columns there are. The files are read from the newest to the oldest, so that a row is taken
    where it is met first and no more than a batch is held.
    Raises ``UnknownLayout``.
    """
    sink = pa.BufferOutputStream()
    sources = [_Source(packed) for packed in reversed(files)]
    for name, table in tables.items():
        own = [source for source in sources if source.table == name]
        for source in own:
            _known(tables, name, source.reader.schema)
        kinds = {column: kind for column, kind in table.COLUMNS.items() if not kind.derived}
        used = max((_used(source.reader.schema) for source in own), default=0)
        with _writer(sink, name, used, kinds) as writer:
            held = _Held(writer)
            for batch in _newest([source.reader for source in own], used, everything):
                if not is_wanted():
                    return None
                held.add(_completed(batch, kinds))
            held.flush()
        for source in own:
            source.advance()
    if left := [source.table for source in sources if source.table]:
        raise UnknownLayout(f"table {left[0]} is unknown, or stands in another order")
    return sink.getvalue()


def check(tables: Mapping[str, Table], packed: pa.Buffer) -> None:
    """Reads every batch and keeps nothing; raises ``UnknownLayout`` or an error of Arrow."""
    for reader, name in _streams(packed):
        _known(tables, name, reader.schema)
        used = _used(reader.schema)
        for batch in reader:
            rows = _to_numpy(batch.column("row"), _ROW)
            if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < used:
                raise UnknownLayout(f"table {name} has rows beyond its {used}")


class _Source:
    """A file's streams, one after the other: each is read to its end before the next."""

    def __init__(self, packed: pa.Buffer) -> None:
        self._streams = _streams(packed)
        self.advance()

    def advance(self) -> None:
        """The next stream; ``table`` is empty after the last."""
        self.reader: Any
        self.table: str
        self.reader, self.table = next(self._streams, (None, ""))


class _Held:
    """Batches that wait until they are worth one: merges would leave ever smaller ones."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._batches: list[Any] = []
        self._rows = 0

    def add(self, batch: Any) -> None:
        if batch.num_rows:
            self._batches.append(batch)
            self._rows += batch.num_rows
        if self._rows >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._batches:
            whole = pa.Table.from_batches(self._batches).combine_chunks()
            self._writer.write_table(whole, max_chunksize=BATCH_ROWS)
        self._batches, self._rows = [], 0


def _streams(packed: pa.Buffer) -> Iterator[tuple[Any, str]]:
    """Readers with their tables' names; each must be read to its end before the next."""
    source = pa.BufferReader(packed)
    while source.tell() < len(packed):
        with pa.ipc.open_stream(source) as reader:
            yield reader, reader.schema.metadata[b"table"].decode()


def _writer(sink: Any, table: str, used: int, kinds: Mapping[str, Column]) -> Any:
    fields = [pa.field("row", _arrow_type(_ROW))]
    fields += [pa.field(name, _arrow_type(kind)) for name, kind in kinds.items()]
    schema = pa.schema(fields, metadata={"table": table, "rows": str(used)})
    return pa.ipc.new_stream(sink, schema, options=_OPTIONS)


def _known(tables: Mapping[str, Table], name: str, schema: Any) -> Table:
    """The table of a stream whose columns are all known under their types."""
    table = tables.get(name)
    if table is None:
        raise UnknownLayout(f"table {name} is unknown")
    for field in schema:
        kind = _ROW if field.name == "row" else table.COLUMNS.get(field.name)
        if kind is None:
            raise UnknownLayout(f"column {name}.{field.name} is unknown")
        if field.type != _arrow_type(kind):
            raise UnknownLayout(f"column {name}.{field.name} is of type {field.type}")
    return table


def _used(schema: Any) -> int:
    return int(schema.metadata[b"rows"])


def _newest(readers: Sequence[Any], used: int, everything: bool) -> Iterator[Any]:
    """Batches of rows, each as the first reader tells it that tells it at all."""
    seen = np.zeros(used, np.bool_)
    for reader in readers:
        for batch in reader:
            rows = _to_numpy(batch.column("row"), _ROW)
            wanted = ~seen[rows]
            if everything:
                wanted &= _to_numpy(batch.column("key"), _KEY) != 0
            seen[rows] = True
            yield batch if wanted.all() else batch.filter(_mask(wanted))


def _completed(batch: Any, kinds: Mapping[str, Column]) -> Any:
    """The batch with these columns in this order; one that it lacks has the value of fresh rows."""
    there = set(batch.schema.names)
    arrays = [batch.column("row")]
    for name, kind in kinds.items():
        if name in there:
            arrays.append(batch.column(name))
        else:
            fresh = np.zeros(batch.num_rows, kind.dtype)
            if kind.default != 0:
                fresh[:] = kind.default
            arrays.append(_to_arrow(fresh, kind))
    return pa.record_batch(arrays, names=["row", *kinds])


def _changed(table: Table) -> Rows:
    return table.changed[: table.rows].nonzero()[0]


def _arrow_type(kind: Column) -> Any:
    if kind.dtype == "O":
        return pa.large_string() if kind.text else pa.large_binary()
    if kind.dtype == "?":
        return pa.uint8()
    dtype = np.dtype(kind.dtype)
    return pa.binary(dtype.itemsize) if dtype.kind == "S" else pa.from_numpy_dtype(dtype)


# Buffers go in and out as they are: ``pa.array`` and ``to_numpy`` look for pandas first, and where
# that is installed its import takes a second of every start.
def _to_arrow(values: NDArray[Any], kind: Column) -> pa.Array:
    if kind.dtype == "O":
        return _texts_to_arrow(values.tolist(), kind)
    buffers = [None, pa.py_buffer(values.view(np.uint8))]
    return pa.Array.from_buffers(_arrow_type(kind), len(values), buffers)


def _texts_to_arrow(texts: list[Any], kind: Column) -> pa.Array:
    encoded = [b"" if text is None else text.encode() if kind.text else text for text in texts]
    ends = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([*map(len, encoded)], out=ends[1:])
    told = _bits(np.array([text is not None for text in texts], np.bool_))
    buffers = [told, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(_arrow_type(kind), len(texts), buffers)


def _mask(flags: NDArray[np.bool_]) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, _bits(flags)])


def _bits(flags: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _to_numpy(values: pa.Array, kind: Column) -> NDArray[Any]:
    if kind.dtype == "O":
        objects = np.empty(len(values), kind.dtype)
        objects[:] = values.to_pylist()
        return objects
    buffer = values.buffers()[1]
    if not len(values) or buffer is None:
        return np.zeros(len(values), kind.dtype)
    return np.frombuffer(buffer, kind.dtype)[values.offset : values.offset + len(values)]
