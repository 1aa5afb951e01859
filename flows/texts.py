"""What the demo says, in English and in Russian.

Takes: a locale, ``en`` or ``ru``
Out:   ``Texts``; both hold the same phrases, so a missing translation cannot be built
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from schemas.segments import SEGMENTS


@dataclass(frozen=True)
class Texts:
    """Phrases of one language; ``{…}`` are filled in by whoever prints them."""

    locale: str
    thousands: str
    months: tuple[str, ...]
    title: str
    subtitle: str
    generated: str
    reused: str
    folded: str
    rate: str
    cells: str
    cells_legend: str
    recency: Mapping[int, str]
    frequency: Mapping[int, str]
    monetary: Mapping[int, str]
    customers: str
    leads: str
    transitions: str
    moves: Mapping[str, str]
    top_moves: str
    causes: Mapping[str, str]
    commands: str
    command_columns: tuple[str, ...]
    kinds: Mapping[str, str]
    reasons: Mapping[str, str]
    no_commands: str
    funnel: str
    funnel_columns: tuple[str, ...]
    uplift: str
    uplift_columns: tuple[str, ...]
    verdicts: Mapping[str, str]
    no_uplift: str
    uplift_legend: str
    dead: str
    no_dead: str
    dead_columns: tuple[str, ...]
    dead_reasons: Mapping[str, str]
    story: str
    why: Mapping[str, str]
    moments: Mapping[str, str]
    more: str
    warehouse: str
    sizes: str
    earned: str
    earned_columns: tuple[str, ...]
    next_title: str
    next_lines: tuple[tuple[str, str], ...]
    working: Mapping[str, str]

    def number(self, value: int) -> str:
        """``12,345`` or ``12 345``."""
        return f"{value:,}".replace(",", self.thousands)

    def segment(self, code: int) -> str:
        """The segment's name."""
        segment = SEGMENTS[code]
        return segment.russian if self.locale == "ru" else segment.english

    def day(self, at: datetime) -> str:
        """``12 Mar 2026``."""
        return f"{at.day} {self.months[at.month - 1]} {at.year}"

    def short_day(self, at: date) -> str:
        """``12 Mar``."""
        return f"{at.day} {self.months[at.month - 1]}"

    def moment(self, at: datetime) -> str:
        """``12 Mar 15:00``."""
        return f"{at.day:>2} {self.months[at.month - 1]} {at:%H:%M}"


