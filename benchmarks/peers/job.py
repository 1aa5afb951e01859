"""The common job for one customer: what a record says, and which segment follows from the visits.

Takes: a record's JSON object; what was kept of the customer; the day of the record's append time
Out:   ``Visit``; ``Change`` where the segment is another one
Used:  by every peer that is Python and takes one record at a time, so that they differ in the
       engine alone; the oracle and the SQL peers say the same in their own words
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

WINDOW_DAYS = 365
RECENCY_DAYS = (60, 120)
"""At most so many days since the last visit for the digits 3 and 2."""
FREQUENCY = (6, 3)
"""At least so many visit days for the digits 3 and 2."""
MONETARY_MINOR = (1_500_000, 700_000)
"""At least such a sum for the digits 3 and 2."""
LEAD = "000"
NOT_ATTENDED = -1

Kept = dict[str, Any]
"""``segment``, and ``visits``: by key their version, day (or -1) and sum. JSON can hold it."""

_EPOCH = date(1970, 1, 1).toordinal()
_MS_PER_DAY = 86_400_000


class Visit(NamedTuple):
    """One version of a visit."""

    tenant: str
    phone: str
    """Digits of the international number."""
    key: str
    """Unique within the tenant."""
    version: int
    day: int
    """Days since 1970, or -1 where it was not attended."""
    amount: int
    """Minor units."""

    @property
    def customer(self) -> str:
        """Key of what is kept of the customer."""
        return f"{self.tenant}|{self.phone}"


class Change(NamedTuple):
    """A customer moved; a first ``before`` is ``000``."""

    tenant: str
    phone: str
    before: str
    after: str
    visit: str
    """Key of the visit that caused it, and its version: no other change has both."""
    version: int

    @property
    def key(self) -> str:
        """Of the output's message."""
        return f"{self.tenant}|{self.phone}"

    def told(self, at: int) -> dict[str, Any]:
        """The output's value; ``at`` is the append time of the record, in ms."""
        return {
            "tenant": self.tenant, "phone": self.phone, "from": self.before, "to": self.after,
            "visit": self.visit, "version": self.version, "at": at,
        }  # fmt: skip


def read(record: dict[str, Any]) -> Visit | None:
    """The visit that a record tells of; ``None`` where it tells of none."""
    provider = record.get("provider")
    if provider == "yclients":
        body = record["body"]
        return _yclients(record["tenant"], body) if body["resource"] == "record" else None
    if provider == "generic":
        body = record["body"]
        return _generic(record["tenant"], body) if body["type"] == "visit" else None
    return None


def _yclients(tenant: str, body: dict[str, Any]) -> Visit:
    data = body["data"]
    attended = data["attendance"] == 1 and not data["deleted"] and body["status"] != "delete"
    return Visit(
        tenant,
        digits(data["client"]["phone"]),
        f"y{body['company_id']}:{body['resource_id']}",
        _instant_ms(data["last_change_date"]),
        day_of(data["date"][:10]) if attended else NOT_ATTENDED,
        sum(service["cost"] * service["amount"] for service in data["services"]) * 100,
    )


def _generic(tenant: str, body: dict[str, Any]) -> Visit:
    attended = body["status"] == "attended"
    return Visit(
        tenant,
        digits(body["phone"]),
        f"g{body['id']}",
        body["version"],
        day_of(body["starts_at"][:10]) if attended else NOT_ATTENDED,
        body["amount_minor"],
    )


def digits(written: str) -> str:
    """A phone's digits as the international number has them: a first 8 stands for 7."""
    told = "".join(filter(str.isdigit, written))
    return "7" + told[1:] if len(told) == 11 and told[0] == "8" else told


@lru_cache(maxsize=4_096)
def day_of(text: str) -> int:
    """Days since 1970 of ``2026-06-10``."""
    return date.fromisoformat(text).toordinal() - _EPOCH


def day_of_ms(ms: int) -> int:
    """Days since 1970 of an instant, in UTC."""
    return ms // _MS_PER_DAY


@lru_cache(maxsize=4_096)
def _instant_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def fold(kept: Kept | None, visit: Visit, today: int) -> tuple[Kept, Change | None]:
    """The customer after this version of a visit, which is kept unless a newer one is known."""
    if kept is None:
        kept = {"segment": LEAD, "visits": {}}
    visits = kept["visits"]
    known = visits.get(visit.key)
    if known is not None and known[0] >= visit.version:
        return kept, None
    visits[visit.key] = [visit.version, visit.day, visit.amount]
    before, after = kept["segment"], segment(visits.values(), today)
    if before == after:
        return kept, None
    kept["segment"] = after
    return kept, Change(visit.tenant, visit.phone, before, after, visit.key, visit.version)


def segment(visits: Any, today: int) -> str:
    """The segment of a customer with these visits."""
    last, money = NOT_ATTENDED, 0
    days = set()
    for _, day, amount in visits:
        if day == NOT_ATTENDED:
            continue
        last = max(last, day)
        if today - day < WINDOW_DAYS:
            days.add(day)
            money += amount
    if last == NOT_ATTENDED:
        return LEAD
    r = _digit(-max(today - last, 0), (-RECENCY_DAYS[0], -RECENCY_DAYS[1]))
    return f"{r}{_digit(len(days), FREQUENCY)}{_digit(money, MONETARY_MINOR)}"


def _digit(value: int, at_least: tuple[int, int]) -> int:
    return 3 if value >= at_least[0] else 2 if value >= at_least[1] else 1
