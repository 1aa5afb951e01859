"""Who has not come for a while, missed a visit, or would usually be back by now is written to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from operators.rebooks import NO_INTERVAL, usual_intervals
from tests.agenda import START, came, known, lived, rule, rules, sent, told
from tests.engine import run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    heartbeat,
    history,
    lines_of,
    local,
    record,
    stamp,
    visit,
    wall,
)
from tests.people import PHONE, WHO, ZONE

BACK = rule("winback", after_days=20, at="12:30")
CALLED = local("2026-07-05 12:30", ZONE)
AGAIN = rule("rebook", after_days=14)
MISSED = rule("no_show", after="90m")


def test_a_winback_is_due_on_its_day_at_its_time() -> None:
    streams = lived(rules(BACK), came(START, START), until=CALLED + 4 * DAY)
    assert told(streams) == [("winback", "sent", None, CALLED)]
    (command,) = streams.rows("commands")
    assert command["occasion"] == f"winback:{WHO}:2026-06-15"
    assert command["visit"] is None


def test_a_newer_visit_puts_it_off() -> None:
    newer = came(START + 5 * DAY, START + 5 * DAY, "v2")
    streams = lived(rules(BACK), came(START, START), newer, until=CALLED + 9 * DAY)
    assert sent(streams) == [("winback", CALLED + 5 * DAY)]


def test_a_visit_taken_back_brings_it_forward() -> None:
    newer = came(START + 5 * DAY, START + 5 * DAY, "v2")
    gone = came(START + 6 * DAY, START + 5 * DAY, "v2", 2, status="cancelled")
    streams = lived(rules(BACK), came(START, START), newer, gone, until=CALLED + 9 * DAY)
    assert sent(streams) == [("winback", CALLED)]


def test_a_last_day_that_was_decided_is_not_decided_again_when_it_returns() -> None:
    newer = came(CALLED + DAY, CALLED, "v2")
    gone = came(CALLED + DAY + HOUR, CALLED, "v2", 2, status="cancelled")
    streams = lived(rules(BACK), came(START, START), newer, gone, until=CALLED + 9 * DAY)
    assert sent(streams) == [("winback", CALLED)]


def test_leads_are_not_won_back() -> None:
    booked = came(START - DAY, START, status="booked")
    streams = lived(rules(BACK, AGAIN), booked, until=CALLED + 9 * DAY, step=HOUR)
    assert told(streams) == []


def test_imported_customers_are_won_back_from_now_on_only() -> None:
    past = came(START, START - 30 * DAY, "v1")
    coming = came(START, START - 10 * DAY, "v2", phone="+77017654321", client="c2")
    log = [rules(BACK), history("t1", START, past, coming)]
    streams = lived(*log, until=START + 30 * DAY, step=HOUR)
    assert [phone["phone"] for phone in streams.rows("commands")] == ["+77017654321"]
    assert len(told(streams)) == 1


def test_a_rebooking_is_due_at_the_same_time_of_day() -> None:
    streams = lived(rules(AGAIN), came(START, START), until=START + 20 * DAY)
    assert told(streams) == [("rebook", "sent", None, START + 14 * DAY)]
    assert streams.rows("commands")[0]["occasion"] == f"visit:generic::v1@{stamp(START)[:16]}Z"


@pytest.mark.parametrize(("month", "hours"), [("03-20", 14 * 24 - 1), ("10-20", 14 * 24 + 1)])
def test_a_rebooking_over_a_change_of_the_clocks_keeps_its_wall_clock(
    month: str, hours: int
) -> None:
    start = local(f"2026-{month} 14:00", "Europe/Berlin")
    told_by = rules(AGAIN, at=start - DAY, timezone="Europe/Berlin", country="DE")
    streams = lived(told_by, came(start, start), until=start + 16 * DAY, step=HOUR)
    assert sent(streams) == [("rebook", start + hours * HOUR)]


def test_a_rebooking_of_a_service_goes_by_its_last_visit() -> None:
    nails = rule("rebook", after_days=14, service="Nails")
    first = came(START, START, services=["NAILS", "tea"])
    other = came(START + 3 * DAY, START + 3 * DAY, "v2", services=["haircut"])
    streams = lived(rules(nails), first, other, until=START + 20 * DAY, step=HOUR)
    assert sent(streams) == [("rebook", START + 14 * DAY)]
    assert streams.rows("commands")[0]["visit"]["ids"] == ["v1"]


def test_a_rebooking_that_is_held_is_withdrawn_by_a_visit_since_then_and_no_earlier_one() -> None:
    nails = rule("rebook", after_days=14, service="nails")
    quiet = rules(nails, quiet_hours=["13:00", "20:00"])
    facts = came(START, START, services=["nails"]), came(START + DAY, START + DAY, "v2")
    held = START + 14 * DAY
    card = known(held + HOUR, locale="ru")
    waits = lived(quiet, *facts, card, until=held + DAY, step=HOUR)
    assert [outcome for _, outcome, _, _ in told(waits)] == ["held", "sent"]
    comes = came(held + HOUR, held + MINUTE, "v3")
    gone = lived(quiet, *facts, comes, until=held + DAY, step=HOUR)
    assert [outcome for _, outcome, _, _ in told(gone)] == ["held", "withdrawn"]


def test_a_rebooking_by_the_usual_interval_needs_three_days() -> None:
    own = rule("rebook", interval_factor=1.5)
    days = [0, 10, 24]
    log = [came(START + d * DAY, START + d * DAY, f"v{d}") for d in days]
    streams = lived(rules(own), *log[:2], until=START + 60 * DAY, step=HOUR)
    assert sent(streams) == []
    streams = lived(rules(own), *log, until=START + 60 * DAY, step=HOUR)
    assert sent(streams) == [("rebook", START + (24 + 15) * DAY)]


@pytest.mark.parametrize(("factor", "days"), [(2.2, 55), (1.1, 28), (0.04, 1), (1, 25)])
def test_a_multiple_of_the_usual_interval_is_what_it_is_by_hand(factor: float, days: int) -> None:
    log = [came(START + d * DAY, START + d * DAY, f"v{d}") for d in (0, 25, 50)]
    own = rules(rule("rebook", interval_factor=factor))
    streams = lived(own, *log, until=START + 110 * DAY, step=6 * HOUR)
    assert sent(streams)[-1] == ("rebook", START + (50 + days) * DAY)


def test_the_usual_interval_is_the_lower_median_of_days_between_visit_days() -> None:
    owner = np.array([0, 0, 0, 0, 0, 1, 1, 2], np.int32)
    day = np.array([30, 0, 10, 10, 24, 5, 9, 3], np.int32)
    assert usual_intervals(4, owner, day).tolist() == [10, NO_INTERVAL, NO_INTERVAL, NO_INTERVAL]
    assert usual_intervals(1, owner[:4] * 0, day[:4]).tolist() == [10]


def missed(at: int, version: int = 2, status: str = "no_show") -> Record:
    return visit("t1", at, "v1", status=status, phone=PHONE, starts_at=START, version=version)


def booking(at: int) -> Record:
    return missed(at, 1, "booked")


def no_show(*records: Record, until: int) -> list[tuple[str, str, str | None, int]]:
    return told(lived(rules(MISSED), *records, until=until))


def test_who_cancels_is_written_to_a_set_time_later() -> None:
    gone = missed(START - 5 * HOUR, status="cancelled")
    decided = no_show(booking(START - DAY), gone, until=START + DAY)
    assert decided == [("no_show", "sent", None, START - 5 * HOUR + 90 * MINUTE)]


def test_who_does_not_come_is_written_to_a_set_time_after_the_start_at_the_latest() -> None:
    decided = no_show(booking(START - DAY), missed(START + HOUR), until=START + DAY)
    assert decided == [("no_show", "sent", None, START + 90 * MINUTE)]
    later = START + 5 * HOUR
    decided = no_show(booking(START - DAY), missed(later), until=START + DAY)
    assert decided == [("no_show", "sent", None, later)]


def test_who_turns_out_to_have_come_is_not_written_to() -> None:
    attended = missed(START + 70 * MINUTE, version=3, status="attended")
    decided = no_show(booking(START - DAY), missed(START + HOUR), attended, until=START + DAY)
    assert decided == []


def test_a_missed_visit_is_decided_once() -> None:
    log = [booking(START - DAY), missed(START + HOUR)]
    log += [missed(START + 3 * HOUR, version=3, status="booked")]
    log += [missed(START + 4 * HOUR, version=4, status="cancelled")]
    assert len(no_show(*log, until=START + DAY)) == 1


def test_a_booking_deleted_in_the_crm_was_not_missed() -> None:
    told_of: dict[str, Any] = {"date": wall(START, ZONE), "phone": PHONE, "client": 7}
    log = [record("t1", START - DAY, 5, version=1, **told_of)]
    log += [record("t1", START - HOUR, 5, version=2, deleted=True, **told_of)]
    assert no_show(*log, until=START + DAY) == []


def test_an_outage_over_a_winback_makes_it_stale_after_its_time_to_live() -> None:
    log = [rules(BACK), came(START, START)]
    short = run(lines_of([*log, heartbeat(CALLED + 72 * HOUR - MINUTE)]))
    assert told(short) == [("winback", "sent", None, CALLED)]
    long = run(lines_of([*log, heartbeat(CALLED + 72 * HOUR)]))
    assert told(long) == [("winback", "refused", "stale", CALLED)]
