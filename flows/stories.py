"""Three customers' stories, out of the outputs and of the log that caused them.

Takes: the replay's tables, and the log as a file
Out:   ``Story``: dated moments of one customer, the phone masked, of the name the initial
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import phonenumbers
import polars as pl

from flows.figures import Tables
from operators.decode import decode
from operators.identify import canonical_phone
from schemas.batch import (
    ATTENDED,
    BOOKED,
    CANCELLED,
    CONFIRMED,
    DELETED,
    NO_SHOW,
    NONE,
    SERVICES_SEPARATOR,
    Batch,
    Chunk,
    Scope,
)
from schemas.settings import DEFAULT_SETTINGS, TenantSettings
from sources.files import LineReader

NAMES = {
    BOOKED: "booked",
    CONFIRMED: "confirmed",
    ATTENDED: "attended",
    NO_SHOW: "no_show",
    CANCELLED: "cancelled",
    DELETED: "deleted",
}
_UNDONE = {"refused": "refused", "holdout": "refused", "withdrawn": "withdraw"}
FITTING_COMMANDS = 7
"""A story with more commands than this does not fit a screen."""


@dataclass(frozen=True)
class Chosen:
    """A customer worth telling about, and why."""

    why: str
    tenant: str
    customer_id: str
    phone: str
    name: str | None


class Moment(NamedTuple):
    """Something that happened; ``facts`` are what its phrase needs."""

    at_ms: int
    order: int
    what: str
    facts: dict[str, Any]


@dataclass
class Story:
    """One customer's time line, in the tenant's zone."""

    chosen: Chosen
    business: str
    zone: ZoneInfo
    moments: list[Moment] = field(default_factory=list)

    def at(self, moment: Moment) -> datetime:
        """When, on the tenant's wall clock."""
        return datetime.fromtimestamp(moment.at_ms / 1000, UTC).astimezone(self.zone)

    @property
    def who(self) -> str:
        """``М. +7 *** ** 67``."""
        initial = f"{self.chosen.name[0]}. " if self.chosen.name else ""
        return initial + masked(self.chosen.phone)


def masked(phone: str) -> str:
    """The country code and the last two digits: ``+7 *** ** 67``."""
    return f"+{phonenumbers.parse(phone).country_code} *** ** {phone[-2:]}"


def choose(tables: Tables) -> list[Chosen]:
    """Up to three different customers: who came back, whose reminder was withdrawn, who drifted."""
    changes = tables.segments.group_by("customer_id").agg(
        pl.len().alias("changes"),
        _crossed("1", "3").any().alias("came_back"),
        _crossed("3", "2").any().alias("cooled"),
        _crossed("2", "1").any().alias("lapsed"),
        pl.col("to").last().alias("now"),
    )
    withdrawn = tables.commands.group_by("customer_id").agg(
        pl.col("withdrawn").any(), pl.len().alias("commands")
    )
    people = (
        tables.profiles.filter(pl.col("phone").is_not_null())
        .join(changes, on="customer_id")
        .join(withdrawn, on="customer_id", how="left")
        .with_columns(pl.col("withdrawn").fill_null(value=False), pl.col("commands").fill_null(0))
    )
    fitting = pl.col("commands") <= FITTING_COMMANDS
    drifted = pl.col("cooled") & pl.col("lapsed") & pl.col("now").str.starts_with("1")
    wanted = (
        ("came_back", pl.col("came_back") & fitting, "changes"),
        ("withdrawn", pl.col("withdrawn") & (pl.col("changes") >= 2) & fitting, "changes"),
        ("drifted", drifted & fitting, "changes"),
        ("busy", pl.lit(value=True), "changes"),
        ("busy", pl.lit(value=True), "commands"),
        ("busy", pl.lit(value=True), "customer_id"),
    )
    chosen: dict[str, Chosen] = {}
    for why, condition, most in wanted:
        found = people.filter(condition & ~pl.col("customer_id").is_in(list(chosen)))
        for row in found.sort(most, "customer_id", descending=[True, False]).head(1).to_dicts():
            who = row["customer_id"]
            chosen[who] = Chosen(why, row["tenant"], who, row["phone"], row["name"])
        if len(chosen) == 3:
            break
    return list(chosen.values())


def _crossed(before: str, after: str) -> pl.Expr:
    return pl.col("from").str.starts_with(before) & pl.col("to").str.starts_with(after)


def tell(chosen: list[Chosen], tables: Tables, log: Path) -> list[Story]:
    """Each customer's story, its moments in the order of the log."""
    told = _Log(chosen)
    for batch in _batches(log, {each.tenant for each in chosen}):
        told.read(batch)
    stories = []
    for each in chosen:
        settings = told.settings.get(each.tenant, DEFAULT_SETTINGS)
        story = Story(each, settings.name or each.tenant, ZoneInfo(settings.timezone))
        story.moments = sorted(
            [*told.moments(each, story.zone), *_said(each, tables)],
            key=lambda moment: moment[:2],
        )
        stories.append(story)
    return stories


