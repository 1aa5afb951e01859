"""What else a nasty life may hold: money, other messengers, names, history, forgetting, rubbish.

Takes: a ``Life`` that is being drawn, and one of its places
Out:   records added to it; each function draws one small story of its own part
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from schemas.keys import alias_customer_id, customer_id
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    client,
    forget,
    greenapi_message,
    greenapi_status,
    history,
    message_in,
    order,
    payment,
    record,
    rubbish,
    sale,
    settings,
    trigger,
    visit,
    wall,
    wazzup_message,
    wazzup_status,
    whatsapp_message,
    whatsapp_status,
)

if TYPE_CHECKING:
    from tests.life import Life, Place

ID_KEY = b"demo"
BSUIDS = ("KZ.1001", "KZ.1002")
CHATS = ("555000111", "555000222")


def draw(life: Life, part: str) -> None:
    """One story of this part."""
    _PARTS[part](life, life.chance.choice(life.places))


def _payments(life: Life, place: Place) -> None:
    """Money for a visit's unit, or for none; parts, refunds, corrections, deletions."""
    chance = life.chance
    provider, company = chance.choice(("yclients", "altegio")), chance.choice((501, 501, 502))
    number, who = chance.randrange(1, life.pool), chance.choice((1, 2, 3, None))
    unit = chance.choice((900_000 + chance.randrange(1, life.pool), 950_001, None))
    event, zone = life.moment(), "Asia/Tokyo" if company == 502 else place.zone
    told: dict[str, Any] = {"unit": unit, "company": company, "provider": provider, "client": who}
    told |= {"phone": life.phone(place, who) if chance.random() < 0.3 else None}
    for _ in range(chance.choice((1, 1, 2, 3))):
        told["date"] = wall(life.start(place), zone)
        told["version"] = life.version(event)
        told["deleted"] = chance.random() < 0.15
        amount = chance.choice((900, 2500.5, 5000, -900, 0))
        if chance.random() < 0.2:
            told["unit"] = chance.choice((unit, None))
        life.add(event, payment(place.tenant, event, number, amount, **told))
        event += chance.choice((1, 90, 1500)) * MINUTE


