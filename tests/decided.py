"""Ask the fold and the simulator what they decide over a log, in the same terms.

Takes: logs under rules
Out:   ``Told``; rows of the funnel's tables
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from schemas.keys import in_holdout
from tests.engine import ID_KEY, Streams, run
from tests.life_rules import Named
from tests.logs import Record, lines_of, ms
from tests.oracle_decisions import Command, Decided
from tests.oracle_walk import Town, walk

TABLES = ("message_funnel_daily", "uplift_monthly")
"""What becomes of what is decided."""


class Told(NamedTuple):
    """What somebody has decided over a log, and the log; ``tenants`` by command id."""

    log: list[Record]
    decisions: list[Decided]
    commands: list[Command]
    tenants: dict[str, str]


def simulated(lines: list[bytes]) -> dict[str, Town]:
    """Every tenant, as the simulator leaves it."""
    return walk(lines, ID_KEY, in_holdout)


def by_simulator(log: list[Record]) -> Told:
    """All that the simulator decides."""
    towns = simulated(lines_of(log)).values()
    decisions = [decision for town in towns for decision in town.said.decisions]
    commands = [command for town in towns for command in town.said.commands]
    tenants = {each.command: town.tenant for town in towns for each in town.said.decisions}
    return Told(log, decisions, commands, tenants)


def by_fold(log: list[Record]) -> Told:
    """All that the fold decides."""
    streams = run(lines_of(log))
    tenants = {row["command_id"]: row["tenant"] for row in streams.rows("decisions")}
    return Told(log, list(decisions_of(streams)), list(commands_of(streams)), tenants)


def decisions_of(streams: Streams) -> Iterator[Decided]:
    """The stream of decisions in the simulator's terms."""
    for row in streams.rows("decisions"):
        names = (row["customer_id"], row["trigger"], row["command_id"])
        yield Decided(row["position"], *names, row["outcome"], row["reason"], ms(row["at"]))


def commands_of(streams: Streams) -> Iterator[Command]:
    """The stream of commands in the simulator's terms."""
    for (_, stream), messages in streams.messages.items():
        if stream == "commands":
            positions = [message.position for message in messages]
            break
    else:
        return
    for position, row in zip(positions, streams.rows("commands"), strict=True):
        yield Command(
            position=position,
            customer=row["customer_id"],
            trigger=row["trigger"],
            command=row["command_id"],
            occasion=row["occasion"],
            channels=tuple(row["channels"]),
            template=row["template"],
            segment=row["segment"],
            due=ms(row["due_at"]),
            expires=ms(row["expires_at"]),
            created=ms(row["created_at"]),
            visits=tuple(row["visit"]["ids"]) if row["visit"] else (),
            withdrawn=row["withdrawn"],
        )


def sent_by(towns: dict[str, Town]) -> list[Named]:
    """Commands that a sender may answer."""
    return [
        Named(command.position, town.tenant, command.command, command.channels[0])
        for town in towns.values()
        for command in town.said.commands
        if not command.withdrawn
    ]


def funnel_of(towns: dict[str, Town], table: str) -> dict[tuple[str, ...], Counter[str]]:
    """A table's rows of every tenant."""
    found: dict[tuple[str, ...], Counter[str]] = {}
    for town in towns.values():
        rows = town.funnel()
        found |= rows.funnel if table == "message_funnel_daily" else rows.uplift
    return {key: +row for key, row in found.items() if +row}


NAMES = {
    "message_funnel_daily": ("tenant", "day", "trigger", "channel", "variant"),
    "uplift_monthly": ("tenant", "month", "trigger", "variant"),
}


def told_rows(streams: Streams, table: str) -> dict[tuple[str, ...], Counter[str]]:
    """The last word of the stream of aggregates on each of the table's rows."""
    names, found = NAMES[table], {}
    for row in streams.rows("aggregates"):
        if row["table"] == table:
            rest = {k: v for k, v in row.items() if k not in {*names, "table", "position"}}
            found[tuple(row[name] for name in names)] = +Counter(rest)
    return {key: row for key, row in found.items() if row}
