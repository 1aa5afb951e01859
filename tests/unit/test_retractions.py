"""Each way in which a visit can stop counting, and what R, F, M, segment and reminder then are."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.engine import Streams, run
from tests.logs import (
    DAY,
    HOUR,
    Record,
    card,
    client,
    heartbeat,
    heartbeats,
    lines_of,
    local,
    ms,
    record,
    settings,
    trigger,
    visit,
    wall,
)

TENANT, ZONE = "t1", "Asia/Almaty"
ANNA, OLGA = 77011234567, 77017654321
NOW = local("2026-06-15 12:00", ZONE)
LAST, FIRST, NEXT = NOW - 2 * DAY, NOW - 10 * DAY, NOW + 8 * HOUR
SCORING = {
    "window_days": 30,
    "recency_days": [5, 12],
    "frequency": [3, 2],
    "monetary": [500_000, 200_000],
}

Rfm = tuple[int | None, int, int, str]


class Case(NamedTuple):
    """A change of the visit under test and what it leads to.

    ``rfm`` is (recency days, frequency, monetary, segment) of Anna, ``other`` of Olga; ``reminder``
    is what happens to reminders from the change on: (trigger's outcome, start of the visit).
    """

    name: str
    change: dict[str, Any]
    rfm: Rfm
    other: Rfm | None = None
    reminder: tuple[tuple[str, int], ...] = ()


BOTH: Rfm = (2, 2, 550_000, "323")
FIRST_ONLY: Rfm = (10, 1, 300_000, "212")

GENERIC = (
    Case("it is a no-show after all", {"status": "no_show"}, FIRST_ONLY),
    Case("it is cancelled", {"status": "cancelled"}, FIRST_ONLY),
    Case("it goes back to booked", {"status": "booked"}, FIRST_ONLY),
    Case("it goes back to confirmed", {"status": "confirmed"}, FIRST_ONLY),
    Case("it costs less", {"amount_minor": 100_000}, (2, 2, 400_000, "322")),
    Case("it costs nothing", {"amount_minor": 0}, (2, 2, 300_000, "322")),
    Case("it is paid in another currency", {"currency": "USD"}, (2, 2, 300_000, "322")),
    Case("it was on another day", {"starts_at": NOW - 7 * DAY}, (7, 2, 550_000, "223")),
    Case("it was on the other's day", {"starts_at": FIRST + HOUR}, (10, 1, 550_000, "213")),
    Case("it was before the window", {"starts_at": NOW - 30 * DAY}, FIRST_ONLY),
    Case(
        "it was on the window's first day", {"starts_at": NOW - 29 * DAY}, (10, 2, 550_000, "223")
    ),
    Case(
        "it was another client's",
        {"client": "crm-2", "phone": None},
        FIRST_ONLY,
        (2, 1, 250_000, "312"),
    ),
    Case(
        "it was nobody's client but another phone",
        {"client": None, "phone": "+77017654321"},
        FIRST_ONLY,
        (2, 1, 250_000, "312"),
    ),
    Case("it was a walk-in", {"client": None, "phone": None}, FIRST_ONLY),
    Case(
        "it moves to the day after tomorrow",
        {"status": "booked", "starts_at": NOW + 2 * DAY},
        FIRST_ONLY,
        reminder=(("sent", NOW + 2 * DAY),),
    ),
)

YCLIENTS = (
    Case("its attendance is -1", {"attendance": -1}, FIRST_ONLY),
    Case("its attendance is 0", {"attendance": 0}, FIRST_ONLY),
    Case("its attendance is 2", {"attendance": 2}, FIRST_ONLY),
    Case("its deleted flag is set", {"deleted": True}, FIRST_ONLY),
    Case("its status is delete", {"status": "delete"}, FIRST_ONLY),
    Case("its services lose a part", {"costs": ((500, 1), (250, 2))}, (2, 2, 400_000, "322")),
    Case("its services are gone", {"costs": ()}, (2, 2, 300_000, "322")),
    Case("its date is another", {"date": wall(NOW - 7 * DAY, ZONE)}, (7, 2, 550_000, "223")),
    Case("its client is null", {"client": None}, FIRST_ONLY),
    Case("its client is another", {"client": 2}, FIRST_ONLY, (2, 1, 250_000, "312")),
)

BOOKED = (
    Case("it is cancelled", {"status": "cancelled"}, BOTH, reminder=(("withdrawn", NEXT),)),
    Case("it is a no-show already", {"status": "no_show"}, BOTH, reminder=(("withdrawn", NEXT),)),
    Case("it is confirmed", {"status": "confirmed"}, BOTH),
    Case("it costs more", {"amount_minor": 900_000}, BOTH),
    Case(
        "it moves by two days",
        {"starts_at": NEXT + 2 * DAY},
        BOTH,
        reminder=(("withdrawn", NEXT), ("sent", NEXT + 2 * DAY)),
    ),
    Case(
        "it moves by an hour",
        {"starts_at": NEXT + HOUR},
        BOTH,
        reminder=(("withdrawn", NEXT),),
    ),
    Case(
        "it moves into the past", {"starts_at": NOW - HOUR}, BOTH, reminder=(("withdrawn", NEXT),)
    ),
    Case(
        "it was a walk-in", {"client": None, "phone": None}, BOTH, reminder=(("withdrawn", NEXT),)
    ),
)


def begin() -> list[Record]:
    """Settings, the cards of two people in two systems, and Anna's first visit."""
    at = NOW - 20 * DAY
    told = {"timezone": ZONE, "scoring": SCORING, "triggers": [trigger("reminder", before="24h")]}
    attended = {"status": "attended", "amount_minor": 300_000, "client": "crm-1"}
    return [
        settings(TENANT, at, **told),
        card(TENANT, at, "crm-1", version=1, phone="+77011234567"),
        card(TENANT, at, "crm-2", version=1, phone="+77017654321"),
        client(TENANT, at, 1, version=1, phone="+77011234567"),
        client(TENANT, at, 2, version=1, phone="+77017654321"),
        visit(TENANT, FIRST + HOUR, "v1", version=1, starts_at=FIRST, **attended),
    ]


def features(streams: Streams, phone: int) -> Rfm:
    row = streams.profile(TENANT, phone)
    return row["recency_days"], row["frequency"], row["monetary_minor"], row["segment"]


def reminders(log: list[Record]) -> tuple[tuple[str, int], ...]:
    """Outcomes of the four days from the change on, with the start that each is about."""
    streams = run(lines_of([*log, *heartbeats(NOW + HOUR, NOW + 4 * DAY, HOUR)]))
    starts = {row["command_id"]: ms(row["visit"]["starts_at"]) for row in streams.rows("commands")}
    return tuple(
        (row["outcome"], starts[row["command_id"]])
        for row in streams.rows("decisions")
        if ms(row["at"]) >= NOW
    )


def assert_case(case: Case, log: list[Record]) -> None:
    streams = run(lines_of(log))
    assert features(streams, ANNA) == case.rfm
    assert features(streams, OLGA) == (case.other or (None, 0, 0, "000"))
    changes = [row for row in streams.of("segments", TENANT, ANNA) if ms(row["at"]) == NOW]
    said = [(row["from"], row["to"], row["cause"]) for row in changes]
    assert said == ([] if case.rfm[3] == "323" else [("323", case.rfm[3], "correction")])
    assert reminders(log) == case.reminder


@pytest.mark.parametrize("again", [False, True], ids=["once", "and the old version comes again"])
@pytest.mark.parametrize("case", GENERIC, ids=lambda case: case.name)
def test_an_attended_visit_stops_counting_when(case: Case, again: bool) -> None:
    told = {"status": "attended", "amount_minor": 250_000, "client": "crm-1", "starts_at": LAST}
    first = visit(TENANT, LAST + HOUR, "v2", version=1, **told)
    changed = visit(TENANT, NOW, "v2", version=2, **told | case.change)
    assert features(run(lines_of([*begin(), first, heartbeat(NOW)])), ANNA) == BOTH
    assert_case(case, [*begin(), first, changed, *([first] if again else [])])


@pytest.mark.parametrize("again", [False, True], ids=["once", "and the old version comes again"])
@pytest.mark.parametrize("case", YCLIENTS, ids=lambda case: case.name)
def test_an_attended_record_stops_counting_when(case: Case, again: bool) -> None:
    told: dict[str, Any] = {"attendance": 1, "client": 1, "date": wall(LAST, ZONE)}
    told["costs"] = ((1000, 2), (500, 1))
    first = record(TENANT, LAST + HOUR, 77, version=1, **told)
    changed = record(TENANT, NOW, 77, version=2, **told | case.change)
    assert features(run(lines_of([*begin(), first, heartbeat(NOW)])), ANNA) == BOTH
    assert_case(case, [*begin(), first, changed, *([first] if again else [])])


@pytest.mark.parametrize("case", BOOKED, ids=lambda case: case.name)
def test_a_reminded_booking_changes_no_features_when(case: Case) -> None:
    second = {"status": "attended", "amount_minor": 250_000, "client": "crm-1", "starts_at": LAST}
    told = {"status": "booked", "client": "crm-1", "starts_at": NEXT}
    booked = visit(TENANT, NOW - 3 * DAY, "v3", version=1, **told)
    log = [
        *begin(),
        booked,
        visit(TENANT, LAST + HOUR, "v2", version=1, **second),
        *heartbeats(NOW - 2 * DAY, NOW - HOUR, HOUR),
        visit(TENANT, NOW, "v3", version=2, **told | case.change),
    ]
    assert_case(case, log)


@pytest.mark.parametrize(
    "change", [{"deleted": True}, {"status": "delete"}], ids=["flag", "status"]
)
def test_a_reminded_record_that_is_deleted_is_withdrawn(change: dict[str, Any]) -> None:
    told: dict[str, Any] = {"client": 1, "date": wall(NEXT, ZONE)}
    booked = record(TENANT, NOW - 3 * DAY, 78, version=1, **told)
    passed = heartbeats(NOW - 2 * DAY, NOW - HOUR, HOUR)
    gone = record(TENANT, NOW, 78, version=2, **told | change)
    assert reminders([*begin(), booked, *passed, gone]) == (("withdrawn", NEXT),)


def test_whose_only_visit_is_taken_back_is_a_lead_again() -> None:
    told = {"status": "attended", "client": "crm-2", "starts_at": LAST}
    log = [*begin(), visit(TENANT, LAST + HOUR, "v2", version=1, **told)]
    log.append(visit(TENANT, NOW, "v2", version=2, **told | {"status": "no_show"}))
    streams = run(lines_of(log))
    assert features(streams, OLGA) == (None, 0, 0, "000")
    assert streams.profile(TENANT, OLGA)["last_visit_at"] is None
    last = streams.of("segments", TENANT, OLGA)[-1]
    assert (last["from"], last["to"], last["cause"]) == ("311", "000", "correction")


def test_a_deletion_wins_over_the_same_version_in_either_order() -> None:
    told: dict[str, Any] = {"attendance": 1, "client": 2, "date": wall(LAST, ZONE), "version": 5}
    alive = record(TENANT, NOW, 79, **told)
    gone = record(TENANT, NOW, 79, deleted=True, **told)
    for pair in ([alive, gone], [gone, alive]):
        assert features(run(lines_of([*begin(), *pair])), OLGA)[3] == "000"


def test_a_body_without_a_version_replaces_and_keeps_the_stored_version() -> None:
    told = {"client": "crm-2", "starts_at": LAST}
    came = visit(TENANT, NOW, "v2", version=3, status="attended", **told)
    unversioned = visit(TENANT, NOW, "v2", status="no_show", **told)
    older = visit(TENANT, NOW, "v2", version=2, status="attended", **told)
    newer = visit(TENANT, NOW, "v2", version=4, status="attended", **told)
    log = [*begin(), came, unversioned]
    assert features(run(lines_of(log)), OLGA)[3] == "000"
    assert features(run(lines_of([*log, older])), OLGA)[3] == "000"
    assert features(run(lines_of([*log, newer])), OLGA)[1] == 1


def test_a_visit_that_left_the_window_is_not_taken_back_any_more() -> None:
    told = {"status": "attended", "client": "crm-2", "starts_at": LAST}
    log = [*begin(), visit(TENANT, LAST + HOUR, "v2", version=1, **told)]
    later = LAST + 30 * DAY
    log.append(visit(TENANT, later, "v2", version=2, **told | {"status": "cancelled"}))
    streams = run(lines_of(log))
    assert features(streams, OLGA) == (30, 0, 0, "111")


def test_an_attended_visit_too_old_to_count_still_tells_the_last_day() -> None:
    told = {"status": "attended", "client": "crm-2", "starts_at": NOW - 45 * DAY}
    streams = run(lines_of([*begin(), visit(TENANT, NOW, "v2", version=1, **told)]))
    assert features(streams, OLGA) == (45, 0, 0, "111")
