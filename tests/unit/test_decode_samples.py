"""What each provider sends comes out as its sample file says; a new provider is one more file.

A file has a list of cases: a body, the fields of its events that matter, what of it is counted and
skipped, and why it is a dead letter if it is one. Ids and times are spelled as texts.
"""

from __future__ import annotations

from typing import Any

import pytest

import schemas.batch
from schemas.keys import text_key
from schemas.webhooks import MODULES
from tests.unit.decoding import CASES, Json, decoded, ms, rows, webhook

KINDS = ("visits", "clients", "statuses", "incoming", "payments")


def spelled(field: str, value: Json, actual: Any) -> Any:
    """A value of a sample as the column has it."""
    if isinstance(value, list):
        return tuple(spelled(field, each, None) for each in value)
    if not isinstance(value, str) or isinstance(actual, str):
        return value
    if field == "status":
        return getattr(schemas.batch, value)
    if field.endswith("_ms") or field == "version":
        return ms(value)
    return text_key(value) if isinstance(actual, int) else value


@pytest.mark.parametrize(
    ("provider", "case"),
    [
        pytest.param(provider, case, id=f"{provider}: {case['case']}")
        for provider, cases in CASES.items()
        for case in cases
    ],
)
def test_a_sample_says_what_its_file_tells(provider: str, case: Json) -> None:
    batch = decoded(webhook(provider, case["body"]))
    for kind in KINDS:
        told = rows(batch, getattr(batch, kind))
        wanted = case.get("events", {}).get(kind, [])
        assert len(told) == len(wanted), kind
        for row, fields in zip(told, wanted, strict=True):
            for field, value in fields.items():
                assert row[field] == spelled(field, value, row[field]), field
    ignored = {key[1]: count for key, count in batch.counts.items() if key[0] == "ignored"}
    assert ignored == case.get("ignored", {})
    dead = [f"{letter.reason}: {letter.message}" for letter in batch.dead_letters]
    assert len(dead) == ("dead" in case)
    assert all(each.startswith(case["dead"]) for each in dead)


def test_every_provider_has_samples_and_every_sample_a_provider() -> None:
    assert set(CASES) == set(MODULES)


def test_no_message_of_a_dead_letter_holds_a_text_of_its_body() -> None:
    for provider, cases in CASES.items():
        for case in cases:
            for letter in decoded(webhook(provider, case["body"])).dead_letters:
                assert not any(each in letter.message for each in ("7999", "Анна", "Мария"))
