"""``segment_daily`` and ``segment_flow_daily``: customers by the segment at the end of each day."""

from __future__ import annotations

from typing import Any

from schemas.keys import customer_id
from tests.engine import ID_KEY, Row, Streams, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Record,
    card,
    client,
    forget,
    heartbeat,
    lines_of,
    local,
    message_in,
    payment,
    record,
    settings,
    visit,
)

TENANT, ZONE = "t1", "Asia/Almaty"
NOON = local("2026-06-15 12:00", ZONE)
MIDNIGHT = NOON + 12 * HOUR
ANNA, BELLA = "+77011234567", "+77017654321"
SCORING = {
    "window_days": 30,
    "recency_days": [2, 5],
    "frequency": [3, 2],
    "monetary": [500_000, 100_000],
}


def attended(at: int, id: str, phone: str | None = ANNA, **told: Any) -> Record:
    body = {"version": 1, "status": "attended", "phone": phone, "starts_at": at}
    return visit(TENANT, at, id, **body | {"amount_minor": 200_000} | told)


def log_of(*records: Record, until: int = MIDNIGHT + HOUR) -> list[bytes]:
    first = settings(TENANT, NOON - DAY, timezone=ZONE, scoring=SCORING)
    return lines_of([first, *records, heartbeat(until)])


def told(*records: Record, until: int = MIDNIGHT + HOUR, ended: bool = False) -> Streams:
    return run(log_of(*records, until=until), ended=ended)


def table(streams: Streams, name: str) -> list[Row]:
    return [row for row in streams.rows("aggregates") if row["table"] == name]


def segments(streams: Streams) -> dict[tuple[str, str], tuple[int, int]]:
    """Customers and money by day and segment: the last row of each."""
    return {
        (row["day"], row["segment"]): (row["customers"], row["revenue_minor"])
        for row in table(streams, "segment_daily")
    }


def flows(streams: Streams) -> dict[tuple[str, str, str], int]:
    """Customers by day, origin and target: the last row of each."""
    return {
        (row["day"], row["from"], row["to"]): row["customers"]
        for row in table(streams, "segment_flow_daily")
    }


def test_a_day_that_ends_tells_customers_and_money_by_segment() -> None:
    streams = told(
        attended(NOON, "v1"),
        attended(NOON, "v2", BELLA, amount_minor=50_000),
        message_in(TENANT, NOON, "m1", "+77010000000"),
    )
    assert segments(streams) == {
        ("2026-06-15", "312"): (1, 200_000),
        ("2026-06-15", "311"): (1, 50_000),
        ("2026-06-15", "000"): (1, 0),
    }
    assert flows(streams) == {("2026-06-15", "000", "312"): 1, ("2026-06-15", "000", "311"): 1}


def test_it_is_told_by_the_record_that_brings_the_midnight() -> None:
    streams = told(attended(NOON, "v1"), heartbeat(MIDNIGHT - 1), heartbeat(MIDNIGHT))
    (row,) = table(streams, "segment_daily")
    assert row["position"] == 3
    (message,) = [m for m in streams.messages[0, "aggregates"] if b"segment_daily" in m.key]
    assert (message.position, message.key) == (3, b"segment_daily/t1/2026-06-15/312")
    assert table(told(attended(NOON, "v1"), until=MIDNIGHT - 1), "segment_daily") == []


def test_every_day_tells_all_customers_also_those_who_did_not_come() -> None:
    streams = told(attended(NOON, "v1"), until=MIDNIGHT + 3 * DAY)
    assert segments(streams) == {
        ("2026-06-15", "312"): (1, 200_000),
        ("2026-06-16", "312"): (1, 0),
        ("2026-06-17", "312"): (1, 0),
        ("2026-06-18", "212"): (1, 0),
    }
    assert flows(streams) == {
        ("2026-06-15", "000", "312"): 1,
        ("2026-06-18", "312", "212"): 1,
    }


def test_a_leap_over_days_tells_what_a_walk_tells() -> None:
    beats = [heartbeat(at) for at in range(NOON + HOUR, MIDNIGHT + 8 * DAY, HOUR)]
    walked = told(attended(NOON, "v1"), *beats, until=MIDNIGHT + 8 * DAY)
    leapt = told(attended(NOON, "v1"), until=MIDNIGHT + 8 * DAY)
    assert segments(walked) == segments(leapt)
    assert flows(walked) == flows(leapt)


def test_a_tenant_without_customers_has_no_rows() -> None:
    assert table(told(attended(NOON, "v1", None)), "segment_daily") == []


def test_walk_ins_and_clients_without_a_phone_have_no_segment() -> None:
    streams = told(
        attended(NOON, "v1"), attended(NOON, "v2", None), attended(NOON, "v3", None, client="c")
    )
    assert segments(streams) == {("2026-06-15", "312"): (1, 200_000)}


