"""A tenant's rules that decide that a message is due, as written and as used.

Takes: nothing; settings parse their list of triggers through here
Units: durations in ms, times of day in minutes after local midnight
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from schemas.durations import (
    DURATION_PATTERN,
    HOUR_MS,
    TIME_OF_DAY_PATTERN,
    parse_duration,
    parse_time_of_day,
)
from schemas.mistakes import SettingsError, convert, shown, unknown
from schemas.segments import CODES

Category = Literal["marketing", "utility"]
CATEGORIES: tuple[str, ...] = get_args(Category)

OFFER_TEMPLATE = "offer"
"""The template name that stands for the offer of the customer's segment."""

DurationText = Annotated[
    str, Meta(extra_json_schema={"pattern": DURATION_PATTERN, "examples": ["24h"]})
]
TimeOfDayText = Annotated[
    str, Meta(extra_json_schema={"pattern": TIME_OF_DAY_PATTERN, "examples": ["11:00"]})
]
SegmentText = Annotated[str, Meta(extra_json_schema={"enum": list(CODES)})]
ChannelText = Annotated[str, Meta(extra_json_schema={"pattern": r"^[a-z][a-z0-9_]{0,31}$"})]
Days = Annotated[int, Meta(ge=0, le=3660)]
SomeDays = Annotated[int, Meta(ge=1, le=3660)]

_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
_LONGEST_ID = 100


class TriggerBody(msgspec.Struct, tag_field="kind", kw_only=True):
    """What every kind of trigger may say."""

    id: str
    channels: list[ChannelText]
    template: str
    category: Category | None = None
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | None = None
    ttl: DurationText | None = None
    segments: list[SegmentText] | None = None
    params: dict[str, Any] | None = None
    locale: str | None = None
    cooldown_days: Days | None = None


class BirthdayBody(TriggerBody, tag="birthday", kw_only=True):
    """The customer's local birthday, or days before (negative: after) it."""

    at: TimeOfDayText = "10:00"
    days_before: Annotated[int, Meta(ge=-180, le=180)] = 0


class ReminderBody(TriggerBody, tag="reminder", kw_only=True):
    """A set time before a booked visit starts."""

    before: DurationText


class AfterVisitBody(TriggerBody, tag="after_visit", kw_only=True):
    """A set time after an attended visit ends."""

    after: DurationText


class RebookBody(TriggerBody, tag="rebook", kw_only=True):
    """Days after the last visit (of a service), or a multiple of the customer's own interval."""

    after_days: SomeDays | None = None
    interval_factor: Annotated[float, Meta(gt=0, le=100)] | None = None
    service: str | None = None


class WinbackBody(TriggerBody, tag="winback", kw_only=True):
    """Recency crosses a number of days."""

    after_days: SomeDays
    at: TimeOfDayText = "10:00"


class NoShowBody(TriggerBody, tag="no_show", kw_only=True):
    """A visit was missed, or cancelled by the customer."""

    after: DurationText


class SegmentEnteredBody(TriggerBody, tag="segment_entered", kw_only=True):
    """The customer enters one of ``segments``, optionally from one of ``from``."""

    segments: list[SegmentText]
    from_: list[SegmentText] | None = msgspec.field(default=None, name="from")


class ReplyBody(TriggerBody, tag="reply", kw_only=True):
    """An incoming message of a kind."""

    match: str | list[str] | None = None


AnyTriggerBody = (
    BirthdayBody
    | ReminderBody
    | AfterVisitBody
    | RebookBody
    | WinbackBody
    | NoShowBody
    | SegmentEnteredBody
    | ReplyBody
)


class Shipped(NamedTuple):
    """What a kind of trigger has where its settings say nothing."""

    category: str
    priority: int
    ttl_ms: int | None
    cooldown_days: int


