"""A restaurant's order is one visit, at its first ``Closed``, in whatever order that is told."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.engine import Streams, comparable, run
from tests.logs import DAY, HOUR, MINUTE, Record, envelope, heartbeat, lines_of, local, settings

TENANT, ZONE = "t1", "Asia/Almaty"
PHONE = 77011234567
EVENING = local("2026-06-01 23:30", ZONE)
RULES = settings(TENANT, EVENING - DAY, timezone=ZONE)


def order(at: int, status: str, total: int, told_at: int | None = None) -> Record:
    """A state of the one order as of an instant."""
    customer = {"name": "Анна", "phone": f"+{PHONE}"}
    info: dict[str, Any] = {"id": "o1", "timestamp": at // 1000, "creationStatus": "Success"}
    info["order"] = {"id": "o1", "status": status, "sum": total, "customer": customer}
    event = {"eventType": "TableOrderUpdate", "organizationId": "b1", "eventInfo": info}
    return envelope("webhook", TENANT, told_at or at, provider="iiko", body=[event])


FIRST = order(EVENING, "Closed", 100)
AGAIN = order(EVENING + HOUR, "Closed", 150)  # after midnight
GONE = order(EVENING + 2 * HOUR, "Deleted", 150)
BACK = order(EVENING + 3 * HOUR, "Closed", 170)


def after(*records: Record) -> Streams:
    """What comes of these records, told one after the other a day later."""
    clock = EVENING + DAY
    told = [
        record | envelope("webhook", TENANT, clock + n * MINUTE, provider="iiko")
        for n, record in enumerate(records)
    ]
    return run(lines_of([RULES, *told, heartbeat(clock + HOUR)]))


def standing(streams: Streams) -> tuple[Any, ...]:
    """Frequency, sum and last visit."""
    profile = streams.profile(TENANT, PHONE)
    return profile["f"], profile["monetary_minor"], profile["last_visit_at"]


@pytest.mark.parametrize("records", list(permutations([FIRST, AGAIN])))
def test_an_order_closed_again_stays_at_the_time_of_the_first(records: list[Record]) -> None:
    f, total, last = standing(after(*records))
    assert (total, last) == (15_000, "2026-06-01T18:30:00Z")
    assert f == 1


@pytest.mark.parametrize("records", list(permutations([FIRST, AGAIN, GONE])))
def test_a_deleted_order_is_taken_back_whatever_was_told_later(records: list[Record]) -> None:
    streams = after(*records)
    segments = [row["to"] for row in streams.rows("segments")]
    assert segments == [] or segments[-1] == "000"
    assert streams.profile(TENANT, PHONE)["monetary_minor"] == 0


@pytest.mark.parametrize("records", list(permutations([FIRST, AGAIN, GONE, BACK])))
def test_an_order_that_comes_back_is_where_it_was(records: list[Record]) -> None:
    assert standing(after(*records))[1:] == (17_000, "2026-06-01T18:30:00Z")


def test_a_repeated_order_changes_nothing() -> None:
    streams = after(FIRST, AGAIN, AGAIN, FIRST)
    assert standing(streams) == standing(after(FIRST, AGAIN))


@pytest.mark.parametrize("records", list(permutations([FIRST, AGAIN, GONE, BACK])))
def test_how_the_log_is_cut_changes_nothing(records: list[Record]) -> None:
    clock = EVENING + DAY
    told = [
        record | envelope("webhook", TENANT, clock + n * MINUTE, provider="iiko")
        for n, record in enumerate(records)
    ]
    lines = lines_of([RULES, *told, heartbeat(clock + HOUR)])
    assert comparable(run(lines)) == comparable(run(lines, cuts=range(len(lines))))
