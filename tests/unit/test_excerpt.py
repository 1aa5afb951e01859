"""What is excerpted of records for the archive is what decode finds, with its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.decode import decode
from operators.excerpt import Line, excerpt
from schemas.batch import Chunk
from schemas.keys import alias_customer_id, customer_id, text_key
from schemas.written import Forgotten, Written

ID_KEY = b"a secret of the tests"
SAMPLES = Path(__file__).parent / "samples"
AT = "2026-03-01T06:00:00Z"


def webhook(provider: str, body: Any, **other: Any) -> bytes:
    record = {"kind": "webhook", "tenant": "t1", "provider": provider, "received_at": AT}
    return json.dumps(record | {"body": body} | other, ensure_ascii=False).encode()


def told(value: bytes, position: int = 7) -> list[Line]:
    return excerpt(value, position, 0, 1, ID_KEY)


def messages(value: bytes) -> list[Written]:
    return [line for line in told(value) if isinstance(line, Written)]


@pytest.mark.parametrize("provider", ["whatsapp", "wazzup", "greenapi", "generic"])
def test_every_sample_gives_the_messages_that_decode_finds_in_it(provider: str) -> None:
    found = 0
    for sample in json.loads((SAMPLES / f"{provider}.json").read_text(encoding="utf-8")):
        value = webhook(provider, sample["body"])
        (batch,) = decode(Chunk(0, np.array([7]), None, [value], None), 1)
        incoming = batch.incoming
        rows = [
            (int(incoming.message[n]), incoming.text[n], int(incoming.at_ms[n]))
            for n in range(len(incoming.record))
            if incoming.channel[n] == "whatsapp" and (incoming.phone[n] or incoming.alias[n])
        ]
        kept = [
            (text_key(each.message_id), each.text, each.at_ms)
            for each in messages(value)
            if each.direction == "in"
        ]
        assert kept == rows, sample["case"]
        found += len(kept)
    assert found or provider == "generic"


def whatsapp(field: str, *said: Any, contacts: Any = ()) -> bytes:
    value = {field: [*said], "contacts": [*contacts]}
    return webhook("whatsapp", {"entry": [{"changes": [{"field": field, "value": value}]}]})


def test_who_wrote_is_told_by_a_hash_and_by_nothing_else() -> None:
    contacts = [{"wa_id": "77051234567", "profile": {"name": "Мария"}, "user_id": "KZ.123"}]
    said = {"from": "77051234567", "id": "wamid.1", "timestamp": "1749416383", "type": "text"}
    (line,) = messages(whatsapp("messages", said | {"text": {"body": "Привет"}}, contacts=contacts))
    assert line == Written(
        tenant="t1",
        provider="whatsapp",
        message_id="wamid.1",
        customer_id=customer_id(ID_KEY, "t1", 77051234567),
        alias_id=alias_customer_id(ID_KEY, "t1", "whatsapp_bsuid", "KZ.123"),
        direction="in",
        kind="text",
        text="Привет",
        at_ms=1_749_416_383_000,
        position=7,
    )


def test_who_hides_the_phone_is_told_by_the_messenger_s_name() -> None:
    said = {"from": "KZ.123", "id": "wamid.1", "timestamp": "1749416383", "type": "image"}
    (line,) = messages(whatsapp("messages", said | {"image": {"caption": "до и после"}}))
    assert line.customer_id == alias_customer_id(ID_KEY, "t1", "whatsapp_bsuid", "KZ.123")
    assert (line.alias_id, line.text) == (None, "до и после")


@pytest.mark.parametrize(
    "value",
    [
        whatsapp(
            "message_echoes",
            {"to": "77051234567", "id": "m", "timestamp": "1749416383", "type": "text",
             "text": {"body": "Ждём вас"}},
        ),
        webhook(
            "wazzup",
            {"messages": [{"messageId": "m", "dateTime": AT, "chatType": "whatsapp",
                           "chatId": "77051234567", "isEcho": True, "type": "text",
                           "text": "Ждём вас", "status": "sent"}]},
        ),
        webhook(
            "greenapi",
            {"typeWebhook": "outgoingAPIMessageReceived", "idMessage": "m",
             "timestamp": 1749416383, "senderData": {"chatId": "77051234567@c.us"},
             "messageData": {"typeMessage": "textMessage",
                             "textMessageData": {"textMessage": "Ждём вас"}}},
        ),
    ],
)  # fmt: skip
def test_what_the_business_wrote_is_kept_of_the_customer_it_was_for(value: bytes) -> None:
    (line,) = messages(value)
    assert line.customer_id == customer_id(ID_KEY, "t1", 77051234567)
    assert (line.direction, line.text) == ("out", "Ждём вас")


def test_one_message_that_cannot_be_read_leaves_the_others() -> None:
    good = {"from": "77051234567", "id": "m", "timestamp": "1749416383", "type": "text"}
    found = messages(whatsapp("messages", 3, {"id": 5}, good | {"timestamp": "soon"}, good))
    assert [(each.message_id, each.text) for each in found] == [("m", None)]


def test_only_an_opt_in_of_the_customer_is_one() -> None:
    body = {"type": "message_in", "message_id": "m", "phone": "+77051234567", "at": AT}
    said = [messages(webhook("generic", body | {"channel": "whatsapp", "text": text})) for text in
            ("START", "STOP", "start of what")]  # fmt: skip
    assert [each[0].is_opt_in for each in said] == [True, False, False]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b'{"messages"',
        b'["messages"]',
        webhook("generic", {"type": "message_in", "message_id": "m", "at": AT, "text": "?",
                            "channel": "whatsapp", "phone": "8 701 123-45-67"}),
        webhook("generic", {"type": "message_in", "message_id": "m", "at": AT, "text": "?",
                            "channel": "sms", "phone": "+77051234567"}),
        webhook("wazzup", {"messages": [{"messageId": "m", "dateTime": AT, "text": "?",
                                         "chatType": "telegram", "chatId": "77051234567"}]}),
        webhook("greenapi", {"typeWebhook": "incomingMessageReceived", "idMessage": "m",
                             "timestamp": 1, "senderData": {"chatId": "12036304@g.us"}}),
        webhook("nobody", {"messages": []}),
        webhook("whatsapp", {"messages": "text", "entry": {"changes": 3}}),
    ],
)  # fmt: skip
def test_nothing_is_kept_of(value: bytes) -> None:
    assert told(value) == []


def test_a_wish_to_be_forgotten_is_told_with_its_position() -> None:
    wish = {"kind": "forget", "tenant": "t1", "received_at": AT, "customer_id": "ab"}
    value = json.dumps(wish).replace('": "forget"', '":"forget"').encode()
    assert told(value) == [Forgotten(tenant="t1", customer_id="ab", position=7)]
    assert told(json.dumps(wish).encode()) == told(value)


def test_a_record_in_another_tenant_s_lane_is_nobody_s() -> None:
    wish = {"kind": "forget", "tenant": "t1", "received_at": AT, "customer_id": "ab"}
    lanes = [excerpt(json.dumps(wish).encode(), 7, lane, 4, ID_KEY) for lane in range(4)]
    assert sorted(map(len, lanes)) == [0, 0, 0, 1]