def test_attendance_marked_next_morning_counts_under_the_segment_at_that_days_end() -> None:
    """Bella was 312 when the day ended; the visit that is told later makes her 322 only then."""
    streams = told(
        attended(NOON - HOUR, "v0", BELLA, starts_at=NOON - DAY),
        attended(MIDNIGHT + 9 * HOUR, "v1", BELLA, starts_at=NOON),
        until=MIDNIGHT + DAY,
    )
    assert segments(streams)["2026-06-15", "312"] == (1, 200_000)
    assert segments(streams)["2026-06-16", "322"] == (1, 0)


def test_someone_unknown_at_the_days_end_was_a_lead() -> None:
    streams = told(attended(MIDNIGHT + HOUR, "v1", starts_at=NOON), until=MIDNIGHT + DAY)
    assert segments(streams) == {
        ("2026-06-15", "000"): (0, 200_000),
        ("2026-06-16", "312"): (1, 0),
    }


def test_money_corrected_days_later_stays_under_the_segment_of_its_day() -> None:
    streams = told(
        attended(NOON, "v1"),
        attended(NOON + 5 * DAY, "v1", version=2, starts_at=NOON, amount_minor=250_000),
        until=MIDNIGHT + 5 * DAY,
    )
    assert segments(streams)["2026-06-15", "312"] == (1, 250_000)
    assert segments(streams)["2026-06-20", "212"] == (1, 0)


def test_the_segment_of_any_past_day_is_known() -> None:
    """312 on the 15th to 17th, 212 from the 18th on, 112 from the 21st."""
    for day, segment in ((15, "312"), (17, "312"), (18, "212"), (20, "212"), (21, "112")):
        late = attended(NOON + 9 * DAY, "v2", starts_at=NOON + (day - 15) * DAY, amount_minor=7)
        streams = told(attended(NOON, "v1"), late, until=NOON + 9 * DAY + MINUTE)
        assert segments(streams)[f"2026-06-{day}", segment][1] % 1_000 == 7


def test_a_retraction_takes_the_money_from_the_segment_that_had_it() -> None:
    streams = told(
        attended(NOON, "v1"),
        attended(NOON + 3 * DAY, "v1", version=2, starts_at=NOON, status="cancelled"),
        until=NOON + 3 * DAY + MINUTE,
    )
    assert segments(streams)["2026-06-15", "312"] == (1, 0)


def test_a_visit_moved_from_a_past_day_to_the_running_one_waits_for_its_end() -> None:
    moved = attended(NOON + DAY, "v1", version=2)
    streams = told(attended(NOON, "v1"), moved, until=NOON + DAY + MINUTE)
    assert segments(streams) == {("2026-06-15", "312"): (1, 0)}
    streams = told(attended(NOON, "v1"), moved, until=MIDNIGHT + DAY)
    assert segments(streams)["2026-06-16", "312"] == (1, 200_000)


def test_payments_count_under_the_segment_of_who_paid_on_their_day() -> None:
    """On the running day, later for a day that is over, and of a card without a phone."""
    when: Row = {"date": "2026-06-15 14:00:00", "version": 1}
    streams = told(
        attended(NOON, "v1"),
        client(TENANT, NOON, 7, phone=ANNA, version=1),
        payment(TENANT, NOON + HOUR, 5, 70, client=7, phone=ANNA, **when),
        payment(TENANT, NOON + HOUR, 6, 999, client=8, **when),
        payment(TENANT, MIDNIGHT + HOUR, 7, 8, client=7, phone=ANNA, **when),
        until=MIDNIGHT + 2 * HOUR,
    )
    assert segments(streams) == {("2026-06-15", "312"): (1, 207_800)}


def test_money_of_a_visit_that_is_paid_later_stays_on_its_day() -> None:
    came = record(TENANT, NOON, 1, date="2026-06-15 12:00:00", attendance=1, version=1,
                  client=7, phone=ANNA, costs=((2000, 1),), unit=77)  # fmt: skip
    paid = payment(TENANT, NOON + 4 * DAY, 5, 2_500, date="2026-06-19 12:00:00", unit=77, version=1)
    streams = told(came, paid, until=NOON + 4 * DAY + MINUTE)
    assert segments(streams)["2026-06-15", "312"] == (1, 250_000)


def test_a_forgotten_customer_leaves_the_past_days_as_they_were() -> None:
    who = customer_id(ID_KEY, TENANT, 77011234567)
    streams = told(
        attended(NOON, "v1"), forget(TENANT, NOON + DAY, who), until=MIDNIGHT + DAY + HOUR
    )
    assert segments(streams) == {("2026-06-15", "312"): (1, 200_000)}
    assert flows(streams) == {("2026-06-15", "000", "312"): 1}
    last = scores(streams, 77011234567)[-1]
    assert (last["segment"], last["monetary_minor"]) == ("", 0)


def test_a_visit_moved_from_one_past_day_to_another_moves_its_money() -> None:
    streams = told(
        attended(NOON, "v1"),
        attended(NOON + 4 * DAY, "v1", version=2, starts_at=NOON + 3 * DAY),
        until=NOON + 4 * DAY + MINUTE,
    )
    assert segments(streams)["2026-06-15", "312"] == (1, 0)
    assert segments(streams)["2026-06-18", "212"] == (1, 200_000)


