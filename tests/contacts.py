"""One customer of one salon who is written to whenever they ask, and what becomes of it.

Takes: nothing; the tests of the funnel, of returns and of the uplift share these builders
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from schemas.keys import command_id, text_key
from tests.agenda import START, known, rule, rules, wrote
from tests.decided import told_rows
from tests.engine import Streams, comparable, run
from tests.logs import DAY, MINUTE, Record, envelope, heartbeat, lines_of, ms, stamp
from tests.people import PHONE, TENANT, WHO

OFFER = rule("reply", category="marketing", channels=["whatsapp", "sms"], match="цены")
ANY = rule("reply", category="marketing")
ASKED = START
"""The customer writes, and is contacted in the same minute."""


def salon(*triggers: Record, **fields: Any) -> list[Record]:
    """Settings with a contact for each question, and the customer's card."""
    told = rules(*(triggers or (OFFER,)), at=START - DAY, **fields)
    return [told, known(START - DAY + MINUTE)]


def asks(at: int = ASKED, id: str = "q1") -> Record:
    """The message that a contact follows."""
    return wrote(at, id, "цены?")


def named(id: str = "q1", trigger: str = "reply", who: str = WHO) -> str:
    """The command that follows a message."""
    return command_id(TENANT, trigger, f"reply:{who}:{text_key(id) & (1 << 64) - 1:016x}")


def receipt(at: int, message: str | None = "m1", command: str | None = None, **told: Any) -> Record:
    """The sender's answer."""
    body = {"command_id": command or named(), "message_id": message, "channel": "whatsapp"}
    return envelope("receipt", TENANT, at, **body | {"status": "accepted"} | told)


def status(at: int, told: str, message: str = "m1", **rest: Any) -> Record:
    """What the messenger tells."""
    body = {"type": "message_status", "message_id": message, "channel": "whatsapp"}
    body |= {"status": told, "at": stamp(at), "phone": PHONE} | rest
    return envelope("webhook", TENANT, at, provider="generic", body=body)


def lives(*log: Record, until: int | None = None) -> Streams:
    """What comes of these records in the order of their time, however often it is cut and begun."""
    told = sorted(log, key=lambda record: record["received_at"])
    end = ms(told[-1]["received_at"]) + MINUTE if until is None else until
    lines = lines_of([*told, heartbeat(end)])
    whole = run(lines)
    every = range(len(lines))
    for restarts in ((), every[::2], every[1::2]):
        assert comparable(whole) == comparable(run(lines, cuts=every, restarts=restarts))
    return whole


def funnel(*log: Record, until: int | None = None) -> Counter[str]:
    """All days, triggers, channels and variants together; what is zero is left out."""
    return sum(told_rows(lives(*log, until=until), "message_funnel_daily").values(), Counter())


def uplift(*log: Record) -> dict[tuple[str, ...], Counter[str]]:
    """By month, trigger and variant; what is zero is left out."""
    rows = told_rows(lives(*log), "uplift_monthly")
    return {key[1:]: row for key, row in rows.items()}
