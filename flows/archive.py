"""The archive flow: what was written over WhatsApp, into MongoDB; off unless it is set.

In:    slices of the records topic; the environment: FLOWSELL_MONGO, FLOWSELL_ID_KEY, …
Out:   a document for each message, without a phone or a name; deletes whoever is to be forgotten
State: MongoDB keeps how far each partition is: a start goes on there
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from bytewax.dataflow import Dataflow

from flows.environment import Environment, require, with_mongo
from flows.stop import Stop
from flows.stores import NEEDED, Flow, Settings, Sink, Source, build_stores, run_stores
from operators.excerpt import excerpt
from schemas.slices import Slice
from sinks.store import Cadence

if TYPE_CHECKING:
    from sinks.mongo import MessagesInMongo

NAME = "archive"
STREAM = "records"
CADENCE = Cadence(enough_rows=1_000, wait_seconds=1.0, is_beside=True)


def excerpts(said: Slice, lanes: int, id_key: bytes) -> Slice:
    """The messages of a slice of records, each under the offset of its record."""
    offsets: list[int] = []
    values: list[bytes | None] = []
    for offset, value in zip(said.offsets, said.values, strict=True):
        for line in excerpt(value or b"", offset, said.place.partition, lanes, id_key):
            offsets.append(offset)
            values.append(msgspec.json.encode(line))
    return Slice(said.term, said.place, offsets, values, said.end)


def mongo_of(environment: Environment, kept_days: int) -> MessagesInMongo:
    """MongoDB as the environment says."""
    require(environment, "run archive", *NEEDED, "mongo", "id_key")
    assert environment.mongo is not None
    with with_mongo():
        from sinks.mongo import MessagesInMongo

        return MessagesInMongo(environment.mongo, kept_days)


def run_archive(
    environment: Environment, stop: Stop, kept_days: int, is_over_gaps: bool = False
) -> None:
    """Run until ``stop`` asks for a drain; raises what ended the flow before."""
    engine = mongo_of(environment, kept_days)
    lanes, id_key = environment.lanes, environment.id_key
    assert id_key is not None

    def build(source: Source, sinks: Mapping[str, Sink], settings: Settings) -> Dataflow:
        return build_stores(
            NAME, source, sinks, settings, lambda said: excerpts(said, lanes, id_key)
        )

    run_stores(environment, stop, Flow(NAME, (STREAM,), [(engine, CADENCE)], build, is_over_gaps))
