"""What ``flowsell explain`` says, in English and in Russian.

Takes: a locale, ``en`` or ``ru``
Out:   ``PathTexts``; a moment or a feature in words
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from flows.customer_path import CustomerPath, Moment, Thresholds
from flows.texts import TEXTS, Texts
from schemas.currencies import EXPONENTS, UNKNOWN_EXPONENT
from schemas.outputs import Consent, Profile


@dataclass(frozen=True)
class PathTexts:
    """Phrases of one language; ``{…}`` are filled in by the functions below."""

    words: Texts
    moments: Mapping[str, str]
    messages: Mapping[str, str]
    """What became of a message."""
    causes: Mapping[str, str]
    reasons: Mapping[str, str]
    imported: str
    bare: str
    """Of a command that is out of reach."""
    digits: Mapping[str, str]
    """What a digit was scored by, by its letter."""
    rows: Mapping[str, str]
    """Names of the lines of the head."""
    features: Mapping[str, tuple[str, str]]
    """Of R, F and M the value, and what it is compared with."""
    window: str
    unbounded: str
    never_came: str
    consent: Mapping[bool, str]
    sources: Mapping[str, str]
    unknown_consent: Mapping[str, str]
    forgotten: str
    merged_into: str
    missing: Mapping[str, str]
    earlier: str
    nothing: str
    as_of: str
    times: str


ENGLISH = PathTexts(
    words=TEXTS["en"],
    moments={
        "booked": "books {visit}{what}",
        "confirmed": "confirms {visit}",
        "moved": "the booking of {was} moves to {visit}",
        "attended": "comes on {visit}{what}",
        "no_show": "does not come on {visit}",
        "cancelled": "cancels {visit}",
        "deleted": "the visit of {visit} is deleted",
        "repriced": "the visit of {visit} brought {money}, not {was}",
        "taken": "the visit of {visit} is somebody else's",
        "paid": "pays {money} on {day} beside visits",
        "wrote": "writes by {channel}",
        "agreed": "agrees to marketing, {source}",
        "denied": "refuses marketing, {source}",
        "segment": "{from} → {to} {name}: {cause}{digits}",
        "commanded": "{trigger}: send «{template}» by {channels}",
        "held": "{trigger}: waits, {reason}",
        "refused": "{trigger}: not sent, {reason}",
        "holdout": "{trigger}: not sent, {reason}",
        "withdrawn": "{trigger}: taken back, as what it was about has changed",
        "returned": "{trigger}: the visit of {visit} is its return, {money}",
        "uncredited": "{trigger}: the visit of {visit} is its return no more",
        "merged": "{customer_id} is the same person: joined into {into}",
        "forgotten": "is forgotten, as was asked for",
    },
    messages={
        "accepted": "taken by the sender",
        "sent": "on its way",
        "delivered": "delivered",
        "read": "read",
        "replied": "answered",
        "failed": "reached nobody",
    },
    causes={
        "visit": "a visit has come to count",
        "time": "time has passed",
        "thresholds": "the thresholds have changed",
        "history": "history was imported",
        "correction": "a visit was corrected or taken back",
        "merge": "two records turned out to be one person",
    },
    reasons={
        "segment": "the rule is not for this segment",
        "cooldown": "the same rule has written too recently",
        "undeliverable": "two messages of late could not reach the number",
        "consent": "there is no consent to marketing",
        "channel": "no channel is left that may be used",
        "future_booking": "there is a booking already",
        "stale": "it would have come too late",
        "quiet_hours": "these are quiet hours",
        "priority": "a more important message went out at the same minute",
        "cap": "no more messages may be sent in these days",
        "holdout": "one of those who get no marketing, so that its effect can be told",
    },
    imported=" (history)",
    bare="sent",
    digits={
        "r": "R{digit}, {value} days since the last visit",
        "f": "F{digit}, visit days: {value}",
        "m": "M{digit}, {value}",
    },
    rows={
        "customer": "customer",
        "joined": "joined with",
        "aliases": "also",
        "segment": "segment",
        "consent": "marketing",
        "next": "next visit",
    },
    features={
        "r": ("{value} days since the last visit", "R3 up to {high}, R2 up to {low}"),
        "f": ("visit days{window}: {value}", "F3 from {high}, F2 from {low}"),
        "m": ("{value}{window}", "M3 from {high}, M2 from {low}"),
    },
    window=" in {days} days",
    unbounded="every M is 2: too little is known as yet",
    never_came="a lead: known, and never came",
    consent={True: "agreed to {at}, {source}", False: "refused {at}, {source}"},
    sources={"client": "on the card", "message": "in a message"},
    unknown_consent={
        "deny": "nothing was said, so no",
        "allow": "nothing was said, so yes",
    },
    forgotten="Forgotten {at}: of what was before, nothing is told.",
    merged_into="This id is no more: joined into {into}",
    missing={
        "visits": "Visits and messages' statuses are in no store: --log FILE tells them.",
        "decisions": "Whose a decision was is in no store: FLOWSELL_KAFKA or --log FILE tells it.",
        "phones": "No phone reaches ClickHouse: FLOWSELL_POSTGRES or --log FILE tells who it is.",
        "changes": "Segment changes are in FLOWSELL_CLICKHOUSE, FLOWSELL_KAFKA or --log FILE.",
        "retention": "Kafka keeps commands for 7 days, decisions and segment changes for 14.",
    },
    earlier="… {count} earlier; --last 0 shows all",
    nothing="Nothing has happened yet.",
    as_of="as of {at}",
    times="times of {zone}",
)

RUSSIAN = PathTexts(
    words=TEXTS["ru"],
    moments={
        "booked": "запись на {visit}{what}",
        "confirmed": "подтверждение: {visit}",
        "moved": "запись на {was} перенесена на {visit}",
        "attended": "визит {visit}{what}",
        "no_show": "неявка: {visit}",
        "cancelled": "отмена: {visit}",
        "deleted": "визит {visit} удалён",
        "repriced": "визит {visit} принёс {money}, а не {was}",
        "taken": "визит {visit} оказался чужим",
        "paid": "оплата помимо визитов, {day}: {money}",
        "wrote": "пишет, канал {channel}",
        "agreed": "согласие на рекламу, {source}",
        "denied": "отказ от рекламы, {source}",
        "segment": "{from} → {to} {name}: {cause}{digits}",
        "commanded": "{trigger}: отправить «{template}», канал {channels}",
        "held": "{trigger}: ждёт, {reason}",
        "refused": "{trigger}: не отправлено, {reason}",
        "holdout": "{trigger}: не отправлено, {reason}",
        "withdrawn": "{trigger}: отозвано, повод изменился",
        "returned": "{trigger}: визит {visit} засчитан как возвращение, {money}",
        "uncredited": "{trigger}: визит {visit} больше не засчитан",
        "merged": "{customer_id} тот же человек: объединён с {into}",
        "forgotten": "данные удалены по просьбе",
    },
    messages={
        "accepted": "принято отправителем",
        "sent": "ушло",
        "delivered": "доставлено",
        "read": "прочитано",
        "replied": "получен ответ",
        "failed": "не дошло",
    },
    causes={
        "visit": "засчитан визит",
        "time": "прошло время",
        "thresholds": "изменились пороги",
        "history": "загружена история",
        "correction": "визит исправлен или снят",
        "merge": "две записи оказались одним человеком",
    },
    reasons={
        "segment": "правило не для этого сегмента",
        "cooldown": "это правило писало слишком недавно",
        "undeliverable": "два последних сообщения не дошли до номера",
        "consent": "нет согласия на рекламу",
        "channel": "не осталось разрешённого канала",
        "future_booking": "запись уже есть",
        "stale": "пришло бы слишком поздно",
        "quiet_hours": "идут тихие часы",
        "priority": "в ту же минуту ушло более важное сообщение",
        "cap": "за эти дни больше отправлять нельзя",
        "holdout": "контрольная группа: рекламы не получает, с ней сравнивают",
    },
    imported=" (история)",
    bare="отправлено",
    digits={
        "r": "R{digit}, дней с последнего визита: {value}",
        "f": "F{digit}, дней с визитами: {value}",
        "m": "M{digit}, {value}",
    },
    rows={
        "customer": "клиент",
        "joined": "объединён с",
        "aliases": "он же",
        "segment": "сегмент",
        "consent": "реклама",
        "next": "записан на",
    },
    features={
        "r": ("дней с последнего визита: {value}", "R3 до {high}, R2 до {low}"),
        "f": ("дней с визитами{window}: {value}", "F3 от {high}, F2 от {low}"),
        "m": ("{value}{window}", "M3 от {high}, M2 от {low}"),
    },
    window=" за {days} дн.",
    unbounded="у всех M = 2: пока слишком мало данных",
    never_came="лид: известен, но не приходил",
    consent={True: "согласие {at}, {source}", False: "отказ {at}, {source}"},
    sources={"client": "в карточке", "message": "в сообщении"},
    unknown_consent={
        "deny": "ничего не сказано, значит нет",
        "allow": "ничего не сказано, значит да",
    },
    forgotten="Данные удалены {at}: о том, что было раньше, ничего не сообщается.",
    merged_into="Этого id больше нет: объединён с {into}",
    missing={
        "visits": "Визитов и статусов сообщений в хранилищах нет: их знает --log FILE.",
        "decisions": "Чьё было решение, хранилища не знают: знают FLOWSELL_KAFKA и --log FILE.",
        "phones": "Телефонов в ClickHouse нет: кто это, знают FLOWSELL_POSTGRES и --log FILE.",
        "changes": "Смены сегмента хранят FLOWSELL_CLICKHOUSE, FLOWSELL_KAFKA и --log FILE.",
        "retention": "Kafka хранит команды 7 дней, решения и смены сегмента 14.",
    },
    earlier="… раньше ещё {count}; все с --last 0",
    nothing="Пока ничего не случилось.",
    as_of="на {at}",
    times="время {zone}",
)

PATH_TEXTS = {"en": ENGLISH, "ru": RUSSIAN}


def phrase(texts: PathTexts, path: CustomerPath, moment: Moment) -> str:
    """What happened, in words."""
    facts = dict(moment.facts)
    if moment.what in texts.messages:
        return f"{facts['trigger']}: {texts.messages[moment.what]}"
    start = facts.get("local_start")
    told: dict[str, Any] = facts | {
        "visit": wall(texts, start) if start else "",
        "money": money(texts, facts.get("money_minor"), path.currency),
    }
    told["what"] = _of_visit(facts, told["money"])
    if "local_start" not in facts and "starts_at" in facts:
        told["visit"] = instant(texts, path, facts["starts_at"])
    if "was" in facts:
        told["was"] = wall(texts, facts["was"]) if facts["was"] else "?"
    if "was_minor" in facts:
        told["was"] = money(texts, facts["was_minor"], path.currency)
    if "reason" in facts:
        told["reason"] = texts.reasons.get(facts["reason"] or "", "")
    if "day" in facts:
        told["day"] = texts.words.short_day(date.fromisoformat(facts["day"]))
    if "source" in facts:
        told["source"] = texts.sources[facts["source"]]
    if "channels" in facts:
        told["channels"] = ", ".join(facts["channels"])
    if moment.what == "segment":
        told["name"] = texts.words.segment(int(facts["to"]))
        told["cause"] = texts.causes[facts["cause"]]
        told["digits"] = _digits(texts, path, facts)
    # A sent decision whose command is out of reach is told without its template.
    if moment.what == "commanded" and "template" not in facts:
        return f"{facts['trigger']}: {texts.bare}"
    text = texts.moments[moment.what].format(**told)
    return text + texts.imported if facts.get("imported") else text


def _of_visit(facts: Mapping[str, Any], paid: str) -> str:
    """Where it is, what for, and what it brought."""
    what = ", ".join([*facts.get("services", ()), *([paid] if paid else ())])
    branch = f", {facts['branch']}" if facts.get("branch") else ""
    return f"{branch}: {what}" if what else branch


def _digits(texts: PathTexts, path: CustomerPath, facts: Mapping[str, Any]) -> str:
    """The features behind the digits that have changed, where they are known."""
    if "frequency" not in facts:
        return ""
    values = {
        "r": facts["recency_days"],
        "f": facts["frequency"],
        "m": money(texts, facts["monetary_minor"], path.currency),
    }
    return "".join(
        "; " + texts.digits[letter].format(digit=after, value=value)
        for (letter, value), before, after in zip(
            values.items(), facts["from"], facts["to"], strict=True
        )
        if before != after
    )


def money(texts: PathTexts, minor: int | None, currency: str | None) -> str:
    """``16,500 KZT``; digits of the minor unit only where there are some."""
    if minor is None:
        return ""
    exponent = EXPONENTS.get(currency or "", UNKNOWN_EXPONENT)
    whole, rest = divmod(abs(minor), 10**exponent)
    text = texts.words.number(whole) + (f".{rest:0{exponent}d}" if rest else "")
    return f"{'-' if minor < 0 else ''}{text} {currency or ''}".rstrip()


def wall(texts: PathTexts, local: str) -> str:
    """A wall clock: ``12 Mar 15:00``."""
    return texts.words.moment(datetime.fromisoformat(local).replace(tzinfo=UTC)).strip()


def instant(texts: PathTexts, path: CustomerPath, text: str) -> str:
    """An instant on the path's wall clock, with its year."""
    at = datetime.fromisoformat(text).astimezone(path.tzinfo)
    return f"{texts.words.day(at)} {at:%H:%M}"


