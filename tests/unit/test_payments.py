"""What a visit is worth when it is paid, and what is paid without a visit."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.engine import Row, Streams, run
from tests.logs import (
    DAY,
    HOUR,
    Record,
    client,
    heartbeat,
    lines_of,
    local,
    payment,
    record,
    sale,
    settings,
    visit,
    wall,
)

TENANT, ZONE = "t1", "Asia/Almaty"
ANNA, OLGA = 77011234567, 77017654321
NOW = local("2026-06-15 12:00", ZONE)
SCORING = {"window_days": 30, "monetary": [500_000, 200_000]}
UNIT = 900_077


def begin(**told: Any) -> list[Record]:
    """Settings and the cards of two people."""
    at = NOW - 40 * DAY
    return [
        settings(TENANT, at, timezone=ZONE, scoring=SCORING, **told),
        client(TENANT, at, 1, version=1, phone="+77011234567"),
        client(TENANT, at, 2, version=1, phone="+77017654321"),
    ]


def came(at: int = NOW, id: int = 77, **told: Any) -> Record:
    """A record of 1,500 tenge that was attended two hours before."""
    start = told.pop("start", at - 2 * HOUR)
    told = {"attendance": 1, "client": 1, "costs": ((1500, 1),), "unit": UNIT, **told}
    return record(TENANT, at, id, date=wall(start, ZONE), **told)


def paid(amount: float, id: int = 5, at: int = NOW, **told: Any) -> Record:
    """A payment for the visit, now."""
    day = told.pop("day", at)
    return payment(TENANT, at, id, amount, date=wall(day, ZONE), **{"unit": UNIT, **told})


def alone(amount: float, id: int = 5, at: int = NOW, **told: Any) -> Record:
    """A payment that names no visit."""
    return paid(amount, id, at, **{"unit": None, "client": 1, **told})


def sold(cost: float, id: int = 9, at: int = NOW, **told: Any) -> Record:
    """A sale of goods."""
    return sale(TENANT, at, id, cost, date=wall(at, ZONE), **{"client": 1, **told})


def rfm(streams: Streams, phone: int = ANNA) -> tuple[int, int, str]:
    row = streams.profile(TENANT, phone)
    return row["frequency"], row["monetary_minor"], row["segment"]


def told(*records: Record, **rules: Any) -> Streams:
    return run(lines_of([*begin(**rules), *records]))


def money(*records: Record, phone: int = ANNA) -> int:
    """M in tenge, however the records come."""
    return rfm(told(*records), phone)[1] // 100


def changes(streams: Streams, phone: int = ANNA) -> list[tuple[str, str, str]]:
    rows: list[Row] = streams.of("segments", TENANT, phone)
    return [(row["from"], row["to"], row["cause"]) for row in rows]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_paid_visit_is_worth_its_payments_in_whatever_order_they_come(
    order: tuple[int, ...],
) -> None:
    records = [came(), paid(4000), paid(2500.5, id=6)]
    assert rfm(told(*[records[n] for n in order])) == (1, 650_050, "313")


def test_a_visit_without_a_payment_is_worth_its_services() -> None:
    assert rfm(told(came())) == (1, 150_000, "311")
    assert money(came(), paid(4000, unit=4711)) == 1500


def test_a_refund_lowers_what_was_paid_but_never_below_zero() -> None:
    assert money(came(), paid(4000), paid(-1000, id=6)) == 3000
    assert money(came(), paid(4000), paid(-5000, id=6)) == 0
    assert money(came(), paid(-5000, id=6)) == 0
    assert rfm(told(came(), paid(-5000)))[0] == 1


def test_a_visit_that_was_not_attended_has_nothing_whatever_was_paid() -> None:
    assert rfm(told(came(attendance=2), paid(4000))) == (0, 0, "000")
    assert money(paid(4000), came(attendance=-1)) == 0


def test_a_payment_that_is_deleted_gives_the_visit_its_price_back() -> None:
    records = [came(), paid(4000, version=1), paid(0, version=2, deleted=True)]
    assert money(*records) == 1500
    assert money(*records, paid(4000, version=1)) == 1500
    assert money(records[0], records[2], records[1]) == 1500


def test_a_newer_version_replaces_and_an_older_one_does_not() -> None:
    assert money(came(), paid(4000, version=1), paid(3000, version=2)) == 3000
    assert money(came(), paid(3000, version=2), paid(4000, version=1)) == 3000
    assert money(came(), paid(3000, version=2), paid(4000)) == 4000
    again = told(came(), paid(3000, version=2), paid(3000, version=2), paid(3000))
    assert rfm(again)[1] == 300_000


def test_a_payment_that_moves_to_another_visit_leaves_the_first_its_price() -> None:
    other = came(id=78, unit=500, start=NOW - DAY, costs=((700, 1),))
    assert money(came(), other, paid(4000, version=1)) == 4700
    assert money(came(), other, paid(4000, version=1), paid(4000, version=2, unit=500)) == 5500


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_two_records_in_one_visit_the_earlier_attended_one_has_the_money(
    order: tuple[int, ...],
) -> None:
    first = came(start=NOW - 2 * DAY - 3 * HOUR)
    second = came(id=78, start=NOW - 2 * DAY - HOUR, client=2, costs=((900, 1),))
    records = [first, second, paid(4000)]
    streams = told(*[records[n] for n in order])
    assert (rfm(streams)[:2], rfm(streams, OLGA)[:2]) == ((1, 400_000), (1, 0))


def test_the_money_goes_to_the_other_record_when_the_holder_is_taken_back() -> None:
    first = came(start=NOW - 2 * DAY - 3 * HOUR, version=1)
    second = came(id=78, start=NOW - 2 * DAY - HOUR, client=2, costs=((900, 1),))
    gone = came(start=NOW - 2 * DAY - 3 * HOUR, version=2, attendance=-1)
    streams = told(first, second, paid(4000), gone)
    assert (rfm(streams), rfm(streams, OLGA)) == ((0, 0, "000"), (1, 400_000, "312"))
    assert changes(streams, OLGA) == [
        ("000", "311", "visit"),
        ("311", "312", "correction"),
    ]
    later = came(start=NOW - DAY, version=2)
    streams = told(first, second, paid(4000), later)
    assert (rfm(streams)[1], rfm(streams, OLGA)[1]) == (0, 400_000)


def test_a_visit_that_moves_to_another_money_unit_takes_its_price_along() -> None:
    records = [came(version=1), paid(4000), came(version=2, unit=4711)]
    assert money(*records) == 1500
    assert money(*records, paid(800, id=6, unit=4711)) == 800
    assert money(paid(800, id=6, unit=4711), *records) == 800


def test_a_payment_changes_money_as_a_correction() -> None:
    assert changes(told(came(), paid(4000))) == [
        ("000", "311", "visit"),
        ("311", "312", "correction"),
    ]
    assert changes(told(paid(4000), came())) == [("000", "312", "visit")]


def test_a_payment_without_a_visit_counts_in_money_alone_and_on_its_own_day() -> None:
    streams = told(came(), alone(4000, day=NOW - 5 * DAY))
    assert rfm(streams) == (1, 550_000, "313")
    assert changes(streams)[-1] == ("311", "313", "correction")
    late = [came(), alone(4000, day=NOW - 5 * DAY), heartbeat(NOW + 25 * DAY)]
    assert rfm(told(*late)) == (1, 150_000, "311")
    assert changes(told(*late))[-1] == ("313", "311", "time")
    assert rfm(told(*late[:2], heartbeat(NOW + 24 * DAY)))[1] == 550_000


def test_who_pays_and_never_comes_is_a_lead() -> None:
    streams = told(alone(4000))
    assert rfm(streams) == (0, 400_000, "000")
    assert streams.profile(TENANT, ANNA)["last_visit_at"] is None
    assert changes(streams) == []
    assert rfm(told(alone(4000), heartbeat(NOW + 30 * DAY)))[1] == 0


def test_a_payment_waits_under_its_card_until_the_phone_is_known() -> None:
    waits = alone(4000, client=3)
    assert len(told(waits).profiles()) == 2
    card = client(TENANT, NOW, 3, version=1, phone="+77011234567")
    assert money(came(), waits, card) == 5500
    moved = client(TENANT, NOW, 3, version=2, phone="+77017654321")
    assert money(came(), waits, card, moved) == 1500
    assert money(came(), waits, card, moved, phone=OLGA) == 4000


def test_a_payment_of_nobody_is_nobody_s() -> None:
    streams = told(came(), alone(4000, client=None))
    assert rfm(streams)[1] == 150_000


def test_goods_count_their_price_once() -> None:
    assert money(came(), sold(700)) == 2200
    assert money(came(), sold(700), alone(600, sale=9)) == 2100
    assert money(came(), alone(600, sale=9), sold(700)) == 2100
    assert money(came(), sold(700, unit=UNIT)) == 2200
    assert money(came(), sold(700, unit=UNIT), paid(2000)) == 2000
    assert money(came(), paid(2000), sold(700, unit=UNIT)) == 2000
    taken_back = paid(0, version=2, deleted=True)
    assert money(came(), paid(2000, version=1), sold(700, unit=UNIT), taken_back) == 2200
    refused = alone(0, sale=9, version=2, deleted=True)
    assert money(came(), alone(600, sale=9, version=1), sold(700), refused) == 2200


def test_goods_and_payments_of_the_same_number_are_two_things() -> None:
    assert money(sold(700, id=5), alone(400, id=5)) == 1100


def test_an_amount_in_another_currency_counts_in_visits_only() -> None:
    at = {"starts_at": NOW - HOUR, "phone": "+77011234567", "status": "attended", "version": 1}
    streams = told(
        visit(TENANT, NOW, "v1", amount_minor=90_000, currency="USD", **at),
        visit(TENANT, NOW, "v2", amount_minor=40_000, currency="KZT", **at),
    )
    assert rfm(streams) == (1, 40_000, "311")


def test_a_payment_older_than_the_window_changes_nothing() -> None:
    assert money(came(), alone(4000, day=NOW - 30 * DAY)) == 1500
    assert money(came(), paid(4000, day=NOW - 30 * DAY)) == 1500
    assert money(came(), paid(4000, day=NOW - 29 * DAY)) == 4000


def test_what_is_paid_in_advance_counts_as_long_as_its_visit() -> None:
    early = paid(4000, at=NOW - 20 * DAY)
    end = NOW + 29 * DAY
    assert money(early, came(), heartbeat(end)) == 4000
    assert money(early, came(), heartbeat(end + DAY)) == 0
