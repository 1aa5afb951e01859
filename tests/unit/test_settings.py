"""Settings: presets, shipped defaults, resolved thresholds, the files that hold them."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.currencies import EXPONENTS
from schemas.durations import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    parse_duration,
    parse_instant,
    parse_time_of_day,
)
from schemas.presets import PRESETS
from schemas.segments import SEGMENTS, code_text
from schemas.settings import (
    DEFAULT_SETTINGS,
    Cap,
    parse_settings,
    parse_tenants_file,
    tables_of_file,
    thresholds_version,
)
from schemas.triggers import KINDS, SHIPPED
from schemas.zones import zone, zone_names

Table = dict[str, Any]

CONTRACT: Table = {
    "name": "Persona",
    "preset": "beauty_hair_cosmetology",
    "timezone": "Asia/Almaty",
    "country": "KZ",
    "currency": "KZT",
    "locale": "ru",
    "branches": {"358944": {"timezone": "Europe/Moscow"}},
    "scoring": {
        "window_days": 365,
        "recency_days": [60, 120],
        "frequency": [6, 3],
        "monetary": "tertiles",
    },
    "average_check_minor": 900000,
    "quiet_hours": ["21:00", "10:00"],
    "quiet_utility": ["22:00", "08:00"],
    "caps": [{"per_days": 1, "max": 1}, {"per_days": 7, "max": 3}],
    "holdout_percent": 10,
    "return_days": 14,
    "consent_default": "deny",
    "channel_policy": {"marketing": ["!whatsapp"]},
    "watched": False,
    "offers": {"133": {"template": "winback_vip_ru", "params": {"discount": 20}}},
    "triggers": [
        {
            "id": "bday",
            "kind": "birthday",
            "at": "11:00",
            "days_before": 0,
            "channels": ["whatsapp", "sms"],
            "template": "bday_ru",
            "category": "marketing",
            "priority": 50,
            "ttl": "12h",
            "segments": ["333", "332"],
            "params": {"discount": 10},
        }
    ],
}

NEEDED: dict[str, Table] = {
    "reminder": {"before": "24h"},
    "reply": {},
    "after_visit": {"after": "2h"},
    "birthday": {},
    "no_show": {"after": "1h"},
    "rebook": {"after_days": 30},
    "winback": {"after_days": 90},
    "segment_entered": {"segments": ["133"]},
}
"""The least that each kind of trigger must say beside id, channels and template."""


def trigger(kind: str = "reminder", **keys: Any) -> Table:
    table = {"id": "t", "kind": kind, "channels": ["sms"], "template": "x", **NEEDED.get(kind, {})}
    return {key: value for key, value in {**table, **keys}.items() if value is not ...}


def test_the_settings_of_the_contract_are_resolved() -> None:
    settings = parse_settings(CONTRACT, "tenants.t0042")
    assert settings.timezone == "Asia/Almaty"
    assert settings.zone_of("358944") == "Europe/Moscow"
    assert settings.zone_of("1") == "Asia/Almaty"
    assert (settings.country, settings.currency, settings.currency_exponent) == ("KZ", "KZT", 2)
    assert settings.recency_days == (60, 120)
    assert settings.frequency == (6, 3)
    assert settings.boundaries == (5_400_000, 2_700_000)
    assert settings.quiet_hours == (21 * 60, 10 * 60)
    assert settings.quiet_utility == (22 * 60, 8 * 60)
    assert settings.caps == (Cap(1, 1), Cap(7, 3))
    assert settings.banned_channels == {"marketing": frozenset({"whatsapp"})}
    [birthday] = settings.triggers
    assert (birthday.at_minute, birthday.ttl_ms) == (660, 12 * HOUR_MS)
    assert (birthday.priority, birthday.cooldown_days) == (50, 300)
    assert birthday.channels == ("whatsapp", "sms")
    assert birthday.segments == {333, 332}


def test_settings_come_back_equal_from_their_source() -> None:
    settings = parse_settings(CONTRACT, "tenants.t0042")
    assert parse_settings(settings.source, "tenants.t0042") == settings
    assert pickle.loads(pickle.dumps(settings)) == settings
    shuffled = dict(reversed(CONTRACT.items()))
    assert parse_settings(json.dumps(shuffled).encode(), "x").source == settings.source


def test_parsing_does_not_touch_the_table_it_is_given() -> None:
    before = json.dumps(CONTRACT)
    parse_settings(CONTRACT, "tenants.t0042")
    assert json.dumps(CONTRACT) == before


def test_a_tenant_that_has_told_nothing_is_generic_in_utc_without_triggers() -> None:
    assert parse_settings({}, "tenants.t") == DEFAULT_SETTINGS
    assert DEFAULT_SETTINGS.preset == "generic"
    assert DEFAULT_SETTINGS.timezone == DEFAULT_SETTINGS.zone_of("any") == "UTC"
    assert DEFAULT_SETTINGS.triggers == ()
    assert DEFAULT_SETTINGS.currency is None
    assert DEFAULT_SETTINGS.boundaries is None
    assert DEFAULT_SETTINGS.consent_default == "deny"
    assert DEFAULT_SETTINGS.holdout_percent == 10
    assert DEFAULT_SETTINGS.return_days == 14


def test_null_is_as_good_as_nothing() -> None:
    table = dict.fromkeys(CONTRACT)
    assert resolved(parse_settings(table, "x")) == resolved(DEFAULT_SETTINGS)


def resolved(settings: Any) -> Any:
    return {
        name: getattr(settings, name) for name in settings.__struct_fields__ if name != "source"
    }


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_window_recency_and_frequency(name: str) -> None:
    settings = parse_settings({"preset": name}, "x")
    preset = PRESETS[name]
    assert settings.window_days == preset.window_days
    assert settings.recency_days == preset.recency_days
    assert settings.frequency == preset.frequency


def test_the_presets_are_those_of_the_domain() -> None:
    assert {name: tuple(preset) for name, preset in PRESETS.items()} == {
        "beauty_nails_brows": (365, (35, 75), (8, 3)),
        "beauty_hair_cosmetology": (365, (60, 120), (6, 3)),
        "restaurant": (180, (30, 90), (6, 2)),
        "medical": (730, (180, 365), (5, 2)),
        "fitness": (180, (14, 84), (24, 6)),
        "generic": (365, (60, 180), (5, 2)),
    }


def test_scoring_replaces_only_what_it_names() -> None:
    settings = parse_settings({"preset": "fitness", "scoring": {"recency_days": [7, 30]}}, "x")
    assert settings.recency_days == (7, 30)
    assert (settings.window_days, settings.frequency) == (180, (24, 6))


def test_sums_in_the_settings_hold_over_the_average_check() -> None:
    table = {"average_check_minor": 10, "scoring": {"monetary": [2_000_000, 500_000]}}
    assert parse_settings(table, "x").boundaries == (2_000_000, 500_000)
    assert parse_settings({"average_check_minor": 10}, "x").boundaries == (50, 20)


def test_the_version_changes_with_what_scores_and_with_nothing_else() -> None:
    def version(**keys: Any) -> str:
        settings = parse_settings({"preset": "generic", **keys}, "x")
        return thresholds_version(settings, settings.boundaries)

    plain = version()
    assert plain == version(name="other", locale="ru", triggers=[trigger()], timezone="Asia/Almaty")
    changed = {
        version(preset="medical"),
        version(average_check_minor=1000),
        version(scoring={"monetary": [5000, 2000]}),
        version(scoring={"window_days": 100}),
        version(scoring={"recency_days": [1, 2]}),
        version(scoring={"frequency": [9, 2]}),
        version(currency="KZT"),
    }
    assert len(changed | {plain}) == 8
    assert plain == "53740876e902", "the version is told to readers: it is the same for ever"


@pytest.mark.parametrize("kind", KINDS)
def test_a_trigger_has_the_shipped_defaults_of_its_kind(kind: str) -> None:
    [parsed] = parse_settings({"triggers": [trigger(kind)]}, "x").triggers
    shipped = SHIPPED[kind]
    assert parsed.kind == kind
    assert parsed.category == shipped.category
    assert parsed.priority == shipped.priority
    assert parsed.ttl_ms == shipped.ttl_ms
    assert parsed.cooldown_days == shipped.cooldown_days


def test_the_shipped_defaults_are_those_of_the_contract() -> None:
    hours = {kind: (tuple(shipped)) for kind, shipped in SHIPPED.items()}
    assert hours == {
        "reminder": ("utility", 0, None, 0),
        "reply": ("utility", 0, HOUR_MS, 0),
        "after_visit": ("marketing", 20, 24 * HOUR_MS, 0),
        "birthday": ("marketing", 60, 12 * HOUR_MS, 300),
        "no_show": ("marketing", 50, 24 * HOUR_MS, 7),
        "rebook": ("marketing", 40, 72 * HOUR_MS, 14),
        "winback": ("marketing", 30, 72 * HOUR_MS, 90),
        "segment_entered": ("marketing", 30, 72 * HOUR_MS, 30),
    }


def test_a_trigger_carries_the_keys_of_its_kind() -> None:
    table = {
        "triggers": [
            trigger("reminder", id="a", before="1d12h", segments=["000", "111"]),
            trigger("segment_entered", id="b", segments=["333"], **{"from": ["133", "132"]}),
            trigger("rebook", id="c", after_days=..., interval_factor=1.5, service="nails"),
            trigger("reply", id="d", match="button"),
            trigger("after_visit", id="e", after="0m", ttl="90m", cooldown_days=3, locale="kk"),
        ]
    }
    a, b, c, d, e = parse_settings(table, "x").triggers
    assert a.before_ms == 36 * HOUR_MS
    assert a.segments == {0, 111}
    assert b.segments == {333}
    assert b.from_segments == {133, 132}
    assert (c.after_days, c.interval_factor, c.service) == (0, 1.5, "nails")
    assert d.match == ("button",)
    assert (e.after_ms, e.ttl_ms, e.cooldown_days, e.locale) == (0, 90 * MINUTE_MS, 3, "kk")


def test_the_offer_template_stands_for_the_segments_offer() -> None:
    offers = {
        "133": {"template": "vip", "params": {"discount": 20}},
        "132": {"template": "loyal"},
    }
    table = {"offers": offers, "triggers": [trigger("winback", template="offer", params={"a": 1})]}
    settings = parse_settings(table, "x")
    [winback] = settings.triggers
    assert winback.segments == {133, 132}, "only who has an offer may get it"
    assert settings.message_for(winback, 133) == ("vip", {"a": 1, "discount": 20})
    assert settings.message_for(winback, 132) == ("loyal", {"a": 1})


def test_unknown_keys_are_ignored() -> None:
    table = {"colour": "red", "scoring": {"x": 1}, "triggers": [trigger(colour="red")]}
    assert len(parse_settings(table, "x").triggers) == 1


TOML = b"""
[tenants.t1]
preset = "restaurant"
timezone = "Europe/Moscow"
quiet_hours = ["21:00", "10:00"]
[[tenants.t1.triggers]]
id = "soon"
kind = "reminder"
before = "2h"
channels = ["sms"]
template = "soon"
"""
YAML = b"""
tenants:
  t1:
    preset: restaurant
    timezone: Europe/Moscow
    quiet_hours: [21:00, "10:00"]
    triggers:
      - {id: soon, kind: reminder, before: 2h, channels: [sms], template: soon}