def _sales(life: Life, place: Place) -> None:
    """Goods, and what was paid for them."""
    chance = life.chance
    company, who = chance.choice((501, 502)), chance.choice((1, 2, None))
    number, event = chance.randrange(1, max(2, life.pool // 2)), life.moment()
    unit = chance.choice((None, None, 900_000 + chance.randrange(1, life.pool)))
    date = wall(life.start(place), "Asia/Tokyo" if company == 502 else place.zone)
    told: dict[str, Any] = {"date": date, "company": company, "client": who, "unit": unit}
    gone = chance.random() < 0.1
    version = life.version(event)
    cost = chance.choice((700, 1500.5))
    life.add(event, sale(place.tenant, event, number, cost, version=version, deleted=gone, **told))
    if chance.random() < 0.6:
        event += chance.choice((-90, 1, 90)) * MINUTE
        told["unit"] = None
        told |= {"sale": number, "version": life.version(event)}
        gone = chance.random() < 0.2
        paid = payment(place.tenant, event, 7_000 + number, cost - 100, deleted=gone, **told)
        life.add(event, paid)


def _units(life: Life, place: Place) -> None:
    """One visit in two or three records, paid at once."""
    chance = life.chance
    unit, event = 950_001, life.moment()
    number, who = 5_000 + chance.randrange(6), chance.choice((1, 2, 3))
    start = life.start(place) + chance.randrange(1, 59) * MINUTE
    for at in range(chance.choice((2, 3))):
        wide: dict[str, Any] = {"attendance": chance.choice((1, 1, 1, 0, -1))}
        wide |= {"date": wall(start + at * HOUR, place.zone), "costs": ((900, 1),)}
        wide |= {"client": who, "phone": life.phone(place, who), "version": life.version(event)}
        wide |= {"unit": unit, "deleted": chance.random() < 0.1}
        life.add(event, record(place.tenant, event, number + at, **wide))
        event += chance.choice((0, 1, 90)) * MINUTE
    if chance.random() < 0.7:
        date, version = wall(start, place.zone), life.version(event)
        amount, again = chance.choice((4000, 100, -50)), chance.randrange(3)
        told: dict[str, Any] = {"date": date, "version": version, "unit": unit, "client": who}
        life.add(event, payment(place.tenant, event, 8_000 + again, amount, **told))


def _history(life: Life, place: Place) -> None:
    """Imported past, some of it known already."""
    chance, event = life.chance, life.moment()
    told: list[Record] = []
    for _ in range(chance.choice((1, 2, 5))):
        status = chance.choice(("attended", "attended", "no_show", "booked", "cancelled"))
        who = chance.choice((1, 2, None))
        body: dict[str, Any] = {"status": status, "version": life.version(event)}
        body |= {"phone": life.phone(place, who), "starts_at": life.start(place)}
        body |= {"client": None if who is None else f"crm-{who}", "amount_minor": 120_000}
        told.append(visit(place.tenant, event, f"v{chance.randrange(1, life.pool)}", **body))
    if chance.random() < 0.5:
        who = chance.choice((1, 2, 3))
        phone, version = life.phone(place, who), life.version(event)
        told.append(card(place.tenant, event, f"crm-{who}", phone=phone, version=version))
    life.add(event, history(place.tenant, event, *told))


def _forget(life: Life, place: Place) -> None:
    """A wish to be forgotten, of a phone or another name; the business may name either again."""
    chance, event = life.chance, life.moment()
    digits = f"{place.phone[1:]}{chance.choice((1, 1, 2, 9))}"
    who = customer_id(ID_KEY, place.tenant, int(digits))
    if chance.random() < 0.2:
        named = chance.choice((("whatsapp_bsuid", chance.choice(BSUIDS)), ("telegram", CHATS[0])))
        who = alias_customer_id(ID_KEY, place.tenant, *named)
    life.add(event, forget(place.tenant, event, who))
    if chance.random() < 0.5:
        event += chance.choice((0, 1, 60)) * HOUR
        message = whatsapp_message(place.tenant, event, f"w{event}", digits)
        value = message["body"]["entry"][0]["changes"][0]["value"]
        value["messages"][0]["text"]["body"] = chance.choice(("СТАРТ", "Start", "не пишите"))
        life.add(event, message)


def _aliases(life: Life, place: Place) -> None:
    """Names without a phone, with one, on a card; sometimes a name moves to another phone."""
    chance, event = life.chance, life.moment()
    digits = f"{place.phone[1:]}{chance.choice((1, 1, 2, 5))}"
    bsuid = chance.choice(BSUIDS)
    match chance.randrange(4):
        case 0:
            life.add(event, whatsapp_message(place.tenant, event, f"w{event}", bsuid))
        case 1:
            chat = chance.choice(CHATS)
            told = wazzup_message(place.tenant, event, f"z{event}", chat, "telegram")
            life.add(event, told)
        case 2:
            who, version = chance.choice((1, 2, 3)), life.version(event)
            names = {"whatsapp_bsuid": bsuid}
            if chance.random() < 0.5:
                names["telegram"] = chance.choice(CHATS)
            phone = chance.choice((f"+{digits}", None))
            told = card(
                place.tenant, event, f"crm-{who}", phone=phone, version=version, aliases=names
            )
            life.add(event, told)
        case _:
            message = whatsapp_message(place.tenant, event, f"w{event}", digits)
            value = message["body"]["entry"][0]["changes"][0]["value"]
            value["messages"][0]["from_user_id"] = bsuid
            life.add(event, message)


def _messengers(life: Life, place: Place) -> None:
    """Messages and statuses of every gateway; some statuses twice, or of nobody's message."""
    chance, event = life.chance, life.moment()
    digits = f"{place.phone[1:]}{chance.choice((1, 2, 6))}"
    name = f"n{chance.randrange(4)}"
    status = chance.choice(("sent", "delivered", "read"))
    told = (
        lambda: wazzup_message(place.tenant, event, name, digits),
        lambda: wazzup_message(place.tenant, event, name, digits, is_echo=True),
        lambda: wazzup_status(place.tenant, event, name, status),
        lambda: greenapi_message(place.tenant, event, name, digits),
        lambda: greenapi_status(place.tenant, event, name, digits, status),
        lambda: whatsapp_status(place.tenant, event, name, digits, status),
        lambda: message_in(place.tenant, event, name, f"+{digits}"),
    )
    life.add(event, chance.choice(told)())


def _orders(life: Life, place: Place) -> None:
    """A restaurant's order: closed, closed again with another sum, deleted."""
    chance, event = life.chance, life.moment()
    name, phone = f"order{chance.randrange(5)}", life.phone(place, chance.choice((1, 2, None)))
    closed = event - chance.choice((1, 30, 600)) * MINUTE
    for _ in range(chance.choice((1, 1, 2))):
        status = chance.choice(("Closed", "Closed", "Deleted", "New"))
        sums: dict[str, Any] = {
            "status": status,
            "sum": chance.choice((420, 990.5)),
            "closed": closed,
        }
        life.add(event, order(place.tenant, event, name, phone=phone, **sums))
        event += chance.choice((1, 60, 3000)) * MINUTE
        closed = event


def _zones(life: Life, place: Place) -> None:
    """Settings with another zone, currency or zones of branches."""
    chance, event = life.chance, life.moment()
    told = life.settings(place, event)["settings"]
    told["timezone"] = chance.choice((place.zone, "Asia/Tokyo", "America/Los_Angeles"))
    told["branches"] = chance.choice(({}, {"501": {"timezone": "Europe/London"}}))
    told["currency"] = chance.choice((place.currency, "XAF"))
    told["scoring"]["window_days"] = chance.choice((life.window, 5, 30))
    life.add(event, settings(place.tenant, event, **told))


def _triggers(life: Life, place: Place) -> None:
    """Settings with other triggers: some are new, some gone, some mean something else now."""
    event = life.moment()
    told = life.settings(place, event)["settings"]
    told["triggers"] = some_triggers(life.chance)
    told["quiet_utility"] = life.chance.choice((["22:00", "08:00"], ["01:00", "05:00"]))
    life.add(event, settings(place.tenant, event, **told))


def _cards(life: Life, place: Place) -> None:
    """Cards with birthdays around this time, told before or after them, and corrected."""
    chance, event = life.chance, life.moment()
    who = chance.choice((1, 2, 3))
    for _ in range(chance.choice((1, 1, 2))):
        day = chance.choice((wall(life.start(place), place.zone)[4:10], "-02-29", "-01-01"))
        told: dict[str, Any] = {"phone": life.phone(place, who), "version": life.version(event)}
        birthday = chance.choice((f"1988{day}", f"1991{day}", None))
        if birthday is not None and birthday.endswith("-02-29"):
            birthday = "1988-02-29"
        told |= {"birthday": birthday, "name": chance.choice((None, "А", "Б"))}
        life.add(event, card(place.tenant, event, f"crm-{who}", **told))
        event += chance.randrange(1, 3000) * MINUTE


def some_gate(chance: Random) -> Record:
    """Rules of the gate; half of them let nearly everything pass."""
    if chance.random() < 0.5:
        return {}
    return {
        "consent_default": chance.choice(("allow", "allow", "deny")),
        "quiet_hours": chance.choice((["21:00", "10:00"], ["12:00", "15:00"], ["00:00", "00:00"])),
        "caps": chance.choice(([], [{"per_days": 1, "max": 1}], [{"per_days": 3, "max": 2}])),
        "holdout_percent": chance.choice((0, 0, 30)),
        "channel_policy": chance.choice(({}, {}, {"marketing": ["!whatsapp"]})),
    }


def _words(life: Life, place: Place) -> None:
    """Customers want no more, or want it again; cards say what they agreed to."""
    chance, event = life.chance, life.moment()
    who = chance.choice((1, 2, 3))
    if chance.random() < 0.6:
        told = message_in(place.tenant, event, f"o{event}", f"{place.phone}{who}")
        told["body"]["text"] = chance.choice(("STOP", "Отписаться.", "START", "старт"))
    elif chance.random() < 0.5:
        about = {"phone": life.phone(place, who), "version": life.version(event)}
        consent = {"marketing": chance.random() < 0.5}
        told = card(place.tenant, event, f"crm-{who}", consent=consent, **about)
    else:
        phone, version = life.phone(place, who), life.version(event)
        told = client(place.tenant, event, who, phone=phone, version=version)
        told["body"]["data"]["sms_not"] = chance.choice((0, 1))
    life.add(event, told)


def some_triggers(chance: Random) -> list[Record]:
    """Triggers of every kind under a few ids, with any of their keys."""
    every = [
        trigger("birthday", at=chance.choice(("00:00", "11:00", "23:59"))),
        trigger("birthday", id="early", days_before=chance.choice((-3, 2, 170)), ttl="5d"),
        trigger("reminder", before=chance.choice(("24h", "2h", "3d"))),
        trigger("reminder", id="soon", before="90m", segments=["333", "322", "312", "000"]),
        trigger("after_visit", after=chance.choice(("0m", "2h", "1d"))),
        trigger("after_visit", id="review", after=chance.choice(("3h", "2d")), ttl="2d"),
        trigger("rebook", after_days=chance.choice((1, 2, 6)), service=chance.choice((None, "s"))),
        trigger("rebook", id="own", interval_factor=chance.choice((0.5, 1, 1.5))),
        trigger("winback", after_days=chance.choice((1, 3, 7)), at="12:30"),
        trigger("winback", id="soon" if chance.random() < 0.2 else "again", after_days=2, ttl="1h"),
        trigger("no_show", after=chance.choice(("0m", "1h", "1d"))),
        trigger("segment_entered", segments=["333", "322", "312", "211", "111"]),
        trigger("reply", match=chance.choice((None, "text", ["здравствуйте"], ["нет"]))),
    ]
    told = {each["id"]: each for each in every if chance.random() < 0.6}
    return list(told.values())


def _rubbish(life: Life, place: Place) -> None:
    """What cannot be used, and a line that is no record."""
    event = life.moment()
    life.add(event, rubbish(place.tenant, event, life.chance.randrange(3)))


def _crowd(life: Life, place: Place) -> None:
    """A house number: more visits of one phone on one day than anybody can make."""
    chance, event = life.chance, life.moment()
    start = life.start(place)
    start -= start % DAY
    for number in range(chance.choice((29, 31, 36))):
        at = event + chance.choice((0, 0, 1, 300)) * MINUTE
        body: dict[str, Any] = {"status": chance.choice(("attended",) * 5 + ("cancelled",))}
        body |= {"phone": f"{place.phone}1", "starts_at": start + number * 5 * MINUTE}
        body |= {"version": life.version(at), "amount_minor": 1_000}
        life.add(at, visit(place.tenant, at, f"h{chance.choice((number, number % 30))}", **body))


_PARTS: dict[str, Callable[[Any, Any], None]] = {
    "payments": _payments,
    "sales": _sales,
    "units": _units,
    "history": _history,
    "forget": _forget,
    "aliases": _aliases,
    "messengers": _messengers,
    "orders": _orders,
    "zones": _zones,
    "triggers": _triggers,
    "cards": _cards,
    "words": _words,
    "rubbish": _rubbish,
    "crowd": _crowd,
}
PARTS = tuple(_PARTS)