def _batches(log: Path, tenants: set[str]) -> Iterator[Batch]:
    """The decoded records of these tenants alone."""
    needles = [f'"tenant":"{tenant}"'.encode() for tenant in sorted(tenants)]
    reader = LineReader([log])
    while lines := reader.read():
        own = [line for line in lines if any(needle in line[:200] for needle in needles)]
        positions = np.arange(len(own), dtype=np.int64)
        yield from decode(Chunk(-1, positions, None, own), 1)


class _Log:
    """What the log says of the visits of a few tenants."""

    def __init__(self, chosen: list[Chosen]) -> None:
        self._tenants = {each.tenant for each in chosen}
        self._phones = {(each.tenant, int(each.phone[1:])) for each in chosen}
        self._owners: dict[tuple[Scope, int], int] = {}
        self._rows: list[tuple[int, Scope, dict[str, Any]]] = []
        self.settings: dict[str, TenantSettings] = {}

    def read(self, batch: Batch) -> None:
        """Take in settings, whose card is whose, and visits."""
        for event in batch.settings:
            self.settings[event.tenant] = event.settings
        clock = np.maximum.accumulate(batch.appended_ms)
        for events in (batch.clients, batch.visits):
            clients = events.id if events is batch.clients else batch.visits.client
            for scope, client, phone in zip(events.scope, clients, events.phone, strict=True):
                self._own(batch.scopes[scope], int(client), phone)
        visits = batch.visits
        for row in range(len(visits.id)):
            scope = batch.scopes[visits.scope[row]]
            if scope.tenant in self._tenants:
                values = {
                    name: getattr(visits, name)[row]
                    for name in ("id", "version", "status", "start_ms", "local_ms", "services")
                } | {"client": int(visits.client[row]), "phone": visits.phone[row]}
                self._rows.append((int(clock[visits.record[row]]), scope, values))

    def moments(self, who: Chosen, zone: ZoneInfo) -> Iterator[Moment]:
        """What was told of this customer's visits, each change once."""
        known: dict[tuple[Scope, int], tuple[int, int, int]] = {}
        phone = int(who.phone[1:])
        for at_ms, scope, visit in self._rows:
            owner = self._owners.get((scope, visit["client"])) or self._canonical(scope, visit)
            if scope.tenant != who.tenant or owner != phone:
                continue
            key = (scope, int(visit["id"]))
            start = _wall(int(visit["local_ms"]), int(visit["start_ms"]), zone)
            status, version = int(visit["status"]), int(visit["version"])
            before = known.get(key)
            if before is not None and (version < before[2] or before[:2] == (status, start)):
                continue
            known[key] = (status, start, version)
            what = NAMES[status]
            if before is not None and before[1] != start and status in (BOOKED, CONFIRMED):
                what = "moved"
            services = (visit["services"] or "").split(SERVICES_SEPARATOR)[0]
            yield Moment(at_ms, 0, what, {"visit_ms": start, "service": services})

    def _own(self, scope: Scope, client: int, phone: str | None) -> None:
        if client != NONE and phone and scope.tenant in self._tenants:
            number = self._number(scope, phone)
            if (scope.tenant, number) in self._phones:
                self._owners[scope, client] = number

    def _canonical(self, scope: Scope, visit: dict[str, Any]) -> int:
        return self._number(scope, visit["phone"]) if visit["phone"] else 0

    def _number(self, scope: Scope, phone: str) -> int:
        settings = self.settings.get(scope.tenant, DEFAULT_SETTINGS)
        return canonical_phone(phone, settings.country)


def _wall(local_ms: int, start_ms: int, zone: ZoneInfo) -> int:
    """The visit's start as a wall clock."""
    if local_ms != NONE:
        return local_ms
    at = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(zone)
    return int(at.replace(tzinfo=UTC).timestamp() * 1000)


def _said(who: Chosen, tables: Tables) -> Iterator[Moment]:
    """What the engine said of this customer."""
    own = pl.col("customer_id") == who.customer_id
    for row in tables.segments.filter(own).iter_rows(named=True):
        facts = {"from": row["from"], "to": row["to"], "cause": row["cause"]}
        yield Moment(_ms(row["at"]), 1, "segment", facts)
    for row in tables.commands.filter(own & ~pl.col("withdrawn")).iter_rows(named=True):
        facts = {"trigger": row["trigger"], "kind": row["kind"], "channel": row["channels"][0]}
        yield Moment(_ms(row["created_at"]), 2, "command", facts)
    undone = own & pl.col("outcome").is_in(list(_UNDONE))
    for row in tables.decisions.filter(undone).iter_rows(named=True):
        facts = {"trigger": row["trigger"], "reason": row["reason"]}
        yield Moment(_ms(row["at"]), 2, _UNDONE[row["outcome"]], facts)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
