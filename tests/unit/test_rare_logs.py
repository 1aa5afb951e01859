"""Logs that only a long hunt found: what the days say, and that the oracle counts the same."""

from __future__ import annotations

from typing import Any

from tests.engine import ID_KEY, Streams, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    client,
    heartbeat,
    history,
    lines_of,
    local,
    order,
    payment,
    record,
    sale,
    settings,
    visit,
    wall,
)
from tests.oracle import truth
from tests.property.test_aggregates_oracle import assert_days, settled
from tests.property.test_oracle import assert_true

TENANT, ZONE = "t1", "Asia/Almaty"
NOON = local("2026-06-15 12:00", ZONE)
ANNA = 77011234567
HOME = "8 701 1234567"
UNIT = 950_001
FEW_DAYS: Any = {"window_days": 5}


def rules(at: int, zone: str = ZONE, currency: str = "KZT", **scoring: Any) -> Record:
    return settings(TENANT, at, timezone=zone, currency=currency, scoring=scoring)


def came(at: int, id: int, start: int, version: int = 1, **told: Any) -> Record:
    """A record of the unit, of 900 major units."""
    body: Any = {"attendance": 1, "client": 1, "phone": f"+{ANNA}", "costs": ((900, 1),)}
    return record(TENANT, at, id, date=wall(start, ZONE), unit=UNIT, version=version, **body | told)


def paid(at: int, day: int, amount: float = 4000, **told: Any) -> Record:
    return payment(TENANT, at, 5, amount, date=wall(day, ZONE), **{"unit": UNIT, **told})


def agreed(*records: Record) -> Streams:
    """What the fold says, once the oracle has said the same of days and customers."""
    lines = lines_of([*records, heartbeat(records[-1]["received_at"])])
    assert_days(lines)
    streams = run(lines)
    assert_true(streams, lines, 1)
    return streams


def earned(streams: Streams) -> dict[str, int]:
    """Money by day."""
    rows = settled(streams)["visits_daily"].values()
    return {row["day"]: row["revenue_minor"] for row in rows}


def spent(streams: Streams) -> int:
    return int(streams.profile(TENANT, ANNA)["monetary_minor"])


def test_a_visit_that_a_smaller_window_leaves_behind_keeps_its_payments() -> None:
    """The payment names a later day, so that the provider's visit itself is inside."""
    log = [rules(NOON), came(NOON, 1, NOON), paid(NOON, NOON + 5 * DAY)]
    assert earned(agreed(*log, rules(NOON + 5 * DAY, **FEW_DAYS))) == {"2026-06-15": 400_000}


def test_a_visit_that_leaves_hands_its_money_on_to_nobody() -> None:
    """It has been counted on its day; the later record of the same visit brought nothing."""
    log = [rules(NOON), came(NOON, 1, NOON), came(NOON, 2, NOON + 5 * DAY), paid(NOON, NOON)]
    streams = agreed(*log, rules(NOON + 5 * DAY, **FEW_DAYS))
    assert earned(streams) == {"2026-06-15": 400_000, "2026-06-20": 0}
    assert spent(streams) == 0


def test_settings_do_not_give_away_what_left_before_them() -> None:
    log = [rules(NOON, **FEW_DAYS), came(NOON, 1, NOON), came(NOON, 2, NOON + 5 * DAY)]
    log += [paid(NOON, NOON), heartbeat(NOON + 5 * DAY), rules(NOON + 5 * DAY + HOUR, **FEW_DAYS)]
    streams = agreed(*log)
    assert earned(streams) == {"2026-06-15": 400_000, "2026-06-20": 0}
    assert spent(streams) == 0


def test_one_record_with_a_smaller_window_and_another_currency_changes_all_amounts() -> None:
    """Also of what it leaves behind: that is final from then on."""
    log = [rules(NOON), came(NOON, 1, NOON), paid(NOON, NOON)]
    log += [payment(TENANT, NOON, 6, 50, date=wall(NOON, ZONE), client=1)]
    log += [rules(NOON + 5 * DAY, currency="JPY", **FEW_DAYS)]
    assert earned(agreed(*log)) == {"2026-06-15": 4050}
    again = rules(NOON + 6 * DAY, currency="KZT", window_days=30)
    assert earned(agreed(*log, again)) == {"2026-06-15": 4050}