"""


def test_toml_yaml_and_json_say_the_same() -> None:
    raw = tables_of_file("tenants.yaml", YAML)
    jsons = json.dumps({"tenants": raw}).encode()
    parsed = parse_tenants_file("tenants.toml", TOML)
    assert list(parsed) == ["t1"]
    assert parsed == parse_tenants_file("tenants.yml", YAML)
    assert parsed == parse_tenants_file("TENANTS.JSON", jsons)


def test_durations_are_read_exactly() -> None:
    assert parse_duration("24h") == parse_duration("1d") == DAY_MS
    assert parse_duration("1d2h3m") == 26 * HOUR_MS + 3 * MINUTE_MS
    assert parse_duration("0m") == 0
    for text in ("", "h", "1", "1 d", "-1h", "1h1d", "1.5h", "1D", "٣h", "99999d", "1h\n"):
        assert parse_duration(text) is None, text


def test_times_of_day_are_read_exactly() -> None:
    assert parse_time_of_day("00:00") == 0
    assert parse_time_of_day("23:59") == 23 * 60 + 59
    for text in ("24:00", "9:00", "09:60", "09:00:00", "", "09.00", "٠٩:٠٠", "09:00\n"):
        assert parse_time_of_day(text) is None, text


def test_instants_are_read_with_their_zone() -> None:
    assert parse_instant("2026-03-03T05:00:00+05:00") == datetime(2026, 3, 3, tzinfo=UTC)
    assert parse_instant("2026-03-03T00:00:00.5Z") == datetime(2026, 3, 3, 0, 0, 0, 500_000, UTC)
    for text in ("", "yesterday", "2026-03-03", "2026-03-03T00:00:00", "0001-01-01T00:00:00+05:00"):
        assert parse_instant(text) is None, text


def test_there_are_27_segments_and_the_lead() -> None:
    digits = {100 * r + 10 * f + m for r in (1, 2, 3) for f in (1, 2, 3) for m in (1, 2, 3)}
    assert set(SEGMENTS) == digits | {0}
    assert len({segment.key for segment in SEGMENTS.values()}) == 28
    assert all(all(segment[1:]) for segment in SEGMENTS.values())
    assert code_text(0) == "000"
    assert code_text(133) == "133"


def test_currencies_know_their_minor_digits() -> None:
    known = {"KZT": 2, "RUB": 2, "USD": 2, "JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "TND": 3}
    assert {code: EXPONENTS[code] for code in known} == known
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)


def test_zones_come_from_the_package() -> None:
    assert {"UTC", "Asia/Almaty", "Europe/Moscow", "America/New_York"} <= zone_names()
    assert zone("Asia/Almaty").key == "Asia/Almaty"
    with pytest.raises(KeyError):
        zone("../../etc/passwd")
