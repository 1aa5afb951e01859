"""Who is forgotten leaves totals behind, nothing that says whom they were about, and an opt-out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.keys import alias_customer_id, customer_id
from state.archive import unpack
from state.lane import LaneState
from state.snapshots import SnapshotStore
from tests.engine import ID_KEY, Row, Streams, comparable, feed, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    forget,
    heartbeat,
    history,
    lines_of,
    local,
    settings,
    trigger,
    visit,
)
from tests.people import BSUID, is_written_to, writes

TENANT, ZONE = "t1", "Asia/Almaty"
ANNA, OLGA = "77011234567", "77017654321"
CAME = local("2026-06-01 12:00", ZONE)
TRIGGERS = [trigger("reminder", before="24h"), trigger("segment_entered", segments=["312"])]
RULES = settings(
    TENANT,
    CAME - HOUR,
    timezone=ZONE,
    scoring={"monetary": [2_000_000, 1]},
    triggers=TRIGGERS,
)


def at(number: int) -> int:
    return CAME + number * MINUTE


def person(number: int, id: str = "crm-1", **told: Any) -> Record:
    return card(TENANT, at(number), id, version=number, **told)


def came(number: int, id: str = "v1", **told: Any) -> Record:
    body = {"status": "attended", "amount_minor": 1_000, "version": number, "starts_at": CAME}
    return visit(TENANT, at(number), id, **body | told)


def booked(number: int, starts_at: int, **told: Any) -> Record:
    body = {"status": "booked", "version": number, "starts_at": starts_at}
    return visit(TENANT, at(number), "v2", **body | told)


def of(digits: str) -> str:
    return customer_id(ID_KEY, TENANT, int(digits))


def forgotten(number: int, digits: str = ANNA) -> Record:
    return forget(TENANT, at(number), of(digits))


def again(told: Record, number: int) -> Record:
    return told | {"received_at": heartbeat(at(number))["received_at"]}


def log_of(*records: Record) -> list[bytes]:
    return lines_of([RULES, *records, heartbeat(CAME + DAY)])


def after(*records: Record) -> Streams:
    """The same for one record at a time as for all at once."""
    lines = log_of(*records)
    streams = run(lines)
    assert comparable(run(lines, cuts=range(len(lines)))) == comparable(streams)
    return streams


def stones(streams: Streams) -> list[Row]:
    return [row for row in streams.rows("profiles") if "forgotten" in row]


def days(streams: Streams) -> list[Row]:
    """The last row of each day of the tenant."""
    rows = [row for row in streams.rows("aggregates") if row["table"] == "visits_daily"]
    return list({row["day"]: row for row in rows}.values())


LIFE = [
    person(1, phone=ANNA, name="Мария", birthday="1990-02-28", consent={"marketing": True}),
    came(2, client="crm-1"),
    writes(TENANT, at(3), "m1", ANNA, "1"),
]


def test_the_last_word_of_a_forgotten_customer_is_a_tombstone() -> None:
    streams = after(*LIFE, forgotten(4))
    assert of(ANNA) not in streams.profiles()
    (stone,) = stones(streams)
    assert stone == {
        "tenant": TENANT,
        "customer_id": of(ANNA),
        "merged_into": None,
        "forgotten": True,
        "as_of": "2026-06-01T07:04:00Z",
        "position": 4,
    }
    (last,) = [row for row in streams.rows("profiles") if row["customer_id"] == of(ANNA)][-1:]
    assert last == stone


def test_who_is_known_to_nobody_is_counted_and_stays_unknown() -> None:
    unknown = forgotten(4, OLGA), forgotten(5, OLGA), forget("t2", at(6), of(ANNA))
    streams = after(*LIFE, *unknown, came(7, "v7", phone=OLGA))
    assert [row["customer_id"] for row in stones(streams)] == [of(OLGA), of(ANNA)]
    assert list(streams.profiles()) == [of(ANNA)]


def test_what_is_no_id_is_counted_and_nothing_else() -> None:
    assert stones(after(*LIFE, forget(TENANT, at(4), "ы"), forget(TENANT, at(5), "A" * 32))) == []


def test_a_second_wish_changes_nothing() -> None:
    assert len(stones(after(*LIFE, forgotten(4), forgotten(5)))) == 1


def test_visits_stay_in_the_totals_as_walk_ins() -> None:
    (day,) = days(after(*LIFE, came(4, "v3", phone=OLGA), forgotten(5)))
    assert (day["visits"], day["walk_ins"], day["revenue_minor"]) == (2, 1, 2_000)


def test_nobody_else_of_the_family_is_forgotten() -> None:
    streams = after(*LIFE, came(4, "v3", phone=OLGA), forgotten(5))
    assert streams.profile(TENANT, int(OLGA))["monetary_minor"] == 1_000


def test_commands_that_can_still_be_carried_out_are_withdrawn() -> None:
    soon = booked(3, CAME + DAY + 4 * MINUTE, client="crm-1", phone=ANNA)
    streams = after(*LIFE[:2], soon, heartbeat(at(5)), forgotten(6))
    sent = [row for row in streams.rows("commands") if not row["withdrawn"]]
    taken_back = [row for row in streams.rows("commands") if row["withdrawn"]]
    assert {row["trigger"] for row in sent} == {"reminder", "segment_entered"}
    assert sorted(row["command_id"] for row in sent) == sorted(
        row["command_id"] for row in taken_back
    )
    decisions = [row for row in streams.rows("decisions") if row["outcome"] == "withdrawn"]
    assert {(row["position"], row["customer_id"]) for row in decisions} == {(5, of(ANNA))}


def test_nothing_is_sent_for_a_booking_of_one_who_is_forgotten() -> None:
    later = booked(3, CAME + DAY + 4 * HOUR, client="crm-1", phone=ANNA)
    lines = lines_of([RULES, *LIFE[:1], later, forgotten(4), heartbeat(CAME + 3 * DAY)])
    assert run(lines).rows("commands") == []


def test_what_comes_again_names_nobody_again() -> None:
    for told in (LIFE[0], LIFE[1]):
        assert after(*LIFE, forgotten(4), again(told, 5)).profiles() == {}


def starts(number: int, digits: str | None = ANNA, name: str | None = None) -> Record:
    return writes(TENANT, at(number), f"m{number}", digits, name, "START")


AGAIN = [
    person(5, phone=ANNA, name="Анна", consent={"marketing": True}),
    came(5, client="crm-1", phone=ANNA),
    came(6, "v6", phone=ANNA),
    came(7, "v7", client="crm-7", phone=ANNA),
    writes(TENANT, at(8), "m8", ANNA, "8"),
    is_written_to(TENANT, at(8), "s8", ANNA, "8"),
    writes(TENANT, at(9), "m9", ANNA, None, "СТОП"),
    history(TENANT, at(10), came(10, "v10", phone=ANNA), person(10, "crm-10", phone=ANNA)),
]


def test_who_is_named_again_stays_unknown() -> None:
    by_name = writes(TENANT, at(11), "m11", None, "8")
    for told in (*((one,) for one in AGAIN), (*AGAIN, by_name)):
        streams = after(*LIFE, forgotten(4), *told)
        assert streams.profiles() == {}
        assert len(stones(streams)) == 1
        assert [row["to"] for row in streams.rows("segments")] == ["312"]


def test_visits_of_who_stays_unknown_count_and_those_without_a_card_are_walk_ins() -> None:
    streams = after(
        *LIFE,
        forgotten(4),
        came(5, "v5", phone=ANNA),
        came(6, "v6", client="crm-6", phone=ANNA),
    )
    (day,) = days(streams)
    assert (day["visits"], day["walk_ins"], day["revenue_minor"]) == (3, 2, 3_000)
    assert streams.states[0].visits.phone.max() <= 0


def test_nothing_is_sent_to_who_stays_unknown() -> None:
    later = booked(5, CAME + DAY + 4 * HOUR, client="crm-1", phone=ANNA)
    told = [RULES, person(1, phone=ANNA), forgotten(4), later, person(6, phone=ANNA)]
    streams = run(lines_of([*told, heartbeat(CAME + 3 * DAY)]))
    assert (streams.rows("commands"), streams.rows("decisions")) == ([], [])


def test_start_lets_who_was_forgotten_begin_anew_under_the_same_id() -> None:
    streams = after(*LIFE, forgotten(4), starts(5), person(6, phone=ANNA, name="Анна"))
    profile = streams.profile(TENANT, int(ANNA))
    assert (profile["name"], profile["segment"], profile["frequency"]) == ("Анна", "000", 0)
    assert (profile["birthday"], profile["aliases"]) == (None, {})
    assert profile["phone"] == f"+{ANNA}"
    assert profile["consent"]["marketing"]["source"] == "message"


def test_a_card_that_was_told_before_start_is_theirs_when_it_is_told_again() -> None:
    told = person(5, phone=ANNA, name="Анна")
    waits = came(6, "v6", client="crm-1")
    streams = after(*LIFE, forgotten(4), told, waits, starts(7))
    assert streams.profile(TENANT, int(ANNA))["name"] is None
    streams = after(*LIFE, forgotten(4), told, waits, starts(7), again(told, 8))
    profile = streams.profile(TENANT, int(ANNA))
    assert (profile["name"], profile["monetary_minor"]) == ("Анна", 1_000)


@pytest.mark.parametrize("start", [starts(4), again(starts(3), 6)])
def test_a_start_of_before_the_wish_lifts_nothing(start: Record) -> None:
    assert after(*LIFE, forgotten(4), again(start, 6)).profiles() == {}


def test_stop_and_other_words_lift_nothing() -> None:
    assert after(*LIFE, forgotten(4), writes(TENANT, at(5), "m5", ANNA, "1", "да")).profiles() == {}


def test_a_second_wish_after_start_is_heard_again() -> None:
    streams = after(*LIFE, forgotten(4), starts(5), forgotten(6), person(7, phone=ANNA))
    assert streams.profiles() == {}
    assert len(stones(streams)) == 2


def test_a_card_that_changes_to_the_phone_of_one_who_is_forgotten_is_nobodys() -> None:
    olgas = person(5, "crm-2", phone=OLGA, name="Ольга"), came(6, "v2", client="crm-2")
    now_annas = person(7, "crm-2", phone=ANNA, name="Мария")
    streams = after(*LIFE, forgotten(4), *olgas, now_annas)
    profile = streams.profile(TENANT, int(OLGA))
    assert (profile["monetary_minor"], profile["name"]) == (0, None)
    assert list(streams.profiles()) == [of(OLGA)]
    assert "Мария" not in streams.states[0].clients.name.tolist()
    back = after(*LIFE, forgotten(4), *olgas, now_annas, person(8, "crm-2", phone=OLGA, name="О"))
    assert back.profile(TENANT, int(OLGA))["monetary_minor"] == 1_000


def test_a_visit_that_names_such_a_phone_tells_no_card_of_another() -> None:
    card_of_olga = person(5, "crm-2", phone=OLGA, name="Ольга")
    streams = after(*LIFE, forgotten(4), card_of_olga, came(6, "v6", client="crm-2", phone=ANNA))
    assert streams.profile(TENANT, int(OLGA))["monetary_minor"] == 1_000


def test_who_was_merged_is_found_by_the_old_id() -> None:
    alone = alias_customer_id(ID_KEY, TENANT, BSUID, "KZ.1")
    streams = after(writes(TENANT, at(1), "m1", None, "1"), LIFE[2], forget(TENANT, at(4), alone))
    assert [(row["customer_id"], row["merged_into"]) for row in stones(streams)] == [
        (alone, of(ANNA)),
        (of(ANNA), None),
    ]
    assert streams.profiles() == {}


ALONE = alias_customer_id(ID_KEY, TENANT, BSUID, "KZ.1")


def test_who_has_no_phone_can_be_forgotten_and_stays_unknown_until_start() -> None:
    first, later = (writes(TENANT, at(number), f"m{number}", None, "1") for number in (1, 3))
    wish = forget(TENANT, at(2), ALONE)
    assert after(first, wish, later).profiles() == {}
    (profile,) = after(first, wish, starts(3, None, "1")).profiles().values()
    assert (profile["customer_id"], profile["aliases"]) == (ALONE, {BSUID: "KZ.1"})


def test_an_alias_of_one_who_is_forgotten_is_forgotten_with_them() -> None:
    told = writes(TENANT, at(5), "m5", None, "1")
    assert after(*LIFE, forgotten(4), told).profiles() == {}
    assert {*after(*LIFE, forgotten(4), starts(5), told).profiles()} == {of(ANNA), ALONE}
    both = after(*LIFE, forgotten(4), starts(5, None, "1"), writes(TENANT, at(6), "m6", ANNA, "1"))
    assert list(both.profiles()) == [of(ANNA)]


def test_who_turns_out_to_have_the_phone_of_one_who_is_forgotten_is_forgotten() -> None:
    first = writes(TENANT, at(5), "m5", None, "5")
    learnt = is_written_to(TENANT, at(6), "s6", ANNA, "5")
    streams = after(*LIFE, forgotten(4), first, learnt, writes(TENANT, at(7), "m7", None, "5"))
    assert streams.profiles() == {}
    other = alias_customer_id(ID_KEY, TENANT, BSUID, "KZ.5")
    assert [row["customer_id"] for row in stones(streams)] == [of(ANNA), other]


def test_a_phone_that_is_learnt_of_a_forgotten_name_stays_unknown() -> None:
    first, wish = writes(TENANT, at(1), "m1", None, "1"), forget(TENANT, at(2), ALONE)
    learnt = writes(TENANT, at(3), "m3", ANNA, "1")
    streams = after(first, wish, learnt, person(4, phone=ANNA))
    assert streams.profiles() == {}
    assert [row["customer_id"] for row in stones(streams)] == [ALONE, of(ANNA)]
    assert list(after(first, wish, learnt, starts(4)).profiles()) == [of(ANNA)]


def test_who_was_known_by_that_phone_has_opted_out() -> None:
    known = person(1, phone=ANNA, consent={"marketing": True})
    first, wish = writes(TENANT, at(2), "m2", None, "1"), forget(TENANT, at(3), ALONE)
    streams = after(known, first, wish, writes(TENANT, at(4), "m4", ANNA, "1"))
    profile = streams.profile(TENANT, int(ANNA))
    assert profile["aliases"] == {BSUID: "KZ.1"}
    assert profile["consent"]["marketing"] == {
        "value": False,
        "at": "2026-06-01T07:03:00Z",
        "source": "message",
    }


def test_another_phone_is_another_person_and_takes_the_name() -> None:
    streams = after(*LIFE, forgotten(4), writes(TENANT, at(5), "m5", OLGA, "1"))
    assert streams.profile(TENANT, int(OLGA))["aliases"] == {BSUID: "KZ.1"}
    assert streams.profile(TENANT, int(OLGA))["consent"] == {}


@pytest.mark.parametrize("delta", [True, False])
def test_nothing_that_is_saved_afterwards_tells_phone_or_name(tmp_path: Path, delta: bool) -> None:
    soon = booked(3, CAME + DAY + 4 * MINUTE, client="crm-1", phone=ANNA)
    records = [
        *LIFE,
        soon,
        person(4, "crm-2", phone=OLGA),
        came(4, "v3", client="crm-2", phone=ANNA),
        person(0, phone=OLGA, aliases={"telegram": "maria"}),
        is_written_to(TENANT, at(5), "s1", ANNA, "1"),
    ]
    lines = lines_of([RULES, *records, forgotten(6), *AGAIN])
    told = len(lines) - len(AGAIN) - 1
    state = LaneState(0, ID_KEY)
    feed({0: state}, lines, 0, told, Streams())
    before = tmp_path / "before"
    SnapshotStore(before.as_uri(), {}).save(state)
    assert tells(before, state) == {ANNA, "Мария", "KZ.1", "maria"}
    folder = tmp_path / "after"
    store = SnapshotStore(folder.as_uri(), {})
    feed({0: state}, lines, told, len(lines), Streams())
    store.save(state)
    if delta:
        lines += lines_of([heartbeat(at(9))])
        feed({0: state}, lines, len(lines) - 1, len(lines), Streams())
        store.save(state)
    assert tells(folder, state) == set()


def test_within_forty_snapshots_of_a_quiet_lane_no_file_of_before_is_left(tmp_path: Path) -> None:
    beats = [heartbeat(at(number)) for number in range(10, 51)]
    lines = lines_of([RULES, *LIFE, forgotten(4), *beats])
    state, store = LaneState(0, ID_KEY), SnapshotStore(tmp_path.as_uri(), {})
    begun = len(lines) - len(beats) - 1
    feed({0: state}, lines, 0, begun, Streams())
    store.save(state)
    assert tells(tmp_path, state)
    for end in range(begun, len(lines)):
        feed({0: state}, lines, end, end + 1, Streams())
        store.save(state)
    assert tells(tmp_path, state) == set()


def tells(folder: Path, like: LaneState) -> set[str]:
    """What the stored columns of the lane's files tell of Anna."""
    files = sorted(folder.rglob("*.arrows"))
    assert files
    found: set[str] = set()
    for file in files:
        fresh = LaneState(like.lane, ID_KEY)
        unpack(fresh.tables, file.read_bytes())
        for table in fresh.tables.values():
            for name, kind in table.COLUMNS.items():
                if not kind.derived:
                    found |= told_in(getattr(table, name)[: table.rows].tolist())
    return found


def told_in(column: list[Any]) -> set[str]:
    texts = [each.decode() if isinstance(each, bytes) else str(each) for each in column]
    whole = "\n".join(texts)
    return {word for word in (ANNA, "Мария", "KZ.1", "maria") if word in whole}
