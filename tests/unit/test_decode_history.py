"""Imported history reads as generic webhooks do; a wish to be forgotten is one event."""

from __future__ import annotations

import pytest

from schemas.batch import ForgetEvent
from schemas.keys import text_key
from tests.unit.decoding import (
    FORGET,
    GENERIC_CLIENT,
    GENERIC_VISIT,
    HISTORY,
    Json,
    decoded,
    line,
    reasons,
    rows,
    webhook,
)

BAD_CLOCK = {"received_at": "yesterday"}


def test_history_says_what_generic_webhooks_would_and_is_marked() -> None:
    batch = decoded(line(**HISTORY))
    single = decoded(webhook("generic", GENERIC_VISIT), webhook("generic", GENERIC_CLIENT))
    first, second = rows(batch, batch.visits)
    assert first == rows(single, single.visits)[0]
    assert second["id"] == text_key("v-2")
    assert rows(batch, batch.clients) == [rows(single, single.clients)[0] | {"record": 0}]
    assert batch.imported.tolist() == [1]
    assert single.imported.tolist() == [0, 0]
    assert batch.counts["records", "history"] == 1
    assert len(batch.webhooks.record) == 0


def test_history_and_webhooks_stay_in_log_order() -> None:
    batch = decoded(webhook("generic", GENERIC_VISIT), line(**HISTORY), line(**HISTORY))
    batch = decoded(line(**HISTORY), webhook("generic", GENERIC_VISIT), line(**HISTORY))
    assert batch.visits.record.tolist() == [0, 0, 1, 2, 2]
    assert batch.imported.tolist() == [1, 0, 1]


def test_the_type_of_an_object_need_not_be_told() -> None:
    bare = {key: value for key, value in GENERIC_VISIT.items() if key != "type"}
    batch = decoded(line(**HISTORY | {"visits": [bare], "customers": None}))
    assert rows(batch, batch.visits)[0]["id"] == text_key("v-1")
    assert batch.dead_letters == []


@pytest.mark.parametrize(
    ("field", "bad", "place"),
    [
        ("visits", GENERIC_VISIT | {"status": "paid"}, "visits[1].status"),
        ("visits", GENERIC_VISIT | {"starts_at": None}, "visits[1].starts_at: missing"),
        ("visits", GENERIC_CLIENT, "visits[1].type"),
        ("visits", 5, "visits[1]"),
        ("customers", {"phone": "+77011234567"}, "customers[1].id: missing"),
        ("customers", GENERIC_CLIENT | {"consent": "yes"}, "customers[1].consent"),
    ],
)
def test_one_bad_object_refuses_the_record_and_spares_the_others(
    field: str, bad: Json, place: str
) -> None:
    good = {"visits": GENERIC_VISIT, "customers": GENERIC_CLIENT}[field]
    batch = decoded(line(**HISTORY | {field: [good, bad, good]}))
    (letter,) = batch.dead_letters
    assert letter.reason == "shape"
    assert letter.message.startswith(place)
    assert (len(batch.visits.record), len(batch.clients.record)) == (
        (2, 1) if field == "visits" else (2, 2)
    )


def test_a_bad_time_refuses_the_record_and_spares_the_others() -> None:
    visits = [GENERIC_VISIT, GENERIC_VISIT | {"starts_at": "1970-01-01T00:00:00Z"}]
    batch = decoded(line(**HISTORY | {"visits": visits}))
    assert reasons(batch) == [(0, "time")]
    assert (len(batch.visits.record), len(batch.clients.record)) == (1, 1)


@pytest.mark.parametrize("told", ["x", 5, {}, True])
def test_what_is_no_list_is_a_dead_letter(told: Json) -> None:
    batch = decoded(line(**HISTORY | {"visits": told}))
    assert reasons(batch) == [(0, "shape")]
    assert len(batch.clients.record) == 1


@pytest.mark.parametrize("told", [{"visits": [], "customers": []}, {"visits": None}])
def test_history_of_nothing_is_counted(told: Json) -> None:
    bare = {key: value for key, value in HISTORY.items() if key not in {"visits", "customers"}}
    batch = decoded(line(**bare | told))
    assert batch.dead_letters == []
    assert batch.counts["ignored", "empty"] == 1


def test_history_without_a_time_says_nothing() -> None:
    batch = decoded(line(**HISTORY | BAD_CLOCK))
    assert reasons(batch) == [(0, "clock")]
    assert len(batch.visits.record) == len(batch.clients.record) == 0


def test_a_wish_to_be_forgotten_is_an_event_of_its_record() -> None:
    batch = decoded(line(**HISTORY), line(**FORGET), line(**FORGET | BAD_CLOCK))
    assert batch.forgets == [ForgetEvent(1, "t1", FORGET["customer_id"])]
    assert reasons(batch) == [(2, "clock")]
