"""What ``flowsell settings check`` says of a tenant, in English and in Russian.

Takes: a locale, ``en`` or ``ru``; a tenant's settings
Out:   lines of text; both languages hold the same phrases
"""

from __future__ import annotations

from dataclasses import dataclass

from flows.rule_texts import SENTENCES, conduct_texts, rule_text
from schemas.settings import TenantSettings


@dataclass(frozen=True)
class Phrases:
    """Phrases of one language; ``{…}`` are filled in by ``summary``."""

    locale: str
    thousands: str
    correct: str
    titles: tuple[str, str, str, str, str, str, str]
    """Preset, zone, money, R, F, M, triggers."""
    all_triggers: str
    """Title of what holds for all of them."""
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
    no_triggers: str

    def number(self, value: int) -> str:
        """``12,345`` or ``12 345``."""
        return f"{value:,}".replace(",", self.thousands)

    def sum(self, minor: int, settings: TenantSettings) -> str:
        """A sum in the currency's major unit; cents only where there are some."""
        whole, rest = divmod(minor, 10**settings.currency_exponent)
        cents = f".{rest:0{settings.currency_exponent}}" if rest else ""
        return f"{self.number(whole)}{cents} {settings.currency or ''}".rstrip()


ENGLISH = Phrases(
    locale="en",
    thousands=",",
    correct="Correct. Tenants: {tenants}, triggers: {triggers}",
    titles=("preset", "zone", "money", "recency", "frequency", "monetary", "triggers"),
    all_triggers="for all",
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
    no_triggers="none",
)

RUSSIAN = Phrases(
    locale="ru",
    thousands=" ",
    correct="Всё верно. Компаний: {tenants}, триггеров: {triggers}",
    titles=("пресет", "зона", "деньги", "давность", "частота", "сумма", "триггеры"),
    all_triggers="для всех",
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
    """A sentence for each trigger, then what holds for all of them."""
    if not settings.triggers:
        return []
    say = SENTENCES[phrases.locale]
    width = max(len(trigger.id) for trigger in settings.triggers)
    lines = [
        f"    {trigger.id:<{width}}  {rule_text(trigger, say)}" for trigger in settings.triggers
    ]
    lines.append(f"  {phrases.all_triggers}")
    return lines + [f"    {text}" for text in conduct_texts(settings, say)]


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
