"""Bodies of the WhatsApp Cloud API give the right statuses and incoming messages."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.batch import DELIVERED, FAILED, READ, SENT
from schemas.keys import text_key
from tests.unit.decoding import (
    WHATSAPP_MESSAGE,
    WHATSAPP_STATUS,
    Json,
    decoded,
    reasons,
    rows,
    value_of,
    webhook,
    whatsapp,
)

SCOPE = ("t1", "whatsapp", "106540352242922")

HIDDEN = ("whatsapp_bsuid", "BR.1502576394655843")

STATUS = {
    "record": 0,
    "scope": SCOPE,
    "message": text_key("wamid.X"),
    "status": DELIVERED,
    "at_ms": 1710930461_000,
    "command": "c0ffee",
    "phone": "77051234567",
    "error": 0,
    "alias": None,
    "channel": "whatsapp",
}

MESSAGE = {
    "record": 0,
    "scope": SCOPE,
    "message": text_key("wamid.HBgL"),
    "at_ms": 1749416383_000,
    "phone": "16505551234",
    "channel": "whatsapp",
    "kind": "text",
    "text": "СТОП",
    "alias": None,
}


def statuses_of(*told: Json, **envelope: Json) -> list[dict[str, Any]]:
    batch = decoded(webhook("whatsapp", whatsapp(value_of(statuses=list(told))), **envelope))
    assert batch.dead_letters == []
    return rows(batch, batch.statuses)


def message_of(**drift: Json) -> dict[str, Any]:
    told = {key: value for key, value in (WHATSAPP_MESSAGE | drift).items() if value is not None}
    batch = decoded(webhook("whatsapp", whatsapp(value_of(messages=[told]))))
    assert batch.dead_letters == []
    (message,) = rows(batch, batch.incoming)
    return message


def test_the_documented_status_is_a_message_status() -> None:
    assert statuses_of(WHATSAPP_STATUS) == [STATUS]


def test_the_documented_message_is_an_incoming_message() -> None:
    assert message_of() == MESSAGE


@pytest.mark.parametrize(
    ("word", "status"),
    [("sent", SENT), ("delivered", DELIVERED), ("read", READ), ("failed", FAILED)],
)
def test_every_status_of_delivery_is_told(word: str, status: int) -> None:
    assert statuses_of(WHATSAPP_STATUS | {"status": word}) == [STATUS | {"status": status}]


@pytest.mark.parametrize(
    ("drift", "difference"),
    [
        ({"timestamp": 1710930461}, {}),
        ({"conversation": None, "pricing": []}, {}),
        ({"biz_opaque_callback_data": None}, {"command": None}),
        ({"recipient_id": None}, {"phone": None}),
        ({"recipient_id": 77051234567}, {}),
        ({"biz_opaque_callback_data": 17}, {"command": "17"}),
        ({"status": "failed", "errors": [{"code": 131026, "title": "x"}]}, {"error": 131026}),
        ({"status": "failed", "errors": [{"code": "131049"}]}, {"error": 131049}),
        ({"status": "failed", "errors": [{"title": "x"}]}, {}),
        ({"status": "failed", "errors": "x"}, {}),
        ({"status": "failed", "errors": [{"code": 10**12}]}, {}),
    ],
)
def test_a_drift_of_a_status_changes_no_more_than_what_it_says(
    drift: Json, difference: dict[str, Any]
) -> None:
    (status,) = statuses_of(WHATSAPP_STATUS | drift)
    assert status == STATUS | difference | {"status": status["status"]}


def test_a_status_without_optional_fields_is_told() -> None:
    bare = {key: WHATSAPP_STATUS[key] for key in ("id", "status", "timestamp")}
    assert statuses_of(bare) == [STATUS | {"command": None, "phone": None}]


def test_the_branch_of_the_envelope_goes_before_our_number() -> None:
    (status,) = statuses_of(WHATSAPP_STATUS, branch="b1")
    assert status["scope"] == ("t1", "whatsapp", "b1")


@pytest.mark.parametrize("metadata", [None, {}, {"phone_number_id": None}])
def test_without_any_number_of_ours_the_branch_is_empty(metadata: Json) -> None:
    value = value_of(statuses=[WHATSAPP_STATUS]) | {"metadata": metadata}
    batch = decoded(webhook("whatsapp", whatsapp(value)))
    assert batch.scopes == [("t1", "whatsapp", "")]


def test_one_body_carries_many_entries_changes_statuses_and_messages() -> None:
    other = {"metadata": {"phone_number_id": "2"}}
    body = whatsapp(
        value_of(statuses=[WHATSAPP_STATUS, WHATSAPP_STATUS | {"id": "b"}]),
        value_of(messages=[WHATSAPP_MESSAGE]),
        value_of(statuses=[WHATSAPP_STATUS | {"id": "c"}], messages=[WHATSAPP_MESSAGE]) | other,
    )
    body["entry"][0]["changes"] += body["entry"].pop()["changes"]
    batch = decoded(webhook("whatsapp", body))
    statuses = rows(batch, batch.statuses)
    assert [each["message"] for each in statuses] == [
        text_key(each) for each in ("wamid.X", "b", "c")
    ]
    assert [each["scope"][2] for each in statuses] == ["106540352242922"] * 2 + ["2"]
    assert len(rows(batch, batch.incoming)) == 2
    assert batch.counts["events", "whatsapp", "message_status"] == 3
    assert batch.counts["events", "whatsapp", "message_in"] == 2
    assert batch.dead_letters == []


@pytest.mark.parametrize("word", ["deleted", "warning", "played", ""])
def test_a_status_that_says_nothing_of_delivery_is_counted_and_skipped(word: str) -> None:
    batch = decoded(
        webhook("whatsapp", whatsapp(value_of(statuses=[WHATSAPP_STATUS | {"status": word}])))
    )
    assert batch.counts == {("records", "webhook"): 1, ("ignored", "status"): 1}


@pytest.mark.parametrize("value", [{"event": "APPROVED"}, "x", None, [], {"statuses": "x"}])
def test_a_change_of_another_field_is_counted_and_skipped(value: Json) -> None:
    body = whatsapp(value, field="message_template_status_update")
    body["entry"] += whatsapp(value_of(statuses=[WHATSAPP_STATUS]))["entry"]
    batch = decoded(webhook("whatsapp", body))
    assert batch.dead_letters == []
    assert rows(batch, batch.statuses) == [STATUS]
    assert batch.counts["ignored", "field"] == 1


@pytest.mark.parametrize(
    "body", [whatsapp(), whatsapp(value_of()), whatsapp(value_of(statuses=[], contacts=[]))]
)
def test_a_body_that_says_nothing_is_counted(body: Json) -> None:
    batch = decoded(webhook("whatsapp", body))
    assert batch.counts == {("records", "webhook"): 1, ("ignored", "empty"): 1}


@pytest.mark.parametrize(
    ("drift", "difference"),
    [
        ({"from": None}, {"phone": None}),
        ({"from": "BR.1502576394655843"}, {"phone": None, "alias": HIDDEN}),
        ({"from_user_id": "BR.1502576394655843"}, {"alias": HIDDEN}),
        ({"from": None, "from_user_id": "BR.1502576394655843"}, {"phone": None, "alias": HIDDEN}),
        ({"from_user_id": "1502576394655843"}, {}),
        ({"from_user_id": 5}, {}),
        ({"from": 16505551234}, {}),
        ({"timestamp": 1749416383}, {}),
        ({"text": None}, {"text": None}),
        ({"text": {"body": ""}}, {"text": None}),
        (
            {"type": "button", "text": None, "button": {"payload": "p", "text": "Да"}},
            {"kind": "button", "text": "Да"},
        ),
        (
            {
                "type": "interactive",
                "text": None,
                "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "A"}},
            },
            {"kind": "interactive", "text": "A"},
        ),
        (
            {
                "type": "interactive",
                "text": None,
                "interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "B"}},
            },
            {"kind": "interactive", "text": "B"},
        ),
        (
            {"type": "interactive", "text": None, "interactive": {"nfm_reply": {}}},
            {"kind": "interactive", "text": None},
        ),
        (
            {"type": "system", "text": None, "system": {"body": "x"}},
            {"kind": "system", "text": None},
        ),
        ({"type": "unsupported", "text": None}, {"kind": "unsupported", "text": None}),
        ({"type": None, "text": None}, {"kind": "unsupported", "text": None}),
        ({"type": "image", "text": None, "image": {"id": "1"}}, {"kind": "image", "text": None}),
    ],
)
def test_every_kind_of_message_is_told_by_its_kind(drift: Json, difference: dict[str, Any]) -> None:
    assert message_of(**drift) == MESSAGE | difference


@pytest.mark.parametrize(
    ("bad", "reason", "place"),
    [
        ({"status": "read"}, "shape", "statuses[1].id: missing"),
        (WHATSAPP_STATUS | {"id": None}, "shape", "statuses[1].id"),
        (WHATSAPP_STATUS | {"timestamp": "soon"}, "time", "statuses[1].timestamp"),
        (WHATSAPP_STATUS | {"timestamp": 10**25}, "time", "statuses[1].timestamp"),
        (WHATSAPP_STATUS | {"timestamp": "0"}, "time", "statuses.timestamp"),
        (WHATSAPP_STATUS | {"timestamp": "4102444800"}, "time", "statuses.timestamp"),
        (WHATSAPP_STATUS | {"timestamp": 10**17}, "time", "statuses.timestamp"),
        ("x", "shape", "statuses[1]"),
        (None, "shape", "statuses[1]"),
    ],
)
def test_one_bad_status_refuses_the_body_once_and_spares_the_others(
    bad: Json, reason: str, place: str
) -> None:
    told = [WHATSAPP_STATUS, bad, WHATSAPP_STATUS | {"id": "z", "recipient_id": 7}, bad]
    body = whatsapp(value_of(statuses=told, messages=[WHATSAPP_MESSAGE]))
    batch = decoded(webhook("whatsapp", body))
    assert [each["message"] for each in rows(batch, batch.statuses)] == [
        text_key("wamid.X"),
        text_key("z"),
    ]
    assert rows(batch, batch.incoming) == [MESSAGE]
    assert reasons(batch) == [(0, reason)]
    assert f"body.entry{'[0].changes[0]' if '[' in place else '.changes'}.value.{place}" in (
        batch.dead_letters[0].message
    )


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"entry": "x"}, "body.entry"),
        ({"object": "x"}, "body.entry: missing"),
        ({"entry": [{"changes": None}]}, "body.entry[0].changes"),
        ({"entry": [5]}, "body.entry[0]"),
        ({"entry": [{"changes": [{"value": {}}]}]}, ""),
        ({"entry": [{"changes": [{"field": "messages", "value": 5}]}]}, "changes[0]"),
        ([], "body"),
        (None, "body"),
    ],
)
def test_a_body_of_another_shape_is_a_dead_letter_with_the_place(body: Json, place: str) -> None:
    batch = decoded(webhook("whatsapp", body))
    if place:
        (letter,) = batch.dead_letters
        assert letter.reason == "shape"
        assert place in letter.message
    else:
        assert batch.counts["ignored", "field"] == 1


def test_no_message_of_a_dead_letter_tells_a_phone() -> None:
    bad = WHATSAPP_MESSAGE | {"timestamp": "16505551234x"}
    batch = decoded(webhook("whatsapp", whatsapp(value_of(messages=[bad]))))
    assert "1650" not in batch.dead_letters[0].message
