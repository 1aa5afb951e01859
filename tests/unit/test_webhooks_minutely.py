"""``webhooks_minutely`` counts every webhook in its minute of the lane's clock."""

from __future__ import annotations

import numpy as np

from operators.decode import decode
from operators.fold import fold
from state.lane import LaneState
from tests.engine import ID_KEY, Row, Streams, chunk_of, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Record,
    changed_at,
    envelope,
    heartbeat,
    lines_of,
    message_in,
    ms,
    record,
    settings,
    visit,
    whatsapp_status,
)

TENANT = "t1"
NOON = ms("2026-06-15T12:00:00Z")
PHONE = "+77011234567"


def told(*records: Record, until: int = NOON + HOUR, ended: bool = False) -> Streams:
    first = settings(TENANT, NOON - DAY)
    return run(lines_of([first, *records, heartbeat(until)]), ended=ended)


def rows(streams: Streams) -> list[Row]:
    return [row for row in streams.rows("aggregates") if row["table"] == "webhooks_minutely"]


def minutes(streams: Streams) -> dict[tuple[str, str], tuple[int, ...]]:
    """Records, events, duplicates, late and dead by provider and minute: the last row of each."""
    return {
        (row["provider"], row["minute"][11:16]): tuple(
            row[name] for name in ("records", "events", "duplicates", "late", "dead")
        )
        for row in rows(streams)
    }


def booked(at: int, id: str = "v1", **body: object) -> Record:
    told = {"version": 1, "status": "booked", "phone": PHONE, "starts_at": NOON + 9 * DAY}
    return visit(TENANT, at, id, **told | body)


def test_webhooks_are_counted_by_provider_and_minute() -> None:
    streams = told(
        booked(NOON),
        booked(NOON + 59 * SECOND, "v2"),
        whatsapp_status(TENANT, NOON + MINUTE, "m1", "77011234567"),
        booked(NOON + 2 * MINUTE, "v3"),
    )
    assert minutes(streams) == {
        ("generic", "12:00"): (2, 2, 0, 0, 0),
        ("whatsapp", "12:01"): (1, 1, 0, 0, 0),
        ("generic", "12:02"): (1, 1, 0, 0, 0),
    }


def test_a_row_is_absolute_and_told_when_the_clock_crosses_ten_seconds() -> None:
    beats = [heartbeat(NOON + at * SECOND) for at in (11, 21, 31, 60)]
    log = [booked(NOON), booked(NOON + 9 * SECOND, "v2"), beats[0],
           booked(NOON + 12 * SECOND, "v3"), *beats[1:]]  # fmt: skip
    streams = told(*log)
    found = [(row["records"], row["position"]) for row in rows(streams)]
    assert found == [(2, 2), (3, 4)]
    owed_at = [m.position for m in streams.messages[0, "aggregates"] if b"minutely" in m.key]
    assert owed_at == [3, 5]
    assert streams.messages[0, "aggregates"][-1].key == (
        b"webhooks_minutely/t1/generic/2026-06-15T12:00:00Z"
    )


def test_a_body_may_say_many_things_or_nothing() -> None:
    statuses = whatsapp_status(TENANT, NOON, "m1", "77011234567")
    value = statuses["body"]["entry"][0]["changes"][0]["value"]
    value["statuses"] = [value["statuses"][0] | {"id": f"m{n}"} for n in range(5)]
    salon = {"company_id": 501, "resource": "salon", "resource_id": 1, "status": "update"}
    nothing = envelope("webhook", TENANT, NOON, provider="yclients", body=salon | {"data": []})
    assert minutes(told(statuses, nothing)) == {
        ("whatsapp", "12:00"): (1, 5, 0, 0, 0),
        ("yclients", "12:00"): (1, 0, 0, 0, 0),
    }


def test_what_is_said_again_is_a_duplicate_in_the_minute_in_which_it_comes() -> None:
    streams = told(
        booked(NOON),
        booked(NOON + MINUTE),
        whatsapp_status(TENANT, NOON, "m1", "77011234567"),
        whatsapp_status(TENANT, NOON + MINUTE, "m1", "77011234567"),
    )
    assert minutes(streams) == {
        ("generic", "12:00"): (1, 1, 0, 0, 0),
        ("generic", "12:01"): (1, 1, 1, 0, 0),
        ("whatsapp", "12:01"): (2, 2, 1, 0, 0),
    }


def test_late_is_more_than_an_hour_before_the_minute() -> None:
    on_time = whatsapp_status(TENANT, NOON, "m1", "77011234567")
    late = whatsapp_status(TENANT, NOON, "m2", "77011234567")
    for body, at in ((on_time, NOON - HOUR), (late, NOON - HOUR - SECOND)):
        body["body"]["entry"][0]["changes"][0]["value"]["statuses"][0]["timestamp"] = str(
            at // 1000
        )
    assert minutes(told(on_time, late)) == {("whatsapp", "12:00"): (2, 2, 0, 1, 0)}


def test_the_version_of_a_yclients_record_is_its_time() -> None:
    second = (NOON - ms(changed_at(0))) // SECOND
    log = [
        record(TENANT, NOON, 1, date="2026-06-20 12:00:00", version=second),
        record(TENANT, NOON, 2, date="2026-06-20 12:00:00", version=second - 3_601),
        booked(NOON),  # a generic version is a number, and no time is told
    ]
    assert minutes(told(*log)) == {
        ("yclients", "12:00"): (2, 2, 0, 1, 0),
        ("generic", "12:00"): (1, 1, 0, 0, 0),
    }


def test_a_dead_webhook_is_counted_where_tenant_and_provider_can_be_read() -> None:
    dead = envelope("webhook", TENANT, NOON, provider="yclients", body="no json")
    assert minutes(told(dead)) == {("yclients", "12:00"): (1, 0, 0, 0, 1)}


def test_only_webhooks_are_counted() -> None:
    streams = told(message_in(TENANT, NOON, "m1", PHONE), heartbeat(NOON + MINUTE))
    assert minutes(streams) == {("generic", "12:00"): (1, 1, 0, 0, 0)}


def test_the_running_minute_is_told_at_the_end_of_the_input() -> None:
    assert rows(told(booked(NOON), until=NOON + SECOND)) == []
    ended = told(booked(NOON), until=NOON + SECOND, ended=True)
    assert minutes(ended) == {("generic", "12:00"): (1, 1, 0, 0, 0)}


def test_minutes_that_are_over_are_forgotten() -> None:
    log = [settings(TENANT, NOON - DAY)]
    log += [booked(NOON + n * MINUTE, f"v{n}") for n in range(9_000)]
    lines = lines_of(log)
    state = LaneState(0, ID_KEY)
    kept = []
    for start in range(0, len(lines), 500):
        for batch in decode(chunk_of(lines, start, min(start + 500, len(lines))), 1):
            fold(state, batch)
        kept.append(len(state.minutes))
    assert max(kept) < 5_000
    assert min(np.diff(kept)) < -1_000
