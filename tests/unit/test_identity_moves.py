"""Clients that change their phones take along what happened, and what has been decided of it."""

from __future__ import annotations

from typing import Any

from schemas.keys import customer_id
from tests.engine import ID_KEY, Streams, comparable, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    heartbeat,
    lines_of,
    local,
    settings,
    trigger,
    visit,
)

TENANT, ZONE = "t1", "Asia/Almaty"
ANNA, OLGA, VERA = "+77011234567", "+77017654321", "+77010000001"
CAME = local("2026-06-01 12:00", ZONE)
RULES = settings(
    TENANT,
    CAME - HOUR,
    timezone=ZONE,
    scoring={"monetary": [2_000_000, 1]},
    triggers=[trigger("segment_entered", segments=["312", "322"])],
)


def after(*records: Record) -> Streams:
    """The same for one record at a time as for all at once."""
    lines = lines_of([RULES, *records, heartbeat(CAME + DAY)])
    streams = run(lines)
    assert comparable(run(lines, cuts=range(len(lines)))) == comparable(streams)
    return streams


def person(number: int, id: str = "crm-1", **told: Any) -> Record:
    return card(TENANT, CAME + number * MINUTE, id, version=number, **told)


def came(number: int, **told: Any) -> Record:
    body = {"status": "attended", "amount_minor": 10**number, "version": 1, "starts_at": CAME}
    return visit(TENANT, CAME + number * MINUTE, f"v{number}", **body | told)


def of(phone: str) -> str:
    return customer_id(ID_KEY, TENANT, int(phone))


def money(streams: Streams) -> dict[str, int]:
    told = streams.profiles().items()
    return {who: row["monetary_minor"] for who, row in told if row["segment"] != "000"}


def greeted(streams: Streams) -> list[tuple[str, int]]:
    return [(row["customer_id"], row["position"]) for row in streams.rows("decisions")]


def causes(streams: Streams) -> list[tuple[str, str, str, str]]:
    return [
        (row["customer_id"], row["from"], row["to"], row["cause"])
        for row in streams.rows("segments")
    ]


def test_a_move_is_told_as_a_merge_and_greets_nobody_again() -> None:
    streams = after(person(1, phone=ANNA), came(2, client="crm-1"), person(3, phone=OLGA))
    assert causes(streams)[:1] == [(of(ANNA), "000", "312", "visit")]
    assert sorted(causes(streams)[1:]) == sorted(
        [(of(ANNA), "312", "000", "merge"), (of(OLGA), "000", "312", "merge")]
    )
    assert greeted(streams) == [(of(ANNA), 2)]


def test_the_first_phone_of_a_client_greets() -> None:
    streams = after(person(1), came(2, client="crm-1"), person(3, phone=ANNA))
    assert causes(streams) == [(of(ANNA), "000", "312", "merge")]
    assert greeted(streams) == [(of(ANNA), 3)]


def test_a_phone_that_is_lost_and_found_again_greets_once() -> None:
    streams = after(
        person(1, phone=ANNA), came(2, client="crm-1"), person(3), person(4, phone=ANNA)
    )
    assert [to for _, _, to, _ in causes(streams)] == ["312", "000", "312"]
    assert greeted(streams) == [(of(ANNA), 2)]


def test_a_visit_that_brings_a_new_phone_greets_nobody_again() -> None:
    streams = after(came(1, client="crm-1", phone=ANNA), came(2, client="crm-1", phone=OLGA))
    assert money(streams) == {of(OLGA): 110}
    assert greeted(streams) == [(of(ANNA), 1)]


def test_a_later_visit_of_one_who_has_moved_greets() -> None:
    next_day = came(4, client="crm-1", starts_at=CAME - DAY)
    another = came(5, client="crm-1", starts_at=CAME - 2 * DAY)
    streams = after(
        person(1, phone=ANNA), came(2, client="crm-1"), person(3, phone=OLGA), next_day, another
    )
    assert money(streams) == {of(OLGA): 110_100}
    assert greeted(streams) == [(of(ANNA), 2), (of(OLGA), 4)]
    assert streams.profiles()[of(OLGA)]["frequency"] == 3


def test_a_client_that_changes_its_phone_twice_has_the_last_one() -> None:
    cards = [person(1, phone=ANNA), person(3, phone=OLGA), person(4, phone=VERA)]
    streams = after(cards[0], came(2, client="crm-1"), *cards[1:])
    assert money(streams) == {of(VERA): 100}
    assert streams.profiles()[of(ANNA)]["segment"] == "000"
    assert streams.profiles()[of(OLGA)]["segment"] == "000"
    assert money(after(*cards[::-1], came(2, client="crm-1"))) == {of(VERA): 100}


def test_two_clients_may_swap_their_phones() -> None:
    streams = after(
        person(1, "crm-1", phone=ANNA),
        person(1, "crm-2", phone=OLGA),
        came(2, client="crm-1"),
        came(3, client="crm-2"),
        person(4, "crm-1", phone=OLGA),
        person(4, "crm-2", phone=ANNA),
    )
    assert money(streams) == {of(ANNA): 1_000, of(OLGA): 100}
    assert greeted(streams) == [(of(ANNA), 3), (of(OLGA), 4)]


def test_one_of_a_family_leaves_with_its_own_visits() -> None:
    streams = after(
        person(1, "crm-1", phone=ANNA),
        person(1, "crm-2", phone=ANNA),
        came(2, client="crm-1"),
        came(3, client="crm-2"),
        came(4, phone=ANNA),
        person(5, "crm-2", phone=OLGA),
    )
    assert money(streams) == {of(ANNA): 10_100, of(OLGA): 1_000}
    assert greeted(streams) == [(of(ANNA), 3)]


def test_moves_change_no_total() -> None:
    records = [
        person(1, "crm-1", phone=ANNA),
        came(2, client="crm-1"),
        came(3, client="crm-2", phone=OLGA),
        person(4, "crm-1", phone=OLGA),
        person(5, "crm-2", phone=VERA),
        person(6, "crm-1", phone=VERA),
    ]
    for end in range(3, len(records) + 1):
        assert sum(money(after(*records[:end])).values()) == 1_100