SHIPPED = {
    "reminder": Shipped("utility", 0, None, 0),
    "reply": Shipped("utility", 0, HOUR_MS, 0),
    "after_visit": Shipped("marketing", 20, 24 * HOUR_MS, 0),
    "birthday": Shipped("marketing", 60, 12 * HOUR_MS, 300),
    "no_show": Shipped("marketing", 50, 24 * HOUR_MS, 7),
    "rebook": Shipped("marketing", 40, 72 * HOUR_MS, 14),
    "winback": Shipped("marketing", 30, 72 * HOUR_MS, 90),
    "segment_entered": Shipped("marketing", 30, 72 * HOUR_MS, 30),
}
KINDS = tuple(SHIPPED)


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, ready for the fold; keys that its kind does not have keep their empty values."""

    id: str
    kind: str
    category: str
    priority: int
    ttl_ms: int | None
    """``None``: until the visit starts (reminders)."""
    cooldown_days: int
    channels: tuple[str, ...]
    template: str
    params: dict[str, Any]
    locale: str | None
    segments: frozenset[int]
    """Who may get it, and for ``segment_entered`` the segments entered; empty: everybody."""
    from_segments: frozenset[int] = frozenset()
    """``segment_entered``: where the customer came from; empty: anywhere."""
    before_ms: int = 0
    after_ms: int = 0
    at_minute: int = 0
    days_before: int = 0
    after_days: int = 0
    """``rebook`` with an ``interval_factor`` has 0 here."""
    interval_factor: float | None = None
    service: str | None = None
    match: tuple[str, ...] = ()
    """``reply``: kinds or words; empty: any message."""

    @property
    def is_marketing(self) -> bool:
        """Else it is utility."""
        return self.category == "marketing"

    @property
    def names_service(self) -> bool:
        """Visits of one service count, else all."""
        return self.service is not None


def parse_triggers(raw: object, path: str, offers: frozenset[int]) -> tuple[Trigger, ...]:
    """The triggers of a settings table; ``offers`` are the segments that have an offer."""
    if not isinstance(raw, list | tuple):
        raise SettingsError(path, f"expected a list: {shown(raw)}")
    triggers: list[Trigger] = []
    first_at: dict[str, int] = {}
    for index, item in enumerate(raw):
        at = f"{path}[{index}]"
        trigger = _parse_trigger(item, at, offers)
        if trigger.id in first_at:
            first = f"triggers[{first_at[trigger.id]}]"
            raise SettingsError(f"{at}.id", f"already used by {first}: {shown(trigger.id)}")
        first_at[trigger.id] = index
        triggers.append(trigger)
    return tuple(triggers)


def segment_codes(texts: list[str], path: str) -> frozenset[int]:
    """The codes of a list of segments; empty lists are mistakes, they would mean nobody."""
    if not texts:
        raise SettingsError(path, "an empty list means nobody; leave the key out for everybody")
    codes: set[int] = set()
    for index, text in enumerate(texts):
        if text not in CODES:
            raise unknown(f"{path}[{index}]", "segment", text)
        codes.add(CODES[text])
    return frozenset(codes)


def duration_ms(text: str, path: str, *, least_ms: int = 0) -> int:
    """Milliseconds of a duration in settings."""
    value = parse_duration(text)
    if value is None:
        raise SettingsError(path, f"not a duration: {shown(text)}")
    if value < least_ms:
        raise SettingsError(path, f"too short: {shown(text)}")
    return value


def minute_of_day(text: str, path: str) -> int:
    """Minutes after midnight of a time of day in settings."""
    value = parse_time_of_day(text)
    if value is None:
        raise SettingsError(path, f"not a time of day: {shown(text)}")
    return value


def channel_name(text: str, path: str, *, shown_as: str | None = None) -> str:
    """A channel's name: a lower-case word such as ``whatsapp``."""
    if _CHANNEL.fullmatch(text) is None:
        raise SettingsError(path, f"not a channel: {shown(shown_as or text)}")
    return text