def test_a_client_that_moves_to_another_phone_rewrites_no_past_day() -> None:
    streams = told(
        card(TENANT, NOON - HOUR, "c", version=1, phone=ANNA),
        attended(NOON, "v1", None, client="c"),
        card(TENANT, NOON + DAY, "c", version=2, phone=BELLA),
        until=MIDNIGHT + DAY,
    )
    ended = [row for row in table(streams, "segment_daily") if row["day"] == "2026-06-15"]
    assert [(row["segment"], row["customers"]) for row in ended] == [("312", 1)]
    assert segments(streams)["2026-06-16", "312"] == (1, 0)
    assert segments(streams)["2026-06-16", "000"] == (1, 0)


def test_nothing_is_lost_and_nothing_counted_twice_when_the_zone_moves_ahead() -> None:
    """18:00 of the 15th in Honolulu is 18:00 of the 16th in Kiritimati: the 15th is over."""
    start = local("2026-06-15 12:00", "Pacific/Honolulu")
    log = lines_of([
        settings(TENANT, start - DAY, timezone="Pacific/Honolulu", scoring=SCORING),
        attended(start, "v1"),
        settings(TENANT, start + 6 * HOUR, timezone="Pacific/Kiritimati", scoring=SCORING),
        heartbeat(start + 2 * DAY),
    ])  # fmt: skip
    streams = run(log, ended=False)
    assert sum(money for _, money in segments(streams).values()) == 200_000
    assert segments(streams) == {
        ("2026-06-15", "312"): (1, 0),
        ("2026-06-16", "312"): (1, 200_000),
        ("2026-06-17", "312"): (1, 0),
    }


def test_nothing_is_lost_and_nothing_counted_twice_when_a_day_begins_again() -> None:
    start = local("2026-06-15 23:00", "Pacific/Kiritimati")
    log = lines_of([
        settings(TENANT, start - DAY, timezone="Pacific/Kiritimati", scoring=SCORING),
        attended(start, "v1"),
        heartbeat(start + 2 * HOUR),  # the 15th is over
        settings(TENANT, start + 3 * HOUR, timezone="Pacific/Honolulu", scoring=SCORING),
        attended(start + 4 * HOUR, "v2", BELLA),
        heartbeat(start + 2 * DAY),
    ])  # fmt: skip
    streams = run(log, ended=False)
    rows = [row for row in table(streams, "segment_daily") if row["day"] == "2026-06-15"]
    assert [(row["customers"], row["revenue_minor"]) for row in rows] == [
        (1, 200_000), (0, 0), (2, 200_000),
    ]  # fmt: skip
    assert segments(streams)["2026-06-14", "000"] == (0, 200_000)
    assert flows(streams)["2026-06-15", "000", "312"] == 2


def test_the_running_day_is_told_at_the_end_of_the_input() -> None:
    streams = told(attended(NOON, "v1"), until=NOON + HOUR, ended=True)
    assert segments(streams) == {("2026-06-15", "312"): (1, 200_000)}
    assert flows(streams) == {("2026-06-15", "000", "312"): 1}
    message = streams.messages[0, "aggregates"][-1]
    assert message.position == 3
    assert table(streams, "segment_daily")[0]["position"] == 2


def scores(streams: Streams, phone: int) -> list[Row]:
    who = customer_id(ID_KEY, TENANT, phone)
    found = table(streams, "customer_segments")
    return [row for row in found if row["customer_id"] == who]


def test_a_score_is_told_with_the_profile_and_only_when_it_changes() -> None:
    streams = told(
        attended(NOON, "v1"),
        card(TENANT, NOON + MINUTE, "c", version=1, phone=ANNA, name="Анна"),
        visit(TENANT, NOON + HOUR, "v2", version=1, status="booked", phone=ANNA,
              starts_at=NOON + 9 * DAY),
        until=NOON + 3 * DAY + 13 * HOUR,
    )  # fmt: skip
    rows = scores(streams, 77011234567)
    assert [(row["segment"], row["position"]) for row in rows] == [("312", 1), ("212", 4)]
    assert list(rows[0]) == [
        "table", "tenant", "customer_id", "segment", "r", "f", "m", "recency_days", "frequency",
        "monetary_minor", "last_visit_at", "position",
    ]  # fmt: skip
    assert rows[0]["last_visit_at"] == "2026-06-15T07:00:00Z"
    assert (rows[1]["r"], rows[1]["f"], rows[1]["m"], rows[1]["recency_days"]) == (2, 1, 2, 3)


def test_a_lead_has_no_score_to_tell() -> None:
    assert scores(told(message_in(TENANT, NOON, "m1", ANNA)), 77011234567) == []


def test_rows_have_one_order_by_position_instant_and_key() -> None:
    streams = told(
        attended(NOON, "v1"),
        attended(NOON + SECOND, "v2", BELLA, amount_minor=50_000),
        until=MIDNIGHT + HOUR,
    )
    messages = streams.messages[0, "aggregates"]
    assert [m.position for m in messages] == sorted(m.position for m in messages)
    last = [m.key for m in messages if b"_daily/t1/2026-06-15/" in m.key]
    assert last == sorted(last)
