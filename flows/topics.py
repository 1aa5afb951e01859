"""``flowsell topics``: create the topics that the contracts name.

In:    the environment: FLOWSELL_KAFKA, FLOWSELL_LANES
Out:   topics with their retention, size limits and time type; one line for each
"""

from __future__ import annotations

import click

from flows.environment import read_environment
from flows.kafka import Topics, TopicsReport, client_properties, other_lanes
from schemas.topics import TOPICS
from state.snapshots import StateError


def lines(report: TopicsReport) -> list[str]:
    """What a person is told, topic after topic, in the order of the contracts."""
    told = []
    for name in (topic.name for topic in TOPICS.values()):
        if name in report.created:
            told.append(f"{name}: created")
        elif name in report.changed:
            differing = report.changed[name].items()
            told += [f"{name}: {key} was {old}, is {new}" for key, (old, new) in differing]
        else:
            told.append(f"{name}: as it should be")
        if name in report.other_lanes:
            told.append(f"{name}: has {report.other_lanes[name]} partitions; that is left as it is")
    return told


@click.group("topics")
def command() -> None:
    """The Kafka topics that the flow reads and writes."""


@command.command("create")
@click.option("--lanes", type=click.IntRange(1, 4096), help="Default: FLOWSELL_LANES, else 16.")
@click.option(
    "--replication",
    type=click.IntRange(1, 32767),
    help="Copies of each partition; default: what the cluster is set to.",
)
def create(lanes: int | None, replication: int | None) -> None:
    """Create what is missing and set what differs; running it again changes nothing."""
    environment = read_environment()
    wanted = environment.lanes if lanes is None else lanes
    topics = Topics(client_properties(environment))
    report = topics.create(wanted, -1 if replication is None else replication)
    for line in lines(report):
        click.echo(line)
    if found := report.other_lanes.get(TOPICS["records"].name):
        raise StateError(other_lanes(found, wanted))
