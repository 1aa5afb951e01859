"""Each mistake in settings is one error that says where and what."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.presets import PRESETS
from schemas.settings import SettingsError, parse_settings, parse_tenants, parse_tenants_file
from schemas.triggers import KINDS
from tests.unit.test_settings import Table, trigger


def mistake(settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_settings(settings, "tenants.t0042")
    error = caught.value
    assert str(error) == f"{error.path}: {error.message}"
    return str(error).removeprefix("tenants.t0042").removeprefix(".")


def third(**keys: Any) -> Table:
    return {"triggers": [trigger(id="a"), trigger(id="b"), trigger(**{"id": "c", **keys})]}


MISTAKES: list[tuple[Table, str]] = [
    (third(before="1 day"), 'triggers[2].before: not a duration: "1 day"'),
    (third(before=24), "triggers[2].before: expected text, got a whole number: 24"),
    (third(before="0m"), 'triggers[2].before: too short: "0m"'),
    (third(before=...), "triggers[2].before: missing"),
    (third(id="a"), 'triggers[2].id: already used by triggers[0]: "a"'),
    (third(id=""), "triggers[2].id: missing"),
    (third(id="a\x1fb"), 'triggers[2].id: not an id: "a\\u001fb"'),
    (third(kind=...), "triggers[2].kind: missing"),
    (third(template=...), "triggers[2].template: missing"),
    (third(channels=...), "triggers[2].channels: missing"),
    (third(channels=[]), "triggers[2].channels: at least one channel is needed"),
    (third(channels=["sms", "SMS!"]), 'triggers[2].channels[1]: not a channel: "SMS!"'),
    (third(channels=["sms", "sms"]), 'triggers[2].channels[1]: named twice: "sms"'),
    (
        third(category="promo"),
        'triggers[2].category: unknown category: "promo" (one of marketing, utility)',
    ),
    (third(ttl="soon"), 'triggers[2].ttl: not a duration: "soon"'),
    (third(segments=["999"]), 'triggers[2].segments[0]: unknown segment: "999"'),
    (
        third(segments=[]),
        "triggers[2].segments: an empty list means nobody; leave the key out for everybody",
    ),
    (
        {"triggers": [trigger("birhday")]},
        f'triggers[0].kind: unknown kind: "birhday" (one of {", ".join(KINDS)})',
    ),
    ({"triggers": [trigger("birthday", at="24:00")]}, 'triggers[0].at: not a time of day: "24:00"'),
    (
        {"triggers": [trigger("birthday", days_before=200)]},
        "triggers[0].days_before: expected a whole number <= 180: 200",
    ),
    ({"triggers": [trigger("after_visit", after=...)]}, "triggers[0].after: missing"),
    ({"triggers": [trigger("no_show", after=...)]}, "triggers[0].after: missing"),
    ({"triggers": [trigger("winback", after_days=...)]}, "triggers[0].after_days: missing"),
    (
        {"triggers": [trigger("rebook", after_days=...)]},
        "triggers[0].after_days: give either after_days or interval_factor",
    ),
    ({"triggers": [trigger("segment_entered", segments=...)]}, "triggers[0].segments: missing"),
    (
        {"triggers": [trigger("segment_entered", **{"from": ["334"]})]},
        'triggers[0].from[0]: unknown segment: "334"',
    ),
    (
        {
            "offers": {"133": {"template": "v"}},
            "triggers": [trigger("winback", template="offer", segments=["133", "132"])],
        },
        'triggers[0].segments[1]: no offer for "132"',
    ),
    ({"triggers": {}}, "triggers: expected a list: {}"),
    ({"triggers": [7]}, "triggers[0]: expected a table, got a whole number: 7"),
    ({"preset": "salon"}, f'preset: unknown preset: "salon" (one of {", ".join(PRESETS)})'),
    ({"timezone": "Asia/Alma-Ata"}, 'timezone: unknown timezone: "Asia/Alma-Ata"'),
    ({"timezone": "../etc/passwd"}, 'timezone: unknown timezone: "../etc/passwd"'),
    ({"timezone": 5}, "timezone: expected text, got a whole number: 5"),
    (
        {"branches": {"358944": {"timezone": "Mars"}}},
        'branches.358944.timezone: unknown timezone: "Mars"',
    ),
    (
        {"branches": {"358944": "Europe/Moscow"}},
        'branches.358944: expected a table, got text: "Europe/Moscow"',
    ),
    ({"branches": []}, "branches: expected a table: []"),
    ({"country": "XX"}, 'country: unknown country: "XX"'),
    ({"country": "kz"}, 'country: unknown country: "kz"'),
    ({"currency": "RUR"}, 'currency: unknown currency: "RUR"'),
    ({"quiet_hours": ["21:00", "25:00"]}, 'quiet_hours[1]: not a time of day: "25:00"'),
    ({"quiet_hours": ["9:00", "10:00"]}, 'quiet_hours[0]: not a time of day: "9:00"'),
    ({"quiet_hours": [1260, 600]}, "quiet_hours[0]: expected text, got a whole number: 1260"),
    ({"quiet_utility": ["22:00"]}, 'quiet_utility: expected a list of length 2, got 1: ["22:00"]'),
    ({"scoring": {"recency_days": [120, 60]}}, "scoring.recency_days: R3 is over R2: [120,60]"),
    ({"scoring": {"frequency": [2, 5]}}, "scoring.frequency: F3 is under F2: [2,5]"),
    (
        {"scoring": {"monetary": [500, 2000]}},
        "scoring.monetary: the better sum comes first: [500,2000]",
    ),
    (
        {"scoring": {"monetary": "quartiles"}},
        'scoring.monetary: unknown monetary: "quartiles" (one of tertiles, two sums)',
    ),
    ({"scoring": {"window_days": 0}}, "scoring.window_days: expected a whole number >= 1: 0"),
    (
        {"average_check_minor": 9000.5},
        "average_check_minor: expected a whole number, got a number: 9000.5",
    ),
    ({"caps": [{"per_days": 1}]}, "caps[0].max: missing"),
    (
        {"caps": [{"per_days": 7, "max": 3}, {"per_days": 7, "max": 2}]},
        "caps[1].per_days: capped twice: 7",
    ),
    ({"holdout_percent": 101}, "holdout_percent: expected a whole number <= 100: 101"),
    (
        {"consent_default": "maybe"},
        'consent_default: unknown consent_default: "maybe" (one of deny, allow)',
    ),
    ({"watched": 1}, "watched: expected true or false, got a whole number: 1"),
    (
        {"channel_policy": {"promo": ["!sms"]}},
        'channel_policy.promo: unknown category: "promo" (one of marketing, utility)',
    ),
    (
        {"channel_policy": {"marketing": ["whatsapp"]}},
        'channel_policy.marketing[0]: not a ban: "whatsapp" (write "!whatsapp")',
    ),
    ({"offers": {"444": {"template": "x"}}}, 'offers.444: unknown segment: "444"'),
    ({"offers": {"133": {}}}, "offers.133.template: missing"),
]


@pytest.mark.parametrize(("table", "expected"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_a_mistake_is_one_error_with_its_path(table: Table, expected: str) -> None:
    assert mistake(table) == expected


def test_a_long_value_is_cut_in_its_error() -> None:
    assert len(mistake({"timezone": "x" * 1000})) < 120


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 50_000, b'{"a":' * 50_000, b'{"a":NaN}'],
    ids=["empty", "cut", "list", "null", "text", "not utf-8", "deep list", "deep table", "nan"],
)
def test_bytes_that_are_no_settings_are_a_mistake_too(raw: bytes) -> None:
    with pytest.raises(SettingsError, match=r"^tenants\.t: "):
        parse_settings(raw, "tenants.t")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.toml", b"x = ", "a.toml: cannot be read: "),
        ("a.json", b"{", "a.json: cannot be read: "),
        ("a.yaml", b"a: [", "a.yaml: cannot be read: "),
        ("a.yaml", b"\xff\xfe\x00", "a.yaml: cannot be read: "),
        ("a.ini", b"", "a.ini: not a .toml, .yaml or .json file"),
        ("a.json", b"{}", "tenants: missing"),
        ("a.yaml", b"tenants: 3", "tenants: expected a table by tenant: 3"),
        ("a.yaml", b"tenants: {7: {}}", "tenants: tenant ids must be text in quotes: 7"),
        ("a.yaml", b"tenants: {'': {}}", "tenants: a tenant's id is empty"),
        ("a.yaml", b"tenants: {t: 3}", "tenants.t: expected a table: 3"),
        (
            "a.yaml",
            b"tenants: {t: {offers: {133: {template: x}}}}",
            "tenants.t.offers: keys must be text; ",
        ),
        ("a.yaml", b"tenants: {t: {offers: &a {x: *a}}}", "tenants.t: nested too deep"),
        ("a.yaml", b"tenants: {t: {quiet_hours: [24:00, 10:00]}}", "tenants.t.quiet_hours[0]: "),
    ],
)
def test_a_file_that_cannot_be_used_says_why(name: str, content: bytes, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_tenants_file(name, content)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_one_wrong_tenant_spoils_the_file() -> None:
    with pytest.raises(SettingsError, match=r"^tenants\.b\.timezone: "):
        parse_tenants({"tenants": {"a": {}, "b": {"timezone": "Mars"}}})
