"""Aliases are messengers' names of people; a phone that is learnt makes them that phone's."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.keys import alias_customer_id, customer_id
from tests.engine import ID_KEY, Row, Streams, comparable, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Record,
    card,
    heartbeat,
    lines_of,
    local,
    settings,
    trigger,
    visit,
)
from tests.people import BSUID, is_written_to, telegram, writes

TENANT, ZONE = "t1", "Asia/Almaty"
ANNA, OLGA = "77011234567", "77017654321"
CAME = local("2026-06-01 12:00", ZONE)
GREETED = [trigger("segment_entered", segments=["311", "312", "322", "000"])]
RULES = settings(TENANT, CAME - HOUR, timezone=ZONE, scoring={"monetary": [2_000_000, 1]})


def after(*records: Record, rules: Record = RULES) -> Streams:
    """The same for one record at a time as for all at once."""
    lines = lines_of([rules, *records, heartbeat(CAME + DAY)])
    streams = run(lines)
    assert comparable(run(lines, cuts=range(len(lines)))) == comparable(streams)
    return streams


def at(number: int) -> int:
    return CAME + number * MINUTE


def message(number: int, digits: str | None, name: str | None = "1") -> Record:
    return writes(TENANT, at(number), f"m{number}", digits, name)


def status(number: int, digits: str | None, name: str | None = "1") -> Record:
    return is_written_to(TENANT, at(number), f"s{number}", digits, name)


def person(number: int, id: str = "crm-1", **told: Any) -> Record:
    return card(TENANT, at(number), id, version=number, **told)


def came(number: int, **told: Any) -> Record:
    body = {"status": "attended", "amount_minor": 1_000, "version": 1, "starts_at": CAME}
    return visit(TENANT, at(number), f"v{number}", **body | told)


def of(digits: str) -> str:
    return customer_id(ID_KEY, TENANT, int(digits))


def under(name: str, kind: str = BSUID) -> str:
    return alias_customer_id(ID_KEY, TENANT, kind, f"KZ.{name}" if kind == BSUID else name)


def aliases(streams: Streams) -> dict[str, Row]:
    return {who: row["aliases"] for who, row in streams.profiles().items()}


def merges(streams: Streams) -> list[tuple[str, str, int]]:
    """Which id went into which, by the record at which position."""
    rows = streams.rows("profiles")
    return [
        (row["customer_id"], row["merged_into"], row["position"])
        for row in rows
        if row.get("merged_into")
    ]


def test_who_writes_under_an_alias_alone_is_a_customer_without_a_phone() -> None:
    streams = after(message(1, None))
    (profile,) = streams.profiles().values()
    assert profile["customer_id"] == under("1")
    assert (profile["phone"], profile["name"], profile["segment"]) == (None, None, "000")
    assert profile["aliases"] == {BSUID: "KZ.1"}


def test_a_messenger_without_phones_names_people_too() -> None:
    streams = after(telegram(TENANT, at(1), "m1", "anna"), telegram(TENANT, at(2), "m2", "anna"))
    assert aliases(streams) == {under("anna", "telegram"): {"telegram": "anna"}}


@pytest.mark.parametrize("learns", [message, status])
def test_a_phone_that_is_learnt_takes_the_customer_over(learns: Any) -> None:
    streams = after(message(1, None), learns(2, ANNA), message(3, None))
    assert merges(streams) == [(under("1"), of(ANNA), 2)]
    assert aliases(streams) == {of(ANNA): {BSUID: "KZ.1"}}
    assert streams.profile(TENANT, int(ANNA))["phone"] == f"+{ANNA}"


def test_a_profile_never_comes_after_its_tombstone() -> None:
    """The message came within the second, so that its profile was still owed."""
    soon = writes(TENANT, at(1) + SECOND // 2, "m2", ANNA, "1")
    streams = after(message(1, None), soon)
    old = [row for row in streams.rows("profiles") if row["customer_id"] == under("1")]
    (stone,) = old
    assert (stone["merged_into"], stone["forgotten"]) == (of(ANNA), False)
    assert (stone["as_of"], stone["tenant"]) == ("2026-06-01T07:01:00.500Z", TENANT)


def test_a_profile_that_falls_due_with_the_merge_comes_before_it() -> None:
    streams = after(message(1, None), writes(TENANT, at(1) + SECOND, "m2", ANNA, "1"))
    first, second = [row for row in streams.rows("profiles") if row["customer_id"] == under("1")]
    assert (first["segment"], second["merged_into"]) == ("000", of(ANNA))


def test_a_phone_beside_an_alias_makes_no_customer_of_the_alias() -> None:
    streams = after(message(1, ANNA), message(2, None))
    assert aliases(streams) == {of(ANNA): {BSUID: "KZ.1"}}
    assert merges(streams) == []


def test_a_status_without_an_alias_makes_nobody_known() -> None:
    assert after(status(1, ANNA, None), status(2, None)).profiles() == {}


def test_a_status_that_pairs_an_alias_with_a_phone_makes_the_customer_known() -> None:
    assert aliases(after(status(1, ANNA))) == {of(ANNA): {BSUID: "KZ.1"}}


def test_an_alias_moves_to_the_phone_that_it_was_told_of_last() -> None:
    for last in (message(3, OLGA), status(3, OLGA), person(3, phone=OLGA, aliases={BSUID: "KZ.1"})):
        streams = after(message(1, ANNA), message(2, OLGA, "2"), last)
        assert aliases(streams)[of(ANNA)] == {}
        assert aliases(streams)[of(OLGA)] == {BSUID: "KZ.1"}
        assert merges(streams) == []


def test_what_was_said_earlier_moves_no_alias_back() -> None:
    old = writes(TENANT, at(1), "m1", ANNA, "1")
    streams = after(old, message(2, OLGA), old | {"received_at": heartbeat(at(3))["received_at"]})
    assert aliases(streams) == {of(ANNA): {}, of(OLGA): {BSUID: "KZ.1"}}


def test_a_status_among_others_that_moves_an_alias_and_back_counts_at_its_turn() -> None:
    """Also where its pairing is the one that was known when the batch began."""
    records = [message(1, ANNA), heartbeat(at(2)), status(3, OLGA), status(4, ANNA)]
    lines = lines_of([RULES, *records, heartbeat(CAME + DAY)])
    for cuts in ([], [3], [4], range(6)):
        streams = run(lines, cuts=cuts)
        assert aliases(streams) == {of(ANNA): {BSUID: "KZ.1"}, of(OLGA): {}}


def test_cards_tell_aliases_of_every_kind() -> None:
    told = {BSUID: "KZ.1", "telegram": "anna"}
    assert aliases(after(person(1, phone=ANNA, aliases=told))) == {of(ANNA): told}


def test_the_newest_alias_of_a_kind_is_told() -> None:
    streams = after(message(1, ANNA, "1"), message(2, ANNA, "2"), message(3, ANNA, "1"))
    assert aliases(streams) == {of(ANNA): {BSUID: "KZ.2"}}


def test_an_alias_that_a_card_tells_waits_for_the_cards_phone() -> None:
    waiting = [person(1, aliases={"telegram": "anna"}), telegram(TENANT, at(2), "m1", "anna")]
    alone = under("anna", "telegram")
    assert aliases(after(*waiting)) == {alone: {"telegram": "anna"}}
    by_card = after(*waiting, person(3, phone=ANNA))
    by_visit = after(*waiting, came(3, client="crm-1", phone=f"+{ANNA}"))
    for streams in (by_card, by_visit):
        assert aliases(streams) == {of(ANNA): {"telegram": "anna"}}
        assert merges(streams) == [(alone, of(ANNA), 3)]


def test_a_client_whose_phone_changes_takes_its_aliases_along() -> None:
    first = person(1, phone=ANNA, aliases={"telegram": "anna"})
    streams = after(first, person(2, phone=OLGA))
    assert aliases(streams) == {of(ANNA): {}, of(OLGA): {"telegram": "anna"}}


def test_a_card_that_comes_again_takes_no_alias_back() -> None:
    first = person(1, phone=ANNA, aliases={BSUID: "KZ.1"})
    again = first | {"received_at": heartbeat(at(3))["received_at"]}
    streams = after(first, message(2, OLGA), again)
    assert aliases(streams) == {of(ANNA): {}, of(OLGA): {BSUID: "KZ.1"}}


def test_one_alias_at_two_tenants_is_two_people() -> None:
    other = writes("t2", at(2), "m2", OLGA, "1")
    streams = after(message(1, ANNA), settings("t2", CAME, timezone=ZONE), other)
    assert aliases(streams)[of(ANNA)] == {BSUID: "KZ.1"}
    assert aliases(streams)[customer_id(ID_KEY, "t2", int(OLGA))] == {BSUID: "KZ.1"}


def test_a_number_that_cannot_be_one_leaves_the_alias_alone() -> None:
    assert aliases(after(message(1, "123"))) == {under("1"): {BSUID: "KZ.1"}}


def test_a_command_tells_aliases() -> None:
    rules = settings(TENANT, CAME - HOUR, timezone=ZONE, triggers=GREETED)
    streams = after(message(1, ANNA), came(2, phone=f"+{ANNA}"), rules=rules)
    (command,) = streams.rows("commands")
    assert command["aliases"] == {BSUID: "KZ.1"}


def test_what_a_message_says_changes_no_score() -> None:
    streams = after(message(1, None), came(2, phone=f"+{ANNA}"), message(3, ANNA))
    (change,) = streams.rows("segments")
    assert (change["cause"], change["customer_id"]) == ("visit", of(ANNA))
