"""``visits_daily`` counts what was attended and earned on each of a tenant's days, whoever came."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from operators.fold import close
from schemas.aggregates import AGGREGATES
from schemas.export import schema
from schemas.keys import customer_id
from state.lane import LaneState
from tests.engine import ID_KEY, Streams, comparable, feed, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Record,
    card,
    forget,
    heartbeat,
    lines_of,
    local,
    payment,
    record,
    settings,
    visit,
)

TENANT, ZONE = "t1", "Asia/Almaty"
NOON = local("2026-06-15 12:00", ZONE)
PHONE = "+77011234567"


def attended(at: int, id: str = "v1", **told: Any) -> Record:
    body = {"version": 1, "status": "attended", "phone": PHONE, "starts_at": NOON}
    return visit(TENANT, at, id, **body | {"amount_minor": 1_000} | told)


def told(*records: Record, until: int = NOON + 2 * DAY) -> Streams:
    log = [settings(TENANT, NOON - DAY, timezone=ZONE), *records, heartbeat(until)]
    return run(lines_of(log))


def rows(streams: Streams) -> list[dict[str, Any]]:
    return [row for row in streams.rows("aggregates") if row["table"] == "visits_daily"]


def days(streams: Streams) -> dict[str, tuple[int, int, int]]:
    """Visits, walk-ins and money by day: the last row of each."""
    return {
        row["day"]: (row["visits"], row["walk_ins"], row["revenue_minor"]) for row in rows(streams)
    }


def test_attended_visits_and_their_money_are_counted_on_their_day() -> None:
    streams = told(
        attended(NOON),
        attended(NOON, "v2", amount_minor=500, starts_at=NOON - 13 * HOUR),
        attended(NOON, "v3", status="booked", starts_at=NOON + HOUR),
    )
    assert days(streams) == {"2026-06-15": (1, 0, 1_000), "2026-06-14": (1, 0, 500)}


def test_a_walk_in_counts_in_the_totals() -> None:
    streams = told(attended(NOON), attended(NOON, "v2", phone=None, amount_minor=300))
    assert days(streams) == {"2026-06-15": (2, 1, 1_300)}


def test_a_client_without_a_phone_is_no_walk_in() -> None:
    streams = told(attended(NOON, phone=None, client="crm-1"))
    assert days(streams) == {"2026-06-15": (1, 0, 1_000)}


def test_a_correction_moves_money_and_a_retraction_takes_it_back() -> None:
    corrected = attended(NOON + MINUTE, version=2, amount_minor=1_200)
    assert days(told(attended(NOON), corrected)) == {"2026-06-15": (1, 0, 1_200)}
    cancelled = attended(NOON + MINUTE, version=2, status="cancelled")
    assert days(told(attended(NOON), cancelled)) == {"2026-06-15": (0, 0, 0)}


def test_a_visit_that_moves_to_another_day_takes_its_money_along() -> None:
    moved = attended(NOON + MINUTE, version=2, starts_at=NOON - DAY)
    assert days(told(attended(NOON), moved)) == {
        "2026-06-15": (0, 0, 0),
        "2026-06-14": (1, 0, 1_000),
    }


def test_money_in_another_currency_is_not_added() -> None:
    assert days(told(attended(NOON, currency="EUR"))) == {"2026-06-15": (1, 0, 0)}


def test_a_repeated_or_older_version_changes_nothing() -> None:
    once = told(attended(NOON, version=2))
    again = told(attended(NOON, version=2), attended(NOON + MINUTE, version=1),
                 attended(NOON + 2 * MINUTE, version=2))  # fmt: skip
    assert rows(once) == rows(again)


def test_rows_are_absolute_and_told_when_the_clock_crosses_ten_seconds() -> None:
    log = [
        settings(TENANT, NOON - DAY, timezone=ZONE),
        attended(NOON, "v1"),
        attended(NOON + 4 * SECOND, "v2"),
        attended(NOON + 9 * SECOND, "v3"),
        attended(NOON + 10 * SECOND, "v4"),
        heartbeat(NOON + 19 * SECOND),
        heartbeat(NOON + 20 * SECOND),
    ]
    streams = run(lines_of(log), ended=False)
    assert [(row["visits"], row["position"]) for row in rows(streams)] == [(3, 3), (4, 4)]
    owed_at = [m.position for m in streams.messages[0, "aggregates"] if b"visits_daily" in m.key]
    assert owed_at == [4, 6]


def test_the_message_has_the_tables_name_and_key() -> None:
    streams = told(attended(NOON))
    keys = {m.key for m in streams.messages[0, "aggregates"] if b"visits_daily" in m.key}
    assert keys == {b"visits_daily/t1/2026-06-15"}
    assert list(rows(streams)[0]) == [
        "table", "tenant", "day", "visits", "walk_ins", "revenue_minor", "position",
    ]  # fmt: skip


def test_what_is_not_told_yet_is_told_at_the_end_of_the_input() -> None:
    streams = told(attended(NOON), until=NOON + SECOND)
    assert days(streams) == {"2026-06-15": (1, 0, 1_000)}


def test_going_on_after_the_end_says_what_an_uninterrupted_run_says() -> None:
    log = [settings(TENANT, NOON - DAY, timezone=ZONE), attended(NOON)]
    log += [attended(NOON + SECOND, "v2"), heartbeat(NOON + DAY)]
    lines = lines_of(log)
    state, streams = LaneState(0, ID_KEY), Streams()
    feed({0: state}, lines, 0, 2, streams)
    assert [m.key for m in close(state).streams["aggregates"] if b"visits_daily" in m.key]
    feed({0: state}, lines, 2, 4, streams)
    assert comparable(streams) == comparable(run(lines, ended=False))
    assert [row["visits"] for row in rows(streams)] == [2]


def test_a_change_of_a_day_sixty_days_ago_is_ignored() -> None:
    old = attended(NOON, starts_at=NOON - 60 * DAY)
    young = attended(NOON, "v2", starts_at=NOON - 59 * DAY)
    assert days(told(old, young)) == {"2026-04-17": (1, 0, 1_000)}


def test_days_that_are_no_longer_kept_may_be_cleaned_up_at_any_time() -> None:
    """Twice across the date line, so that what is sixty days old gets younger again."""
    log = [settings(TENANT, NOON - DAY, timezone="Pacific/Kiritimati")]
    log += [attended(NOON + n * DAY, f"v{n}", starts_at=NOON + n * DAY) for n in range(0, 100, 3)]
    for n in range(60, 70):
        zone = "Pacific/Honolulu" if n % 2 else "Pacific/Kiritimati"
        log += [settings(TENANT, NOON + n * DAY + HOUR, timezone=zone)]
        log += [
            attended(NOON + n * DAY + late * HOUR, f"v{v}", version=n, amount_minor=n + v,
                     starts_at=NOON + v * DAY)
            for late, v in enumerate((0, 3, 6, 9), 2)
        ]  # fmt: skip
    log += [heartbeat(NOON + n * DAY) for n in range(90)]
    lines = lines_of(sorted(log, key=lambda told: str(told["received_at"])))
    assert comparable(run(lines, cuts=range(len(lines)))) == comparable(run(lines))


def test_a_client_that_gets_its_phone_later_changes_no_total() -> None:
    log = [attended(NOON, phone=None, client="crm-1"),
           card(TENANT, NOON + MINUTE, "crm-1", version=1, phone=PHONE)]  # fmt: skip
    assert [row["position"] for row in rows(told(*log))] == [1]


def test_a_zone_that_comes_late_moves_visits_to_their_days() -> None:
    late = NOON - 11 * HOUR  # 01:00 in Almaty, the day before in UTC
    log = [
        attended(NOON, starts_at=late),
        settings(TENANT, NOON + MINUTE, timezone=ZONE),
        heartbeat(NOON + HOUR),
    ]
    assert days(run(lines_of(log))) == {"2026-06-14": (0, 0, 0), "2026-06-15": (1, 0, 1_000)}


def test_a_currency_that_comes_late_decides_what_is_foreign() -> None:
    log = [
        attended(NOON, currency="EUR"),
        settings(TENANT, NOON + MINUTE, timezone=ZONE),
        heartbeat(NOON + HOUR),
    ]
    assert days(run(lines_of(log))) == {"2026-06-15": (1, 0, 0)}


def came(at: int, id: int, **told: Any) -> Record:
    """A yclients record of 1,000 major units, attended."""
    body: Any = {"date": "2026-06-15 12:00:00", "attendance": 1, "version": 1}
    body |= {"costs": ((1000, 1),)}
    return record(TENANT, at, id, **body | {"phone": PHONE, "client": 7} | told)


def test_a_payment_replaces_the_price_of_all_records_of_its_visit() -> None:
    streams = told(
        came(NOON, 1, unit=77),
        came(NOON + SECOND, 2, unit=77, date="2026-06-15 13:00:00"),
        payment(TENANT, NOON + MINUTE, 5, 1_500, date="2026-06-15 14:00:00", unit=77, version=1),
        payment(TENANT, NOON + HOUR, 6, -500, date="2026-06-15 14:00:00", unit=77, version=1),
    )
    money = [(row["visits"], row["revenue_minor"]) for row in rows(streams)]
    assert money == [(2, 200_000), (2, 150_000), (2, 100_000)]


def test_money_is_on_the_day_of_the_visit_that_has_it() -> None:
    """The earlier record of the unit has all of it; when it goes the other one does."""
    yesterday = came(NOON, 1, unit=77, date="2026-06-14 12:00:00")
    gone = came(NOON + HOUR, 1, unit=77, date="2026-06-14 12:00:00", version=9, deleted=True)
    paid = payment(TENANT, NOON + 2, 5, 1_500, date="2026-06-15 14:00:00", unit=77, version=1)
    before = told(yesterday, came(NOON + 1, 2, unit=77), paid)
    assert days(before) == {"2026-06-14": (1, 0, 150_000), "2026-06-15": (1, 0, 0)}
    after = told(yesterday, came(NOON + 1, 2, unit=77), paid, gone)
    assert days(after) == {"2026-06-14": (0, 0, 0), "2026-06-15": (1, 0, 150_000)}


def test_a_payment_that_names_no_visit_counts_on_its_own_day() -> None:
    alone = payment(TENANT, NOON, 5, 700, date="2026-06-13 14:00:00", client=7, version=1)
    other = payment(TENANT, NOON, 6, 300, date="2026-06-13 14:00:00", client=8, version=1)
    moved = payment(TENANT, NOON + 1, 6, 300, date="2026-06-12 14:00:00", client=8, version=2)
    assert days(told(alone, other)) == {"2026-06-13": (0, 0, 100_000)}
    assert days(told(alone, other, moved)) == {
        "2026-06-13": (0, 0, 70_000),
        "2026-06-12": (0, 0, 30_000),
    }


def test_who_wants_to_be_forgotten_came_as_a_walk_in() -> None:
    who = customer_id(ID_KEY, TENANT, 77011234567)
    streams = told(attended(NOON), forget(TENANT, NOON + MINUTE, who))
    assert days(streams) == {"2026-06-15": (1, 1, 1_000)}


def test_every_row_follows_its_schema() -> None:
    streams = told(attended(NOON), until=NOON + 3 * DAY)
    checks = {
        name: jsonschema.Draft202012Validator(schema(name, kind))
        for name, kind in AGGREGATES.items()
    }
    for message in streams.messages[0, "aggregates"]:
        row = json.loads(message.value)
        checks[row["table"]].validate(row)
        assert message.key.decode().startswith(f"{row['table']}/{TENANT}/")
