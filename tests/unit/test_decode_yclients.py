"""YCLIENTS and Altegio bodies, and every drift of theirs that was seen, give the right events."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from schemas.batch import (
    ATTENDED,
    BOOKED,
    CONFIRMED,
    DELETED,
    NO_SHOW,
    SERVICES_SEPARATOR,
)
from tests.unit.decoding import (
    YCLIENTS_CLIENT,
    YCLIENTS_PAYMENT,
    YCLIENTS_RECORD,
    Json,
    changed,
    decoded,
    ms,
    reasons,
    rows,
    webhook,
)

SCOPE = ("t1", "yclients", "358944")

VISIT = {
    "record": 0,
    "scope": SCOPE,
    "id": 234961815,
    "id_text": None,
    "version": ms("2020-11-17T13:58:19+03:00"),
    "status": BOOKED,
    "start_ms": None,
    "keeps_start": 0,
    "local_ms": ms("2020-11-21T16:00:00"),
    "duration_ms": 8_100_000,
    "client": 86694283,
    "phone": "+79990000000",
    "name": "Мария",
    "money_unit": 198814560,
    "amount": 5_900_000,
    "amount_is_major": 1,
    "currency": None,
    "branch": "358944",
    "services": "Окрашивание",
    "staff": "Анна",
}


def visit_of(body: Json, **envelope: Json) -> dict[str, Any]:
    """The one visit of a body that is no dead letter."""
    batch = decoded(webhook("yclients", body, **envelope))
    assert batch.dead_letters == []
    (visit,) = rows(batch, batch.visits)
    return visit


def record(**data: Json) -> dict[str, Any]:
    return visit_of(changed(YCLIENTS_RECORD, **data))


def refusal(body: Json) -> tuple[str, str]:
    batch = decoded(webhook("yclients", body))
    (letter,) = batch.dead_letters
    assert rows(batch, batch.visits) == []
    return letter.reason, letter.message


def test_the_documented_record_is_a_visit() -> None:
    assert visit_of(YCLIENTS_RECORD) == VISIT


def test_altegio_is_the_same_shape_in_a_scope_of_its_own() -> None:
    batch = decoded(webhook("altegio", YCLIENTS_RECORD))
    assert rows(batch, batch.visits) == [VISIT | {"scope": ("t1", "altegio", "358944")}]
    assert batch.counts["events", "altegio", "visit"] == 1


def test_the_branch_of_the_envelope_goes_before_the_company() -> None:
    visit = visit_of(YCLIENTS_RECORD, branch="b1")
    assert (visit["scope"][2], visit["branch"]) == ("b1", "b1")


def test_a_branch_written_as_a_number_is_the_same_branch() -> None:
    batch = decoded(
        webhook("yclients", YCLIENTS_RECORD, branch=358944),
        webhook("yclients", YCLIENTS_RECORD, branch="358944"),
        webhook("yclients", YCLIENTS_RECORD),
    )
    assert [visit["scope"] for visit in rows(batch, batch.visits)] == [SCOPE] * 3
    assert len(set(batch.visits.scope.tolist())) == 1


@pytest.mark.parametrize(
    ("attendance", "status"),
    [(1, ATTENDED), (-1, NO_SHOW), (0, BOOKED), (2, CONFIRMED), ("1", ATTENDED), (None, BOOKED)],
)
def test_attendance_tells_the_status(attendance: Json, status: int) -> None:
    assert record(attendance=attendance)["status"] == status


@pytest.mark.parametrize("deleted", [True, 1, "1", "true"])
def test_a_deleted_record_takes_its_visit_back(deleted: Json) -> None:
    assert record(deleted=deleted, attendance=1)["status"] == DELETED


@pytest.mark.parametrize("deleted", [False, 0, "0", None, ""])
def test_a_record_that_is_not_deleted_stays(deleted: Json) -> None:
    assert record(deleted=deleted, attendance=1)["status"] == ATTENDED


def test_a_delete_takes_its_visit_back_whatever_the_attendance() -> None:
    assert visit_of(YCLIENTS_RECORD | {"status": "delete"})["status"] == DELETED
    body = changed(YCLIENTS_RECORD, attendance=7)
    assert visit_of(body | {"status": "delete"})["status"] == DELETED


@pytest.mark.parametrize("data", [None, [], {}, {"id": 234961815}, {"date": "0000-00-00 00:00:00"}])
def test_a_delete_needs_no_data(data: Json) -> None:
    visit = visit_of(YCLIENTS_RECORD | {"status": "delete", "data": data})
    told = {"id": 234961815, "status": DELETED, "start_ms": None, "local_ms": None, "version": None}
    assert visit == visit | told


def test_a_delete_without_data_works() -> None:
    body = {key: value for key, value in YCLIENTS_RECORD.items() if key != "data"}
    assert visit_of(body | {"status": "delete"})["status"] == DELETED


def test_the_id_may_be_in_the_data_alone() -> None:
    assert visit_of(YCLIENTS_RECORD | {"resource_id": None})["id"] == 234961815


DRIFTS: list[tuple[dict[str, Json], dict[str, Any]]] = [
    ({"paid_full": False}, {}),
    ({"sms_now": True}, {}),
    ({"sms_now": 1}, {}),
    ({"notified": "1"}, {}),
    ({"custom_fields": []}, {}),
    ({"custom_fields": [{"id": 1}]}, {}),
    ({"id": "234961815", "visit_id": "198814560"}, {}),
    ({"length": "8100"}, {}),
    ({"length": None}, {}),
    ({"length": None, "seance_length": 3600}, {"duration_ms": 3_600_000}),
    ({"length": None, "seance_length": None}, {"duration_ms": None}),
    ({"length": "an hour", "seance_length": [1]}, {"duration_ms": None}),
    ({"length": -5, "seance_length": 0}, {"duration_ms": None}),
    ({"length": 10**17}, {"duration_ms": None}),
    ({"client": None}, {"client": None, "phone": None, "name": None}),
    ({"client": []}, {"client": None, "phone": None, "name": None}),
    ({"client": {}}, {"client": None, "phone": None, "name": None}),
    ({"client": ""}, {"client": None, "phone": None, "name": None}),
    ({"client": {"id": "86694283", "phone": 79990000000}}, {"phone": "79990000000", "name": None}),
    ({"client": {"id": 86694283, "phone": None, "name": 5}}, {"phone": None, "name": None}),
    ({"client": {"id": 86694283, "phone": "", "name": ""}}, {"phone": None, "name": None}),
    ({"client": {"id": 0, "phone": "1"}}, {"client": None, "phone": "1", "name": None}),
    ({"services": None}, {"amount": 0, "services": ""}),
    ({"services": []}, {"amount": 0, "services": ""}),
    ({"services": {}}, {"amount": 0, "services": ""}),
    ({"services": {"0": {"title": "a", "cost": 5}}}, {"amount": 5_000, "services": "a"}),
    ({"services": [{"cost": "5900.00", "title": None}]}, {"services": ""}),
    ({"services": [{"cost": 5900.0, "title": 7}]}, {"services": ""}),
    ({"services": [{"cost": 5900, "cost_to_pay": 1, "title": "a"}]}, {"services": "a"}),
    ({"services": [{"cost": "", "title": "a"}]}, {"amount": 0, "services": "a"}),
    ({"staff": None}, {"staff": None}),
    ({"staff": []}, {"staff": None}),
    ({"staff": "Анна"}, {"staff": None}),
    ({"staff": {"name": None}}, {"staff": None}),
    ({"visit_id": None}, {"money_unit": None}),
    ({"visit_id": 0}, {"money_unit": None}),
    ({"last_change_date": None}, {"version": None}),
    ({"last_change_date": ""}, {"version": None}),
    ({"last_change_date": 5}, {"version": None}),
    ({"last_change_date": "0000-00-00 00:00:00"}, {"version": None}),
    ({"last_change_date": "2920-11-17T13:58:19+0300"}, {"version": None}),
    ({"last_change_date": "2020-11-17T13:58:19+03:00"}, {}),
    ({"last_change_date": "2020-11-17T10:58:19Z"}, {}),
    ({"last_change_date": "2020-11-17 10:58:19"}, {}),
    ({"date": "2020-11-21T16:00:00"}, {}),
    ({"date": "2020-11-21 16:00"}, {}),
    ({"date": "2020-11-21T16:00:00+05:00"}, {}),
    ({"datetime": "2020-11-21T16:00:00+05:00"}, {}),
    ({"datetime": None}, {}),
]


@pytest.mark.parametrize(("data", "difference"), DRIFTS)
def test_a_drift_changes_no_more_than_what_it_says(
    data: dict[str, Json], difference: dict[str, Any]
) -> None:
    assert record(**data) == VISIT | difference


@pytest.mark.parametrize("drift", [{"company_id": "358944"}, {"resource_id": "234961815"}])
def test_ids_may_be_texts(drift: Json) -> None:
    assert visit_of(YCLIENTS_RECORD | drift) == VISIT


@pytest.mark.parametrize(
    ("services", "thousandths"),
    [
        ([(5900, 1), (100, 3)], 6_200_000),
        ([(33.71, 1)], 33_710),
        ([(0.1, 3)], 300),
        ([("12.5", "2")], 25_000),
        ([(1.0005, 1)], 1_001),
        ([(1.0004, 1)], 1_000),
        ([(0.0005, 1), (0.0005, 1)], 1),
        ([(8900, 0)], 0),
        ([(8900, None)], 8_900_000),
        ([(None, 2)], 0),
        ([(10**12, 1)], 10**15),
    ],
)
def test_the_price_is_what_services_cost_rounded_half_up_once(
    services: list[tuple[Json, Json]], thousandths: int
) -> None:
    told = [{"title": "a", "cost": cost, "amount": amount} for cost, amount in services]
    assert record(services=told)["amount"] == thousandths


def test_titles_are_joined_in_order() -> None:
    titles = record(services=[{"title": "b"}, {"title": "a"}, {"title": ""}])["services"]
    assert titles.split(SERVICES_SEPARATOR) == ["b", "a"]


@pytest.mark.parametrize(
    ("data", "reason", "place"),
    [
        ({"attendance": 7}, "shape", "attendance"),
        ({"attendance": "came"}, "shape", "attendance"),
        ({"deleted": "perhaps"}, "shape", "deleted"),
        ({"date": None}, "shape", "date"),
        ({"date": 1605970800}, "shape", "date"),
        ({"date": "tomorrow"}, "time", "date"),
        ({"date": "2020-02-30 10:00:00"}, "time", "date"),
        ({"date": "1989-12-31 23:59:59"}, "time", "date"),
        ({"date": "2100-01-01 00:00:00"}, "time", "date"),
        ({"date": ""}, "time", "date"),
        ({"visit_id": "many"}, "shape", "visit_id"),
        ({"visit_id": 2**63}, "shape", "visit_id"),
        ({"client": {"id": "x"}}, "shape", "client.id"),
        ({"services": [{"cost": "free"}]}, "shape", "services[0].cost"),
        ({"services": [{"cost": "nan"}]}, "shape", "services"),
        ({"services": [{"cost": "inf"}]}, "shape", "services"),
        ({"services": [{"cost": "inf", "amount": 0}]}, "shape", "services"),
        ({"services": [{"cost": 10**13}]}, "shape", "services"),
        ({"services": [{"cost": 1e300}]}, "shape", "services"),
        ({"services": "haircut"}, "shape", "services"),
        ({"services": ["haircut"]}, "shape", "services[0]"),
        ({"services": {"0": "haircut"}}, "shape", "services[0]"),
        ({"client": "Мария"}, "shape", "client"),
        ({"client": ["Мария"]}, "shape", "client"),
    ],
)
def test_what_matters_and_cannot_be_understood_is_a_dead_letter(
    data: dict[str, Json], reason: str, place: str
) -> None:
    told, message = refusal(changed(YCLIENTS_RECORD, **data))
    assert told == reason
    assert f"body.data.{place}" in message


@pytest.mark.parametrize(
    "body",
    [
        YCLIENTS_RECORD | {"resource_id": "x"},
        YCLIENTS_RECORD | {"resource_id": 10**30},
        YCLIENTS_RECORD | {"company_id": None},
        YCLIENTS_RECORD | {"company_id": [1]},
        YCLIENTS_RECORD | {"status": 5},
        YCLIENTS_RECORD | {"resource": 5},
        YCLIENTS_RECORD | {"resource": None},
        YCLIENTS_RECORD | {"data": []},
        YCLIENTS_RECORD | {"data": "x"},
        {"resource": "record"},
        {"test": True},
        {},
        [],
        [YCLIENTS_RECORD],
        5,
        None,
    ],
)
def test_a_body_of_another_shape_is_a_dead_letter(body: Json) -> None:
    assert refusal(body)[0] == "shape"


def test_without_any_id_there_is_no_visit() -> None:
    body = deepcopy(YCLIENTS_RECORD)
    del body["resource_id"], body["data"]["id"]
    assert refusal(body) == ("shape", "body.resource_id: missing")


@pytest.mark.parametrize(
    "body",
    [
        {"company_id": 1, "resource": "schedule", "resource_id": 2, "status": "update", "data": []},
        {"company_id": 1, "resource": "salon", "resource_id": 2, "status": "update", "data": {}},
        {"company_id": 1, "resource": "master", "status": "update", "data": {"id": "x"}},
        {"resource": "goods_operations_receipt", "data": {"id": 1, "client": "x", "amount": []}},
        {"resource": "goods_operations_move", "resource_id": {}, "data": {"id": 1}},
        {"resource": ""},
    ],
)
def test_other_resources_are_counted_and_skipped(body: Json) -> None:
    batch = decoded(webhook("yclients", body))
    assert batch.dead_letters == []
    assert batch.counts == {("records", "webhook"): 1, ("ignored", "resource"): 1}


CLIENT = {
    "record": 0,
    "scope": SCOPE,
    "id": 86694283,
    "version": ms("2020-11-17T13:58:19+03:00"),
    "phone": "+79990000000",
    "name": "Мария",
    "birthday": 19900228,
    "locale": None,
    "consent": -1,
    "sms_denied": 0,
    "deleted": 0,
    "aliases": None,
}


def client_of(body: Json) -> dict[str, Any]:
    batch = decoded(webhook("yclients", body))
    assert batch.dead_letters == []
    (client,) = rows(batch, batch.clients)
    return client


def test_the_documented_client_is_a_card() -> None:
    assert client_of(YCLIENTS_CLIENT) == CLIENT


@pytest.mark.parametrize(
    ("data", "difference"),
    [
        ({"birth_date": None}, {"birthday": 0}),
        ({"birth_date": None, "birthday": "1990-02-28"}, {}),
        ({"birth_date": "", "birthday": "1990-02-28 00:00:00"}, {}),
        ({"birth_date": "1990-00-00"}, {"birthday": 0}),
        ({"birth_date": "1991-02-29"}, {"birthday": 0}),
        ({"birth_date": 19900228}, {"birthday": 0}),
        ({"phone": 79990000000}, {"phone": "79990000000"}),
        ({"phone": 79990000000.0}, {"phone": "79990000000"}),
        ({"phone": ""}, {"phone": None}),
        ({"phone": ["+79990000000"]}, {"phone": None}),
        ({"phone": True}, {"phone": None}),
        ({"name": None}, {"name": None}),
        ({"id": "86694283", "sms_not": True, "categories": None}, {"sms_denied": 1}),
        ({"sms_not": 1}, {"sms_denied": 1}),
        ({"sms_not": "1"}, {"sms_denied": 1}),
        ({"sms_not": ""}, {"sms_denied": -1}),
        ({"sms_not": 7}, {"sms_denied": -1}),
        ({"sms_not": {"all": True}}, {"sms_denied": -1}),
        ({"deleted": 1}, {"deleted": 1}),
    ],
)
def test_a_drift_of_a_client_changes_no_more_than_what_it_says(
    data: dict[str, Json], difference: dict[str, Any]
) -> None:
    assert client_of(changed(YCLIENTS_CLIENT, **data)) == CLIENT | difference


@pytest.mark.parametrize("data", [None, [], {}])
def test_a_deleted_client_needs_no_data(data: Json) -> None:
    client = client_of(YCLIENTS_CLIENT | {"status": "delete", "data": data})
    assert (client["id"], client["deleted"], client["phone"]) == (86694283, 1, None)


PAYMENT = {
    "record": 0,
    "scope": SCOPE,
    "id": 5511,
    "version": ms("2020-11-21T17:00:01+03:00"),
    "money_unit": 198814560,
    "visit": 234961815,
    "sale": None,
    "is_sale": 0,
    "client": 86694283,
    "phone": "+79990000000",
    "local_ms": ms("2020-11-21T17:00:00"),
    "start_ms": None,
    "amount": 5_900_000,
    "deleted": 0,
}


def payment_of(body: Json) -> dict[str, Any]:
    batch = decoded(webhook("yclients", body))
    assert batch.dead_letters == []
    (payment,) = rows(batch, batch.payments)
    return payment


@pytest.mark.parametrize(
    ("data", "difference"),
    [
        ({}, {}),
        ({"amount": -5900.5}, {"amount": -5_900_500}),
        ({"amount": "5900.00"}, {}),
        ({"visit_id": None, "record_id": None}, {"money_unit": None, "visit": None}),
        ({"sold_item_id": 7, "sold_item_type": "service"}, {}),
        ({"sold_item_id": 7, "sold_item_type": "goods_transaction"}, {"sale": 7}),
        ({"sold_item_id": 0, "sold_item_type": ""}, {}),
        ({"master": [], "supplier": []}, {}),
        ({"visit_id": 0}, {"money_unit": None}),
        ({"client": []}, {"client": None, "phone": None}),
        ({"expense": None}, {}),
        (
            {"date": "2020-11-21T17:00:00+0300"},
            {"local_ms": None, "start_ms": ms("2020-11-21T17:00:00+03:00")},
        ),
    ],
)
def test_a_finances_operation_is_a_payment(
    data: dict[str, Json], difference: dict[str, Any]
) -> None:
    assert payment_of(changed(YCLIENTS_PAYMENT, **data)) == PAYMENT | difference


@pytest.mark.parametrize("data", [None, [], {}])
def test_a_deleted_payment_needs_no_data(data: Json) -> None:
    payment = payment_of(YCLIENTS_PAYMENT | {"status": "delete", "data": data})
    assert (payment["id"], payment["deleted"], payment["amount"]) == (5511, 1, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"amount": None}, "shape"),
        ({"amount": "nan"}, "shape"),
        ({"date": None}, "shape"),
        ({"date": "1970-01-01 00:00:00"}, "time"),
    ],
)
def test_a_payment_without_sum_or_time_is_a_dead_letter(data: dict[str, Json], reason: str) -> None:
    batch = decoded(webhook("yclients", changed(YCLIENTS_PAYMENT, **data)))
    assert reasons(batch) == [(0, reason)]
    assert rows(batch, batch.payments) == []


def test_no_message_of_a_dead_letter_tells_a_phone_or_a_name() -> None:
    secret = {"id": "Мария", "name": "Мария", "phone": "+79990000000"}
    for data in ({"client": secret}, {"attendance": "+79990000000"}, {"date": "Мария"}):
        _, message = refusal(changed(YCLIENTS_RECORD, **data))
        assert "Мария" not in message
        assert "7999" not in message
