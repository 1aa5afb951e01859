"""Visits belong to clients, clients point to phones, phones are people."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.keys import customer_id
from tests.engine import ID_KEY, Streams, run
from tests.logs import (
    DAY,
    HOUR,
    Record,
    card,
    client,
    heartbeat,
    lines_of,
    local,
    message_in,
    record,
    settings,
    visit,
    wall,
    whatsapp_message,
)

TENANT, ZONE = "t1", "Asia/Almaty"
ANNA, OLGA = 77011234567, 77017654321
ANNAS, OLGAS = "+77011234567", "+77017654321"
CAME = local("2026-06-01 12:00", ZONE)
RULES = settings(TENANT, CAME - DAY, timezone=ZONE, scoring={"monetary": [2_000_000, 1]})


def came(number: int = 1, **told: Any) -> Record:
    """An attended visit of 1,000 minor units."""
    body = {"status": "attended", "amount_minor": 1_000, "version": 1, "starts_at": CAME}
    return visit(TENANT, CAME + number * HOUR, f"v{number}", **body | told)


def person(number: int, id: str = "crm-1", **told: Any) -> Record:
    """A version of a card, told at its own hour."""
    return card(TENANT, CAME + number * HOUR, id, version=number, **told)


def after(*records: Record) -> Streams:
    return run(lines_of([RULES, *records, heartbeat(CAME + DAY)]))


def money(streams: Streams) -> dict[str, int]:
    """Sum by customer, of those with any visit."""
    told = streams.profiles().items()
    return {who: row["monetary_minor"] for who, row in told if row["segment"] not in {"000", ""}}


def only(phone: int, sum_minor: int) -> dict[str, int]:
    return {customer_id(ID_KEY, TENANT, phone): sum_minor}


def test_a_visit_of_a_client_without_a_phone_is_nobodys_until_the_card_has_one() -> None:
    waiting = after(person(1), came(client="crm-1"))
    assert waiting.profiles() == {}
    assert waiting.rows("segments") == []
    assert money(after(person(1), came(client="crm-1"), person(3, phone=ANNAS))) == only(
        ANNA, 1_000
    )


def test_a_visit_may_come_before_its_clients_card() -> None:
    streams = after(came(client="crm-1"), person(2, phone=ANNAS))
    assert money(streams) == only(ANNA, 1_000)
    (change,) = streams.rows("segments")
    assert (change["from"], change["position"]) == ("000", 2)


def test_a_visit_that_names_a_phone_tells_its_clients() -> None:
    streams = after(came(1, client="crm-1"), came(2, client="crm-1", phone=ANNAS))
    assert money(streams) == only(ANNA, 2_000)


def test_the_latest_visit_that_names_a_phone_tells_it() -> None:
    first, second = came(1, client="crm-1", phone=ANNAS), came(2, client="crm-1", phone=OLGAS)
    assert money(after(first, second)) == only(OLGA, 2_000)
    assert money(after(second, first)) == only(ANNA, 2_000)


def test_a_card_is_believed_before_any_visit() -> None:
    visits = [came(2, client="crm-1", phone=OLGAS), came(3, client="crm-1", phone=OLGAS)]
    assert money(after(person(1, phone=ANNAS), *visits)) == only(ANNA, 2_000)
    assert money(after(*visits, person(4, phone=ANNAS))) == only(ANNA, 2_000)


def test_a_card_without_a_phone_leaves_what_the_visit_said() -> None:
    visits = [came(1, client="crm-1", phone=ANNAS)]
    assert money(after(*visits, person(2))) == only(ANNA, 1_000)


def test_a_newest_card_without_a_phone_leaves_its_visits_waiting() -> None:
    """Whenever it comes: the older card that has one is not believed."""
    cards = person(1, phone=ANNAS), person(3)
    for told in ([*cards, came(2, client="crm-1")], [came(2, client="crm-1"), *cards[::-1]]):
        assert money(after(*told)) == {}
    streams = after(cards[0], came(2, client="crm-1"), cards[1])
    assert money(streams) == {}
    assert [row["to"] for row in streams.of("segments", TENANT, ANNA)] == ["312", "000"]


def test_an_earlier_visit_that_comes_again_does_not_bring_its_phone_back() -> None:
    first, second = came(1, client="crm-1", phone=ANNAS), came(2, client="crm-1", phone=OLGAS)
    assert money(after(first, second, first)) == only(OLGA, 2_000)


def test_a_visit_that_tells_a_clients_new_number_moves_both_customers() -> None:
    streams = after(came(1, client="crm-1", phone=ANNAS), came(2, client="crm-1", phone=OLGAS))
    assert [row["to"] for row in streams.of("segments", TENANT, ANNA)] == ["312", "000"]
    assert [row["to"] for row in streams.of("segments", TENANT, OLGA)] == ["312"]


def test_the_newest_card_is_believed_whenever_it_comes() -> None:
    old, new = person(1, phone=ANNAS), person(2, phone=OLGAS)
    for cards in ([old, new], [new, old]):
        assert money(after(came(client="crm-1"), *cards)) == only(OLGA, 1_000)


def test_a_client_whose_number_changes_takes_the_visits_along() -> None:
    cards = person(1, phone=ANNAS), person(3, phone=OLGAS)
    streams = after(cards[0], came(2, client="crm-1"), cards[1])
    assert money(streams) == only(OLGA, 1_000)
    assert streams.profile(TENANT, ANNA)["segment"] == "000"


def test_a_family_on_one_phone_is_one_customer() -> None:
    cards = person(1, phone=ANNAS), person(2, "crm-2", phone=ANNAS)
    visits = [came(3, client="crm-1"), came(4, client="crm-2"), came(5, phone=ANNAS)]
    streams = after(*cards, *visits)
    assert money(streams) == only(ANNA, 3_000)
    assert streams.profile(TENANT, ANNA)["frequency"] == 1


def test_one_person_in_two_systems_is_one_customer() -> None:
    told: dict[str, Any] = {"date": wall(CAME, ZONE), "attendance": 1, "version": 1}
    row = record(TENANT, CAME, 9, client=5, phone=ANNAS, costs=((10, 1),), **told)
    assert money(after(row, came(phone="8 (701) 123-45-67"))) == only(ANNA, 2_000)


def test_a_walk_in_affects_nobody() -> None:
    told: dict[str, Any] = {"date": wall(CAME, ZONE), "attendance": 1, "version": 1}
    streams = after(came(), record(TENANT, CAME, 9, costs=((10, 1),), **told))
    assert streams.profiles() == {}
    assert (streams.rows("segments"), streams.rows("profiles")) == ([], [])


def test_a_phone_that_cannot_be_one_makes_a_walk_in() -> None:
    for phone in ("", "нет", "123", "+7701", "+770112345678901234", "8-800-ВАСЯ"):
        assert after(came(phone=phone)).profiles() == {}


@pytest.mark.parametrize(
    "written",
    [
        "77011234567",
        "87011234567",
        "8 701 123 45 67",
        "8(701)1234567",
        "+7 (701) 123-45-67",
        "+7-701-123-45-67",
        "7 (701) 1234567",
        " +77011234567 ",
        "+7\u00a0701\u00a0123\u00a045\u00a067",
    ],
)
def test_every_writing_of_a_phone_is_one_customer(written: str) -> None:
    assert money(after(came(1, phone=ANNAS), came(2, phone=written))) == only(ANNA, 2_000)


def test_the_profile_has_the_canonical_phone() -> None:
    profile = after(came(phone="8 701 123 45 67")).profile(TENANT, ANNA)
    assert profile["phone"] == ANNAS


def test_a_tourists_number_is_a_normal_one() -> None:
    assert money(after(came(phone="+49 1515 5500123"))) == only(4915155500123, 1_000)


def test_one_phone_at_two_tenants_is_two_customers() -> None:
    other = settings("t2", CAME - DAY, timezone=ZONE)
    told = {"status": "attended", "phone": ANNAS, "amount_minor": 7, "starts_at": CAME}
    streams = after(other, came(phone=ANNAS), visit("t2", CAME, "v1", **told))
    assert money(streams) == only(ANNA, 1_000) | {customer_id(ID_KEY, "t2", ANNA): 7}


def test_one_id_in_two_branches_or_systems_is_two_clients() -> None:
    told: dict[str, Any] = {"client": 5, "date": wall(CAME, ZONE), "attendance": 1, "version": 1}
    cards = [
        client(TENANT, CAME, 5, phone=ANNAS, version=1, company=501),
        client(TENANT, CAME, 5, phone=OLGAS, version=1, company=502),
        client(TENANT, CAME, 5, phone="+77010000001", version=1, company=501, provider="altegio"),
    ]
    records = [
        record(TENANT, CAME, 9, company=501, costs=((1, 1),), **told),
        record(TENANT, CAME, 9, company=502, costs=((2, 1),), **told),
        record(TENANT, CAME, 9, company=501, costs=((4, 1),), provider="altegio", **told),
    ]
    streams = after(*cards, *records)
    assert money(streams) == only(ANNA, 100) | only(OLGA, 200) | only(77010000001, 400)


def test_who_is_only_known_is_a_lead() -> None:
    told = {"status": "booked", "starts_at": CAME + 5 * DAY, "phone": "+77010000002"}
    streams = after(
        person(1, phone=ANNAS),
        message_in(TENANT, CAME, "m1", OLGAS),
        whatsapp_message(TENANT, CAME, "w1", "77010000001"),
        visit(TENANT, CAME, "v9", version=1, **told),
    )
    phones = (ANNA, OLGA, 77010000001, 77010000002)
    assert streams.profiles().keys() == {customer_id(ID_KEY, TENANT, each) for each in phones}
    for profile in streams.profiles().values():
        assert (profile["segment"], profile["r"], profile["recency_days"]) == ("000", None, None)
    assert streams.rows("segments") == []


def test_a_visit_that_changes_hands_counts_for_the_second() -> None:
    first = came(1, client="crm-1", phone=ANNAS)
    second = came(1, client="crm-2", phone=OLGAS, version=2)
    streams = after(first, second)
    assert money(streams) == only(OLGA, 1_000)
    assert [row["to"] for row in streams.of("segments", TENANT, ANNA)] == ["312", "000"]
