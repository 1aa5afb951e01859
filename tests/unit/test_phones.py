"""Phones as people and providers write them become E.164, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.phones import canonical_phone


@pytest.mark.parametrize(
    ("text", "country", "phone"),
    [
        ("+77011234567", "KZ", 77011234567),
        ("8 701 123 45 67", "KZ", 77011234567),
        ("8 (701) 123-45-67", "RU", 77011234567),
        ("7 (701) 123-45-67", "KZ", 77011234567),
        ("+7-701-123-45-67", None, 77011234567),
        ("9161234567", "RU", 79161234567),
        ("+49 151 23456789", "KZ", 4915123456789),
        ("4915123456789", "RU", 4915123456789),
        ("004915123456789", "RU", 4915123456789),
        ("00442079460958", "KZ", 442079460958),
        ("00442079460958", None, 442079460958),
        ("0151 23456789", "DE", 4915123456789),
    ],
)
def test_every_usual_writing_has_one_canonical_form(
    text: str, country: str | None, phone: int
) -> None:
    assert canonical_phone(text, country) == phone


@pytest.mark.parametrize(
    "text",
    ["", "12", "+", "+7", "+7701", "870112", "+77011234567890123", "VIP 77011234567", "—", "\x00"],
)
def test_what_cannot_be_a_phone_is_absent(text: str) -> None:
    assert canonical_phone(text, "KZ") == 0


@pytest.mark.parametrize(
    ("text", "country"),
    [("1234567", "KZ"), ("+7 1234567", "RU"), ("5551234", "US"), ("+770112345678901", "KZ")],
)
def test_what_lacks_a_code_of_its_town_or_is_too_long_is_absent(text: str, country: str) -> None:
    assert canonical_phone(text, country) == 0


def test_a_messenger_writes_international_digits_without_a_plus() -> None:
    assert canonical_phone("16505551234", "KZ", international=True) == 16505551234


@given(st.text(max_size=40), st.sampled_from(["RU", "KZ", "DE", "US", None]))
def test_no_text_makes_it_raise(text: str, country: str | None) -> None:
    assert 0 <= canonical_phone(text, country) < 10**15 + 10**15
