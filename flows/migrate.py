"""``flowsell migrate``: bring ClickHouse and PostgreSQL to the tables of this release.

In:    the environment: FLOWSELL_CLICKHOUSE, FLOWSELL_POSTGRES, or either
Out:   tables and views of ``flowsell``; one line for each file of statements that ran
"""

from __future__ import annotations

import click

from flows.environment import Environment, EnvironmentMistake, read_environment, read_from
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
    """Create and change the tables of ClickHouse and PostgreSQL; again it changes nothing."""
    environment = read_environment()
    if environment.postgres is None:
        wanted(environment)
    else:
        _tell(*_postgres(environment.postgres))
    if environment.clickhouse is not None:
        _tell(*_clickhouse(wanted(environment)))


def _clickhouse(target: Target) -> tuple[str, list[str], str]:
    """Which engine, what ran, and the newest file."""
    from sinks.clickhouse_engine import ClickHouse
    from sinks.migrations import migrate, shipped

    engine = ClickHouse(target)
    engine.open()
    try:
        return str(target), migrate(engine), shipped()[-1].name
    finally:
        engine.close()


def _postgres(url: str) -> tuple[str, list[str], str]:
    from sinks.postgres_engine import Postgres, migrate, postgres_files

    with read_from("FLOWSELL_POSTGRES"):
        engine = Postgres(url)
    engine.open()
    try:
        return str(engine), migrate(engine), postgres_files()[-1].name
    finally:
        engine.close()


def _tell(engine: str, ran: list[str], newest: str) -> None:
    for name in ran:
        click.echo(f"{name}: applied")
    if not ran:
        click.echo(f"{engine}: up to date at {newest}")
