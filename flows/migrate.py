"""``flowsell migrate``: bring ClickHouse to the tables of this release.

In:    the environment: FLOWSELL_CLICKHOUSE
Out:   tables and views of the database ``flowsell``; one line for each file of statements that ran
"""

from __future__ import annotations

import click

from flows.environment import Environment, EnvironmentMistake, read_environment
from sinks.clickhouse_target import Target, target_of


def wanted(environment: Environment) -> Target:
    """Where ClickHouse is."""
    if environment.clickhouse is None:
        raise EnvironmentMistake(
            "FLOWSELL_CLICKHOUSE: not set; chdb:<folder>, or http(s)://user:password@host:port"
        )
    return target_of(environment.clickhouse)


@click.command("migrate")
def command() -> None:
    """Create and change ClickHouse's tables; running it again changes nothing."""
    from sinks.clickhouse_engine import ClickHouse
    from sinks.migrations import migrate, shipped

    engine = ClickHouse(wanted(read_environment()))
    engine.open()
    try:
        ran = migrate(engine)
    finally:
        engine.close()
    for name in ran:
        click.echo(f"{name}: applied")
    if not ran:
        click.echo(f"{engine.target}: up to date at {shipped()[-1].name}")