def test_a_smaller_window_in_another_zone_moves_what_it_leaves_to_its_day() -> None:
    start = local("2026-06-15 22:30", "UTC")
    body = {"version": 1, "status": "attended", "phone": f"+{ANNA}", "amount_minor": 700}
    log = [rules(start, "UTC"), visit(TENANT, start, "v1", starts_at=start, **body)]
    streams = agreed(*log, rules(start + 9 * DAY, ZONE, **FEW_DAYS))
    assert earned(streams) == {"2026-06-15": 0, "2026-06-16": 700}


def test_a_payment_that_is_told_again_after_it_has_left_is_another_one() -> None:
    """It counts under its customer's segment, the one that has left still under nobody's."""
    day = NOON - 8 * DAY
    told = payment(TENANT, NOON, 1, 900, date=wall(day, ZONE), client=3, version=1)
    log = [rules(NOON - DAY), told, rules(NOON + HOUR, **FEW_DAYS)]
    log += [rules(NOON + 2 * HOUR, window_days=30)]
    log += [client(TENANT, NOON + 3 * HOUR, 3, version=1, phone=f"+{ANNA}")]
    streams = agreed(*log, told | {"received_at": log[-1]["received_at"]})
    assert earned(streams) == {"2026-06-07": 180_000}
    rows = settled(streams)["segment_daily"].values()
    assert {(r["day"], r["segment"], r["revenue_minor"]) for r in rows if r["revenue_minor"]} == {
        ("2026-06-07", "000", 90_000)
    }


def sold(at: int, day: int, **told: Any) -> Record:
    return sale(TENANT, at, 9, 700, date=wall(day, ZONE), version=1, **told)


def for_goods(at: int, day: int, id: int = 6, **told: Any) -> Record:
    """Money for the sale, a hundred less than its price."""
    return payment(TENANT, at, id, 600, date=wall(day, ZONE), sale=9, version=1, **told)


def test_a_sale_whose_payment_has_left_stays_paid() -> None:
    """The sale itself stays with the provider's visit, whose record is of a later day."""
    log = [rules(NOON, **FEW_DAYS), came(NOON, 1, NOON + 4 * DAY, attendance=0)]
    log += [sold(NOON, NOON, unit=UNIT), for_goods(NOON, NOON)]
    assert earned(agreed(*log, heartbeat(NOON + 6 * DAY))) == {"2026-06-15": 60_000}


def test_a_sale_that_its_visit_keeps_may_be_paid_late_and_counts_again_without_the_payment() -> (
    None
):
    log = [rules(NOON, **FEW_DAYS), came(NOON, 1, NOON + 4 * DAY, attendance=0)]
    log += [sold(NOON, NOON, unit=UNIT)]
    late = NOON + 6 * DAY
    paid_late = [*log, for_goods(late, late)]
    assert earned(agreed(*paid_late)) == {"2026-06-15": 0, "2026-06-21": 60_000}
    gone = for_goods(late + HOUR, late, deleted=True)
    assert earned(agreed(*paid_late, gone)) == {"2026-06-15": 70_000, "2026-06-21": 0}


def test_a_visit_counts_under_whoever_has_it_when_it_is_told_though_the_record_goes_on() -> None:
    """The same history names another phone for its card, who was there on that day."""
    body = {"version": 1, "status": "attended", "amount_minor": 300}
    live = visit(TENANT, NOON, "v0", starts_at=NOON, phone=f"+{ANNA}", **body)
    told = visit(TENANT, NOON, "v1", starts_at=NOON, client="crm-1", **body)
    anna = card(TENANT, NOON, "crm-1", version=1, phone=f"+{ANNA}")
    streams = agreed(rules(NOON - DAY), live, history(TENANT, NOON + DAY, told, anna))
    assert earned(streams) == {"2026-06-15": 600}
    rows = settled(streams)["segment_daily"].values()
    assert {(row["segment"], row["revenue_minor"]) for row in rows if row["revenue_minor"]} == {
        ("312", 300)
    }


