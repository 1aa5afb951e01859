"""A webhook decoded in one pass says what its envelope and its body say one after the other."""

from __future__ import annotations

import json
from random import Random

import msgspec
import pytest

from operators.decode import decode_only
from schemas.record import UNREADABLE, TypedWebhook, Webhook, decode_record
from schemas.webhooks.readers import BODIES, PROVIDER_OF, READERS, decode_webhook
from tests.unit.damage import damaged
from tests.unit.decoding import (
    SAMPLES,
    WHATSAPP_STATUS,
    YCLIENTS_RECORD,
    Json,
    decoded,
    reasons,
    rows,
    value_of,
    webhook,
    whatsapp,
)

OTHERS: list[Json] = [None, "x", "", "null", "true", "1", 0, 5, 5.0, 1e3, 10**20, True, [], {}]


def in_one_pass(line: bytes) -> TypedWebhook | None:
    """The webhook where one pass is enough."""
    try:
        told: TypedWebhook = decode_webhook(line)
    except UNREADABLE:
        return None
    return told


def test_every_provider_with_a_reader_is_decoded_in_one_pass() -> None:
    assert set(PROVIDER_OF.values()) == set(READERS) == set(BODIES)
    webhooks = [line for line in SAMPLES if isinstance(decode_record(line), Webhook)]
    told = [in_one_pass(line) for line in webhooks]
    assert {PROVIDER_OF[type(each)] for each in told if each is not None} == set(READERS)
    assert None not in told


def test_one_pass_reads_nothing_that_two_would_not_read_the_same() -> None:
    chance = Random(11)
    read = 0
    for _ in range(6_000):
        line = damaged(chance, chance.choice(OTHERS))
        told = in_one_pass(line)
        if told is None:
            continue
        read += 1
        envelope = decode_record(line)
        assert isinstance(envelope, Webhook)
        assert envelope.provider == PROVIDER_OF[type(told)]
        for name in ("tenant", "branch", "received_at", "appended_at"):
            assert getattr(told, name) == getattr(envelope, name)
        assert told.body == BODIES[envelope.provider](envelope.body)
        assert decode_only([line]) == 1
    assert read > 500


@pytest.mark.parametrize("extra", ['"kind": "heartbeat"', '"provider": "generic"', '"body": 5'])
def test_a_field_told_twice_is_not_guessed_at(extra: str) -> None:
    line = webhook("yclients", YCLIENTS_RECORD)[:-1] + f", {extra}}}".encode()
    assert in_one_pass(line) is None
    (letter,) = decoded(line).dead_letters
    assert letter.value == line


def test_the_order_of_fields_says_nothing() -> None:
    line = webhook("yclients", YCLIENTS_RECORD)
    turned = json.dumps(dict(reversed(json.loads(line).items()))).encode()
    assert in_one_pass(turned) == in_one_pass(line)
    batch, again = decoded(line), decoded(turned)
    assert rows(batch, batch.visits) == rows(again, again.visits) != []


@pytest.mark.parametrize(
    ("branch", "yclients", "of_whatsapp"), [(5, "5", "5"), (0, "358944", ""), (-1, "-1", "-1")]
)
def test_a_branch_written_as_a_number_takes_two_passes_and_stays_what_it_is(
    branch: int, yclients: str, of_whatsapp: str
) -> None:
    visit = webhook("yclients", YCLIENTS_RECORD, branch=branch)
    status = webhook("whatsapp", whatsapp(value_of(statuses=[WHATSAPP_STATUS])), branch=branch)
    assert in_one_pass(visit) is in_one_pass(status) is None
    batch = decoded(visit, status)
    scopes = [rows(batch, events)[0]["scope"] for events in (batch.visits, batch.statuses)]
    assert [branch for _, _, branch in scopes] == [yclients, of_whatsapp]
    assert batch.dead_letters == []


@pytest.mark.parametrize("branch", [5.0, 1e3, 5.5, True])
def test_a_branch_that_is_no_whole_number_is_a_dead_letter_as_ever(branch: Json) -> None:
    batch = decoded(webhook("yclients", YCLIENTS_RECORD, branch=branch))
    assert reasons(batch) == [(0, "envelope")]


def test_a_webhook_is_refused_without_its_kind_also_in_one_pass() -> None:
    told = json.loads(webhook("yclients", YCLIENTS_RECORD))
    del told["kind"]
    with pytest.raises(msgspec.ValidationError):
        decode_webhook(json.dumps(told).encode())
