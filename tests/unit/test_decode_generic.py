"""Our own webhook format is read as it is documented, with the drift that people bring."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.batch import (
    ACCEPTED,
    ATTENDED,
    BOOKED,
    CANCELLED,
    CONFIRMED,
    DELIVERED,
    FAILED,
    NO_SHOW,
    READ,
    SENT,
)
from schemas.keys import text_key
from tests.unit.decoding import (
    GENERIC_CLIENT,
    GENERIC_MESSAGE,
    GENERIC_STATUS,
    GENERIC_VISIT,
    Json,
    decoded,
    ms,
    reasons,
    rows,
    webhook,
)

SCOPE = ("t1", "generic", "")

VISIT = {
    "record": 0,
    "scope": SCOPE,
    "id": text_key("v-1"),
    "id_text": "v-1",
    "version": 3,
    "status": ATTENDED,
    "start_ms": ms("2026-11-20T12:00:00+05:00"),
    "local_ms": None,
    "keeps_start": 0,
    "duration_ms": 3_600_000,
    "client": text_key("crm-77"),
    "phone": "+77011234567",
    "name": None,
    "money_unit": None,
    "amount": 350000,
    "amount_is_major": 0,
    "currency": "KZT",
    "branch": "b1",
    "services": "haircut",
    "staff": "Анна",
}


def visit_of(body: Json, **envelope: Json) -> dict[str, Any]:
    batch = decoded(webhook("generic", body, **envelope))
    assert batch.dead_letters == []
    (visit,) = rows(batch, batch.visits)
    return visit


def test_the_documented_visit_is_a_visit() -> None:
    assert visit_of(GENERIC_VISIT) == VISIT


@pytest.mark.parametrize(
    ("drift", "difference"),
    [
        ({"status": "booked"}, {"status": BOOKED}),
        ({"status": "confirmed"}, {"status": CONFIRMED}),
        ({"status": "no_show"}, {"status": NO_SHOW}),
        ({"status": "cancelled"}, {"status": CANCELLED}),
        ({"id": 17}, {"id": text_key("17"), "id_text": "17"}),
        ({"client": None}, {"client": None}),
        ({"client": ""}, {"client": None}),
        ({"client": 77}, {"client": text_key("77")}),
        ({"phone": None}, {"phone": None}),
        ({"phone": ""}, {"phone": None}),
        ({"phone": 77011234567}, {"phone": "77011234567"}),
        ({"branch": None}, {"branch": ""}),
        ({"amount_minor": None}, {"amount": 0}),
        ({"amount_minor": "350000"}, {}),
        ({"amount_minor": 350000.0}, {}),
        ({"currency": None}, {"currency": None}),
        ({"services": None}, {"services": ""}),
        ({"services": []}, {"services": ""}),
        ({"services": ["a", "b"]}, {"services": "a\x1fb"}),
        ({"staff": None}, {"staff": None}),
        ({"version": None}, {"version": None}),
        ({"version": ""}, {"version": None}),
        ({"version": "3"}, {}),
        ({"version": -3}, {"version": -3}),
        ({"version": "2026-11-20T12:00:00+05:00"}, {"version": ms("2026-11-20T07:00:00Z")}),
        ({"version": "2026-11-20T12:00:00"}, {"version": ms("2026-11-20T12:00:00Z")}),
        ({"ends_at": None}, {"duration_ms": None}),
        ({"ends_at": "2026-11-20T07:30:00Z"}, {"duration_ms": 1_800_000}),
        ({"ends_at": "2026-11-20T06:00:00Z"}, {"duration_ms": None}),
        ({"ends_at": "2026-11-20T13:00:00"}, {"duration_ms": None}),
        ({"starts_at": "2026-11-20T07:00:00Z"}, {}),
        ({"starts_at": "2026-11-20T07:00:00.000Z"}, {}),
        ({"starts_at": "2026-11-20T07:00:00.123456Z"}, {"start_ms": VISIT["start_ms"] + 123}),  # type: ignore[operator]
        ({"loyalty": {"points": 7}}, {}),
    ],
)
def test_a_drift_of_a_visit_changes_no_more_than_what_it_says(
    drift: Json, difference: dict[str, Any]
) -> None:
    visit = visit_of(GENERIC_VISIT | drift)
    if "starts_at" in drift:
        difference = difference | {"duration_ms": visit["duration_ms"]}
    assert visit == VISIT | difference


def test_a_time_without_a_zone_is_the_branchs_wall_clock() -> None:
    told = {"starts_at": "2026-11-20T12:00:00", "ends_at": "2026-11-20T13:30:00"}
    difference = {"start_ms": None, "local_ms": ms("2026-11-20T12:00:00")}
    assert visit_of(GENERIC_VISIT | told) == VISIT | difference | {"duration_ms": 5_400_000}


def test_the_branch_of_the_envelope_names_the_scope_and_the_bodys_the_place() -> None:
    visit = visit_of(GENERIC_VISIT, branch="north")
    assert (visit["scope"], visit["branch"]) == (("t1", "generic", "north"), "b1")
    visit = visit_of(GENERIC_VISIT | {"branch": None}, branch="north")
    assert (visit["scope"], visit["branch"]) == (("t1", "generic", "north"), "north")


def test_a_cancelled_visit_may_lack_its_time() -> None:
    visit = visit_of({"type": "visit", "id": "v-1", "status": "cancelled"})
    assert (visit["status"], visit["start_ms"], visit["local_ms"]) == (CANCELLED, None, None)


@pytest.mark.parametrize(
    ("drift", "reason", "place"),
    [
        ({"type": "order"}, "shape", "body.type"),
        ({"type": None}, "shape", "body.type"),
        ({"id": None}, "shape", "body.id"),
        ({"id": ""}, "shape", "body.id"),
        ({"status": "paid"}, "shape", "body.status"),
        ({"version": "newest"}, "shape", "body.version"),
        ({"version": 2.5}, "shape", "body.version"),
        ({"version": "9" * 25}, "shape", "body.version"),
        ({"starts_at": None}, "shape", "body.starts_at"),
        ({"starts_at": ""}, "shape", "body.starts_at"),
        ({"starts_at": 1763800000}, "time", "body.starts_at"),
        ({"starts_at": "20 November"}, "time", "body.starts_at"),
        ({"starts_at": "1989-11-20T12:00:00Z"}, "time", "body.starts_at"),
        ({"starts_at": "2100-01-01T00:00:00Z"}, "time", "body.starts_at"),
        ({"ends_at": "later"}, "time", "ends_at"),
        ({"amount_minor": 3.5}, "shape", "body.amount_minor"),
        ({"amount_minor": "much"}, "shape", "body.amount_minor"),
        ({"amount_minor": 10**18}, "shape", "body.amount_minor"),
        ({"services": "haircut"}, "shape", "body.services"),
        ({"phone": ["+77011234567"]}, "shape", "body.phone"),
    ],
)
def test_what_cannot_be_understood_is_a_dead_letter_with_its_place(
    drift: Json, reason: str, place: str
) -> None:
    batch = decoded(webhook("generic", GENERIC_VISIT | drift))
    (letter,) = batch.dead_letters
    assert letter.reason == reason
    assert place in letter.message
    assert rows(batch, batch.visits) == []


CLIENT = {
    "record": 0,
    "scope": SCOPE,
    "id": text_key("crm-77"),
    "version": 2,
    "phone": "+77011234567",
    "name": "Мария",
    "birthday": 19900228,
    "locale": "ru",
    "consent": 1,
    "sms_denied": -1,
    "deleted": 0,
    "aliases": (("whatsapp_bsuid", "KZ.123"),),
}


@pytest.mark.parametrize(
    ("drift", "difference"),
    [
        ({}, {}),
        ({"consent": {"marketing": False}}, {"consent": 0}),
        ({"consent": {"marketing": None}}, {"consent": -1}),
        ({"consent": {"utility": True}}, {"consent": -1}),
        ({"consent": None}, {"consent": -1}),
        ({"birthday": None}, {"birthday": 0}),
        ({"birthday": "spring"}, {"birthday": 0}),
        ({"name": None, "locale": ""}, {"name": None, "locale": None}),
        ({"phone": None}, {"phone": None}),
        ({"id": 77}, {"id": text_key("77")}),
        ({"aliases": None}, {"aliases": None}),
        ({"aliases": {}}, {"aliases": None}),
        ({"aliases": {"vk": 7, "": "x", "viber": None, "max": [1]}}, {"aliases": (("vk", "7"),)}),
    ],
)
def test_the_documented_client_is_a_card(drift: Json, difference: dict[str, Any]) -> None:
    batch = decoded(webhook("generic", GENERIC_CLIENT | drift))
    assert batch.dead_letters == []
    assert rows(batch, batch.clients) == [CLIENT | difference]


def test_a_visit_names_its_client_by_the_cards_id() -> None:
    batch = decoded(webhook("generic", GENERIC_VISIT), webhook("generic", GENERIC_CLIENT))
    assert batch.visits.client.tolist() == batch.clients.id.tolist()
    assert set(batch.scopes) == {SCOPE}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("accepted", ACCEPTED),
        ("sent", SENT),
        ("delivered", DELIVERED),
        ("read", READ),
        ("failed", FAILED),
    ],
)
def test_the_documented_message_status_is_one(word: str, status: int) -> None:
    batch = decoded(webhook("generic", GENERIC_STATUS | {"status": word}))
    assert rows(batch, batch.statuses) == [
        {
            "record": 0,
            "scope": SCOPE,
            "message": text_key("m-1"),
            "status": status,
            "at_ms": ms("2026-11-20T12:00:05Z"),
            "command": "c0ffee",
            "phone": "+77011234567",
            "error": 0,
            "alias": None,
            "channel": "sms",
        }
    ]


def test_the_documented_incoming_message_is_one() -> None:
    batch = decoded(webhook("generic", GENERIC_MESSAGE))
    assert rows(batch, batch.incoming) == [
        {
            "record": 0,
            "scope": SCOPE,
            "message": text_key("m-2"),
            "at_ms": ms("2026-11-20T12:01:00Z"),
            "phone": "+77011234567",
            "channel": "whatsapp",
            "kind": "text",
            "text": "СТОП",
            "alias": None,
        }
    ]


@pytest.mark.parametrize("sample", [GENERIC_STATUS, GENERIC_MESSAGE])
@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (None, "shape"),
        (5, "time"),
        ("", "time"),
        ("2026-11-20T12:01:00", "time"),
        ("1970-01-01T00:00:00Z", "time"),
    ],
)
def test_a_message_without_an_instant_is_a_dead_letter(sample: Json, at: Json, reason: str) -> None:
    batch = decoded(webhook("generic", sample | {"at": at}))
    assert reasons(batch) == [(0, reason)]
    assert len(batch.statuses.record) == len(batch.incoming.record) == 0
