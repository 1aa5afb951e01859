"""A business with about 300 customers, over days: enough for tertiles, sometimes just too few.

Takes: a source of chance
Out:   records in log order
"""

from __future__ import annotations

from random import Random
from typing import Any

from tests.logs import DAY, HOUR, MINUTE, Record, heartbeat, history, local, settings, visit

TENANT, ZONE = "t-crowd", "Asia/Almaty"
BEGIN = local("2026-06-10 12:00", ZONE)


def crowd(chance: Random, days: int = 8) -> list[Record]:
    """An import of most customers, then visits day by day that move the sums up and down."""
    people = chance.choice((298, 299, 300, 301, 330))
    extra: dict[str, Any] = chance.choice(({}, {}, {"average_check_minor": 90_000}))
    scoring = {"window_days": chance.choice((6, 30)), "frequency": [3, 2]}
    log = [settings(TENANT, BEGIN, timezone=ZONE, scoring=scoring, **extra)]
    past = [
        _visit(chance, BEGIN, f"p{who}", who, BEGIN - chance.randrange(4) * DAY, 100_000)
        for who in range(people)
    ]
    log.append(history(TENANT, BEGIN + MINUTE, *past))
    for day in range(days):
        scale = chance.choice((1, 1, 3, 20))
        for number in range(chance.choice((0, 5, 40, 150))):
            at = BEGIN + day * DAY + number * MINUTE
            who = chance.randrange(people + 3)
            start = at - chance.randrange(3) * HOUR
            log.append(_visit(chance, at, f"d{day}-{number}", who, start, 20_000 * scale))
            if chance.random() < 0.05:
                log.append(_visit(chance, at, f"p{who}", who, BEGIN, 5_000_000))
        night = BEGIN + day * DAY + 12 * HOUR
        log += [heartbeat(night + minute * MINUTE) for minute in (0, 1, 6)]
    log.append(heartbeat(BEGIN + (days + chance.choice((0, 3, 40))) * DAY))
    return log


def _visit(chance: Random, at: int, id: str, who: int, start: int, most: int) -> Record:
    status = chance.choice(("attended",) * 12 + ("cancelled", "no_show"))
    amount = chance.choice((0, chance.randrange(1, most), chance.randrange(1, most)))
    phone = f"+7701{5_550_000 + who}"
    version = None if chance.random() < 0.01 else at // MINUTE
    told: dict[str, Any] = {"status": status, "amount_minor": amount, "version": version}
    return visit(TENANT, at, id, phone=phone, starts_at=start, **told)
