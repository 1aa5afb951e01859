"""The profiles flow: who every customer is, for senders and applications to ask.

In:    slices of the stream ``profiles``; the environment: FLOWSELL_POSTGRES, FLOWSELL_VALKEY
Out:   PostgreSQL and Valkey, or either alone; one that is away holds the other up for nothing
State: each engine keeps how far each partition is: a start goes on there, and fills an empty one
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from bytewax.dataflow import Dataflow

from flows.environment import (
    Environment,
    EnvironmentMistake,
    read_environment,
    read_from,
    require,
)
from flows.progress import progress
from flows.stop import Stop
from flows.stores import NEEDED, Flow, Settings, Sink, Source, build_stores, run_stores
from sinks.store import Cadence, Engine

if TYPE_CHECKING:
    from sinks.postgres import ProfilesInPostgres
    from sinks.valkey import ProfilesInValkey

NAME = "profiles"
STREAM = "profiles"
CADENCE = Cadence(enough_rows=5_000, wait_seconds=0.2, is_beside=True)
AT_ONCE = 5_000
"""Profiles that are read and written at once by ``rebuild``."""


def build(source: Source, sinks: Mapping[str, Sink], settings: Settings) -> Dataflow:
    """The dataflow; a sink's name is part of its step id."""
    return build_stores(NAME, source, sinks, settings)


def postgres_of(environment: Environment) -> ProfilesInPostgres:
    """PostgreSQL as the environment says."""
    from sinks.postgres import ProfilesInPostgres

    assert environment.postgres is not None
    with read_from("FLOWSELL_POSTGRES"):
        return ProfilesInPostgres(environment.postgres)


def valkey_of(environment: Environment) -> ProfilesInValkey:
    """Valkey as the environment says."""
    from sinks.valkey import ProfilesInValkey

    assert environment.valkey is not None
    with read_from("FLOWSELL_VALKEY"):
        return ProfilesInValkey(environment.valkey)


def engines_of(environment: Environment) -> list[tuple[Engine, Cadence]]:
    """Those that are set; at least one must be."""
    require(environment, "run", *NEEDED)
    engines: list[tuple[Engine, Cadence]] = []
    if environment.postgres is not None:
        engines.append((postgres_of(environment), CADENCE))
    if environment.valkey is not None:
        engines.append((valkey_of(environment), CADENCE))
    if not engines:
        raise EnvironmentMistake(
            "FLOWSELL_POSTGRES, FLOWSELL_VALKEY: neither is set; `run` needs one of them"
        )
    return engines


def run_profiles(environment: Environment, stop: Stop) -> None:
    """Run until ``stop`` asks for a drain; raises what ended the flow before."""
    run_stores(environment, stop, Flow(NAME, (STREAM,), engines_of(environment), build))


@click.group("profiles")
def command() -> None:
    """Who every customer is, in PostgreSQL and Valkey."""


@command.command()
@click.option("--no-progress", is_flag=True, help="Say nothing until the end.")
def rebuild(no_progress: bool) -> None:
    """Fill a lost or emptied Valkey from PostgreSQL; a running flow may go on meanwhile."""
    environment = read_environment()
    require(environment, "rebuild", "postgres", "valkey")
    postgres, customers = postgres_of(environment), valkey_of(environment)
    with postgres.read(AT_ONCE) as everybody:
        customers.open(everybody.log)
        try:
            with progress("profiles", everybody.total, not no_progress) as step:
                done = 0
                for lines in everybody.lines:
                    customers.add(STREAM, lines)
                    customers.write(customers.take(), {})
                    done += len(lines)
                    step(done, done)
            # The topic is read on from there: what is older is here by now.
            customers.write([], everybody.places)
        finally:
            customers.close()
    click.echo(f"{done:,} profiles")
