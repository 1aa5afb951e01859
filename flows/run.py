"""``flowsell run``: the engagement flow on Kafka, exactly once; the flows that follow it.

In:    the environment: FLOWSELL_KAFKA, FLOWSELL_STATE, FLOWSELL_INSTANCE, FLOWSELL_ID_KEY, …
Out:   until SIGTERM or SIGINT: drains, so that commits and snapshots stand at the same positions
State: Kafka's committed positions, and snapshots under FLOWSELL_STATE
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import click
import structlog
from bytewax.testing import run_main

from flows.cli import say
from flows.engagement import Settings, build, fingerprint
from flows.environment import (
    Environment,
    instance_of,
    process_variables,
    read_environment,
    require,
)
from flows.kafka import Topics, client_properties
from flows.logging import configure
from flows.ops import serving
from flows.saving import Saver, storing
from flows.stop import Stop, draining_on_signals
from flows.supervise import Pace, Process, Supervisor, start_process
from schemas.forms import COMPILED
from sinks.kafka import KafkaCommitter, KafkaSink
from sources.group import Group, Membership
from sources.kafka import KafkaSource, Reader
from state.lane import LaneState
from state.snapshots import SnapshotStore
from state.vitals import Vitals

F = TypeVar("F", bound=Callable[..., Any])

GROUP = "flowsell.engagement"
EPOCH = timedelta(milliseconds=200)


@dataclass(frozen=True)
class Cadence:
    """How often lanes are saved, and how long one may be silent before it gets a heartbeat."""

    snapshot_seconds: float = 15.0
    heartbeat_seconds: float = 60.0


def run_engagement(environment: Environment, stop: Stop, cadence: Cadence) -> None:
    """Run until ``stop`` asks for a drain; raises what ended the flow before."""
    _required(environment)
    vitals = Vitals()
    with serving(environment.ops_port, vitals, lambda: stop.draining):
        _run_engagement(environment, stop, cadence, vitals)


def _run_engagement(environment: Environment, stop: Stop, cadence: Cadence, vitals: Vitals) -> None:
    state, instance, id_key = _required(environment)
    log = structlog.get_logger("engagement")
    properties = client_properties(environment)
    Topics(properties).check(environment.lanes)
    marks = fingerprint(environment.lanes, id_key, environment.countries)
    with storing():
        saver = Saver(
            SnapshotStore(state, marks),
            stop.fail,
            lambda lane, saved: vitals.saved(lane, saved.size, time.monotonic()),
        )

    def restore(lane: int, at_most: int) -> LaneState:
        return saver.restore(lane, id_key, at_most, environment.countries)

    committer = KafkaCommitter(properties, instance, GROUP, marks, vitals=vitals)
    membership = Membership(
        properties=properties,
        group=GROUP,
        instance=instance,
        fingerprint=marks,
        snapshot_seconds=cadence.snapshot_seconds,
        heartbeat_seconds=cadence.heartbeat_seconds,
    )
    group = Group(membership, committer, restore, saver.save_now, vitals)
    reader = Reader(group, committer)
    committer.original = reader.original
    # The transaction that an earlier life left open ends before positions are asked for.
    committer.open()
    reader.open()
    log.info("started", instance=instance, lanes=environment.lanes, compiled=COMPILED)
    try:
        flow = build(
            KafkaSource(reader, lambda: stop.draining),
            {"kafka": KafkaSink(committer)},
            Settings(environment.lanes, saver.save, stop),
        )
        run_main(flow, epoch_interval=EPOCH)
        stop.check()
        saver.finish()
        reader.leave()
    finally:
        saver.close()
        reader.close()
        committer.close()
    log.info("drained", instance=instance)


def _required(environment: Environment) -> tuple[str, str, bytes]:
    require(environment, "run", "kafka", "state", "instance", "id_key")
    assert environment.state is not None
    assert environment.instance is not None
    assert environment.id_key is not None
    return environment.state, environment.instance, environment.id_key


@click.group("run")
def command() -> None:
    """Run a flow until it is told to stop (SIGTERM or SIGINT)."""


def _processes(what: str) -> Callable[[F], F]:
    return click.option(
        "--processes",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help=f"How many share {what} on this host, as FLOWSELL_INSTANCE-0 and so on.",
    )


_over_gaps = click.option(
    "--over-gaps", is_flag=True, help="Go on behind messages that were deleted before we read them."
)


@command.command("engagement")
@_processes("the lanes")
def engagement(processes: int) -> int:
    """Webhooks in; segments and commands out."""

    def flow(environment: Environment, stop: Stop) -> None:
        run_engagement(environment, stop, Cadence())

    return _run(["engagement"], processes, _required, flow)


@command.command("warehouse")
@_processes("the partitions")
@_over_gaps
def warehouse(processes: int, over_gaps: bool) -> int:
    """Segments, decisions and aggregates into ClickHouse."""
    from flows.warehouse import check, run_warehouse

    def flow(environment: Environment, stop: Stop) -> None:
        run_warehouse(environment, stop, over_gaps)

    arguments = ["warehouse", *(["--over-gaps"] if over_gaps else [])]
    return _run(arguments, processes, lambda environment: check(environment, processes), flow)


@command.command("profiles")
@_processes("the partitions")
def profiles(processes: int) -> int:
    """Customers into PostgreSQL and Valkey."""
    from flows.profiles import engines_of, run_profiles

    return _run(["profiles"], processes, engines_of, run_profiles)


@command.command("archive")
@_processes("the partitions")
@_over_gaps
@click.option(
    "--days",
    type=click.IntRange(min=1, max=3_650),
    default=365,
    show_default=True,
    help="How long a message is kept from when it was written.",
)
def archive(processes: int, over_gaps: bool, days: int) -> int:
    """What was written over WhatsApp into MongoDB."""
    from flows.archive import mongo_of, run_archive

    def flow(environment: Environment, stop: Stop) -> None:
        run_archive(environment, stop, days, over_gaps)

    arguments = ["archive", "--days", str(days), *(["--over-gaps"] if over_gaps else [])]
    return _run(arguments, processes, lambda environment: mongo_of(environment, days), flow)


def _run(
    arguments: Sequence[str],
    processes: int,
    check: Callable[[Environment], object],
    flow: Callable[[Environment, Stop], None],
) -> int:
    """One process here and now, or several that are looked after."""
    environment = read_environment()
    configure(environment.log)
    check(environment)
    stop = Stop()
    with draining_on_signals(stop):
        if processes > 1:
            return supervise(environment, arguments, processes, stop)
        flow(environment, stop)
    return 0


def supervise(
    environment: Environment, arguments: Sequence[str], processes: int, stop: Stop
) -> int:
    """Run so many processes until ``stop`` asks for a drain; the exit code."""

    def start(number: int) -> Process:
        return start_process(["run", *arguments], process_variables(environment, number))

    instances = [instance_of(environment, number) for number in range(processes)]
    ended = Supervisor(instances, start, stop, Pace()).run()
    if ended.why:
        say(ended.why)
    return ended.code
