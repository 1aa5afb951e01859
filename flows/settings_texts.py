"""What ``flowsell settings check`` says of a tenant, in English and in Russian.

Takes: a locale, ``en`` or ``ru``; a tenant's settings
Out:   lines of text; both languages hold the same phrases
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.resolved import duration_text, segment_texts, time_text
from flows.texts import TEXTS
from schemas.settings import TenantSettings
from schemas.triggers import Trigger


@dataclass(frozen=True)
class Phrases:
    """Phrases of one language; ``{…}`` are filled in by ``summary``."""

    locale: str
    thousands: str
    correct: str
    titles: tuple[str, str, str, str, str, str, str]
    """Preset, zone, money, R, F, M, triggers."""
    window: str
    branches: str
    no_currency: str
    country: str
    no_country: str
    recency: str
    frequency: str
    sums: str
    tertiles: str
    few_known: str
    few_found: str
    categories: Mapping[str, str]
    units: Mapping[str, str]
    """What stands for d, h and m behind a number."""
    birthday: tuple[str, str, str]
    """On the day, days before it, days after it."""
    reminder: str
    after_visit: str
    rebook: tuple[str, str]
    """After days, after a multiple of the customer's own interval."""
    service: str
    winback: str
    no_show: str
    entered: tuple[str, str]
    """From anywhere, from some segments."""
    reply: tuple[str, str]
    """On any message, on some."""
    only: str
    no_triggers: str

    def number(self, value: int) -> str:
        """``12,345`` or ``12 345``."""
        return f"{value:,}".replace(",", self.thousands)

    def sum(self, minor: int, settings: TenantSettings) -> str:
        """A sum in the currency's major unit; cents only where there are some."""
        whole, rest = divmod(minor, 10**settings.currency_exponent)
        cents = f".{rest:0{settings.currency_exponent}}" if rest else ""
        return f"{self.number(whole)}{cents} {settings.currency or ''}".rstrip()

    def duration(self, ms: int) -> str:
        """``1h30m``, with this language's units."""
        text = duration_text(ms)
        for letter, unit in self.units.items():
            text = text.replace(letter, unit)
        return text.strip()


ENGLISH = Phrases(
    locale="en",
    thousands=",",
    correct="Correct. Tenants: {tenants}, triggers: {triggers}",
    titles=("preset", "zone", "money", "recency", "frequency", "monetary", "triggers"),
    window="{preset}, window of {days} days",
    branches="; branches of their own: {branches}",
    no_currency="any currency",
    country="phones as in {country}",
    no_country="phones need a +",
    recency="3 within {three} days, 2 within {two}, 1 longer ago",
    frequency="3 from {three} visit days, 2 from {two}, 1 fewer",
    sums="3 from {three}, 2 from {two}, 1 less",
    tertiles="thirds of the customers, anew each day; of fewer than 300: ",
    few_known="3 from {three}, 2 from {two}",
    few_found="3 from {three} average checks, 2 from {two}",
    categories={"marketing": "marketing", "utility": "utility"},
    units={"d": " days", "h": "h ", "m": "min"},
    birthday=(
        "on the birthday at {at}",
        "{days} days before the birthday at {at}",
        "{days} days after the birthday at {at}",
    ),
    reminder="{duration} before the visit",
    after_visit="{duration} after the visit",
    rebook=("{days} days after the last visit", "{factor} × the usual interval after it"),
    service=" of {service}",
    winback="{days} days after the last visit, at {at}",
    no_show="{duration} after a missed visit",
    entered=("on entering {segments}", "on entering {segments} from {origins}"),
    reply=("on any message", "on a message: {words}"),
    only="only {segments}",
    no_triggers="none",
)

RUSSIAN = Phrases(
    locale="ru",
    thousands=" ",
    correct="Всё верно. Компаний: {tenants}, триггеров: {triggers}",
    titles=("пресет", "зона", "деньги", "давность", "частота", "сумма", "триггеры"),
    window="{preset}, окно {days} дн.",
    branches="; у филиалов своя: {branches}",
    no_currency="любая валюта",
    country="телефоны как в {country}",
    no_country="телефоны только с +",
    recency="3 до {three} дн., 2 до {two}, 1 дольше",
    frequency="3 от {three} дней с визитами, 2 от {two}, 1 меньше",
    sums="3 от {three}, 2 от {two}, 1 меньше",
    tertiles="трети клиентов, каждый день заново; если клиентов меньше 300: ",
    few_known="3 от {three}, 2 от {two}",
    few_found="3 от {three} средних чеков, 2 от {two}",
    categories={"marketing": "маркетинг", "utility": "сервисное"},
    units={"d": " дн.", "h": " ч ", "m": " мин"},
    birthday=(
        "в день рождения в {at}",
        "за {days} дн. до дня рождения в {at}",
        "через {days} дн. после дня рождения в {at}",
    ),
    reminder="за {duration} до визита",
    after_visit="через {duration} после визита",
    rebook=(
        "через {days} дн. после последнего визита",
        "через {factor} обычного промежутка после него",
    ),
    service=" на {service}",
    winback="через {days} дн. после последнего визита в {at}",
    no_show="через {duration} после неявки",
    entered=("вход в {segments}", "вход в {segments} из {origins}"),
    reply=("на любое сообщение", "на сообщение: {words}"),
    only="только {segments}",
    no_triggers="нет",
)