def _parse_trigger(raw: object, path: str, offers: frozenset[int]) -> Trigger:
    known = {"kind": KINDS, "category": CATEGORIES}
    body: AnyTriggerBody = convert(raw, AnyTriggerBody, path, known)  # type: ignore[arg-type]  # a union is no type to mypy
    kind = str(body.__struct_config__.tag)
    shipped = SHIPPED[kind]
    _check_id(body.id, f"{path}.id")
    if not body.template:
        raise SettingsError(f"{path}.template", "missing")
    minute = 60_000
    ttl_ms = shipped.ttl_ms
    if body.ttl is not None:
        ttl_ms = duration_ms(body.ttl, f"{path}.ttl", least_ms=minute)
    return Trigger(
        id=body.id,
        kind=kind,
        category=shipped.category if body.category is None else body.category,
        priority=shipped.priority if body.priority is None else body.priority,
        ttl_ms=ttl_ms,
        cooldown_days=(shipped.cooldown_days if body.cooldown_days is None else body.cooldown_days),
        channels=_channels(body.channels, f"{path}.channels"),
        template=body.template,
        params=body.params or {},
        locale=body.locale,
        segments=_segments(body, path, offers),
        **_keys_of_kind(body, path),
    )


def _check_id(text: str, path: str) -> None:
    """Ids are hashed between separators and shown in tables, so they hold no control characters."""
    if not text:
        raise SettingsError(path, "missing")
    if len(text) > _LONGEST_ID or not text.isprintable():
        raise SettingsError(path, f"not an id: {shown(text)}")


def _channels(names: list[str], path: str) -> tuple[str, ...]:
    if not names:
        raise SettingsError(path, "at least one channel is needed")
    for index, name in enumerate(names):
        channel_name(name, f"{path}[{index}]")
        if name in names[:index]:
            raise SettingsError(f"{path}[{index}]", f"named twice: {shown(name)}")
    return tuple(names)


def _segments(body: TriggerBody, path: str, offers: frozenset[int]) -> frozenset[int]:
    """Who may get it; with template ``offer`` only segments that have one of the tenant's offers.

    Where there are no such offers every segment has what the catalogue suggests.
    """
    uses_offers = body.template == OFFER_TEMPLATE and bool(offers)
    if body.segments is None:
        return offers if uses_offers else frozenset()
    codes = segment_codes(body.segments, f"{path}.segments")
    if uses_offers:
        for index, text in enumerate(body.segments):
            if CODES[text] not in offers:
                raise SettingsError(f"{path}.segments[{index}]", f"no offer for {shown(text)}")
    return codes


def _keys_of_kind(body: AnyTriggerBody, path: str) -> dict[str, Any]:
    """The resolved keys that only this kind has, by their names in ``Trigger``."""
    match body:
        case BirthdayBody():
            return {
                "at_minute": minute_of_day(body.at, f"{path}.at"),
                "days_before": body.days_before,
            }
        case ReminderBody():
            return {"before_ms": duration_ms(body.before, f"{path}.before", least_ms=60_000)}
        case AfterVisitBody() | NoShowBody():
            return {"after_ms": duration_ms(body.after, f"{path}.after")}
        case RebookBody():
            if (body.after_days is None) == (body.interval_factor is None):
                raise SettingsError(
                    f"{path}.after_days", "give either after_days or interval_factor"
                )
            return {
                "after_days": body.after_days or 0,
                "interval_factor": body.interval_factor,
                "service": body.service,
            }
        case WinbackBody():
            return {
                "after_days": body.after_days,
                "at_minute": minute_of_day(body.at, f"{path}.at"),
            }
        case SegmentEnteredBody():
            if body.from_ is None:
                return {}
            return {"from_segments": segment_codes(body.from_, f"{path}.from")}
        case ReplyBody():
            words = [body.match] if isinstance(body.match, str) else body.match or []
            return {"match": tuple(words)}
