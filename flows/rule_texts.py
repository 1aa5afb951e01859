"""Say a tenant's rules in whole sentences, in English and in Russian.

Takes: a trigger and the settings that it stands in; a locale, ``en`` or ``ru``
Out:   one sentence a rule: who gets what, how, when, how often, under which condition
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flows.resolved import segment_texts, time_text
from schemas.durations import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.settings import TenantSettings
from schemas.triggers import OFFER_TEMPLATE, Trigger

_NAMES = {
    "whatsapp": "WhatsApp",
    "sms": "SMS",
    "telegram": "Telegram",
    "viber": "Viber",
    "instagram": "Instagram",
    "vk": "VK",
}
_UNITS = (DAY_MS, HOUR_MS, MINUTE_MS)
_MINUTES, _MESSAGES = 2, 3
_HOURS_OF_DAYS = 3
"""Up to so many whole days are told in hours: nobody reminds a day before, but 24 hours."""


@dataclass(frozen=True)
class Sentences:
    """What is said in one language; ``{…}`` are filled in by the functions below."""

    count: Callable[[int, int], str]
    """A number of days (0), hours (1), minutes (2) or messages (3) in words."""
    number: Callable[[float], str]
    either: str
    otherwise: str
    way: Mapping[str, str]
    """How a channel is named behind ``by``; ``""`` for those that are not listed."""
    everybody: str
    inside: str
    who: Mapping[str, str]
    """By kind: what else is true of the customer."""
    gets: str
    template: str
    offer: str
    birthday: tuple[str, str, str]
    """On the day, before it, after it."""
    before_visit: str
    after_visit: str
    after_days: str
    after_intervals: str
    of_service: str
    at: str
    later: str
    at_once: str
    entered_from: str
    words: str
    seldom: str
    agreed: str
    stale: str
    quiet: tuple[str, str]
    """Marketing, utility."""
    cap: tuple[str, str]
    """In one day, in several."""
    holdout: str
    unknown: Mapping[str, str]
    """By ``consent_default``."""


def _english_count(number: int, unit: int) -> str:
    name = ("day", "hour", "minute", "message")[unit]
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


_RUSSIAN_FORMS = (
    ("день", "дня", "дней"),
    ("час", "часа", "часов"),
    ("минуту", "минуты", "минут"),
    ("сообщения", "сообщений", "сообщений"),  # after "no more than"
)


def _russian_count(number: int, unit: int) -> str:
    one, few, many = _RUSSIAN_FORMS[unit]
    if number % 10 == 1 and number % 100 != 11:
        return f"{number} {one}"
    if 2 <= number % 10 <= 4 and not 12 <= number % 100 <= 14:
        return f"{number} {few}"
    return f"{number} {many}"


ENGLISH = Sentences(
    count=_english_count,
    number=lambda value: f"{value:g}",
    either=" or ",
    otherwise=", else ",
    way={"": "{name}"},
    everybody="Every customer",
    inside=" in {segments}",
    who={
        "reminder": " with a booking",
        "after_visit": " who came",
        "rebook": " who has nothing booked",
        "winback": " who has not come for {days} and has nothing booked",
        "no_show": " who missed or cancelled a visit and has nothing booked",
        "segment_entered": " who enters {segments}{origins}",
        "reply": " who writes{words}",
    },
    gets="{who} gets {what} by {channels}, {when}",
    template="«{template}»",
    offer="the offer of their segment",
    birthday=(
        "on their birthday at {at}",
        "{days} before their birthday at {at}",
        "{days} after their birthday at {at}",
    ),
    before_visit="{duration} before the visit",
    after_visit="{duration} after the visit ends",
    after_days="{days} after the last visit{service}",
    after_intervals="{factor} × their own usual interval after the last visit{service}",
    of_service=" for «{service}»",
    at="at {at}",
    later="{duration} later",
    at_once="at once",
    entered_from=" from {segments}",
    words=" {words}",
    seldom=", at most once in {days}",
    agreed=", if marketing is agreed to",
    stale="; never later than {duration} after that",
    quiet=(
        "Marketing is sent from {end} to {start} only, and waits until then.",
        "Reminders and answers are sent from {end} to {start} only.",
    ),
    cap=(
        "One customer gets at most {most} of marketing a day.",
        "One customer gets at most {most} of marketing in {days}.",
    ),
    holdout="{percent} of 100 customers get no marketing, so that its effect can be told.",
    unknown={
        "deny": "Who has not agreed to marketing gets none.",
        "allow": "Who has not refused marketing gets it.",
    },
)

RUSSIAN = Sentences(
    count=_russian_count,
    number=lambda value: f"{value:g}".replace(".", ","),
    either=" или ",
    otherwise=", иначе ",
    way={"": "в {name}", "sms": "по {name}", "email": "по почте", "call": "звонком"},
    everybody="Каждый клиент",
    inside=" из {segments}",
    who={
        "reminder": " с записью",
        "after_visit": ", который пришёл,",
        "rebook": ", который никуда не записан,",
        "winback": ", который не был {days} и никуда не записан,",
        "no_show": ", который не пришёл или отменил визит и никуда не записан,",
        "segment_entered": ", который попал в {segments}{origins},",
        "reply": ", который пишет{words},",
    },
    gets="{who} получает {what} {channels} {when}",
    template="«{template}»",
    offer="предложение своего сегмента",
    birthday=(
        "в день рождения в {at}",
        "за {days} до дня рождения в {at}",
        "через {days} после дня рождения в {at}",
    ),
    before_visit="за {duration} до визита",
    after_visit="через {duration} после визита",
    after_days="через {days} после последнего визита{service}",
    after_intervals="через {factor} своего обычного промежутка после последнего визита{service}",
    of_service=" на «{service}»",
    at="в {at}",
    later="через {duration}",
    at_once="сразу",
    entered_from=" из {segments}",
    words=" {words}",
    seldom=", не чаще раза в {days}",
    agreed=", если согласен на рекламу",
    stale="; позже чем через {duration} не отправляется",
    quiet=(
        "Реклама уходит только с {end} до {start}, остальное время ждёт.",
        "Напоминания и ответы уходят только с {end} до {start}.",
    ),
    cap=(
        "Одному клиенту уходит не больше {most} рекламы в день.",
        "Одному клиенту уходит не больше {most} рекламы за {days}.",
    ),
    holdout="{percent} из 100 клиентов рекламы не получают: с ними сравнивают.",
    unknown={
        "deny": "Кто не дал согласия на рекламу, её не получает.",
        "allow": "Кто не отказался от рекламы, её получает.",
    },
)

SENTENCES = {"en": ENGLISH, "ru": RUSSIAN}


def rule_text(trigger: Trigger, say: Sentences) -> str:
    """``Every customer in 133 who has not come for 60 days … gets «winback_ru» by WhatsApp, …``."""
    what = say.offer if trigger.template == OFFER_TEMPLATE else say.template
    text = say.gets.format(
        who=_who(trigger, say),
        what=what.format(template=trigger.template),
        channels=_channels(trigger.channels, say),
        when=_when(trigger, say),
    )
    if trigger.cooldown_days:
        text += say.seldom.format(days=say.count(trigger.cooldown_days, 0))
    if trigger.category == "marketing":
        text += say.agreed
    if trigger.ttl_ms is not None:
        text += say.stale.format(duration=duration(trigger.ttl_ms, say))
    return f"{text}."


def conduct_texts(settings: TenantSettings, say: Sentences) -> list[str]:
    """What holds for all rules: quiet hours, caps, consent, holdout."""
    texts = [
        text.format(start=time_text(start), end=time_text(end))
        for text, (start, end) in zip(
            say.quiet, (settings.quiet_hours, settings.quiet_utility), strict=True
        )
        if start != end
    ]
    for cap in settings.caps:
        days = say.count(cap.per_days, 0)
        most = say.count(cap.max, _MESSAGES)
        texts.append(say.cap[cap.per_days > 1].format(most=most, days=days))
    texts.append(say.unknown[settings.consent_default])
    if settings.holdout_percent:
        texts.append(say.holdout.format(percent=settings.holdout_percent))
    return texts


def duration(ms: int, say: Sentences) -> str:
    """``24 hours``, ``1 hour 30 minutes``, ``4 days``."""
    parts = []
    for unit, size in enumerate(_UNITS):
        if unit == 0 and (ms % DAY_MS or ms <= _HOURS_OF_DAYS * DAY_MS):
            continue
        whole, ms = divmod(ms, size)
        if whole:
            parts.append(say.count(whole, unit))
    return " ".join(parts) or say.count(0, _MINUTES)


def _who(trigger: Trigger, say: Sentences) -> str:
    """Whom the rule is for; an entered segment tells it itself."""
    entered = trigger.kind == "segment_entered"
    who = say.everybody
    if trigger.segments and not entered:
        who += say.inside.format(segments=_listed(segment_texts(trigger.segments), say))
    origins = ""
    if trigger.from_segments:
        told = _listed(segment_texts(trigger.from_segments), say)
        origins = say.entered_from.format(segments=told)
    words = say.words.format(words=_listed([f"«{word}»" for word in trigger.match], say))
    return who + say.who.get(trigger.kind, "").format(
        days=say.count(trigger.after_days, 0),
        segments=_listed(segment_texts(trigger.segments), say),
        origins=origins,
        words=words if trigger.match else "",
    )


def _when(trigger: Trigger, say: Sentences) -> str:
    at = time_text(trigger.at_minute)
    days = trigger.days_before
    match trigger.kind:
        case "birthday":
            text = say.birthday[0 if not days else 1 + (days < 0)]
            return text.format(at=at, days=say.count(abs(days), 0))
        case "reminder":
            return say.before_visit.format(duration=duration(trigger.before_ms, say))
        case "after_visit":
            return say.after_visit.format(duration=duration(trigger.after_ms, say))
        case "no_show" if trigger.after_ms:
            return say.later.format(duration=duration(trigger.after_ms, say))
        case "rebook":
            return _rebook(trigger, say)
        case "winback":
            return say.at.format(at=at)
        case _:
            return say.at_once


def _rebook(trigger: Trigger, say: Sentences) -> str:
    service = say.of_service.format(service=trigger.service) if trigger.service else ""
    if trigger.interval_factor is not None:
        factor = say.number(trigger.interval_factor)
        return say.after_intervals.format(factor=factor, service=service)
    return say.after_days.format(days=say.count(trigger.after_days, 0), service=service)


def _channels(channels: Sequence[str], say: Sentences) -> str:
    ways = (say.way.get(channel, say.way[""]) for channel in channels)
    named = [
        way.format(name=_NAMES.get(channel, channel))
        for way, channel in zip(ways, channels, strict=True)
    ]
    return say.otherwise.join(named)


def _listed(texts: Sequence[str], say: Sentences) -> str:
    """``133, 132 or 131``."""
    if len(texts) < 2:
        return "".join(texts)
    return ", ".join(texts[:-1]) + say.either + texts[-1]
