"""Settings that come after the facts: instants, days and amounts are what they would have been."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.engine import Streams, run
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
)

TENANT = "t1"
ANNA = 77011234567
AT = local("2026-06-15 12:00", "UTC")
DATE = "2026-06-15 10:00:00"
SCORING = {"window_days": 30, "monetary": [500_000, 200_000]}
FACTS = [
    client(TENANT, AT, 1, version=1, phone="+77011234567"),
    record(TENANT, AT, 77, date=DATE, attendance=1, client=1, costs=((12.345, 1),), version=1),
    record(TENANT, AT, 78, date=DATE, attendance=1, client=1, unit=2, version=1),
    payment(TENANT, AT, 5, 7.777, date=DATE, unit=2),
    payment(TENANT, AT, 6, 0.004, date=DATE, client=1),
    sale(TENANT, AT, 7, 1.5, date=DATE, client=1),
]


def rules(currency: str = "KZT", **told: Any) -> Record:
    return settings(TENANT, AT, currency=currency, **told)


def money(*log: Record) -> int:
    row = run(lines_of(list(log))).profile(TENANT, ANNA)
    return int(row["monetary_minor"])


@pytest.mark.parametrize(
    ("currency", "minor"),
    [("KZT", 1235 + 778 + 0 + 150), ("KWD", 12_345 + 7_777 + 4 + 1_500), ("JPY", 12 + 8 + 0 + 2)],
)
def test_amounts_in_major_units_follow_the_currency_whenever_it_is_told(
    currency: str, minor: int
) -> None:
    assert money(rules(currency), *FACTS) == minor
    assert money(*FACTS, rules(currency)) == minor
    assert money(*FACTS[:3], rules(currency), *FACTS[3:]) == minor
    assert money(*FACTS, rules("JPY"), rules(currency)) == minor


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_branch_in_another_zone_has_its_payments_there(order: tuple[int, ...]) -> None:
    """At 02:00 in Tokyo it is the day before in UTC, so the payment leaves a day earlier."""
    told = [
        rules(scoring=SCORING, branches={"501": {"timezone": "Asia/Tokyo"}}),
        client(TENANT, AT, 1, version=1, phone="+77011234567"),
        payment(TENANT, AT, 5, 40, date="2026-06-15 02:00:00", client=1),
    ]
    log = [told[n] for n in order]
    day = local("2026-06-14 12:00", "UTC")
    assert money(*log, heartbeat(day + 29 * DAY)) == 4000
    assert money(*log, heartbeat(day + 30 * DAY)) == 0


def test_a_tenant_in_another_zone_has_its_payments_on_its_own_days() -> None:
    """22:30 on the branch's wall clock is the same day wherever the tenant turns out to be."""
    told = [
        rules(scoring=SCORING),
        client(TENANT, AT, 1, version=1, phone="+77011234567"),
        payment(TENANT, AT, 5, 40, date="2026-06-15 22:30:00", client=1),
    ]
    for zone in ("UTC", "Asia/Almaty", "America/New_York"):
        late = [*told, rules(scoring=SCORING, timezone=zone)]
        midnight = local("2026-07-15 00:00", zone)
        assert money(*late, heartbeat(midnight - HOUR)) == 4000
        assert money(*late, heartbeat(midnight + HOUR)) == 0


def test_of_two_records_the_earlier_one_is_found_again_when_zones_change() -> None:
    """The unit's money is on the day of the record that is the earlier one."""
    facts = [
        client(TENANT, AT, 1, version=1, phone="+77011234567"),
        record(TENANT, AT, 77, date="2026-06-15 23:00:00", attendance=1, client=1, unit=2),
        record(TENANT, AT, 78, date="2026-06-16 01:00:00", attendance=1, client=1, unit=2),
        payment(TENANT, AT, 5, 40, date=DATE, unit=2),
    ]
    late = [*facts, rules(scoring=SCORING, timezone="Asia/Tokyo")]
    midnight = local("2026-07-15 00:00", "Asia/Tokyo")
    assert money(*late, heartbeat(midnight - HOUR)) == 4000
    assert money(*late, heartbeat(midnight + HOUR)) == 0


def test_new_sums_score_everybody_again_because_of_thresholds() -> None:
    log = [rules(scoring=SCORING), *FACTS]
    streams: Streams = run(lines_of([*log, rules(scoring=SCORING | {"monetary": [2000, 1000]})]))
    last = streams.of("segments", TENANT, ANNA)[-1]
    assert (last["from"], last["to"], last["cause"]) == ("311", "313", "thresholds")
