"""Aliases, merges and wishes to be forgotten in the middle of lives: no cut changes a byte."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.keys import alias_customer_id, customer_id
from tests.engine import ID_KEY, comparable, pieces, run
from tests.life import PLACES, Lines, Log, Place, large_logs
from tests.logs import Record, card, forget, lines_of, ms
from tests.people import BSUID, is_written_to, telegram, writes
from tests.property.test_cuts import crash_and_resume

MANY = max(settings().max_examples // 4, 1)  # as ``test_cuts`` tries the rest of it


def peopled(log: list[Record], seed: int) -> list[Record]:
    """The same life, in which people also have names, change phones and wish to be forgotten."""
    chance = Random(seed)
    told = Log(log)
    tenants = sorted({record["tenant"] for record in log if "tenant" in record})
    places = [place for place in PLACES if place.tenant in tenants]
    for number in range(len(log) // 4):
        at = chance.randrange(len(tenants), len(told))
        now = ms(told[at]["received_at"])
        one = _one(chance, chance.choice(places), now, f"p{number}")
        if "appended_at" in told[at]:
            one["appended_at"] = told[at]["appended_at"]
        told.insert(at, one)
    return told


def _one(chance: Random, place: Place, now: int, id: str) -> Record:
    tenant, digits = place.tenant, f"{place.phone}{chance.choice((1, 2, 3))}"[1:]
    name = str(chance.randrange(3))
    phone = chance.choice((digits, digits, None))
    kind = chance.randrange(8)
    if kind < 3:
        word = chance.choice((None, None, "СТОП", "СТАРТ"))
        return writes(tenant, now, id, phone, name, word)
    if kind < 5:
        return is_written_to(tenant, now, id, phone, name)
    if kind == 5:
        return telegram(tenant, now, id, name)
    if kind == 6:
        who = f"crm-{chance.choice((1, 2, 3))}"
        version = chance.choice((now, now // 1000, 10))
        names = {"telegram": name, BSUID: f"KZ.{name}"}
        return card(tenant, now, who, version=version, phone=phone and f"+{phone}", aliases=names)
    unknown = alias_customer_id(ID_KEY, tenant, BSUID, f"KZ.{name}")
    return forget(tenant, now, chance.choice((unknown, customer_id(ID_KEY, tenant, int(digits)))))


lives = st.builds(peopled, large_logs(), st.integers(0, 2**32)).map(
    lambda log: Lines(lines_of(log))
)


@settings(max_examples=MANY)
@given(lives, st.integers(1, 3), st.data())
def test_any_cutting_gives_the_same_bytes(
    lines: list[bytes], lanes: int, data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=20))
    whole, cut = run(lines, lanes), run(lines, lanes, cuts)
    assert comparable(cut) == comparable(whole)
    assert cut.digests == whole.digests


@settings(max_examples=MANY)
@given(lives, st.data())
def test_a_crash_after_a_snapshot_changes_nothing(lines: list[bytes], data: st.DataObject) -> None:
    spans = pieces(len(lines), data.draw(st.sets(st.integers(1, len(lines)), max_size=12)))
    saves = data.draw(st.sets(st.integers(0, len(spans) - 1), min_size=1, max_size=4))
    whole = run(lines)
    with TemporaryDirectory() as folder:
        resumed = crash_and_resume(lines, 1, spans, saves, Path(folder))
    for key, messages in resumed.messages.items():
        owed = whole.messages[key]
        assert owed[len(owed) - len(messages) :] == messages
    assert resumed.digests == whole.digests
