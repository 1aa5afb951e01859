"""Answer the commands that a log causes, so that later ones meet consents, failures and replies.

Takes: the records of a log, and chance
Out:   the same with receipts, statuses and words of customers among them
"""

from __future__ import annotations

from random import Random

from tests.engine import Row, run
from tests.logs import (
    MINUTE,
    SECOND,
    Record,
    envelope,
    lines_of,
    message_in,
    ms,
    stamp,
    whatsapp_status,
)

WORDS = ("STOP", "стоп!", "Старт", "START", "спасибо")
DELAYS = (SECOND, SECOND, 2 * MINUTE, 9 * MINUTE, 20 * MINUTE)


def answered(log: list[Record], chance: Random) -> list[Record]:
    """The log with answers to what it causes; what they change is answered by nobody."""
    placed = [(_clock(told), number, told) for number, told in enumerate(log)]
    number = len(log)
    by_append = any("appended_at" in told for told in log)
    for command in run(lines_of(log)).rows("commands"):
        at = ms(command["created_at"])
        for told in _answers(command, at, chance):
            clock = _clock(told)
            number += 1
            placed.append(
                (clock, number, told | {"appended_at": stamp(clock)} if by_append else told)
            )
    return [told for _, _, told in sorted(placed, key=lambda each: each[:2])]


def _clock(told: Record) -> int:
    return ms(told.get("appended_at") or told["received_at"])


def _answers(command: Row, at: int, chance: Random) -> list[Record]:
    tenant, phone = command["tenant"], command["phone"]
    named = {"command_id": command["command_id"], "channel": command["channels"][0]}
    message = f"a{command['command_id'][: chance.choice((3, 8))]}"
    told: list[Record] = []
    match chance.randrange(6):
        case 0:
            failed = {"status": "failed", "error": chance.choice((131026, 131026, 130429))}
            told.append(envelope("receipt", tenant, at + chance.choice(DELAYS), **named, **failed))
        case 1 | 2 if phone is not None:
            accepted = named | {"message_id": message, "status": "accepted"}
            told.append(envelope("receipt", tenant, at + chance.choice(DELAYS), **accepted))
            when = at + chance.choice(DELAYS)
            status = whatsapp_status(tenant, when, message, phone[1:], "failed")
            value = status["body"]["entry"][0]["changes"][0]["value"]["statuses"][0]
            value["errors"] = [{"code": 131026}]
            if chance.random() < 0.3:
                value["biz_opaque_callback_data"] = command["command_id"]
            told.append(status)
        case 3 if phone is not None:
            words = message_in(tenant, at + chance.choice(DELAYS), f"w{at}", phone)
            words["body"]["text"] = chance.choice(WORDS)
            told.append(words)
        case _:
            pass
    return told + told[: chance.choice((0, 0, 1))]
