"""One customer's whole story, out of the outputs and of the log that caused them.

Takes: the replay's tables, and the log as a file
Out:   ``Story``: dated moments of the customer, the phone masked, of the name the initial
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import phonenumbers
import polars as pl

from flows.figures import Tables
from operators.decode import decode
from operators.phones import canonical_phone
from schemas.batch import (
    ATTENDED,
    BOOKED,
    CANCELLED,
    CONFIRMED,
    DELETED,
    NO_SHOW,
    NONE,
    READ,
    SERVICES_SEPARATOR,
    Batch,
    Chunk,
    Scope,
)
from schemas.outputs import instant_ms
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
LONGEST_STORY = 30
"""Moments that a screen can hold."""
_RETURN = timedelta(days=14)
_CANDIDATES = 12
"""Customers whose stories are told before one of them is taken."""
_MANY = 12
"""Commands and segments of a story that still fits a screen; a longer one is worth less."""


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
    """Whose stories are the most complete, the best first, all of the best one's tenant.

    Of equal ones the shorter comes first, then the lower id.
    """
    reachable = tables.profiles.filter(pl.col("phone").is_not_null())
    who = {row["customer_id"]: row for row in reachable.to_dicts()}
    changes = _by_customer(tables.segments, ("from", "to", "cause", "at"))
    commands = _by_customer(
        tables.commands.filter(~pl.col("withdrawn")), ("kind", "category", "created_at")
    )
    ranked: list[tuple[int, int, str]] = []
    for customer in who:
        moved, told = changes.get(customer, []), commands.get(customer, [])
        if moved:
            score = completeness(moved, told)
            ranked.append((-score, max(_MANY, len(moved) + len(told)), customer))
    ranked.sort()
    chosen = []
    for score, _, customer in ranked:
        row = who[customer]
        if row["tenant"] == who[ranked[0][2]]["tenant"]:
            why = "won_back" if -score >= _WON_BACK else "busy"
            chosen.append(Chosen(why, row["tenant"], customer, row["phone"], row["name"]))
    return chosen[:_CANDIDATES]


def _by_customer(frame: pl.DataFrame, columns: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in frame.select("customer_id", *columns).iter_rows(named=True):
        rows.setdefault(row["customer_id"], []).append(row)
    return rows


_WON_BACK = 8


def completeness(moved: list[dict[str, Any]], told: list[dict[str, Any]]) -> int:
    """How much of a whole story a customer's segments and commands hold.

    Won back counts most: called by marketing out of a low segment, came within a fortnight. Then
    having been reminded before, having cooled and lapsed, having been reminded of the return.
    """
    reminded = [_at(row["created_at"]) for row in told if row["kind"] == "reminder"]
    called = [_at(row["created_at"]) for row in told if row["category"] == "marketing"]
    best = int(any(_crosses(each, "3", "2") for each in moved))
    for at, row in enumerate(moved):
        returned = _at(row["at"])
        back = row["from"][0] in "12" and row["to"][0] == "3" and row["cause"] == "visit"
        calls = [each for each in called if each < returned <= each + _RETURN]
        before = moved[:at]
        cooled = [_at(each["at"]) for each in before if _crosses(each, "3", "2")]
        if not (back and calls and cooled):
            continue
        lapsed = any(_crosses(each, "2", "1") for each in before)
        once = any(each < cooled[0] for each in reminded)
        again = any(calls[-1] < each < returned for each in reminded)
        best = max(best, _WON_BACK + 4 * once + 2 * lapsed + 2 * again)
    return best


def _crosses(change: dict[str, Any], before: str, after: str) -> bool:
    return bool(change["from"][0] == before and change["to"][0] == after)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def tell(chosen: list[Chosen], tables: Tables, log: Path) -> Story | None:
    """The best of these customers' stories, its moments in the order of the log."""
    if not chosen:
        return None
    told = _Log(chosen)
    for batch in _batches(log, chosen[0].tenant):
        told.read(batch)
    settings = told.settings
    zone = ZoneInfo(settings.timezone)
    stories = []
    for each in chosen:
        moments = [*told.visits(each, zone), *_said(each, tables), *told.answers(each, tables)]
        name = settings.name or each.tenant
        story = Story(each, name, zone)
        story.moments = sorted(moments, key=lambda moment: moment[:2])
        stories.append(story)
    return max(stories, key=_worth)  # of equal ones the first


def _worth(story: Story) -> tuple[bool, int]:
    """Whether it was a winning back, and how much else of a story can be seen in it."""
    seen = [moment.what for moment in story.moments if moment.what != "confirmed"]
    begins = seen[:1] == ["booked"] and "command" in seen and "attended" in seen
    won = [moment.at_ms for moment in story.moments if moment.facts.get("marketing")]
    read = any(
        moment.what == "read" and at <= moment.at_ms for at in won[-1:] for moment in story.moments
    )
    fits = len(seen) <= LONGEST_STORY
    return story.chosen.why == "won_back", 4 * begins + 2 * read + 3 * fits + ("wrote" in seen)


def _batches(log: Path, tenant: str) -> Iterator[Batch]:
    """The decoded records of this tenant alone."""
    needle = f'"tenant":"{tenant}"'.encode()
    reader = LineReader([log])
    try:
        while lines := reader.read():
            own = [line for line in lines if needle in line[:200]]
            yield from decode(Chunk(-1, np.arange(len(own), dtype=np.int64), None, own), 1)
    finally:
        reader.close()


