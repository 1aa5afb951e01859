"""A tenant's settings as a table again, with every default filled in.

In:    ``TenantSettings``
Out:   a table as people write it: parsed again, it gives the same settings
"""

from __future__ import annotations

from typing import Any

from schemas.durations import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.segments import code_text
from schemas.settings import TenantSettings
from schemas.triggers import Trigger

_LONG_DAYS = 3

Table = dict[str, Any]


def duration_text(ms: int) -> str:
    """``90m`` is ``1h30m``; whole days from four on are days."""
    if ms % DAY_MS == 0 and ms > _LONG_DAYS * DAY_MS:
        return f"{ms // DAY_MS}d"
    hours, minutes = ms // HOUR_MS, ms % HOUR_MS // MINUTE_MS
    if not hours:
        return f"{minutes}m"
    return f"{hours}h{minutes}m" if minutes else f"{hours}h"


def time_text(minute: int) -> str:
    """``11:00``."""
    return f"{minute // 60:02}:{minute % 60:02}"


def segment_texts(codes: frozenset[int]) -> list[str]:
    """The best first."""
    return [code_text(code) for code in sorted(codes, reverse=True)]


def resolved(settings: TenantSettings) -> Table:
    """Every key that has a value, in the order of the contracts."""
    table: Table = {
        "name": settings.name,
        "preset": settings.preset,
        "timezone": settings.timezone,
        "country": settings.country,
        "currency": settings.currency,
        "locale": settings.locale,
        "branches": {branch: {"timezone": zone} for branch, zone in settings.branches.items()},
        "scoring": {
            "window_days": settings.window_days,
            "recency_days": list(settings.recency_days),
            "frequency": list(settings.frequency),
            "monetary": "tertiles" if settings.monetary is None else list(settings.monetary),
        },
        "average_check_minor": settings.average_check_minor,
        "quiet_hours": [time_text(minute) for minute in settings.quiet_hours],
        "quiet_utility": [time_text(minute) for minute in settings.quiet_utility],
        "caps": [{"per_days": cap.per_days, "max": cap.max} for cap in settings.caps],
        "holdout_percent": settings.holdout_percent,
        "return_days": settings.return_days,
        "consent_default": settings.consent_default,
        "channel_policy": {
            category: [f"!{channel}" for channel in sorted(channels)]
            for category, channels in settings.banned_channels.items()
        },
        "watched": settings.watched,
        "offers": {
            code_text(code): {"template": offer.template, "params": offer.params}
            for code, offer in settings.offers.items()
        },
        "triggers": [resolved_trigger(trigger) for trigger in settings.triggers],
    }
    return {key: value for key, value in table.items() if value is not None}


def resolved_trigger(trigger: Trigger) -> Table:
    """A trigger with what its kind ships."""
    table: Table = {
        "id": trigger.id,
        "kind": trigger.kind,
        **_keys_of_kind(trigger),
        "channels": list(trigger.channels),
        "template": trigger.template,
        "category": trigger.category,
        "priority": trigger.priority,
        "ttl": None if trigger.ttl_ms is None else duration_text(trigger.ttl_ms),
        "cooldown_days": trigger.cooldown_days,
        "segments": segment_texts(trigger.segments) or None,
        "locale": trigger.locale,
        "params": trigger.params,
    }
    return {key: value for key, value in table.items() if value is not None}


def _keys_of_kind(trigger: Trigger) -> Table:
    match trigger.kind:
        case "birthday":
            return {"at": time_text(trigger.at_minute), "days_before": trigger.days_before}
        case "reminder":
            return {"before": duration_text(trigger.before_ms)}
        case "after_visit" | "no_show":
            return {"after": duration_text(trigger.after_ms)}
        case "rebook":
            return {
                "after_days": trigger.after_days or None,
                "interval_factor": trigger.interval_factor,
                "service": trigger.service,
            }
        case "winback":
            return {"after_days": trigger.after_days, "at": time_text(trigger.at_minute)}
        case "segment_entered":
            return {"from": segment_texts(trigger.from_segments) or None}
        case _:
            return {"match": list(trigger.match) or None}
