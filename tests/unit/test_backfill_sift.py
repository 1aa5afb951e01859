"""Every row of a business's tables is told as history, or bad for a reason."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import polars as pl
import pytest

from flows.backfill_report import Report
from operators.decode import decode
from operators.pack import MOST_OBJECTS, Plan, pack
from operators.sift import MOST_BYTES, Sifted, sift_visits
from schemas.batch import Chunk
from schemas.mistakes import SettingsError
from schemas.record import SIZE_LIMIT
from tests.engine import run
from tests.logs import stamp
from tests.tables import NOW, Table, card, customers, mapping, visit, visits

DAY = 86_400_000
AT = "2026-01-01T00:00:00Z"


def objects(sifted: Sifted) -> list[dict[str, Any]]:
    return [json.loads(body) for body in sifted.told["body"]]


def lines(plan: Plan) -> list[bytes]:
    return [record for _, record in plan.records(AT)]


BAD_VISITS: list[tuple[str, str, Table, Table]] = [
    ("tenant", "tenant", visit(tenant=None), {"tenant": None}),
    ("country", "country", visit(country="Kazakhstan"), {}),
    ("id", "id", visit(id=None), {}),
    ("phone", "phone", visit(phone="12345"), {}),
    ("phone", "phone", visit(phone="8 701 123 45 67 Мария"), {}),
    ("nobody", "phone", visit(phone=None), {}),
    ("version", "version", visit(version="newest"), {}),
    ("status", "status", visit(status="came"), {}),
    ("status", "status", visit(status=None), {}),
    ("time", "starts_at", visit(starts_at="yesterday"), {}),
    ("time", "starts_at", visit(starts_at=None), {}),
    ("time", "starts_at", visit(starts_at="1899-12-30T00:00:00Z"), {}),
    ("time", "starts_at", visit(starts_at="soon", status="cancelled"), {}),
    ("time", "ends_at", visit(ends_at="2025-13-01T00:00:00Z"), {}),
    ("future", "starts_at", visit(starts_at=stamp(NOW + 2 * DAY)), {}),
    ("amount", "amount", visit(amount="a lot"), {}),
    ("amount", "amount", visit(amount="-5"), {}),
    ("amount", "amount", visit(amount="3500,50"), {}),
    ("amount", "amount", visit(amount="1" + "0" * 15), {}),
    ("currency", "currency", visit(currency="TNG"), {}),
    ("currency", "currency", visit(currency=None), {"currency": None}),
    ("size", "id", visit(id="7", staff="x" * MOST_BYTES), {}),
]


@pytest.mark.parametrize(("reason", "column", "row", "top"), BAD_VISITS)
def test_a_visit_is_bad_for_this_reason_and_names_the_column(
    reason: str, column: str, row: Table, top: Table
) -> None:
    sifted = visits(row, top)
    assert sifted.reasons == {reason: 1}
    assert sifted.told.is_empty()
    named = column if column in row else ""
    assert sifted.bad.rows() == [(1, reason, named)]


def test_a_sum_that_is_told_in_minor_units_is_whole() -> None:
    row = visit() | {"amount_minor": ["12.5"]}
    del row["amount"]
    assert visits(row).reasons == {"amount": 1}


@pytest.mark.parametrize(
    ("reason", "row"),
    [
        ("id", card(id=None)),
        ("phone", card(phone="7011")),
        ("birthday", card(birthday="28.02.1990")),
        ("birthday", card(birthday="1990-02-30")),
        ("consent", card(consent="perhaps")),
        ("version", card(version="-1")),
        ("size", card(name="x" * MOST_BYTES)),
        ("nobody", {"phone": [None], "name": ["Мария"]}),
    ],
)
def test_a_card_is_bad_for_this_reason(reason: str, row: Table) -> None:
    sifted = customers(row)
    assert sifted.reasons == {reason: 1}
    assert sifted.told.is_empty()


def test_bad_rows_are_numbered_and_the_others_are_told() -> None:
    phones = ["+77011234567", "1", "+77011234568", None, "+77011234569"]
    sifted = visits({"phone": phones, "starts_at": [stamp(NOW)] * 5})
    assert sifted.bad.rows() == [(2, "phone", "phone"), (4, "nobody", "phone")]
    assert sorted(told["phone"] for told in objects(sifted)) == [phones[0], phones[2], phones[4]]


def test_a_cancelled_visit_may_lack_its_time() -> None:
    (told,) = objects(visits(visit(starts_at=None, status="cancelled")))
    assert told["status"] == "cancelled"


def test_a_visit_that_is_booked_may_be_still_to_come() -> None:
    sifted = visits(visit(status="booked", starts_at=stamp(NOW + 9 * DAY)))
    assert sifted.bad.is_empty()


def test_with_an_id_a_row_without_phone_and_client_is_a_walk_in() -> None:
    sifted = visits(visit(id="7", phone=None))
    assert sifted.bad.is_empty()
    assert sifted.told["phone"].to_list() == [None]


def test_a_phone_that_stands_for_none_is_nobody_s() -> None:
    row = {"id": ["1", "2", "3"], "phone": ["8 700 000-00-00", "+77000000000", "+77011234567"]}
    sifted = visits(row | {"starts_at": [stamp(NOW)] * 3}, {"nobody": ["87000000000"]})
    assert sifted.bad.is_empty()
    assert sorted(sifted.told["phone"].drop_nulls()) == ["+77011234567"]
    with pytest.raises(SettingsError, match=r"^nobody\[1\]: not a phone$"):
        visits(visit(), {"nobody": ["87000000000", "none"]})


def test_phones_with_more_visits_than_a_customer_has_are_told_by_their_number() -> None:
    phones = ["+77000000000"] * 1_001 + ["+77011234567"] * 1_000
    ids = [str(number) for number in range(2_001)]
    told = Report()
    told.join(None, visits({"id": ids, "phone": phones, "starts_at": [stamp(NOW)] * 2_001}))
    assert told.as_json()["crowded"] == 1


SUMS = [
    ("3500", ".", "KZT", 350_000),
    ("3500.5", ".", "KZT", 350_050),
    ("3 500.50 ₸", ".", "KZT", 350_050),
    ("3,500.50", ".", "KZT", 350_050),
    ("3\u00a0500,50", ",", "RUB", 350_050),
    ("3.500,50", ",", "EUR", 350_050),
    ("1,005", ",", "KZT", 101),
    ("0,0049", ",", "KZT", 0),
    ("1.9999", ".", "KZT", 200),
    ("12.5", ".", "JPY", 13),
    ("12.3456", ".", "KWD", 12_346),
    ("0", ".", "KZT", 0),
]


@pytest.mark.parametrize(("text", "decimal", "currency", "minor"), SUMS)
def test_a_sum_becomes_minor_units(text: str, decimal: str, currency: str, minor: int) -> None:
    (told,) = objects(visits(visit(amount=text, currency=currency), decimal=decimal))
    assert (told["amount_minor"], told["currency"]) == (minor, currency)


def test_a_visit_without_a_sum_is_told_without_one() -> None:
    (told,) = objects(visits(visit(amount=None)))
    assert told.get("amount_minor") is None


TIMES = [
    ([], "2025-11-20 12:00:00", "2025-11-20T12:00:00"),
    ([], "2025-11-20T12:00:00+05:00", "2025-11-20T07:00:00Z"),
    ([], "2025-11-20 12:00:00+00", "2025-11-20T12:00:00Z"),
    ([], "2025-11-20", "2025-11-20T00:00:00"),
    (["%d.%m.%Y %H:%M", "%d.%m.%Y"], "20.11.2025 12:30", "2025-11-20T12:30:00"),
    (["%d.%m.%Y %H:%M", "%d.%m.%Y"], "20.11.2025", "2025-11-20T00:00:00"),
    (["%d.%m.%Y %H:%M %z"], "20.11.2025 12:30 +0500", "2025-11-20T07:30:00Z"),
]


@pytest.mark.parametrize(("formats", "text", "told"), TIMES)
def test_a_time_keeps_its_zone_or_stays_a_wall_clock(
    formats: list[str], text: str, told: str
) -> None:
    (found,) = objects(visits(visit(starts_at=text), times=formats))
    assert found["starts_at"] == told


def test_a_day_and_an_hour_in_two_columns_are_one_time() -> None:
    row = {"phone": ["+77011234567"], "day": ["20.11.2025"], "hour": ["09:15"]}
    read = {"phone": "phone", "starts_at": ["day", "hour"]}
    told = mapping(visits={"file": "v.csv", "times": ["%d.%m.%Y %H:%M"], "columns": read})
    (found,) = objects(sift_visits(pl.DataFrame(row), told, NOW))
    assert found["starts_at"] == "2025-11-20T09:15:00"


WRITINGS = [
    "+77011234567", "8 (701) 123-45-67", "77011234567", "7 701 123 45 67", "87011234567",
    "701 123 45 67", "+49 30 901820", "4930901820", "8 701", "abc", "+0", "123", "998901234567",
    "'+7 701 1234567", "+7 (701) 123-45-67 доб. 5", "00000000000",
]  # fmt: skip


@pytest.mark.parametrize("country", ["KZ", "RU", "DE", None])
def test_a_phone_is_read_as_the_fold_reads_it(country: str | None) -> None:
    """The fold, told the same writings by webhooks, knows the same customers."""
    tenants = [f"t{number}" for number in range(len(WRITINGS))]
    row = {"tenant": tenants, "phone": WRITINGS, "starts_at": [AT] * len(WRITINGS)}
    sifted = visits(row, {"tenant": None, "country": country})
    log = []
    for tenant, writing in zip(tenants, WRITINGS, strict=True):
        told = {"id": "v", "status": "attended", "phone": writing, "starts_at": AT}
        settings = {} if country is None else {"country": country}
        head: Table = {"tenant": tenant, "received_at": AT}
        log.append(head | {"kind": "settings", "settings": settings})
        log.append(head | {"kind": "history", "visits": [told]})
    folded = run([json.dumps(record).encode() for record in log]).profiles()
    phones = {profile["tenant"]: profile["phone"] for profile in folded.values()}
    assert dict(sifted.told.select("tenant", "phone").iter_rows()) == phones
    assert len(phones) > 3


def test_the_same_row_twice_is_one_visit() -> None:
    twice = {name: cells * 2 for name, cells in visit().items()}
    sifted = visits(twice)
    assert (sifted.told.height, sifted.repeated, sifted.differing) == (1, 1, 0)


def test_of_rows_with_one_id_the_highest_version_holds_else_the_last() -> None:
    row = {"id": ["a"] * 3 + ["b"] * 2, "version": ["3", "9", "4", None, None]}
    row |= {"amount": ["1", "2", "3", "4", "5"], "phone": ["+77011234567"] * 5}
    sifted = visits(row | {"starts_at": [stamp(NOW)] * 5})
    found = {told["id"]: told["amount_minor"] for told in objects(sifted)}
    assert found == {"a": 200, "b": 500}
    assert (sifted.repeated, sifted.differing) == (3, 3)


def test_a_version_may_be_the_time_of_the_change() -> None:
    (told,) = objects(visits(visit(id="7", version="2025-11-20T12:00:00Z")))
    assert told["version"] == 1_763_640_000_000


def test_one_id_at_two_tenants_is_two_visits() -> None:
    row = {name: cells * 2 for name, cells in visit(id="7").items()} | {"tenant": ["a", "b"]}
    assert visits(row, {"tenant": None}).told["tenant"].to_list() == ["a", "b"]


def test_without_ids_a_visit_whose_sum_was_corrected_is_the_same_visit() -> None:
    (before,) = objects(visits(visit(amount="100")))
    (after,) = objects(visits(visit(amount="90", phone="8 701 123 45 67")))
    (other,) = objects(visits(visit(starts_at=stamp(NOW - 2 * DAY))))
    assert before["id"] == after["id"] != other["id"]


def test_services_are_lists_or_are_split_or_are_one_title() -> None:
    titles = "Стрижка, укладка"
    assert objects(visits(visit(services=titles)))[0]["services"] == [titles]
    split = visits(visit(services=titles), split_services=",")
    assert objects(split)[0]["services"] == ["Стрижка", "укладка"]
    listed = visits(visit(services=["Стрижка", None, "укладка"]))
    assert objects(listed)[0]["services"] == ["Стрижка", "укладка"]


def test_consent_is_told_where_a_word_says_so() -> None:
    told = objects(customers({"id": ["1", "2", "3"], "consent": ["Да", "Нет", None]},
                             consent={"Да": True, "Нет": False}))  # fmt: skip
    by_id = {each["id"]: each.get("consent") for each in told}
    assert by_id == {"1": {"marketing": True}, "2": {"marketing": False}, "3": None}


@pytest.mark.parametrize("kind", [pl.Float64, pl.Int64, pl.String])
def test_a_phone_that_a_table_keeps_as_a_number_is_read(kind: Any) -> None:
    frame = pl.DataFrame({"phone": [77011234567]}).cast(kind)
    found = visits({"phone": frame["phone"], "starts_at": [stamp(NOW)]})
    assert [told["phone"] for told in objects(found)] == ["+77011234567"]


NAMES = ['"quoted"', "back\\slash", "tab\there", "line\nbreak", "\x00\x1f.", "a\u2028b", "Мария 🌸"]


def test_whatever_a_name_holds_every_record_is_read_as_it_was() -> None:
    cards = customers({"id": [str(n) for n in range(len(NAMES))], "name": NAMES})
    (line,) = lines(pack(cards, None))
    told = {each["id"]: each["name"] for each in json.loads(line)["customers"]}
    assert told == {str(n): name for n, name in enumerate(NAMES)}
    (batch,) = decode(Chunk(-1, np.arange(1), None, [line], None), 1)
    assert batch.dead_letters == []
    assert len(batch.clients.record) == len(NAMES)


def many(count: int, order: random.Random | None = None) -> Plan:
    numbers = [*range(count)]
    if order is not None:
        order.shuffle(numbers)
    whose = {
        "tenant": [f"t{number % 3}" for number in numbers],
        "phone": [f"+7701{number % 700:07}" for number in numbers],
    }
    when = {
        "id": [str(number) for number in numbers],
        "starts_at": [stamp(NOW - number * 3_600_000) for number in numbers],
    }
    return pack(customers(whose, {"tenant": None}), visits(whose | when, {"tenant": None}))


def test_records_are_bounded_and_hold_every_object_once_tenant_by_tenant() -> None:
    told = [json.loads(line) for line in lines(many(4_000))]
    assert [record["tenant"] for record in told] == sorted(record["tenant"] for record in told)
    sizes = [len(record.get("visits", record.get("customers"))) for record in told]
    assert max(sizes) == MOST_OBJECTS
    ids = [each["id"] for record in told for each in record.get("visits", [])]
    assert sorted(ids, key=int) == [str(n) for n in range(4_000)]
    for tenant in ("t0", "t1", "t2"):
        kinds = ["visits" in record for record in told if record["tenant"] == tenant]
        assert kinds == sorted(kinds), "customers come first"


def test_the_largest_objects_still_fit_into_a_record() -> None:
    staff = "x" * (MOST_BYTES - 250)
    row = {name: cells * MOST_OBJECTS for name, cells in visit(staff=staff).items()}
    (line,) = lines(pack(None, visits(row | {"id": [str(n) for n in range(MOST_OBJECTS)]})))
    assert 0.9 * SIZE_LIMIT < len(line) < SIZE_LIMIT


def test_the_order_of_rows_changes_no_record() -> None:
    plan = many(3_000)
    for seed in range(3):
        other = many(3_000, random.Random(seed))
        assert lines(other) == lines(plan)
        assert other.digest() == plan.digest()
    assert many(2_999).digest() != plan.digest()
