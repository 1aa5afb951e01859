"""A tenant's settings as people write them, before anything is checked beyond its shape.

Takes: nothing; the JSON Schema of settings is generated from here
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.presets import PRESETS
from schemas.triggers import AnyTriggerBody, Category, Days, SegmentText, SomeDays, TimeOfDayText

ReturnDays = Annotated[int, Meta(ge=1, le=59)]
"""Days that are older are told already, and change no more."""

Consent = Literal["deny", "allow"]
PresetName = Annotated[str, Meta(extra_json_schema={"enum": list(PRESETS)})]
Amount = Annotated[int, Meta(ge=0, le=10**13)]
Visits = Annotated[int, Meta(ge=1, le=10_000)]
Percent = Annotated[int, Meta(ge=0, le=100)]


class BranchBody(msgspec.Struct, kw_only=True):
    """What a branch has of its own."""

    timezone: str | None = None


class ScoringBody(msgspec.Struct, kw_only=True):
    """Thresholds that replace the preset's."""

    window_days: SomeDays | None = None
    recency_days: tuple[Days, Days] | None = None
    frequency: tuple[Visits, Visits] | None = None
    monetary: Literal["tertiles"] | tuple[Amount, Amount] = "tertiles"


class CapBody(msgspec.Struct, kw_only=True):
    """At most so many marketing messages in so many local days."""

    per_days: SomeDays
    max: Annotated[int, Meta(ge=0, le=1_000)]


class OfferBody(msgspec.Struct, kw_only=True):
    """What the template ``offer`` stands for in one segment."""

    template: str
    params: dict[str, Any] | None = None


class SettingsBody(msgspec.Struct, kw_only=True):
    """A tenant's settings as people write them; every key may be left out."""

    name: str | None = None
    preset: PresetName | None = None
    timezone: str | None = None
    country: Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Z]{2}$"})] | None = None
    currency: Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Z]{3}$"})] | None = None
    locale: str | None = None
    branches: dict[str, BranchBody] | None = None
    scoring: ScoringBody | None = None
    average_check_minor: Annotated[int, Meta(ge=1, le=10**13)] | None = None
    quiet_hours: tuple[TimeOfDayText, TimeOfDayText] | None = None
    quiet_utility: tuple[TimeOfDayText, TimeOfDayText] | None = None
    caps: list[CapBody] | None = None
    holdout_percent: Percent | None = None
    return_days: ReturnDays | None = None
    consent_default: Consent | None = None
    channel_policy: dict[Category, list[str]] | None = None
    watched: bool | None = None
    offers: dict[SegmentText, OfferBody] | None = None
    triggers: list[AnyTriggerBody] | None = None