class _Log:
    """What the log says of visits and messages of a few customers of one tenant."""

    def __init__(self, chosen: list[Chosen]) -> None:
        self._wanted = {int(each.phone[1:]) for each in chosen}
        self._numbers: dict[tuple[str, bool], int] = {}
        self._owners: dict[tuple[Scope, int], int] = {}
        self._rows: list[tuple[int, Scope, int, dict[str, Any]]] = []
        self._letters: dict[int, str] = {}
        self._read: dict[int, int] = {}
        self._written: dict[int, set[int]] = {}
        self.settings: TenantSettings = DEFAULT_SETTINGS

    def read(self, batch: Batch) -> None:
        """Take in settings, whose card is whose, visits, receipts, statuses, replies."""
        for event in batch.settings:
            self.settings = event.settings
        clock = np.maximum.accumulate(batch.appended_ms)
        visits, cards = batch.visits, batch.clients
        for events, clients in ((cards, cards.id), (visits, visits.client)):
            for scope, client, phone in zip(events.scope, clients, events.phone, strict=True):
                if client != NONE and (number := self._number(phone)) in self._wanted:
                    self._owners[batch.scopes[scope], int(client)] = number
        for row in range(len(visits.id)):
            values = {
                name: getattr(visits, name)[row]
                for name in ("id", "version", "status", "start_ms", "local_ms", "services")
            } | {"client": int(visits.client[row])}
            at_ms, number = int(clock[visits.record[row]]), self._number(visits.phone[row])
            self._rows.append((at_ms, batch.scopes[visits.scope[row]], number, values))
        self._read_messages(batch)

    def _read_messages(self, batch: Batch) -> None:
        statuses, incoming = batch.statuses, batch.incoming
        for message, command, status, at_ms in zip(
            statuses.message.tolist(), statuses.command, statuses.status, statuses.at_ms,
            strict=True,
        ):  # fmt: skip
            if command is not None:
                self._letters[message] = command
            if status == READ:
                self._read[message] = min(int(at_ms), self._read.get(message, int(at_ms)))
        for phone, at_ms in zip(incoming.phone, incoming.at_ms, strict=True):
            number = self._number(phone, international=True)
            self._written.setdefault(number, set()).add(int(at_ms))

    def visits(self, who: Chosen, zone: ZoneInfo) -> Iterator[Moment]:
        """What was told of this customer's visits, each change once."""
        phone = int(who.phone[1:])
        known: dict[tuple[Scope, int], tuple[int, int, int]] = {}
        for at_ms, scope, number, visit in self._rows:
            if phone not in (number, self._owners.get((scope, visit["client"]))):
                continue
            key = (scope, int(visit["id"]))
            before = known.get(key)
            start = _wall(int(visit["local_ms"]), int(visit["start_ms"]), zone)
            if start is None:  # a deletion names no time
                if before is None:
                    continue
                start = before[1]
            status, version = int(visit["status"]), int(visit["version"])
            if before is not None and (version < before[2] or before[:2] == (status, start)):
                continue
            known[key] = (status, start, version)
            what = NAMES[status]
            if before is not None and before[1] != start and status in (BOOKED, CONFIRMED):
                what = "moved"
            services = (visit["services"] or "").split(SERVICES_SEPARATOR)[0]
            yield Moment(at_ms, 0, what, {"visit_ms": start, "service": services})

    def answers(self, who: Chosen, tables: Tables) -> Iterator[Moment]:
        """When our messages were first read, and when the customer wrote."""
        own = tables.commands.filter(pl.col("customer_id") == who.customer_id)
        triggers = dict(own.select("command_id", "trigger").iter_rows())
        first: dict[str, int] = {}
        for message, command in self._letters.items():
            if command in triggers and (at_ms := self._read.get(message)) is not None:
                first[command] = min(at_ms, first.get(command, at_ms))
        for command, at_ms in first.items():
            yield Moment(at_ms, 3, "read", {"trigger": triggers[command]})
        for at_ms in sorted(self._written.get(int(who.phone[1:]), ())):
            yield Moment(at_ms, 3, "wrote", {})

    def _number(self, phone: str | None, international: bool = False) -> int:
        if not phone:
            return 0
        number = self._numbers.get((phone, international))
        if number is None:
            number = canonical_phone(phone, self.settings.country, international)
            self._numbers[phone, international] = number
        return number


def _wall(local_ms: int, start_ms: int, zone: ZoneInfo) -> int | None:
    """The visit's start as a wall clock, ``None`` where it was not told."""
    if local_ms != NONE:
        return local_ms
    if start_ms == NONE:
        return None
    at = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(zone)
    return int(at.replace(tzinfo=UTC).timestamp() * 1000)


def _said(who: Chosen, tables: Tables) -> Iterator[Moment]:
    """What the engine said of this customer."""
    own = pl.col("customer_id") == who.customer_id
    for row in tables.segments.filter(own).iter_rows(named=True):
        facts = {"from": row["from"], "to": row["to"], "cause": row["cause"]}
        yield Moment(instant_ms(row["at"]), 1, "segment", facts)
    for row in tables.commands.filter(own & ~pl.col("withdrawn")).iter_rows(named=True):
        facts = {
            "trigger": row["trigger"],
            "channel": row["channels"][0],
            "marketing": row["category"] == "marketing",
        }
        yield Moment(instant_ms(row["created_at"]), 2, "command", facts)
    undone = own & pl.col("outcome").is_in(list(_UNDONE))
    for row in tables.decisions.filter(undone).iter_rows(named=True):
        facts = {"trigger": row["trigger"], "reason": row["reason"]}
        yield Moment(instant_ms(row["at"]), 2, _UNDONE[row["outcome"]], facts)