def scores(texts: PathTexts, path: CustomerPath, profile: Profile) -> list[tuple[str, str, str]]:
    """R, F and M: the digit, its value, what it was compared with."""
    if profile.r is None:
        return []
    known = path.thresholds
    window = texts.window.format(days=known.window_days) if known else ""
    values = {
        "r": (profile.r, str(profile.recency_days)),
        "f": (profile.f, str(profile.frequency)),
        "m": (profile.m, money(texts, profile.monetary_minor, profile.currency)),
    }
    rows = []
    for letter, (digit, value) in values.items():
        says, bounds = texts.features[letter]
        against = _bounds(texts, known, letter, bounds, profile.currency)
        rows.append((f"{letter.upper()}{digit}", says.format(value=value, window=window), against))
    return rows


def _bounds(
    texts: PathTexts, known: Thresholds | None, letter: str, bounds: str, currency: str | None
) -> str:
    if known is None:
        return ""
    if letter == "m":
        if known.monetary is None:
            return texts.unbounded
        high, low = (money(texts, each, currency) for each in known.monetary)
        return bounds.format(high=high, low=low)
    high, low = map(str, known.recency_days if letter == "r" else known.frequency)
    return bounds.format(high=high, low=low)


def consent_text(texts: PathTexts, path: CustomerPath, said: Consent | None) -> str:
    """What is in force for marketing."""
    if said is None:
        return texts.unknown_consent.get(path.consent_default or "", "")
    source = texts.sources[said.source]
    return texts.consent[said.value].format(at=instant(texts, path, said.at), source=source)
