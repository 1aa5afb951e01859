"""A nasty life under rules: triggers of every kind, consent, quiet hours, caps, answers.

Takes: ``random.Random``; the kinds of triggers that may be drawn
Out:   records in log order, as ``tests.life`` draws them, in which more is due than can be sent
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.life import LARGEST, Life, Log, Place
from tests.life_parts import PARTS as EVERYTHING
from tests.logs import (
    DAY,
    MINUTE,
    Record,
    card,
    client,
    envelope,
    history,
    message_in,
    ms,
    settings,
    stamp,
    trigger,
    visit,
    wall,
    whatsapp_message,
    whatsapp_status,
)

KINDS = (
    *("birthday", "reminder", "after_visit", "rebook"),
    *("winback", "no_show", "segment_entered", "reply"),
)
PARTS = ("payments", "units", "orders", "history", "aliases")
"""Nobody is forgotten, and days stay where they are."""

NEVER_QUIET = ("00:00", "00:00")
WINDOWS = (NEVER_QUIET, ("21:00", "10:00"), ("13:00", "14:30"), ("23:30", "00:30"))
SAYINGS = (
    *("STOP", "стоп!", "СТОП", "Отписаться", "Тоқтату", "START", "старт", "Подписаться 🙂"),
    *("спасибо", "когда открыты?", "не могу прийти", "стоп, я передумала", "да"),
)
BIRTHDAYS = ("1992-02-29", "1988-03-08", "1979-03-30", "1995-06-12", "2000-10-26", "1961-11-01")
CAPS: tuple[list[Record], ...] = (
    [],
    [{"per_days": 1, "max": 1}],
    [{"per_days": 1, "max": 2}, {"per_days": 3, "max": 3}],
)
STATUSES = ("sent", "delivered", "read", "failed")
CHANNELS = (["whatsapp", "sms"], ["sms"], ["whatsapp"], ["telegram", "whatsapp"])


class Named(NamedTuple):
    """A command that was sent, as far as whoever answers it knows it."""

    position: int
    tenant: str
    command: str
    channel: str


@dataclass
class Rules:
    """Draws triggers and settings."""

    chance: Random
    kinds: Sequence[str] = KINDS

    def trigger(self, kind: str, id: str) -> Record:
        """One rule; what its kind has not to have it has sometimes."""
        chance = self.chance
        told: Record = {"id": id, "channels": chance.choice(CHANNELS)}
        if chance.random() < 0.4:
            told["cooldown_days"] = chance.choice((0, 1, 2, 5))
        if chance.random() < 0.4:
            told["priority"] = chance.choice((10, 50, 90))
        if chance.random() < 0.3:
            told["ttl"] = chance.choice(("10m", "3h", "30h", "5d"))
        if chance.random() < 0.15 and kind != "segment_entered":
            told["segments"] = ["333", "322", "312", "311", "000", "211", "111"]
        if chance.random() < 0.25:
            told["category"] = chance.choice(("marketing", "utility"))
        return trigger(kind, **told, **self._keys(kind))

    def _keys(self, kind: str) -> Record:
        pick = self.chance.choice
        match kind:
            case "birthday":
                return {"at": pick(("10:00", "09:30", "21:30")), "days_before": pick((0, 0, 1, -1))}
            case "reminder":
                return {"before": pick(("24h", "90m", "12h"))}
            case "after_visit":
                return {"after": pick(("0m", "2h", "26h"))}
            case "rebook":
                service = pick(({}, {}, {"service": "S"}, {"service": "s1"}))
                how = pick(({"after_days": 1}, {"after_days": 3}, {"interval_factor": 1.5}))
                return how | service
            case "winback":
                return {"after_days": pick((1, 2, 4)), "at": pick(("10:00", "12:00", "00:00"))}
            case "no_show":
                return {"after": pick(("0m", "1h", "15h"))}
            case "segment_entered":
                told = {"segments": pick((["333", "322", "312", "211"], ["111", "212", "311"]))}
                return told | pick(({}, {}, {"from": ["000", "312", "322"]}))
            case _:
                return {"match": pick(([], "спасибо", ["text", "image"], ["не могу", "да"]))}

    def triggers(self) -> list[Record]:
        """Some of each kind, a few of them twice."""
        drawn = [kind for kind in self.kinds for _ in range(self.chance.choice((0, 1, 1, 2)))]
        return [self.trigger(kind, f"{kind}{at}") for at, kind in enumerate(drawn)]

    def settings(self) -> Record:
        """What holds for a tenant's messages besides its triggers."""
        pick = self.chance.choice
        return {
            "quiet_hours": pick(WINDOWS),
            "quiet_utility": pick(WINDOWS),
            "caps": pick(
                (
                    [],
                    [{"per_days": 1, "max": 1}],
                    [{"per_days": 1, "max": 2}, {"per_days": 3, "max": 3}],
                )
            ),
            "holdout_percent": pick((0, 10, 50, 100)),
            "return_days": pick((14, 1, 3)),
            "consent_default": pick(("allow", "allow", "deny")),
            "channel_policy": pick(({}, {}, {"marketing": ["!whatsapp"]}, {"utility": ["!sms"]})),
        }


