"""What ``run warehouse`` and ``run profiles`` share: topics of the engagement flow into stores.

In:    slices of the topics, ``read_committed``
Out:   every slice to every store
State: none of Bytewax's; each store keeps how far it is beside what it keeps
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import bytewax.operators as op
import structlog
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource
from bytewax.outputs import FixedPartitionedSink
from bytewax.testing import run_main

from flows.environment import Environment
from flows.guard import GuardedSink, GuardedSource
from flows.kafka import Topics, client_properties
from flows.ops import serving
from flows.stop import Stop
from schemas.slices import Slice
from sinks.store import Cadence, Engine, Store, StoreSink
from sources.topics import Subscription, TopicsReader, TopicsSource
from state.vitals import Vitals

EPOCH = timedelta(milliseconds=200)
NEEDED = ("kafka", "instance")
"""What every such flow needs of the environment."""

Source = FixedPartitionedSource[Slice, None]
Sink = FixedPartitionedSink[Slice, None]


@dataclass(frozen=True)
class Settings:
    """What such a flow needs to know beside where slices come from and go to."""

    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True)
class Flow:
    """One of the flows: which streams it reads, and into which engines."""

    name: str
    streams: tuple[str, ...]
    engines: Sequence[tuple[Engine, Cadence]]
    build: Callable[[Source, Mapping[str, Sink], Settings], Dataflow]
    is_over_gaps: bool = False


def build_stores(
    name: str,
    source: Source,
    sinks: Mapping[str, Sink],
    settings: Settings,
    excerpt: Callable[[Slice], Slice] | None = None,
) -> Dataflow:
    """The dataflow; a sink's name is part of its step id. ``excerpt``: what of a slice is kept."""
    flow = Dataflow(name)
    slices = op.input("topics", flow, GuardedSource(source, settings.stop))
    if excerpt is not None:
        slices = op.map("excerpt", slices, excerpt)
    placed = op.map("place", slices, lambda said: (str(said.place), said))
    for sink_name, sink in sinks.items():
        op.output(sink_name, placed, GuardedSink(sink, settings.stop))
    return flow


def run_stores(environment: Environment, stop: Stop, flow: Flow) -> None:
    """Run until ``stop`` asks for a drain; raises what ended the flow before."""
    vitals = Vitals()
    with serving(environment.ops_port, vitals, lambda: stop.draining), ExitStack() as opened:
        properties = client_properties(environment)
        topics = Topics(properties)
        topics.check(environment.lanes)
        log = topics.log()
        stores = []
        for engine, cadence in flow.engines:
            store = Store(engine, log, cadence, vitals)
            opened.callback(store.close)
            store.open()
            stores.append(store)
        assert environment.instance is not None
        subscription = Subscription(
            properties,
            f"flowsell.{flow.name}",
            environment.instance,
            flow.streams,
            flow.is_over_gaps,
        )
        reader = TopicsReader(subscription, stores, vitals)
        opened.callback(reader.close)
        reader.open()
        _run(flow, reader, stores, stop, environment.instance)


def _run(
    flow: Flow, reader: TopicsReader, stores: Sequence[Store], stop: Stop, instance: str
) -> None:
    log = structlog.get_logger(flow.name)
    log.info("started", instance=instance, sinks=[store.name for store in stores])
    dataflow = flow.build(
        TopicsSource(reader, lambda: stop.draining),
        {store.name: StoreSink(store) for store in stores},
        Settings(stop),
    )
    run_main(dataflow, epoch_interval=EPOCH)
    stop.check()
    reader.leave()
    log.info("drained", instance=instance)
