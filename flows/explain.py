"""``flowsell explain``: a customer's whole path, for who asks why a message came, or did not.

In:    a log, as files; without one the stores and topics that the environment names
Out:   one screen, or one JSON object: who it is, how it is scored and by what, every visit, segment
       change, decision, message and return, by time; the phone masked, the name only if asked for
State: none; nothing is written
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from flows.customer_path import CustomerPath, Sought
from flows.environment import Environment, read_environment
from flows.logging import configure
from flows.progress import progress
from flows.replay import read_tenants
from schemas.durations import parse_instant
from schemas.settings import TenantSettings
from sources.files import total_bytes

MOST_SHOWN = 40
"""Lines that a screen holds, the last ones."""


class At(click.ParamType[tuple[int | None, int | None]]):
    """A position of the log, or an instant with a zone."""

    name = "POSITION|TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int | None, int | None]:
        """The position, or milliseconds since the Unix epoch."""
        if value.isascii() and value.isdigit():
            return int(value), None
        at = parse_instant(value)
        if at is None:
            self.fail(f"{value!r}: neither a position nor an instant with a zone", param, context)
        return None, round(at.timestamp() * 1000)


def explained(
    environment: Environment,
    tenant: str,
    phone: str | None,
    customer_id: str | None,
    log: tuple[Path, ...],
    settings: TenantSettings | None,
    at: tuple[int | None, int | None],
    is_watched: bool = True,
) -> CustomerPath:
    """The path as the log tells it, or the stores; raises ``Unknown``."""
    sought = Sought(tenant, phone, customer_id, *at)
    if log:
        from flows.follow import follow

        with progress("explaining", total_bytes(log), is_watched) as step:
            return follow(
                log, sought, settings, environment.offline_id_key, step, environment.countries
            )
    from flows.explain_stores import path_of_stores

    with progress("explaining", 0, is_watched) as step:
        return path_of_stores(environment, sought, settings, step)


@click.command("explain")
@click.argument("tenant")
@click.argument("phone", required=False)
@click.option("--customer-id", metavar="ID", help="Instead of the phone.")
@click.option(
    "--log",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A log's file, as often as there are files: everything is told from it.",
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings of tenants, where the log tells none; for stores: country, zone, currency.",
)
@click.option("--at", type=At(), help="As of this place or time of the log, no further.")
@click.option("--last", type=click.IntRange(0), default=MOST_SHOWN, show_default=True, metavar="N",
              help="So many lines; 0: all.")  # fmt: skip
@click.option("--names", is_flag=True, help="Show the first name.")
@click.option("--locale", default="en", show_default=True, type=click.Choice(["en", "ru"]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--no-progress", is_flag=True, help="Say nothing until the end.")
def command(
    tenant: str,
    phone: str | None,
    customer_id: str | None,
    log: tuple[Path, ...],
    settings_file: Path | None,
    at: tuple[int | None, int | None] | None,
    last: int,
    names: bool,
    locale: str,
    as_json: bool,
    no_progress: bool,
) -> None:
    """A customer's whole path: who, how scored, and why a message came or did not.

    Without --log from FLOWSELL_POSTGRES, FLOWSELL_CLICKHOUSE and FLOWSELL_KAFKA, as far as they go.
    """
    from flows.customer_path import Unknown
    from flows.explain_screen import show
    from flows.explain_texts import PATH_TEXTS
    from flows.summary import print_json

    if (phone is None) == (customer_id is None):
        raise click.UsageError("give either a phone or --customer-id")
    if at is not None and not log:
        raise click.UsageError("--at needs --log: stores know the present alone")
    environment = read_environment()
    configure(environment.log)
    settings = read_tenants(settings_file, environment.countries).get(tenant)
    try:
        path = explained(
            environment, tenant, phone, customer_id, log, settings, at or (None, None),
            not no_progress,
        )  # fmt: skip
    except Unknown as nobody:
        raise click.ClickException(str(nobody)) from None
    if as_json:
        print_json(path.as_json(names))
    else:
        show(Console(highlight=False, markup=False), PATH_TEXTS[locale], path, names, last)