PHRASES = {"en": ENGLISH, "ru": RUSSIAN}


def summary(tenant: str, settings: TenantSettings, phrases: Phrases) -> list[str]:
    """A tenant's settings in a few lines."""
    said = (
        phrases.window.format(preset=settings.preset, days=settings.window_days),
        settings.timezone + _branches(settings, phrases),
        f"{settings.currency or phrases.no_currency}; {_country(settings, phrases)}",
        _bounds(phrases.recency, settings.recency_days),
        _bounds(phrases.frequency, settings.frequency),
        _monetary(settings, phrases),
        "" if settings.triggers else phrases.no_triggers,
    )
    width = max(map(len, phrases.titles))
    lines = [f"{tenant} · {settings.name}" if settings.name else tenant]
    lines += [
        f"  {title:<{width}}  {text}".rstrip()
        for title, text in zip(phrases.titles, said, strict=True)
    ]
    return lines + trigger_lines(settings, phrases)


def trigger_lines(settings: TenantSettings, phrases: Phrases) -> list[str]:
    """One line for each trigger, in columns."""
    rows = [
        (
            trigger.id,
            TEXTS[phrases.locale].kinds[trigger.kind],
            when(trigger, phrases),
            ", ".join(trigger.channels),
            phrases.categories[trigger.category],
            _only(trigger, phrases),
        )
        for trigger in settings.triggers
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "    " + "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def when(trigger: Trigger, phrases: Phrases) -> str:
    """When a trigger is due."""
    at = time_text(trigger.at_minute)
    match trigger.kind:
        case "birthday":
            days = trigger.days_before
            return phrases.birthday[0 if not days else 1 + (days < 0)].format(at=at, days=abs(days))
        case "reminder":
            return phrases.reminder.format(duration=phrases.duration(trigger.before_ms))
        case "after_visit":
            return phrases.after_visit.format(duration=phrases.duration(trigger.after_ms))
        case "no_show":
            return phrases.no_show.format(duration=phrases.duration(trigger.after_ms))
        case "rebook":
            days, factor = trigger.after_days, trigger.interval_factor
            said = phrases.rebook[factor is not None].format(days=days, factor=factor)
            return said + phrases.service.format(service=trigger.service) * bool(trigger.service)
        case "winback":
            return phrases.winback.format(days=trigger.after_days, at=at)
        case "segment_entered":
            segments = " ".join(segment_texts(trigger.segments))
            origins = " ".join(segment_texts(trigger.from_segments))
            return phrases.entered[bool(origins)].format(segments=segments, origins=origins)
        case _:
            return phrases.reply[bool(trigger.match)].format(words=", ".join(trigger.match))


def _bounds(text: str, bounds: tuple[int, int]) -> str:
    return text.format(three=bounds[0], two=bounds[1])


def _country(settings: TenantSettings, phrases: Phrases) -> str:
    if settings.country is None:
        return phrases.no_country
    return phrases.country.format(country=settings.country)


def _branches(settings: TenantSettings, phrases: Phrases) -> str:
    if not settings.branches:
        return ""
    zones = ", ".join(f"{branch} {zone}" for branch, zone in settings.branches.items())
    return phrases.branches.format(branches=zones)


def _monetary(settings: TenantSettings, phrases: Phrases) -> str:
    if settings.monetary is not None:
        three, two = (phrases.sum(bound, settings) for bound in settings.monetary)
        return phrases.sums.format(three=three, two=two)
    check = settings.average_check_minor
    if check is None:
        return phrases.tertiles + _bounds(phrases.few_found, settings.frequency)
    three, two = (phrases.sum(bound * check, settings) for bound in settings.frequency)
    return phrases.tertiles + phrases.few_known.format(three=three, two=two)


def _only(trigger: Trigger, phrases: Phrases) -> str:
    if not trigger.segments or trigger.kind == "segment_entered":
        return ""
    return phrases.only.format(segments=" ".join(segment_texts(trigger.segments)))