ENGLISH = Texts(
    locale="en",
    thousands=",",
    months=("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    title="Flowsell Stream",
    subtitle="Records: {records}, businesses: {tenants}, {start} – {end}",
    generated="lived in {seconds} s",
    reused="read as they were",
    folded="folded in {seconds} s",
    rate="{rate} records/s",
    cells="Customers in 27 segments: {customers}",
    cells_legend="R: days since the last visit · F: visits in the window · M: sum in the window",
    recency={3: "R3 came lately", 2: "R2 cooling", 1: "R1 lapsed"},
    frequency={3: "F3 often", 2: "F2 repeated", 1: "F1 seldom"},
    monetary={3: "M3 big", 2: "M2 fair", 1: "M1 small"},
    customers="customers",
    leads="Besides, leads (000), known but never came: {leads}",
    transitions="Moves between segments: {changes}",
    moves={
        "second_visit": "second visit 31x→32x",
        "cooling": "cooling 3xx→2xx",
        "lapsed": "lapsed 2xx→1xx",
        "returned": "returned 1xx→3xx",
    },
    top_moves="most travelled",
    causes={
        "visit": "by a visit",
        "time": "by time alone",
        "thresholds": "by thresholds",
        "history": "by history",
        "correction": "by a correction",
        "merge": "by a merge",
    },
    commands="Commands to senders: {commands}",
    command_columns=("trigger", "kind", "channel", "sent", "withdrawn", "refused"),
    kinds={
        "birthday": "birthday",
        "reminder": "reminder",
        "after_visit": "after a visit",
        "rebook": "rebook",
        "winback": "win-back",
        "no_show": "no-show",
        "segment_entered": "segment entered",
        "reply": "reply",
    },
    reasons={
        "segment": "segment",
        "cooldown": "cooldown",
        "undeliverable": "unreachable",
        "consent": "no consent",
        "channel": "no channel",
        "future_booking": "booked already",
        "stale": "too late",
        "quiet_hours": "quiet hours",
        "priority": "priority",
        "cap": "cap",
        "holdout": "holdout",
    },
    no_commands="No trigger was due.",
    funnel="What became of them, of a hundred commands each (message_funnel_daily_now)",
    funnel_columns=(
        *("trigger", "channel", "commands"),
        *("accepted", "sent", "delivered", "read", "replied", "returned"),
    ),
    uplift="Did they come back because of it? (uplift_monthly_now)",
    uplift_columns=("trigger", "asked", "came", "held out", "came", "difference, 95 %"),
    verdicts={
        "too_few": "too few to tell",
        "more": "more come",
        "fewer": "fewer come",
        "unclear": "may be chance",
    },
    no_uplift="No contact of a month that is a fortnight old.",
    uplift_legend="Customers contacted in {months}, all businesses; planted: {points:+g} points.",
    dead="Dead letters: {dead}",
    no_dead="No dead letters.",
    dead_columns=("reason", "records", "what it means"),
    dead_reasons={
        "envelope": "the record lacks what every record has",
        "json": "the line is not JSON",
        "provider": "a provider that we do not know",
        "shape": "the body is not what the provider sends",
        "time": "a time that is unreadable or absurd",
        "clock": "the log's own time is unreadable or absurd",
        "tenant": "the tenant lives in another lane",
        "size": "larger than 4 MiB",
    },
    story="One customer's story",
    why={
        "won_back": "cooled, was called, came back",
        "busy": "the most eventful one",
    },
    moments={
        "booked": "books {service}for {visit}",
        "moved": "moves it to {visit}",
        "confirmed": "confirms {visit}",
        "attended": "comes",
        "no_show": "does not come",
        "cancelled": "cancels {visit}",
        "deleted": "the booking for {visit} is deleted",
        "segment": "→ {code} {name}",
        "command": "send {trigger} by {channel}",
        "withdraw": "take {trigger} back",
        "refused": "{trigger} refused: {reason}",
        "read": "reads {trigger}",
        "wrote": "answers",
    },
    more="… {count} more …",
    warehouse="In ClickHouse",
    sizes="customers by segment, week by week (segment_daily_now)",
    earned="visits and money of {business} (visits_daily_now)",
    earned_columns=("day", "visits", "walk-ins", "revenue, {currency}"),
    next_title="Next",
    next_lines=(
        ("the outputs", "ls {folder}"),
        ("ask ClickHouse", "{query}"),
        (
            "why this message",
            "flowsell explain {tenant} --customer-id {customer} --log {log}",
        ),
        ("again from the log", "flowsell replay {log} --out {folder}/again"),
        ("other lives", "flowsell demo --seed {seed} --out {folder}-{seed}"),
        ("по-русски", "flowsell demo --locale ru --out {folder}"),
    ),
    working={"generating": "living", "folding": "folding", "reading": "reading"},
)

RUSSIAN = Texts(
    locale="ru",
    thousands="\u00a0",
    months=("янв", "фев", "мар", "апр", "мая", "июн", "июл", "авг", "сен", "окт", "ноя", "дек"),
    title="Flowsell Stream",
    subtitle="Записей: {records}, компаний: {tenants}, {start} – {end}",
    generated="прожиты за {seconds} с",
    reused="взяты готовыми",
    folded="обработаны за {seconds} с",
    rate="{rate} зап./с",
    cells="Клиентов в 27 сегментах: {customers}",
    cells_legend="R: дней с последнего визита · F: визитов за окно · M: сумма за окно",
    recency={3: "R3 недавно", 2: "R2 остывают", 1: "R1 ушли"},
    frequency={3: "F3 часто", 2: "F2 повторно", 1: "F1 редко"},
    monetary={3: "M3 крупно", 2: "M2 средне", 1: "M1 мало"},
    customers="клиентов",
    leads="Кроме них лидов (000), известных, но не приходивших: {leads}",
    transitions="Переходов между сегментами: {changes}",
    moves={
        "second_visit": "второй визит 31x→32x",
        "cooling": "остывание 3xx→2xx",
        "lapsed": "уход 2xx→1xx",
        "returned": "возвращение 1xx→3xx",
    },
    top_moves="самые частые",
    causes={
        "visit": "из-за визита",
        "time": "само время",
        "thresholds": "из-за порогов",
        "history": "из-за истории",
        "correction": "из-за исправления",
        "merge": "из-за слияния",
    },
    commands="Команд отправителям: {commands}",
    command_columns=("триггер", "вид", "канал", "отправить", "отозвано", "отказано"),
    kinds={
        "birthday": "день рождения",
        "reminder": "напоминание",
        "after_visit": "после визита",
        "rebook": "повторная запись",
        "winback": "возвращение",
        "no_show": "неявка",
        "segment_entered": "вход в сегмент",
        "reply": "ответ",
    },
    reasons={
        "segment": "сегмент",
        "cooldown": "пауза",
        "undeliverable": "не доставить",
        "consent": "нет согласия",
        "channel": "нет канала",
        "future_booking": "уже записан",
        "stale": "поздно",
        "quiet_hours": "тихие часы",
        "priority": "приоритет",
        "cap": "предел",
        "holdout": "контрольная группа",
    },
    no_commands="Ни один триггер не сработал.",
    funnel="Что с ними стало, из сотни команд (message_funnel_daily_now)",
    funnel_columns=(
        *("триггер", "канал", "команд"),
        *("принято", "ушло", "дошло", "прочли", "ответ", "визит"),
    ),
    uplift="Вернулись ли они благодаря этому? (uplift_monthly_now)",
    uplift_columns=("триггер", "звали", "пришли", "контроль", "пришли", "разница, 95 %"),
    verdicts={
        "too_few": "мало данных",
        "more": "приходят чаще",
        "fewer": "приходят реже",
        "unclear": "может быть случай",
    },
    no_uplift="Нет контактов месяца, которому уже две недели.",
    uplift_legend="Клиенты с контактом ({months}), все компании; заложено: {points:+g} п. п.",
    dead="Непригодных записей: {dead}",
    no_dead="Непригодных записей нет.",
    dead_columns=("причина", "записей", "что это значит"),
    dead_reasons={
        "envelope": "нет того, что есть у каждой записи",
        "json": "строка не JSON",
        "provider": "неизвестный провайдер",
        "shape": "тело не такое, как шлёт провайдер",
        "time": "время нечитаемо или нелепо",
        "clock": "время самого журнала нечитаемо или нелепо",
        "tenant": "компания живёт на другой дорожке",
        "size": "больше 4 МиБ",
    },
    story="История одного клиента",
    why={
        "won_back": "остыл, позвали, вернулся",
        "busy": "самая богатая событиями",
    },
    moments={
        "booked": "запись: {service}на {visit}",
        "moved": "перенос на {visit}",
        "confirmed": "подтверждение: {visit}",
        "attended": "визит состоялся",
        "no_show": "не пришёл",
        "cancelled": "отмена записи на {visit}",
        "deleted": "запись на {visit} удалена",
        "segment": "→ {code} {name}",
        "command": "отправить {trigger}, канал {channel}",
        "withdraw": "отозвать {trigger}",
        "refused": "{trigger}: отказ, {reason}",
        "read": "прочитано: {trigger}",
        "wrote": "отвечает",
    },
    more="… ещё {count} …",
    warehouse="В ClickHouse",
    sizes="клиенты по сегментам, по неделям (segment_daily_now)",
    earned="визиты и деньги, {business} (visits_daily_now)",
    earned_columns=("день", "визиты", "без карточки", "выручка, {currency}"),
    next_title="Дальше",
    next_lines=(
        ("что получилось", "ls {folder}"),
        ("спросить ClickHouse", "{query}"),
        (
            "почему такое письмо",
            "flowsell explain {tenant} --customer-id {customer} --log {log} --locale ru",
        ),
        ("ещё раз из журнала", "flowsell replay {log} --out {folder}/again"),
        ("другие жизни", "flowsell demo --locale ru --seed {seed} --out {folder}-{seed}"),
        ("in English", "flowsell demo --out {folder}"),
    ),
    working={"generating": "создание", "folding": "обработка", "reading": "чтение"},
)

TEXTS = {"en": ENGLISH, "ru": RUSSIAN}