@dataclass
class RuledLife(Life):
    """A life whose tenants have rules, and whose customers say what they want."""

    kinds: Sequence[str] = KINDS
    _drawn: dict[str, Record] = field(default_factory=dict)

    def log(self, size: int, tenants: int) -> list[Record]:
        """About ``4 * size`` records."""
        return super().log(size, tenants)

    def settings(self, place: Place, at: int) -> Record:
        """Rules of a place; told again, some of them have changed."""
        told: Record = super().settings(place, at)["settings"]
        rules = Rules(self.chance, self.kinds)
        drawn = self._drawn.get(place.tenant)
        if drawn is None:
            drawn = {"triggers": rules.triggers(), **rules.settings()}
        elif self.chance.random() < 0.8:
            drawn = dict(drawn)
            kept = [each for each in drawn["triggers"] if self.chance.random() < 0.8]
            new = rules.trigger(self.chance.choice(self.kinds), f"new{at % 7}")
            drawn["triggers"] = [*(each for each in kept if each["id"] != new["id"]), new]
            if self.chance.random() < 0.5:
                drawn |= rules.settings()
        self._drawn[place.tenant] = drawn
        return settings(place.tenant, at, **told | drawn)

    def _message(self, place: Place) -> None:
        """Besides messages: what they say, and cards that tell about people."""
        super()._message(place)
        for _ in range(2):
            if self.chance.random() < 0.5:
                self._say(place)
            else:
                self._introduce(place)
        if self.chance.random() < 0.15:
            self._rescore(place)

    def _say(self, place: Place) -> None:
        chance, event = self.chance, self.moment()
        text, digits = chance.choice(SAYINGS), f"{place.phone[1:]}{chance.choice((1, 1, 2, 3))}"
        if chance.random() < 0.5:
            told = message_in(place.tenant, event, f"m{event}", f"+{digits}", text)
        else:
            sender = digits if chance.random() < 0.7 else "KZ.1001"
            told = whatsapp_message(place.tenant, event, f"w{event}", sender)
            message = told["body"]["entry"][0]["changes"][0]["value"]["messages"][0]
            message["text"]["body"] = text
        self.add(event, told)

    def _introduce(self, place: Place) -> None:
        chance, event, who = self.chance, self.moment(), self.chance.choice((1, 2, 3))
        phone, version = f"{place.phone}{who}", self.version(event)
        if chance.random() < 0.3:
            told = client(place.tenant, event, who, phone=phone, version=version)
            told["body"]["data"] |= {"birth_date": chance.choice(BIRTHDAYS)}
            told["body"]["data"] |= chance.choice(({}, {"sms_not": 1}, {"sms_not": 0}))
        else:
            soon = self.begin + chance.randrange(-2, self.span // DAY + 4) * DAY
            born = chance.choice((chance.choice(BIRTHDAYS), f"1984{wall(soon, place.zone)[4:10]}"))
            about: dict[str, Any] = {"birthday": born, "locale": "ru"}
            about["consent"] = chance.choice((None, {"marketing": True}, {"marketing": False}))
            about["name"] = chance.choice((None, "Мария", "Анна"))
            own = f"crm-{who}{chance.choice(('', '', '-family'))}"
            told = card(place.tenant, event, own, phone=phone, version=version, **about)
            if chance.random() < 0.1:
                told = history(place.tenant, event, told)
        self.add(event, told)

    def _visit(self, place: Place) -> None:
        """Now and then one that simply takes place, today, and is told at once."""
        super()._visit(place)
        if self.chance.random() < 0.5:
            event, digit = self.moment(), self.chance.choice((1, 1, 2, 3))
            told: dict[str, Any] = {"status": "attended", "phone": f"{place.phone}{digit}"}
            told |= {"starts_at": event - 90 * MINUTE, "ends_at": stamp(event - 30 * MINUTE)}
            told |= {"amount_minor": self.chance.choice((90_000, 250_000)), "services": ["S", "t"]}
            told["version"] = self.version(event)
            if self.chance.random() < 0.3:
                told.pop("ends_at")
            self.add(event, visit(place.tenant, event, f"d{event}", **told))


def answered(log: list[Record], chance: Random, commands: Sequence[Named]) -> list[Record]:
    """The log with receipts and statuses of some commands, after what brought each about.

    They come at the clock of the record before them, so that they let no time pass.
    """
    after: dict[int, list[Record]] = {}
    for each in commands:
        place = each.position
        for told in _answers(chance, each):
            if chance.random() < 0.4:
                place = min(len(log) - 1, place + chance.randrange(0, 12))
            after.setdefault(place, []).append(told)
    found: list[Record] = []
    for at, record in enumerate(log):
        found.append(record)
        times: Record = {k: record[k] for k in ("received_at", "appended_at") if k in record}
        found += [_at(told, times) for told in after.get(at, [])]
    return Log(found)


def _at(told: Record, times: Record) -> Record:
    whole = told | times
    if told["kind"] == "webhook":
        value = whole["body"]["entry"][0]["changes"][0]["value"]
        value["statuses"][0]["timestamp"] = str(ms(times["received_at"]) // 1000)
    return whole


def _answers(chance: Random, sent: Named) -> list[Record]:
    """What a sender and a messenger say of one command, in any order."""
    message = f"wamid.{sent.command[:8]}"
    named = {"command_id": sent.command, "channel": sent.channel}
    accepted = envelope("receipt", sent.tenant, 0, **named, message_id=message, status="accepted")
    failed = envelope("receipt", sent.tenant, 0, **named, status="failed", error=131026)
    if chance.random() < 0.3:
        return [failed]
    told = [accepted] if chance.random() < 0.8 else []
    for status in chance.sample(
        ("sent", "delivered", "read", "failed"), chance.choice((0, 1, 2, 3))
    ):
        each = whatsapp_status(sent.tenant, 0, message, None, status)
        value = each["body"]["entry"][0]["changes"][0]["value"]["statuses"][0]
        if status == "failed":
            value["errors"] = [{"code": chance.choice((131026, 131026, 130429)), "title": "x"}]
        if chance.random() < 0.3:
            value["biz_opaque_callback_data"] = sent.command
        told.append(each)
    chance.shuffle(told)
    return told


def ruled_logs(
    kinds: Sequence[str] = KINDS, parts: tuple[str, ...] = EVERYTHING
) -> st.SearchStrategy[list[Record]]:
    """Hundreds of records from a seed."""
    return st.builds(
        lambda seed, size, tenants: RuledLife(Random(seed), parts=parts, kinds=kinds).log(
            size, tenants
        ),
        st.integers(0, 2**32),
        st.integers(6, LARGEST),
        st.integers(1, 3),
    )
