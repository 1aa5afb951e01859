"""Of one phone's visits on one day thirty are the phone's; what comes after them is walk-ins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from operators import rounds
from operators.decode import decode
from operators.fold import fold
from schemas.keys import customer_id
from state.lane import LaneState
from tests.engine import ID_KEY, Streams, chunk_of, comparable, pieces, run
from tests.logs import (
    DAY,
    HOUR,
    SECOND,
    Record,
    card,
    heartbeat,
    lines_of,
    local,
    order,
    settings,
    visit,
)

TENANT, ZONE = "t1", "Asia/Almaty"
HOUSE, OTHER = "+77011234567", "+77017654321"
NOON = local("2026-06-01 12:00", ZONE)
RULES = settings(TENANT, NOON - DAY, timezone=ZONE)

Counts = Counter[tuple[str, ...]]


def came(number: int, **told: Any) -> Record:
    """An attended visit of 1,000 minor units at the house number."""
    body = {"status": "attended", "amount_minor": 1_000, "version": 1, "starts_at": NOON}
    at = NOON + HOUR + told.pop("later", number) * SECOND
    return visit(TENANT, at, f"v{number}", **{"phone": HOUSE} | body | told)


def after(*records: Record) -> Streams:
    return run(lines_of([RULES, *records, heartbeat(NOON + DAY)]))


def money(streams: Streams, phone: str = HOUSE) -> int:
    """Sum of a phone's customer; 0 for nobody."""
    profile = streams.profiles().get(customer_id(ID_KEY, TENANT, int(phone[1:])))
    return profile["monetary_minor"] if profile else 0


def crowd(count: int = 30, **told: Any) -> list[Record]:
    return [came(n, **told) for n in range(count)]


def test_the_thirty_first_visit_of_a_day_is_a_walk_in() -> None:
    assert money(after(*crowd(30))) == 30_000
    assert money(after(*crowd(31))) == 30_000
    assert money(after(*crowd(400))) == 30_000


def test_another_day_has_room_again() -> None:
    more = [came(n, starts_at=NOON - DAY) for n in range(100, 150)]
    assert money(after(*crowd(35), *more)) == 60_000


def test_other_people_are_not_concerned() -> None:
    others = [came(n, phone=OTHER) for n in range(100, 110)]
    streams = after(*crowd(35), *others)
    assert money(streams, OTHER) == 10_000


def test_a_walk_in_tells_its_card_neither_phone_nor_name() -> None:
    streams = after(*crowd(30), came(99, client="crm-9"), came(100, client="crm-9", phone=None))
    assert money(streams) == 30_000
    assert len(streams.profiles()) == 1


def test_a_walk_in_that_comes_again_or_is_corrected_stays_one() -> None:
    again = [came(35, later=100), came(35, later=101, version=2, amount_minor=7_000)]
    assert money(after(*crowd(36), *again)) == 30_000


def test_a_day_that_was_full_stays_full() -> None:
    gone = came(3, later=90, version=2, status="cancelled")
    moved = came(4, later=91, version=2, starts_at=NOON - 3 * DAY)
    assert money(after(*crowd(30), gone, moved, came(95))) == 29_000


def test_a_visit_of_the_thirty_may_be_corrected_as_often_as_it_likes() -> None:
    corrected = [came(3, later=90 + n, version=2 + n, amount_minor=n) for n in range(9)]
    assert money(after(*crowd(33), *corrected)) == 29_008


def test_a_visit_that_moves_to_a_full_day_is_a_walk_in_from_then_on() -> None:
    elsewhere = came(80, starts_at=NOON - DAY)
    moved = came(80, later=90, version=2)
    assert money(after(elsewhere, *crowd(40), moved)) == 30_000


def test_a_walk_in_that_moves_to_another_day_is_the_phones() -> None:
    moved = came(35, later=90, version=2, starts_at=NOON - DAY)
    assert money(after(*crowd(40), moved)) == 31_000


def dinner(told: int, closed: int, id: str = "late") -> Record:
    """An order of 1,000 minor units at the house number, closed then."""
    return order(TENANT, NOON + 2 * HOUR + told * SECOND, id, closed=closed, sum=10, phone=HOUSE)


def test_an_order_whose_first_closing_is_told_late_takes_its_room_on_the_earlier_day() -> None:
    late = [dinner(0, NOON + DAY), dinner(1, NOON)]
    assert money(after(*crowd(29), *late)) == 30_000
    assert money(after(*crowd(29), *late, dinner(2, NOON, "next"))) == 30_000
    assert money(after(*crowd(29), late[0], dinner(2, NOON, "next"))) == 31_000


def test_an_order_whose_first_closing_was_on_a_full_day_is_a_walk_in() -> None:
    late = [dinner(0, NOON + DAY), dinner(1, NOON)]
    assert money(after(*crowd(30), late[0])) == 31_000
    assert money(after(*crowd(30), *late)) == 30_000
    lines = lines_of([RULES, *crowd(30), *late, heartbeat(NOON + 2 * DAY)])
    assert comparable(run(lines, cuts=range(len(lines)))) == comparable(run(lines))


def test_visits_of_a_card_with_the_phone_count_as_well() -> None:
    crm = card(TENANT, NOON, "crm-1", version=1, phone=HOUSE)
    visits = [came(n, phone=None, client="crm-1") for n in range(40)]
    assert money(after(crm, *visits)) == 30_000


def test_a_walk_in_that_comes_again_is_a_duplicate_however_it_is_cut() -> None:
    lines = lines_of([RULES, *crowd(40), came(38, later=50), came(39, later=51)])
    for cuts in ([], [20], [40], range(len(lines))):
        assert folded(lines, cuts)[1]["duplicates", "generic"] == 2


def folded(lines: list[bytes], cuts: Iterable[int]) -> tuple[LaneState, Counts]:
    """The lane and all counts after the log."""
    state, counts = LaneState(0, id_key=ID_KEY), Counts()
    for start, stop in pieces(len(lines), cuts):
        for batch in decode(chunk_of(lines, start, stop), 1):
            counts.update(fold(state, batch).counts)
    return state, counts


def test_old_versions_that_change_nothing_make_no_crowd() -> None:
    """They name the house number, of visits that have come to nobody since."""
    nobodys = [came(n, phone=None, version=9) for n in range(40)]
    refused = [came(n, later=50 + n, version=1) for n in range(40)]
    lines = lines_of([RULES, *nobodys, *refused, came(99), heartbeat(NOON + DAY)])
    for cuts in ([], [41], [60], range(len(lines))):
        assert money(run(lines, cuts=cuts)) == 1_000


def test_what_is_certainly_a_walk_in_takes_no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def counted(*given: Any) -> Any:
        taken.append(given)
        return apply_round(*given)

    apply_round = rounds.apply_round  # type: ignore[attr-defined]  # as the rounds call it
    monkeypatch.setattr(rounds, "apply_round", counted)
    assert money(after(*crowd(500))) == 30_000
    assert len(taken) <= 31