def test_a_visit_that_is_told_again_after_it_has_left_is_another_one() -> None:
    """It counts under the segment of its own day's end."""
    body = {"version": 9, "status": "attended", "phone": f"+{ANNA}", "amount_minor": 300}
    live = visit(TENANT, NOON - 2 * DAY, "v0", starts_at=NOON - 2 * DAY, **body)
    left = visit(TENANT, NOON, "v1", starts_at=NOON - 4 * DAY, **body)
    again = visit(TENANT, NOON, "v1", starts_at=NOON - DAY, **body | {"version": 1})
    log = [rules(NOON - 3 * DAY, **FEW_DAYS), live, left, history(TENANT, NOON + DAY, again)]
    streams = agreed(*log)
    assert earned(streams) == {"2026-06-11": 300, "2026-06-13": 300, "2026-06-14": 300}
    rows = settled(streams)["segment_daily"].values()
    assert {(row["day"], row["segment"]) for row in rows if row["revenue_minor"]} == {
        ("2026-06-11", "000"),
        ("2026-06-13", "312"),
        ("2026-06-14", "311"),
    }


def test_what_has_left_at_midnight_is_gone_though_settings_come_before_everybodys_day() -> None:
    """A customer's own day begins within five minutes of the tenant's."""
    midnight = local("2026-06-20 00:00", ZONE)
    body = {"version": 1, "status": "attended", "phone": f"+{ANNA}", "amount_minor": 300}
    log = [rules(NOON, **FEW_DAYS), visit(TENANT, NOON, "v1", starts_at=NOON, **body)]
    streams = agreed(*log, rules(midnight + 1, window_days=30), heartbeat(midnight + HOUR))
    assert streams.profile(TENANT, ANNA)["frequency"] == 0


def test_a_full_day_that_a_smaller_window_left_behind_begins_anew_under_a_wider_one() -> None:
    def came_on(day: int, number: int, at: int) -> Record:
        body = {"version": 1, "status": "attended", "phone": f"+{ANNA}", "amount_minor": 1_000}
        return visit(TENANT, at, f"h{number}", starts_at=day, **body)

    crowd = [came_on(NOON - 7 * DAY, n, NOON) for n in range(31)]
    full = agreed(rules(NOON - DAY), *crowd)
    assert spent(full) == 30_000
    log = [rules(NOON - DAY), *crowd, rules(NOON + HOUR, **FEW_DAYS)]
    log += [rules(NOON + 2 * HOUR, window_days=30)]
    log += [came_on(NOON - 7 * DAY, n, NOON + 3 * HOUR) for n in range(40, 43)]
    streams = agreed(*log)
    assert spent(streams) == 3_000
    (row,) = settled(streams)["visits_daily"].values()
    assert (row["visits"], row["walk_ins"]) == (34, 1)


def test_a_day_that_another_zone_skips_ends_with_what_time_had_brought_by_then() -> None:
    """The settings themselves let the time pass in which the customer cooled."""
    at = local("2026-11-10 19:00", "America/Los_Angeles")
    cooled: Any = {"recency_days": [0, 9], "window_days": 30}
    log = [rules(at - DAY, "America/Los_Angeles", **cooled)]
    log += [order(TENANT, at, "o1", closed=at, phone=f"+{ANNA}")]
    streams = agreed(*log, rules(at + 19 * HOUR, recency_days=[1, 9], window_days=30))
    rows = settled(streams)["segment_daily"].values()
    assert {(row["day"], row["segment"]) for row in rows if row["customers"]} == {
        ("2026-11-10", "312"),
        ("2026-11-11", "211"),
        ("2026-11-12", "311"),
    }


def test_a_home_number_is_nobodys_until_the_country_is_known() -> None:
    body = {"version": 1, "status": "attended", "phone": HOME, "starts_at": NOON}
    first = visit(TENANT, NOON, "v1", **body)
    later = visit(TENANT, NOON + HOUR, "v2", **body)
    streams = agreed(first, rules(NOON + MINUTE), later)
    assert streams.profile(TENANT, ANNA)["frequency"] == 1
    (row,) = settled(streams)["visits_daily"].values()
    assert (row["visits"], row["walk_ins"]) == (2, 1)
    assert truth(lines_of([first]), 1, ID_KEY).customers == {}
