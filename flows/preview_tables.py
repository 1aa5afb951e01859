"""What a preview found, as tables for people, in English and in Russian.

Takes: ``Preview``, the settings that were tried
Out:   stdout; customers by their id, never by phone or name
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from flows.texts import TEXTS, Texts
from schemas.segments import CODES
from schemas.settings import TenantSettings

if TYPE_CHECKING:
    from flows.preview import Preview, Verdict


@dataclass(frozen=True)
class PreviewTexts:
    """Phrases of one language; ``{…}`` are filled in by ``print_preview``."""

    words: Texts
    sent: str
    titles: tuple[str, str, str]
    """By trigger, by segment, by reason."""
    columns: tuple[str, str, str]
    """Under the old settings, under the new ones, the difference."""
    held: str
    outcomes: Mapping[str, str]
    gained: str
    lost: str
    moved: str
    list_columns: tuple[str, ...]
    nothing: str
    more: str


PREVIEW_TEXTS = {
    "en": PreviewTexts(
        words=TEXTS["en"],
        sent="Messages: {old} under the settings of the log, {new} under the new ones",
        titles=("trigger", "segment", "not sent, because"),
        columns=("old", "new", "±"),
        held="waits for the end of quiet hours",
        outcomes={"withdrawn": "taken back", "holdout": "holdout"},
        gained="Only the new settings send: {count}",
        lost="Only the old settings send: {count}",
        moved="Both send, the new settings at another time or in another way: {count}",
        list_columns=("when", "customer", "segment", "trigger", "template", "channel"),
        nothing="Nothing changes.",
        more="… and {count} more; --out FILE lists them all",
    ),
    "ru": PreviewTexts(
        words=TEXTS["ru"],
        sent="Сообщений: {old} по настройкам журнала, {new} по новым",
        titles=("триггер", "сегмент", "не уходит, потому что"),
        columns=("было", "станет", "±"),
        held="ждёт конца тихих часов",
        outcomes={"withdrawn": "отозвано", "holdout": "контрольная группа"},
        gained="Только по новым настройкам уходит: {count}",
        lost="Только по прежним настройкам уходило: {count}",
        moved="Уходит и так и так, но в другое время или иначе: {count}",
        list_columns=("когда", "клиент", "сегмент", "триггер", "шаблон", "канал"),
        nothing="Ничего не меняется.",
        more="… и ещё {count}; все — в --out FILE",
    ),
}


def print_preview(
    found: Preview,
    settings: Mapping[str, TenantSettings],
    texts: PreviewTexts,
    show: int,
    console: Console,
) -> None:
    """The difference by trigger, segment and reason, then the first messages that differ."""
    words = texts.words
    told = found.as_json()["sent"]
    console.print(
        texts.sent.format(old=words.number(told["old"]), new=words.number(told["new"])),
        style="bold",
    )
    by_trigger = found.counts(lambda each: each.trigger)
    by_segment = found.counts(lambda each: each.segment)
    by_reason = found.counts(lambda each: _why(each, texts))
    named = {_segment_name(code, words): both for code, both in sorted(by_segment.items())[::-1]}
    reasons = {why: both for why, both in sorted(by_reason.items()) if why}
    for title, counts, is_sent in zip(
        texts.titles, (by_trigger, named, reasons), (True, True, False), strict=True
    ):
        if counts:
            console.print(_table(title, counts, texts, is_sent))
    lists = (
        (texts.gained, found.gained()),
        (texts.lost, found.lost()),
        (texts.moved, found.moved()),
    )
    if not any(verdicts for _, verdicts in lists):
        console.print(texts.nothing)
    for title, verdicts in lists:
        if verdicts and show:
            console.print(title.format(count=words.number(len(verdicts))), style="bold")
            console.print(_list(verdicts[:show], settings, texts))
            if len(verdicts) > show:
                console.print(texts.more.format(count=words.number(len(verdicts) - show)))


def _why(verdict: Verdict, texts: PreviewTexts) -> str:
    """Why nothing goes out; empty where something does."""
    if verdict.is_sent:
        return ""
    if verdict.outcome == "held":
        return texts.held
    if verdict.outcome in texts.outcomes:
        return texts.outcomes[verdict.outcome]
    return texts.words.reasons.get(verdict.reason or "", verdict.reason or verdict.outcome)


def _segment_name(code: str, words: Texts) -> str:
    number = CODES.get(code)
    return code if number is None else f"{code} {words.segment(number)}"


def _table(
    title: str,
    counts: Mapping[str, tuple[Counter[str], ...]],
    texts: PreviewTexts,
    is_sent: bool,
) -> Table:
    """Messages sent, or occasions that came to nothing, under both settings."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column(title)
    for column in texts.columns:
        table.add_column(column, justify="right")
    number = texts.words.number
    for name, (old, new) in counts.items():
        was, is_ = (each["sent"] if is_sent else each.total() for each in (old, new))
        if was or is_:
            sign = "+" if is_ > was else ""
            table.add_row(
                name, number(was), number(is_), f"{sign}{is_ - was}" if is_ != was else ""
            )
    return table


def _list(
    verdicts: Sequence[Verdict], settings: Mapping[str, TenantSettings], texts: PreviewTexts
) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for column in texts.list_columns:
        table.add_column(column, no_wrap=True)
    for each in verdicts:
        at = datetime.fromisoformat(each.at).astimezone(UTC)
        zone = settings[each.tenant].timezone if each.tenant in settings else "UTC"
        table.add_row(
            texts.words.moment(at.astimezone(ZoneInfo(zone))),
            each.customer_id[:12],
            each.segment,
            each.trigger,
            each.template or "",
            each.channel or "",
        )
    return table
