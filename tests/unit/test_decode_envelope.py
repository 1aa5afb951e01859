"""Records of every kind reach their lane with their time, and bad ones the dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from operators.decode import decode, decode_only
from schemas.batch import ACCEPTED, FAILED, NONE, Batch, Chunk
from schemas.keys import lane_of, text_key
from schemas.record import SIZE_LIMIT
from tests.unit.decoding import (
    GENERIC_VISIT,
    RECEIPT,
    RECEIVED_AT,
    SAMPLES,
    SETTINGS,
    YCLIENTS_RECORD,
    Json,
    chunk_of,
    decoded,
    line,
    ms,
    reasons,
    rows,
    webhook,
)

GOOD = webhook("yclients", YCLIENTS_RECORD)


def kafka(
    lines: Sequence[bytes], keys: list[bytes | None] | None = None, lane: int = 0, lanes: int = 1
) -> list[Batch]:
    """Records of one partition, a second apart, whose positions have holes."""
    count = len(lines)
    positions = 7 + 2 * np.arange(count, dtype=np.int64)
    appended = ms("2026-11-22T10:00:01Z") + 1000 * np.arange(count, dtype=np.int64)
    return decode(Chunk(lane, positions, appended, list(lines), keys), lanes)


def test_a_chunk_without_records_has_no_batch() -> None:
    assert decode(chunk_of([]), 16) == []
    assert kafka([]) == []


def test_every_sample_is_read() -> None:
    batch = decoded(*SAMPLES)
    assert batch.dead_letters == []
    assert batch.positions.tolist() == list(range(len(SAMPLES)))
    assert batch.appended_ms.tolist() == [ms(RECEIVED_AT)] * len(SAMPLES)
    assert decode_only(list(SAMPLES)) == len(SAMPLES)
    kinds = {key[1]: count for key, count in batch.counts.items() if key[0] == "records"}
    assert kinds == {
        "webhook": 12,
        "receipt": 1,
        "settings": 1,
        "history": 1,
        "forget": 1,
        "heartbeat": 1,
    }
    assert not [key for key in batch.counts if key[0] == "ignored"]


def test_a_file_is_sorted_into_the_lanes_of_its_tenants() -> None:
    tenants = [f"t{n % 40}" for n in range(200)]
    lines = [webhook("generic", GENERIC_VISIT, tenant=tenant) for tenant in tenants]
    batches = decode(chunk_of(lines, start=1000), 16)
    lanes = [batch.lane for batch in batches]
    assert lanes == sorted({lane_of(tenant, 16) for tenant in tenants})
    for batch in batches:
        here = [n for n, tenant in enumerate(tenants) if lane_of(tenant, 16) == batch.lane]
        assert batch.positions.tolist() == [1000 + n for n in here]
        visits = rows(batch, batch.visits)
        assert [visit["record"] for visit in visits] == [1000 + n for n in here]
        assert [visit["scope"][0] for visit in visits] == [tenants[n] for n in here]
        assert {scope.tenant for scope in batch.scopes} == {tenants[n] for n in here}


def test_events_of_several_providers_are_in_log_order() -> None:
    lines = [
        webhook(("generic", "yclients")[n % 2], (GENERIC_VISIT, YCLIENTS_RECORD)[n % 2])
        for n in range(7)
    ]
    batch = decoded(*lines)
    assert [visit["record"] for visit in rows(batch, batch.visits)] == list(range(7))
    assert [visit["scope"][1] for visit in rows(batch, batch.visits)] == (
        ["generic", "yclients"] * 4
    )[:7]


def test_a_heartbeat_of_a_file_reaches_every_lane_and_is_counted_once() -> None:
    beat = line(kind="heartbeat", received_at=RECEIVED_AT)
    batches = decode(chunk_of([GOOD, beat, GOOD]), 16)
    assert [batch.lane for batch in batches] == list(range(16))
    home = lane_of("t1", 16)
    for batch in batches:
        assert batch.positions.tolist() == ([0, 1, 2] if batch.lane == home else [1])
        assert batch.appended_ms.tolist() == [ms(RECEIVED_AT)] * len(batch.positions)
    assert sum(batch.counts["records", "heartbeat"] for batch in batches) == 1


def test_a_heartbeat_without_a_time_is_one_dead_letter() -> None:
    batches = decode(chunk_of([line(kind="heartbeat", received_at="noon")]), 16)
    assert [(batch.lane, reasons(batch)) for batch in batches] == [(0, [(0, "clock")])]


def test_the_append_time_of_an_exported_file_goes_before_the_time_of_receipt() -> None:
    batch = decoded(
        webhook("yclients", YCLIENTS_RECORD, appended_at="2026-11-22T10:00:05Z"),
        webhook("yclients", YCLIENTS_RECORD, appended_at=None),
        GOOD,
    )
    later, same = ms("2026-11-22T10:00:05Z"), ms(RECEIVED_AT)
    assert batch.appended_ms.tolist() == [later, same, same]


def test_in_kafka_the_log_tells_the_time_and_the_lane() -> None:
    exported = webhook("yclients", YCLIENTS_RECORD, appended_at="2020-01-01T00:00:00Z")
    beat = line(kind="heartbeat", received_at=RECEIVED_AT)
    (batch,) = kafka([GOOD, exported, beat], lane=lane_of("t1", 16), lanes=16)
    first = ms("2026-11-22T10:00:01Z")
    assert batch.lane == lane_of("t1", 16)
    assert batch.appended_ms.tolist() == [first, first + 1000, first + 2000]
    assert batch.positions.tolist() == [7, 9, 11]
    assert [visit["record"] for visit in rows(batch, batch.visits)] == [7, 9]
    assert batch.dead_letters == []


def test_a_tenant_in_another_tenants_lane_is_a_dead_letter() -> None:
    here = lane_of("t1", 16)
    away = next(f"t{n}" for n in range(99) if lane_of(f"t{n}", 16) != here)
    lines = [
        GOOD,
        webhook("generic", GENERIC_VISIT, tenant=away),
        line(**RECEIPT | {"tenant": away}),
    ]
    (batch,) = kafka(lines, lane=here, lanes=16)
    assert reasons(batch) == [(9, "tenant"), (11, "tenant")]
    assert {scope.tenant for scope in batch.scopes} == {"t1"}
    assert batch.counts["records", "webhook"] == 2
    assert batch.counts["records", "receipt"] == 1
    assert batch.webhooks.record.tolist() == [0]  # the other lane has the other tenant's


def test_every_webhook_has_a_row_whatever_becomes_of_it() -> None:
    lines = [
        GOOD,
        line(**RECEIPT),
        webhook("yclients", {"resource": "salon"}),
        webhook("generic", {"type": "visit"}, branch="b1"),
        webhook("bitrix", {}, tenant="t2"),
        broken(received_at="yesterday"),
        b'{"kind":"webhook","tenant":"t1"}',
        webhook("yclients", YCLIENTS_RECORD, branch="7"),
    ]
    batch = decoded(*lines)
    assert rows(batch, batch.webhooks) == [
        {"record": 0, "scope": ("t1", "yclients", ""), "dead": 0},
        {"record": 2, "scope": ("t1", "yclients", ""), "dead": 0},
        {"record": 3, "scope": ("t1", "generic", ""), "dead": 1},
        {"record": 4, "scope": ("t2", "bitrix", ""), "dead": 1},
        {"record": 5, "scope": ("t1", "yclients", ""), "dead": 1},
        {"record": 7, "scope": ("t1", "yclients", ""), "dead": 0},
    ]
    assert batch.counts["records", "webhook"] == 6


@pytest.mark.parametrize("key", [b"t2", b"", None])
def test_a_record_under_another_key_than_its_tenant_is_a_dead_letter(key: bytes | None) -> None:
    (batch,) = kafka([GOOD, GOOD], keys=[b"t1", key])
    assert reasons(batch) == [(9, "tenant")]
    assert batch.dead_letters[0].key == key
    assert len(batch.visits.record) == 1


def test_a_heartbeat_needs_no_key() -> None:
    (batch,) = kafka([line(kind="heartbeat", received_at=RECEIVED_AT)], keys=[None])
    assert batch.dead_letters == []


def broken(without: str = "", **drift: Json) -> bytes:
    told = {"kind": "webhook", "tenant": "t1", "provider": "yclients", "received_at": RECEIVED_AT}
    told |= {"body": YCLIENTS_RECORD} | drift
    told.pop(without, None)
    return line(**told)


NOT_JSON = [
    b"",
    b" ",
    b"\n",
    b"\x00",
    b"\x00" * 100,
    b"{",
    b"nonsense",
    GOOD[:-1],
    GOOD[: len(GOOD) // 2],
    GOOD[1:],
    GOOD + b"x",
    GOOD + GOOD,
    GOOD.replace(b"t1", b"\xff\xfe"),
    GOOD.replace(b"t1", b"t\x001"),
    GOOD.replace(b"t1", b"\\ud800"),
    GOOD.replace(b"t1", b"\xed\xa0\x80"),
    GOOD.replace("Мария".encode(), b"\xff"),
    GOOD.replace("Мария".encode(), b"\\ud83d"),
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    GOOD.replace(
        b'"goods_transactions": []', b'"goods_transactions": ' + b"[" * 9999 + b"]" * 9999
    ),
    broken(body="<html>502</html>"),
    broken(body="", provider="whatsapp"),
]


@pytest.mark.parametrize("value", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_no_json_is_a_dead_letter_with_its_bytes(value: bytes) -> None:
    batch = decoded(GOOD, value, GOOD)
    (letter,) = batch.dead_letters
    assert (letter.position, letter.stage, letter.reason) == (1, "decode", "json")
    assert letter.value == value
    assert len(batch.visits.record) == 2


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (b"[]", "Expected"),
        (b"5", "Expected"),
        (b"null", "Expected"),
        (b"{}", "kind: missing"),
        (broken(without="kind"), "kind: missing"),
        (broken(kind=None), "kind"),
        (broken(kind="webhooks"), "kind"),
        (broken(kind="+77011234567"), "kind"),
        (broken(without="tenant"), "tenant: missing"),
        (broken(tenant=None), "tenant"),
        (broken(tenant=""), "tenant"),
        (broken(tenant=42), "tenant"),
        (broken(without="provider"), "provider: missing"),
        (broken(provider=5), "provider"),
        (broken(without="body"), "body: missing"),
        (broken(branch={}), "branch"),
        (broken(without="received_at"), "received_at: missing"),
        (broken(received_at=None), "received_at"),
        (line(**{**RECEIPT, "status": "seen"}), "status"),
        (line(**{**RECEIPT, "command_id": None}), "command_id"),
    ],
)
def test_a_wrong_envelope_is_a_dead_letter_with_the_place(value: bytes, place: str) -> None:
    batch = decoded(GOOD, value, GOOD)
    (letter,) = batch.dead_letters
    assert (letter.position, letter.reason, letter.value) == (1, "envelope", value)
    assert letter.message.startswith(place)
    assert "7701" not in letter.message
    assert batch.counts["records", "unknown"] == batch.counts["dead_letters", "envelope"] == 1


def test_a_wrong_envelope_stays_with_its_tenant_and_keeps_its_time() -> None:
    home = lane_of("t1", 16)
    (batch,) = decode(chunk_of([broken(kind="x", appended_at="2026-11-22T10:00:07Z")]), 16)
    assert (batch.lane, batch.appended_ms.tolist()) == (home, [ms("2026-11-22T10:00:07Z")])
    (batch,) = decode(chunk_of([broken(tenant=42)]), 16)
    assert (batch.lane, batch.appended_ms.tolist()) == (0, [ms(RECEIVED_AT)])
    (batch,) = decode(chunk_of([b"{"]), 16)
    assert (batch.lane, batch.appended_ms.tolist()) == (0, [NONE])


@pytest.mark.parametrize(
    "times",
    [
        {"received_at": ""},
        {"received_at": "yesterday"},
        {"received_at": "2026-11-22T10:00:00"},
        {"received_at": "1989-12-31T23:59:59Z"},
        {"received_at": "2100-01-01T00:00:00Z"},
        {"received_at": "2026-11-22T25:00:00Z"},
        {"received_at": 1763800000},
        {"appended_at": 1763800000},
        {"appended_at": "yesterday"},
        {"appended_at": ""},
        {"received_at": "yesterday", "appended_at": RECEIVED_AT},
    ],
)
def test_an_envelope_without_a_time_is_a_dead_letter_and_says_nothing(times: Json) -> None:
    bad = [
        broken(**times),
        broken(**times, provider="generic", body=GENERIC_VISIT),
        line(**SETTINGS | times),
        line(**RECEIPT | times),
    ]
    batch = decoded(*bad, GOOD)
    assert reasons(batch) == [(n, "clock") for n in range(4)]
    assert [visit["record"] for visit in rows(batch, batch.visits)] == [4]
    assert (batch.settings, len(batch.statuses.record)) == ([], 0)
    assert batch.counts["events", "yclients", "visit"] == 1
    assert ("events", "generic", "visit") not in batch.counts


@pytest.mark.parametrize("provider", ["", "bitrix", "+77011234567", "Yclients"])
def test_an_unknown_provider_is_a_dead_letter(provider: str) -> None:
    batch = decoded(webhook(provider, {"a": 1}), GOOD)
    (letter,) = batch.dead_letters
    assert (letter.reason, letter.message) == ("provider", "provider: unknown")


def test_a_record_of_more_than_4_mib_is_a_dead_letter_without_being_parsed() -> None:
    fits = GOOD + b" " * (SIZE_LIMIT - len(GOOD))
    batch = decoded(GOOD, fits, fits + b" ", b"x" * 10_000_000)
    assert reasons(batch) == [(2, "size"), (3, "size")]
    assert batch.dead_letters[0].value == fits + b" "
    assert len(batch.visits.record) == 2


def test_a_receipt_is_a_status_of_its_command_at_the_time_of_the_log() -> None:
    failed = {"status": "failed", "message_id": None, "error": {"code": 131026}}
    batch = decoded(line(**RECEIPT), line(**RECEIPT | failed))
    told = {
        "record": 0,
        "scope": ("t1", "receipt", ""),
        "message": text_key("wamid.X"),
        "status": ACCEPTED,
        "at_ms": ms(RECEIVED_AT),
        "command": "c0ffee",
        "phone": None,
        "error": 0,
        "alias": None,
        "channel": "whatsapp",
    }
    refused = {"record": 1, "message": None, "status": FAILED, "error": 131026}
    assert rows(batch, batch.statuses) == [told, told | refused]
    assert batch.counts["events", "receipt", "receipt"] == 2


def test_settings_are_checked_and_a_mistake_is_a_dead_letter_with_its_path() -> None:
    wrong = {"triggers": [{"id": "a", "kind": "reminder", "before": "1 day"}]}
    batch = decoded(
        line(**SETTINGS),
        line(**SETTINGS | {"settings": {"timezone": "Mars/Base"}}),
        line(**SETTINGS | {"settings": wrong}),
        line(**SETTINGS | {"settings": 5}),
        line(**SETTINGS),
    )
    assert [(event.record, event.tenant) for event in batch.settings] == [(0, "t1"), (4, "t1")]
    assert batch.settings[0].settings.timezone == "Asia/Almaty"
    assert reasons(batch) == [(1, "shape"), (2, "shape"), (3, "shape")]
    assert all(letter.message.startswith("tenants.t1") for letter in batch.dead_letters)


def test_the_decode_limit_counts_what_can_be_read() -> None:
    assert decode_only([GOOD, b"{", webhook("bitrix", {}), webhook("yclients", []), GOOD]) == 2
